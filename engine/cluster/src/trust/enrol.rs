//! How somebody comes to have a certificate, and a new one before it ends: one question and one answer, within TLS.
//!
//! The asking side shows its key in the handshake: in a certificate that it gave itself, or in the one that it has. There is no request to be
//! signed beside that: TLS proves that it holds the key.

use std::sync::Arc;
use std::time::SystemTime;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::authority::AuthorityKey;
use super::error::TrustError;
use super::identity::{Identity, Name, Who};
use super::keyring::{Keyring, new_key};
use super::refusal::Refusal;
use super::tls::{ENROL, Shown, client_config, handshake};
use super::token::JoinToken;
use super::verify::Believed;
use crate::error::ClientError;
use crate::socket::HANDSHAKE_PATIENCE;

/// Longest question, and longest answer: some thousand names.
const MAX_ASK_BYTES: u32 = 4 << 10;
const MAX_ANSWER_BYTES: u32 = 1 << 20;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "ask")]
pub enum Ask {
    /// A certificate for a token.
    Join {
        id: String,
        secret: String,
        /// What the newcomer calls itself.
        label: String,
    },
    /// A new certificate for the one that is shown.
    Renew,
    /// The names that are revoked.
    Revoked,
    /// The authority's key, for a node whose certificate says that it may hold it.
    Authority,
}

impl std::fmt::Debug for Ask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.what())
    }
}

impl Ask {
    /// As the audit log tells it.
    pub const fn what(&self) -> &'static str {
        match self {
            Ask::Join { .. } => "enrol",
            Ask::Renew => "renew",
            Ask::Revoked => "revoked",
            Ask::Authority => "authority",
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "answer")]
pub enum Answer {
    Certificate {
        certificate: Vec<u8>,
    },
    Revoked {
        names: Vec<Name>,
        /// The cluster's control nodes, to be asked where this one does not answer. A node of the release before tells none.
        #[serde(default)]
        nodes: Vec<Source>,
    },
    Authority {
        key: AuthorityKey,
    },
    Refused {
        refusal: Refusal,
    },
}

/// A node that may be asked: `HOST:PORT`, and who has to answer there, where that is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    pub authority: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
}

impl Source {
    /// The node that made this side a member, at the address where it did.
    pub fn of(address: &str, identity: &Identity) -> Source {
        Source { authority: address.to_owned(), name: identity.given_by.clone() }
    }
}

/// Who is revoked, and who else may be asked.
#[derive(Debug)]
pub struct Heard {
    pub names: Vec<Name>,
    pub nodes: Vec<Source>,
}

/// Writes a length and as many bytes of JSON.
pub async fn tell(stream: &mut (impl AsyncWrite + Unpin), message: &impl Serialize) -> std::io::Result<()> {
    let bytes = serde_json::to_vec(message)?;
    let length = u32::try_from(bytes.len()).map_err(std::io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), bytes.as_slice()].concat()).await?;
    stream.flush().await
}

/// Reads one that is no longer than it may be.
async fn hear<T: DeserializeOwned>(stream: &mut (impl AsyncRead + Unpin), most: u32) -> std::io::Result<T> {
    let length = stream.read_u32().await?;
    if length > most {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, format!("{length} bytes are more than {most}")));
    }
    let mut bytes = Vec::new();
    stream.take(u64::from(length)).read_to_end(&mut bytes).await?;
    Ok(serde_json::from_slice(&bytes)?)
}

pub async fn hear_ask(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Ask> {
    hear(stream, MAX_ASK_BYTES).await
}

/// Becomes a member by a token: makes a key, has the authority at `address` (`HOST:PORT`) give a certificate for it, and keeps both.
///
/// # Errors
/// If nobody answers there, if who answers is not of the token's authority, or if it refuses the token.
pub async fn enrol(address: &str, token: &JoinToken, label: &str, keyring: &Keyring) -> Result<Identity, ClientError> {
    // Made anew each time: the one from before may be why there has to be another.
    let key = new_key()?;
    let ask = Ask::Join { id: token.id.clone(), secret: token.secret.reveal(), label: label.to_owned() };
    let (answer, shown) = put(address, shown_of(&key)?, Believed::Pinned(token.authority), None, ask).await?;
    let node = shown.first().and_then(Who::of).map(|who| who.name);
    let authority = shown.into_iter().find(|certificate| token.authority.is_of(certificate));
    let authority = authority.ok_or_else(|| refused(address, Refusal::ForeignCertificate))?;
    Ok(keyring.keep_new(&key, &certificate_of(address, answer)?, &authority, node.as_ref())?)
}

/// Has the authority at `address` give a new certificate in place of the one that the keyring holds.
pub async fn renew(address: &str, identity: &Identity, keyring: &Keyring) -> Result<Identity, ClientError> {
    renew_at(&Source::of(address, identity), identity, keyring).await
}

/// The same at any node that holds the authority's key.
pub async fn renew_at(source: &Source, identity: &Identity, keyring: &Keyring) -> Result<Identity, ClientError> {
    let answer = put_as(source, identity, Ask::Renew).await?;
    Ok(keyring.keep(&certificate_of(&source.authority, answer)?, &identity.authority)?)
}

/// Asks a node whom the cluster has revoked.
pub async fn ask_revoked(source: &Source, identity: &Identity) -> Result<Heard, ClientError> {
    let answer = put_as(source, identity, Ask::Revoked).await?;
    let Answer::Revoked { names, nodes } = answer else { return Err(refused(&source.authority, Refusal::Unreadable)) };
    Ok(Heard { names, nodes })
}

/// Asks a node for the authority's key.
pub async fn ask_authority(source: &Source, identity: &Identity) -> Result<AuthorityKey, ClientError> {
    let answer = put_as(source, identity, Ask::Authority).await?;
    let Answer::Authority { key } = answer else { return Err(refused(&source.authority, Refusal::Unreadable)) };
    Ok(key)
}

/// A certificate that a key gives itself, to be shown in a handshake.
fn shown_of(key: &KeyPair) -> Result<Shown, TrustError> {
    let mut parameters = CertificateParams::default();
    parameters.not_after = (SystemTime::now() + super::authority::LIFE).into();
    let certificate = parameters.self_signed(key)?.der().clone();
    Ok(Shown { certificate, key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())) })
}

fn refused(address: &str, refusal: Refusal) -> ClientError {
    ClientError::NotAdmitted { address: address.to_owned(), refusal }
}

/// Asks as a member.
async fn put_as(source: &Source, identity: &Identity, ask: Ask) -> Result<Answer, ClientError> {
    let believed = Believed::Known(identity.authority.clone());
    let (answer, _) = put(&source.authority, Shown::of(identity), believed, source.name.clone(), ask).await?;
    Ok(answer)
}

/// Asks, and gives the answer with the certificates that the node showed.
async fn put(
    address: &str,
    shown: Shown,
    believed: Believed,
    expected: Option<Name>,
    ask: Ask,
) -> Result<(Answer, Vec<CertificateDer<'static>>), ClientError> {
    let config = client_config(Some(shown), believed, expected, ENROL)?;
    let asked = timeout(HANDSHAKE_PATIENCE, async {
        let stream = TcpStream::connect(address).await?;
        let mut stream = handshake(stream, config).await?;
        let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let certificates = certificates.iter().map(|certificate| certificate.clone().into_owned()).collect();
        tell(&mut stream, &ask).await?;
        let answer = hear(&mut stream, MAX_ANSWER_BYTES).await?;
        // It is heard: whether the node hears that is nothing to it.
        let _ = stream.shutdown().await;
        Ok((answer, certificates))
    });
    let unreachable = |why: String| ClientError::Unreachable { address: address.to_owned(), why };
    let asked = asked.await.map_err(|_| unreachable(format!("no answer within {} s", HANDSHAKE_PATIENCE.as_secs())))?;
    match asked.map_err(|error: std::io::Error| (Refusal::of_handshake(&error), error)) {
        Ok((Answer::Refused { refusal }, _)) => Err(refused(address, refusal)),
        Ok(answered) => Ok(answered),
        Err((Some(refusal), _)) => Err(refused(address, refusal)),
        Err((None, error)) => Err(unreachable(error.to_string())),
    }
}

fn certificate_of(address: &str, answer: Answer) -> Result<CertificateDer<'static>, ClientError> {
    let Answer::Certificate { certificate } = answer else { return Err(refused(address, Refusal::Unreadable)) };
    Ok(CertificateDer::from(certificate))
}

impl From<TrustError> for ClientError {
    fn from(error: TrustError) -> Self {
        ClientError::Trust(Arc::new(error))
    }
}
