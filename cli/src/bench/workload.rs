//! What is measured, by name: a pipeline, and the same question to DuckDB over the table at rest.

use millrace_engine::model::field::Duration;

use super::checksum::LENGTH_WEIGHT;
use super::nexmark::NEXMARK;

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
    /// Its length and its first letter count.
    Text(&'static str),
}

/// What rows a workload is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// Those of [`super::table`].
    Rows,
    /// The bids of Nexmark; what is counted are all its events.
    Bids,
}

/// What runs.
#[derive(Debug, Clone, Copy)]
pub enum Text {
    /// The node between `rows` and the sink.
    Node(&'static str),
    /// A file of the examples, whose node `bids` hands out prepared rows instead, and whose node `out` checksums.
    Example(&'static str),
}

/// A kind of work.
pub struct Workload {
    pub name: &'static str,
    pub what: &'static str,
    pub over: Over,
    pub text: Text,
    /// What the sink is given, in order.
    pub columns: &'static [Column],
    /// The same as a query over `rows` or `bid`, its whole columns as BIGINT.
    pub sql: &'static str,
    /// Where rows replace each other, by what.
    pub key: &'static [&'static str],
    /// What Flink is said to reach, in events a second and core.
    pub flink_per_core: Option<f64>,
}

use Column::{Float, Text as Letters, Whole};

const ROWS: &[Workload] = &[
    Workload {
        name: "projection",
        what: "a computed column beside two that stay",
        over: Over::Rows,
        text: Text::Node("kind = \"select\"\ncolumns = [\"t\", \"k\", \"v * 2 + 1 AS w\"]"),
        columns: &[Whole("t"), Whole("k"), Whole("w")],
        sql: "SELECT epoch_us(t) AS t, k, v * 2 + 1 AS w FROM rows",
        key: &[],
        flink_per_core: None,
    },
    Workload {
        name: "filter",
        what: "one row of ten stays",
        over: Over::Rows,
        text: Text::Node("kind = \"filter\"\nwhere = \"v < 100000\""),
        columns: &[Whole("t"), Whole("k"), Whole("v")],
        sql: "SELECT epoch_us(t) AS t, k, v FROM rows WHERE v < 100000",
        key: &[],
        flink_per_core: None,
    },
    Workload {
        name: "tumble",
        what: "10 s windows: count, max and avg by key",
        over: Over::Rows,
        text: Text::Node("kind = \"tumbling_window\"\nsize = \"10s\"\nby = [\"k\"]\n\
               aggregate = { n = \"count(*)\", most = \"max(v)\", mean = \"avg(v)\" }"),
        columns: &[Whole("window_start"), Whole("window_end"), Whole("window_time"), Whole("k"), Whole("n"), Whole("most"), Float("mean")],
        sql: "SELECT w * 10000000 AS window_start, w * 10000000 + 10000000 AS window_end, w * 10000000 + 9999999 AS window_time,
              k, n, most, mean
              FROM (SELECT epoch_us(t) // 10000000 AS w, k, count(*) AS n, max(v) AS most, avg(v) AS mean FROM rows GROUP BY ALL)",
        key: &[],
        flink_per_core: None,
    },
    Workload {
        name: "hop",
        what: "10 s windows every 2 s: count by key",
        over: Over::Rows,
        text: Text::Node("kind = \"hopping_window\"\nsize = \"10s\"\nslide = \"2s\"\nby = [\"k\"]\naggregate = { n = \"count(*)\" }"),
        columns: &[Whole("window_start"), Whole("window_end"), Whole("window_time"), Whole("k"), Whole("n")],
        // As the engine does: every row counts in one pane of 2 s, and five panes make a window.
        sql: "SELECT w * 2000000 AS window_start, w * 2000000 + 10000000 AS window_end, w * 2000000 + 9999999 AS window_time, k, n
              FROM (SELECT pane - before AS w, k, sum(c)::BIGINT AS n
                    FROM (SELECT epoch_us(t) // 2000000 AS pane, k, count(*) AS c FROM rows GROUP BY ALL), range(5) AS windows(before)
                    GROUP BY ALL)",
        key: &[],
        flink_per_core: None,
    },
    Workload {
        name: "session",
        what: "sessions of a key that end after a gap, one row of a hundred: count by key",
        over: Over::Rows,
        text: Text::Node("kind = \"session_window\"\ngap = \"{gap}\"\nby = [\"k\"]\naggregate = { n = \"count(*)\" }"),
        columns: &[Whole("window_start"), Whole("window_end"), Whole("window_time"), Whole("k"), Whole("n")],
        sql: "SELECT first AS window_start, last + {gap_us} AS window_end, last + {gap_us} - 1 AS window_time, k, n
              FROM (SELECT k, min(moment) AS first, max(moment) AS last, count(*) AS n
                    FROM (SELECT k, moment, sum(opens) OVER (PARTITION BY k ORDER BY moment) AS session
                          FROM (SELECT k, moment, CASE WHEN moment - lag(moment) OVER (PARTITION BY k ORDER BY moment) < {gap_us} THEN 0 ELSE 1 END AS opens
                                FROM (SELECT k, epoch_us(t) AS moment FROM rows)))
                    GROUP BY k, session)",
        key: &[],
        flink_per_core: None,
    },
];

/// All that there are.
pub fn all() -> impl Iterator<Item = &'static Workload> {
    ROWS.iter().chain(NEXMARK)
}

/// The workload of a name.
pub fn find(name: &str) -> Option<&'static Workload> {
    all().find(|workload| workload.name == name)
}

/// How a pipeline of a workload is to be.
#[derive(Debug, Clone, Copy, Default)]
pub struct Variant {
    pub keys: u64,
    pub checkpoint_every: Option<Duration>,
    /// Whether the sink tells what is left of rows that replace each other.
    pub is_net: bool,
}

impl Workload {
    /// The pipeline over `source`, the fields of the node that hands out rows.
    pub fn pipeline(&self, source: &str, variant: &Variant) -> String {
        let checkpoints = variant.checkpoint_every.map_or_else(String::new, |every| format!("checkpoint_every = \"{every}\"\n"));
        let net = if variant.is_net { format!("net_by = {:?}\n", self.key) } else { String::new() };
        let head = format!("millrace = 1\n\n[pipeline]\nname = \"bench {}\"\n{checkpoints}\n", self.name);
        let body = match self.text {
            Text::Node(node) => {
                let node = node.replace("{gap}", &session_gap(variant.keys).to_string());
                format!(
                    "[node.rows]\n{source}\nevent_time = \"t\"\n\n[node.work]\n{node}\ninput = \"rows\"\n\n[node.out]\ninput = \"work\"\n"
                )
            }
            Text::Example(text) => example(text, source),
        };
        format!("{head}{body}kind = \"bench_sink\"\n{net}")
    }

    /// The query that drains the result within DuckDB: how many rows, and the sum of every column.
    pub fn timed_sql(&self, keys: u64) -> String {
        let sums: Vec<String> = self.columns.iter().map(|column| format!("sum({})", column.word())).collect();
        format!("SELECT count(*), {} FROM ({})", sums.join(", "), self.result_sql(keys))
    }

    /// The query for all that [`super::checksum::Checksum`] compares: beside the sums those of neighbours' exclusive or.
    pub fn checked_sql(&self, keys: u64) -> String {
        let mut parts = vec!["count(*)".to_owned()];
        parts.extend(self.columns.iter().map(|column| format!("sum({})", column.word())));
        parts.extend(self.neighbours().map(|(_, a, b)| format!("sum(xor({a}, {b}))")));
        format!("SELECT {} FROM ({})", parts.join(", "), self.result_sql(keys))
    }

    /// Columns of words that follow one another, with the place of the second.
    pub fn neighbours(&self) -> impl Iterator<Item = (usize, String, String)> {
        self.columns.windows(2).enumerate().filter_map(|(at, pair)| match pair {
            [Float(_), _] | [_, Float(_)] => None,
            [a, b] => Some((at + 1, a.word(), b.word())),
            _ => None,
        })
    }

    fn result_sql(&self, keys: u64) -> String {
        self.sql.replace("{gap_us}", &session_gap(keys).micros.to_string())
    }
}

impl Column {
    /// The number that is summed of it.
    fn word(&self) -> String {
        match self {
            Whole(name) | Float(name) => (*name).to_owned(),
            Letters(name) => format!("(strlen({name}) * {LENGTH_WEIGHT} + unicode({name}))::BIGINT"),
        }
    }
}

/// The nodes of an example behind its head: other rows come in, and the last node is left open.
fn example(text: &str, source: &str) -> String {
    let nodes = text.find("[node.").and_then(|at| text.get(at..)).unwrap_or_default();
    let mut body = String::new();
    let mut out = String::new();
    for node in nodes.split("\n[node.").map(|node| node.strip_prefix("[node.").unwrap_or(node)) {
        let (name, fields) = node.split_once(']').unwrap_or((node, ""));
        match name {
            "bids" => body.push_str(&format!("[node.bids]\n{source}\nevent_time = \"date_time\"\nmax_delay = \"4s\"\n\n")),
            "out" => {
                let input = fields.lines().find(|line| line.starts_with("input")).unwrap_or_default();
                out = format!("[node.out]\n{input}\n");
            }
            _ => body.push_str(&format!("[node.{name}]{fields}\n")),
        }
    }
    body + &out
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
        let variant = Variant { keys: 10, is_net: true, ..Variant::default() };
        for workload in all() {
            assert_eq!(all().filter(|other| other.name == workload.name).count(), 1);
            let pipeline = workload.pipeline("kind = \"bench_rows\"\nrows = 1", &variant);
            assert!(!pipeline.contains("{gap") && pipeline.ends_with(&format!("net_by = {:?}\n", workload.key)));
            assert_eq!((pipeline.matches("\nkind = \"bench_").count(), pipeline.matches("path =").count()), (2, 0), "{pipeline}");
            assert!(!workload.checked_sql(10).contains("{gap"));
        }
    }

    #[test]
    fn an_example_keeps_its_work_and_gets_other_ends() {
        let text = "# SELECT\nmillrace = 1\n[pipeline]\nname = \"x\"\n\n[node.bids]\nkind = \"nexmark\"\n\n[node.work]\nkind = \"filter\"\n\
                    input = \"bids\"\n\n[node.out]\nkind = \"file_sink\"\ninput = \"work\"\npath = \"x\"\n";
        let expected = "[node.bids]\nrows = 1\nevent_time = \"date_time\"\nmax_delay = \"4s\"\n\n\
                        [node.work]\nkind = \"filter\"\ninput = \"bids\"\n\n[node.out]\ninput = \"work\"\n";
        assert_eq!(example(text, "rows = 1"), expected);
    }
}
