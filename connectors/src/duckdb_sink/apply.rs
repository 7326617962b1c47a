//! Applies what was prepared, in one transaction with the epoch's number. Whatever is done here can be done again.

use std::collections::BTreeSet;
use std::io;

use duckdb::{Connection, OptionalExt, params};
use millrace_engine::runtime::checkpoint::codes::COMMITTED_LATER;
use millrace_engine::runtime::{RunError, RunResult};
use millrace_engine::state::step::reached;

use super::database;
use super::staging::{Prepared, Staging};
use super::table::{Table, literal, quoted};
use crate::codes;

/// A line for each table that a sink keeps: whose it is, and the last epoch that it holds.
const EPOCHS: &str = "CREATE TABLE IF NOT EXISTS __millrace_epochs (table_name VARCHAR NOT NULL, sink VARCHAR NOT NULL, run BIGINT NOT NULL, epoch UBIGINT NOT NULL)";

/// What stands in `__millrace_epochs`.
#[derive(Debug, PartialEq, Eq)]
struct Kept {
    sink: String,
    run: i64,
    epoch: u64,
}

/// An epoch of one sink, to be applied or gone back to.
pub struct Applying {
    pub staging: Staging,
    pub table: Table,
    pub prepared: Vec<Prepared>,
}

/// Looks whether rows could go into the table, and which columns of it must not be NULL. Makes nothing.
pub fn look(staging: &Staging, table: &Table) -> RunResult<BTreeSet<String>> {
    let (files, path) = (&staging.files, &staging.database);
    if !files.exists(path) {
        let refused =
            |error: io::Error| RunError::connector(codes::SINK_PATH, format!("keep a database in {}", path.display()), error, false);
        database::check(files, path).map_err(refused)?;
        return Ok(BTreeSet::new());
    }
    database::with(files, path, |connection| {
        let Some(required) = table.fits(connection)? else { return Ok(BTreeSet::new()) };
        let kept = kept(connection, table).map_err(|error| database::failed(path, error))?;
        owned(connection, staging, table, kept.as_ref())?;
        Ok(required)
    })
}

/// Sees that the table is this sink's to fill: it keeps it, or nobody has put rows there.
fn owned(connection: &Connection, staging: &Staging, table: &Table, kept: Option<&Kept>) -> RunResult<()> {
    match kept {
        Some(kept) if kept.sink != staging.node.as_str() => {
            let cause = format!("the sink `{}` keeps it; name another table, or drop this one if that sink is gone", kept.sink);
            Err(table.taken(cause))
        }
        Some(_) => Ok(()),
        None => {
            let query = format!("SELECT count(*) FROM (SELECT 1 FROM {} LIMIT 1)", quoted(&table.name));
            let rows: i64 =
                connection.query_row(&query, [], |row| row.get(0)).map_err(|error| database::failed(&staging.database, error))?;
            if rows == 0 {
                return Ok(());
            }
            Err(table.taken("it holds rows that no run has put there, and a run would replace them; name another table, or empty this one"))
        }
    }
}

fn kept(connection: &Connection, table: &Table) -> duckdb::Result<Option<Kept>> {
    let known = "SELECT count(*) FROM duckdb_tables() WHERE database_name = current_database() AND table_name = '__millrace_epochs'";
    if connection.query_row(known, [], |row| row.get::<_, i64>(0))? == 0 {
        return Ok(None);
    }
    let query = "SELECT sink, run, epoch FROM __millrace_epochs WHERE lower(table_name) = lower(?)";
    let read = |row: &duckdb::Row<'_>| Ok(Kept { sink: row.get(0)?, run: row.get(1)?, epoch: row.get(2)? });
    connection.query_row(query, [&table.name], read).optional()
}

impl Applying {
    fn failed(&self, error: impl ToString) -> RunError {
        database::failed(&self.staging.database, error)
    }

    /// Makes an epoch's rows visible, unless they are.
    pub fn commit(&self) -> RunResult<()> {
        let Some(epoch) = self.prepared.iter().map(|prepared| prepared.epoch).max() else { return Ok(()) };
        database::with(&self.staging.files, &self.staging.database, |connection| self.commit_by(connection, epoch))?;
        reached("table-committed");
        for part in self.prepared.iter().filter_map(|prepared| prepared.part.as_ref()) {
            self.staging.remove(part)?;
            reached("staged-removed");
        }
        Ok(())
    }

    fn commit_by(&self, connection: &mut Connection, epoch: u64) -> RunResult<()> {
        let transaction = connection.transaction().map_err(|error| self.failed(error))?;
        let kept = kept(&transaction, &self.table).map_err(|error| self.failed(error))?;
        let is_there = self.table.fits(&transaction)?.is_some();
        if is_there {
            owned(&transaction, &self.staging, &self.table, kept.as_ref())?;
        }
        match kept.filter(|kept| kept.run == self.staging.run) {
            Some(kept) if is_there && kept.epoch >= epoch => return Ok(()),
            Some(_) if is_there => {}
            // Another run's, or nothing yet: this must be the first that the run commits.
            _ if self.is_first() => self.begin(&transaction, is_there)?,
            _ => {
                let cause = "another run has replaced what this one put there, or it was dropped; run with --fresh to make it anew";
                return Err(self.table.taken(cause));
            }
        }
        self.apply(&transaction, epoch)?;
        reached("rows-applied");
        transaction.commit().map_err(|error| self.failed(error))
    }

    fn is_first(&self) -> bool {
        self.prepared.iter().any(|prepared| prepared.first)
    }

    /// The table without a row.
    fn begin(&self, connection: &Connection, is_there: bool) -> RunResult<()> {
        let sql = if is_there { format!("DELETE FROM {}", quoted(&self.table.name)) } else { self.table.create_sql() };
        connection.execute_batch(&sql).map_err(|error| self.failed(error))
    }

    fn apply(&self, connection: &Connection, epoch: u64) -> RunResult<()> {
        let files = &self.staging.files;
        let parts: Vec<_> = self.prepared.iter().filter_map(|prepared| prepared.part.as_ref()).collect();
        let mut places = Vec::with_capacity(parts.len());
        for part in parts {
            if !files.exists(part) {
                let cause = "it was prepared, and is gone; run with --fresh to make the table anew";
                return Err(RunError::connector(codes::PARTS_MISSING, format!("read {}", part.display()), cause, false));
            }
            let place = files.opened_by_path(part).map_err(|error| self.staging.failed(error))?;
            places.push(literal(&unglobbed(&place.to_string_lossy())));
        }
        if !places.is_empty() {
            connection.execute_batch(&self.table.apply_sql(&places)).map_err(|error| self.failed(error))?;
        }
        let noted = || -> duckdb::Result<()> {
            connection.execute_batch(EPOCHS)?;
            connection.execute("DELETE FROM __millrace_epochs WHERE lower(table_name) = lower(?)", [&self.table.name])?;
            let line = params![self.table.name, self.staging.node.as_str(), self.staging.run, epoch];
            connection.execute("INSERT INTO __millrace_epochs VALUES (?, ?, ?, ?)", line).map(drop)
        };
        noted().map_err(|error| self.failed(error))
    }

    /// Removes what the run has staged after the epoch that it goes on from.
    pub fn recover(&self, restored: u64) -> RunResult<()> {
        let (files, path) = (&self.staging.files, &self.staging.database);
        if restored > 0 && files.exists(path) {
            let kept = database::with(files, path, |connection| kept(connection, &self.table).map_err(|error| self.failed(error)))?;
            if let Some(newer) = kept.filter(|kept| kept.run == self.staging.run && kept.epoch > restored) {
                return Err(self.committed_later(newer.epoch, restored));
            }
        }
        for (path, _) in self.staging.all()?.into_iter().filter(|(_, what)| what.is_left_over(self.staging.durability)) {
            self.staging.remove(&path)?;
        }
        Ok(())
    }

    fn committed_later(&self, newest: u64, restored: u64) -> RunError {
        let (path, table) = (self.staging.database.display(), quoted(&self.table.name));
        let message =
            format!("{table} in {path} holds rows of epoch {newest}, and the run would go on from epoch {restored}: they would come twice");
        let help = "bring back the state that belongs to the database, or run with --fresh: the table is then made anew";
        RunError::State { code: COMMITTED_LATER, message, help, retryable: false }
    }
}

/// A path in which nothing is a pattern to DuckDB.
fn unglobbed(path: &str) -> String {
    path.chars().map(|letter| if "*?[".contains(letter) { format!("[{letter}]") } else { letter.to_string() }).collect()
}
