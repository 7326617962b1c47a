//! Carries out what the load of a run asks for: looks once a second, says what it would do, and has it done where that is wanted.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use millrace_model::{Autoscale, AutoscaleMode};
use millrace_wire::autoscale::{Advice, AutoscaleFigures, Decided};
use millrace_wire::change::{Changed, Scale};
use millrace_wire::figures::RunState;
use millrace_wire::message::NoticeSeverity;
use tokio::sync::oneshot::Receiver;
use tokio::sync::oneshot::error::TryRecvError;

use crate::autoscale::{Look, Moment, Scaler};
use crate::error::{RunError, RunResult};
use crate::job::{JobProgress, Wanted};
use crate::telemetry::NoticeBoard;
use crate::telemetry::figures::Role;

/// Nodes that a notice names.
const MOST_NAMED: usize = 5;

pub struct Autoscaler {
    progress: Arc<JobProgress>,
    notices: Arc<NoticeBoard>,
    scaler: Scaler,
    /// What was asked of the run, and is not answered yet.
    asked: Option<Receiver<RunResult<Changed>>>,
    decided: Option<Decided>,
    /// What was last said that would be done, and when.
    said: Option<(Vec<(String, u32)>, u64)>,
}

impl Autoscaler {
    pub fn new(progress: Arc<JobProgress>, notices: Arc<NoticeBoard>) -> Autoscaler {
        Autoscaler { progress, notices, scaler: Scaler::default(), asked: None, decided: None, said: None }
    }

    /// Once a second.
    pub fn look(&mut self) {
        let (settings, moment) = self.now();
        let at_ns = moment.at_ns;
        self.hear(&settings, at_ns);
        let step = self.scaler.step(&settings, moment);
        if settings.mode == AutoscaleMode::Off {
            self.progress.set_autoscale_figures(None);
            return;
        }
        match step.scale {
            Some(scale) => self.ask(&settings, at_ns, scale, &step.advice),
            None => self.say(&settings, at_ns, &step.advice),
        }
        self.progress.set_autoscale_figures(Some(AutoscaleFigures {
            mode: settings.mode,
            target_utilisation: settings.target_utilisation,
            advice: step.advice,
            waits: step.waits,
            decided: self.decided.clone(),
        }));
    }

    fn now(&self) -> (Autoscale, Moment) {
        let progress = &self.progress;
        // Before what is counted: tasks that come in between show by their counters, and are seen at the next look.
        let (settings, graph) = progress.scaled();
        let at_ns = progress.now_ns();
        let look = match settings.mode {
            AutoscaleMode::Off => Look::default(),
            AutoscaleMode::Advise | AutoscaleMode::On => {
                let telemetry = progress.telemetry();
                Look::of(&graph, at_ns, &telemetry.node_figures(at_ns), &telemetry.edge_figures(at_ns))
            }
        };
        let moment = Moment {
            at_ns,
            graph,
            look,
            is_running: *progress.state.borrow() == RunState::Running,
            is_changing: !progress.changes.is_idle(),
            restarts: progress.restarts.load(Ordering::Relaxed),
            is_kept: progress.is_kept,
        };
        (settings, moment)
    }

    fn ask(&mut self, settings: &Autoscale, at_ns: u64, scale: Scale, advice: &[Advice]) {
        let what = in_words(advice);
        self.decided = Some(Decided { at_us: self.progress.clock.wall_us(), what: what.clone(), outcome: None });
        self.notices.answer(NoticeSeverity::Info, "autoscaled", what);
        match self.progress.changes.ask(Wanted::Scale(scale)) {
            Ok(answer) => self.asked = Some(answer),
            Err(why) => self.refused(settings, at_ns, &why),
        }
    }

    /// What came of what was asked for.
    fn hear(&mut self, settings: &Autoscale, at_ns: u64) {
        let Some(asked) = &mut self.asked else { return };
        let answer = match asked.try_recv() {
            Ok(answer) => answer,
            Err(TryRecvError::Empty) => return,
            Err(TryRecvError::Closed) => Err(RunError::Cancelled),
        };
        self.asked = None;
        match answer {
            Ok(changed) => {
                self.scaler.changed();
                self.ended(changed.in_words());
            }
            Err(why) => self.refused(settings, at_ns, &why),
        }
    }

    fn refused(&mut self, settings: &Autoscale, at_ns: u64, why: &RunError) {
        self.scaler.refused(settings, at_ns);
        self.ended(format!("not done: {why}"));
        // Of a run that ends nothing more is wanted, and that it cannot be changed any more is no news.
        if self.progress.changes.is_idle() && !self.has_read_all() {
            self.notices.answer(NoticeSeverity::Warning, "autoscale_refused", format!("the run stays as it is: {why}"));
        }
    }

    fn has_read_all(&self) -> bool {
        let telemetry = self.progress.telemetry();
        let mut sources = telemetry.nodes.values().filter(|node| node.role == Role::Source);
        sources.all(|source| source.tasks.iter().all(|task| task.has_ended()))
    }

    fn ended(&mut self, outcome: String) {
        if let Some(decided) = &mut self.decided {
            decided.outcome = Some(outcome);
        }
    }

    /// Says what the run would do if it were allowed to; the same not again, and another thing not before a change would have cooled down.
    fn say(&mut self, settings: &Autoscale, at_ns: u64, advice: &[Advice]) {
        let changes: Vec<(String, u32)> = advice.iter().filter(|it| it.is_change()).map(|it| (it.node.to_string(), it.wanted)).collect();
        let quiet_ns = settings.cool_down.micros.unsigned_abs().saturating_mul(1_000);
        let is_said = self.said.as_ref().is_some_and(|(said, when)| *said == changes || at_ns.saturating_sub(*when) < quiet_ns);
        if settings.mode == AutoscaleMode::Advise && !changes.is_empty() && !is_said {
            self.notices.answer(
                NoticeSeverity::Info,
                "autoscale_advice",
                format!("would be better with other numbers of tasks: {}", in_words(advice)),
            );
            self.said = Some((changes, at_ns));
        }
    }
}

/// Of every node that is to have another number: from what, to what, and why.
fn in_words(advice: &[Advice]) -> String {
    let changes: Vec<&Advice> = advice.iter().filter(|advice| advice.is_change()).collect();
    let mut parts: Vec<String> = changes.iter().take(MOST_NAMED).map(|advice| advice.in_words()).collect();
    if changes.len() > MOST_NAMED {
        parts.push(format!("and {} more nodes", changes.len() - MOST_NAMED));
    }
    parts.join(". ")
}
