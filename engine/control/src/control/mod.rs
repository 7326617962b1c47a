//! What a control group agrees on: members, deployments, who leads each one's run, and how far that has come.
//!
//! A pure state machine: [`Control::apply`] takes a command and gives an answer, reads no clock and touches no disk, so that every voter that
//! applies the same log holds the same. Nothing here is about consensus; [`crate::group`] sees to the order.
//!
//! *Generations fence.* A deployment's generation grows with each change of who runs it or what it runs; a member's, its incarnation, with each
//! start of its process. Every command carries the one that its sender knows, and one that is not the newest changes nothing
//! ([`Answer::Stale`]): so whoever was deposed, and does not know it yet, can complete nothing any more.
//!
//! *A deployment outlives who leads it* where its source says where it is in place ([`deployments::Place`]): [`takeover`] decides, as pure as the rest, what
//! whoever leads the group is to enter when a node is gone.
//!
//! *Admissions* ([`admissions`]) have no generations: a token serves once, and a revocation is for ever.
//!
//! *Commands may come twice*: who got no answer asks again. The second time is answered [`Answer::Already`], which is as good as the first.

mod admissions;
mod command;
mod deployments;
mod handing;
mod members;
mod rank;
mod takeover;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use admissions::Enrolment;
pub use admissions::{Admissions, Certified, Invitation, Use};
pub use command::{Answer, Claim, Command, Desired, EpochId, Generation, Refusal};
pub use deployments::{Deployment, Deployments, Handed, Led, Place, Source};
pub use members::{Member, Members};
pub use rank::ranked;
pub use takeover::{Reach, next_steps};

/// Longest name of a member or a deployment, and longest address, in bytes.
pub const MAX_NAME_BYTES: usize = 512;

/// All that is agreed on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Control {
    members: Members,
    deployments: Deployments,
    /// Absent in snapshots of the release before.
    #[serde(default, skip_serializing_if = "Admissions::is_empty")]
    admissions: Admissions,
}

impl Control {
    pub fn apply(&mut self, command: Command) -> Answer {
        let answer = match command {
            Command::Join { name, generation, address, slots, is_control } => {
                self.members.join(name, Member { generation, address, slots, is_control })
            }
            Command::Leave { name, generation } => self.members.leave(&name, generation),
            Command::Deploy { name, generation, source } => self.deployments.deploy(name, generation, source),
            Command::Desire { name, generation, desired } => self.deployments.desire(&name, generation, desired),
            Command::Remove { name, generation } => self.deployments.remove(&name, generation),
            Command::Lead { name, generation, claim } => self.deployments.lead(&name, generation, claim),
            Command::Complete { name, generation, epoch, holders } => self.deployments.complete(&name, generation, epoch, holders),
            Command::Held { name, generation, epoch, holders } => self.deployments.held(&name, generation, epoch, holders),
            Command::Hand { name, generation, to, why } => self.deployments.hand(&name, generation, to, why),
            Command::Decline { name, generation, node, why } => self.deployments.decline(&name, generation, node, why),
            Command::Wait { name, generation, why } => self.deployments.wait(&name, generation, why),
            Command::Revise { name, generation, source } => self.deployments.revise(&name, generation, source),
            Command::Commit { name, generation, epoch } => self.deployments.commit(&name, generation, epoch),
            Command::Invite { token, role, hash, expires, seal, now } => {
                self.admissions.invite(token, Invitation { role, hash, expires, seal, used: None }, now)
            }
            Command::Enrol { token, hash, name, nonce, expires, now } => {
                self.admissions.enrol(Enrolment { token, hash, name, nonce, expires, now })
            }
            Command::Certify { name, role, expires, now } => self.admissions.certify(name, Certified { role, expires }, now),
            Command::Revoke { name } => self.admissions.revoke(name),
        };
        answer.unwrap_or_else(|answer| answer)
    }

    pub const fn members(&self) -> &Members {
        &self.members
    }

    pub const fn deployments(&self) -> &Deployments {
        &self.deployments
    }

    pub const fn admissions(&self) -> &Admissions {
        &self.admissions
    }
}

/// Names are shown and compared, and nothing else: any short text that is not empty.
fn check_name(name: &str) -> Result<(), Answer> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES { Err(Answer::Refused { why: Refusal::TooLong }) } else { Ok(()) }
}

fn check_names(names: &BTreeSet<String>) -> Result<(), Answer> {
    if names.len() > members::MAX_MEMBERS {
        return Err(Answer::Refused { why: Refusal::Full });
    }
    names.iter().try_for_each(|name| check_name(name))
}
