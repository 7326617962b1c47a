//! What is measured, by name: a pipeline, and the same question to DuckDB over the table at rest.

use millrace_engine::model::field::Duration;

/// How many keys unless the command says otherwise.
pub const KEYS: u64 = 10_000;

/// A session ends after so long without a row of its key: with 10,000 keys, 6.1 ms apart on average, before one row of a hundred.
const SESSION_GAP: &str = "28ms";

/// A column of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// Summed exactly; times count in microseconds.
    Whole(&'static str),
    Float(&'static str),
}

/// A kind of work over the rows of [`super::table`].
pub struct Workload {
    pub name: &'static str,
    pub what: &'static str,
    /// The node between `rows` and the sink.
    pub node: &'static str,
    /// What the sink is given, in order.
    pub columns: &'static [Column],
    /// The same as a query over `rows`, its whole columns as BIGINT.
    sql: &'static str,
}

use Column::{Float, Whole};

pub const WORKLOADS: &[Workload] = &[
    Workload {
        name: "projection",
        what: "a computed column beside two that stay",
        node: "kind = \"select\"\ncolumns = [\"t\", \"k\", \"v * 2 + 1 AS w\"]",
        columns: &[Whole("t"), Whole("k"), Whole("w")],
        sql: "SELECT epoch_us(t) AS t, k, v * 2 + 1 AS w FROM rows",
    },
    Workload {
        name: "filter",
        what: "one row of ten stays",
        node: "kind = \"filter\"\nwhere = \"v < 100000\"",
        columns: &[Whole("t"), Whole("k"), Whole("v")],
        sql: "SELECT epoch_us(t) AS t, k, v FROM rows WHERE v < 100000",
    },
    Workload {
        name: "tumble",
        what: "10 s windows: count, max and avg by key",
        node: "kind = \"tumbling_window\"\nsize = \"10s\"\nby = [\"k\"]\n\
               aggregate = { n = \"count(*)\", most = \"max(v)\", mean = \"avg(v)\" }",
        columns: &[Whole("window_start"), Whole("window_end"), Whole("window_time"), Whole("k"), Whole("n"), Whole("most"), Float("mean")],
        sql: "SELECT w * 10000000 AS window_start, w * 10000000 + 10000000 AS window_end, w * 10000000 + 9999999 AS window_time,
              k, n, most, mean
              FROM (SELECT epoch_us(t) // 10000000 AS w, k, count(*) AS n, max(v) AS most, avg(v) AS mean FROM rows GROUP BY ALL)",
    },
    Workload {
        name: "hop",
        what: "10 s windows every 2 s: count by key",
        node: "kind = \"hopping_window\"\nsize = \"10s\"\nslide = \"2s\"\nby = [\"k\"]\naggregate = { n = \"count(*)\" }",
        columns: &[Whole("window_start"), Whole("window_end"), Whole("window_time"), Whole("k"), Whole("n")],
        // As the engine does: every row counts in one pane of 2 s, and five panes make a window.
        sql: "SELECT w * 2000000 AS window_start, w * 2000000 + 10000000 AS window_end, w * 2000000 + 9999999 AS window_time, k, n
              FROM (SELECT pane - before AS w, k, sum(c)::BIGINT AS n
                    FROM (SELECT epoch_us(t) // 2000000 AS pane, k, count(*) AS c FROM rows GROUP BY ALL), range(5) AS windows(before)
                    GROUP BY ALL)",
    },
    Workload {
        name: "session",
        what: "sessions of a key that end after a gap, one row of a hundred: count by key",
        node: "kind = \"session_window\"\ngap = \"{gap}\"\nby = [\"k\"]\naggregate = { n = \"count(*)\" }",
        columns: &[Whole("window_start"), Whole("window_end"), Whole("window_time"), Whole("k"), Whole("n")],
        sql: "SELECT first AS window_start, last + {gap_us} AS window_end, last + {gap_us} - 1 AS window_time, k, n
              FROM (SELECT k, min(moment) AS first, max(moment) AS last, count(*) AS n
                    FROM (SELECT k, moment, sum(opens) OVER (PARTITION BY k ORDER BY moment) AS session
                          FROM (SELECT k, moment, CASE WHEN moment - lag(moment) OVER (PARTITION BY k ORDER BY moment) < {gap_us} THEN 0 ELSE 1 END AS opens
                                FROM (SELECT k, epoch_us(t) AS moment FROM rows)))
                    GROUP BY k, session)",
    },
];

/// The workload of a name.
pub fn find(name: &str) -> Option<&'static Workload> {
    WORKLOADS.iter().find(|workload| workload.name == name)
}

impl Workload {
    /// The pipeline over `source`, the fields of the node `rows`.
    pub fn pipeline(&self, source: &str, keys: u64) -> String {
        let node = self.node.replace("{gap}", &session_gap(keys).to_string());
        format!(
            "millrace = 1\n\n[pipeline]\nname = \"bench {}\"\n\n[node.rows]\n{source}\nevent_time = \"t\"\n\n\
             [node.work]\n{node}\ninput = \"rows\"\n\n[node.out]\nkind = \"bench_sink\"\ninput = \"work\"\n",
            self.name
        )
    }

    /// The query that drains the result within DuckDB: how many rows, and the sum of every column.
    pub fn timed_sql(&self, keys: u64) -> String {
        let sums: Vec<String> = self.columns.iter().map(|(Whole(name) | Float(name))| format!("sum({name})")).collect();
        format!("SELECT count(*), {} FROM ({})", sums.join(", "), self.result_sql(keys))
    }

    /// The query for all that [`super::checksum::Checksum`] compares: beside the sums those of neighbours' exclusive or.
    pub fn checked_sql(&self, keys: u64) -> String {
        let mut parts = vec!["count(*)".to_owned()];
        parts.extend(self.columns.iter().map(|(Whole(name) | Float(name))| format!("sum({name})")));
        parts.extend(self.neighbours().map(|(_, a, b)| format!("sum(xor({a}, {b}))")));
        format!("SELECT {} FROM ({})", parts.join(", "), self.result_sql(keys))
    }

    /// Whole columns that follow one another, with the place of the second.
    pub fn neighbours(&self) -> impl Iterator<Item = (usize, &'static str, &'static str)> {
        self.columns.windows(2).enumerate().filter_map(|(at, pair)| match pair {
            [Whole(a), Whole(b)] => Some((at + 1, *a, *b)),
            _ => None,
        })
    }

    fn result_sql(&self, keys: u64) -> String {
        self.sql.replace("{gap_us}", &session_gap(keys).micros.to_string())
    }
}

/// The gap grows with the keys, so that one row of a hundred closes a session at any number of them.
fn session_gap(keys: u64) -> Duration {
    let micros = Duration::parse(SESSION_GAP).map_or(0, |gap| gap.micros);
    Duration::from_micros((i128::from(micros) * i128::from(keys) / i128::from(KEYS)).clamp(1, i128::from(i64::MAX)) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bench_has_a_name_of_its_own_and_a_pipeline_without_holes() {
        for workload in WORKLOADS {
            assert_eq!(WORKLOADS.iter().filter(|other| other.name == workload.name).count(), 1);
            assert!(!workload.pipeline("kind = \"bench_rows\"\nrows = 1", 10).contains("{gap"));
            assert!(!workload.checked_sql(10).contains("{gap"));
        }
    }
}
