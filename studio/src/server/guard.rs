//! Who may come in: the exact host, the exact origin, the token.
//!
//! Any page that the user has open can send requests to this machine's loopback. A foreign `Host` is a rebound name; a foreign `Origin`
//! is another page. Both are refused before anything else is looked at.

use std::fmt;
use std::net::SocketAddr;

use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN, SEC_WEBSOCKET_PROTOCOL};
use millrace_studio_api::TOKEN_SUBPROTOCOL;
use subtle::ConstantTimeEq;

/// What a peer must show.
pub struct Guard {
    hosts: Vec<String>,
    token: String,
}

/// Why a request was refused. Logged, never told to the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    Host,
    Origin,
    NoToken,
    WrongToken,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Host => "a foreign Host header",
            Refusal::Origin => "a foreign Origin",
            Refusal::NoToken => "no token",
            Refusal::WrongToken => "a wrong token",
        })
    }
}

impl Guard {
    /// Allows the address itself and, on the usual loopback address, `localhost` with the same port.
    pub fn new(address: SocketAddr, token: String) -> Self {
        let hosts = vec![address.to_string(), format!("localhost:{}", address.port())];
        Guard { hosts, token }
    }

    /// Exactly one `Host`, and it is ours; an `Origin`, where there is one, is that of a page of ours.
    pub fn host_and_origin(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let mut hosts = headers.get_all(HOST).iter();
        let host = match (hosts.next(), hosts.next()) {
            (Some(host), None) => host.to_str().map_err(|_| Refusal::Host)?,
            _ => return Err(Refusal::Host),
        };
        if !self.hosts.iter().any(|known| known == host) {
            return Err(Refusal::Host);
        }
        let mut origins = headers.get_all(ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => Ok(()),
            (Some(origin), None) if origin.to_str().is_ok_and(|origin| origin == format!("http://{host}")) => Ok(()),
            _ => Err(Refusal::Origin),
        }
    }

    /// The token among the WebSocket's subprotocols. Compared in constant time.
    pub fn token(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
        let token = offered.flat_map(|value| value.split(',')).find_map(|name| name.trim().strip_prefix(TOKEN_SUBPROTOCOL));
        match token {
            None => Err(Refusal::NoToken),
            Some(token) if bool::from(token.as_bytes().ct_eq(self.token.as_bytes())) => Ok(()),
            Some(_) => Err(Refusal::WrongToken),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn guard() -> Guard {
        Guard::new("127.0.0.1:7800".parse().unwrap(), "secret".to_owned())
    }

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name.clone(), HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn only_the_exact_host_with_its_port_comes_in() {
        for host in ["127.0.0.1:7800", "localhost:7800"] {
            assert_eq!(guard().host_and_origin(&headers(&[(HOST, host)])), Ok(()), "{host}");
        }
        for host in ["127.0.0.1", "127.0.0.1:7801", "localhost", "evil.example:7800", "127.0.0.1.evil.example:7800", "LOCALHOST:7800", ""] {
            assert_eq!(guard().host_and_origin(&headers(&[(HOST, host)])), Err(Refusal::Host), "{host}");
        }
        assert_eq!(guard().host_and_origin(&headers(&[])), Err(Refusal::Host));
        assert_eq!(guard().host_and_origin(&headers(&[(HOST, "localhost:7800"), (HOST, "evil.example")])), Err(Refusal::Host));
    }

    #[test]
    fn only_the_pages_own_origin_comes_in() {
        let with = |origin| guard().host_and_origin(&headers(&[(HOST, "127.0.0.1:7800"), (ORIGIN, origin)]));
        assert_eq!(with("http://127.0.0.1:7800"), Ok(()));
        for origin in
            ["null", "http://localhost:7800", "https://127.0.0.1:7800", "http://127.0.0.1:7800.evil.example", "http://evil.example", ""]
        {
            assert_eq!(with(origin), Err(Refusal::Origin), "{origin}");
        }
    }

    #[test]
    fn the_token_is_asked_of_everyone() {
        let with = |value| guard().token(&headers(&[(SEC_WEBSOCKET_PROTOCOL, value)]));
        assert_eq!(with("millrace.v1, token.secret"), Ok(()));
        assert_eq!(with("millrace.v1"), Err(Refusal::NoToken));
        assert_eq!(with("millrace.v1, token.guess"), Err(Refusal::WrongToken));
        assert_eq!(guard().token(&headers(&[])), Err(Refusal::NoToken));
    }
}
