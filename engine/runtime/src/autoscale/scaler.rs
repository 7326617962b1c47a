//! When advice may be given, and when a run may be changed by it. Pure: moments in, steps out.
//!
//! Nothing is said before the run has stood as it is for a window of time, since tasks that begin do more and other work than those that run; nor
//! before two looks agree. Nothing is done while another change is under way, and for a while after one, or after a failure.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use millrace_model::{Autoscale, AutoscaleMode, NodeId};
use millrace_wire::autoscale::Advice;
use millrace_wire::change::Scale;

use super::model::{advise, flows};
use super::rates::Flow;
use super::{Graph, Look};

/// Figures are of so much time, or of as much as a change cools down for if that is less..
const MOST_WINDOW_NS: u64 = 10_000_000_000;
/// ..but of so much at least.
const LEAST_WINDOW_NS: u64 = 2_000_000_000;

/// Looks that are kept, at most.
const MOST_LOOKS: usize = 64;

/// A change that was refused is tried again after twice as long each time, up to so many doublings.
const MOST_DOUBLINGS: u32 = 6;

/// A run as it is now.
pub struct Moment {
    pub at_ns: u64,
    /// Another one once the run was changed.
    pub graph: Arc<Graph>,
    pub look: Look,
    pub is_running: bool,
    /// Whether a change is asked for or under way.
    pub is_changing: bool,
    /// How often it went back to an epoch.
    pub restarts: u64,
    /// Whether it takes checkpoints, without which it cannot be changed.
    pub is_kept: bool,
}

/// What comes of a moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Step {
    pub advice: Vec<Advice>,
    /// Why nothing is said or done.
    pub waits: Option<String>,
    /// What the run is to be asked to go on in.
    pub scale: Option<Scale>,
}

/// What is known of a run from moment to moment.
#[derive(Debug, Default)]
pub struct Scaler {
    graph: Option<Arc<Graph>>,
    looks: VecDeque<Look>,
    restarts: u64,
    /// No change before this moment.
    rests_until_ns: u64,
    /// The changes that the look before was for.
    leaning: Option<Vec<(NodeId, u32)>>,
    /// What two looks agreed on.
    standing: Vec<Advice>,
    /// Changes that were refused, one after the other.
    refused: u32,
}

impl Scaler {
    pub fn step(&mut self, settings: &Autoscale, now: Moment) -> Step {
        if settings.mode == AutoscaleMode::Off {
            *self = Scaler { restarts: now.restarts, ..Scaler::default() };
            return Step::default();
        }
        if let Some(why) = self.disturbed(settings, &now) {
            self.begin_anew();
            return Step { waits: Some(why.to_owned()), ..Step::default() };
        }
        let Moment { at_ns, graph, look, is_kept, .. } = now;
        let window_ns = window_ns(settings);
        self.take(look, window_ns);
        let Some(before) = self.looks.front() else { return Step::default() };
        let span_ns = at_ns.saturating_sub(before.at_ns);
        if span_ns < window_ns {
            let (seen, wanted) = (span_ns / 1_000_000_000, window_ns.div_ceil(1_000_000_000));
            return Step { waits: Some(format!("figures of {wanted} s are wanted, and there are {seen} s of them")), ..Step::default() };
        }
        let flow = self.looks.back().and_then(|newest| Flow::between(before, newest)).filter(|flow| flows(&graph, flow));
        let Some(flow) = flow else {
            (self.leaning, self.standing) = (None, Vec::new());
            return Step { waits: Some("no source gives any rows".to_owned()), ..Step::default() };
        };
        let is_settled = self.settles(advise(&graph, &flow, settings));
        let (waits, scale) = self.decide(settings, at_ns, is_kept, is_settled);
        Step { advice: self.standing.clone(), waits, scale }
    }

    /// The run was asked to change, and will not.
    pub fn refused(&mut self, settings: &Autoscale, at_ns: u64) {
        let wait = cool_down_ns(settings).saturating_mul(1 << self.refused.min(MOST_DOUBLINGS));
        self.rests_until_ns = self.rests_until_ns.max(at_ns.saturating_add(wait));
        self.refused += 1;
    }

    /// The run goes on as it was asked to.
    pub const fn changed(&mut self) {
        self.refused = 0;
    }

    /// Whether what was seen until now says nothing of what is, and why nothing can be said. Looks begin anew.
    fn disturbed(&mut self, settings: &Autoscale, now: &Moment) -> Option<&'static str> {
        let is_first = self.graph.is_none();
        let is_other = !self.graph.as_ref().is_some_and(|graph| Arc::ptr_eq(graph, &now.graph));
        let has_failed = now.restarts != self.restarts;
        (self.graph, self.restarts) = (Some(now.graph.clone()), now.restarts);
        if !is_first && (is_other || has_failed) {
            self.rests_until_ns = self.rests_until_ns.max(now.at_ns.saturating_add(cool_down_ns(settings)));
        }
        if !now.is_running {
            return Some("the run is not in full flow");
        }
        if now.is_changing {
            return Some("a change of the run is under way");
        }
        let went_back = self.looks.back().is_some_and(|before| !before.may_become(&now.look));
        if is_other || has_failed || went_back {
            // This look is the first of what is now.
            self.begin_anew();
        }
        None
    }

    fn begin_anew(&mut self) {
        self.looks.clear();
        (self.leaning, self.standing) = (None, Vec::new());
    }

    /// Keeps the newest look before the window, and those within.
    fn take(&mut self, look: Look, window_ns: u64) {
        let newest = look.at_ns;
        self.looks.push_back(look);
        let is_old = |look: &Look| newest.saturating_sub(look.at_ns) >= window_ns;
        while self.looks.len() > MOST_LOOKS || self.looks.get(1).is_some_and(is_old) {
            self.looks.pop_front();
        }
    }

    /// Whether this look is for the same as the one before, so that it stands.
    fn settles(&mut self, advice: Vec<Advice>) -> bool {
        let leaning: Vec<(NodeId, u32)> = advice.iter().map(|it| (it.node.clone(), it.wanted)).collect();
        let is_settled = self.leaning.as_ref() == Some(&leaning);
        self.leaning = Some(leaning);
        if is_settled {
            self.standing = advice;
        }
        is_settled
    }

    /// Why nothing is done about what stands, or what is to be.
    fn decide(&self, settings: &Autoscale, at_ns: u64, is_kept: bool, is_settled: bool) -> (Option<String>, Option<Scale>) {
        if !is_settled {
            return (Some("two looks that agree are waited for".to_owned()), None);
        }
        let nodes: BTreeMap<NodeId, u32> = self.standing.iter().flat_map(|advice| advice.asks.clone()).collect();
        if nodes.is_empty() {
            return (None, None);
        }
        if !is_kept {
            let why = "the run takes no checkpoints, and cannot be changed without: set `checkpoint_every` under [pipeline]";
            return (Some(why.to_owned()), None);
        }
        let left_ns = self.rests_until_ns.saturating_sub(at_ns);
        match settings.mode {
            AutoscaleMode::On if left_ns > 0 => (Some(format!("it cools down for {} s more", left_ns.div_ceil(1_000_000_000))), None),
            AutoscaleMode::On => (None, Some(Scale { parallelism: None, nodes })),
            AutoscaleMode::Advise | AutoscaleMode::Off => (None, None),
        }
    }
}

const fn cool_down_ns(settings: &Autoscale) -> u64 {
    settings.cool_down.micros.unsigned_abs().saturating_mul(1_000)
}

fn window_ns(settings: &Autoscale) -> u64 {
    cool_down_ns(settings).clamp(LEAST_WINDOW_NS, MOST_WINDOW_NS)
}

#[cfg(test)]
mod tests {
    use super::super::graph::Limit;
    use super::super::rates::Counted;
    use super::super::simulated::{self, settings};
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// A run that is looked at once a second: a source that is held back, and a node that is at work all the time.
    struct Run {
        at_s: u64,
        graph: Arc<Graph>,
        restarts: u64,
        is_kept: bool,
        is_changing: bool,
        /// Rows and the node's seconds of work a second.
        rate: (u64, f64),
        rows: u64,
        worked_ns: u64,
        scaler: Scaler,
    }

    impl Run {
        fn new() -> Run {
            let (graph, scaler) = (graph(1), Scaler::default());
            Run { at_s: 0, graph, restarts: 0, is_kept: true, is_changing: false, rate: (1_000, 1.0), rows: 0, worked_ns: 0, scaler }
        }

        fn second(&mut self, settings: &Autoscale) -> Step {
            self.at_s += 1;
            self.rows += self.rate.0;
            self.worked_ns += (self.rate.1 * SECOND as f64) as u64;
            let at_ns = self.at_s * SECOND;
            let source =
                Counted { rows_in: self.rows, busy_ns: at_ns / 4, blocked_ns: at_ns / 2, idle_ns: at_ns / 4, newest_event_time: None };
            let node = Counted { rows_in: self.rows, busy_ns: self.worked_ns, ..Counted::default() };
            let look = Look { at_ns, nodes: vec![source, node], edges: vec![self.rows] };
            let (graph, restarts, is_kept, is_changing) = (self.graph.clone(), self.restarts, self.is_kept, self.is_changing);
            self.scaler.step(settings, Moment { at_ns, graph, look, is_running: true, is_changing, restarts, is_kept })
        }

        fn seconds(&mut self, seconds: u64, settings: &Autoscale) -> Vec<Step> {
            (0..seconds).map(|_| self.second(settings)).collect()
        }
    }

    fn graph(tasks: u32) -> Arc<Graph> {
        let mut graph = simulated::graph(&[("rows", 1, Limit::Source), ("count", tasks, Limit::Tasks(1024))]);
        graph.edges = vec![(0, 1)];
        Arc::new(graph)
    }

    fn first(steps: &[Step]) -> Option<usize> {
        steps.iter().position(|step| step.scale.is_some())
    }

    #[test]
    fn nothing_is_said_before_a_window_is_full_and_two_looks_agree() {
        let mut run = Run::new();
        let steps = run.seconds(13, &settings());
        assert!(steps[..11].iter().all(|step| step.advice.is_empty() && step.waits.is_some()), "{steps:#?}");
        assert_eq!(steps[5].waits.as_deref(), Some("figures of 10 s are wanted, and there are 5 s of them"));
        let scale = steps[11].scale.clone().unwrap();
        assert_eq!((scale.parallelism, scale.nodes), (None, BTreeMap::from([(NodeId::new("count"), 3)])));
    }

    #[test]
    fn who_only_advises_changes_nothing_and_who_is_off_says_nothing() {
        let mut run = Run::new();
        let steps = run.seconds(30, &Autoscale { mode: AutoscaleMode::Advise, ..settings() });
        assert_eq!((first(&steps), steps[29].advice[0].wanted, steps[29].waits.clone()), (None, 3, None));
        assert_eq!(run.second(&Autoscale { mode: AutoscaleMode::Off, ..settings() }), Step::default());
    }

    #[test]
    fn a_run_without_checkpoints_is_told_what_it_lacks() {
        let mut run = Run { is_kept: false, ..Run::new() };
        let steps = run.seconds(30, &settings());
        assert_eq!((first(&steps), steps[29].advice.len()), (None, 1));
        assert!(steps[29].waits.as_ref().unwrap().contains("`checkpoint_every`"));
    }

    #[test]
    fn after_a_change_it_cools_down_and_looks_anew() {
        let mut run = Run::new();
        assert_eq!(first(&run.seconds(12, &settings())), Some(11));
        run.is_changing = true;
        let changing = run.seconds(20, &settings());
        assert!(changing.iter().all(|step| step.scale.is_none() && step.waits.as_deref() == Some("a change of the run is under way")));
        (run.is_changing, run.graph) = (false, graph(3));
        // What was seen before is nothing to go by, and it still would have more: now it is as busy with three.
        run.rate = (1_000, 3.0);
        let steps = run.seconds(70, &settings());
        assert_eq!(steps[15].waits.as_deref(), Some("it cools down for 45 s more"));
        assert_eq!(first(&steps), Some(60));
    }

    #[test]
    fn after_a_failure_and_where_counters_went_back_it_waits_too() {
        let mut run = Run::new();
        run.seconds(8, &settings());
        run.restarts = 1;
        run.rows = 500;
        let steps = run.seconds(70, &settings());
        assert_eq!(first(&steps), Some(60));
        let mut quiet = Run::new();
        quiet.seconds(8, &settings());
        quiet.rows = 500;
        assert_eq!(first(&quiet.seconds(20, &settings())), Some(11), "the window begins anew");
    }

    #[test]
    fn a_change_that_is_refused_is_asked_for_again_later_and_later() {
        let mut run = Run::new();
        let short = Autoscale { cool_down: millrace_model::field::Duration::from_secs(4), ..settings() };
        let mut asked = Vec::new();
        for _ in 0..40 {
            if run.second(&short).scale.is_some() {
                asked.push(run.at_s);
                run.scaler.refused(&short, run.at_s * SECOND);
            }
        }
        assert_eq!(asked, [6, 10, 18, 34]);
    }

    #[test]
    fn looks_that_disagree_are_not_acted_on() {
        let mut run = Run::new();
        let short = Autoscale { cool_down: millrace_model::field::Duration::from_secs(2), ..settings() };
        for at in 0..40 {
            run.rate.1 = if at % 4 < 2 { 1.0 } else { 0.1 };
            assert_eq!(run.second(&short).scale, None, "at {at} s");
        }
    }
}
