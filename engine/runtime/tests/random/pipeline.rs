//! The nodes and the scripts of what was drawn.

use millrace_model::{DataType, NodeDecl};
use millrace_testkit::{Memory, Script, node};
use polars::prelude::*;
use serde_json::{Map, Value, json};

use crate::drawn::{Aggregate, Drawn, Filter, Row, Window};

pub const COLUMNS: [(&str, DataType); 5] =
    [("n", DataType::BigInt), ("p", DataType::BigInt), ("k", DataType::BigInt), ("v", DataType::Varchar), ("t", DataType::Timestamp)];

/// Numbered rows as a frame.
pub fn frame(rows: &[(usize, &Row)]) -> DataFrame {
    let times: Vec<Option<i64>> = rows.iter().map(|(_, row)| row.time.map(|time| time * 1_000_000)).collect();
    let times = Series::new("t".into(), times).cast(&polars::prelude::DataType::Datetime(TimeUnit::Microseconds, None)).unwrap();
    let columns = vec![
        Column::new("n".into(), rows.iter().map(|(number, _)| *number as i64).collect::<Vec<_>>()),
        Column::new("p".into(), rows.iter().map(|(_, row)| row.partition as i64).collect::<Vec<_>>()),
        Column::new("k".into(), rows.iter().map(|(_, row)| row.k).collect::<Vec<_>>()),
        Column::new("v".into(), rows.iter().map(|(_, row)| row.v).collect::<Vec<_>>()),
        times.into(),
    ];
    DataFrame::new(rows.len(), columns).unwrap()
}

/// Scripts whose rows come in the drawn pieces, with `then` after the first.
pub fn memory(drawn: &Drawn, then: &[Script]) -> Memory {
    let script = |partition: usize| {
        let rows: Vec<(usize, &Row)> = drawn.rows.iter().enumerate().filter(|(_, row)| row.partition == partition).collect();
        let mut script = Vec::new();
        let mut from = 0;
        for cut in drawn.cuts.iter().map(|cut| rows.len() * cut / 1_000).chain([rows.len()]) {
            script.push(Script::Rows(frame(&rows[from..cut])));
            if script.len() == 1 {
                script.extend(then.iter().cloned());
            }
            from = cut;
        }
        script
    };
    Memory::default().with("rows", &COLUMNS, (0..drawn.partitions).map(script).collect())
}

pub fn nodes(drawn: &Drawn) -> Vec<NodeDecl> {
    let condition = match drawn.filter {
        Filter::None => "true",
        Filter::KeyIsKnown => "k IS NOT NULL",
        Filter::TextIsNotA => "v <> 'a'",
        Filter::Odd => "k % 2 <> 0",
    };
    let derived = if drawn.derives { "k * 3 - 1" } else { "k" };
    let (kind, mut fields) = window(&drawn.window);
    fields["by"] = json!(drawn.by);
    fields["allowed_lateness"] = json!(format!("{}s", drawn.lateness));
    let aggregates: Map<String, Value> =
        drawn.aggregates.iter().enumerate().map(|(number, it)| (format!("a{number}"), aggregate(*it).into())).collect();
    fields["aggregate"] = aggregates.into();
    vec![
        node("rows", "memory", &[], json!({ "event_time": "t", "max_delay": format!("{}s", drawn.max_delay) })),
        node("some", "filter", &["rows"], json!({ "where": condition })),
        node("more", "derive", &["some"], json!({ "columns": { "d": derived } })),
        node("window", kind, &["more"], fields),
        node("out", "collect", &["window"], json!({})),
        node("late", "collect", &["window.late"], json!({})),
    ]
}

fn window(window: &Window) -> (&'static str, Value) {
    match window {
        Window::Tumbling { size, offset } => ("tumbling_window", json!({ "size": s(*size), "offset": s(*offset) })),
        Window::Hopping { slide, panes, offset } => {
            ("hopping_window", json!({ "size": s(slide * panes), "slide": s(*slide), "offset": s(*offset) }))
        }
        Window::Cumulate { step, steps } => ("cumulate_window", json!({ "size": s(step * steps), "step": s(*step) })),
        Window::Session { gap } => ("session_window", json!({ "gap": s(*gap) })),
        Window::Count { rows, slide } => ("count_window", json!({ "rows": rows, "slide": slide })),
    }
}

fn s(seconds: i64) -> String {
    format!("{seconds}s")
}

fn aggregate(aggregate: Aggregate) -> &'static str {
    match aggregate {
        Aggregate::Count => "count(*)",
        Aggregate::CountFiltered => "count(*) FILTER (WHERE k > 1)",
        Aggregate::CountKey => "count(k)",
        Aggregate::Sum => "sum(k)",
        Aggregate::SumOnce => "sum(DISTINCT k)",
        Aggregate::SumDerived => "sum(d)",
        Aggregate::Mean => "avg(d)",
        Aggregate::Least => "min(v)",
        Aggregate::Most => "max(d)",
        Aggregate::Texts => "count_distinct(v)",
        Aggregate::Spread => "stddev(k)",
        Aggregate::Variance => "variance(d)",
        Aggregate::Median => "median(k)",
        Aggregate::Quantile => "quantile(d, 0.9)",
        Aggregate::AllHigh => "bool_and(k > 0)",
        Aggregate::AnyHigh => "bool_or(k > 3)",
    }
}
