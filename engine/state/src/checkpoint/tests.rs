//! One test a transition.

use millrace_model::NodeId;
use serde_json::json;

use super::coordinator::{Cause, Coordinator, Decision, Settings};
use super::manifest::{Committable, Ending, PartEntry, TaskId};
use super::paths::SavepointName;

fn task(node: &str) -> TaskId {
    TaskId { node: NodeId::new(node), task: 0 }
}

fn part(node: &str) -> PartEntry {
    PartEntry { task: task(node), bytes: 10, checksum: 7, blocks: Vec::new() }
}

fn ready(what: i64) -> Committable {
    Committable { node: NodeId::new("sink"), task: 0, what: json!(what) }
}

/// A source and a sink; an epoch every 10 ns, given up after 100.
fn durable(after: u64) -> Coordinator {
    let tasks = [task("source"), task("sink")].into();
    Coordinator::new(Settings { tasks, after, every_ns: Some(10), hasten_after_ns: 40, timeout_ns: 100, now_ns: 0 })
}

fn inject(epoch: u64, is_last: bool) -> Decision {
    Decision::InjectBarriers { epoch, is_last }
}

/// Brings an epoch to its commit, and gives what that asks for.
fn acknowledge_all(coordinator: &mut Coordinator, epoch: u64) -> Vec<Decision> {
    assert_eq!(coordinator.acknowledged(epoch, part("source")), []);
    coordinator.acknowledged(epoch, part("sink"))
}

#[test]
fn an_epoch_begins_after_its_time_and_not_while_another_is_under_way() {
    let mut coordinator = durable(4);
    assert_eq!((coordinator.wake_at_ns(), coordinator.tick(9)), (Some(10), vec![]));
    assert_eq!(coordinator.tick(10), [inject(5, false)]);
    assert_eq!((coordinator.wake_at_ns(), coordinator.tick(30)), (Some(50), vec![]));
}

#[test]
fn when_all_parts_are_at_rest_the_manifest_is_created_and_only_then_sinks_commit() {
    let mut coordinator = durable(0);
    coordinator.tick(10);
    coordinator.prepared(1, ready(1));
    let decisions = acknowledge_all(&mut coordinator, 1);
    let parts = vec![part("sink"), part("source")];
    assert_eq!(decisions, [Decision::CreateManifest { epoch: 1, ending: None, parts, ready: vec![ready(1)] }]);
    assert_eq!(coordinator.committed(1, 20), [], "nothing is committed before the manifest is there");
    assert_eq!(coordinator.published(1), [Decision::CommitSinks { epoch: 1, ending: None, ready: vec![ready(1)] }]);
    assert_eq!(coordinator.committed(1, 20), [Decision::ForgetBelow { epoch: 1 }]);
    assert_eq!(coordinator.tick(20), [inject(2, false)]);
}

#[test]
fn an_acknowledgement_counts_once_and_one_of_another_epoch_not_at_all() {
    let mut coordinator = durable(0);
    coordinator.tick(10);
    assert_eq!(coordinator.acknowledged(1, part("source")), []);
    assert_eq!(coordinator.acknowledged(1, part("source")), []);
    assert_eq!(coordinator.acknowledged(7, part("sink")), []);
}

#[test]
fn what_a_sink_prepared_in_an_epoch_that_came_to_nothing_goes_with_the_next() {
    let mut coordinator = durable(0);
    coordinator.tick(10);
    coordinator.prepared(1, ready(1));
    let cause = Cause::Declined { task: task("source"), why: "disk full".to_owned() };
    assert_eq!(coordinator.declined(1, task("source"), "disk full".to_owned(), 15), [Decision::AbandonEpoch { epoch: 1, cause }]);
    assert_eq!(coordinator.acknowledged(1, part("sink")), [], "too late");
    assert_eq!(coordinator.tick(20), [inject(2, false)]);
    coordinator.prepared(2, ready(2));
    let decisions = acknowledge_all(&mut coordinator, 2);
    assert!(matches!(&decisions[..], [Decision::CreateManifest { ready: both, .. }] if *both == [ready(1), ready(2)]), "{decisions:?}");
    assert!(matches!(&coordinator.published(2)[..], [Decision::CommitSinks { ready: both, .. }] if both.len() == 2));
}

#[test]
fn an_epoch_that_takes_too_long_is_given_up_and_names_who_it_waited_for() {
    let mut coordinator = durable(0);
    coordinator.tick(10);
    coordinator.acknowledged(1, part("source"));
    let cause = Cause::TimedOut { waiting: vec![task("sink")] };
    assert_eq!(coordinator.tick(110), [Decision::AbandonEpoch { epoch: 1, cause }]);
    assert_eq!(coordinator.tick(110), [inject(2, false)]);
}

#[test]
fn the_last_epoch_takes_the_place_of_one_that_is_aligning() {
    let mut coordinator = durable(0);
    coordinator.tick(10);
    let decisions = coordinator.end(Ending::Stopped, 12);
    assert_eq!(decisions, [Decision::AbandonEpoch { epoch: 1, cause: Cause::Superseded }, inject(2, true)]);
    assert_eq!(coordinator.end(Ending::Finished, 13), [], "there is one end");
    acknowledge_all(&mut coordinator, 2);
    coordinator.published(2);
    assert_eq!(coordinator.committed(2, 14), [Decision::ForgetBelow { epoch: 2 }, Decision::Finish { ending: Ending::Stopped }]);
    assert_eq!((coordinator.wake_at_ns(), coordinator.tick(1_000)), (None, vec![]));
}

#[test]
fn the_last_epoch_waits_for_one_that_is_being_published_or_committed() {
    let mut coordinator = durable(0);
    coordinator.tick(10);
    acknowledge_all(&mut coordinator, 1);
    assert_eq!(coordinator.end(Ending::Finished, 12), []);
    coordinator.published(1);
    assert_eq!(coordinator.committed(1, 13), [Decision::ForgetBelow { epoch: 1 }, inject(2, true)]);
}

#[test]
fn a_last_epoch_that_comes_to_nothing_fails_the_run() {
    let mut coordinator = durable(0);
    coordinator.end(Ending::Finished, 1);
    acknowledge_all(&mut coordinator, 1);
    let cause = Cause::NotPublished { why: "disk full".to_owned() };
    assert_eq!(coordinator.not_published(1, "disk full".to_owned(), 2), [Decision::Fail { epoch: 1, cause }]);
}

#[test]
fn whoever_finds_its_epoch_made_by_another_stops() {
    let mut coordinator = durable(0);
    coordinator.tick(10);
    acknowledge_all(&mut coordinator, 1);
    assert_eq!(coordinator.taken(1), [Decision::StopOrphaned { epoch: 1 }]);
    assert_eq!((coordinator.tick(1_000), coordinator.end(Ending::Stopped, 1_000)), (vec![], vec![]));
}

#[test]
fn a_run_that_keeps_nothing_has_one_epoch_and_commits_it_without_a_manifest() {
    let tasks = [task("source"), task("sink")].into();
    let mut coordinator = Coordinator::new(Settings { tasks, after: 0, every_ns: None, hasten_after_ns: 40, timeout_ns: 100, now_ns: 0 });
    assert_eq!(coordinator.wake_at_ns(), None);
    assert_eq!(coordinator.end(Ending::Finished, 5), [inject(1, true)]);
    coordinator.prepared(1, ready(1));
    let decisions = acknowledge_all(&mut coordinator, 1);
    assert_eq!(decisions, [Decision::CommitSinks { epoch: 1, ending: Some(Ending::Finished), ready: vec![ready(1)] }]);
    assert_eq!(coordinator.committed(1, 6), [Decision::Finish { ending: Ending::Finished }]);
}

#[test]
fn barriers_that_do_not_meet_in_time_are_hastened_once_and_never_in_the_last_epoch() {
    let mut coordinator = durable(0);
    assert_eq!(coordinator.tick(10), [inject(1, false)]);
    assert_eq!(coordinator.wake_at_ns(), Some(50));
    assert_eq!(coordinator.tick(50), [Decision::HastenBarriers { epoch: 1 }]);
    assert_eq!((coordinator.wake_at_ns(), coordinator.tick(60)), (Some(110), vec![]));
    acknowledge_all(&mut coordinator, 1);
    coordinator.published(1);
    coordinator.committed(1, 70);
    assert_eq!(coordinator.end(Ending::Stopped, 71), [inject(2, true)]);
    assert_eq!(coordinator.wake_at_ns(), None, "the last one is always aligned");
}

fn name(text: &str) -> SavepointName {
    SavepointName::new(text).unwrap()
}

#[test]
fn a_savepoint_is_an_epoch_that_begins_at_once_and_is_copied_before_it_may_be_forgotten() {
    let mut coordinator = durable(0);
    assert_eq!(coordinator.ask_savepoint(name("monday"), 3), [inject(1, false)]);
    assert_eq!(coordinator.ask_savepoint(name("monday"), 3), [], "it is under way");
    assert_eq!(coordinator.ask_savepoint(name("tuesday"), 4), [], "it goes with the next");
    acknowledge_all(&mut coordinator, 1);
    coordinator.published(1);
    assert_eq!(coordinator.committed(1, 5), [Decision::KeepSavepoints { epoch: 1, names: vec![name("monday")] }]);
    assert_eq!(coordinator.tick(50), [], "no epoch begins before the copy is at rest");
    assert_eq!(coordinator.kept(1, 51), [Decision::ForgetBelow { epoch: 1 }, inject(2, false)]);
}

#[test]
fn a_savepoint_of_an_epoch_that_came_to_nothing_goes_with_the_next() {
    let mut coordinator = durable(0);
    coordinator.ask_savepoint(name("monday"), 3);
    coordinator.declined(1, task("source"), "disk full".to_owned(), 4);
    assert_eq!(coordinator.tick(20), [inject(2, false)]);
    acknowledge_all(&mut coordinator, 2);
    coordinator.published(2);
    assert_eq!(coordinator.committed(2, 21), [Decision::KeepSavepoints { epoch: 2, names: vec![name("monday")] }]);
}

#[test]
fn a_run_at_its_end_has_nothing_to_go_on_with_and_one_that_stops_has() {
    for (ending, first) in [
        (Ending::Finished, Decision::RefuseSavepoints { names: vec![name("late")] }),
        (Ending::Stopped, Decision::KeepSavepoints { epoch: 2, names: vec![name("late")] }),
    ] {
        let mut coordinator = durable(0);
        coordinator.tick(10);
        coordinator.ask_savepoint(name("late"), 11);
        coordinator.end(ending, 12);
        acknowledge_all(&mut coordinator, 2);
        coordinator.published(2);
        let mut decisions = coordinator.committed(2, 13);
        assert_eq!(decisions.remove(0), first);
        decisions.extend(coordinator.kept(2, 14));
        assert_eq!(decisions, [Decision::ForgetBelow { epoch: 2 }, Decision::Finish { ending }]);
    }
}

#[test]
fn a_name_that_leads_elsewhere_is_none() {
    for bad in ["", "..", "a/b", "A", &"x".repeat(65)] {
        assert_eq!(SavepointName::new(bad), None, "{bad}");
    }
}

#[test]
fn a_savepoint_is_always_aligned() {
    let mut coordinator = durable(0);
    assert_eq!(coordinator.ask_savepoint(name("monday"), 3), [inject(1, false)]);
    assert_eq!((coordinator.wake_at_ns(), coordinator.tick(60)), (Some(103), vec![]));
}
