//! A real HTTP server that webhooks are told at.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, mpsc};

use serde_json::Value;

/// What a server does with a request.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    Status(u16),
    /// A redirect to itself.
    Redirect,
    /// It takes the request and says nothing.
    Hang,
}

/// A server on a free port of this machine.
pub struct Server {
    pub port: u16,
    /// The first line and the body of each request, as it comes.
    pub asked: mpsc::Receiver<(String, Value)>,
    /// Connections that hang, so that they stay open.
    _hanging: Arc<Mutex<Vec<TcpStream>>>,
}

impl Server {
    /// Answers in this order, and with 200 from then on.
    pub fn start(answers: &[Answer]) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, asked) = mpsc::sync_channel(100);
        let hanging = Arc::new(Mutex::new(Vec::new()));
        let (kept, mut answers) = (hanging.clone(), answers.to_vec());
        // The first is taken from the end.
        answers.reverse();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let Some(request) = read(&stream) else { continue };
                if sender.send(request).is_err() {
                    return;
                }
                let head = match answers.pop().unwrap_or(Answer::Status(200)) {
                    Answer::Status(status) => format!("HTTP/1.1 {status} X\r\n"),
                    Answer::Redirect => format!("HTTP/1.1 307 X\r\nlocation: http://127.0.0.1:{port}/elsewhere\r\n"),
                    Answer::Hang => {
                        kept.lock().unwrap().push(stream);
                        continue;
                    }
                };
                let _ = stream.write_all(format!("{head}content-length: 0\r\nconnection: close\r\n\r\n").as_bytes());
            }
        });
        Server { port, asked, _hanging: hanging }
    }
}

/// The request's first line, and its body.
fn read(stream: &TcpStream) -> Option<(String, Value)> {
    let mut reader = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0_usize);
    reader.read_line(&mut first).ok()?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((first.trim().to_owned(), serde_json::from_slice(&body).ok()?))
}
