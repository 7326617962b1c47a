//! Rows of several inputs under each other: as DuckDB's UNION ALL, with the event time and the watermarks that windows need.

use millrace_model::DataType;
use millrace_testkit::{Memory, Oracle, Script, Table, node};
use polars::prelude::*;
use serde_json::json;

use crate::aggregates::run;
use crate::changelogs::{CHANGING, Change, changing, net, net_of_retractions, random_rows};
use crate::{COLUMNS, many, one};

const CUTS: [(u32, usize); 3] = [(1, 4096), (2, 64), (7, 500)];

#[tokio::test]
async fn columns_stand_in_the_order_of_the_first_input_in_the_wider_type() {
    let first = df! { "a" => [1i32, 2], "b" => [Some("x"), None], "c" => [true, false], "e" => [0.5f32, 1.5] }.unwrap();
    let second = df! { "e" => [i64::MAX, 7], "b" => [3i64, 4], "a" => [i64::MIN, 5], "c" => [7i32, 0] }.unwrap();
    use millrace_model::DataType as T;
    let columns = [("a", T::Integer), ("b", T::Varchar), ("c", T::Boolean), ("e", T::Float)];
    let others = [("e", T::BigInt), ("b", T::BigInt), ("a", T::BigInt), ("c", T::Integer)];
    let oracle = Oracle::default();
    oracle.load("one", &columns, std::slice::from_ref(&first)).load("two", &others, std::slice::from_ref(&second));
    let expected = oracle.query("SELECT * FROM one UNION ALL BY NAME SELECT * FROM two");
    for cut in CUTS {
        let memory = Memory::default().with("one", &columns, one(first.clone())).with("two", &others, one(second.clone()));
        let nodes = vec![
            node("one", "memory", &[], json!({})),
            node("two", "memory", &[], json!({})),
            node("all", "union", &["one", "two"], json!({})),
            node("kept", "collect", &["all"], json!({})),
        ];
        let (collected, summaries) = run(memory, nodes, cut).await;
        expected.assert_same(&Table::from_frames(&collected.frames("kept")));
        assert_eq!((summaries[2].rows_in, summaries[2].accepted), (4, 4));
    }
}

#[tokio::test]
async fn a_window_over_a_union_takes_every_row_that_was_in_time_and_those_alone() {
    let (early, late) = (many(4_000), many(7_000).slice(2_500, 4_500));
    let oracle = Oracle::default();
    oracle.load("rows", &COLUMNS, &[early.clone(), late.clone()]);
    let expected = oracle.query(
        "SELECT time_bucket(INTERVAL 10 MINUTE, t, TIMESTAMP '1970-01-01') AS window_start, window_start + INTERVAL 10 MINUTE AS window_end,
           window_end - INTERVAL 1 MICROSECOND AS window_time, k, count(*) AS n FROM rows GROUP BY ALL",
    );
    for cut in CUTS {
        let memory = Memory::default().with("early", &COLUMNS, one(early.clone())).with("late", &COLUMNS, one(late.clone()));
        let nodes = vec![
            node("early", "memory", &[], json!({ "event_time": "t" })),
            node("late", "memory", &[], json!({ "event_time": "t" })),
            node("all", "union", &["early", "late"], json!({})),
            node("windows", "tumbling_window", &["all"], json!({ "size": "10m", "by": ["k"], "aggregate": { "n": "count(*)" } })),
            node("kept", "collect", &["windows"], json!({})),
        ];
        let (collected, summaries) = run(memory, nodes, cut).await;
        expected.assert_same(&Table::from_frames(&collected.frames("kept")));
        assert_eq!((summaries[3].accepted, summaries[3].late), (8_500, 0));
    }
}

#[tokio::test]
async fn without_an_event_time_in_every_input_there_is_none() {
    let rows = many(300);
    let memory = Memory::default().with("timed", &COLUMNS, one(rows.clone())).with("plain", &COLUMNS, one(rows.clone()));
    let nodes = vec![
        node("timed", "memory", &[], json!({ "event_time": "t" })),
        node("plain", "memory", &[], json!({})),
        node("all", "union", &["timed", "plain"], json!({})),
        node("kept", "collect", &["all"], json!({})),
    ];
    let (collected, _) = run(memory, nodes, (2, 50)).await;
    assert_eq!(collected.rows("kept"), 600);
    assert!(collected.frames("kept").iter().all(|frame| frame.width() == COLUMNS.len()));
}

#[tokio::test]
async fn new_rows_join_those_that_take_others_back_and_an_aggregate_makes_sense_of_both() {
    let (changes, left) = changing(41, 2_000, Change::Retract);
    let plain = random_rows(42, 1_000).drop("op").unwrap();
    let oracle = Oracle::default();
    oracle.load("rows", &CHANGING[1..], &[left.drop("op").unwrap(), plain.clone()]);
    let (all, sums) = (oracle.query("SELECT * FROM rows"), oracle.query("SELECT v, count(*) AS n, max(k) AS most FROM rows GROUP BY v"));
    for cut in CUTS {
        let memory = Memory::default().with("changing", &CHANGING, one(changes.clone())).with("plain", &CHANGING[1..], one(plain.clone()));
        let nodes = vec![
            node("changing", "memory", &[], json!({ "event_time": "t" })),
            node("changes", "changelog", &["changing"], json!({})),
            node("plain", "memory", &[], json!({ "event_time": "t" })),
            node("all", "union", &["plain", "changes"], json!({})),
            node("sums", "aggregate", &["all"], json!({ "by": ["v"], "aggregate": { "n": "count(*)", "most": "max(k)" } })),
            node("kept", "collect", &["all"], json!({})),
            node("summed", "collect", &["sums"], json!({})),
        ];
        let (collected, _) = run(memory, nodes, cut).await;
        all.assert_same(&net_of_retractions(&collected.frames("kept")));
        sums.assert_same(&net(&collected.frames("summed"), &["v"]));
    }
}

/// Every pair of types: the one that DuckDB's UNION ALL gives, or none where we have it not.
#[test]
fn two_types_under_each_other_are_what_duckdb_makes_of_them() {
    let oracle = Oracle::default();
    for (a, b) in DataType::ALL.into_iter().flat_map(|a| DataType::ALL.into_iter().map(move |b| (a, b))) {
        let sql = format!("DESCRIBE SELECT NULL::{a} AS x UNION ALL SELECT NULL::{b}");
        let told = oracle.try_query(&sql).map(|table| table.rows[0][1].to_string().trim_matches('"').to_owned());
        match millrace_expr::stacked(a, b) {
            Some(both) => assert_eq!(told.as_deref(), Some(both.name()), "{a} over {b}"),
            // Of a number and a time DuckDB says one of the two, and then refuses the values of the other.
            None if a.is_temporal() != b.is_temporal() => {}
            None => assert!(told.as_deref().is_none_or(|told| DataType::parse(told).is_none()), "{a} over {b} is {told:?}"),
        }
    }
}

#[tokio::test]
async fn a_union_that_falls_silent_on_one_side_goes_on_from_its_checkpoint() {
    let rows = many(2_000);
    let script = |from: i64, fails: &[Script]| {
        let mut script = vec![Script::Rows(rows.slice(from, 500)), crate::checkpoints::silence()];
        script.extend(fails.iter().cloned());
        script.push(Script::Rows(rows.slice(from + 500, 500)));
        vec![script]
    };
    let memory = |fails: &[Script]| Memory::default().with("a", &COLUMNS, script(0, fails)).with("b", &COLUMNS, script(1_000, &[]));
    let nodes = || {
        vec![
            node("a", "memory", &[], json!({ "event_time": "t", "max_delay": "1h" })),
            node("b", "memory", &[], json!({ "event_time": "t", "max_delay": "1h" })),
            node("all", "union", &["a", "b"], json!({})),
            node("sums", "aggregate", &["all"], json!({ "by": ["k"], "aggregate": { "n": "count(*)" } })),
            node("kept", "collect", &["sums"], json!({})),
        ]
    };
    let oracle = Oracle::default();
    oracle.load("rows", &COLUMNS, std::slice::from_ref(&rows));
    let expected = oracle.query("SELECT k, count(*) AS n FROM rows GROUP BY k");
    let (collected, folder) = (millrace_testkit::Collected::default(), tempfile::tempdir().unwrap());
    for (parallelism, fails) in [(1, true), (3, true), (2, false)] {
        let fails = if fails { &[Script::Break("pulled the plug")][..] } else { &[] };
        crate::checkpoints::attempt_at(folder.path(), memory(fails), &collected, parallelism, nodes()).await;
    }
    expected.assert_same(&net(&collected.frames("kept"), &["k"]));
}
