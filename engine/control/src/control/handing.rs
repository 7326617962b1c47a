//! How a run passes from node to node, and who holds what it goes on from.

use std::collections::BTreeSet;

use super::command::{Answer, EpochId, Generation, Refusal};
use super::deployments::{Deployments, Handed, MAX_SOURCE_BYTES, Source};
use super::{check_name, check_names};

/// Longest reason that is kept, in bytes.
const MAX_WHY_BYTES: usize = 1_000;

/// Nodes whose reasons are kept.
const MOST_DECLINED: usize = 16;

impl Deployments {
    /// Who holds the newest complete epoch. Of another one it is nobody's business any more.
    pub(super) fn held(&mut self, name: &str, generation: Generation, epoch: EpochId, holders: BTreeSet<String>) -> Result<Answer, Answer> {
        check_names(&holders)?;
        let known = self.current(name, generation)?;
        if known.complete != Some(epoch) {
            return Err(Answer::OutOfOrder { newest: known.complete });
        }
        if known.holders == holders {
            return Ok(Answer::Already { generation });
        }
        known.holders = holders;
        Ok(Answer::Done { generation })
    }

    /// From here on another node is to lead the run: by a generation of its own, so that whoever led it before enters nothing more.
    pub(super) fn hand(&mut self, name: &str, generation: Generation, to: String, why: String) -> Result<Answer, Answer> {
        check_name(&to)?;
        let handed = Handed { to, why: short(why) };
        let known = self.get(name).ok_or(Answer::Unknown)?;
        if known.generation == generation.next() && known.handed.as_ref() == Some(&handed) {
            return Ok(Answer::Already { generation: known.generation });
        }
        let known = self.current(name, generation)?;
        if known.source.place.is_none() {
            return Err(Answer::Refused { why: Refusal::NotInPlace });
        }
        known.generation = generation.next();
        (known.led, known.waits) = (None, None);
        // It is asked again: what kept it may be mended.
        known.declined.remove(&handed.to);
        known.handed = Some(handed);
        Ok(Answer::Done { generation: known.generation })
    }

    pub(super) fn decline(&mut self, name: &str, generation: Generation, node: String, why: String) -> Result<Answer, Answer> {
        check_name(&node)?;
        let known = self.current(name, generation)?;
        if known.owner() != Some(&node) {
            return Ok(Answer::Already { generation });
        }
        (known.led, known.handed) = (None, None);
        if known.declined.len() >= MOST_DECLINED {
            known.declined.pop_first();
        }
        known.declined.insert(node, short(why));
        Ok(Answer::Done { generation })
    }

    pub(super) fn wait(&mut self, name: &str, generation: Generation, why: String) -> Result<Answer, Answer> {
        let known = self.current(name, generation)?;
        let why = short(why);
        if known.waits.as_ref() == Some(&why) {
            return Ok(Answer::Already { generation });
        }
        known.waits = Some(why);
        Ok(Answer::Done { generation })
    }

    /// The run is another pipeline from here on, in the generation that it is led in.
    pub(super) fn revise(&mut self, name: &str, generation: Generation, source: Source) -> Result<Answer, Answer> {
        if source.bytes() > MAX_SOURCE_BYTES {
            return Err(Answer::Refused { why: Refusal::TooLong });
        }
        let known = self.current(name, generation)?;
        if known.source == source {
            return Ok(Answer::Already { generation });
        }
        (known.version, known.source) = (known.version.saturating_add(1), source);
        Ok(Answer::Done { generation })
    }
}

/// A reason, no longer than is kept.
fn short(mut why: String) -> String {
    if why.len() > MAX_WHY_BYTES {
        let end = (0..=MAX_WHY_BYTES).rev().find(|at| why.is_char_boundary(*at)).unwrap_or(0);
        why.truncate(end);
    }
    why
}
