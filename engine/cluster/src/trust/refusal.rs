//! Why one end does not let the other in. Both ends say it in the same words and under the same code.

use std::io;

use millrace_wire::codes;
use rustls::{AlertDescription, CertificateError};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A refusal. What a stranger is told is no more than that it is one: only who holds a token's secret learns that it was used or is too old.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    #[error("the join token is none of this cluster; make one with `millrace token`")]
    UnknownToken,
    #[error("the join token was used before, and serves once; make another one with `millrace token`")]
    UsedToken,
    #[error("the join token has expired; make another one with `millrace token`")]
    ExpiredToken,
    #[error("no certificate was shown; join with a token first")]
    NoCertificate,
    #[error("the certificate is not one of this cluster's authority")]
    ForeignCertificate,
    #[error("the certificate has expired, or is not valid yet: look at the clocks, or join again with a new token")]
    ExpiredCertificate,
    #[error("the certificate was revoked; an administrator can give a new join token")]
    RevokedCertificate,
    #[error("the node that answers is not the one that is meant")]
    AnotherNode,
    #[error("this node speaks without TLS to its own machine alone; use wss:// and join with a token")]
    Plain,
    #[error("this node has no certificates to give: ask the one that was started first, or a control node whose role is `control`")]
    NoAuthority,
    #[error("most of the cluster's control nodes are out of reach, and have to agree to it: try again")]
    NotAgreed,
    #[error(
        "the role in the certificate does not cover it: the authority's key is for nodes that joined with a token of the role `control`"
    )]
    Role,
    #[error("what was asked cannot be read; install the same release on both ends")]
    Unreadable,
}

impl Refusal {
    pub const fn code(self) -> &'static str {
        match self {
            Refusal::UnknownToken => codes::REFUSED,
            Refusal::UsedToken => codes::TOKEN_USED,
            Refusal::ExpiredToken => codes::TOKEN_EXPIRED,
            Refusal::NoCertificate => codes::NO_CERTIFICATE,
            Refusal::ForeignCertificate | Refusal::ExpiredCertificate | Refusal::AnotherNode => codes::FOREIGN_CERTIFICATE,
            Refusal::RevokedCertificate => codes::REVOKED,
            Refusal::Plain => codes::PLAIN,
            Refusal::NoAuthority => codes::KEYRING,
            Refusal::NotAgreed => codes::NO_MAJORITY,
            Refusal::Role => codes::ROLE,
            Refusal::Unreadable => codes::VERSION,
        }
    }

    /// What a handshake that failed says about certificates; none if it failed for something else.
    pub fn of_handshake(error: &io::Error) -> Option<Refusal> {
        match error.get_ref()?.downcast_ref::<rustls::Error>()? {
            rustls::Error::NoCertificatesPresented => Some(Refusal::NoCertificate),
            rustls::Error::InvalidCertificate(why) => Some(Refusal::of_certificate(why)),
            rustls::Error::AlertReceived(alert) => Refusal::of_alert(*alert),
            _ => None,
        }
    }

    const fn of_certificate(why: &CertificateError) -> Refusal {
        match why {
            CertificateError::Revoked => Refusal::RevokedCertificate,
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Refusal::ExpiredCertificate,
            CertificateError::ApplicationVerificationFailure => Refusal::AnotherNode,
            _ => Refusal::ForeignCertificate,
        }
    }

    /// What the other end tells by an alert, before there is a session to tell it in.
    const fn of_alert(alert: AlertDescription) -> Option<Refusal> {
        match alert {
            AlertDescription::CertificateRequired => Some(Refusal::NoCertificate),
            AlertDescription::CertificateRevoked => Some(Refusal::RevokedCertificate),
            AlertDescription::CertificateExpired => Some(Refusal::ExpiredCertificate),
            AlertDescription::AccessDenied => Some(Refusal::AnotherNode),
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::DecryptError => Some(Refusal::ForeignCertificate),
            _ => None,
        }
    }
}
