//! Windows that tell early, correct themselves, and close when nothing comes: over real tasks, with a clock turned by hand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use millrace_model::NodeDecl;
use millrace_runtime::JobOptions;
use millrace_testkit::{Cell, Collected, Harness, ManualClock, Memory, Oracle, Script, Table, node};
use millrace_wire::figures::RunState;
use millrace_wire::message::StopMode;
use serde_json::{Value, json};

use crate::checkpoints::{LIVES, attempt_at, attempt_within, rows as checkpointed_rows, silence};
use crate::replay::settle;
use crate::windows::disordered;
use crate::{COLUMNS, rows};

const HOUR: i64 = 3_600_000_000;
const SECOND: i64 = 1_000_000;

/// What a changelog comes to: the last row of each key. A key that is not there must be inserted, one that is updated or deleted.
fn net(changes: &Table, key: &[&str]) -> Table {
    let place = |name: &str| changes.columns.iter().position(|column| column == name).expect("the column is there");
    let (op, key): (usize, Vec<usize>) = (place("__op"), key.iter().map(|name| place(name)).collect());
    assert_eq!(op, changes.columns.len() - 1, "__op is the last column");
    let mut last: BTreeMap<String, Vec<Cell>> = BTreeMap::new();
    for row in &changes.rows {
        let key = key.iter().map(|at| row[*at].to_string()).collect::<Vec<_>>().join(" | ");
        if row[op] == Cell::Text("-D".to_owned()) {
            assert!(last.remove(&key).is_some(), "what is deleted was there: {row:?}");
            continue;
        }
        let before = last.insert(key, row[..op].to_vec());
        assert_eq!(row[op], Cell::Text(if before.is_some() { "+U" } else { "+I" }.to_owned()), "{row:?}");
    }
    Table { columns: changes.columns[..op].to_vec(), rows: last.into_values().collect() }
}

#[tokio::test]
async fn what_is_told_last_equals_duckdb_at_any_parallelism_and_batch_size() {
    let data = disordered(21, 6_000);
    let oracle = Oracle::default();
    oracle.load("rows", &COLUMNS, std::slice::from_ref(&data)).run(&format!(
        "CREATE TABLE marked AS SELECT *, coalesce(we + {HOUR} <= wm, false) AS is_late FROM (SELECT *, epoch_us(t) -
           (epoch_us(t) % {HOUR} + {HOUR}) % {HOUR} + {HOUR} AS we,
           max(epoch_us(t)) OVER (ORDER BY rowid ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) - 600000000 AS wm FROM rows)"
    ));
    let windows = oracle.query(&format!(
        "SELECT make_timestamp(we - {HOUR}) AS window_start, make_timestamp(we) AS window_end, make_timestamp(we - 1) AS window_time, v,
           count(*) AS n, sum(k)::BIGINT AS total, string_agg(k::VARCHAR, ' ' ORDER BY t, k::VARCHAR) AS all_of_them
         FROM marked WHERE NOT is_late GROUP BY we, v"
    ));
    let late = oracle.query("SELECT k, v, t FROM marked WHERE is_late");
    assert!(late.rows.len() > 100 && windows.rows.len() > 250, "the data is worth the test");
    let aggregate = json!({ "n": "count(*)", "total": "sum(k)", "all_of_them": "string_agg(CAST(k AS VARCHAR), ' ')" });
    for emit in [json!("on_update"), json!({ "rows": 5, "every": "3ms" })] {
        for (parallelism, batch_rows) in [(1, 4096), (2, 64), (7, 1)] {
            let harness = Harness::new(Memory::default().with("rows", &COLUMNS, vec![vec![Script::Rows(data.clone())]]));
            let fields = json!({ "size": "1h", "by": ["v"], "allowed_lateness": "1h", "emit": emit, "aggregate": aggregate });
            let nodes = vec![
                node("rows", "memory", &[], json!({ "event_time": "t", "max_delay": "10m" })),
                node("hourly", "tumbling_window", &["rows"], fields),
                node("out", "collect", &["hourly"], json!({})),
                node("late", "collect", &["hourly.late"], json!({})),
            ];
            let outcome = harness.run(nodes, JobOptions { parallelism, batch_rows, ..JobOptions::default() }).await;
            assert_eq!((outcome.state, outcome.cause), (RunState::Finished, None), "{parallelism} tasks, {batch_rows} rows");
            let told = Table::from_frames(&harness.collected.frames("out"));
            assert!(told.rows.len() > windows.rows.len(), "there are corrections");
            windows.assert_same(&net(&told, &["window_start", "window_end", "v"]));
            late.assert_same(&Table::from_frames(&harness.collected.frames("late")));
            let hourly = &outcome.summary.nodes[&"hourly".into()];
            assert_eq!((hourly.rows_in, hourly.late), (6_000, late.rows.len() as u64));
            assert_eq!(hourly.rows_in, hourly.accepted + hourly.filtered + hourly.late + hourly.quarantined);
        }
    }
}

/// A window over rows that fall silent, run by a clock that is turned by hand.
async fn by_hand(script: Vec<Script>, kind: &str, fields: Value, parallelism: u32) -> (Harness, millrace_runtime::JobHandle, ManualClock) {
    let clock = ManualClock::default();
    let memory = Memory::default().with("rows", &COLUMNS, vec![script]).live();
    let harness = Harness::new(memory).with_clock(Arc::new(clock.clone()));
    let nodes = vec![
        node("rows", "memory", &[], json!({ "event_time": "t" })),
        node("window", kind, &["rows"], fields),
        node("kept", "collect", &["window"], json!({})),
        node("late", "collect", &["window.late"], json!({})),
    ];
    let job = harness.start(nodes, JobOptions { parallelism, ..JobOptions::default() }).await;
    (harness, job, clock)
}

#[tokio::test]
async fn an_interval_passes_by_the_clock_that_is_handed_in() {
    for (by, parallelism) in [(json!(["v"]), 2), (json!([]), 1)] {
        let keys = if by == json!([]) { 1 } else { 2 };
        let script = vec![
            Script::Rows(rows(&[(1, "a", SECOND), (2, "b", 2 * SECOND)])),
            Script::Silence(Duration::from_secs(12)),
            Script::Rows(rows(&[(3, "a", 3 * SECOND)])),
            Script::Forever,
        ];
        let fields = json!({ "by": by, "emit": { "every": "5s" }, "aggregate": { "n": "count(*)", "total": "sum(k)" } });
        let (harness, job, clock) = by_hand(script, "global_window", fields, parallelism).await;
        let told = || job.figures().nodes[&"kept".into()].accepted;
        assert_eq!(settle(told).await, 0);
        clock.advance(Duration::from_secs(5));
        assert_eq!(settle(told).await, keys, "what had rows");
        clock.advance(Duration::from_secs(5));
        assert_eq!(settle(told).await, keys, "nothing is new");
        clock.advance(Duration::from_secs(2));
        settle(|| job.figures().nodes[&"window".into()].accepted).await;
        clock.advance(Duration::from_secs(3));
        assert_eq!(settle(told).await, keys + 1, "one key has had a row");
        job.stop(StopMode::Drain);
        assert_eq!(job.wait().await.state, RunState::Stopped);
        let table = Table::from_frames(&harness.collected.frames("kept"));
        let last = table.rows.last().unwrap();
        let expected = if keys == 1 { [3, 6] } else { [2, 4] };
        assert_eq!(last[last.len() - 3..last.len() - 1], expected.map(Cell::Integer), "{table:?}");
    }
}

#[tokio::test]
async fn windows_of_a_stream_gone_quiet_close_and_what_comes_after_is_counted_apart() {
    let kinds = [
        ("tumbling_window", json!({ "size": "10s" })),
        ("hopping_window", json!({ "size": "10s", "slide": "10s", "emit": "on_update" })),
        ("session_window", json!({ "gap": "9s" })),
    ];
    for (kind, fields) in kinds {
        for (by, parallelism) in [(json!(["v"]), 2), (json!([]), 1)] {
            let mut fields = fields.clone();
            fields["by"] = by;
            fields["close_after_idle"] = json!("30s");
            fields["aggregate"] = json!({ "n": "count(*)" });
            let script = vec![
                Script::Rows(rows(&[(1, "a", SECOND), (2, "a", 2 * SECOND)])),
                Script::Silence(Duration::from_secs(20)),
                Script::Rows(rows(&[(3, "a", 3 * SECOND)])),
                Script::Silence(Duration::from_secs(40)),
                // Late by what was closed, not by their own watermark; then one in time.
                Script::Rows(rows(&[(4, "a", SECOND), (5, "a", 20 * SECOND)])),
                Script::Forever,
            ];
            let (harness, job, clock) = by_hand(script, kind, fields, parallelism).await;
            let told = || job.figures().nodes[&"kept".into()].accepted;
            let taken = || job.figures().nodes[&"window".into()].rows_in;
            assert_eq!((settle(taken).await, settle(told).await), (2, 0), "{kind}");
            clock.advance(Duration::from_secs(20));
            assert_eq!((settle(taken).await, settle(told).await), (3, 0), "{kind}");
            clock.advance(Duration::from_secs(20));
            assert_eq!(settle(told).await, 0, "{kind}: the silence began anew with the last row");
            clock.advance(Duration::from_secs(11));
            assert_eq!(settle(told).await, 1, "{kind}");
            clock.advance(Duration::from_secs(9));
            assert_eq!(settle(taken).await, 5, "{kind}");
            let window = job.figures().nodes[&"window".into()].clone();
            assert_eq!((window.accepted, window.late, window.late_after_idle), (4, 1, 1), "{kind}");
            clock.advance(Duration::from_secs(31));
            assert_eq!(settle(told).await, 2, "{kind}");
            job.stop(StopMode::Drain);
            assert_eq!(job.wait().await.state, RunState::Stopped);
            let late = Table::from_frames(&harness.collected.frames("late"));
            assert_eq!(late.rows.len(), 1, "{late:?}");
        }
    }
}

fn memory(then: &[Script]) -> Memory {
    let all = checkpointed_rows(3_000);
    let mut script = vec![Script::Rows(all.slice(0, 1_400)), silence()];
    script.extend(then.iter().cloned());
    script.push(Script::Rows(all.slice(1_400, 1_600)));
    Memory::default().with("rows", &COLUMNS, vec![script])
}

/// Fails twice and goes on, each time with other tasks: what is told last, and the late rows, are those of a run without a fault, and of
/// every key exactly one row inserts.
async fn outlives(kind: &str, fields: Value, key: &[&str]) {
    let nodes = || -> Vec<NodeDecl> {
        let mut fields = fields.clone();
        fields["aggregate"] = json!({
            "n": "count(*)", "sum": "sum(k)", "p90": "quantile(k, 0.9)", "texts": "string_agg(v, '|')", "list": "array_agg(k)",
            "about": "approx_count_distinct(k)", "near": "approx_quantile(k, 0.9)", "top": "approx_top_k(v, 2)",
        });
        vec![
            node("rows", "memory", &[], json!({ "event_time": "t", "max_delay": "1m" })),
            node("window", kind, &["rows"], fields),
            node("kept", "collect", &["window"], json!({})),
            node("late", "collect", &["window.late"], json!({})),
        ]
    };
    let told = |collected: &Collected| net(&Table::from_frames(&collected.frames("kept")), key);
    let (expected, folder) = (Collected::default(), tempfile::tempdir().unwrap());
    let reference = attempt_at(&folder.path().join("reference"), memory(&[]), &expected, 1, nodes()).await;
    assert_eq!((reference.state, reference.cause), (RunState::Finished, None), "{kind}");
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
            let (before, after) = (&reference.summary.nodes[&"window".into()], &outcome.summary.nodes[&"window".into()]);
            assert_eq!((before.rows_in, before.accepted, before.late), (after.rows_in, after.accepted, after.late), "{kind}");
        }
        told(&expected).assert_same(&told(&collected));
        let late = |collected: &Collected| Table::from_frames(&collected.frames("late"));
        late(&expected).assert_same(&late(&collected));
    }
}

#[tokio::test]
async fn windows_that_correct_themselves_outlive_their_process() {
    let key = ["window_start", "window_end", "v"];
    outlives("tumbling_window", json!({ "size": "5m", "by": ["v"], "allowed_lateness": "4m", "emit": "on_update" }), &key).await;
    let fields = json!({ "size": "10m", "slide": "4m", "by": ["v"], "allowed_lateness": "1m", "emit": { "rows": 7, "every": "10ms" } });
    outlives("hopping_window", fields, &key).await;
}

#[tokio::test]
async fn sessions_that_correct_themselves_outlive_their_process() {
    let fields = json!({ "gap": "20s", "by": ["v"], "allowed_lateness": "2m", "emit": { "rows": 9, "every": "20ms" } });
    outlives("session_window", fields, &["window_start", "window_end", "v"]).await;
    let fields = json!({ "gap": "2m", "by": ["k"], "allowed_lateness": "5m", "emit": "on_update" });
    outlives("session_window", fields, &["window_start", "window_end", "k"]).await;
}

#[tokio::test]
async fn a_global_window_outlives_its_process() {
    outlives("global_window", json!({ "by": ["v"], "emit": { "rows": 11 } }), &["v"]).await;
    outlives("global_window", json!({ "emit": { "rows": 100, "every": "5ms" } }), &[]).await;
}
