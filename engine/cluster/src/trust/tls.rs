//! TLS as both ends speak it: 1.3 and nothing else, both certificates shown, and nothing resumed.

use std::io;
use std::sync::{Arc, OnceLock};

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::ClientCertVerifier;
use rustls::version::TLS13;
use rustls::{ClientConfig, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client};

use super::error::TrustError;
use super::identity::{Identity, Name};
use super::verify::{Believed, NodeVerifier};

/// What a link is for is agreed in the handshake: a session..
pub(super) const SESSION: &[u8] = b"millrace/1";
/// ..or becoming a member.
pub(super) const ENROL: &[u8] = b"millrace-enrol/1";
/// TLS wants a name to call; who answers is told by its certificate.
const NODE: &str = "node.millrace";

pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(ring::default_provider())).clone()
}

pub fn server_config(identity: &Identity, who: Arc<dyn ClientCertVerifier>, purpose: &[u8]) -> Result<Arc<ServerConfig>, TrustError> {
    // With the authority's: who pins it by a hash has no copy.
    let chain = vec![identity.certificate.clone(), identity.authority.clone()];
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(who)
        .with_single_cert(chain, identity.key.clone_key())?;
    config.alpn_protocols = vec![purpose.to_vec()];
    // A resumed handshake would not look at the certificate again, which may have been revoked.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// What this side shows in a handshake.
pub struct Shown {
    pub certificate: CertificateDer<'static>,
    pub key: PrivateKeyDer<'static>,
}

impl Shown {
    pub fn of(identity: &Identity) -> Shown {
        Shown { certificate: identity.certificate.clone(), key: identity.key.clone_key() }
    }
}

/// For a link to a node: what this side shows, whom it believes, and who it must be that answers. Who shows nothing is let in nowhere.
pub fn client_config(
    shown: Option<Shown>,
    believed: Believed,
    expected: Option<Name>,
    purpose: &[u8],
) -> Result<Arc<ClientConfig>, TrustError> {
    let verifier = Arc::new(NodeVerifier { believed, expected, provider: provider() });
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match shown {
        Some(Shown { certificate, key }) => config.with_client_auth_cert(vec![certificate], key)?,
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![purpose.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    Ok(Arc::new(config))
}

/// For a session with a node of the identity's cluster; with `expected` alone, if it is given.
pub fn session_config(identity: &Identity, expected: Option<Name>) -> Result<Arc<ClientConfig>, TrustError> {
    client_config(Some(Shown::of(identity)), Believed::Known(identity.authority.clone()), expected, SESSION)
}

/// Shakes hands as the asking side. In TLS 1.3 that is through before the node has looked at this side's certificate: a refusal comes with the
/// first read.
pub async fn handshake(stream: TcpStream, config: Arc<ClientConfig>) -> io::Result<client::TlsStream<TcpStream>> {
    let name = ServerName::try_from(NODE).map_err(io::Error::other)?;
    TlsConnector::from(config).connect(name, stream).await
}
