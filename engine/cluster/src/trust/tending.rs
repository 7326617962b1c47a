//! What a node sees to all the while: that its certificate does not end, that it knows whose are revoked, that the control group knows what lies in its
//! folder, and that it holds the authority's key if it may.

use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use tokio::time::sleep;

use super::agreed::Agreed;
use super::authority::{Authority, HeldKey, Issued, LIFE, RENEW_BEFORE};
use super::enrol::{Heard, Source, ask_authority, ask_revoked, renew_at};
use super::error::TrustError;
use super::files;
use super::guard::{Current, Guard, blocking};
use super::identity::Identity;
use super::roles::Role;
use super::tokens::seconds;
use crate::error::ClientError;

/// From one look at what the control group is to know to the next.
const AGREE_EVERY: Duration = Duration::from_secs(1);
/// So many of them later the rest is looked at: how soon a node without a group hears of a certificate that was revoked.
const FRESH_EVERY: u32 = 10;

/// Nodes that are remembered, more than any group has.
const MOST_NODES: usize = 32;

/// What is said once, not as often as it is tried.
#[derive(Debug, Default)]
struct Trouble(bool);

impl Trouble {
    fn tell(&mut self, outcome: Result<(), ClientError>, what: &str) {
        match outcome {
            Ok(()) => self.0 = false,
            Err(error) if !self.0 => {
                self.0 = true;
                tracing::warn!(%error, "{what}");
            }
            Err(_) => {}
        }
    }
}

fn nodes_path(folder: &Path) -> PathBuf {
    folder.join("nodes.json")
}

/// The control nodes that a node was told of when it last ran.
pub fn nodes_in(folder: &Path) -> Result<Vec<Source>, TrustError> {
    let path = nodes_path(folder);
    let Some(bytes) = files::read(&path)? else { return Ok(Vec::new()) };
    serde_json::from_slice(&bytes).map_err(|error| TrustError::broken(&path, error))
}

impl Guard {
    /// Sees to all of this for as long as it is polled. `leader`: `HOST:PORT` of the node that made this one a member; none at the cluster's first.
    pub async fn tend(&self, leader: Option<&str>) {
        let (mut sharing, mut fetching, mut ageing) = (Trouble::default(), Trouble::default(), Trouble::default());
        let mut looks = 0u32;
        loop {
            if let Some(agreed) = self.agreed() {
                fetching.tell(self.fetch_authority(leader).await, "this node does not hold the authority's key yet");
                let agreeing = self.agree(agreed).await.map_err(ClientError::from);
                sharing.tell(agreeing, "the control group does not know yet what lies in this node's folder");
            }
            if looks.is_multiple_of(FRESH_EVERY) {
                ageing.tell(self.keep_fresh(leader).await, "the list of revoked certificates is not fresh");
            }
            looks = looks.wrapping_add(1);
            sleep(AGREE_EVERY).await;
        }
    }

    /// Renews the node's certificate if its end comes near, and asks whom the cluster has revoked: the node at `leader`, and if that does not answer any
    /// other control node. Who holds the authority's key renews its own, and who is of the control group hears of revocations by that.
    pub async fn keep_fresh(&self, leader: Option<&str>) -> Result<(), ClientError> {
        let identity = self.identity();
        let nodes = self.nodes(leader, &identity);
        let heard = self.hear_revoked(&identity, &nodes).await;
        if !identity.is_valid_at(SystemTime::now() + RENEW_BEFORE) {
            self.renew_own(&identity, &nodes).await?;
        }
        heard
    }

    async fn hear_revoked(&self, identity: &Identity, nodes: &[Source]) -> Result<(), ClientError> {
        if self.agreed().is_some_and(|agreed| !agreed.nodes().is_empty()) {
            return Ok(());
        }
        let mut outcome = Ok(());
        for node in nodes {
            match ask_revoked(node, identity).await {
                Ok(heard) => return self.take_heard(heard).await.map_err(ClientError::from),
                Err(error) => outcome = Err(error),
            }
        }
        outcome
    }

    /// Whom to ask: who made this node a member first.
    fn nodes(&self, leader: Option<&str>, identity: &Identity) -> Vec<Source> {
        let mut nodes: Vec<Source> = leader.map(|leader| Source::of(leader, identity)).into_iter().collect();
        let known = match self.agreed() {
            Some(agreed) => agreed.nodes(),
            None => self.nodes.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        };
        for node in known {
            if node.name.as_ref() != Some(&identity.who.name) && nodes.iter().all(|other| other.authority != node.authority) {
                nodes.push(node);
            }
        }
        nodes
    }

    async fn renew_own(&self, identity: &Identity, nodes: &[Source]) -> Result<(), ClientError> {
        let renewed = match self.authority() {
            Some(authority) => {
                let (key, until) = (HeldKey::of_pair(&self.keyring.key()?), SystemTime::now() + LIFE);
                let certificate = authority.issue(&identity.who, &key, until)?;
                self.list(&Issued { who: identity.who.clone(), expires: seconds(until) });
                self.keyring.keep(&certificate, authority.certificate())?
            }
            None => match self.renewed_by(identity, nodes).await? {
                Some(renewed) => renewed,
                None => return Ok(()),
            },
        };
        let renewed = Current::new(renewed, &self.revoked)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = renewed;
        tracing::info!(name = %identity.who.name, "the node's certificate was renewed");
        Ok(())
    }

    /// By the first of the others that can. None: there is nobody to ask.
    async fn renewed_by(&self, identity: &Identity, nodes: &[Source]) -> Result<Option<Identity>, ClientError> {
        let mut outcome = Ok(None);
        for node in nodes {
            match renew_at(node, identity, &self.keyring).await {
                Ok(renewed) => return Ok(Some(renewed)),
                // What the first one says is what a person is to hear of.
                Err(error) if outcome.is_ok() => outcome = Err(error),
                Err(_) => {}
            }
        }
        outcome
    }

    /// Keeps what another node has told.
    async fn take_heard(&self, heard: Heard) -> Result<(), TrustError> {
        let Heard { names, mut nodes } = heard;
        nodes.truncate(MOST_NODES);
        let (revoked, path) = (self.revoked.clone(), nodes_path(self.keyring.folder()));
        let is_news = !nodes.is_empty() && *self.nodes.lock().unwrap_or_else(PoisonError::into_inner) != nodes;
        let kept = nodes.clone();
        blocking(move || {
            for name in names.iter().filter(|name| !revoked.is_kept(name)) {
                revoked.add(name)?;
            }
            if is_news {
                let bytes = serde_json::to_vec(&kept).map_err(|error| TrustError::broken(&path, error))?;
                files::write(&path, &bytes)?;
            }
            Ok(())
        })
        .await?;
        if is_news {
            *self.nodes.lock().unwrap_or_else(PoisonError::into_inner) = nodes;
        }
        Ok(())
    }

    /// Has the group know what lies in this node's folder, and the folder hold what the group has agreed on.
    async fn agree(&self, agreed: &Agreed) -> Result<(), TrustError> {
        // Each of them whatever becomes of the others: a token that cannot be entered keeps nobody's revocation back.
        let revoked = self.agree_on_revoked(agreed).await;
        let tokens = self.agree_on_tokens(agreed).await;
        let certificates = self.agree_on_certificates(agreed).await;
        revoked.and(tokens).and(certificates)
    }

    async fn agree_on_tokens(&self, agreed: &Agreed) -> Result<(), TrustError> {
        let (Some(authority), tokens) = (self.authority(), self.tokens.clone()) else { return Ok(()) };
        for (id, invitation) in blocking(move || tokens.to_enter()).await? {
            // One that has expired may have been used, and forgotten by the group.
            if invitation.expires > seconds(SystemTime::now()) {
                agreed.invite(&id, &invitation, &authority).await?;
            }
            self.tokens.entered(&id)?;
        }
        Ok(())
    }

    async fn agree_on_revoked(&self, agreed: &Agreed) -> Result<(), TrustError> {
        let (revoked, known) = (self.revoked.clone(), agreed.revoked());
        let kept = blocking(move || {
            for name in known.iter().filter(|name| !revoked.is_kept(name)) {
                revoked.add(name)?;
            }
            revoked.kept()
        });
        for name in kept.await?.iter().filter(|name| !agreed.is_revoked(name)) {
            agreed.revoke(name).await?;
        }
        Ok(())
    }

    /// Once for each process, and again where the group could not be told of one: there may be many.
    async fn agree_on_certificates(&self, agreed: &Agreed) -> Result<(), TrustError> {
        let Some(authority) = self.authority().filter(|_| !self.is_listed.swap(true, Ordering::AcqRel)) else { return Ok(()) };
        let listing = async {
            for issued in blocking(move || authority.issued()).await?.iter().filter(|issued| !agreed.has(issued)) {
                agreed.certify(issued).await?;
            }
            Ok::<(), TrustError>(())
        };
        let listed = listing.await;
        if listed.is_err() {
            self.is_listed.store(false, Ordering::Release);
        }
        listed
    }

    /// Takes over the authority's key from another node, if this one may hold it and does not.
    async fn fetch_authority(&self, leader: Option<&str>) -> Result<(), ClientError> {
        let identity = self.identity();
        if self.authority().is_some() || identity.who.role != Role::Control {
            return Ok(());
        }
        let mut outcome = Ok(());
        for node in self.nodes(leader, &identity) {
            match ask_authority(&node, &identity).await {
                Ok(key) => {
                    let (folder, certificate) = (self.keyring.folder().to_owned(), identity.authority.clone());
                    self.take_authority(blocking(move || Authority::keep(&folder, &certificate, &key)).await?);
                    tracing::info!(from = node.authority, "this node holds the authority's key from now on");
                    return Ok(());
                }
                Err(error) => outcome = Err(error),
            }
        }
        outcome
    }
}
