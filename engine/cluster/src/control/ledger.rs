//! A run's entries in the log of the control group.
//!
//! A run that is kept is a deployment, and each process that runs it one generation of it. Its name is where its state lies: two runs that would go
//! on from the same epochs are the same deployment, and the later one fences the earlier. One that the group keeps running has a name of its own, and its
//! epochs are copied to other nodes before they are entered ([`Spread`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use millrace_control::ControlError;
use millrace_control::control::{Answer, Claim, Command, Deployment as Agreed, Desired, EpochId, Generation, Refusal, Source};
use millrace_control::time::{draw, sleep, spawn, timeout};
use millrace_model::Diagnostic;
use millrace_runtime::checkpoint::EpochOf;
use millrace_runtime::ledger::{Fenced, Ledger};
use millrace_state::checkpoint::RunId;
use millrace_state::store::Store;
use millrace_wire::codes;
use millrace_wire::figures::RunState;
use millrace_wire::message::RunOptions;
use tokio::task::AbortHandle;

use super::leading::Turn;
use super::{ControlNode, code};
use crate::replica::{Copying, Spread, epoch_of};
use crate::seen::Seen;

/// From one look at who holds the newest epoch to the next.
const MEND_EVERY: Duration = Duration::from_secs(1);

/// How long, and how often, it is looked whether this node has heard of what it has entered.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(3);
const CAUGHT_UP_EVERY: Duration = Duration::from_millis(5);

/// From one try to enter something to the next, where there is no majority. Each takes its time by itself.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// One generation of a run, led by this node.
pub struct RunLedger {
    node: ControlNode,
    name: String,
    /// As a number: it grows when the run goes back.
    generation: AtomicU64,
    /// What the run is, as the log has it.
    source: Mutex<Source>,
    /// Whether the group has handed it to this node, or this node begins it again for the group: nobody asked for it here.
    is_taken: bool,
    /// The newest complete epoch when it was claimed, and whether one was completed since.
    from: Option<EpochOf>,
    has_come_on: AtomicBool,
    /// What copies its epochs, if the group keeps it running.
    spread: OnceLock<Spread>,
    /// Copies what is missing beside.
    mending: Mutex<Option<AbortHandle>>,
    /// That no other run of this process leads it, where the group keeps it running.
    turn: Option<Turn>,
}

/// How a run comes to be led here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Led {
    /// Somebody wants it, whoever led it before. It may go on from an epoch before the newest complete one, or from none, if that was asked for.
    Anew { may_rewind: bool, fresh: bool },
    /// The group has handed it to this node, in this generation.
    Handed { generation: u64 },
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
        let source = Source { text: text.to_owned(), parameters: parameters.iter().cloned().collect::<BTreeMap<_, _>>(), place: None };
        RunLedger::begin(node, name, source, Led::Anew { may_rewind, fresh: false }, None).await
    }

    /// The same of a run that the group keeps running.
    ///
    /// # Errors
    /// If it is led here already, or was handed to another one meanwhile.
    pub async fn keep(node: &ControlNode, name: String, source: Source, led: Led) -> Result<RunLedger, Diagnostic> {
        let Some(turn) = node.leading().begin(&name) else {
            let found = Diagnostic::error(codes::DEPLOYMENT, format!("{name} runs on this node already"));
            return Err(found.help("see `millrace ps`; to change it: millrace upgrade; to end it: millrace stop"));
        };
        RunLedger::begin(node, name, source, led, Some(turn)).await
    }

    async fn begin(node: &ControlNode, name: String, source: Source, how: Led, turn: Option<Turn>) -> Result<RunLedger, Diagnostic> {
        let claim = Claim { node: node.name().to_owned(), nonce: draw(), ..Claim::default() };
        let generation = match how {
            Led::Anew { may_rewind, fresh } => led(node, &name, source.clone(), Claim { may_rewind, fresh, ..claim }).await,
            Led::Handed { generation } => taken(node, &name, Generation(generation), Claim { goes_on: true, ..claim }).await,
        };
        let generation = generation.map_err(|why| not_led(&name, why))?;
        let mut ledger = RunLedger {
            node: node.clone(),
            name,
            generation: AtomicU64::new(generation.0),
            source: Mutex::default(),
            is_taken: matches!(how, Led::Handed { .. }),
            from: None,
            has_come_on: AtomicBool::default(),
            spread: OnceLock::new(),
            mending: Mutex::default(),
            turn,
        };
        match ledger.is_wanted(source).await {
            Ok(from) => {
                ledger.from = from;
                Ok(ledger)
            }
            Err(found) => {
                if !ledger.is_taken {
                    // Whoever wanted it is told that it does not run, and so the log is to say.
                    Arc::new(ledger).give_up();
                }
                Err(found)
            }
        }
    }

    /// What there is to enter of a run that has just been claimed. Gives the newest complete epoch of the log.
    async fn is_wanted(&self, source: Source) -> Result<Option<EpochOf>, Diagnostic> {
        let (node, name, generation) = (&self.node, &self.name, self.generation());
        if self.is_taken {
            caught_up(node, name, generation).await?;
            // Whoever had it deployed did not read it.
            self.enter_source(source).await?;
        } else {
            // After the claim, so that whoever led it before does not take it for what it is to go on with.
            let desire = Command::Desire { name: name.clone(), generation, desired: Desired::Running };
            node.group().write(desire).await.map_err(|error| not_led(name, Why::Error(error)))?;
            let caught_up = caught_up(node, name, generation).await;
            if self.turn.is_some() {
                // Another one's state is not gone on from by what the log says.
                caught_up?;
            }
            *self.source() = source;
        }
        Ok(node.group().read(|agreed| agreed.deployments().get(name).and_then(|known| known.complete)).map(epoch_of))
    }

    /// Has it entered, beside, that a run which was claimed is not to be there: it could not be begun, and whoever wanted it is told.
    pub fn give_up(self: Arc<Self>) {
        drop(spawn(async move { self.ended(RunState::Failed, None).await }));
    }

    /// The generation in which it is led.
    pub fn led_in(&self) -> u64 {
        self.generation().0
    }

    /// Has each epoch copied to other nodes from now on, before it is entered; and again where those are gone.
    pub fn copy_epochs(self: &Arc<Self>, seen: Seen, store: Arc<dyn Store>, replicas: u32) {
        let newest = self.node.group().read(|agreed| agreed.deployments().get(&self.name).and_then(|known| known.complete)).map(epoch_of);
        let (control, deployment) = (self.node.clone(), self.name.clone());
        if self.spread.set(Spread::new(Copying { control, seen, deployment, store, replicas, newest })).is_ok() {
            let mending = tokio::spawn(mend(Arc::downgrade(self))).abort_handle();
            *self.mending.lock().unwrap_or_else(PoisonError::into_inner) = Some(mending);
        }
    }

    /// Enters that the run is another pipeline from here on. Whoever takes it over goes on as that, and may do without the state that this one may.
    ///
    /// # Errors
    /// If that cannot be entered.
    pub async fn revise(&self, text: &str, options: &RunOptions, env: &BTreeMap<String, String>) -> Result<(), Diagnostic> {
        let mut source = self.source().clone();
        source.text = text.to_owned();
        source.parameters = options.overrides.iter().cloned().collect();
        if let Some(place) = &mut source.place {
            place.env.clone_from(env);
            place.options = with_allowance(&place.options, options.allow_state_loss);
        }
        self.enter_source(source).await
    }

    fn source(&self) -> MutexGuard<'_, Source> {
        self.source.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn enter_source(&self, source: Source) -> Result<(), Diagnostic> {
        let (name, generation) = (self.name.clone(), self.generation());
        match self.node.group().write(Command::Revise { name, generation, source: source.clone() }).await {
            Ok(answer) if answer.is_done() => {
                *self.source() = source;
                Ok(())
            }
            Ok(answer) => Err(not_led(&self.name, Why::Answer(answer))),
            Err(error) => Err(not_led(&self.name, Why::Error(error))),
        }
    }

    /// Copies the newest epoch again, if too few nodes hold it.
    async fn mend(&self) {
        let Some(spread) = self.spread.get() else { return };
        if spread.lacks().is_none() {
            return;
        }
        let Some((epoch, holders)) = spread.copy_missing(self.led_in()).await else { return };
        let (name, generation) = (self.name.clone(), self.generation());
        let command = Command::Held { name, generation, epoch: RunLedger::epoch(epoch.0, epoch.1), holders: holders.clone() };
        match self.node.group().write(command).await {
            Ok(answer) if answer.is_done() => spread.tell(epoch, &holders),
            // Another epoch is the newest by now.
            Ok(answer) => tracing::debug!(?answer, run = self.name, "who holds an epoch was not entered"),
            Err(error) => tracing::debug!(%error, run = self.name, "who holds an epoch could not be entered"),
        }
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
        let own = || BTreeSet::from([self.node.name().to_owned()]);
        let holders = match self.spread.get() {
            // Who takes a run over does not wait for copies of what is complete already: they are made beside.
            Some(spread) if spread.is_entered((run, epoch)) => own(),
            Some(spread) => spread.copy((run, epoch), self.led_in()).await,
            None => BTreeSet::new(),
        };
        let (name, generation) = (self.name.clone(), self.generation());
        self.enter(Command::Complete { name, generation, epoch: RunLedger::epoch(run, epoch), holders: holders.clone() }).await?;
        if let Some(spread) = self.spread.get() {
            spread.entered((run, epoch), &holders);
        }
        if self.from != Some((run, epoch)) {
            self.has_come_on.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// By a generation of its own: epochs of one only grow.
    async fn rewind(&self) -> Result<(), Fenced> {
        let (name, generation) = (self.name.clone(), self.generation());
        let claim = Claim { node: self.node.name().to_owned(), nonce: draw(), may_rewind: true, ..Claim::default() };
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

    async fn ended(&self, state: RunState, why: Option<String>) {
        self.stop_mending();
        let (name, generation) = (self.name.clone(), self.generation());
        let successor = self.turn.as_ref().and_then(Turn::successor);
        let command = match (state, successor) {
            // Nothing is left that anybody could go on with.
            (RunState::Finished, _) => Command::Remove { name, generation },
            // This node is being emptied.
            (RunState::Stopped | RunState::Failed, Some(to)) => {
                let why = format!("{} is being drained", self.node.name());
                Command::Hand { name, generation, to, why }
            }
            // It is not to end: only this node does.
            (RunState::Stopped | RunState::Failed, None) if self.turn.is_some() && self.node.leaves() => return,
            // What it goes on from is as it was: what fails here, with its disk or its network, may go well elsewhere.
            (RunState::Failed, None) if self.is_taken && !self.has_come_on.load(Ordering::Acquire) => {
                let why = why.unwrap_or_else(|| "its run failed there".to_owned());
                Command::Decline { name, generation, node: self.node.name().to_owned(), why }
            }
            (RunState::Stopped | RunState::Failed, None) => Command::Desire { name, generation, desired: Desired::Stopped },
            _ => return,
        };
        if self.turn.is_none() {
            if let Err(error) = self.node.group().write(command).await {
                tracing::warn!(%error, run = self.name, "the end of a run could not be entered");
            }
            return;
        }
        // For as long as that takes: until this node knows of it, it would begin the run again.
        tokio::select! {
            entered = self.enter_end(command) => if let Err(fenced) = entered {
                tracing::debug!(why = fenced.why, run = self.name, "the end of a run was not entered: it is another's");
            },
            () = self.left() => {}
        }
    }
}

impl RunLedger {
    async fn enter_end(&self, end: Command) -> Result<(), Fenced> {
        self.enter(end.clone()).await?;
        let generation = self.generation();
        let is_there = |known: &Agreed| match &end {
            Command::Desire { .. } => known.desired == Desired::Stopped,
            Command::Decline { .. } | Command::Hand { .. } => known.owner() != Some(self.node.name()),
            _ => false,
        };
        let is_behind = |known: &Agreed| known.generation < generation || known.generation == generation && !is_there(known);
        while self.node.group().read(|agreed| agreed.deployments().get(&self.name).is_some_and(is_behind)) {
            sleep(CAUGHT_UP_EVERY).await;
        }
        Ok(())
    }

    /// Waits until this node is about to end.
    async fn left(&self) {
        while !self.node.leaves() {
            sleep(AGAIN_AFTER).await;
        }
    }

    fn stop_mending(&self) {
        if let Some(mending) = self.mending.lock().unwrap_or_else(PoisonError::into_inner).take() {
            mending.abort();
        }
    }
}

impl Drop for RunLedger {
    fn drop(&mut self) {
        self.stop_mending();
    }
}

/// The options of a run as the log has them, with what a change of it allows.
fn with_allowance(options: &str, allow_state_loss: bool) -> String {
    let Ok(mut read) = serde_json::from_str::<RunOptions>(options) else { return options.to_owned() };
    read.allow_state_loss |= allow_state_loss;
    serde_json::to_string(&read).unwrap_or_else(|_| options.to_owned())
}

/// Looks now and then whether enough nodes hold the newest epoch, for as long as the run is led here.
async fn mend(ledger: Weak<RunLedger>) {
    loop {
        sleep(MEND_EVERY).await;
        let Some(ledger) = ledger.upgrade() else { return };
        ledger.mend().await;
    }
}

/// Leads a run that was handed to this node, if it still is.
async fn taken(node: &ControlNode, name: &str, generation: Generation, claim: Claim) -> Result<Generation, Why> {
    match node.group().write(Command::Lead { name: name.to_owned(), generation, claim }).await.map_err(Why::Error)? {
        Answer::Done { generation } | Answer::Already { generation } => Ok(generation),
        other => Err(Why::Answer(other)),
    }
}

/// Waits until this node has heard of what it has entered: it may be behind the leader. What it goes on from is what the log says by then.
///
/// # Errors
/// If it is behind for too long: it would go on from what was the newest epoch once.
async fn caught_up(node: &ControlNode, name: &str, generation: Generation) -> Result<(), Diagnostic> {
    let is_behind = || node.group().read(|agreed| agreed.deployments().get(name).is_none_or(|known| known.generation < generation));
    let waiting = async {
        while is_behind() {
            sleep(CAUGHT_UP_EVERY).await;
        }
    };
    if timeout(CAUGHT_UP_WITHIN, waiting).await.is_ok() || node.group().read(|agreed| agreed.deployments().get(name).is_none()) {
        // Whoever removed it meanwhile fences the run by that.
        return Ok(());
    }
    let message = format!("this node has not heard within {} s that it leads {name}: it is behind the group", CAUGHT_UP_WITHIN.as_secs());
    Err(Diagnostic::error(codes::DEPLOYMENT, message).help("see `millrace status` for who of the group is there, and try again"))
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
        Answer::Refused { why: Refusal::Stopped } => "it was stopped".to_owned(),
        Answer::Refused { why: Refusal::NotInPlace } => "its files are its node's alone".to_owned(),
        Answer::Unknown => "it was removed".to_owned(),
        Answer::Stale { generation } => format!("generation {generation} of it is led elsewhere"),
        other => format!("it answers {other:?}"),
    }
}
