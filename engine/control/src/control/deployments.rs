//! Pipelines that are to run: what each is, who leads its run, and how far that has come.

use std::collections::{BTreeMap, BTreeSet};

use millrace_state::planted::{self, Bug};
use serde::{Deserialize, Serialize};

use super::command::{Answer, Claim, Desired, EpochId, Generation, Refusal};
use super::{check_name, check_names};

/// Deployments at once.
pub const MAX_DEPLOYMENTS: usize = 1_000;

/// Longest text of a pipeline with its parameters, in bytes.
pub const MAX_SOURCE_BYTES: usize = 1 << 20;

/// What a deployment runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The pipeline file.
    pub text: String,
    /// What it is run with: `--set node.field=value`.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
    /// What it takes to begin it elsewhere; none of a run whose files are its node's alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

/// Where a run reads and writes, wherever it is led: a folder that every node which may lead it sees under one path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The project's root, absolute.
    pub root: String,
    /// The pipeline file's folder, absolute.
    pub folder: String,
    /// What is written in the project, to know it from another one under the same path.
    pub mark: String,
    /// The file's name.
    pub file: String,
    /// The environment that the text refers to.
    pub env: BTreeMap<String, String>,
    /// How it is run, as whoever runs it wrote that down.
    pub options: String,
    /// Of how many nodes each epoch is to be on the disks; 0 if it lies where all nodes reach it.
    pub replicas: u32,
}

impl Source {
    /// About how many it has.
    pub fn bytes(&self) -> usize {
        let pairs = |pairs: &BTreeMap<String, String>| pairs.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        let place = self.place.as_ref().map_or(0, |place| {
            let texts = [&place.root, &place.folder, &place.mark, &place.file, &place.options];
            texts.into_iter().map(String::len).sum::<usize>() + pairs(&place.env)
        });
        self.text.len() + pairs(&self.parameters) + place
    }
}

/// A pipeline that is to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    pub generation: Generation,
    /// Grows with each new source; 1 at first.
    pub version: u64,
    pub source: Source,
    pub desired: Desired,
    /// The run as the newest generation leads it; none if nobody has begun to.
    pub led: Option<Led>,
    /// The newest complete epoch of all generations, and the newest that sinks have committed. No run goes back below unless it may rewind.
    pub complete: Option<EpochId>,
    pub committed: Option<EpochId>,
    /// The nodes that hold the newest complete epoch on their disks.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub holders: BTreeSet<String>,
    /// Who is to lead it from here on, and has not begun to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handed: Option<Handed>,
    /// The nodes that could not lead it since it was last led, each with why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub declined: BTreeMap<String, String>,
    /// Why nobody leads it at the moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<String>,
}

/// That a run was handed to a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handed {
    pub to: String,
    /// What became of who led it before, in words.
    pub why: String,
}

/// One generation of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Led {
    pub by: Claim,
    /// What this generation has completed, and committed.
    pub complete: Option<EpochId>,
    pub committed: Option<EpochId>,
}

impl Deployment {
    const fn new(generation: Generation, source: Source) -> Deployment {
        Deployment {
            generation,
            version: 1,
            source,
            desired: Desired::Running,
            led: None,
            complete: None,
            committed: None,
            holders: BTreeSet::new(),
            handed: None,
            declined: BTreeMap::new(),
            waits: None,
        }
    }

    /// Whoever it was handed to, or why it waits, is of the past.
    pub(super) fn nobody_yet(&mut self) {
        (self.handed, self.waits) = (None, None);
    }

    /// Who is to lead it at the moment, or does.
    pub fn owner(&self) -> Option<&str> {
        let handed = self.handed.as_ref().map(|handed| handed.to.as_str());
        handed.or_else(|| self.led.as_ref().map(|led| led.by.node.as_str()))
    }
}

/// All of them, by name. A name that was removed keeps its generation, so that nothing of the one before is taken for the next one's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployments {
    known: BTreeMap<String, Deployment>,
    /// The newest generation of any that was removed.
    removed: Generation,
}

impl Deployments {
    pub fn get(&self, name: &str) -> Option<&Deployment> {
        self.known.get(name)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Deployment)> {
        self.known.iter().map(|(name, deployment)| (name.as_str(), deployment))
    }

    pub(super) fn deploy(&mut self, name: String, generation: Generation, source: Source) -> Result<Answer, Answer> {
        check_name(&name)?;
        if source.bytes() > MAX_SOURCE_BYTES {
            return Err(Answer::Refused { why: Refusal::TooLong });
        }
        let Some(known) = self.known.get_mut(&name) else { return self.make(name, generation, source) };
        let came_before = known.led.is_none() && generation.next() == known.generation;
        if known.source == source && (came_before || generation == known.generation) {
            return Ok(Answer::Already { generation: known.generation });
        }
        if known.generation != generation {
            return Err(Answer::Stale { generation: known.generation });
        }
        known.generation = generation.next();
        (known.version, known.source, known.led) = (known.version.saturating_add(1), source, None);
        known.nobody_yet();
        Ok(Answer::Done { generation: known.generation })
    }

    fn make(&mut self, name: String, generation: Generation, source: Source) -> Result<Answer, Answer> {
        if generation != Generation(0) {
            return Err(Answer::Unknown);
        }
        if self.known.len() >= MAX_DEPLOYMENTS && !self.forget_oldest_stopped() {
            return Err(Answer::Refused { why: Refusal::Full });
        }
        let generation = self.removed.next();
        self.known.insert(name, Deployment::new(generation, source));
        Ok(Answer::Done { generation })
    }

    /// What was stopped longest ago is the least missed: its state lies where it ran.
    fn forget_oldest_stopped(&mut self) -> bool {
        let stopped = self.known.iter().filter(|(_, known)| known.desired == Desired::Stopped);
        let Some(name) = stopped.min_by_key(|(_, known)| known.generation).map(|(name, _)| name.clone()) else { return false };
        let forgotten = self.known.remove(&name);
        self.removed = self.removed.max(forgotten.map_or(self.removed, |known| known.generation));
        true
    }

    pub(super) fn current(&mut self, name: &str, generation: Generation) -> Result<&mut Deployment, Answer> {
        let known = self.known.get_mut(name).ok_or(Answer::Unknown)?;
        if known.generation == generation || planted::has(Bug::FenceOff) {
            return Ok(known);
        }
        Err(Answer::Stale { generation: known.generation })
    }

    pub(super) fn desire(&mut self, name: &str, generation: Generation, desired: Desired) -> Result<Answer, Answer> {
        let known = self.current(name, generation)?;
        if known.desired == desired {
            return Ok(Answer::Already { generation });
        }
        known.desired = desired;
        Ok(Answer::Done { generation })
    }

    pub(super) fn remove(&mut self, name: &str, generation: Generation) -> Result<Answer, Answer> {
        self.current(name, generation)?;
        self.known.remove(name);
        self.removed = self.removed.max(generation);
        Ok(Answer::Done { generation })
    }

    pub(super) fn lead(&mut self, name: &str, generation: Generation, claim: Claim) -> Result<Answer, Answer> {
        check_name(&claim.node)?;
        let known = self.known.get_mut(name).ok_or(Answer::Unknown)?;
        if known.generation == generation.next() && known.led.as_ref().is_some_and(|led| led.by == claim) {
            return Ok(Answer::Already { generation: known.generation });
        }
        if known.generation != generation {
            return Err(Answer::Stale { generation: known.generation });
        }
        if claim.goes_on && known.desired == Desired::Stopped {
            return Err(Answer::Refused { why: Refusal::Stopped });
        }
        known.generation = generation.next();
        if claim.fresh {
            // Whoever takes it over before its first epoch begins with nothing too.
            (known.complete, known.committed) = (None, None);
            known.holders.clear();
        }
        known.led = Some(Led { by: claim, complete: None, committed: None });
        known.nobody_yet();
        Ok(Answer::Done { generation: known.generation })
    }

    pub(super) fn complete(
        &mut self,
        name: &str,
        generation: Generation,
        epoch: EpochId,
        mut holders: BTreeSet<String>,
    ) -> Result<Answer, Answer> {
        check_names(&holders)?;
        let known = self.current(name, generation)?;
        let led = known.led.as_mut().ok_or(Answer::Refused { why: Refusal::NotLed })?;
        if led.complete == Some(epoch) {
            return Ok(Answer::Already { generation });
        }
        let is_next = match led.complete {
            Some(newest) => newest.run == epoch.run && newest.number < epoch.number,
            // The first of a generation may be the one that the generation before ended with: its manifest is what the run goes on from.
            None => led.by.may_rewind || known.complete.is_none_or(|newest| newest.run != epoch.run || newest.number <= epoch.number),
        };
        if !is_next {
            return Err(Answer::OutOfOrder { newest: led.complete.or(known.complete) });
        }
        if known.complete == Some(epoch) {
            // Who went on from it took it from one of those.
            holders.append(&mut known.holders);
        } else {
            // It is led well. To go on from what another has come to shows nothing of that yet.
            known.declined.clear();
        }
        (led.complete, known.complete, known.holders) = (Some(epoch), Some(epoch), holders);
        // Whatever was thought of who leads it.
        known.waits = None;
        Ok(Answer::Done { generation })
    }

    pub(super) fn commit(&mut self, name: &str, generation: Generation, epoch: EpochId) -> Result<Answer, Answer> {
        let known = self.current(name, generation)?;
        let led = known.led.as_mut().ok_or(Answer::Refused { why: Refusal::NotLed })?;
        if led.committed == Some(epoch) {
            return Ok(Answer::Already { generation });
        }
        // One epoch is committed before the next is complete: so the newest one is the only one that can be meant.
        if led.complete != Some(epoch) {
            return Err(Answer::OutOfOrder { newest: led.complete });
        }
        (led.committed, known.committed) = (Some(epoch), Some(epoch));
        Ok(Answer::Done { generation })
    }
}
