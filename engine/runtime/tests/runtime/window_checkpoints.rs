//! Every kind of window and every aggregate goes on from an epoch, at another parallelism, with the results of a run that did not fail.

use millrace_model::{DataType, NodeDecl};
use millrace_testkit::{Collected, Memory, Script, Table, node};
use millrace_wire::figures::RunState;
use serde_json::{Value, json};

use crate::COLUMNS;
use crate::checkpoints::{LIVES, attempt_at, attempt_within, rows, silence};

/// One partition: a key's rows keep their order, which count windows and sessions tell apart. The first run sees but a part of them.
fn memory(then: &[Script]) -> Memory {
    let rows = rows(3_000);
    let mut script = vec![Script::Rows(rows.slice(0, 1_400)), silence()];
    script.extend(then.iter().cloned());
    script.push(Script::Rows(rows.slice(1_400, 1_600)));
    Memory::default().with("rows", &COLUMNS, vec![script])
}

fn aggregate() -> Value {
    json!({
        "n": "count(*)", "many": "count(*) FILTER (WHERE k > 50)", "sum": "sum(k)", "float_sum": "sum(k / 3)", "mean": "avg(k)",
        "once": "sum(DISTINCT k)", "mean_once": "avg(DISTINCT k / 7)", "least": "min(v)", "most": "max(k)", "spread": "stddev(k)",
        "variance": "variance(k)", "middle": "median(k)", "p90": "quantile(k, 0.9)", "kinds": "count_distinct(v)",
        "numbers": "count_distinct(k)", "usual": "mode(k)", "usual_text": "mode(v)", "first": "first(k)", "last_text": "last(v)",
        "lowest": "arg_min(v, k)", "highest": "arg_max(k, k % 7)", "all_high": "bool_and(k > 3)", "any_high": "bool_or(k > 90)",
        "texts": "string_agg(v, '|')", "list": "array_agg(k) FILTER (WHERE k > 90)", "kinds_in_order": "string_agg(DISTINCT v, ',')",
        "about": "approx_count_distinct(k)", "near": "approx_quantile(k, 0.9)", "top": "approx_top_k(v, 2)", "top_keys": "approx_top_k(k, 3)",
    })
}

fn pipeline(kind: &str, mut fields: Value) -> Vec<NodeDecl> {
    fields["aggregate"] = aggregate();
    vec![
        node("rows", "memory", &[], json!({ "event_time": "t", "max_delay": "10m" })),
        node("window", kind, &["rows"], fields),
        node("kept", "collect", &["window"], json!({})),
        node("late", "collect", &["window.late"], json!({})),
    ]
}

fn tables(collected: &Collected) -> Vec<Table> {
    ["kept", "late"].iter().map(|node| Table::from_frames(&collected.frames(node))).collect()
}

/// Fails twice and goes on, each time with other tasks; the results and the counts are those of a run without a fault.
async fn outlives(kind: &str, fields: Value) {
    let (expected, folder) = (Collected::default(), tempfile::tempdir().unwrap());
    let nodes = || pipeline(kind, fields.clone());
    let reference = attempt_at(&folder.path().join("reference"), memory(&[]), &expected, 1, nodes()).await;
    assert_eq!((reference.state, reference.cause), (RunState::Finished, None), "{kind}");
    assert!(expected.rows("kept") > 20, "the data is worth the test: {} rows of {kind}", expected.rows("kept"));
    for (bounds, parallelism) in LIVES {
        let (collected, folder) = (Collected::default(), tempfile::tempdir().unwrap());
        for (attempt, parallelism) in parallelism.into_iter().enumerate() {
            let fails = if attempt < 2 { &[Script::Break("pulled the plug")][..] } else { &[] };
            let outcome = attempt_within(bounds(), folder.path(), memory(fails), &collected, parallelism, nodes()).await;
            if attempt < 2 {
                assert_eq!((outcome.state, outcome.cause.unwrap().diagnostic.code.as_ref()), (RunState::Failed, "MR0598"), "{kind}");
                continue;
            }
            assert_eq!((outcome.state, outcome.cause), (RunState::Finished, None), "{kind}");
            assert_eq!(outcome.summary.nodes, reference.summary.nodes, "the counts of {kind} go on");
        }
        for (expected, found) in tables(&expected).iter().zip(tables(&collected)) {
            expected.assert_same(&found);
        }
    }
}

#[tokio::test]
async fn overlapping_windows_outlive_their_process() {
    outlives("hopping_window", json!({ "size": "10m", "slide": "4m", "by": ["v"], "allowed_lateness": "1m" })).await;
    outlives("hopping_window", json!({ "size": "10m", "slide": "1m" })).await;
}

#[tokio::test]
async fn cumulating_windows_outlive_their_process() {
    outlives("cumulate_window", json!({ "size": "1h", "step": "5m", "by": ["v"] })).await;
}

#[tokio::test]
async fn windows_of_the_local_calendar_outlive_their_process() {
    outlives("tumbling_window", json!({ "size": "30m", "time_zone": "America/New_York", "by": ["k"] })).await;
}

#[tokio::test]
async fn overlapping_and_growing_windows_of_the_local_calendar_outlive_their_process() {
    outlives("hopping_window", json!({ "size": "3d", "slide": "1d", "time_zone": "America/New_York", "by": ["k"] })).await;
    outlives("cumulate_window", json!({ "size": "1d", "step": "15m", "time_zone": "America/New_York", "by": ["v"] })).await;
}

#[tokio::test]
async fn sessions_outlive_their_process() {
    outlives("session_window", json!({ "gap": "2m", "by": ["k"], "allowed_lateness": "30s" })).await;
    outlives("session_window", json!({ "gap": "12m", "by": ["k", "v"] })).await;
}

#[tokio::test]
async fn count_windows_outlive_their_process() {
    outlives("count_window", json!({ "rows": 6, "slide": 4, "by": ["k"] })).await;
    outlives("count_window", json!({ "rows": 25, "by": ["v"] })).await;
    outlives("count_window", json!({ "rows": 100, "slide": 30 })).await;
}

/// The same rows with the key in another type.
fn keyed_by(data_type: DataType, then: &[Script]) -> Memory {
    let mut rows = rows(3_000);
    let key = rows.column("k").unwrap().cast(&millrace_expr::to_polars(data_type)).unwrap();
    rows.with_column(key).unwrap();
    let mut script = vec![Script::Rows(rows.slice(0, 1_400)), silence()];
    script.extend(then.iter().cloned());
    script.push(Script::Rows(rows.slice(1_400, 1_600)));
    let columns = COLUMNS.map(|(name, of)| if name == "k" { (name, data_type) } else { (name, of) });
    Memory::default().with("rows", &columns, vec![script])
}

fn by_the_key(kind: &str, size: &str) -> Vec<NodeDecl> {
    let aggregate = json!({ "n": "count(k)", "sum": "sum(k)", "mean": "avg(k)", "least": "min(k)", "most": "max(k)" });
    vec![
        node("rows", "memory", &[], json!({ "event_time": "t", "max_delay": "10m" })),
        node("window", kind, &["rows"], json!({ size: "40m", "by": ["k"], "aggregate": aggregate })),
        node("kept", "collect", &["window"], json!({})),
    ]
}

#[tokio::test]
async fn a_key_that_was_widened_keeps_its_state_at_any_parallelism() {
    for (kind, size) in [("tumbling_window", "size"), ("session_window", "gap")] {
        let (expected, folder) = (Collected::default(), tempfile::tempdir().unwrap());
        let nodes = || by_the_key(kind, size);
        let reference = attempt_at(&folder.path().join("reference"), keyed_by(DataType::BigInt, &[]), &expected, 1, nodes()).await;
        assert_eq!((reference.state, reference.cause), (RunState::Finished, None), "{kind}");
        for parallelism in [[3, 2], [1, 3]] {
            let (collected, folder) = (Collected::default(), tempfile::tempdir().unwrap());
            let breaks = keyed_by(DataType::Integer, &[Script::Break("pulled the plug")]);
            let outcome = attempt_at(folder.path(), breaks, &collected, parallelism[0], nodes()).await;
            assert_eq!(outcome.cause.unwrap().diagnostic.code.as_ref(), "MR0598", "{kind}");
            let outcome = attempt_at(folder.path(), keyed_by(DataType::BigInt, &[]), &collected, parallelism[1], nodes()).await;
            assert_eq!((outcome.state, outcome.cause), (RunState::Finished, None), "{kind}");
            assert_eq!(outcome.summary.nodes, reference.summary.nodes, "the counts of {kind} go on");
            Table::from_frames(&expected.frames("kept")).assert_same(&Table::from_frames(&collected.frames("kept")));
        }
    }
}

#[tokio::test]
async fn a_key_of_a_type_that_its_state_does_not_fit_is_refused_by_its_name() {
    let (collected, folder) = (Collected::default(), tempfile::tempdir().unwrap());
    let nodes = || by_the_key("tumbling_window", "size");
    let breaks = keyed_by(DataType::Integer, &[Script::Break("pulled the plug")]);
    attempt_at(folder.path(), breaks, &collected, 2, nodes()).await;
    let cause = attempt_at(folder.path(), keyed_by(DataType::Double, &[]), &collected, 3, nodes()).await.cause.unwrap();
    let said = cause.diagnostic.to_string();
    assert!(said.contains("MR0423") && said.contains("key `k` was INTEGER, and is DOUBLE now"), "{said}");
}
