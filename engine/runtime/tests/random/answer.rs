//! DuckDB's answer to what was drawn.

use millrace_testkit::{Oracle, Table};

use crate::drawn::{Aggregate, Drawn, Filter, Window};
use crate::pipeline::{COLUMNS, frame};

pub struct Answer {
    pub windows: Table,
    pub late: Table,
}

pub fn of(drawn: &Drawn) -> Answer {
    let oracle = Oracle::default();
    oracle.load("rows", &COLUMNS, &[frame(&drawn.rows.iter().enumerate().collect::<Vec<_>>())]);
    // A row's own watermark counts every row with a time before it in its partition, kept or not.
    oracle.run(&format!(
        "CREATE TABLE seen AS SELECT *, epoch_us(t) AS tu, max(epoch_us(t)) OVER
           (PARTITION BY p ORDER BY n ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) - {} AS wm FROM rows WHERE t IS NOT NULL",
        us(drawn.max_delay)
    ));
    let (condition, derived) = (condition(drawn.filter), if drawn.derives { "3 * k - 1" } else { "k" });
    oracle.run(&format!("CREATE TABLE kept AS SELECT *, {derived} AS d FROM seen WHERE {condition}"));
    let lateness = us(drawn.lateness);
    match &drawn.window {
        Window::Tumbling { size, offset } => {
            let first = floor("tu", us(*size), us(*offset));
            placed(&oracle, drawn, &format!("SELECT *, {first} AS ws, {first} + {} AS we FROM kept", us(*size)))
        }
        Window::Hopping { slide, panes, offset } => {
            let (last, slide_us) = (floor("tu", us(*slide), us(*offset)), us(*slide));
            let starts = format!("unnest(generate_series({last} - {}, {last}, {slide_us}))", slide_us * (panes - 1));
            placed(&oracle, drawn, &format!("SELECT *, ws + {} AS we FROM (SELECT *, {starts} AS ws FROM kept)", slide_us * panes))
        }
        Window::Cumulate { step, steps } => {
            let (first, step) = (floor("tu", us(step * steps), 0), us(*step));
            let ends = format!("unnest(generate_series({step}, {}, {step}))", step * steps);
            let spread = format!("SELECT *, ws + length AS we FROM (SELECT *, {first} AS ws, {ends} AS length FROM kept)");
            placed(&oracle, drawn, &format!("SELECT * FROM ({spread}) WHERE tu < we"))
        }
        Window::Session { gap } => sessions(&oracle, drawn, us(*gap)),
        Window::Count { rows, slide } => {
            oracle.run(&format!("CREATE TABLE told AS SELECT *, coalesce(tu + 1 + {lateness} <= wm, false) AS is_late FROM kept"));
            counts(&oracle, drawn, *rows, *slide)
        }
    }
}

const LATE: &str = "SELECT n, p, k, v, t, d FROM";

/// Windows that a row is listed for in `spread`, each with its begin and end.
fn placed(oracle: &Oracle, drawn: &Drawn, spread: &str) -> Answer {
    let lateness = us(drawn.lateness);
    oracle.run(&format!("CREATE TABLE placed AS SELECT *, coalesce(we + {lateness} > wm, true) AS counts FROM ({spread})"));
    let windows =
        oracle.query(&format!("SELECT {} FROM placed WHERE counts GROUP BY ws, we{}", results(drawn, "ws", "we", "we - 1"), keys(drawn)));
    let late = oracle.query(&format!("{LATE} kept WHERE n NOT IN (SELECT n FROM placed WHERE counts)"));
    Answer { windows, late }
}

fn sessions(oracle: &Oracle, drawn: &Drawn, gap: i64) -> Answer {
    let apart = if drawn.by.is_empty() { String::new() } else { format!("PARTITION BY {}", drawn.by.join(", ")) };
    oracle.run(&format!(
        "CREATE TABLE islands AS SELECT *, sum(opens) OVER ({apart} ORDER BY tu, n ROWS UNBOUNDED PRECEDING) AS island FROM
           (SELECT *, coalesce(tu - lag(tu) OVER ({apart} ORDER BY tu, n) >= {gap}, true)::INT AS opens FROM kept)"
    ));
    let end = format!("max(tu) + {gap}");
    let columns = results(drawn, "min(tu)", &end, &format!("{end} - 1"));
    let windows = oracle.query(&format!("SELECT {columns} FROM islands GROUP BY island{}", keys(drawn)));
    Answer { windows, late: oracle.query(&format!("{LATE} kept WHERE false")) }
}

fn counts(oracle: &Oracle, drawn: &Drawn, rows: i64, slide: i64) -> Answer {
    let apart = if drawn.by.is_empty() { String::new() } else { format!("PARTITION BY {}", drawn.by.join(", ")) };
    let windows = oracle.query(&format!(
        "WITH numbered AS (SELECT *, row_number() OVER ({apart} ORDER BY n) - 1 AS nr FROM told WHERE NOT is_late),
           placed AS (SELECT *, unnest(generate_series(0, nr // {slide})) AS win FROM numbered)
         SELECT {} FROM placed WHERE nr < win * {slide} + {rows} GROUP BY win{} HAVING count(*) = {rows}",
        results(drawn, "min(tu)", "max(tu) + 1", "max(tu)"),
        keys(drawn)
    ));
    Answer { windows, late: oracle.query(&format!("{LATE} told WHERE is_late")) }
}

fn us(seconds: i64) -> i64 {
    seconds * 1_000_000
}

/// The greatest multiple of `size`, shifted by `offset`, that is not after `at`.
fn floor(at: &str, size: i64, offset: i64) -> String {
    format!("({at} - ((({at} - {offset}) % {size}) + {size}) % {size})")
}

fn keys(drawn: &Drawn) -> String {
    drawn.by.iter().map(|column| format!(", {column}")).collect()
}

fn results(drawn: &Drawn, start: &str, end: &str, time: &str) -> String {
    let aggregates: String = drawn.aggregates.iter().enumerate().map(|(number, it)| format!(", {} AS a{number}", aggregate(*it))).collect();
    format!(
        "make_timestamp({start}) AS window_start, make_timestamp({end}) AS window_end, make_timestamp({time}) AS window_time{}{aggregates}",
        keys(drawn)
    )
}

const fn condition(filter: Filter) -> &'static str {
    match filter {
        Filter::None => "1 = 1",
        Filter::KeyIsKnown => "NOT k IS NULL",
        Filter::TextIsNotA => "v != 'a'",
        Filter::Odd => "mod(k, 2) IN (-1, 1)",
    }
}

const fn aggregate(aggregate: Aggregate) -> &'static str {
    match aggregate {
        Aggregate::Count => "count(n)",
        Aggregate::CountFiltered => "count(CASE WHEN k > 1 THEN 1 END)",
        Aggregate::CountKey => "count(k)",
        Aggregate::Sum => "sum(k)::BIGINT",
        Aggregate::SumOnce => "list_sum(list_distinct(list(k)))::BIGINT",
        Aggregate::SumDerived => "sum(d)::BIGINT",
        Aggregate::Mean => "avg(d)",
        Aggregate::Least => "min(v)",
        Aggregate::Most => "max(d)",
        Aggregate::Texts => "count(DISTINCT v)",
        Aggregate::Spread => "stddev_samp(k)",
        Aggregate::Variance => "var_samp(d)",
        Aggregate::Median => "quantile_cont(k, 0.5)",
        Aggregate::Quantile => "quantile_cont(d, 0.9)",
        Aggregate::AllHigh => "min(CASE WHEN k > 0 THEN 1 WHEN k <= 0 THEN 0 END) = 1",
        Aggregate::AnyHigh => "max(CASE WHEN k > 3 THEN 1 WHEN k <= 3 THEN 0 END) = 1",
    }
}
