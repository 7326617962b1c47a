//! Epochs that are entered beside their manifests: sinks wait for it, rows do not, and whoever is fenced commits nothing more.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use millrace_model::NodeDecl;
use millrace_runtime::checkpoint::StateHome;
use millrace_runtime::job::{NewPipeline, Way};
use millrace_runtime::ledger::{Fenced, Ledger};
use millrace_runtime::{JobHandle, JobOptions};
use millrace_state::checkpoint::{RunId, SavepointName};
use millrace_state::store::FolderStore;
use millrace_testkit::{Collected, Harness, Memory, Script, node};
use millrace_wire::figures::{EpochOutcome, RunState};
use millrace_wire::message::StopMode;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::COLUMNS;
use crate::checkpoints::{rows, silence};

/// What can be entered at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    Agrees,
    HasNoMajority,
    IsLedByAnother,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    Complete(u64),
    Committed(u64),
    Rewound,
    Ended(RunState),
}

struct Book {
    group: watch::Sender<Group>,
    entries: Mutex<Vec<Entry>>,
}

impl Book {
    fn new(group: Group) -> Arc<Book> {
        Arc::new(Book { group: watch::Sender::new(group), entries: Mutex::default() })
    }

    fn entries(&self) -> Vec<Entry> {
        self.entries.lock().unwrap().clone()
    }
}

#[async_trait]
impl Ledger for Book {
    async fn complete(&self, _: RunId, epoch: u64) -> Result<(), Fenced> {
        let group = *self.group.subscribe().wait_for(|group| *group != Group::HasNoMajority).await.unwrap();
        if group == Group::IsLedByAnother {
            return Err(Fenced { why: "node b leads it in generation 3, and this was 2".into() });
        }
        let mut entries = self.entries.lock().unwrap();
        // As the group has it: of one generation epochs only grow.
        let since = entries.iter().rposition(|entry| *entry == Entry::Rewound).unwrap_or(0);
        if entries[since..].iter().any(|entry| matches!(entry, Entry::Complete(newest) if *newest > epoch)) {
            return Err(Fenced { why: "a later epoch is complete".into() });
        }
        entries.push(Entry::Complete(epoch));
        Ok(())
    }

    async fn rewind(&self) -> Result<(), Fenced> {
        self.entries.lock().unwrap().push(Entry::Rewound);
        Ok(())
    }

    async fn committed(&self, _: RunId, epoch: u64) {
        self.entries.lock().unwrap().push(Entry::Committed(epoch));
    }

    async fn ended(&self, state: RunState, _: Option<String>) {
        self.entries.lock().unwrap().push(Entry::Ended(state));
    }
}

/// Rows that pass one by one, then silence.
fn harness(folder: &Path, book: &Arc<Book>, then: Script) -> (Harness, Collected) {
    let script = vec![Script::Rows(rows(500)), silence(), Script::Rows(rows(1_000).slice(500, 500)), then];
    let collected = Collected::default();
    let mut harness = Harness::with_collected(Memory::default().with("rows", &COLUMNS, vec![script]), collected.clone());
    harness.state = Some(StateHome::new(Arc::new(FolderStore::open(folder).unwrap()), Duration::from_millis(10), false));
    harness.ledger = Some(book.clone());
    (harness, collected)
}

fn pipeline() -> Vec<NodeDecl> {
    vec![node("rows", "memory", &[], json!({ "event_time": "t", "max_delay": "10m" })), node("kept", "collect", &["rows"], json!({}))]
}

fn options() -> JobOptions {
    JobOptions { batch_rows: 50, ..JobOptions::default() }
}

async fn until(what: &str, check: impl Fn() -> bool) {
    let checking = async {
        while !check() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(20), checking).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

fn accepted(job: &JobHandle) -> u64 {
    job.figures().nodes[&"rows".into()].accepted
}

fn complete(job: &JobHandle) -> usize {
    job.figures().epochs.iter().filter(|epoch| epoch.outcome == EpochOutcome::Complete).count()
}

#[tokio::test]
async fn without_a_majority_epochs_wait_and_rows_go_on_and_with_one_each_is_entered_before_it_is_committed() {
    let (folder, book) = (tempfile::tempdir().unwrap(), Book::new(Group::HasNoMajority));
    let (harness, collected) = harness(folder.path(), &book, Script::Forever);
    let job = harness.start(pipeline(), options()).await;
    until("all rows pass", || accepted(&job) == 1_000).await;
    sleep(Duration::from_millis(100)).await;
    assert_eq!((complete(&job), collected.rows("kept"), book.entries()), (0, 0, vec![]));
    book.group.send_replace(Group::Agrees);
    until("epochs are complete", || complete(&job) > 2 && collected.rows("kept") == 1_000).await;
    job.stop(StopMode::Drain);
    assert_eq!(job.wait().await.state, RunState::Stopped);
    until("the end is entered", || book.entries().last() == Some(&Entry::Ended(RunState::Stopped))).await;
    let entries = book.entries();
    for pair in entries[..entries.len() - 1].chunks(2) {
        assert!(matches!(pair, [Entry::Complete(one), Entry::Committed(other)] if one == other), "{entries:?}");
    }
}

#[tokio::test]
async fn a_run_that_another_process_leads_now_ends_with_that_and_commits_nothing_more() {
    let (folder, book) = (tempfile::tempdir().unwrap(), Book::new(Group::Agrees));
    let (harness, _) = harness(folder.path(), &book, Script::Forever);
    let job = harness.start(pipeline(), options()).await;
    until("an epoch is complete", || complete(&job) > 0).await;
    book.group.send_replace(Group::IsLedByAnother);
    let outcome = job.wait().await;
    let cause = outcome.cause.unwrap();
    assert_eq!((outcome.state, cause.diagnostic.code.as_ref(), cause.retryable), (RunState::Failed, "MR0438", false));
    assert!(cause.diagnostic.message.contains("node b leads it"), "{}", cause.diagnostic.message);
    until("the end is told", || book.entries().last() == Some(&Entry::Ended(RunState::Failed))).await;
    let entries = book.entries();
    let newest = entries.iter().rev().find_map(|entry| if let Entry::Complete(epoch) = entry { Some(*epoch) } else { None });
    let committed = entries.iter().rev().find_map(|entry| if let Entry::Committed(epoch) = entry { Some(*epoch) } else { None });
    assert_eq!(committed, newest, "{entries:?}");
}

#[tokio::test]
async fn a_run_that_waits_for_a_majority_can_be_aborted() {
    let (folder, book) = (tempfile::tempdir().unwrap(), Book::new(Group::HasNoMajority));
    let (harness, collected) = harness(folder.path(), &book, Script::Forever);
    let job = harness.start(pipeline(), options()).await;
    until("all rows pass", || accepted(&job) == 1_000).await;
    job.stop(StopMode::Abort);
    let outcome = timeout(Duration::from_secs(10), job.wait()).await.expect("it ends");
    assert_eq!((outcome.state, collected.rows("kept")), (RunState::Stopped, 0));
}

#[tokio::test]
async fn a_run_that_goes_on_enters_the_epoch_that_it_goes_on_from_before_sinks_commit_it_again() {
    let (folder, first) = (tempfile::tempdir().unwrap(), Book::new(Group::HasNoMajority));
    let (before, collected) = harness(folder.path(), &first, Script::Break("pulled the plug"));
    let job = before.start(pipeline(), options()).await;
    // Its manifest is there, and nothing was entered of it.
    assert_eq!(job.wait().await.state, RunState::Failed);
    assert_eq!(collected.rows("kept"), 0);
    drop((job, before));

    let second = Book::new(Group::Agrees);
    let (after, _) = harness(folder.path(), &second, Script::Silence(Duration::ZERO));
    assert_eq!(after.run(pipeline(), options()).await.state, RunState::Finished);
    until("the end is entered", || second.entries().last() == Some(&Entry::Ended(RunState::Finished))).await;
    let entries = second.entries();
    assert!(matches!(entries[..2], [Entry::Complete(one), Entry::Committed(other)] if one == other), "{entries:?}");
}

#[tokio::test]
async fn a_run_that_goes_back_to_a_savepoint_enters_that_before_the_epoch_that_it_goes_on_from() {
    let (folder, book) = (tempfile::tempdir().unwrap(), Book::new(Group::Agrees));
    let (harness, _) = harness(folder.path(), &book, Script::Forever);
    let job = harness.start(pipeline(), options()).await;
    until("all rows pass", || accepted(&job) == 1_000).await;
    let name = SavepointName::new("before").unwrap();
    let kept = job.savepoint(name.clone()).await.unwrap();
    until("later epochs are entered", || book.entries().contains(&Entry::Complete(kept.epoch + 3))).await;
    let way = Way::Back { to: name, allow_rewind: true };
    let every = Duration::from_millis(10);
    let changed =
        job.replace(NewPipeline { plan: harness.plan(pipeline()).await, options: options(), every, team: None, way }).await.unwrap();
    assert_eq!(changed.epoch, kept.epoch);
    let entries = book.entries();
    let rewound = entries.iter().position(|entry| *entry == Entry::Rewound).unwrap();
    assert_eq!(entries[rewound + 1], Entry::Complete(kept.epoch), "{entries:?}");
    job.stop(StopMode::Drain);
    assert_eq!(job.wait().await.state, RunState::Stopped);
}
