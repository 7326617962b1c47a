//! Rows that make a node fail whatever is tried are found and set aside, if the pipeline allows it, and the rest is as if they had not been.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use millrace_model::{NodeDecl, NodeId};
use millrace_runtime::checkpoint::StateHome;
use millrace_runtime::{JobOptions, JobOutcome};
use millrace_state::store::FolderStore;
use millrace_testkit::{Collected, Harness, Memory, Script, Table, node};
use millrace_wire::figures::RunState;
use polars::prelude::*;
use serde_json::{Value, json};

use crate::COLUMNS;
use crate::checkpoints::rows;

/// The key that no row may have.
const POISON: i64 = 13;

const ROWS: i64 = 300;

fn pipeline(blow: Value) -> Vec<NodeDecl> {
    let windows = json!({ "size": "5m", "by": ["v"], "aggregate": { "n": "count(*)", "sum": "sum(k)" } });
    vec![
        node("rows", "memory", &[], json!({ "event_time": "t", "max_delay": "10m" })),
        node("blow", "explode", &["rows"], blow),
        node("windows", "tumbling_window", &["blow"], windows),
        node("kept", "collect", &["windows"], json!({})),
        node("late", "collect", &["windows.late"], json!({})),
        node("aside", "collect", &["rows.quarantined"], json!({})),
    ]
}

fn without_poison(frame: &DataFrame) -> DataFrame {
    let keeps = frame.column("k").unwrap().i64().unwrap().not_equal(POISON);
    frame.filter(&keeps).unwrap()
}

/// Three partitions.
fn memory(of: impl Fn(&DataFrame) -> DataFrame) -> Memory {
    let all = rows(ROWS);
    let third = ROWS / 3;
    let partitions = (0..3).map(|number| vec![Script::Rows(of(&all.slice(number * third, third as usize)))]).collect();
    Memory::default().with("rows", &COLUMNS, partitions)
}

async fn run(folder: &Path, memory: Memory, collected: &Collected, parallelism: u32, blow: Value, sets_aside: bool) -> JobOutcome {
    let mut harness = Harness::with_collected(memory, collected.clone());
    harness.state = Some(StateHome::new(Arc::new(FolderStore::open(folder).unwrap()), Duration::from_millis(10), false));
    harness.run(pipeline(blow), JobOptions { parallelism, batch_rows: 50, sets_aside, ..JobOptions::default() }).await
}

#[tokio::test]
async fn rows_that_make_a_node_fail_are_set_aside_after_three_tries_and_all_others_are_there_once() {
    for (parallelism, how) in [(1, "panic"), (3, "fail")] {
        let (expected, folder) = (Collected::default(), tempfile::tempdir().unwrap());
        let reference = run(&folder.path().join("reference"), memory(without_poison), &expected, parallelism, json!({}), true).await;
        assert_eq!((reference.state, reference.cause), (RunState::Finished, None));

        let collected = Collected::default();
        let blow = json!({ "at": POISON, "how": how });
        let outcome = run(folder.path(), memory(DataFrame::clone), &collected, parallelism, blow, true).await;
        assert_eq!((outcome.state, outcome.cause), (RunState::Finished, None));
        for node in ["kept", "late"] {
            Table::from_frames(&expected.frames(node)).assert_same(&Table::from_frames(&collected.frames(node)));
        }
        let (all, poisoned) = (ROWS as u64, ROWS as usize - without_poison(&rows(ROWS)).height());
        let source = outcome.summary.nodes.get(&NodeId::new("rows")).unwrap();
        assert_eq!((source.rows_in, source.accepted, source.quarantined), (all, all - poisoned as u64, poisoned as u64));
        let aside = collected.frames("aside");
        let texts = |column: &str| -> Vec<String> {
            let columns = aside.iter().map(|frame| frame.column(column).unwrap().str().unwrap().clone());
            columns.flat_map(|texts| texts.iter().flatten().map(str::to_owned).collect::<Vec<String>>()).collect()
        };
        assert_eq!(texts("__raw").len(), poisoned);
        assert!(texts("__raw").iter().all(|raw| raw.starts_with("{\"k\":13,")), "{:?}", texts("__raw"));
        assert!(texts("__reason").iter().all(|reason| reason.starts_with("makes blow fail, set aside after three tries: ")));
        let third = ROWS / 3;
        let places = |place: usize| rows(ROWS).slice(third * place as i64, third as usize);
        for (source, position) in texts("__source").iter().zip(texts("__position")) {
            let partition: usize = source.strip_prefix("rows/").unwrap().parse().unwrap();
            let row: usize = position.strip_prefix("row ").unwrap().parse().unwrap();
            assert_eq!(places(partition).column("k").unwrap().i64().unwrap().get(row), Some(POISON), "{source} {position}");
        }
    }
}

#[tokio::test]
async fn rows_that_follow_each_other_are_found_one_by_one() {
    let mut all = rows(200);
    let keys = all.column("k").unwrap().i64().unwrap().clone();
    let keys = keys.iter().enumerate().map(|(row, key)| if (90..95).contains(&row) { Some(POISON) } else { key });
    all.with_column(Column::new("k".into(), keys.collect::<Vec<_>>())).unwrap();
    let poisoned = all.height() - without_poison(&all).height();
    let (folder, collected) = (tempfile::tempdir().unwrap(), Collected::default());
    let memory = Memory::default().with("rows", &COLUMNS, vec![vec![Script::Rows(all)]]);
    let outcome = run(folder.path(), memory, &collected, 1, json!({ "at": POISON, "how": "fail" }), true).await;
    assert_eq!((outcome.state, outcome.cause), (RunState::Finished, None));
    let source = outcome.summary.nodes.get(&NodeId::new("rows")).unwrap();
    assert_eq!((source.rows_in, source.quarantined), (200, poisoned as u64));
}

#[tokio::test]
async fn a_pipeline_that_does_not_allow_it_fails_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = run(folder.path(), memory(DataFrame::clone), &Collected::default(), 2, json!({ "at": POISON }), false).await;
    let cause = outcome.cause.unwrap().diagnostic;
    assert_eq!((outcome.state, cause.code.as_ref()), (RunState::Failed, "MR0404"));
}

#[tokio::test]
async fn a_failure_that_is_in_no_row_stands_and_says_so() {
    let (folder, collected) = (tempfile::tempdir().unwrap(), Collected::default());
    let script = vec![Script::Rows(rows(200)), Script::Panic("the file is haunted")];
    let memory = Memory::default().with("rows", &COLUMNS, vec![script]);
    let outcome = run(folder.path(), memory, &collected, 1, json!({}), true).await;
    let cause = outcome.cause.unwrap().diagnostic;
    assert_eq!((outcome.state, cause.code.as_ref()), (RunState::Failed, "MR0404"));
    assert!(cause.message.contains("the file is haunted"), "{}", cause.message);
    assert!(cause.help.iter().any(|help| help.contains("no row read")), "{:?}", cause.help);
    assert!(collected.frames("aside").is_empty());
}
