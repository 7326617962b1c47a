//! A node of a control group: how it comes into one, what it answers, and what it tells of it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use millrace_control::control::{Answer, Command, Generation, Member};
use millrace_control::time::sleep;
use millrace_control::{Ask, ControlError, ControlGroup, GroupLook, Peer, Question, Settings};
use millrace_model::Diagnostic;
use millrace_wire::cluster::{ControlLook, ControlNode as NodeLook};
use millrace_wire::codes;

use super::deployments::deployments;
use super::leading::Leading;
use super::ways::Ways;
use crate::replica::Replicas;
use crate::socket::Credential;
use crate::trust::{Role, Who};

/// The log's folder within a node's data.
const FOLDER: &str = "control";

/// From one try to be let in to the next.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// From one look at the group to the next, to tell of changes.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Something that whoever watches a node's terminal wants to know.
#[derive(Debug)]
pub enum Happened {
    /// The group looks otherwise: who is of it, who votes, who leads.
    Changed(ControlLook),
    /// It is of no group yet, or cannot be heard there.
    Trouble(ControlError),
}

/// A node's part in its control group. Clones are the same.
#[derive(Clone)]
pub struct ControlNode {
    group: ControlGroup,
    own: Peer,
    slots: u32,
    ways: Arc<Ways>,
    replicas: Arc<Replicas>,
    leading: Leading,
    takeover_after: Duration,
    /// Set once the node leaves: its runs end then, and nobody wants them to.
    leaves: Arc<AtomicBool>,
}

impl ControlNode {
    /// Opens the log within a node's data. `own` is how the others reach it, `slots` of how many tasks of each operator it takes part.
    pub async fn open(data: &Path, ways: Arc<Ways>, own: Peer, slots: u32, settings: Settings) -> Result<ControlNode, ControlError> {
        // Shorter, and a busy machine would do.
        let takeover_after = settings.takeover_after.max(Duration::from_millis(500));
        let group = ControlGroup::open(&data.join(FOLDER), ways.clone(), settings).await?;
        Ok(ControlNode::with(group, own, slots, ways, Replicas::within(data), takeover_after))
    }

    /// The part of a node whose log is open, and that neither has sessions with the others nor holds their epochs.
    pub fn of(group: ControlGroup, own: Peer, slots: u32) -> ControlNode {
        let nobody = Ways::new(Arc::new(|_: &Peer| Credential::Token(String::new())));
        ControlNode::with(group, own, slots, Arc::new(nobody), Replicas::within(Path::new("")), Settings::default().takeover_after)
    }

    fn with(group: ControlGroup, own: Peer, slots: u32, ways: Arc<Ways>, replicas: Replicas, takeover_after: Duration) -> ControlNode {
        let (leading, leaves) = (Leading::default(), Arc::default());
        ControlNode { group, own, slots, ways, replicas: Arc::new(replicas), leading, takeover_after, leaves }
    }

    /// The sessions with the others.
    pub fn ways(&self) -> &Ways {
        &self.ways
    }

    /// What this node holds of deployments' state.
    pub const fn replicas(&self) -> &Arc<Replicas> {
        &self.replicas
    }

    /// The deployments that this process leads, or is about to.
    pub const fn leading(&self) -> &Leading {
        &self.leading
    }

    /// How long a node is silent before its runs are handed to another.
    pub const fn takeover_after(&self) -> Duration {
        self.takeover_after
    }

    /// The nodes that have said that they are there, as the others reach them.
    pub fn peers(&self) -> Vec<Peer> {
        let peer = |(name, member): (&str, &Member)| Peer { name: name.to_owned(), address: member.address.clone() };
        self.group.read(|agreed| agreed.members().iter().filter(|(_, member)| member.is_control).map(peer).collect())
    }

    /// One of them, by its name.
    pub fn peer(&self, name: &str) -> Option<Peer> {
        let address = self.group.read(|agreed| agreed.members().get(name).map(|member| member.address.clone()))?;
        Some(Peer { name: name.to_owned(), address })
    }

    /// The node is about to end: what it leads is gone on with elsewhere, or when it is back.
    pub fn leave(&self) {
        self.leaves.store(true, Ordering::Release);
    }

    pub fn leaves(&self) -> bool {
        self.leaves.load(Ordering::Acquire)
    }

    /// Has the group do without a node that is gone for good: another one votes in its place, if one follows.
    ///
    /// # Errors
    /// If the node is there, or the group would lose its majority.
    pub async fn expel(&self, name: &str) -> Result<(), ControlError> {
        let listed =
            self.group.read(|agreed| agreed.members().get(name).filter(|member| member.is_control).map(|member| member.generation));
        let is_of_group = self.group.look().nodes.iter().any(|node| node.peer.name == name);
        // Whoever asked before may not have come to the second step.
        if is_of_group || listed.is_none() {
            self.group.expel(name).await?;
        }
        if let Some(generation) = listed {
            self.group.write(Command::Leave { name: name.to_owned(), generation }).await?;
        }
        Ok(())
    }

    pub const fn group(&self) -> &ControlGroup {
        &self.group
    }

    /// Of this process, as the group counts them: each start has a greater one. 0 before it has said that it is there.
    pub fn incarnation(&self) -> u64 {
        self.group.read(|agreed| agreed.members().get(&self.own.name).map_or(0, |member| member.generation.0))
    }

    /// As the others know it.
    pub fn name(&self) -> &str {
        &self.own.name
    }

    /// Where the others reach it.
    pub fn address(&self) -> &str {
        &self.own.address
    }

    /// Comes into the group that the node at `join` is of, or begins one; says who and where it is, and tells of changes for as long as this is
    /// polled. One that is of a group already stays in it, whatever `join` says.
    pub async fn keep(&self, join: Option<&str>, told: impl Fn(Happened)) {
        let mut trouble = false;
        while let Err(error) = self.come(join).await {
            // Said once: it is tried again, and that is not worth a line each time.
            if !trouble {
                told(Happened::Trouble(error));
            }
            trouble = true;
            sleep(AGAIN_AFTER).await;
        }
        let mut before = ControlLook::default();
        loop {
            let look = self.look();
            if look.nodes != before.nodes {
                told(Happened::Changed(look.clone()));
                before = look;
            }
            sleep(LOOK_EVERY).await;
        }
    }

    async fn come(&self, join: Option<&str>) -> Result<(), ControlError> {
        if self.group.is_in_group().await? {
            self.group.announce(self.own.clone()).await?;
        } else if let Some(address) = join {
            // Who it is shows once it has led there.
            let via = Peer { name: String::new(), address: address.to_owned() };
            self.group.join(&via, self.own.clone()).await?;
        } else {
            self.group.found(self.own.clone()).await?;
        }
        self.enter().await
    }

    /// Says that this process has begun, as a member's next generation: nobody else has its folder, so that no other does.
    async fn enter(&self) -> Result<(), ControlError> {
        let known = |node: &ControlNode| {
            node.group.read(|control| control.members().get(&node.own.name).map_or(Generation(0), |member| member.generation))
        };
        let mut generation = known(self).next();
        loop {
            let command = Command::Join {
                name: self.own.name.clone(),
                generation,
                address: self.own.address.clone(),
                slots: self.slots,
                is_control: true,
            };
            match self.group.write(command).await? {
                Answer::Stale { generation: newest } => generation = newest.next(),
                Answer::Done { .. } | Answer::Already { .. } => return Ok(()),
                other => {
                    tracing::warn!(?other, "the control group does not list this node");
                    return Ok(());
                }
            }
        }
    }

    /// Answers another node. `caller` is who asks, by its certificate.
    pub(crate) async fn answer(&self, caller: Option<&Who>, question: serde_json::Value) -> Result<serde_json::Value, Diagnostic> {
        let unread = |error: serde_json::Error| {
            Diagnostic::error(codes::BAD_FRAME, format!("what was asked of the control group cannot be read: {error}"))
                .help("install the same release on both")
        };
        let question: Question = serde_json::from_value(question).map_err(unread)?;
        // Raft itself takes what any node says: one that was away does not know who has come since. Who comes does so in its own name.
        if let (Ask::Admit { peer, .. }, Some(caller)) = (&question.ask, caller)
            && peer.name != caller.name.as_str()
        {
            return Err(Diagnostic::error(codes::ROLE, format!("{} wants to join the control group as {}", caller.name, peer.name)));
        }
        if let (Ask::Write(command), Some(caller)) = (&question.ask, caller)
            && command.is_of_admissions()
            && caller.role != Role::Control
        {
            let message =
                format!("{} has the role `{}`, and who is let in is said by nodes of the role `control`", caller.name, caller.role);
            return Err(Diagnostic::error(codes::ROLE, message).help("ask a control node that joined with a token of the role `control`"));
        }
        serde_json::to_value(self.group.answer(question).await).map_err(unread)
    }

    pub fn look(&self) -> ControlLook {
        ControlLook { deployments: self.group.read(deployments), ..shown(&self.group.look()) }
    }
}

fn shown(look: &GroupLook) -> ControlLook {
    let node = |node: &millrace_control::GroupNode| NodeLook {
        name: node.peer.name.clone(),
        address: node.peer.address.clone(),
        votes: node.votes,
        leads: look.leader == Some(node.id),
        is_asked: look.id == node.id,
    };
    ControlLook {
        term: look.term,
        has_majority: look.has_majority,
        survives: u32::try_from(look.survives).unwrap_or(u32::MAX),
        applied: look.applied,
        nodes: look.nodes.iter().map(node).collect(),
        deployments: Vec::new(),
    }
}
