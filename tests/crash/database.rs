//! The same departures into tables of a DuckDB database, which are those of a run that nobody killed, as files have them.

use millrace_tests::Ran;
use millrace_tests::flights::{difference, number};

use crate::{Chance, FILE, How, Project, kill_at, run, truth};

/// Steps around a sink's commit, in the order in which they come.
const STEPS: [&str; 5] = ["sink-prepared", "committing", "rows-applied", "table-committed", "staged-removed"];

/// The departures by hour, kept by their key, and those that came late, added.
fn project() -> Project {
    let project = crate::project(How::Plain);
    let text = std::fs::read_to_string(project.path(FILE)).unwrap();
    let table = |table: &str| format!("kind = \"duckdb_sink\"\ndatabase = \"out/x.duckdb\"\ntable = \"{table}\"");
    let hourly = format!("{}\nmode = \"upsert\"\nkey = [\"window_start\", \"origin\"]", table("hourly"));
    let text = text.replace("kind = \"file_sink\"\n", "");
    let text = text.replace("path = \"out/hourly.parquet\"", &hourly).replace("path = \"out/late/\"", &table("late"));
    assert!(text.matches("duckdb_sink").count() == 2 && !text.contains("file_sink"));
    project.write(FILE, text);
    project
}

fn ends_like_a_run_without_faults(project: &Project, parallelism: usize, what: &str) {
    let ran = Ran::from(run(project, parallelism).output().unwrap());
    assert_eq!(ran.code, 0, "{what}: {}", ran.stderr);
    let duckdb = duckdb::Connection::open_in_memory().unwrap();
    let path = |project: &Project, file: &str| project.folder.path().join(file).display().to_string();
    duckdb.execute_batch(&format!("ATTACH '{}' AS got (READ_ONLY)", path(project, "out/x.duckdb"))).unwrap();
    for (table, files) in [("got.hourly", "out/hourly.parquet"), ("got.late", "out/late/*.parquet")] {
        let expected = format!("read_parquet('{}')", path(&truth().project, files));
        assert_eq!(difference(&duckdb, "*", table, &expected), 0, "{what}: {table}");
        assert_eq!(number(&duckdb, "SELECT count(DISTINCT run) FROM got.__millrace_epochs"), 1, "{what}");
    }
    let names = std::fs::read_dir(project.path("out")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.collect::<Vec<_>>(), ["x.duckdb"], "{what}");
}

fn killed_at(step: &str, times: impl Iterator<Item = usize>, chance: &mut Chance) -> usize {
    let mut reached = 0;
    for time in times {
        let project = project();
        reached += usize::from(kill_at(&project, chance.parallelism(), step, time));
        ends_like_a_run_without_faults(&project, chance.parallelism(), &format!("killed at {step}, time {time}"));
    }
    reached
}

#[test]
fn a_database_after_a_kill_around_a_commit_is_that_of_a_run_without_faults() {
    let mut chance = Chance(7);
    for (step, time) in [("rows-applied", 3), ("table-committed", 4)] {
        assert_eq!(killed_at(step, std::iter::once(time), &mut chance), 1, "{step} was reached");
    }
}

#[test]
#[ignore = "a long proof: make prove"]
fn ten_kills_at_every_step_around_a_commit_to_a_database() {
    let mut chance = Chance(8);
    for step in STEPS {
        let reached = killed_at(step, (0..10).map(|kill| 1 + kill % 3), &mut chance);
        println!("{step}: reached and killed {reached} of 10 times");
        assert_eq!(reached, 10, "{step} was reached every time");
    }
}
