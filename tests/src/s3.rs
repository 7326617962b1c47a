//! An S3 server as a process of its own (moto, which setup.sh brings), behind a proxy that can be told to misbehave.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

/// How the proxy takes requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// It passes them on.
    Well,
    /// It closes every connection.
    Away,
    /// It answers this, and passes nothing on.
    Answering(&'static str),
}

/// Says yes to everything, as a server does that does not know `If-None-Match`.
pub const AGREEING: Mood = Mood::Answering("200 OK");
pub const FAILING: Mood = Mood::Answering("500 Internal Server Error");
pub const FORBIDDING: Mood = Mood::Answering("403 Forbidden");

/// The secret that the tests' key has, and that nothing may ever show.
pub const SECRET: &str = "not-to-be-shown";

pub const BUCKET: &str = "millrace-state";

/// A server with one bucket, killed when it goes out of scope.
pub struct S3 {
    server: Child,
    upstream: SocketAddr,
    proxy: Arc<Proxy>,
    address: SocketAddr,
}

struct Proxy {
    upstream: SocketAddr,
    state: Mutex<(Mood, Vec<TcpStream>)>,
}

/// What `scripts/setup.sh test` brings.
fn program() -> PathBuf {
    let cache = || {
        std::env::var_os("XDG_CACHE_HOME").map_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"), PathBuf::from)
    };
    let program = std::env::var_os("MILLRACE_S3_SERVER").map_or_else(|| cache().join("millrace/s3-server/bin/moto_server"), PathBuf::from);
    assert!(
        program.exists(),
        "{} is missing: `bash scripts/setup.sh test` brings it, or name one in MILLRACE_S3_SERVER",
        program.display()
    );
    program
}

impl S3 {
    /// Starts it on a free port of this machine, and waits until it listens.
    pub fn start() -> S3 {
        let arguments = ["-H", "127.0.0.1", "-p", "0"];
        let mut server = Command::new(program()).args(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(server.stderr.take().unwrap()).lines().map(Result::unwrap);
        let listening = said.find_map(|line| Some(line.split_once("http://")?.1.trim().to_owned()));
        let upstream: SocketAddr = listening.expect("it says where it listens").parse().unwrap();
        // What it says of each request is read, so that it never waits for a reader.
        std::thread::spawn(move || said.for_each(drop));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let proxy = Arc::new(Proxy { upstream, state: Mutex::new((Mood::Well, Vec::new())) });
        let serving = proxy.clone();
        std::thread::spawn(move || listener.incoming().flatten().for_each(|client| serving.clone().take(client)));
        let s3 = S3 { server, upstream, proxy, address };
        assert_eq!(s3.ask("PUT", "", b"").0, 200, "the bucket is made");
        s3
    }

    /// What a process needs to reach it.
    pub fn environment(&self) -> [(&'static str, String); 4] {
        [
            ("AWS_ENDPOINT_URL", format!("http://{}", self.address)),
            ("AWS_ACCESS_KEY_ID", "millrace".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
        ]
    }

    /// From now on; connections that stand are closed.
    pub fn be(&self, mood: Mood) {
        let mut state = self.proxy.state.lock().unwrap();
        state.0 = mood;
        for stream in state.1.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// The names of all objects, sorted.
    pub fn keys(&self) -> Vec<String> {
        let (status, body) = self.ask("GET", "?list-type=2", b"");
        assert_eq!(status, 200);
        let text = String::from_utf8(body).unwrap();
        text.split("<Key>").skip(1).map(|rest| rest.split("</Key>").next().unwrap().to_owned()).collect()
    }

    pub fn get(&self, key: &str) -> Vec<u8> {
        let (status, body) = self.ask("GET", &format!("/{key}"), b"");
        assert_eq!(status, 200, "{key}");
        body
    }

    pub fn put(&self, key: &str, bytes: &[u8]) {
        assert_eq!(self.ask("PUT", &format!("/{key}"), bytes).0, 200, "{key}");
    }

    pub fn delete(&self, key: &str) {
        assert_eq!(self.ask("DELETE", &format!("/{key}"), b"").0, 204, "{key}");
    }

    /// Asks the server itself. It wants a signature, and does not look at it.
    fn ask(&self, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let mut stream = TcpStream::connect(self.upstream).unwrap();
        let signed = "AWS4-HMAC-SHA256 Credential=millrace/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
        let (host, length) = (self.upstream, body.len());
        let head =
            format!("{method} /{BUCKET}{path} HTTP/1.0\r\nHost: {host}\r\nAuthorization: {signed}\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let status = std::str::from_utf8(&answer[..end]).unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer[end + 4..].to_vec())
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Proxy {
    fn take(self: Arc<Self>, client: TcpStream) {
        let mut state = self.state.lock().unwrap();
        match state.0 {
            Mood::Away => {}
            Mood::Answering(status) => {
                state.1.push(client.try_clone().unwrap());
                std::thread::spawn(move || answer(&client, status));
            }
            Mood::Well => {
                let Ok(server) = TcpStream::connect(self.upstream) else { return };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
                state.1.push(client);
                state.1.push(server);
            }
        }
    }
}

/// Answers each request of a connection alike.
fn answer(client: &TcpStream, status: &str) {
    let mut requests = BufReader::new(client);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            match requests.read_line(&mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            if let Some(said) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = said.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let _ = std::io::copy(&mut requests.by_ref().take(length), &mut std::io::sink());
        let head = format!("HTTP/1.1 {status}\r\nETag: \"1\"\r\nContent-Length: 0\r\n\r\n");
        let mut out = client;
        if out.write_all(head.as_bytes()).is_err() {
            return;
        }
    }
}
