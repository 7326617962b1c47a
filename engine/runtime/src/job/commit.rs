//! What the job asks of its sinks beside their tasks: to go back to an epoch, and to make one visible.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use millrace_plan::BoundNode;
use millrace_state::checkpoint::RunId;
use millrace_state::step::reached;
use millrace_wire::message::Failure;

use crate::chain::CurrentWork;
use crate::connector::{Committable, ConnectorContext, Finality, SinkFactory};
use crate::error::{RunError, RunResult};
use crate::job::setup::{Attempt, Shared};
use crate::registry::Entry;
use crate::task::boundary::panic_text;

impl Shared {
    fn sinks<'a>(&'a self, attempt: &'a Attempt) -> impl Iterator<Item = (&'a BoundNode, &'a Arc<dyn SinkFactory>, ConnectorContext)> {
        let tasks = self.physical.tasks();
        self.plan.nodes.iter().filter_map(move |node| match self.registry.get(&node.decl.kind) {
            Some(Entry::Sink(factory)) => {
                let tasks = tasks.get(node.id()).copied().unwrap_or(1);
                Some((node, factory, self.connector(attempt, node.id(), 0, tasks)))
            }
            _ => None,
        })
    }
}

/// Makes visible what was prepared, sink by sink. On the data runtime: connectors may block.
pub async fn commit(shared: Arc<Shared>, attempt: Attempt, ready: Vec<Committable>, finality: Finality) -> Result<(), Failure> {
    let (owner, work) = (shared.clone(), CurrentWork::default());
    let seen = work.clone();
    let committing = async move {
        reached("committing");
        for (node, factory, context) in shared.sinks(&attempt) {
            work.begin(node.id(), None);
            let mine: Vec<Committable> = ready.iter().filter(|ready| ready.node == *node.id()).cloned().collect();
            factory.commit(&Arc::new(node.clone()), &context, mine, finality).await?;
            reached("sink-committed");
        }
        Ok(())
    };
    owner.on_data_runtime("the commit", &seen, committing).await
}

/// The same of an epoch, which is entered afterwards where that is asked for.
pub async fn committed(
    shared: Arc<Shared>,
    attempt: Attempt,
    epoch: u64,
    ready: Vec<Committable>,
    finality: Finality,
) -> Result<(), Failure> {
    let ledger = shared.host.ledger.clone();
    let run = RunId(attempt.run_start_us);
    commit(shared, attempt, ready, finality).await?;
    if let Some(ledger) = ledger {
        ledger.committed(run, epoch).await;
    }
    Ok(())
}

/// Takes all sinks back to the epoch that the run goes on from.
pub async fn recover(shared: Arc<Shared>, attempt: Attempt) -> Result<(), Failure> {
    let (owner, work) = (shared.clone(), CurrentWork::default());
    let seen = work.clone();
    let recovering = async move {
        for (node, factory, context) in shared.sinks(&attempt) {
            work.begin(node.id(), None);
            let mine = attempt.restored_of(node.id());
            factory.recover(&Arc::new(node.clone()), &context, &mine).await?;
            reached("sink-recovered");
        }
        Ok(())
    };
    owner.on_data_runtime("the recovery", &seen, recovering).await
}

impl Shared {
    /// Runs what connectors do where they may block; an error comes with the node that `work` names.
    async fn on_data_runtime(
        &self,
        what: &'static str,
        work: &CurrentWork,
        future: impl Future<Output = RunResult<()>> + Send + 'static,
    ) -> Result<(), Failure> {
        let contained = async move {
            AssertUnwindSafe(future)
                .catch_unwind()
                .await
                .unwrap_or_else(|panic| Err(RunError::Bug { message: format!("{what} panicked: {}", panic_text(panic.as_ref())) }))
        };
        let done = match self.host.data.spawn(contained) {
            Some(running) => running.await.unwrap_or_else(|error| Err(RunError::bug(error.to_string()))),
            None => Err(RunError::bug("the data runtime has shut down")),
        };
        done.map_err(|error| self.failed(&error, work))
    }
}
