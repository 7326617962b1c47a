//! What a task does when a barrier has come.

use millrace_model::Timestamp;
use millrace_state::checkpoint::TaskId;
use millrace_state::planted::{self, Bug};
use millrace_state::snapshot::TaskPartWriter;
use millrace_state::step::reached;
use tokio::sync::{mpsc, watch};

use crate::arrow_bridge::encode_ipc;
use crate::chain::Chain;
use crate::connector::Committable;
use crate::error::{RunError, RunResult};
use crate::flow::InFlight;
use crate::operator::EndReason;
use crate::task::boundary::TaskReport;

/// Asks a source's task to send a barrier.
#[derive(Debug, Clone, Copy)]
pub struct BarrierCommand {
    pub epoch: u64,
    /// Set in the last epoch: the task ends behind the barrier.
    pub end: Option<EndReason>,
}

/// Barriers that may be under way to a source that does not take them: a few more than there ever are.
pub const BARRIERS_AHEAD: usize = 16;

/// How a task acknowledges: at once, or when all is known that belongs to the epoch.
#[derive(Debug)]
pub struct Acknowledger {
    pub task: TaskId,
    pub reports: mpsc::Sender<TaskReport>,
    key_groups: u16,
    /// Whether what the task holds is kept.
    is_durable: bool,
    passed: Option<Passed>,
}

/// A barrier that went by and is not acknowledged yet.
#[derive(Debug)]
struct Passed {
    epoch: u64,
    part: Option<TaskPartWriter>,
    ready: Option<Committable>,
    /// It overtook rows that are not all known yet.
    overtook: bool,
}

impl Acknowledger {
    pub const fn new(task: TaskId, reports: mpsc::Sender<TaskReport>, key_groups: u16, is_durable: bool) -> Acknowledger {
        Acknowledger { task, reports, key_groups, is_durable, passed: None }
    }

    /// Lets the task's nodes give out what they have put off, and takes down what they hold, or begins to. None where nothing is kept.
    pub async fn snapshot(&self, chain: &mut Chain) -> RunResult<Option<TaskPartWriter>> {
        chain.settle().await?;
        if !self.is_durable {
            return Ok(None);
        }
        let mut part = TaskPartWriter::default();
        chain.snapshot(self.key_groups, &mut part)?;
        Ok(Some(part))
    }

    /// The task has passed the barrier: it has told those below, and, if it is a sink, has made `ready` what came before.
    pub async fn pass(
        &mut self,
        epoch: u64,
        overtook: bool,
        part: Option<TaskPartWriter>,
        ready: Option<Committable>,
        chain: &mut Chain,
    ) -> RunResult<()> {
        self.passed = Some(Passed { epoch, part, ready, overtook });
        self.acknowledge(chain).await
    }

    /// All rows that the barrier overtook are known.
    pub async fn recorded(&mut self, epoch: u64, rows: &[InFlight], chain: &mut Chain) -> RunResult<()> {
        let Some(passed) = self.passed.as_mut().filter(|passed| passed.epoch == epoch) else { return Ok(()) };
        passed.overtook = false;
        if let Some(part) = &mut passed.part {
            let rows = if planted::has(Bug::InFlightForgotten) { &[] } else { rows };
            for InFlight { input, batch } in rows {
                part.in_flight(&self.task, *input as u32, &encode_ipc(batch.frame())?);
            }
        }
        reached("in-flight-recorded");
        self.acknowledge(chain).await
    }

    /// Goes on with a snapshot that is not whole, if there is one.
    pub async fn copy_on(&mut self, chain: &mut Chain) -> RunResult<()> {
        if !chain.is_copying() {
            return Ok(());
        }
        chain.copy_on()?;
        self.acknowledge(chain).await
    }

    /// Makes the snapshot whole at once: another barrier is here, or the end.
    pub async fn finish_copying(&mut self, chain: &mut Chain) -> RunResult<()> {
        while chain.is_copying() {
            self.copy_on(chain).await?;
        }
        Ok(())
    }

    /// Hands the part to the control side, which puts it to rest, once nothing is missing.
    async fn acknowledge(&mut self, chain: &mut Chain) -> RunResult<()> {
        if chain.is_copying() {
            return Ok(());
        }
        let Some(Passed { epoch, mut part, ready, .. }) = self.passed.take_if(|passed| !passed.overtook) else { return Ok(()) };
        if let Some(part) = &mut part {
            chain.give_snapshot(part);
        }
        let report = TaskReport::Acknowledged { task: self.task.clone(), epoch, part: part.map(Box::new), ready };
        self.reports.send(report).await.map_err(|_| RunError::Cancelled)
    }
}

/// The barriers of a task that has inputs.
#[derive(Debug)]
pub struct Barriers {
    pub acknowledger: Acknowledger,
    /// The newest epoch that does not wait for barriers to meet, as the job says it.
    hasten: watch::Receiver<u64>,
}

/// What a task goes on from of one former task: rows that were in flight to it, which want no later watermark than it had when the barrier
/// overtook them. What it had closed by then stays closed, and what others had still open is not.
#[derive(Debug)]
pub struct Resumed {
    /// The node of the chain that they go to.
    pub place: usize,
    /// None where the node is not at the head.
    pub watermark: Option<Timestamp>,
    pub rows: Vec<InFlight>,
}

impl Barriers {
    pub const fn new(acknowledger: Acknowledger, hasten: watch::Receiver<u64>) -> Barriers {
        Barriers { acknowledger, hasten }
    }

    /// An epoch to hasten that was not told before.
    pub fn hastened(&mut self) -> Option<u64> {
        self.hasten.has_changed().unwrap_or(false).then(|| *self.hasten.borrow_and_update())
    }

    /// Waits for an epoch to hasten.
    pub async fn wait_for_haste(&mut self) -> u64 {
        match self.hasten.changed().await {
            Ok(()) => *self.hasten.borrow_and_update(),
            // The job is gone, and its abort is on its way.
            Err(_) => std::future::pending().await,
        }
    }
}
