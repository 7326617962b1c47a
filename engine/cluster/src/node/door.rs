//! Who may come in. Decided from what the connection showed and the request's head alone, before anything is upgraded.
//!
//! A browser cannot be kept from opening sockets to this machine, and a name that it resolved may have come to mean this machine
//! since; so a request with an `Origin` is refused whatever else it shows, and one without TLS for a `Host` that is not exactly where this node
//! listens, too. A peer that has not shown the token learns nothing: its refusal is empty. Who has a certificate has shown it before, and is asked
//! for no token.

use std::net::SocketAddr;

use millrace_wire::codes;
use millrace_wire::message::PROTOCOL_VERSION;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, HOST, ORIGIN};
use tokio_tungstenite::tungstenite::http::{HeaderMap, Request, StatusCode};

use super::token::Token;
use crate::socket::{CONTROL_PATH, DATA_PATH, PROTOCOL_HEADER, SESSION_HEADER};
use crate::trust::{Refusal, Who};

/// How a peer came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Approach {
    /// Without TLS, from this address.
    Plain(SocketAddr),
    /// With a certificate of the cluster.
    Member(Who),
}

/// What to do with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// A new session.
    OpenControl,
    /// The data socket of the session of this id.
    OpenData(String),
    Refuse(Refused),
}

/// With an empty body; the reason is for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    pub status: StatusCode,
    pub why: &'static str,
    /// Told to a peer that may know what is wrong; the others are told the status alone.
    pub told: Option<Refusal>,
}

impl Refused {
    pub const fn with(status: StatusCode, why: &'static str) -> Refused {
        Refused { status, why, told: None }
    }

    /// For the logs.
    pub fn code(self) -> &'static str {
        match (self.told, self.status) {
            (Some(refusal), _) => refusal.code(),
            (None, StatusCode::UPGRADE_REQUIRED) => codes::VERSION,
            (None, StatusCode::SERVICE_UNAVAILABLE) => codes::LIMIT,
            (None, StatusCode::NOT_FOUND | StatusCode::CONFLICT) => codes::CONTACT,
            (None, _) => codes::REFUSED,
        }
    }
}

#[derive(Debug)]
pub struct Door {
    hosts: Vec<String>,
    token: Token,
}

impl Door {
    pub fn new(address: SocketAddr, token: Token) -> Door {
        let port = address.port();
        let hosts = vec![address.to_string(), format!("localhost:{port}"), format!("127.0.0.1:{port}"), format!("[::1]:{port}")];
        Door { hosts, token }
    }

    /// Lets requests in that are for this host too: a port elsewhere that leads here.
    pub fn known_as(mut self, authority: Option<String>) -> Door {
        self.hosts.extend(authority);
        self
    }

    pub fn judge(&self, approach: &Approach, request: &Request<()>) -> Verdict {
        self.pass(approach, request).unwrap_or_else(Verdict::Refuse)
    }

    fn pass(&self, approach: &Approach, request: &Request<()>) -> Result<Verdict, Refused> {
        let headers = request.headers();
        if headers.contains_key(ORIGIN) {
            return Err(Refused::with(StatusCode::FORBIDDEN, "it comes from a web page"));
        }
        if let Approach::Plain(from) = approach {
            self.pass_plain(*from, headers)?;
        }
        if only(headers, PROTOCOL_HEADER) != Some(PROTOCOL_VERSION.to_string().as_str()) {
            return Err(Refused::with(StatusCode::UPGRADE_REQUIRED, "it speaks another protocol"));
        }
        match (request.uri().path(), only(headers, SESSION_HEADER)) {
            (CONTROL_PATH, None) => Ok(Verdict::OpenControl),
            (DATA_PATH, Some(session)) => Ok(Verdict::OpenData(session.to_owned())),
            _ => Err(Refused::with(StatusCode::NOT_FOUND, "there is nothing at that path")),
        }
    }

    fn pass_plain(&self, from: SocketAddr, headers: &HeaderMap) -> Result<(), Refused> {
        if !from.ip().to_canonical().is_loopback() {
            let refused = Refused::with(StatusCode::FORBIDDEN, "it comes from another machine without TLS");
            return Err(Refused { told: Some(Refusal::Plain), ..refused });
        }
        if !only(headers, HOST.as_str()).is_some_and(|host| self.hosts.iter().any(|known| known == host)) {
            return Err(Refused::with(StatusCode::FORBIDDEN, "it is for another host"));
        }
        let shown = only(headers, AUTHORIZATION.as_str()).and_then(|value| value.strip_prefix("Bearer ")).and_then(Token::parse);
        let Some(shown) = shown else {
            return Err(Refused::with(StatusCode::UNAUTHORIZED, "it shows no token"));
        };
        if !shown.is_same(&self.token) {
            return Err(Refused::with(StatusCode::FORBIDDEN, "it shows another token"));
        }
        Ok(())
    }
}

/// The value of a header that stands once.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::{Name, Role};

    const DIGITS: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    fn judge(change: impl FnOnce(&mut HeaderMap)) -> Verdict {
        judge_at(&Door::new("127.0.0.1:7400".parse().unwrap(), Token::parse(DIGITS).unwrap()), change)
    }

    fn judge_at(door: &Door, change: impl FnOnce(&mut HeaderMap)) -> Verdict {
        judge_of(door, &Approach::Plain("127.0.0.1:50000".parse().unwrap()), change)
    }

    fn judge_from(approach: &Approach, change: impl FnOnce(&mut HeaderMap)) -> Verdict {
        judge_of(&Door::new("127.0.0.1:7400".parse().unwrap(), Token::parse(DIGITS).unwrap()), approach, change)
    }

    fn judge_of(door: &Door, approach: &Approach, change: impl FnOnce(&mut HeaderMap)) -> Verdict {
        let mut request = Request::builder().uri(CONTROL_PATH).body(()).unwrap();
        let headers = request.headers_mut();
        headers.insert(HOST, "127.0.0.1:7400".parse().unwrap());
        headers.insert(AUTHORIZATION, format!("Bearer {DIGITS}").parse().unwrap());
        headers.insert(PROTOCOL_HEADER, "1".parse().unwrap());
        change(headers);
        door.judge(approach, &request)
    }

    fn refused_as(verdict: &Verdict) -> u16 {
        match verdict {
            Verdict::Refuse(refused) => refused.status.as_u16(),
            _ => 0,
        }
    }

    #[test]
    fn a_known_client_comes_in() {
        assert_eq!(judge(|_| ()), Verdict::OpenControl);
        assert_eq!(judge(|it| drop(it.insert(HOST, "localhost:7400".parse().unwrap()))), Verdict::OpenControl);
    }

    #[test]
    fn any_origin_at_all_is_refused() {
        for origin in ["http://evil.example", "null", "http://127.0.0.1:7400", ""] {
            assert_eq!(refused_as(&judge(|it| drop(it.insert(ORIGIN, origin.parse().unwrap())))), 403, "{origin}");
        }
    }

    #[test]
    fn a_host_that_is_not_exactly_ours_is_refused() {
        let foreign =
            ["evil.example:7400", "127.0.0.1", "localhost:7401", "localhost:7400.evil.example", "LOCALHOST:7400", "127.0.0.1:07400"];
        for host in foreign {
            assert_eq!(refused_as(&judge(|it| drop(it.insert(HOST, host.parse().unwrap())))), 403, "{host}");
        }
        assert_eq!(refused_as(&judge(|it| drop(it.remove(HOST)))), 403);
        assert_eq!(refused_as(&judge(|it| assert!(it.append(HOST, "localhost:7400".parse().unwrap())))), 403);
    }

    #[test]
    fn a_host_that_this_node_is_known_as_comes_in_and_no_other() {
        let door = Door::new("127.0.0.1:7400".parse().unwrap(), Token::parse(DIGITS).unwrap()).known_as(Some("127.0.0.1:9000".to_owned()));
        assert_eq!(judge_at(&door, |it| drop(it.insert(HOST, "127.0.0.1:9000".parse().unwrap()))), Verdict::OpenControl);
        assert_eq!(judge_at(&door, |_| ()), Verdict::OpenControl);
        assert_eq!(refused_as(&judge_at(&door, |it| drop(it.insert(HOST, "127.0.0.1:9001".parse().unwrap())))), 403);
    }

    #[test]
    fn no_token_is_401_and_another_token_403() {
        assert_eq!(refused_as(&judge(|it| drop(it.remove(AUTHORIZATION)))), 401);
        for malformed in ["Bearer", "Bearer abc", &format!("Basic {DIGITS}"), DIGITS] {
            assert_eq!(refused_as(&judge(|it| drop(it.insert(AUTHORIZATION, malformed.parse().unwrap())))), 401, "{malformed}");
        }
        let other = format!("Bearer {}", DIGITS.replace("00", "01"));
        assert_eq!(refused_as(&judge(|it| drop(it.insert(AUTHORIZATION, other.parse().unwrap())))), 403);
        assert_eq!(refused_as(&judge(|it| assert!(it.append(AUTHORIZATION, other.parse().unwrap())))), 401);
    }

    #[test]
    fn another_protocol_is_told_so_only_to_who_shows_the_token() {
        assert_eq!(refused_as(&judge(|it| drop(it.insert(PROTOCOL_HEADER, "2".parse().unwrap())))), 426);
        let unknown = judge(|it| {
            it.remove(AUTHORIZATION);
            it.insert(PROTOCOL_HEADER, "2".parse().unwrap());
        });
        assert_eq!(refused_as(&unknown), 401);
    }

    #[test]
    fn without_tls_this_machine_alone_comes_in() {
        for (from, expected) in [("127.0.0.1", 0), ("::1", 0), ("::ffff:127.0.0.1", 0), ("192.0.2.7", 403), ("::ffff:192.0.2.7", 403)] {
            let from = SocketAddr::new(from.parse().unwrap(), 50000);
            let verdict = judge_from(&Approach::Plain(from), |_| ());
            assert_eq!(refused_as(&verdict), expected, "{from}");
            assert!(!matches!(verdict, Verdict::Refuse(refused) if refused.code() != "MR0618"), "{from}");
        }
    }

    #[test]
    fn a_member_needs_neither_token_nor_a_known_host_but_no_page_comes_in_with_its_certificate() {
        let member = Approach::Member(Who { role: Role::View, name: Name::parse("a-1").unwrap() });
        let bare = |it: &mut HeaderMap| {
            it.remove(AUTHORIZATION);
            it.insert(HOST, "node-7.example:7400".parse().unwrap());
        };
        assert_eq!(judge_from(&member, bare), Verdict::OpenControl);
        assert_eq!(refused_as(&judge_from(&member, |it| drop(it.insert(ORIGIN, "null".parse().unwrap())))), 403);
        assert_eq!(refused_as(&judge_from(&member, |it| drop(it.insert(PROTOCOL_HEADER, "9".parse().unwrap())))), 426);
    }
}
