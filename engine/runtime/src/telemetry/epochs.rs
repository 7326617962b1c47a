//! What came of a run's newest epochs: told by whoever carries them out, read with the figures.

use std::collections::VecDeque;
use std::time::Duration;

use millrace_state::checkpoint::TaskId;
use millrace_wire::figures::{EpochFigures, EpochOutcome, EpochPhase, SlowestTask};

/// Epochs that are remembered; the oldest go first.
pub const REMEMBERED: usize = 64;

/// The newest epochs of a run, through all its restarts. Times are monotonic nanoseconds unless they say otherwise.
#[derive(Debug, Default)]
pub struct EpochHistory {
    epochs: VecDeque<Epoch>,
}

#[derive(Debug)]
struct Epoch {
    figures: EpochFigures,
    began_ns: u64,
    /// When the phase began that it is in.
    phase_ns: u64,
    /// Tasks that have not handed over yet.
    tasks: usize,
    /// When the manifest was there, where it has to be copied or entered before the epoch is complete.
    created_ns: Option<u64>,
}

impl EpochHistory {
    /// Barriers were sent, and so many tasks are waited for.
    pub fn began(&mut self, epoch: u64, tasks: usize, now_ns: u64, wall_us: i64) {
        let figures = EpochFigures {
            epoch,
            began_us: wall_us,
            aligning_us: 0,
            writing_us: 0,
            manifest_us: 0,
            commit_us: 0,
            bytes: 0,
            waited_for: None,
            outcome: EpochOutcome::UnderWay { phase: EpochPhase::Aligning },
        };
        self.epochs.push_back(Epoch { figures, began_ns: now_ns, phase_ns: now_ns, tasks, created_ns: None });
        if self.epochs.len() > REMEMBERED {
            self.epochs.pop_front();
        }
    }

    /// A task has handed over what it holds.
    pub fn handed_over(&mut self, epoch: u64, task: &TaskId, now_ns: u64) {
        let Some(known) = self.under_way(epoch) else { return };
        let after_us = now_ns.saturating_sub(known.began_ns) / 1_000;
        known.figures.waited_for = Some(SlowestTask { node: task.node.clone(), task: task.task, after_us });
        known.tasks = known.tasks.saturating_sub(1);
        if known.tasks == 0 {
            known.enter(EpochPhase::Writing, now_ns);
        }
    }

    /// A part is at rest.
    pub fn part_written(&mut self, epoch: u64, bytes: u64) {
        if let Some(known) = self.under_way(epoch) {
            known.figures.bytes += bytes;
        }
    }

    /// All parts are at rest: the manifest is next.
    pub fn parts_written(&mut self, epoch: u64, now_ns: u64) {
        if let Some(known) = self.under_way(epoch) {
            known.enter(EpochPhase::Manifest, now_ns);
        }
    }

    /// The manifest is there, and what the epoch is made of is copied and entered before sinks commit.
    pub fn created(&mut self, epoch: u64, now_ns: u64) {
        if let Some(known) = self.under_way(epoch) {
            known.created_ns = Some(now_ns);
        }
    }

    /// The manifest is there: sinks commit.
    pub fn published(&mut self, epoch: u64, now_ns: u64) {
        if let Some(known) = self.under_way(epoch) {
            known.enter(EpochPhase::Commit, now_ns);
        }
    }

    pub fn committed(&mut self, epoch: u64, now_ns: u64) {
        self.end(epoch, EpochOutcome::Complete, now_ns);
    }

    pub fn failed(&mut self, epoch: u64, cause: impl Into<String>, now_ns: u64) {
        self.end(epoch, EpochOutcome::Failed { cause: cause.into() }, now_ns);
    }

    pub fn superseded(&mut self, epoch: u64, now_ns: u64) {
        self.end(epoch, EpochOutcome::Superseded, now_ns);
    }

    /// The tasks are gone: what was under way comes to nothing.
    pub fn interrupted(&mut self, cause: &str, now_ns: u64) {
        let under_way = |it: &&Epoch| matches!(it.figures.outcome, EpochOutcome::UnderWay { .. });
        if let Some(epoch) = self.epochs.iter().rev().find(under_way).map(|it| it.figures.epoch) {
            self.failed(epoch, cause, now_ns);
        }
    }

    /// How long an epoch took that is over, and how long each of its phases, in words.
    pub fn in_phases(&self, epoch: u64) -> Option<(Duration, String)> {
        let known = self.epochs.iter().rev().find(|known| known.figures.epoch == epoch)?;
        let figures = &known.figures;
        let last = figures.waited_for.as_ref().map(|task| format!(", {} (task {}) last", task.node, task.task)).unwrap_or_default();
        // Measured where it ended: the end of the phase that it was in.
        let entry_us = known.created_ns.map_or(0, |created| {
            let passed = (known.phase_ns / 1_000).saturating_sub(created / 1_000).saturating_sub(figures.commit_us);
            passed.min(figures.manifest_us)
        });
        let phases = [
            (figures.aligning_us, "aligning", last.as_str()),
            (figures.writing_us, "writing", ""),
            (figures.manifest_us - entry_us, "manifest", ""),
            (entry_us, "copies and entry", ""),
            (figures.commit_us, "commit", ""),
        ];
        let told =
            phases.iter().filter(|(took, ..)| *took > 0).map(|(took, what, more)| format!("{what} {} ms{more}", took.div_ceil(1_000)));
        let whole = figures.aligning_us + figures.writing_us + figures.manifest_us + figures.commit_us;
        Some((Duration::from_micros(whole), told.collect::<Vec<_>>().join(", ")))
    }

    /// Oldest first.
    pub fn figures(&self) -> Vec<EpochFigures> {
        self.epochs.iter().map(|epoch| epoch.figures.clone()).collect()
    }

    /// After a restart an epoch may come again by the number of one that came to nothing.
    fn under_way(&mut self, epoch: u64) -> Option<&mut Epoch> {
        let newest = self.epochs.iter_mut().rev().find(|known| known.figures.epoch == epoch)?;
        matches!(newest.figures.outcome, EpochOutcome::UnderWay { .. }).then_some(newest)
    }

    fn end(&mut self, epoch: u64, outcome: EpochOutcome, now_ns: u64) {
        if let Some(known) = self.under_way(epoch) {
            known.measure(now_ns);
            known.figures.outcome = outcome;
        }
    }
}

impl Epoch {
    fn enter(&mut self, phase: EpochPhase, now_ns: u64) {
        self.measure(now_ns);
        self.figures.outcome = EpochOutcome::UnderWay { phase };
    }

    /// Books the time since the phase began.
    fn measure(&mut self, now_ns: u64) {
        let EpochOutcome::UnderWay { phase } = self.figures.outcome else { return };
        let passed_us = now_ns.saturating_sub(self.phase_ns) / 1_000;
        *match phase {
            EpochPhase::Aligning => &mut self.figures.aligning_us,
            EpochPhase::Writing => &mut self.figures.writing_us,
            EpochPhase::Manifest => &mut self.figures.manifest_us,
            EpochPhase::Commit => &mut self.figures.commit_us,
        } = passed_us;
        self.phase_ns = now_ns;
    }
}

#[cfg(test)]
mod tests {
    use millrace_model::NodeId;

    use super::*;

    const MS: u64 = 1_000_000;

    fn task(node: &str) -> TaskId {
        TaskId { node: NodeId::new(node), task: 0 }
    }

    #[test]
    fn an_epoch_is_told_by_its_phases_its_size_and_the_task_that_came_last() {
        let mut history = EpochHistory::default();
        history.began(7, 2, 100 * MS, 1_000_000);
        history.handed_over(7, &task("source"), 101 * MS);
        history.part_written(7, 300);
        history.handed_over(7, &task("sink"), 105 * MS);
        history.part_written(7, 200);
        history.parts_written(7, 107 * MS);
        history.published(7, 110 * MS);
        history.committed(7, 150 * MS);
        let [epoch] = history.figures().try_into().unwrap();
        assert_eq!((epoch.aligning_us, epoch.writing_us, epoch.manifest_us, epoch.commit_us), (5_000, 2_000, 3_000, 40_000));
        assert_eq!((epoch.bytes, epoch.outcome), (500, EpochOutcome::Complete));
        assert_eq!(epoch.waited_for, Some(SlowestTask { node: NodeId::new("sink"), task: 0, after_us: 5_000 }));
    }

    #[test]
    fn an_epoch_tells_its_phases_in_words_as_far_as_it_came() {
        let mut history = EpochHistory::default();
        history.began(7, 1, 100 * MS, 1_000_000);
        history.handed_over(7, &task("sink"), 105 * MS);
        history.parts_written(7, 107 * MS);
        history.created(7, 110 * MS);
        history.published(7, 130 * MS);
        history.committed(7, 135 * MS);
        let told = "aligning 5 ms, sink (task 0) last, writing 2 ms, manifest 3 ms, copies and entry 20 ms, commit 5 ms";
        assert_eq!(history.in_phases(7), Some((Duration::from_millis(35), told.to_owned())));
        history.began(8, 1, 200 * MS, 1_000_000);
        history.failed(8, "disk full", 209 * MS);
        assert_eq!(history.in_phases(8).unwrap().1, "aligning 9 ms");
        assert_eq!(history.in_phases(9), None);
    }

    #[test]
    fn an_epoch_that_came_to_nothing_says_why_and_how_far_it_got() {
        let mut history = EpochHistory::default();
        history.began(1, 2, 0, 0);
        history.handed_over(1, &task("source"), MS);
        history.failed(1, "disk full", 9 * MS);
        history.committed(1, 10 * MS);
        let [epoch] = history.figures().try_into().unwrap();
        assert_eq!(
            (epoch.aligning_us, epoch.writing_us, epoch.outcome),
            (9_000, 0, EpochOutcome::Failed { cause: "disk full".to_owned() })
        );
    }

    #[test]
    fn after_a_restart_the_same_number_is_another_epoch() {
        let mut history = EpochHistory::default();
        history.began(4, 1, 0, 0);
        history.interrupted("pulled the plug", MS);
        history.interrupted("nothing is under way", MS);
        history.began(4, 1, 2 * MS, 0);
        history.handed_over(4, &task("source"), 3 * MS);
        history.published(4, 3 * MS);
        history.committed(4, 3 * MS);
        let outcomes: Vec<EpochOutcome> = history.figures().into_iter().map(|epoch| epoch.outcome).collect();
        assert_eq!(outcomes, [EpochOutcome::Failed { cause: "pulled the plug".to_owned() }, EpochOutcome::Complete]);
    }

    #[test]
    fn only_the_newest_are_remembered() {
        let mut history = EpochHistory::default();
        for epoch in 0..2 * REMEMBERED as u64 {
            history.began(epoch, 1, 0, 0);
        }
        let figures = history.figures();
        assert_eq!((figures.len(), figures.first().map(|it| it.epoch)), (REMEMBERED, Some(REMEMBERED as u64)));
    }
}
