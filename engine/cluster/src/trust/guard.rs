//! A node's side of trust: its own certificate, and who may pass the door.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::server::Acceptor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::audit::{Audit, Entry, Outcome};
use super::authority::{Authority, HeldKey, LIFE, RENEW_BEFORE};
use super::enrol::{Answer, Ask, ask_revoked, hear_ask, renew, tell};
use super::error::TrustError;
use super::files;
use super::identity::{Identity, Name, Who};
use super::keyring::{Keyring, new_key};
use super::refusal::Refusal;
use super::revoked::Revoked;
use super::roles::Role;
use super::tls::{ENROL, SESSION, provider, server_config};
use super::token::JoinToken;
use super::tokens::Tokens;
use super::verify::{MemberVerifier, NewcomerVerifier};
use crate::error::ClientError;
use crate::node::Token;

/// The folder of keys within a node's data.
const FOLDER: &str = "trust";
/// How long a peer that was refused has to read why.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How soon a node hears of a certificate that was revoked at the first one.
const FRESH_EVERY: Duration = Duration::from_secs(10);
/// What the first node of a cluster calls itself.
const FIRST: &str = "first";

/// Somebody with a certificate of the cluster, at the other end of a link.
pub struct Admitted {
    pub stream: TlsStream<TcpStream>,
    pub who: Who,
}

pub struct Guard {
    keyring: Keyring,
    /// At the cluster's first node.
    authority: Option<Authority>,
    tokens: Tokens,
    revoked: Revoked,
    audit: Audit,
    current: RwLock<Arc<Current>>,
    /// Two processes with one folder would be one node.
    _lock: File,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("keyring", &self.keyring).finish_non_exhaustive()
    }
}

/// What hangs on the node's certificate, which is renewed now and then.
struct Current {
    identity: Arc<Identity>,
    session: Arc<ServerConfig>,
    enrol: Arc<ServerConfig>,
}

impl Current {
    fn new(identity: Identity, revoked: &Revoked) -> Result<Arc<Current>, TrustError> {
        let members = MemberVerifier::new(&identity.authority, revoked.clone())?;
        let session = server_config(&identity, Arc::new(members), SESSION)?;
        let enrol = server_config(&identity, Arc::new(NewcomerVerifier(provider())), ENROL)?;
        Ok(Arc::new(Current { identity: Arc::new(identity), session, enrol }))
    }
}

/// Where keys and certificates lie within a node's data.
pub fn folder_in(data: &Path) -> PathBuf {
    data.join(FOLDER)
}

impl Guard {
    /// A node of a cluster with data in a folder: the cluster's first, if it has not joined one. The token is for the first other one, when the
    /// cluster has just been made.
    pub fn open(data: &Path, token_life: Duration) -> Result<(Guard, Option<JoinToken>), TrustError> {
        let folder = folder_in(data);
        let keyring = Keyring::at(&folder);
        match keyring.load()? {
            Some(identity) => {
                let authority = if Authority::is_in(&folder) { Some(Authority::open(&folder)?) } else { None };
                Ok((Guard::new(data, keyring, authority, identity)?, None))
            }
            None => {
                let authority = Authority::open_or_make(&folder)?;
                let who = Who { role: Role::Control, name: authority.new_name(FIRST)? };
                let key = new_key()?;
                let certificate = authority.issue(&who, &HeldKey::of_pair(&key), SystemTime::now() + LIFE)?;
                let identity = keyring.keep_new(&key, &certificate, authority.certificate(), None)?;
                let guard = Guard::new(data, keyring, Some(authority), identity)?;
                let token = guard.issue_token(Role::Node, SystemTime::now() + token_life)?;
                Ok((guard, Some(token)))
            }
        }
    }

    fn new(data: &Path, keyring: Keyring, authority: Option<Authority>, identity: Identity) -> Result<Guard, TrustError> {
        let folder = keyring.folder();
        let lock = files::lock(folder)?;
        let (tokens, revoked) = (Tokens::within(folder), Revoked::within(folder));
        let audit = Audit::open(&data.join("audit.jsonl"))?;
        let current = RwLock::new(Current::new(identity, &revoked)?);
        Ok(Guard { keyring, authority, tokens, revoked, audit, current, _lock: lock })
    }

    fn current(&self) -> Arc<Current> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the node itself shows.
    pub fn identity(&self) -> Arc<Identity> {
        self.current().identity.clone()
    }

    pub const fn audit(&self) -> &Audit {
        &self.audit
    }

    pub fn is_revoked(&self, name: &Name) -> bool {
        self.revoked.contains(name)
    }

    /// # Errors
    /// If this is not the cluster's first node.
    pub fn issue_token(&self, role: Role, expires: SystemTime) -> Result<JoinToken, TrustError> {
        let missing = || TrustError::NoAuthority { path: self.keyring.folder().to_owned() };
        self.tokens.issue(self.authority.as_ref().ok_or_else(missing)?.fingerprint(), role, expires)
    }

    /// Shakes hands with who came. None: it was refused, or asked for a certificate and was answered. `from`: where it came from.
    pub async fn admit(self: &Arc<Self>, stream: TcpStream, from: SocketAddr) -> Option<Admitted> {
        let current = self.current();
        let start = match LazyConfigAcceptor::new(Acceptor::default(), stream).await {
            Ok(start) => start,
            Err(error) => {
                tracing::warn!(%from, "a connection was refused: it speaks no TLS that is spoken here ({error})");
                return None;
            }
        };
        let is_newcomer = start.client_hello().alpn().is_some_and(|mut purposes| purposes.any(|purpose| purpose == ENROL));
        let config = if is_newcomer { &current.enrol } else { &current.session };
        match start.into_stream(config.clone()).into_fallible().await {
            Ok(stream) if is_newcomer => {
                self.answer(stream, from).await;
                None
            }
            Ok(stream) => {
                let who = shown(&stream).and_then(|certificate| Who::of(&certificate))?;
                Some(Admitted { stream, who })
            }
            Err((error, stream)) => {
                self.tell_refused(Refusal::of_handshake(&error), &error, from);
                linger(stream).await;
                None
            }
        }
    }

    fn tell_refused(&self, refusal: Option<Refusal>, error: &std::io::Error, from: SocketAddr) {
        let code = refusal.map_or("tls", Refusal::code);
        let why = refusal.map_or_else(|| error.to_string(), |refusal| refusal.to_string());
        tracing::warn!(%from, code, "a connection was refused: {why}");
        self.audit.tell(Entry { who: None, role: None, from: Some(from), what: "connect", about: None, outcome: Outcome::Refused(code) });
    }

    async fn answer(self: &Arc<Self>, mut stream: TlsStream<TcpStream>, from: SocketAddr) {
        let (asked, certificate) = (hear_ask(&mut stream).await, shown(&stream));
        let (what, decided) = match (asked, certificate) {
            (Ok(ask), Some(certificate)) => {
                let (what, guard) = (ask.what(), self.clone());
                // Files are read and written, and settled.
                let decided = spawn_blocking(move || guard.decide(&ask, &certificate)).await;
                (what, decided.unwrap_or_else(|panic| Err(TrustError::Certificate { why: panic.to_string() })))
            }
            _ => ("enrol", Ok(Decision { who: None, answer: Answer::Refused { refusal: Refusal::Unreadable } })),
        };
        let Decision { who, answer } = decided.unwrap_or_else(|error| {
            tracing::error!(%from, "a certificate could not be given: {error}");
            Decision { who: None, answer: Answer::Refused { refusal: Refusal::NoAuthority } }
        });
        self.tell_answered(what, who.as_ref(), &answer, from);
        if tell(&mut stream, &answer).await.is_ok() {
            let _ = stream.shutdown().await;
            linger(stream.into_inner().0).await;
        }
    }

    fn tell_answered(&self, what: &str, who: Option<&Who>, answer: &Answer, from: SocketAddr) {
        let outcome = match answer {
            Answer::Refused { refusal } => {
                tracing::warn!(%from, code = refusal.code(), "a newcomer was refused: {refusal}");
                Outcome::Refused(refusal.code())
            }
            // Asked every minute by every node.
            Answer::Revoked { .. } => return,
            Answer::Certificate { .. } => Outcome::Done,
        };
        let (name, role) = (who.map(|who| who.name.as_str()), who.map(|who| who.role.as_str()));
        self.audit.tell(Entry { who: name, role, from: Some(from), what, about: None, outcome });
    }

    /// What to give to who holds the key of the certificate that it showed.
    fn decide(&self, ask: &Ask, certificate: &CertificateDer<'_>) -> Result<Decision, TrustError> {
        let now = SystemTime::now();
        let (Some(authority), Some(key)) = (&self.authority, HeldKey::of(certificate)) else {
            let refusal = if self.authority.is_none() { Refusal::NoAuthority } else { Refusal::ForeignCertificate };
            return Ok(Decision::refuse(None, refusal));
        };
        let who = match ask {
            Ask::Join { id, secret, label } => {
                let Some(secret) = Token::parse(secret) else { return Ok(Decision::refuse(None, Refusal::UnknownToken)) };
                match self.tokens.spend(id, &secret, now)? {
                    Ok(role) => Who { role, name: authority.new_name(label)? },
                    Err(refusal) => return Ok(Decision::refuse(None, refusal)),
                }
            }
            Ask::Renew | Ask::Revoked => match self.member(certificate, now) {
                Ok(who) => who,
                Err(refusal) => return Ok(Decision::refuse(Who::of(certificate), refusal)),
            },
        };
        let answer = match ask {
            Ask::Revoked => Answer::Revoked { names: self.revoked.all()? },
            Ask::Join { .. } | Ask::Renew => Answer::Certificate { certificate: authority.issue(&who, &key, now + LIFE)?.to_vec() },
        };
        Ok(Decision { who: Some(who), answer })
    }

    /// Whose a certificate is, which the handshake of a newcomer has not looked at.
    fn member(&self, certificate: &CertificateDer<'_>, now: SystemTime) -> Result<Who, Refusal> {
        let who = Who::of(certificate).ok_or(Refusal::ForeignCertificate)?;
        let own = self.identity();
        let shown = Identity {
            who: who.clone(),
            certificate: certificate.clone().into_owned(),
            authority: own.authority.clone(),
            key: own.key.clone_key(),
            given_by: None,
        };
        if !shown.is_valid_at(now) {
            return Err(Refusal::ForeignCertificate);
        }
        if self.revoked.contains(&who.name) { Err(Refusal::RevokedCertificate) } else { Ok(who) }
    }

    /// Keeps the node's certificate and its list of revoked ones fresh for as long as this is polled. `leader`: `HOST:PORT` of the cluster's first
    /// node, at any other.
    pub async fn tend(&self, leader: Option<&str>) {
        let mut is_well = true;
        loop {
            match self.keep_fresh(leader).await {
                Ok(()) => is_well = true,
                // Said once, not as often as it is tried.
                Err(error) if is_well => {
                    is_well = false;
                    tracing::warn!(%error, "the list of revoked certificates is not fresh");
                }
                Err(_) => {}
            }
            sleep(FRESH_EVERY).await;
        }
    }

    /// Renews the node's certificate if its end comes near, and asks the authority at `leader` whom it has revoked. The first node does the former
    /// by itself.
    pub async fn keep_fresh(&self, leader: Option<&str>) -> Result<(), ClientError> {
        let identity = self.identity();
        let is_due = !identity.is_valid_at(SystemTime::now() + RENEW_BEFORE);
        let renewed = match (&self.authority, leader) {
            (Some(authority), _) if is_due => {
                let key = HeldKey::of_pair(&self.keyring.key()?);
                let certificate = authority.issue(&identity.who, &key, SystemTime::now() + LIFE)?;
                Some(self.keyring.keep(&certificate, authority.certificate())?)
            }
            (None, Some(leader)) if is_due => Some(renew(leader, &identity, &self.keyring).await?),
            _ => None,
        };
        if let Some(renewed) = renewed {
            let renewed = Current::new(renewed, &self.revoked)?;
            *self.current.write().unwrap_or_else(PoisonError::into_inner) = renewed;
            tracing::info!(name = %identity.who.name, "the node's certificate was renewed");
        }
        if let (None, Some(leader)) = (&self.authority, leader) {
            for name in ask_revoked(leader, &self.identity()).await? {
                if !self.revoked.contains(&name) {
                    self.revoked.add(&name)?;
                }
            }
        }
        Ok(())
    }
}

struct Decision {
    who: Option<Who>,
    answer: Answer,
}

impl Decision {
    const fn refuse(who: Option<Who>, refusal: Refusal) -> Decision {
        Decision { who, answer: Answer::Refused { refusal } }
    }
}

/// The certificate that a peer showed.
fn shown(stream: &TlsStream<TcpStream>) -> Option<CertificateDer<'static>> {
    stream.get_ref().1.peer_certificates()?.first().map(|certificate| certificate.clone().into_owned())
}

/// Waits until a peer has read why it was refused: if the socket went before, what it sent meanwhile would have the system throw the answer away.
async fn linger(mut stream: TcpStream) {
    let _ = timeout(LAST_WORDS, async {
        stream.shutdown().await?;
        let mut rest = [0; 1024];
        while stream.read(&mut rest).await? > 0 {}
        std::io::Result::Ok(())
    })
    .await;
}
