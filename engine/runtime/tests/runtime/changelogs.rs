//! Rows that change: made at random, folded in SQL to what they come to, and handed on by nodes that look at one row at a time.

use millrace_model::DataType;
use millrace_testkit::{Memory, Oracle, Table, node};
use polars::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

use crate::aggregates::run;
use crate::one;

/// What each row does, then an id, a number, a text, a float and a time; all but the id may be NULL.
pub const CHANGING: [(&str, DataType); 6] = [
    ("op", DataType::Varchar),
    ("id", DataType::BigInt),
    ("k", DataType::BigInt),
    ("v", DataType::Varchar),
    ("f", DataType::Double),
    ("t", DataType::Timestamp),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Retract,
    /// By `id`.
    Upsert,
}

type Row = (i64, Option<i64>, Option<&'static str>, Option<f64>, i64);

fn random_row(random: &mut StdRng, id: i64, at: i64) -> Row {
    let texts = ["", "JFK", "LGA", "a text of more than twelve bytes", "é"];
    let floats = [0.1, -0.25, 12.75, 3.5, -7.125, 1e-3];
    let maybe = |random: &mut StdRng| random.random_bool(0.9);
    let number = maybe(random).then(|| random.random_range(-50..50));
    let text = maybe(random).then(|| texts[random.random_range(0..texts.len())]);
    let float = maybe(random).then(|| floats[random.random_range(0..floats.len())]);
    // Disordered by up to 5 minutes.
    (id, number, text, float, at * 1_000_000 - random.random_range(0..300_000_000))
}

fn frame(rows: &[(&str, Row)]) -> DataFrame {
    let times: Vec<i64> = rows.iter().map(|(_, row)| row.4).collect();
    let times = Series::new("t".into(), times).cast(&polars::prelude::DataType::Datetime(TimeUnit::Microseconds, None)).unwrap();
    let mut frame = df! {
        "op" => rows.iter().map(|(op, _)| *op).collect::<Vec<_>>(),
        "id" => rows.iter().map(|(_, row)| row.0).collect::<Vec<_>>(),
        "k" => rows.iter().map(|(_, row)| row.1).collect::<Vec<_>>(),
        "v" => rows.iter().map(|(_, row)| row.2).collect::<Vec<_>>(),
        "f" => rows.iter().map(|(_, row)| row.3).collect::<Vec<_>>(),
    }
    .unwrap();
    frame.with_column(times.into_column()).unwrap();
    frame
}

/// Rows that are all new.
pub fn random_rows(seed: u64, count: i64) -> DataFrame {
    let random = &mut StdRng::seed_from_u64(seed);
    let rows: Vec<(&str, Row)> = (0..count).map(|n| ("+I", random_row(random, n, n))).collect();
    frame(&rows)
}

/// Rows of which later ones change earlier ones, and those that are left.
pub fn changing(seed: u64, count: usize, change: Change) -> (DataFrame, DataFrame) {
    let random = &mut StdRng::seed_from_u64(seed);
    let mut there: Vec<Row> = Vec::new();
    let mut rows: Vec<(&str, Row)> = Vec::new();
    let mut next = 0;
    while rows.len() < count {
        let at = rows.len() as i64;
        let chosen = if there.is_empty() { None } else { Some(random.random_range(0..there.len())) };
        match (random.random_range(0..10), chosen) {
            (0..3, Some(chosen)) => {
                let gone = there.swap_remove(chosen);
                rows.push(("-D", if change == Change::Upsert { (gone.0, None, None, None, at * 1_000_000) } else { gone }));
            }
            (3..7, Some(chosen)) => {
                let old = there[chosen];
                there[chosen] = random_row(random, old.0, at);
                if change == Change::Retract {
                    rows.push(("-U", old));
                }
                rows.push(("+U", there[chosen]));
            }
            _ => {
                there.push(random_row(random, next, at));
                rows.extend(there.last().map(|row| ("+I", *row)));
                next += 1;
            }
        }
    }
    let left: Vec<(&str, Row)> = there.into_iter().map(|row| ("+I", row)).collect();
    (frame(&rows), frame(&left))
}

/// The columns of frames with their types.
fn columns_of(frames: &[DataFrame]) -> Vec<(String, DataType)> {
    let shown = |column: &&Column| !millrace_runtime::batch::is_hidden(column.name());
    let typed = |column: &Column| (column.name().to_string(), millrace_expr::from_polars(column.dtype()).unwrap());
    frames.first().map(|frame| frame.columns().iter().filter(shown).map(typed).collect()).unwrap_or_default()
}

/// Changes folded to the rows that are there in the end: the newest of each key, unless it says that there is none.
pub fn net(frames: &[DataFrame], by: &[&str]) -> Table {
    let key = if by.is_empty() { "1".to_owned() } else { by.join(", ") };
    let sql = format!(
        "SELECT * EXCLUDE (__op, nr) FROM (SELECT *, row_number() OVER (PARTITION BY {key} ORDER BY rowid DESC) AS nr FROM changes)
         WHERE nr = 1 AND __op <> '-D'"
    );
    of("changes", frames, &sql)
}

/// Rows that take others back, folded to those that are left.
pub fn net_of_retractions(frames: &[DataFrame]) -> Table {
    let sql = "SELECT * EXCLUDE (c, i) FROM (SELECT * EXCLUDE (__op), sum(CASE WHEN __op IN ('+I', '+U') THEN 1 ELSE -1 END)::BIGINT AS c
                 FROM changes GROUP BY ALL), LATERAL (SELECT unnest(range(c)) AS i)";
    of("changes", frames, sql)
}

fn of(name: &str, frames: &[DataFrame], sql: &str) -> Table {
    let columns = columns_of(frames);
    let oracle = Oracle::default();
    let columns: Vec<(&str, DataType)> = columns.iter().map(|(name, data_type)| (name.as_str(), *data_type)).collect();
    oracle.load(name, &columns, frames);
    oracle.query(sql)
}

/// A query over some rows.
pub fn net_of(rows: &DataFrame, sql: &str, columns: &[(&str, DataType)]) -> Table {
    let oracle = Oracle::default();
    oracle.load("rows", columns, &[rows.drop("op").unwrap()]);
    oracle.query(sql)
}

#[tokio::test]
async fn rows_that_take_others_back_go_through_filter_select_and_derive() {
    let (changes, left) = changing(31, 3_000, Change::Retract);
    let sql = "SELECT id, k + 1 AS more, v, f, k * 2 AS twice FROM rows WHERE k > 0";
    let expected = net_of(&left, sql, &CHANGING[1..]);
    for (parallelism, batch_rows, spread) in [(1, 4096, 1), (3, 64, 2), (2, 7, 5)] {
        let nodes = vec![
            node("rows", "memory", &[], json!({ "event_time": "t" })),
            node("changes", "changelog", &["rows"], json!({})),
            node("some", "filter", &["changes"], json!({ "where": "k > 0", "parallelism": spread })),
            node("more", "derive", &["some"], json!({ "columns": { "twice": "k * 2" } })),
            node("named", "select", &["more"], json!({ "columns": ["id", "k + 1 AS more", "v", "f", "twice"] })),
            node("kept", "collect", &["named"], json!({})),
        ];
        let memory = Memory::default().with("rows", &CHANGING, one(changes.clone()));
        let (collected, _) = run(memory, nodes, (parallelism, batch_rows)).await;
        expected.assert_same(&net_of_retractions(&collected.frames("kept")));
    }
}

#[tokio::test]
async fn rows_that_replace_others_go_through_and_one_that_cannot_be_computed_takes_its_earlier_one_along() {
    let (changes, left) = changing(32, 3_000, Change::Upsert);
    let sql = "SELECT id AS name, 100 // k AS part FROM rows WHERE id % 3 <> 0 AND k IS DISTINCT FROM 0";
    let expected = net_of(&left, sql, &CHANGING[1..]);
    for (parallelism, batch_rows, spread) in [(1, 4096, 1), (3, 64, 2), (2, 7, 5)] {
        let nodes = vec![
            node("rows", "memory", &[], json!({ "event_time": "t" })),
            node("changes", "changelog", &["rows"], json!({ "key": ["id"] })),
            node("some", "filter", &["changes"], json!({ "where": "id % 3 <> 0", "parallelism": spread })),
            node("named", "select", &["some"], json!({ "columns": ["id AS name", "100 // k AS part"] })),
            node("kept", "collect", &["named"], json!({})),
        ];
        let memory = Memory::default().with("rows", &CHANGING, one(changes.clone()));
        let (collected, summaries) = run(memory, nodes, (parallelism, batch_rows)).await;
        expected.assert_same(&net(&collected.frames("kept"), &["name"]));
        assert!(summaries[3].quarantined > 5, "division by zero");
    }
}
