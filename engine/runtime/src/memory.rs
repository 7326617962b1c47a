//! How much state operators may hold: the budget of a process, beyond which they put state on disk, and the quota of a pipeline, at which it fails.
//!
//! An operator that can put state on disk is given a [`SpillSpace`] ([`crate::operator::Operator::spill_to`]); all are held by the quota.
//!
//! Every operator of a task has a [`MemoryShare`], in which it says what it holds. Saying so costs an atomic addition; nobody waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use millrace_model::field::ByteSize;
use millrace_state::block::Blocks;

use crate::error::{RunError, RunResult};

/// What holds less than this part of what the process does need not go to disk.
const LEAST_SHARE: u64 = 1024;

/// What all pipelines of a process hold in memory.
#[derive(Debug)]
pub struct StateMemory {
    /// Beyond it operators that can put state on disk.
    budget_bytes: u64,
    /// Beyond it whoever wants more fails, before the machine does.
    limit_bytes: u64,
    held: AtomicU64,
}

impl Default for StateMemory {
    /// No bounds.
    fn default() -> Self {
        StateMemory { budget_bytes: u64::MAX, limit_bytes: u64::MAX, held: AtomicU64::new(0) }
    }
}

impl StateMemory {
    /// Of a machine with this much memory. The budget is half of it unless it is told; state that cannot go to disk may take three quarters.
    pub fn of_machine(machine_bytes: u64, budget_bytes: Option<u64>) -> StateMemory {
        let budget_bytes = budget_bytes.unwrap_or(machine_bytes / 2);
        StateMemory { budget_bytes, limit_bytes: (machine_bytes / 4 * 3).max(budget_bytes), held: AtomicU64::new(0) }
    }

    pub fn held_bytes(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }
}

/// What one pipeline holds, in memory and on disk.
#[derive(Debug)]
pub struct PipelineState {
    memory: Arc<StateMemory>,
    /// The pipeline's `max_state`.
    quota_bytes: Option<u64>,
    held: AtomicU64,
}

impl PipelineState {
    pub fn new(memory: Arc<StateMemory>, quota_bytes: Option<u64>) -> Arc<PipelineState> {
        Arc::new(PipelineState { memory, quota_bytes, held: AtomicU64::new(0) })
    }

    pub fn share(self: &Arc<Self>) -> MemoryShare {
        MemoryShare { pipeline: self.clone(), in_memory: AtomicU64::new(0), on_disk: AtomicU64::new(0) }
    }
}

/// What one operator of one task holds. Given back when it is dropped.
#[derive(Debug)]
pub struct MemoryShare {
    pipeline: Arc<PipelineState>,
    in_memory: AtomicU64,
    on_disk: AtomicU64,
}

/// Replaces a part of a sum.
fn replace(part: &AtomicU64, sums: &[&AtomicU64], bytes: u64) {
    let before = part.swap(bytes, Ordering::Relaxed);
    for sum in sums {
        // Wrapping, so that more and less are one operation.
        sum.fetch_add(bytes.wrapping_sub(before), Ordering::Relaxed);
    }
}

impl MemoryShare {
    /// Says what is held now.
    pub fn hold(&self, in_memory: u64, on_disk: u64) {
        replace(&self.in_memory, &[&self.pipeline.memory.held, &self.pipeline.held], in_memory);
        replace(&self.on_disk, &[&self.pipeline.held], on_disk);
    }

    pub fn on_disk(&self) -> u64 {
        self.on_disk.load(Ordering::Relaxed)
    }

    /// Whether the process holds more than its budget: what can go to disk should.
    pub fn is_over_budget(&self) -> bool {
        self.pipeline.memory.held_bytes() > self.pipeline.memory.budget_bytes
    }

    /// Whether the process could hold so much more and stay clear of its budget: what is on disk may come back.
    pub fn has_room(&self, bytes: u64) -> bool {
        let memory = &self.pipeline.memory;
        memory.held_bytes().saturating_add(bytes) <= memory.budget_bytes / 8 * 7
    }

    /// Whether so much is enough of what the process holds that putting it on disk is worth its while.
    pub fn is_worth(&self, bytes: u64) -> bool {
        bytes > 0 && bytes >= self.pipeline.memory.held_bytes() / LEAST_SHARE
    }

    /// What the process may hold.
    pub fn budget_bytes(&self) -> u64 {
        self.pipeline.memory.budget_bytes
    }

    /// # Errors
    /// If the pipeline holds more than its quota, or the process more than the machine can bear.
    pub fn check(&self) -> RunResult<()> {
        let held = self.pipeline.held.load(Ordering::Relaxed);
        if let Some(quota) = self.pipeline.quota_bytes.filter(|quota| held > *quota) {
            let (held, quota) = (in_words(held), ByteSize { bytes: quota });
            let message = format!("the pipeline's state has grown to {held}, beyond its `max_state` of {quota}");
            return Err(RunError::Limit {
                message: format!("{message}: raise it, or let windows close sooner, keys be fewer, or a `ttl` forget"),
            });
        }
        let (held, limit) = (self.pipeline.memory.held_bytes(), self.pipeline.memory.limit_bytes);
        if held > limit {
            let (held, limit) = (in_words(held), in_words(limit));
            let message = format!("state takes {held} of memory, and this machine can bear {limit}");
            return Err(RunError::Limit { message: format!("{message}: let windows close sooner, or run where there is more") });
        }
        Ok(())
    }
}

impl Drop for MemoryShare {
    fn drop(&mut self) {
        self.hold(0, 0);
    }
}

fn in_words(bytes: u64) -> String {
    match bytes {
        bytes if bytes >= 1 << 30 => format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)),
        bytes => format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
    }
}

/// Where an operator puts state that does not fit in memory.
#[derive(Debug, Clone)]
pub struct SpillSpace {
    pub share: Arc<MemoryShare>,
    pub blocks: Arc<Blocks>,
    /// Into how many the pipeline's keys are cut: pieces are by key group.
    pub key_groups: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_summed_and_given_back() {
        let memory = Arc::new(StateMemory::of_machine(1000, Some(100)));
        let pipeline = PipelineState::new(memory.clone(), Some(500));
        let (one, other) = (pipeline.share(), pipeline.share());
        one.hold(80, 0);
        other.hold(20, 400);
        assert!(!one.is_over_budget());
        one.check().unwrap();
        one.hold(81, 0);
        assert!(other.is_over_budget());
        assert!(other.check().unwrap_err().to_string().contains("max_state"), "memory and disk count for the quota");
        drop(other);
        assert_eq!((memory.held_bytes(), one.is_over_budget()), (81, false));
        one.check().unwrap();
        one.hold(751, 0);
        let unlimited = PipelineState::new(memory, None).share();
        assert!(unlimited.check().unwrap_err().to_string().contains("this machine can bear"));
    }
}
