//! Where a run's epochs are entered beside their manifests: the log of a control group, which fences.

use async_trait::async_trait;
use millrace_state::checkpoint::RunId;
use millrace_wire::figures::RunState;

/// Whoever led the run before does not any more: another process does, or the entries contradict what it knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fenced {
    /// Who leads it now, in words.
    pub why: String,
}

/// The entries of one generation of a run. An epoch is complete once its manifest is there *and* it is entered; only then sinks commit it.
#[async_trait]
pub trait Ledger: Send + Sync + 'static {
    /// Enters that an epoch is complete. Waits for as long as nothing can be entered; dropping the future gives that up. Entering the same epoch again
    /// is no error: who goes on from it does.
    ///
    /// # Errors
    /// If this generation may enter nothing any more.
    async fn complete(&self, run: RunId, epoch: u64) -> Result<(), Fenced>;

    /// Enters that all sinks have committed an epoch, if that can be entered now.
    async fn committed(&self, run: RunId, epoch: u64);

    /// Enters that the run goes back to an epoch before those that were entered, and gives up what came after it. Waits as [`Ledger::complete`] does.
    ///
    /// # Errors
    /// If this generation may enter nothing any more.
    async fn rewind(&self) -> Result<(), Fenced>;

    /// The run has come to its end; `why` it failed, in words. Waits as [`Ledger::complete`] does where somebody would begin it again.
    async fn ended(&self, state: RunState, why: Option<String>);
}
