//! The head of a request, and of its answer.

use std::io;

use millrace_wire::message::NEWEST_PROTOCOL;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};

use super::door::Refused;
use crate::socket::{CODE_HEADER, PROTOCOL_HEADER, Wire};

/// Longest request head that is read.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// Most headers in it.
const MAX_HEADERS: usize = 64;

/// Reads up to the empty line; what came after it belongs to the socket.
pub async fn read_head(stream: &mut Wire) -> io::Result<(Request<()>, Vec<u8>)> {
    let mut bytes = Vec::with_capacity(1024);
    loop {
        if let Some((request, length)) = parse_head(&bytes)? {
            return Ok((request, bytes.split_off(length)));
        }
        if bytes.len() >= MAX_HEAD_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the request is too long"));
        }
        let room = (MAX_HEAD_BYTES - bytes.len()) as u64;
        if (&mut *stream).take(room).read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn parse_head(bytes: &[u8]) -> io::Result<Option<(Request<()>, usize)>> {
    let wrong = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(length) = head.parse(bytes).map_err(|error| wrong(error.to_string()))? else {
        return Ok(None);
    };
    // Before HTTP 1.1 there are no upgrades; a version that the parser knows is 1.0 or 1.1.
    if head.version != Some(1) {
        return Err(wrong("the request is not of HTTP 1.1".to_owned()));
    }
    let method = Method::from_bytes(head.method.unwrap_or_default().as_bytes()).map_err(|error| wrong(error.to_string()))?;
    let mut request = Request::builder().method(method).uri(head.path.unwrap_or_default());
    for header in head.headers.iter() {
        request = request.header(header.name, header.value);
    }
    request.body(()).map(|request| Some((request, length))).map_err(|error| wrong(error.to_string()))
}

pub async fn write_head(stream: &mut Wire, response: &Response<()>) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {}\r\n", response.status()).into_bytes();
    for (name, value) in response.headers() {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    stream.write_all(&head).await?;
    stream.flush().await
}

/// An empty answer. Only who showed the token or a certificate gets past the door far enough to be told the protocol.
pub async fn refuse(stream: &mut Wire, refused: Refused) {
    let Refused { status, told, .. } = refused;
    let mut response = Response::new(());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert("content-length", HeaderValue::from_static("0"));
    headers.insert("connection", HeaderValue::from_static("close"));
    if status == StatusCode::UPGRADE_REQUIRED {
        headers.insert(HeaderName::from_static(PROTOCOL_HEADER), HeaderValue::from(NEWEST_PROTOCOL));
    }
    if let Some(told) = told {
        headers.insert(HeaderName::from_static(CODE_HEADER), HeaderValue::from_static(told.code()));
    }
    // The peer may be gone; then there is nobody to tell.
    let _ = write_head(stream, &response).await;
    let _ = stream.shutdown().await;
}
