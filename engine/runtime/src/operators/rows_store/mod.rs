//! Rows that an operator keeps, in typed columns, by number.
//!
//! A row has the number that [`RowsStore::push`] gave it until it is freed; freed numbers serve again. Fixed-width values are 64-bit words,
//! so `-0.0` comes back as `0.0` and every NaN as one; all else comes back as it was.
//!
//! The rows of a batch that an operator has to look at closely are a store too ([`RowLayout::read`]): what compares and copies rows has one
//! form to know.

mod column;
mod order;
mod saved;
mod texts;

use millrace_model::{DataType as Type, Schema};
use millrace_state::snapshot::{Reader, Writer};
use polars::prelude::*;

use self::column::{StoredColumn, Value};
pub use self::order::RowOrder;
pub use self::saved::{read_shared, write_shared};
use crate::batch::TIME_COLUMN;
use crate::error::{RunError, RunResult};

/// Which columns are kept: those of a schema, and the event time where it is wanted.
#[derive(Debug, Clone)]
pub struct RowLayout {
    columns: Vec<(String, Type)>,
    /// How many of them are shown.
    visible: usize,
}

impl RowLayout {
    pub fn visible(schema: &Schema) -> Self {
        let columns: Vec<(String, Type)> = schema.fields.iter().map(|field| (field.name.clone(), field.data_type)).collect();
        RowLayout { visible: columns.len(), columns }
    }

    #[must_use]
    pub fn with_time(mut self) -> Self {
        self.columns.push((TIME_COLUMN.to_owned(), Type::BigInt));
        self
    }

    pub fn width(&self) -> usize {
        self.columns.len()
    }

    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|(column, _)| column == name)
    }

    pub fn name(&self, column: usize) -> &str {
        self.columns.get(column).map_or("", |(name, _)| name.as_str())
    }

    /// The types in words, for a snapshot to be held to.
    pub fn types(&self) -> String {
        let types: Vec<&str> = self.columns.iter().map(|(_, data_type)| data_type.name()).collect();
        types.join(", ")
    }

    pub fn store(&self) -> RowsStore {
        let columns = self.columns.iter().map(|(_, data_type)| StoredColumn::new(*data_type)).collect();
        RowsStore { columns, slots: 0, free: Vec::new() }
    }

    /// All rows of a frame, numbered as they stand.
    pub fn read(&self, frame: &DataFrame) -> RunResult<RowsStore> {
        let columns = self.columns.iter().map(|(name, _)| StoredColumn::of(frame.column(name)?)).collect::<RunResult<_>>()?;
        Ok(RowsStore { columns, slots: frame.height() as u32, free: Vec::new() })
    }

    /// Some rows' shown columns, in this order.
    pub fn give(&self, rows: &RowsStore, ids: &[u32]) -> RunResult<Vec<Column>> {
        let columns = self.columns.iter().zip(&rows.columns).take(self.visible);
        columns.map(|((name, data_type), column)| column.give(name, ids, *data_type)).collect()
    }

    /// Some rows' event times; none where they are not kept.
    pub fn give_times(&self, rows: &RowsStore, ids: &[u32]) -> RunResult<Option<Column>> {
        let time = self.columns.iter().zip(&rows.columns).nth(self.visible);
        time.map(|((name, data_type), column)| column.give(name, ids, *data_type)).transpose()
    }
}

/// Rows in columns. What reads a row that is not there finds NULL.
pub struct RowsStore {
    columns: Vec<StoredColumn>,
    /// Numbers given so far, those that are free again too.
    slots: u32,
    free: Vec<u32>,
}

impl RowsStore {
    pub fn len(&self) -> usize {
        self.slots as usize - self.free.len()
    }

    fn open(&mut self) -> RunResult<u32> {
        if let Some(row) = self.free.pop() {
            return Ok(row);
        }
        let row = self.slots;
        self.slots = row
            .checked_add(1)
            .filter(|slots| *slots < u32::MAX)
            .ok_or_else(|| RunError::Limit { message: format!("{row} rows are kept in one task, the most there can be") })?;
        Ok(row)
    }

    /// Keeps a row of another store of the same layout; gives its number here.
    pub fn push(&mut self, from: &RowsStore, row: u32) -> RunResult<u32> {
        let id = self.open()?;
        self.replace(id, from, row);
        Ok(id)
    }

    /// Puts another row in the place of one.
    pub fn replace(&mut self, id: u32, from: &RowsStore, row: u32) {
        for (column, from) in self.columns.iter_mut().zip(&from.columns) {
            column.set(id as usize, from.get(row as usize));
        }
    }

    /// Lets a row go; its number may be given to another.
    pub fn free(&mut self, id: u32) {
        self.columns.iter_mut().for_each(|column| column.free(id as usize));
        self.free.push(id);
    }

    fn value(&self, column: usize, row: u32) -> Value<'_> {
        self.columns.get(column).map_or(Value::Null, |column| column.get(row as usize))
    }

    /// Writes some rows, column by column.
    pub fn save(&self, ids: &[u32], out: &mut Writer) {
        out.u64(ids.len() as u64);
        self.columns.iter().for_each(|column| column.save(ids, out));
    }

    /// Adds the rows that [`RowsStore::save`] wrote; gives their numbers here.
    pub fn load(&mut self, from: &mut Reader<'_>) -> RunResult<Vec<u32>> {
        let count = from.count(self.columns.len())?;
        let ids: Vec<u32> = (0..count).map(|_| self.open()).collect::<RunResult<_>>()?;
        for column in &mut self.columns {
            ids.iter().try_for_each(|id| column.load(*id as usize, from))?;
        }
        Ok(ids)
    }

    /// Forgets all rows and keeps the memory.
    pub fn clear(&mut self) {
        self.columns.iter_mut().for_each(StoredColumn::clear);
        self.free.clear();
        self.slots = 0;
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        self.columns.iter().map(StoredColumn::bytes).sum::<usize>() + self.free.capacity() * 4
    }
}

#[cfg(test)]
mod tests;
