//! A node's side of trust: its own certificate, and who may pass the door.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use millrace_control::ControlGroup;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::server::Acceptor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::agreed::{Agreed, BEHIND, BEHIND_LOOK_EVERY};
use super::audit::{Audit, Entry, Outcome};
use super::authority::{Authority, HeldKey, Issued, LIFE, new_name};
use super::enrol::Source;
use super::error::TrustError;
use super::files;
use super::identity::{Identity, Name, Who};
use super::keyring::{Keyring, new_key};
use super::refusal::Refusal;
use super::revoked::Revoked;
use super::roles::Role;
use super::tls::{ENROL, SESSION, provider, server_config};
use super::token::JoinToken;
use super::tokens::{Invitation, Tokens};
use super::verify::{MemberVerifier, NewcomerVerifier};

/// The folder of keys within a node's data.
const FOLDER: &str = "trust";
/// How long a peer that was refused has to read why.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// What the first node of a cluster calls itself.
const FIRST: &str = "first";

/// Somebody with a certificate of the cluster, at the other end of a link.
pub struct Admitted {
    pub stream: TlsStream<TcpStream>,
    pub who: Who,
}

pub struct Guard {
    pub(super) keyring: Keyring,
    /// At the cluster's first node, and at those that it was handed to.
    authority: RwLock<Option<Arc<Authority>>>,
    pub(super) tokens: Tokens,
    /// With what the control group has agreed on, once the node is of one.
    pub(super) revoked: Revoked,
    pub(super) audit: Audit,
    pub(super) current: RwLock<Arc<Current>>,
    /// The nodes that may be asked for what this one cannot give itself.
    pub(super) nodes: Mutex<Vec<Source>>,
    /// Whether the control group knows of all certificates that this node gave without it.
    pub(super) is_listed: AtomicBool,
    /// Two processes with one folder would be one node.
    _lock: File,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("keyring", &self.keyring).finish_non_exhaustive()
    }
}

/// What hangs on the node's certificate, which is renewed now and then.
pub(super) struct Current {
    pub(super) identity: Arc<Identity>,
    session: Arc<ServerConfig>,
    enrol: Arc<ServerConfig>,
}

impl Current {
    pub(super) fn new(identity: Identity, revoked: &Revoked) -> Result<Arc<Current>, TrustError> {
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
                let who = Who { role: Role::Control, name: new_name(FIRST)? };
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
        let nodes = Mutex::new(super::tending::nodes_in(folder)?);
        let (authority, is_listed) = (RwLock::new(authority.map(Arc::new)), AtomicBool::default());
        Ok(Guard { keyring, authority, tokens, revoked, audit, current, nodes, is_listed, _lock: lock })
    }

    fn current(&self) -> Arc<Current> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The authority, if this node holds its key.
    pub(super) fn authority(&self) -> Option<Arc<Authority>> {
        self.authority.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn take_authority(&self, authority: Authority) {
        *self.authority.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(authority));
    }

    /// Whether this node can give certificates.
    pub fn holds_authority(&self) -> bool {
        self.authority().is_some()
    }

    /// From now on the node's control group agrees on tokens and revocations. The sessions of that group hold this guard: it lives as long as they do.
    pub fn take_group(&self, group: ControlGroup) {
        self.revoked.take_agreed(Agreed::by(group));
    }

    /// What the control group has agreed on, at a node of one.
    pub(super) fn agreed(&self) -> Option<&Agreed> {
        self.revoked.agreed()
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

    fn no_authority(&self) -> TrustError {
        TrustError::NoAuthority { path: self.keyring.folder().to_owned() }
    }

    /// A token that serves at this node; where a control group agrees on tokens, at all of its nodes a moment later.
    ///
    /// # Errors
    /// If this node does not hold the authority's key.
    pub fn issue_token(&self, role: Role, expires: SystemTime) -> Result<JoinToken, TrustError> {
        self.tokens.issue(self.authority().ok_or_else(|| self.no_authority())?.fingerprint(), role, expires)
    }

    /// A token that serves once in the whole cluster, from now on and wherever it is shown.
    ///
    /// # Errors
    /// If this node does not hold the authority's key; or if its control group does not agree.
    pub async fn make_token(&self, role: Role, life: Duration) -> Result<JoinToken, TrustError> {
        let (authority, expires) = (self.authority().ok_or_else(|| self.no_authority())?, SystemTime::now() + life);
        let Some(agreed) = self.agreed() else {
            let tokens = self.tokens.clone();
            return blocking(move || tokens.issue(authority.fingerprint(), role, expires)).await;
        };
        let token = JoinToken::random(authority.fingerprint())?;
        agreed.invite(&token.id, &Invitation::of(&token, role, expires), &authority).await?;
        Ok(token)
    }

    /// All who have, or had, a certificate, by name; and whether it is revoked.
    ///
    /// # Errors
    /// If this node neither holds the authority's key nor is of a control group.
    pub async fn certificates(&self) -> Result<Vec<(Issued, bool)>, TrustError> {
        let (authority, agreed) = (self.authority(), self.agreed());
        if authority.is_none() && agreed.is_none() {
            return Err(self.no_authority());
        }
        let mut all = agreed.map(Agreed::issued).unwrap_or_default();
        if let Some(authority) = authority {
            all.extend(blocking(move || authority.issued()).await?);
        }
        // The newest of each first, which stays.
        all.sort_by(|a, b| (&a.who.name, b.expires).cmp(&(&b.who.name, a.expires)));
        all.dedup_by(|a, b| a.who.name == b.who.name);
        let with = |issued: Issued| {
            let is_revoked = self.is_revoked(&issued.who.name);
            (issued, is_revoked)
        };
        Ok(all.into_iter().map(with).collect())
    }

    /// Revokes all certificates of a name: here at once, and at every node as soon as the control group has agreed.
    ///
    /// # Errors
    /// If nobody has such a certificate. If the group does not agree, it is revoked here, and the group is told again until it does.
    pub async fn revoke(&self, name: &Name) -> Result<(), TrustError> {
        self.await_name(name).await?;
        let (revoked, named) = (self.revoked.clone(), name.clone());
        blocking(move || revoked.add(&named)).await?;
        match self.agreed() {
            Some(agreed) => agreed.revoke(name).await,
            None => Ok(()),
        }
    }

    /// Sees that somebody has a certificate of a name, which this node may hear of in a moment.
    async fn await_name(&self, name: &Name) -> Result<(), TrustError> {
        let end = Instant::now() + BEHIND;
        while !self.certificates().await?.iter().any(|(issued, _)| issued.who.name == *name) {
            if self.agreed().is_none_or(Agreed::leads) || Instant::now() > end {
                return Err(TrustError::UnknownName { name: name.to_string() });
            }
            sleep(BEHIND_LOOK_EVERY).await;
        }
        Ok(())
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
}

/// Files are read and written, and settled, beside what answers.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, TrustError> + Send + 'static) -> Result<T, TrustError> {
    spawn_blocking(work).await.unwrap_or_else(|panic| Err(TrustError::Certificate { why: panic.to_string() }))
}

/// The certificate that a peer showed.
pub(super) fn shown(stream: &TlsStream<TcpStream>) -> Option<CertificateDer<'static>> {
    stream.get_ref().1.peer_certificates()?.first().map(|certificate| certificate.clone().into_owned())
}

/// Waits until a peer has read why it was refused: if the socket went before, what it sent meanwhile would have the system throw the answer away.
pub(super) async fn linger(mut stream: TcpStream) {
    let _ = timeout(LAST_WORDS, async {
        stream.shutdown().await?;
        let mut rest = [0; 1024];
        while stream.read(&mut rest).await? > 0 {}
        std::io::Result::Ok(())
    })
    .await;
}
