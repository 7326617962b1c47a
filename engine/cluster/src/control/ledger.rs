//! A run's entries in the log of the control group.
//!
//! A run that is kept is a deployment, and each process that runs it one generation of it. Its name is where its state lies: two runs that would go
//! on from the same epochs are the same deployment, and the later one fences the earlier.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use millrace_control::ControlError;
use millrace_control::control::{Answer, Claim, Command, Desired, EpochId, Generation, Refusal, Source};
use millrace_control::time::{draw, sleep};
use millrace_model::Diagnostic;
use millrace_runtime::ledger::{Fenced, Ledger};
use millrace_state::checkpoint::RunId;
use millrace_wire::codes;
use millrace_wire::figures::RunState;

use super::{ControlNode, code};

/// From one try to enter something to the next, where there is no majority. Each takes its time by itself.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// One generation of a run, led by this node.
pub struct RunLedger {
    node: ControlNode,
    name: String,
    /// As a number: it grows when the run goes back.
    generation: AtomicU64,
}

impl RunLedger {
    /// Enters that this node leads the run from now on, in place of whoever did.
    ///
    /// # Errors
    /// If the group has no majority, or holds as many deployments as it may: then the run does not begin.
    pub async fn lead(
        node: &ControlNode,
        name: String,
        text: &str,
        parameters: &[(String, String)],
        may_rewind: bool,
    ) -> Result<RunLedger, Diagnostic> {
        let source = Source { text: text.to_owned(), parameters: parameters.iter().cloned().collect::<BTreeMap<_, _>>() };
        let claim = Claim { node: node.name().to_owned(), nonce: draw(), may_rewind };
        let generation = led(node, &name, source, claim).await.map_err(|why| not_led(&name, why))?;
        Ok(RunLedger { node: node.clone(), name, generation: AtomicU64::new(generation.0) })
    }

    fn generation(&self) -> Generation {
        Generation(self.generation.load(Ordering::Acquire))
    }

    /// Enters something, and waits for as long as there is no majority. Gives the generation that it is then.
    async fn enter(&self, command: Command) -> Result<Generation, Fenced> {
        loop {
            match self.node.group().write(command.clone()).await {
                Ok(Answer::Done { generation } | Answer::Already { generation }) => return Ok(generation),
                Ok(Answer::Stale { generation }) => {
                    let led = self.node.group().read(|control| {
                        let known = control.deployments().get(&self.name)?;
                        Some(known.led.as_ref()?.by.node.clone())
                    });
                    let by = led.map_or_else(|| "another process".to_owned(), |node| format!("node {node}"));
                    return Err(Fenced { why: format!("{by} leads it in generation {generation}, and this was {}", self.generation()) });
                }
                Ok(other) => return Err(Fenced { why: refused(&other) }),
                Err(error) if error.is_retryable() => {
                    tracing::debug!(%error, run = self.name, "an epoch waits for the control group");
                    sleep(AGAIN_AFTER).await;
                }
                Err(error) => return Err(Fenced { why: error.to_string() }),
            }
        }
    }

    fn epoch(run: RunId, number: u64) -> EpochId {
        EpochId { run: run.0, number }
    }
}

#[async_trait]
impl Ledger for RunLedger {
    async fn complete(&self, run: RunId, epoch: u64) -> Result<(), Fenced> {
        let (name, generation) = (self.name.clone(), self.generation());
        self.enter(Command::Complete { name, generation, epoch: RunLedger::epoch(run, epoch) }).await.map(|_| ())
    }

    /// By a generation of its own: epochs of one only grow.
    async fn rewind(&self) -> Result<(), Fenced> {
        let (name, generation) = (self.name.clone(), self.generation());
        let claim = Claim { node: self.node.name().to_owned(), nonce: draw(), may_rewind: true };
        let led = self.enter(Command::Lead { name, generation, claim }).await?;
        self.generation.store(led.0, Ordering::Release);
        Ok(())
    }

    async fn committed(&self, run: RunId, epoch: u64) {
        let (name, generation) = (self.name.clone(), self.generation());
        let command = Command::Commit { name, generation, epoch: RunLedger::epoch(run, epoch) };
        // That sinks have committed is so, whoever hears of it: the next epoch says it anew.
        match self.node.group().write(command).await {
            Ok(answer) if !answer.is_done() => tracing::warn!(?answer, run = self.name, "a commit was not entered"),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, run = self.name, "a commit could not be entered"),
        }
    }

    async fn ended(&self, state: RunState) {
        let (name, generation) = (self.name.clone(), self.generation());
        let command = match state {
            // Nothing is left that anybody could go on with.
            RunState::Finished => Command::Remove { name, generation },
            RunState::Stopped | RunState::Failed => Command::Desire { name, generation, desired: Desired::Stopped },
            _ => return,
        };
        if let Err(error) = self.node.group().write(command).await {
            tracing::warn!(%error, run = self.name, "the end of a run could not be entered");
        }
    }
}

/// Has the group hold the deployment as it is now, and this claim lead it.
async fn led(node: &ControlNode, name: &str, source: Source, claim: Claim) -> Result<Generation, Why> {
    let group = node.group();
    let mut generation = group.read(|control| control.deployments().get(name).map_or(Generation(0), |known| known.generation));
    // Others may change it meanwhile; each tells the newest generation.
    for _ in 0..TRIES {
        let deploy = Command::Deploy { name: name.to_owned(), generation, source: source.clone() };
        generation = match group.write(deploy).await.map_err(Why::Error)? {
            Answer::Done { generation } | Answer::Already { generation } => generation,
            Answer::Stale { generation: newest } => {
                generation = newest;
                continue;
            }
            // It was removed, and is made anew.
            Answer::Unknown => {
                generation = Generation(0);
                continue;
            }
            other => return Err(Why::Answer(other)),
        };
        let desire = Command::Desire { name: name.to_owned(), generation, desired: Desired::Running };
        group.write(desire).await.map_err(Why::Error)?;
        let lead = Command::Lead { name: name.to_owned(), generation, claim: claim.clone() };
        generation = match group.write(lead).await.map_err(Why::Error)? {
            Answer::Done { generation } | Answer::Already { generation } => return Ok(generation),
            Answer::Stale { generation: newest } => newest,
            Answer::Unknown => Generation(0),
            other => return Err(Why::Answer(other)),
        };
    }
    Err(Why::Answer(Answer::Stale { generation }))
}

/// How often others may be in between.
const TRIES: u32 = 8;

enum Why {
    Error(ControlError),
    Answer(Answer),
}

fn not_led(name: &str, why: Why) -> Diagnostic {
    let (code, why, help) = match &why {
        Why::Error(error) => (code(error), error.to_string(), "see `millrace status` for who of the group is there"),
        Why::Answer(answer) => (codes::LIMIT, refused(answer), "let runs that were stopped come to their end"),
    };
    Diagnostic::error(code, format!("the control group does not enter that {name} runs here: {why}")).help(help)
}

fn refused(answer: &Answer) -> String {
    match answer {
        Answer::OutOfOrder { newest: Some(newest) } => format!("epoch {} of the run is complete already", newest.number),
        Answer::OutOfOrder { newest: None } => "no epoch of it is complete".to_owned(),
        Answer::Refused { why: Refusal::Full } => "it holds as many deployments as it may".to_owned(),
        Answer::Refused { why: Refusal::TooLong } => "its name or its text is too long".to_owned(),
        Answer::Unknown => "it was removed".to_owned(),
        other => format!("it answers {other:?}"),
    }
}
