//! The processes that take part, each as it last said of itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::command::{Answer, Generation, Refusal};
use super::{MAX_NAME_BYTES, check_name};

/// Members at once.
pub const MAX_MEMBERS: usize = 1_000;

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its incarnation.
    pub generation: Generation,
    /// Where it listens.
    pub address: String,
    /// Of how many tasks of each operator it takes part.
    pub slots: u32,
    /// Whether it is of the control group.
    pub is_control: bool,
}

/// All of them, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Members(BTreeMap<String, Member>);

impl Members {
    pub fn get(&self, name: &str) -> Option<&Member> {
        self.0.get(name)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Member)> {
        self.0.iter().map(|(name, member)| (name.as_str(), member))
    }

    pub(super) fn join(&mut self, name: String, member: Member) -> Result<Answer, Answer> {
        check_name(&name)?;
        if member.address.len() > MAX_NAME_BYTES {
            return Err(Answer::Refused { why: Refusal::TooLong });
        }
        let generation = member.generation;
        match self.0.get(&name) {
            Some(known) if *known == member => return Ok(Answer::Already { generation }),
            Some(known) if known.generation >= generation => return Err(Answer::Stale { generation: known.generation }),
            None if generation == Generation(0) => return Err(Answer::Stale { generation }),
            None if self.0.len() >= MAX_MEMBERS => return Err(Answer::Refused { why: Refusal::Full }),
            _ => {}
        }
        self.0.insert(name, member);
        Ok(Answer::Done { generation })
    }

    /// A process that is gone: whoever came after it under its name stays.
    pub(super) fn leave(&mut self, name: &str, generation: Generation) -> Result<Answer, Answer> {
        let known = self.0.get(name).ok_or(Answer::Unknown)?.generation;
        if known != generation {
            return Err(Answer::Stale { generation: known });
        }
        self.0.remove(name);
        Ok(Answer::Done { generation })
    }
}
