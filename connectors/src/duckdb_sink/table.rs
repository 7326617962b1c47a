//! The table as it should be, and the SQL that makes and changes it.

use std::collections::BTreeSet;

use duckdb::Connection;
use millrace_engine::model::types::SchemaRef;
use millrace_engine::model::{Field, OP_COLUMN, RowOp};
use millrace_engine::runtime::{RunError, RunResult};

use crate::codes;

/// What DuckDB calls a row's place in its Parquet file.
pub const ROW_NUMBER: &str = "file_row_number";

/// What the sink keeps.
#[derive(Debug, Clone)]
pub struct Table {
    pub name: String,
    /// The columns of the input, [`OP_COLUMN`] included.
    pub edge: SchemaRef,
    pub has_op: bool,
    /// The columns that tell rows apart; none if rows are only added.
    pub key: Vec<String>,
}

/// A column of a table that is there.
struct Standing {
    name: String,
    data_type: String,
    is_required: bool,
    has_default: bool,
}

/// A name in SQL.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text in SQL.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn list(names: impl Iterator<Item = String>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

impl Table {
    /// The table's columns: the input's without what rows do.
    pub fn columns(&self) -> impl Iterator<Item = &Field> {
        self.edge.fields.iter().filter(|field| !(self.has_op && field.name == OP_COLUMN))
    }

    fn names(&self) -> String {
        list(self.columns().map(|column| quoted(&column.name)))
    }

    pub fn create_sql(&self) -> String {
        let columns = list(self.columns().map(|column| format!("{} {}", quoted(&column.name), column.data_type.name())));
        format!("CREATE TABLE {} ({columns})", quoted(&self.name))
    }

    /// Adds the rows of the Parquet files `parts`, or lets them change the table.
    pub fn apply_sql(&self, parts: &[String]) -> String {
        let parts = parts.join(", ");
        if self.key.is_empty() {
            return format!(
                "INSERT INTO {} ({names}) SELECT {names} FROM read_parquet([{parts}])",
                quoted(&self.name),
                names = self.names()
            );
        }
        self.merge_sql(&parts)
    }

    /// The last row of each key is what counts; all of one key are in one part.
    fn merge_sql(&self, parts: &str) -> String {
        let key = list(self.key.iter().map(|column| quoted(column)));
        let is_same =
            self.key.iter().map(|column| format!("t.{0} IS NOT DISTINCT FROM c.{0}", quoted(column))).collect::<Vec<_>>().join(" AND ");
        let is_own_key = |column: &&Field| self.key.contains(&column.name);
        let set = list(self.columns().filter(|column| !is_own_key(column)).map(|column| format!("{0} = c.{0}", quoted(&column.name))));
        let removes = match self.has_op {
            true => format!("c.{OP_COLUMN} IN ('{}', '{}')", RowOp::Delete.word(), RowOp::UpdateBefore.word()),
            false => "false".to_owned(),
        };
        let update = if set.is_empty() { "DO NOTHING".to_owned() } else { format!("UPDATE SET {set}") };
        format!(
            "MERGE INTO {table} t USING (SELECT * FROM read_parquet([{parts}], file_row_number = true) \
             QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY {ROW_NUMBER} DESC) = 1) c ON {is_same} \
             WHEN MATCHED AND {removes} THEN DELETE \
             WHEN MATCHED THEN {update} \
             WHEN NOT MATCHED AND NOT {removes} THEN INSERT ({names}) VALUES ({values})",
            table = quoted(&self.name),
            names = self.names(),
            values = list(self.columns().map(|column| format!("c.{}", quoted(&column.name)))),
        )
    }

    /// Whether the table is there, with columns that fit.
    ///
    /// # Errors
    /// The first column that does not, in words.
    pub fn fits(&self, connection: &Connection) -> RunResult<Option<BTreeSet<String>>> {
        let standing = self.standing(connection).map_err(|error| self.wrong(error.to_string()))?;
        if standing.is_empty() {
            return Ok(None);
        }
        let mut required = BTreeSet::new();
        for column in self.columns() {
            let (name, wanted) = (&column.name, column.data_type.name());
            match standing.iter().find(|there| there.name.eq_ignore_ascii_case(name)) {
                None => return Err(self.wrong(format!("it has no column `{name}`; expected is `{name}` {wanted}"))),
                Some(there) if there.data_type != wanted => {
                    return Err(self.wrong(format!("its column `{name}` is {}; expected is {wanted}", there.data_type)));
                }
                Some(there) if there.is_required => required.extend([name.clone()]),
                Some(_) => {}
            }
        }
        let is_ours = |there: &&Standing| self.columns().any(|column| column.name.eq_ignore_ascii_case(&there.name));
        match standing.iter().find(|there| !is_ours(there) && there.is_required && !there.has_default) {
            Some(there) => Err(self.wrong(format!("its column `{}` must not be NULL, and the input has no such column", there.name))),
            None => Ok(Some(required)),
        }
    }

    fn standing(&self, connection: &Connection) -> duckdb::Result<Vec<Standing>> {
        let mut query = connection.prepare(
            "SELECT column_name, data_type, NOT is_nullable, column_default IS NOT NULL FROM duckdb_columns() \
             WHERE database_name = current_database() AND schema_name = 'main' AND lower(table_name) = lower(?) ORDER BY column_index",
        )?;
        let read = |row: &duckdb::Row<'_>| {
            Ok(Standing { name: row.get(0)?, data_type: row.get(1)?, is_required: row.get(2)?, has_default: row.get(3)? })
        };
        query.query_map([&self.name], read)?.collect()
    }

    fn wrong(&self, cause: String) -> RunError {
        let cause = format!("{cause}; drop the table, or name another in `table`");
        RunError::connector(codes::SINK_TABLE, format!("write to the table {}", quoted(&self.name)), cause, false)
    }

    /// It is somebody else's.
    pub fn taken(&self, cause: impl ToString) -> RunError {
        RunError::connector(codes::TABLE_TAKEN, format!("write to the table {}", quoted(&self.name)), cause, false)
    }
}
