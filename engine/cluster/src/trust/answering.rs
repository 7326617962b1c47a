//! What a node answers to who would be a member, or is one and asks for what members are given.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use rustls::pki_types::CertificateDer;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};
use tokio_rustls::server::TlsStream;

use super::agreed::{Agreed, BEHIND, BEHIND_LOOK_EVERY};
use super::audit::{Entry, Outcome};
use super::authority::{Authority, HeldKey, Issued, LIFE, new_name};
use super::enrol::{Answer, Ask, hear_ask, tell};
use super::error::TrustError;
use super::guard::{Guard, blocking, linger, shown};
use super::identity::{Identity, Who};
use super::refusal::Refusal;
use super::roles::Role;
use super::tokens::seconds;
use crate::node::Token;

struct Decision {
    who: Option<Who>,
    answer: Answer,
}

impl Decision {
    const fn refuse(who: Option<Who>, refusal: Refusal) -> Decision {
        Decision { who, answer: Answer::Refused { refusal } }
    }
}

type Decided = Result<Decision, TrustError>;

impl Guard {
    pub(super) async fn answer(&self, mut stream: TlsStream<TcpStream>, from: SocketAddr) {
        let (asked, certificate) = (hear_ask(&mut stream).await, shown(&stream));
        let (what, decided) = match (asked, certificate) {
            (Ok(ask), Some(certificate)) => (ask.what(), self.decide(ask, &certificate).await),
            _ => ("enrol", Ok(Decision::refuse(None, Refusal::Unreadable))),
        };
        let Decision { who, answer } = decided.unwrap_or_else(|error| {
            tracing::error!(%from, "a certificate could not be given: {error}");
            let no_majority = matches!(error, TrustError::NotAgreed { .. });
            Decision::refuse(None, if no_majority { Refusal::NotAgreed } else { Refusal::NoAuthority })
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
            Answer::Certificate { .. } | Answer::Authority { .. } => Outcome::Done,
        };
        let (name, role) = (who.map(|who| who.name.as_str()), who.map(|who| who.role.as_str()));
        self.audit.tell(Entry { who: name, role, from: Some(from), what, about: None, outcome });
    }

    /// What to give to who holds the key of the certificate that it showed.
    async fn decide(&self, ask: Ask, certificate: &CertificateDer<'_>) -> Decided {
        match (ask, self.authority()) {
            (Ask::Revoked, None) if self.agreed().is_some() => self.tell_revoked(certificate).await,
            (_, None) => Ok(Decision::refuse(None, Refusal::NoAuthority)),
            (Ask::Join { id, secret, label }, Some(authority)) => self.let_in(authority, &id, &secret, &label, certificate).await,
            (Ask::Renew, Some(authority)) => self.renew(authority, certificate).await,
            (Ask::Authority, Some(authority)) => Ok(self.hand_over(&authority, certificate)),
            (Ask::Revoked, Some(_)) => self.tell_revoked(certificate).await,
        }
    }

    async fn let_in(&self, authority: Arc<Authority>, id: &str, secret: &str, label: &str, certificate: &CertificateDer<'_>) -> Decided {
        let Some(key) = HeldKey::of(certificate) else { return Ok(Decision::refuse(None, Refusal::ForeignCertificate)) };
        let Some(secret) = Token::parse(secret) else { return Ok(Decision::refuse(None, Refusal::UnknownToken)) };
        let spent = self.spend(&authority, id, &secret, label).await?;
        match spent {
            Ok(who) => self.give(authority, who, key).await,
            Err(refusal) => Ok(Decision::refuse(None, refusal)),
        }
    }

    /// Spends a token, in the whole cluster where a control group agrees on them.
    async fn spend(&self, authority: &Authority, id: &str, secret: &Token, label: &str) -> Result<Result<Who, Refusal>, TrustError> {
        let (agreed, end) = (self.agreed(), Instant::now() + BEHIND);
        loop {
            if let Some(agreed) = agreed.filter(|agreed| agreed.knows(id)) {
                return agreed.enrol(id, secret, label, authority).await;
            }
            let (tokens, of, shown) = (self.tokens.clone(), id.to_owned(), secret.clone());
            match blocking(move || tokens.spend(&of, &shown, SystemTime::now())).await? {
                Ok(role) => return Ok(Ok(Who { role, name: new_name(label)? })),
                Err(Refusal::UnknownToken) if Instant::now() < end && self.may_come(agreed, id) => sleep(BEHIND_LOOK_EVERY).await,
                Err(refusal) => return Ok(Err(refusal)),
            }
        }
    }

    /// Whether a token that is not known may be in a moment: it was made at another node, or is being handed in.
    fn may_come(&self, agreed: Option<&Agreed>, id: &str) -> bool {
        agreed.is_some_and(|agreed| !agreed.leads() || self.tokens.is_entering(id) || agreed.knows(id))
    }

    async fn renew(&self, authority: Arc<Authority>, certificate: &CertificateDer<'_>) -> Decided {
        let Some(key) = HeldKey::of(certificate) else { return Ok(Decision::refuse(None, Refusal::ForeignCertificate)) };
        match self.member(certificate, SystemTime::now()) {
            Ok(who) => self.give(authority, who, key).await,
            Err(refusal) => Ok(Decision::refuse(Who::of(certificate), refusal)),
        }
    }

    async fn give(&self, authority: Arc<Authority>, who: Who, key: HeldKey) -> Decided {
        let until = SystemTime::now() + LIFE;
        let whose = who.clone();
        let certificate = blocking(move || authority.issue(&whose, &key, until)).await?.to_vec();
        self.list(&Issued { who: who.clone(), expires: seconds(until) });
        Ok(Decision { who: Some(who), answer: Answer::Certificate { certificate } })
    }

    /// Has the control group told of a certificate that was given, with the next look: who waits for it does not wait for a majority.
    pub(super) fn list(&self, issued: &Issued) {
        if self.agreed().is_some_and(|agreed| !agreed.has(issued)) {
            self.is_listed.store(false, Ordering::Release);
        }
    }

    async fn tell_revoked(&self, certificate: &CertificateDer<'_>) -> Decided {
        let who = match self.member(certificate, SystemTime::now()) {
            Ok(who) => who,
            Err(refusal) => return Ok(Decision::refuse(Who::of(certificate), refusal)),
        };
        let revoked = self.revoked.clone();
        let names = blocking(move || revoked.all()).await?;
        let nodes = self.agreed().map(Agreed::nodes).unwrap_or_default();
        Ok(Decision { who: Some(who), answer: Answer::Revoked { names, nodes } })
    }

    /// The authority's key, for a node whose certificate says that it may hold it: an administrator's token made it so.
    fn hand_over(&self, authority: &Authority, certificate: &CertificateDer<'_>) -> Decision {
        match self.member(certificate, SystemTime::now()) {
            Ok(who) if who.role == Role::Control => {
                tracing::warn!(name = %who.name, "the authority's key was handed to a control node");
                Decision { who: Some(who), answer: Answer::Authority { key: authority.key() } }
            }
            Ok(who) => Decision::refuse(Some(who), Refusal::Role),
            Err(refusal) => Decision::refuse(Who::of(certificate), refusal),
        }
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
}
