//! Random pipelines over random disordered data: the same results and the same late rows as DuckDB's, at any parallelism and batch size, and
//! after a failure in the middle that goes on at another parallelism; from memory and from disk.
//!
//! [`drawn`] draws a description; [`pipeline`] makes nodes and scripts of it, [`answer`] makes SQL of it by itself. The two share nothing
//! but the description.

mod answer;
mod drawn;
mod pipeline;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use millrace_runtime::checkpoint::StateHome;
use millrace_runtime::memory::StateMemory;
use millrace_runtime::{JobOptions, JobOutcome};
use millrace_state::store::FolderStore;
use millrace_testkit::{Cell, Collected, Harness, Script, Table};
use millrace_wire::figures::RunState;
use proptest::prelude::*;
use proptest::strategy::ValueTree;

use answer::Answer;
use drawn::Drawn;

/// The numbers here have few digits. Where the answer is 0, rounding on the way (a quantile between -1 and 1) has no relative size.
fn without_traces(mut table: Table) -> Table {
    for cell in table.rows.iter_mut().flatten() {
        if matches!(cell, Cell::Float(value) if value.abs() < 1e-9) {
            *cell = Cell::Float(0.0);
        }
    }
    table
}

/// Holds what a run gave to DuckDB's answer.
fn holds(answer: &Answer, outcome: &JobOutcome, collected: &Collected, what: &str) {
    assert_eq!((outcome.state, &outcome.cause), (RunState::Finished, &None), "{what}");
    for (node, expected) in [("out", &answer.windows), ("late", &answer.late)] {
        let got = without_traces(Table::from_frames(&collected.frames(node)));
        assert_eq!(expected.rows.len(), got.rows.len(), "{what}: rows of `{node}`\nexpected: {expected:#?}\n got: {got:#?}");
        if !got.rows.is_empty() {
            expected.assert_same(&got);
        }
    }
    let window = &outcome.summary.nodes[&"window".into()];
    assert_eq!(window.rows_in, window.accepted + window.filtered + window.late + window.quarantined, "{what}");
    assert_eq!(window.late, answer.late.rows.len() as u64, "{what}");
}

fn options(drawn: &Drawn, parallelism: u32) -> JobOptions {
    JobOptions { parallelism, batch_rows: drawn.batch_rows, ..JobOptions::default() }
}

/// From disk everything that can go there does.
fn memory(is_on_disk: bool) -> StateMemory {
    if is_on_disk { StateMemory::of_machine(1 << 40, Some(0)) } else { StateMemory::default() }
}

async fn straight(drawn: &Drawn, parallelism: u32, is_on_disk: bool) -> (JobOutcome, Collected) {
    let mut harness = Harness::new(pipeline::memory(drawn, &[]));
    harness.data = harness.data.with_memory(memory(is_on_disk));
    let outcome = harness.run(pipeline::nodes(drawn), options(drawn, parallelism)).await;
    (outcome, harness.collected)
}

async fn attempt(drawn: &Drawn, folder: &Path, collected: &Collected, parallelism: u32, then: &[Script], is_on_disk: bool) -> JobOutcome {
    let mut harness = Harness::with_collected(pipeline::memory(drawn, then), collected.clone());
    harness.data = harness.data.with_memory(memory(is_on_disk));
    let store = Arc::new(FolderStore::open(folder).unwrap());
    harness.state = Some(StateHome::new(store, Duration::from_millis(5), false));
    harness.run(pipeline::nodes(drawn), options(drawn, parallelism)).await
}

/// Fails in the middle at one parallelism, and goes on at another.
async fn restored(drawn: &Drawn, parallelism: [u32; 2], is_on_disk: bool) -> (JobOutcome, Collected) {
    let (collected, folder) = (Collected::default(), tempfile::tempdir().unwrap());
    let pause = Script::Silence(Duration::from_millis(25));
    let failed = attempt(drawn, folder.path(), &collected, parallelism[0], &[pause, Script::Break("pulled the plug")], is_on_disk).await;
    assert_eq!(failed.cause.unwrap().diagnostic.code.as_ref(), "MR0598");
    let outcome = attempt(drawn, folder.path(), &collected, parallelism[1], &[], is_on_disk).await;
    (outcome, collected)
}

fn equals_duckdb(drawn: &Drawn) {
    let mut answer = answer::of(drawn);
    answer.windows = without_traces(answer.windows);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for (parallelism, is_on_disk) in [(1, false), (3, false), (if drawn.goes_wide { 1 } else { 3 }, true)] {
            let (outcome, collected) = straight(drawn, parallelism, is_on_disk).await;
            holds(&answer, &outcome, &collected, &format!("{parallelism} tasks, on disk: {is_on_disk}"));
        }
        for is_on_disk in [false, true] {
            let (outcome, collected) = restored(drawn, if drawn.goes_wide { [1, 3] } else { [3, 1] }, is_on_disk).await;
            holds(&answer, &outcome, &collected, &format!("restored, on disk: {is_on_disk}"));
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn random_pipelines_over_random_data_equal_duckdb(drawn in drawn::pipelines()) {
        equals_duckdb(&drawn);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    #[ignore = "a long proof: make prove"]
    fn five_hundred_random_pipelines_over_random_data_equal_duckdb(drawn in drawn::pipelines()) {
        equals_duckdb(&drawn);
    }
}

/// What is drawn has something to get wrong: windows of every kind, rows that are late, results to compare.
#[test]
fn the_draws_are_worth_the_test() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut kinds, mut with_late, mut with_results) = (std::collections::BTreeSet::new(), 0, 0);
    for _ in 0..60 {
        let drawn = drawn::pipelines().new_tree(&mut runner).unwrap().current();
        let answer = answer::of(&drawn);
        kinds.insert(pipeline::nodes(&drawn)[3].kind.clone());
        with_late += usize::from(answer.late.rows.len() > 1);
        with_results += usize::from(answer.windows.rows.len() > 5);
    }
    assert!(kinds.len() == 5 && with_late >= 15 && with_results >= 40, "{kinds:?}, late {with_late}, results {with_results}");
}
