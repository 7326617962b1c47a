//! The fault timeline: what happened to nodes and runs, with what came of a cause folded under it.
//!
//! Pure: happenings in, incidents out. They do not come in the order of cause and effect: a run may tell that it begins again before the
//! session says that the node is gone. So a root cause also takes in what was told shortly before it.

use std::collections::VecDeque;

use millrace_wire::cluster::happenings::{
    ALERT_FIRING, ALERT_RESOLVED, CHECKPOINT_FAILED, CHECKPOINT_SLOW, FAILED, NODE_LOST, NODE_RESUMED, NODE_SUSPECTED, RESTARTED, RUNNING,
    TASKS_LOST,
};
use millrace_wire::cluster::{Happening, Incident};

/// Incidents that are kept; then the oldest go.
pub const MOST_INCIDENTS: usize = 200;
/// Victims that are listed with one; more are counted.
const MOST_VICTIMS: usize = 32;

/// How long before its cause an effect may be told.
const EARLY_US: i64 = 2_000_000;
/// How long after its cause a run may still be said to suffer from it: the waits of its restarts, and then some.
const LATE_US: i64 = 30_000_000;

#[derive(Debug, Default)]
pub struct Timeline {
    incidents: VecDeque<Incident>,
    last: u64,
    revision: u64,
}

impl Timeline {
    /// Takes in what happened.
    pub fn note(&mut self, what: Happening) {
        match what.kind.as_str() {
            NODE_RESUMED => self.note_under(what, |root, what| root.kind == NODE_SUSPECTED && root.node == what.node),
            // That a run's tasks flow is news only after something kept them from it.
            RUNNING => {
                if let Some(incident) = self.incident_of_run(&what) {
                    incident.add(what);
                    self.revision += 1;
                }
            }
            // It stands where the alert began: under what caused it, or by itself.
            ALERT_RESOLVED => self.note_resolved(what),
            RESTARTED | FAILED | CHECKPOINT_FAILED | CHECKPOINT_SLOW | ALERT_FIRING => match self.incident_of_run(&what) {
                Some(incident) => {
                    incident.add(what);
                    self.revision += 1;
                }
                None => self.begin(what, Vec::new()),
            },
            _ => self.begin(what, Vec::new()),
        }
    }

    /// A node is gone, and with it these tasks: one happening for each run.
    pub fn note_lost(&mut self, what: Happening, tasks: Vec<Happening>) {
        self.begin(what, tasks);
    }

    /// The incidents, in the order in which they were told.
    pub fn incidents(&self) -> impl Iterator<Item = &Incident> {
        self.incidents.iter()
    }

    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// Goes on after incidents that another node has told, oldest first. They belong to no run of this one: runs are numbered anew.
    pub fn take_up(&mut self, incidents: Vec<Incident>) {
        let forget = |happening: Happening| Happening { job: None, ..happening };
        let told = incidents.into_iter().map(|incident| Incident {
            root: forget(incident.root),
            victims: incident.victims.into_iter().take(MOST_VICTIMS).map(forget).collect(),
            ..incident
        });
        self.incidents.extend(told);
        while self.incidents.len() > MOST_INCIDENTS {
            self.incidents.pop_front();
        }
        // One after the other, whatever stood there.
        self.incidents.iter_mut().zip(1..).for_each(|(incident, id)| incident.id = id);
        self.last = self.incidents.len() as u64;
        self.revision += 1;
    }

    fn begin(&mut self, root: Happening, tasks: Vec<Happening>) {
        self.last += 1;
        let mut incident = Incident { id: self.last, root, victims: Vec::new(), unlisted: 0 };
        tasks.into_iter().for_each(|task| incident.add(task));
        self.take_in(&mut incident);
        if self.incidents.len() >= MOST_INCIDENTS {
            self.incidents.pop_front();
        }
        self.incidents.push_back(incident);
        self.revision += 1;
    }

    /// Moves what was told too early below its cause: symptoms of the node, and what its runs suffered.
    fn take_in(&mut self, incident: &mut Incident) {
        if !matches!(incident.root.kind.as_str(), NODE_LOST | RESTARTED | FAILED) {
            return;
        }
        let (early, others) = std::mem::take(&mut self.incidents).into_iter().partition(|other| comes_of(other, incident));
        self.incidents = others;
        let early: VecDeque<Incident> = early;
        for other in early {
            incident.add(other.root);
            other.victims.into_iter().for_each(|victim| incident.add(victim));
            incident.unlisted += other.unlisted;
        }
    }

    /// The newest incident that a run's happening belongs to.
    fn incident_of_run(&mut self, what: &Happening) -> Option<&mut Incident> {
        self.incidents.iter_mut().rev().find(|incident| {
            let last = incident.victims.iter().map(|victim| victim.at_us).max().unwrap_or(0).max(incident.root.at_us);
            let is_near = what.at_us >= incident.root.at_us - EARLY_US && what.at_us <= last + LATE_US;
            is_near && !incident.is_over_for(what) && incident.strikes(what)
        })
    }

    fn note_resolved(&mut self, what: Happening) {
        let is_of = |other: &Happening| other.job.is_some() && other.job == what.job && other.alert == what.alert;
        let began = |other: &Happening| other.kind == ALERT_FIRING && is_of(other);
        let found = self.incidents.iter_mut().rev().find(|it| began(&it.root) || it.victims.iter().any(began));
        match found {
            Some(incident) => {
                incident.add(what);
                self.revision += 1;
            }
            None => self.begin(what, Vec::new()),
        }
    }

    fn note_under(&mut self, what: Happening, is_of: impl Fn(&Happening, &Happening) -> bool) {
        let found = self.incidents.iter_mut().rev().find(|incident| is_of(&incident.root, &what));
        match found.filter(|incident| !incident.victims.iter().any(|victim| victim.kind == what.kind)) {
            Some(incident) => {
                incident.add(what);
                self.revision += 1;
            }
            None => self.begin(what, Vec::new()),
        }
    }
}

/// Whether an incident that was told before is a consequence, or a first sign, of the one that begins.
fn comes_of(other: &Incident, cause: &Incident) -> bool {
    let is_near = (cause.root.at_us - other.root.at_us).abs() <= EARLY_US;
    match (cause.root.kind.as_str(), other.root.kind.as_str()) {
        // A suspicion that was not dispelled is the loss's first sign, however long it took.
        (NODE_LOST, NODE_SUSPECTED) => {
            other.root.node == cause.root.node && !other.victims.iter().any(|victim| victim.kind == NODE_RESUMED)
        }
        (NODE_LOST, RESTARTED | CHECKPOINT_FAILED | CHECKPOINT_SLOW | FAILED | ALERT_FIRING) => {
            is_near && cause.victims.iter().any(|victim| victim.job.is_some() && victim.job == other.root.job)
        }
        // Why the run begins again is why its checkpoint came to nothing.
        (RESTARTED | FAILED, CHECKPOINT_FAILED | ALERT_FIRING) => is_near && other.root.job == cause.root.job,
        _ => false,
    }
}

/// What a list of victims grows by, kept in the order of time.
trait Grow {
    fn add(&mut self, victim: Happening);
    /// Whether the run has suffered from it.
    fn strikes(&self, what: &Happening) -> bool;
    /// Whether the run has got over it: what comes then is another story.
    fn is_over_for(&self, what: &Happening) -> bool;
}

impl Grow for Incident {
    fn add(&mut self, victim: Happening) {
        if self.victims.len() >= MOST_VICTIMS {
            self.unlisted = self.unlisted.saturating_add(1);
            return;
        }
        let at = self.victims.partition_point(|other| other.at_us <= victim.at_us);
        self.victims.insert(at, victim);
    }

    fn strikes(&self, what: &Happening) -> bool {
        let of_run = |happening: &Happening| happening.job.is_some() && happening.job == what.job;
        match self.root.kind.as_str() {
            NODE_LOST => self.victims.iter().any(|victim| victim.kind == TASKS_LOST && of_run(victim)),
            RESTARTED => of_run(&self.root),
            _ => false,
        }
    }

    fn is_over_for(&self, what: &Happening) -> bool {
        self.victims.iter().any(|victim| victim.kind == RUNNING && victim.job == what.job && victim.at_us <= what.at_us)
    }
}

#[cfg(test)]
mod tests {
    use millrace_wire::cluster::happenings::NODE_JOINED;
    use millrace_wire::message::JobId;

    use super::*;

    const SECOND: i64 = 1_000_000;

    fn node(at_us: i64, kind: &str) -> Happening {
        Happening {
            at_us,
            kind: kind.to_owned(),
            node: Some("ws://b".to_owned()),
            job: None,
            pipeline: None,
            alert: None,
            message: kind.to_owned(),
        }
    }

    fn run(at_us: i64, kind: &str, job: u64) -> Happening {
        Happening {
            at_us,
            kind: kind.to_owned(),
            node: None,
            job: Some(JobId(job)),
            pipeline: None,
            alert: None,
            message: format!("{kind} {job}"),
        }
    }

    fn lost(timeline: &mut Timeline, at_us: i64, jobs: &[u64]) {
        let tasks = jobs.iter().map(|job| run(at_us, TASKS_LOST, *job)).collect();
        timeline.note_lost(node(at_us, NODE_LOST), tasks);
    }

    /// `node_lost: tasks_lost, restarted`, one line an incident.
    fn told(timeline: &Timeline) -> Vec<String> {
        let words = |incident: &Incident| incident.victims.iter().map(|victim| victim.kind.clone()).collect::<Vec<_>>().join(", ");
        timeline.incidents().map(|incident| format!("{}: {}", incident.root.kind, words(incident))).collect()
    }

    #[test]
    fn what_a_lost_node_costs_its_runs_is_folded_under_the_loss() {
        let mut timeline = Timeline::default();
        timeline.note(node(0, NODE_JOINED));
        lost(&mut timeline, SECOND, &[1]);
        timeline.note(run(SECOND + 10, RESTARTED, 1));
        timeline.note(run(2 * SECOND, RUNNING, 1));
        assert_eq!(told(&timeline), ["node_joined: ", "node_lost: tasks_lost, restarted, running"]);
    }

    #[test]
    fn the_root_cause_comes_first_even_where_a_run_told_its_restart_before() {
        let mut timeline = Timeline::default();
        timeline.note(run(SECOND - 90, CHECKPOINT_FAILED, 1));
        timeline.note(run(SECOND - 40, RESTARTED, 1));
        lost(&mut timeline, SECOND, &[1]);
        assert_eq!(told(&timeline), ["node_lost: checkpoint_failed, restarted, tasks_lost"]);
    }

    #[test]
    fn a_run_that_had_no_task_there_tells_a_story_of_its_own() {
        let mut timeline = Timeline::default();
        lost(&mut timeline, SECOND, &[1]);
        timeline.note(run(SECOND + 10, RESTARTED, 2));
        assert_eq!(told(&timeline), ["node_lost: tasks_lost", "restarted: "]);
    }

    #[test]
    fn a_failure_after_the_run_got_over_the_loss_is_another_incident() {
        let mut timeline = Timeline::default();
        lost(&mut timeline, SECOND, &[1]);
        timeline.note(run(SECOND + 10, RESTARTED, 1));
        timeline.note(run(2 * SECOND, RUNNING, 1));
        timeline.note(run(3 * SECOND, CHECKPOINT_FAILED, 1));
        timeline.note(run(3 * SECOND + 5, RESTARTED, 1));
        assert_eq!(told(&timeline), ["node_lost: tasks_lost, restarted, running", "restarted: checkpoint_failed"]);
    }

    #[test]
    fn a_suspicion_is_dispelled_by_the_node_coming_back_and_else_the_first_sign_of_its_loss() {
        let mut timeline = Timeline::default();
        timeline.note(node(0, NODE_SUSPECTED));
        timeline.note(node(1, NODE_RESUMED));
        timeline.note(node(2, NODE_SUSPECTED));
        lost(&mut timeline, 10 * SECOND, &[]);
        assert_eq!(told(&timeline), ["node_suspected: node_resumed", "node_lost: node_suspected"]);
    }

    fn alert(at_us: i64, kind: &str, name: &str) -> Happening {
        Happening { alert: Some(name.to_owned()), ..run(at_us, kind, 1) }
    }

    #[test]
    fn an_alert_ends_where_it_began_and_one_that_comes_of_a_loss_is_folded_under_it() {
        let mut timeline = Timeline::default();
        timeline.note(alert(0, ALERT_FIRING, "late"));
        lost(&mut timeline, 60 * SECOND, &[1]);
        timeline.note(run(60 * SECOND + 10, RESTARTED, 1));
        timeline.note(alert(62 * SECOND, ALERT_FIRING, "behind"));
        timeline.note(alert(70 * SECOND, ALERT_RESOLVED, "late"));
        timeline.note(run(71 * SECOND, RUNNING, 1));
        timeline.note(alert(80 * SECOND, ALERT_RESOLVED, "behind"));
        assert_eq!(
            told(&timeline),
            ["alert_firing: alert_resolved", "node_lost: tasks_lost, restarted, alert_firing, running, alert_resolved"]
        );
    }

    #[test]
    fn that_rows_flow_is_no_news_of_a_run_that_nothing_happened_to() {
        let mut timeline = Timeline::default();
        timeline.note(run(0, RUNNING, 1));
        assert_eq!((timeline.revision(), timeline.incidents().count()), (0, 0));
    }

    #[test]
    fn it_is_bounded_and_says_what_it_does_not_list() {
        let mut timeline = Timeline::default();
        for at in 0..300 {
            timeline.note(node(at * 60 * SECOND, NODE_JOINED));
        }
        lost(&mut timeline, 0, &[1]);
        for at in 0..50 {
            timeline.note(run(at, RESTARTED, 1));
        }
        assert_eq!(timeline.incidents().count(), MOST_INCIDENTS);
        let last = timeline.incidents().last().unwrap();
        assert_eq!((last.victims.len(), last.unlisted), (MOST_VICTIMS, 19));
    }
}
