//! What runs while faults come, and what it has to come to.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use duckdb::Connection;
use millrace_tests::flights::{difference, number};
use millrace_tests::{Millrace, Ran};
use serde_json::Value;

use crate::process::names;

/// As how many tasks each node runs: one at each member, as far as there are members.
const PARALLELISM: &str = "3";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// A query of the Nexmark benchmark, `examples/nexmark`.
    Nexmark(&'static str),
    /// 100,000 numbered rows from file to file, dealt out to tasks and then gathered by their numbers.
    Numbers,
}

pub const ALL: [Work; 4] = [Work::Nexmark("q5"), Work::Nexmark("q7"), Work::Nexmark("q18"), Work::Numbers];

const ROWS: u64 = 100_000;
/// Events of Nexmark a second of event time, and for each second of a run.
const EVENTS_PER_SECOND: u64 = 100;
const NUMBERS: &str = r#"millrace = 1

[pipeline]
name = "numbered rows"
checkpoint_every = "200ms"

[node.rows]
kind = "file"
path = "data/numbers.csv"
event_time = "at"
max_delay = "1s"
replay = { speed = "SPEEDx" }

[node.doubled]
kind = "derive"
input = "rows"
columns = { doubled = "n * 2" }

[node.copies]
kind = "tumbling_window"
input = "doubled"
size = "10s"
by = ["n"]
aggregate = { copies = "count(*)", doubled = "sum(doubled)" }

[node.rows_out]
kind = "file_sink"
input = "doubled"
path = "out/rows.parquet"

[node.copies_out]
kind = "file_sink"
input = "copies"
path = "out/copies.parquet"
"#;

impl Work {
    pub fn name(self) -> &'static str {
        match self {
            Work::Nexmark(query) => query,
            Work::Numbers => "numbered rows",
        }
    }

    /// Events made for each second that a run is to take.
    fn pace(self) -> u64 {
        match self {
            // It keeps whole rows, and writes all of them down at every epoch.
            Work::Nexmark("q18") => 800,
            _ => 3_000,
        }
    }

    fn text(self, seconds: u64) -> String {
        let Work::Nexmark(query) = self else { return NUMBERS.replace("SPEED", &format!("{}", ROWS as f64 / 1e3 / seconds as f64)) };
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(format!("examples/nexmark/{query}.millrace.toml"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (events, speed) = (self.pace() * seconds, self.pace() / EVENTS_PER_SECOND);
        let how = format!("events = {events}\nrate = \"{EVENTS_PER_SECOND}/s\"\ndisorder = 30\nreplay = {{ speed = \"{speed}x\" }}\n");
        let changed = text.replace("events = 10000000\n", &how).replace("checkpoint_every = \"10s\"", "checkpoint_every = \"200ms\"");
        assert!(changed.contains("replay") && changed.contains("200ms"), "{text}");
        changed
    }

    fn file(self) -> String {
        format!("{}.millrace.toml", self.name().replace(' ', "-"))
    }

    /// A project with it, whose rows take so many seconds to come.
    pub fn project(self, seconds: u64) -> Millrace {
        let project = Millrace::project();
        project.write(&self.file(), self.text(seconds));
        if self == Work::Numbers {
            let mut rows = "n,at\n".to_owned();
            for n in 0..ROWS {
                let (minute, second, millisecond) = (n / 60_000, n / 1_000 % 60, n % 1_000);
                writeln!(rows, "{n},2013-01-01 00:{minute:02}:{second:02}.{millisecond:03}").unwrap();
            }
            project.write("data/numbers.csv", rows);
        }
        project
    }

    pub fn command(self, project: &Millrace) -> Command {
        let mut command = project.command();
        command.args(["run", &self.file(), "--json", "--parallelism", PARALLELISM]);
        command
    }

    /// The counts that do not hang on how rows came together in batches.
    fn counts(self, nodes: &Value) -> Value {
        let mut counts = nodes.clone();
        if self == Work::Nexmark("q18") {
            // Of the changes of a key within one batch the last one goes out.
            assert_eq!(nodes["last"]["rows_out"], nodes["out"]["accepted"], "{nodes}");
            for (node, count) in [("last", "rows_out"), ("out", "rows_in"), ("out", "accepted")] {
                counts[node][count] = Value::Null;
            }
        }
        counts
    }

    /// The rows of each output, as they are compared.
    fn outputs(self, project: &Millrace) -> Vec<String> {
        let of = |name: &str| format!("read_parquet('{}/out/{name}.parquet'", project.folder.path().display());
        match self {
            // Changes: the newest of a key is what counts.
            Work::Nexmark("q18") => vec![format!(
                "(SELECT * EXCLUDE (__op, file_row_number) FROM (FROM {}, file_row_number = true)
                   QUALIFY row_number() OVER (PARTITION BY bidder, auction ORDER BY file_row_number DESC) = 1) WHERE __op <> '-D')",
                of("q18")
            )],
            Work::Nexmark(query) => vec![format!("{})", of(query))],
            Work::Numbers => vec![format!("{})", of("rows")), format!("{})", of("copies"))],
        }
    }
}

/// What a run without faults comes to.
pub struct Truth {
    pub work: Work,
    pub seconds: u64,
    project: Millrace,
    nodes: Value,
}

impl Truth {
    /// Of a run in one process, whose rows come as fast as they can.
    pub fn of(work: Work, seconds: u64) -> Truth {
        let project = work.project(seconds);
        let ran = Ran::from(work.command(&project).output().unwrap()).succeeded();
        let truth = Truth { work, seconds, nodes: ran.json()["nodes"].clone(), project };
        let duckdb = Connection::open_in_memory().unwrap();
        for output in work.outputs(&truth.project) {
            let rows = number(&duckdb, &format!("SELECT count(*) FROM {output}"));
            assert!(rows > 10 && (work != Work::Numbers || rows == ROWS as i64), "{}: {rows} rows", work.name());
        }
        truth
    }

    /// Every row and every count is the same, and nothing is left beside the outputs.
    pub fn is_that_of(&self, project: &Millrace, ran: &Ran, what: &str) {
        assert_eq!(ran.code, 0, "{what}: {}", ran.stderr);
        let duckdb = Connection::open_in_memory().unwrap();
        for (expected, found) in self.work.outputs(&self.project).iter().zip(self.work.outputs(project)) {
            assert_eq!(difference(&duckdb, "*", expected, &found), 0, "{what}: {found}\n{}", ran.stderr);
        }
        assert_eq!(self.work.counts(&ran.json()["nodes"]), self.work.counts(&self.nodes), "{what}: the counts\n{}", ran.stderr);
        let left = names(&project.path("out"), ".");
        assert!(left.is_empty(), "{what}: {left:?} is left");
    }
}
