//! The wall around a task: nothing gets out of it but a report.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use millrace_model::{Diagnostic, NodeId};
use millrace_wire::message::Failure;

use crate::chain::CurrentWork;
use millrace_state::checkpoint::{PartEntry, TaskId};

use crate::connector::{Committable, MAX_RAW_BYTES};
use crate::error::{RunError, RunResult};
use crate::json;
use crate::operator::EndReason;
use crate::task::stop::{StopReceiver, Stopping};
use millrace_state::snapshot::TaskPartWriter;

/// What a task tells its job.
#[derive(Debug)]
pub enum TaskReport {
    /// The barrier of an epoch has come by all the task's inputs.
    Acknowledged {
        task: TaskId,
        epoch: u64,
        /// What the task holds; none where nothing is kept.
        part: Option<Box<TaskPartWriter>>,
        /// What a sink has made durable, and waits to make visible.
        ready: Option<Committable>,
    },
    /// The same of a task elsewhere, whose part is at rest.
    AtRest {
        epoch: u64,
        part: PartEntry,
    },
    /// What a task elsewhere held could not be put to rest.
    Declined {
        epoch: u64,
        task: TaskId,
        why: String,
    },
    /// Tasks elsewhere have ended, and nothing more is heard of what they held: all of it is at rest, or their process is gone.
    Quiet {
        tasks: Vec<TaskId>,
        why: String,
    },
    /// A source's task has given out its first rows. Told where somebody waits for them: after a change.
    Flowing,
    /// A source's task has read everything. It stays for the barriers to come.
    Exhausted,
    /// Nobody reads a sink's output any more: the run may end.
    ReaderGone,
    Ended,
    /// It gave up since another has failed, or the run was aborted.
    Cancelled,
    Failed(Box<Failure>),
}

/// What a task is run within.
pub struct Boundary {
    /// The node to name if the task does not say which.
    pub node: NodeId,
    pub work: CurrentWork,
    pub stop: StopReceiver,
}

impl Boundary {
    /// Runs a task to its end, its error, its panic or the run's abort, whichever comes first.
    pub async fn contain(mut self, task: impl Future<Output = RunResult<EndReason>>) -> TaskReport {
        let aborted = async {
            self.stop.reached(Stopping::Abort).await;
            Err(RunError::Cancelled)
        };
        let task = AssertUnwindSafe(async {
            tokio::select! {
                biased;
                end = aborted => end,
                end = task => end,
            }
        });
        match task.catch_unwind().await {
            Ok(Ok(_)) => TaskReport::Ended,
            Ok(Err(RunError::Cancelled)) => TaskReport::Cancelled,
            Ok(Err(error)) => TaskReport::Failed(Box::new(self.failure(&error))),
            Err(panic) => {
                let error = RunError::Bug { message: format!("the task panicked: {}", panic_text(panic.as_ref())) };
                TaskReport::Failed(Box::new(self.failure(&error)))
            }
        }
    }

    fn failure(&self, error: &RunError) -> Failure {
        failure(error, &self.work.node().unwrap_or_else(|| self.node.clone()), &self.work)
    }
}

/// An error with its node and some of the rows that were worked on.
pub fn failure(error: &RunError, node: &NodeId, work: &CurrentWork) -> Failure {
    let own = match error {
        RunError::Value { sample, .. } => sample.iter().take(json::SAMPLE_ROWS).cloned().collect(),
        _ => Vec::new(),
    };
    let sample = match work.take_batch() {
        Some(batch) if own.is_empty() => json::sample(batch.frame(), MAX_RAW_BYTES),
        _ => own,
    };
    Failure { diagnostic: diagnostic(error, node), retryable: error.is_retryable(), sample }
}

fn diagnostic(error: &RunError, node: &NodeId) -> Diagnostic {
    let diagnostic = error.diagnostic(node);
    match error {
        RunError::Bug { .. } => diagnostic.help("this is a fault of Millrace; please report it with the pipeline and the sample"),
        _ => diagnostic,
    }
}

/// The message of a panic.
pub fn panic_text(panic: &(dyn Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "no message".to_owned(),
    }
}
