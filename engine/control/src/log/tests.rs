//! The log against a model in memory, through reopenings and torn writes.

use std::fs;
use std::path::{Path, PathBuf};

use openraft::entry::RaftEntry;
use openraft::storage::RaftLogStorage;
use openraft::{CommittedLeaderId, EntryPayload};
use proptest::prelude::*;
use tokio::sync::watch;

use super::records::{Known, Record};
use super::segments::Segments;
use super::store::LogStore;
use crate::config::{Entry, LogId, Vote};
use crate::control::{Command, Generation, Source};
use crate::error::{ControlError, ControlResult};
use crate::machine::OnDisk;
use crate::place::Place;

const SEGMENT_BYTES: u64 = 1 << 20;

fn open(folder: &Path) -> ControlResult<(Segments, Known)> {
    Segments::open(&Place::on_system(folder), SEGMENT_BYTES)
}

fn log_id(index: u64) -> LogId {
    LogId { leader_id: CommittedLeaderId::new(1, 0), index }
}

fn entries(range: std::ops::Range<u64>) -> Record {
    Record::Entries(range.map(|index| Entry::new_blank(log_id(index))).collect())
}

/// An entry of about so many bytes.
fn large(index: u64, bytes: usize) -> Record {
    let source = Source { text: "x".repeat(bytes), ..Source::default() };
    let command = Command::Deploy { name: "p".into(), generation: Generation(0), source };
    Record::Entries(vec![Entry { log_id: log_id(index), payload: EntryPayload::Normal(command) }])
}

fn reopened(folder: &Path) -> Known {
    open(folder).unwrap().1
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn same(one: &Known, other: &Known) {
    assert_eq!(one.head, other.head);
    let indexes = |known: &Known| known.entries.keys().copied().collect::<Vec<_>>();
    assert_eq!(indexes(one), indexes(other));
}

#[test]
fn what_was_written_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (mut segments, _) = open(folder.path()).unwrap();
    let mut model = Known::default();
    let written = [
        entries(0..5),
        Record::Vote(Vote::new(3, 7)),
        Record::Truncate(3),
        entries(3..9),
        Record::Committed(Some(log_id(4))),
        Record::Purge(log_id(2)),
    ];
    for record in written {
        segments.write(std::slice::from_ref(&record)).unwrap();
        model.take(record);
    }
    drop(segments);
    same(&reopened(folder.path()), &model);
    assert_eq!(model.last(), Some(log_id(8)));
}

#[test]
fn a_torn_write_is_cut_off_and_the_next_one_follows_what_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (mut segments, _) = open(folder.path()).unwrap();
    segments.write(&[entries(0..3)]).unwrap();
    let whole = fs::metadata(&files(folder.path())[0]).unwrap().len();
    segments.write(&[entries(3..6)]).unwrap();
    drop(segments);
    let bytes = fs::read(&files(folder.path())[0]).unwrap();
    for cut in whole..bytes.len() as u64 {
        fs::write(&files(folder.path())[0], &bytes[..usize::try_from(cut).unwrap()]).unwrap();
        let (mut segments, known) = open(folder.path()).unwrap();
        assert_eq!(known.last(), Some(log_id(2)));
        segments.write(&[entries(3..4)]).unwrap();
        drop(segments);
        assert_eq!(reopened(folder.path()).last(), Some(log_id(3)));
    }
}

#[test]
fn a_byte_that_rotted_before_the_end_is_damage_and_no_torn_write() {
    let folder = tempfile::tempdir().unwrap();
    let (mut segments, _) = open(folder.path()).unwrap();
    segments.write(&[entries(0..3)]).unwrap();
    segments.write(&[entries(3..6)]).unwrap();
    let whole = fs::metadata(&files(folder.path())[0]).unwrap().len();
    segments.write(&[entries(6..9)]).unwrap();
    drop(segments);
    let bytes = fs::read(&files(folder.path())[0]).unwrap();
    for at in 0..usize::try_from(whole).unwrap() {
        let mut rotten = bytes.clone();
        rotten[at] ^= 4;
        fs::write(&files(folder.path())[0], rotten).unwrap();
        let error = open(folder.path()).unwrap_err();
        assert!(matches!(error, ControlError::Damaged { .. }), "byte {at}: {error}");
    }
}

#[test]
fn segments_go_once_a_snapshot_has_what_they_hold() {
    let folder = tempfile::tempdir().unwrap();
    let (mut segments, _) = open(folder.path()).unwrap();
    segments.write(&[Record::Vote(Vote::new(3, 7))]).unwrap();
    for index in 0..20 {
        segments.write(&[large(index, 300 << 10)]).unwrap();
        if index >= 4 {
            segments.write(&[Record::Purge(log_id(index - 4))]).unwrap();
        }
    }
    drop(segments);
    let bytes: u64 = files(folder.path()).iter().map(|file| fs::metadata(file).unwrap().len()).sum();
    assert!(bytes < 4 * SEGMENT_BYTES, "{bytes} bytes are kept of 6 MB");
    let known = reopened(folder.path());
    assert_eq!((known.head.vote, known.head.purged, known.last()), (Some(Vote::new(3, 7)), Some(log_id(15)), Some(log_id(19))));
}

#[test]
fn a_segment_that_is_missing_in_between_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let (mut segments, _) = open(folder.path()).unwrap();
    (0..12).for_each(|index| segments.write(&[large(index, 300 << 10)]).unwrap());
    drop(segments);
    assert!(files(folder.path()).len() > 2);
    fs::remove_file(&files(folder.path())[1]).unwrap();
    assert!(matches!(open(folder.path()), Err(ControlError::Damaged { .. })));
}

#[test]
fn a_segment_that_was_only_begun_is_begun_again() {
    let folder = tempfile::tempdir().unwrap();
    let (mut segments, _) = open(folder.path()).unwrap();
    segments.write(&[entries(0..3)]).unwrap();
    drop(segments);
    fs::write(folder.path().join(format!("log-{:016x}", 1)), b"MRCL half a header").unwrap();
    let (mut segments, known) = open(folder.path()).unwrap();
    assert_eq!(known.last(), Some(log_id(2)));
    segments.write(&[entries(3..4)]).unwrap();
    drop(segments);
    assert_eq!((reopened(folder.path()).last(), files(folder.path()).len()), (Some(log_id(3)), 1));
}

#[tokio::test]
async fn nothing_goes_from_the_log_before_it_is_in_a_snapshot_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let log = LogStore::open(&Place::on_system(folder.path()), SEGMENT_BYTES).unwrap();
    let on_disk = watch::Sender::new(OnDisk::Upto(Some(log_id(4))));
    let mut log = log.behind(on_disk.subscribe());
    log.purge(log_id(4)).await.unwrap();
    let mut later = log.clone();
    let purging = tokio::spawn(async move { later.purge(log_id(9)).await });
    // It waits: the snapshot of these entries is not there yet.
    tokio::task::yield_now().await;
    assert!(!purging.is_finished());
    assert_eq!(log.view().look(|known| known.head.purged), Some(log_id(4)));
    on_disk.send_replace(OnDisk::Upto(Some(log_id(9))));
    purging.await.unwrap().unwrap();
    assert_eq!(log.view().look(|known| known.head.purged), Some(log_id(9)));
    on_disk.send_replace(OnDisk::Failed);
    assert!(log.purge(log_id(12)).await.is_err(), "there will be no snapshot");
}

#[derive(Debug, Clone)]
enum Step {
    Append(u64),
    Large,
    Truncate(u64),
    Purge(u64),
    Vote(u64),
    Reopen { torn: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1u64..5).prop_map(Step::Append),
        2 => Just(Step::Large),
        1 => (0u64..4).prop_map(Step::Truncate),
        2 => (0u64..6).prop_map(Step::Purge),
        1 => (1u64..9).prop_map(Step::Vote),
        2 => (0usize..60).prop_map(|torn| Step::Reopen { torn }),
    ]
}

/// The record that a step asks for of a log in this state.
fn record(step: &Step, known: &Known) -> Option<Record> {
    let (next, first) = (known.last().map_or(0, |last| last.index + 1), known.head.purged.map_or(0, |purged| purged.index + 1));
    match step {
        Step::Append(count) => Some(entries(next..next + count)),
        Step::Large => Some(large(next, 400 << 10)),
        Step::Truncate(back) => Some(Record::Truncate(next.saturating_sub(*back).max(first))),
        Step::Purge(ahead) => (first + ahead < next).then(|| Record::Purge(log_id(first + ahead))),
        Step::Vote(term) => Some(Record::Vote(Vote::new(*term, 1))),
        Step::Reopen { .. } => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn through_any_writes_and_restarts_it_holds_what_a_model_holds(steps in prop::collection::vec(step(), 1..60)) {
        let folder = tempfile::tempdir().unwrap();
        let (mut segments, mut model) = open(folder.path()).unwrap();
        for step in steps {
            if let Step::Reopen { torn } = step {
                let next = segments.next_frame;
                drop(segments);
                // What was being written when the process died.
                let last = files(folder.path()).pop().unwrap();
                let mut bytes = fs::read(&last).unwrap();
                bytes.extend_from_slice(&super::frame::encode(next, &[7; 40])[..torn]);
                fs::write(&last, &bytes).unwrap();
                let (opened, known) = open(folder.path()).unwrap();
                same(&known, &model);
                segments = opened;
            }
            if let Some(record) = record(&step, &model) {
                segments.write(std::slice::from_ref(&record)).unwrap();
                model.take(record);
            }
        }
        drop(segments);
        same(&reopened(folder.path()), &model);
    }
}
