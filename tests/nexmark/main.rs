//! The queries of the Nexmark benchmark, `examples/nexmark`, through the binary: equal to what DuckDB makes of the same events by plain
//! SQL, at parallelism 1 and 3, straight, and killed in the middle and gone on with at another parallelism.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use duckdb::Connection;
use millrace_tests::flights::{number, rows_apart};
use millrace_tests::{Millrace, Ran};

mod queries;

use queries::{QUERIES, Query, Result};

/// How much there is of it, and how it comes.
struct Scale {
    events: u64,
    /// Events in a second of event time: slow enough for two days, and for many windows.
    rate: u64,
    /// Groups of so many events change places: within the four seconds that the watermark waits.
    disorder: u64,
}

/// How long a run that is to be killed takes at least: a hundred epochs. At full speed it may be over before the disk has taken two.
const SECONDS_UNDER_WAY: u64 = 2;

const SMALL: Scale = Scale { events: 100_000, rate: 1, disorder: 3 };
const LARGE: Scale = Scale { events: 10_000_000, rate: 100, disorder: 300 };

/// The three streams into files.
const STREAMS: &str = r#"millrace = 1
[node.person]
kind = "nexmark"
stream = "person"
EVENTS
[node.auction]
kind = "nexmark"
stream = "auction"
EVENTS
[node.bid]
kind = "nexmark"
stream = "bid"
EVENTS
[node.person_out]
kind = "file_sink"
input = "person"
path = "person.parquet"
[node.auction_out]
kind = "file_sink"
input = "auction"
path = "auction.parquet"
[node.bid_out]
kind = "file_sink"
input = "bid"
path = "bid.parquet"
"#;

/// A project with the streams as files, and DuckDB over them.
struct Truth {
    project: Millrace,
    duckdb: Connection,
    scale: Scale,
}

impl Truth {
    fn new(scale: Scale) -> Truth {
        let project = Millrace::project();
        let events = format!("events = {}\nrate = \"{}/s\"\n", scale.events, scale.rate);
        project.write("streams.millrace.toml", STREAMS.replace("EVENTS\n", &events));
        project.run(&["run", "streams.millrace.toml", "--json", "--parallelism", "2"]).succeeded();
        let duckdb = Connection::open_in_memory().unwrap();
        let folder = project.folder.path().display();
        let views = ["person", "auction", "bid"].map(|stream| format!("CREATE VIEW {stream} AS FROM '{folder}/{stream}.parquet';"));
        duckdb.execute_batch(&format!("SET file_search_path = '{folder}'; {}", views.concat())).unwrap();
        Truth { project, duckdb, scale }
    }

    /// Puts a query's file of the examples into the project, at this scale and with `name` for its own.
    fn write(&self, query: &Query, name: &str) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(format!("examples/nexmark/{}.millrace.toml", query.name));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (rate, mut disorder) = (self.scale.rate, self.scale.disorder);
        if query.is_by_the_clock {
            // A clock does not go back.
            disorder = 1;
        }
        let speed = self.scale.events / rate / SECONDS_UNDER_WAY;
        let how =
            format!("events = {}\nrate = \"{rate}/s\"\ndisorder = {disorder}\nreplay = {{ speed = \"{speed}x\" }}\n", self.scale.events);
        let changed = text.replace("events = 10000000\n", &how).replace("checkpoint_every = \"10s\"", "checkpoint_every = \"20ms\"");
        assert!(changed.contains("disorder") && changed.contains("20ms"), "{text}");
        let changed = changed.replace("path = \"out/", &format!("path = \"{name}/"));
        let file = format!("{name}.millrace.toml");
        self.project.write(&file, changed);
        file
    }

    /// Runs a query to its end.
    fn run(&self, file: &str, parallelism: &str) {
        let ran = self.project.run(&["run", file, "--json", "--parallelism", parallelism]).succeeded();
        let nodes = ran.json()["nodes"].clone();
        for (name, figures) in nodes.as_object().unwrap() {
            let count = |count: &str| figures[count].as_u64().unwrap();
            assert_eq!(count("rows_in"), count("accepted") + count("filtered") + count("late") + count("quarantined"), "{file}: {name}");
            assert_eq!((count("late"), count("quarantined")), (0, 0), "{file}: {name}");
        }
        assert_eq!(nodes["bids"]["rows_in"].as_u64().unwrap(), self.scale.events / 50 * 46, "{file}: every bid");
    }

    /// Kills a query's run when it has committed two epochs.
    fn kill(&self, file: &str, parallelism: &str) {
        let mut command = self.project.command();
        command.args(["run", file, "--json", "--replay", "--parallelism", parallelism]);
        command.env("MILLRACE_HALT_AT", "forgetting:2").stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(std::result::Result::unwrap);
        let was_reached = said.any(|line| line == "halted at forgetting");
        let _ = child.kill();
        child.wait().unwrap();
        assert!(was_reached, "{file} has epochs before it ends");
    }

    fn compare(&self, query: &Query, folder: &str, what: &str) {
        let got = match query.result {
            Result::Rows => format!("(FROM read_parquet('{folder}/{}.parquet'))", query.name),
            Result::Folders => format!("(FROM read_parquet('{folder}/{}/**/*.parquet', hive_partitioning = true))", query.name),
            Result::NewestByKey(key) => format!(
                "(SELECT * EXCLUDE (__op) FROM (FROM read_parquet('{folder}/{}.parquet', file_row_number = true)
                   QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY file_row_number DESC) = 1) WHERE __op <> '-D')",
                query.name
            ),
            Result::NetRows => {
                let file = format!("(FROM read_parquet('{folder}/{}.parquet')", query.name);
                format!(
                    "(SELECT * EXCLUDE (__op) FROM {file} WHERE __op IN ('+I', '+U')) EXCEPT ALL SELECT * EXCLUDE (__op) FROM {file}
                       WHERE __op IN ('-U', '-D')))"
                )
            }
        };
        let truth = format!("({})", query.sql);
        if let Some((column, names)) = query.floats {
            let far = format!(
                "SELECT count(*) FROM {got} got JOIN {truth} truth USING ({names})
                 WHERE NOT coalesce(abs(got.{column} - truth.{column}) <= 1e-9 * abs(truth.{column}), false)"
            );
            assert_eq!(number(&self.duckdb, &far), 0, "{} {what}: {column}", query.name);
        }
        let shown = |from: &str| format!("SELECT {} FROM {from}", query.columns);
        let (got, expected) = (shown(&got), shown(&truth));
        let rows = number(&self.duckdb, &format!("SELECT count(*) FROM ({expected})"));
        assert!(rows > 1, "{}: {rows} rows are expected", query.name);
        assert_eq!(rows_apart(&self.duckdb, &got, &expected), 0, "{} {what}: rows of {rows} that one side lacks", query.name);
    }

    fn straight(&self, query: &Query, parallelism: &str) {
        let name = format!("{}-straight-{parallelism}", query.name);
        let file = self.write(query, &name);
        self.run(&file, parallelism);
        self.compare(query, &name, &format!("at parallelism {parallelism}"));
    }

    fn restored(&self, query: &Query, from: &str, to: &str) {
        let name = format!("{}-from-{from}-to-{to}", query.name);
        let file = self.write(query, &name);
        self.kill(&file, from);
        self.run(&file, to);
        self.compare(query, &name, &format!("killed at parallelism {from}, and gone on with at {to}"));
    }
}

#[test]
fn every_query_equals_duckdb_straight_and_killed_in_the_middle() {
    let truth = Truth::new(SMALL);
    for (index, query) in QUERIES.iter().enumerate() {
        let (one, other) = if index % 2 == 0 { ("1", "3") } else { ("3", "1") };
        truth.straight(query, one);
        truth.restored(query, other, one);
    }
}

fn prove(name: &str) {
    let query = QUERIES.iter().find(|query| query.name == name).unwrap();
    let truth = Truth::new(LARGE);
    for (one, other) in [("1", "3"), ("3", "1")] {
        truth.straight(query, one);
        truth.restored(query, one, other);
    }
    println!("{name}: equal, straight and restored, at parallelism 1 and 3");
}

/// A proof for each query, so that an interrupted `make prove` goes on with the next.
macro_rules! over_ten_million_events {
    ($($query:ident),*) => {
        const PROVEN: &[&str] = &[$(stringify!($query)),*];

        mod over_ten_million_events_straight_and_killed_at_both_parallelisms {
            $(#[test]
            #[ignore = "a long proof: make prove"]
            fn $query() {
                super::prove(stringify!($query));
            })*
        }
    };
}

over_ten_million_events!(q0, q1, q2, q5, q7, q10, q11, q12, q14, q15, q16, q17, q18, q19, q21, q22);

#[test]
fn every_query_is_among_the_long_proofs() {
    assert_eq!(QUERIES.iter().map(|query| query.name).collect::<Vec<_>>(), PROVEN);
}

#[test]
fn the_streams_belong_together() {
    let truth = Truth::new(Scale { events: 100_000, rate: 10_000, disorder: 1 });
    let count = |query: &str| number(&truth.duckdb, query);
    assert_eq!(
        (count("SELECT count(*) FROM person"), count("SELECT count(*) FROM auction"), count("SELECT count(*) FROM bid")),
        (2_000, 6_000, 92_000)
    );
    let strangers = "SELECT count(*) FROM bid WHERE auction NOT IN (SELECT id FROM auction) OR bidder NOT IN (SELECT id FROM person)";
    assert!(count(strangers) < 100, "only of those to come after the last event");
    assert_eq!(count("SELECT count(*) FROM auction WHERE expires <= date_time OR reserve <= initial_bid"), 0);
    assert!(Ran::from(truth.project.command().args(["validate", "streams.millrace.toml"]).output().unwrap()).code == 0);
}
