//! Whether to believe a certificate. A name in the network is never looked at: addresses change, and the cluster's authority gives names of its
//! own.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};

use super::error::TrustError;
use super::identity::{Fingerprint, Name, Who};
use super::revoked::Revoked;
use super::roles::Role;
use super::tls::provider;

/// TLS 1.2 is not spoken.
fn not_spoken() -> Result<HandshakeSignatureValid, Error> {
    Err(Error::PeerIncompatible(rustls::PeerIncompatible::Tls12NotOffered))
}

fn roots(authority: &CertificateDer<'_>) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone().into_owned())?;
    Ok(roots)
}

/// Which authority a node's certificate must be of.
#[derive(Debug, Clone)]
pub enum Believed {
    /// The one that gave this side's.
    Known(CertificateDer<'static>),
    /// The one that a join token names; the node shows its certificate, and must be the one that holds its key.
    Pinned(Fingerprint),
}

/// Looks at a node, before anything is told to it.
#[derive(Debug)]
pub struct NodeVerifier {
    pub believed: Believed,
    /// Whom it must be, where that is known.
    pub expected: Option<Name>,
    pub provider: Arc<CryptoProvider>,
}

impl NodeVerifier {
    fn roots(&self, shown: &[CertificateDer<'_>]) -> Result<RootCertStore, Error> {
        match &self.believed {
            Believed::Known(authority) => roots(authority),
            Believed::Pinned(fingerprint) => {
                let authority = shown.iter().find(|certificate| fingerprint.is_of(certificate));
                roots(authority.ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?)
            }
        }
    }
}

impl ServerCertVerifier for NodeVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(certificate)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots(others)?, &[], now, algorithms)?;
        let is_taken = |role: Role| match &self.believed {
            Believed::Known(_) => role.is_node(),
            Believed::Pinned(_) => role == Role::Control,
        };
        let who = Who::of(certificate).filter(|who| is_taken(who.role));
        let who = who.ok_or(Error::InvalidCertificate(CertificateError::InvalidPurpose))?;
        match &self.expected {
            Some(expected) if *expected != who.name => Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)),
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        not_spoken()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Looks at who asks a node: one of the cluster, and not revoked.
#[derive(Debug)]
pub struct MemberVerifier {
    chain: Arc<dyn ClientCertVerifier>,
    revoked: Revoked,
}

impl MemberVerifier {
    pub fn new(authority: &CertificateDer<'_>, revoked: Revoked) -> Result<MemberVerifier, TrustError> {
        let roots = Arc::new(roots(authority)?);
        let chain = WebPkiClientVerifier::builder_with_provider(roots, provider()).build();
        let chain = chain.map_err(|error| TrustError::Certificate { why: error.to_string() })?;
        Ok(MemberVerifier { chain, revoked })
    }
}

impl ClientCertVerifier for MemberVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.chain.verify_client_cert(certificate, &[], now)?;
        let who = Who::of(certificate).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
        if self.revoked.contains(&who.name) {
            return Err(Error::InvalidCertificate(CertificateError::Revoked));
        }
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        not_spoken()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

/// Takes any certificate of a newcomer: what counts is that it holds the key in it, which its signature of the handshake shows.
#[derive(Debug)]
pub struct NewcomerVerifier(pub Arc<CryptoProvider>);

impl ClientCertVerifier for NewcomerVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        ParsedCertificate::try_from(certificate).map(|_| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        not_spoken()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
