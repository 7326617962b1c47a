//! A pane that takes rows while a snapshot of it is being written.
//!
//! At a barrier a large pane is frozen: the snapshot shares it, to be written by a thread that may take its time, and rows that come
//! meanwhile go to a pane beside it. Once it is written, it takes rows again, and what lies beside is added to it, some groups between
//! batches. That is copy on write by the key instead of by the page: a batch waits for neither the encoding nor a copy, and all stays in
//! typed columns. States merge to the last bit as rows would have been added, but where a row may be refused for what its group holds:
//! such panes are written at the barrier.

use std::sync::Arc;

use super::pane::Pane;
use crate::error::RunResult;

/// Fewer keys are written at the barrier: sooner done than shared.
const LEAST_FROZEN: usize = 32;

pub struct HeldPane {
    /// Takes rows.
    pane: Pane,
    rest: Rest,
}

enum Rest {
    Nothing,
    /// A snapshot reads it.
    Frozen(Arc<Pane>),
    /// What came meanwhile; so many of its groups have been added.
    Beside(Pane, usize),
}

impl HeldPane {
    pub const fn new(pane: Pane) -> HeldPane {
        HeldPane { pane, rest: Rest::Nothing }
    }

    /// The pane that takes rows.
    pub const fn taking(&mut self) -> &mut Pane {
        &mut self.pane
    }

    /// All panes that it is made of. A group may be in two of them.
    pub fn panes(&self) -> impl Iterator<Item = &Pane> {
        let rest = match &self.rest {
            Rest::Nothing => None,
            Rest::Frozen(frozen) => Some(frozen.as_ref()),
            Rest::Beside(beside, _) => Some(beside),
        };
        std::iter::once(&self.pane).chain(rest)
    }

    pub fn bytes(&self) -> usize {
        self.panes().map(Pane::bytes).sum()
    }

    /// Freezes the pane for a snapshot to share, if that is worth it and may be; `empty` takes rows then.
    pub fn freeze(&mut self, empty: impl FnOnce() -> Pane) -> Option<Arc<Pane>> {
        if self.pane.len() < LEAST_FROZEN || self.pane.may_refuse() || !matches!(self.rest, Rest::Nothing) {
            return None;
        }
        let frozen = Arc::new(std::mem::replace(&mut self.pane, empty()));
        self.rest = Rest::Frozen(frozen.clone());
        Some(frozen)
    }

    /// What a snapshot reads still.
    pub const fn frozen(&self) -> Option<&Arc<Pane>> {
        match &self.rest {
            Rest::Frozen(frozen) => Some(frozen),
            Rest::Nothing | Rest::Beside(..) => None,
        }
    }

    /// The pane that takes rows.
    pub const fn taken(&self) -> &Pane {
        &self.pane
    }

    /// Brings the parts together as far as that goes, `groups` of them at most. Says how many it was, and whether it is one pane now.
    pub fn settle(&mut self, groups: usize) -> RunResult<(usize, bool)> {
        self.thaw();
        let Rest::Beside(beside, added) = &mut self.rest else { return Ok((0, matches!(self.rest, Rest::Nothing))) };
        let end = beside.len().min(added.saturating_add(groups));
        let worked = end - *added;
        self.pane.merge_some(beside, *added..end)?;
        *added = end;
        if end == beside.len() {
            self.rest = Rest::Nothing;
        }
        Ok((worked, matches!(self.rest, Rest::Nothing)))
    }

    /// Takes the frozen pane back, if it was written.
    fn thaw(&mut self) {
        if !matches!(&self.rest, Rest::Frozen(frozen) if Arc::strong_count(frozen) == 1) {
            return;
        }
        if let Rest::Frozen(frozen) = std::mem::replace(&mut self.rest, Rest::Nothing) {
            match Arc::try_unwrap(frozen) {
                Ok(pane) => self.rest = Rest::Beside(std::mem::replace(&mut self.pane, pane), 0),
                Err(frozen) => self.rest = Rest::Frozen(frozen),
            }
        }
    }

    /// Brings all parts together but the one that a snapshot reads still.
    pub fn settled(mut self) -> RunResult<HeldPane> {
        self.settle(usize::MAX)?;
        Ok(self)
    }

    /// The pane, if it is one.
    pub fn into_pane(self) -> Result<Pane, HeldPane> {
        if matches!(self.rest, Rest::Nothing) { Ok(self.pane) } else { Err(self) }
    }

    /// Adds to `into` up to `limit` groups from the `from`th on, of all its panes. Says how many, and whether these were the last. Nothing
    /// is added meanwhile, and it was [settled](HeldPane::settled) before.
    pub fn add_to(&self, into: &mut Pane, from: usize, limit: usize) -> RunResult<(usize, bool)> {
        let (mut begin, mut left) = (from, limit);
        for pane in self.panes() {
            if begin < pane.len() {
                let end = pane.len().min(begin.saturating_add(left));
                into.merge_some(pane, begin..end)?;
                left -= end - begin;
                if end < pane.len() {
                    return Ok((limit - left, false));
                }
            }
            begin = begin.saturating_sub(pane.len());
        }
        Ok((limit - left, true))
    }
}
