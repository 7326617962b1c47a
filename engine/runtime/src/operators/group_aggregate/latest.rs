//! The last row of each key of rows that replace each other, so that it can be taken back when the next one comes.

use std::collections::BTreeSet;

use millrace_model::{DataType as Type, Schema};
use millrace_state::snapshot::{Reader, SnapshotWriter};
use polars::prelude::*;

use super::operator::Source;
use crate::batch::is_hidden;
use crate::error::RunResult;
use crate::operators::aggregate::cells::Cells;
use crate::operators::aggregate::groups::Groups;
use crate::operators::aggregate::keys::BatchKeys;
use crate::operators::aggregate::saved::{SavedColumn, SavedKeys, load_column, load_keys};
use crate::operators::window::bind::Aggregation;

/// Rows that are gone are swept once they are so many, and half of all.
const SWEEP_ROWS: usize = 1024;

/// Which columns are kept, by what.
#[derive(Debug, Clone)]
pub struct LatestPlan {
    /// The columns that tell which row replaces which: first those that rows are spread over tasks by.
    pub key: Vec<(String, Type)>,
    /// How many of `key` these are: all that the aggregate groups by, or none.
    pub placing: usize,
    /// The other columns that the aggregate reads.
    pub columns: Vec<(String, Type)>,
}

/// What to keep of rows with this key.
pub fn source(key: &[String], content: &Schema, aggregation: &Aggregation) -> Source {
    let typed = |name: &str| content.field(name).map(|field| (name.to_owned(), field.data_type));
    let by: Vec<&str> = aggregation.rows.keys.iter().map(|(name, _)| name.as_str()).collect();
    let placing: Vec<&str> = if by.iter().all(|name| key.iter().any(|key| key == name)) { by.clone() } else { Vec::new() };
    let others = key.iter().map(String::as_str).filter(|name| !placing.contains(name));
    let expressions = aggregation.calls.iter().flat_map(|call| call.argument.iter().chain(&call.by));
    let read: BTreeSet<&str> = expressions.flat_map(|expr| expr.columns.iter().map(String::as_str)).chain(by).collect();
    Source::Upsert(LatestPlan {
        placing: placing.len(),
        columns: read.into_iter().filter(|name| !key.iter().any(|key| key == name)).filter_map(typed).collect(),
        key: placing.iter().copied().chain(others).filter_map(typed).collect(),
    })
}

/// One column of the rows that are kept, by the number of their key.
enum Kept {
    Words { words: Vec<u64>, valid: Vec<bool> },
    Text { texts: Vec<Option<Box<str>>>, bytes: usize },
}

impl Kept {
    fn new(data_type: Type) -> Self {
        match data_type {
            Type::Varchar => Kept::Text { texts: Vec::new(), bytes: 0 },
            _ => Kept::Words { words: Vec::new(), valid: Vec::new() },
        }
    }

    fn resize(&mut self, rows: usize) {
        match self {
            Kept::Words { words, valid } => {
                words.resize(rows, 0);
                valid.resize(rows, false);
            }
            Kept::Text { texts, .. } => texts.resize(rows, None),
        }
    }

    fn set(&mut self, at: usize, from: &SavedColumn, row: usize) {
        match (self, from) {
            (Kept::Words { words, valid }, SavedColumn::Words { words: new, valid: new_valid }) => {
                if let (Some(word), Some(valid)) = (words.get_mut(at), valid.get_mut(at)) {
                    *word = new.get(row).copied().unwrap_or(0);
                    *valid = new_valid.as_ref().is_none_or(|bits| bits.get(row) == Some(true));
                }
            }
            (Kept::Text { texts, bytes }, SavedColumn::Text(new)) => {
                if let Some(text) = texts.get_mut(at) {
                    *bytes -= text.as_ref().map_or(0, |text| text.len());
                    *text = new.get(row).map(Box::from);
                    *bytes += text.as_ref().map_or(0, |text| text.len());
                }
            }
            _ => {}
        }
    }

    fn give(&self, at: usize, out: &mut Cells) {
        match self {
            Kept::Words { words, valid } => match (words.get(at), valid.get(at)) {
                (Some(word), Some(true)) => out.push_word(*word),
                _ => out.push_null(),
            },
            Kept::Text { texts, .. } => match texts.get(at).and_then(Option::as_deref) {
                Some(text) => out.push_text(text),
                None => out.push_null(),
            },
        }
    }

    /// Forgets all rows but these, which move together.
    fn keep(&mut self, kept: &[u32]) {
        match self {
            Kept::Words { words, valid } => {
                *words = kept.iter().filter_map(|at| words.get(*at as usize).copied()).collect();
                *valid = kept.iter().filter_map(|at| valid.get(*at as usize).copied()).collect();
            }
            Kept::Text { texts, bytes } => {
                *texts = kept.iter().filter_map(|at| texts.get_mut(*at as usize).map(std::mem::take)).collect();
                *bytes = texts.iter().flatten().map(|text| text.len()).sum();
            }
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Kept::Words { words, valid } => words.capacity() * size_of::<u64>() + valid.capacity(),
            Kept::Text { texts, bytes } => texts.capacity() * size_of::<Option<Box<str>>>() + bytes,
        }
    }
}

/// The rows that may be replaced.
pub struct Latest {
    plan: LatestPlan,
    key_types: Vec<Type>,
    keys: Groups,
    columns: Vec<Kept>,
    /// By key: whether it has a row.
    is_there: Vec<bool>,
    rows: usize,
}

impl Latest {
    pub fn new(plan: &LatestPlan) -> Self {
        let key_types: Vec<Type> = plan.key.iter().map(|(_, data_type)| *data_type).collect();
        Latest {
            plan: plan.clone(),
            keys: Groups::new(&key_types),
            key_types,
            columns: plan.columns.iter().map(|(_, data_type)| Kept::new(*data_type)).collect(),
            is_there: Vec::new(),
            rows: 0,
        }
    }

    pub fn len(&self) -> usize {
        self.rows
    }

    /// The names and types of what is kept.
    pub fn types(&self) -> String {
        let columns: Vec<String> =
            self.plan.key.iter().chain(&self.plan.columns).map(|(name, data_type)| format!("{name} {data_type}")).collect();
        columns.join(", ")
    }

    /// Puts each row in the place of the last one of its key, or none if it does not add. Gives the rows that were replaced or went, also
    /// those of this frame, with the hidden columns of the row that did it.
    pub fn replace(&mut self, frame: &DataFrame, adds: &BooleanChunked) -> RunResult<Option<DataFrame>> {
        let key = self.plan.key.iter().map(|(name, _)| frame.column(name)).collect::<PolarsResult<Vec<_>>>()?;
        let given: Vec<SavedColumn> =
            self.plan.columns.iter().map(|(name, _)| SavedColumn::new(frame.column(name)?)).collect::<RunResult<_>>()?;
        let mut found = vec![0; frame.height()];
        self.keys.find(&BatchKeys::new(key, frame.height())?, 0..frame.height(), &mut found)?;
        self.resize();
        let mut old: Vec<Cells> = self.columns_of_a_row().map(|(_, data_type)| Cells::new(*data_type, 0)).collect();
        let mut replacing: Vec<IdxSize> = Vec::new();
        for ((row, at), adds) in found.iter().enumerate().zip(adds.iter()) {
            let Some(is_there) = self.is_there.get_mut(*at as usize) else { continue };
            let adds = adds == Some(true);
            let had_one = std::mem::replace(is_there, adds);
            self.rows = self.rows + usize::from(adds) - usize::from(had_one);
            if had_one {
                replacing.push(row as IdxSize);
                self.give(*at, &mut old);
            }
            if adds {
                self.columns.iter_mut().zip(&given).for_each(|(column, given)| column.set(*at as usize, given, row));
            }
        }
        self.sweep();
        if replacing.is_empty() {
            return Ok(None);
        }
        let names = self.columns_of_a_row().map(|(name, _)| name.clone());
        let mut columns: Vec<Column> = names.zip(old).map(|(name, cells)| cells.finish(&name)).collect::<RunResult<_>>()?;
        for hidden in frame.columns().iter().filter(|column| is_hidden(column.name())) {
            columns.push(hidden.take_slice(&replacing)?);
        }
        Ok(Some(DataFrame::new(replacing.len(), columns)?))
    }

    fn columns_of_a_row(&self) -> impl Iterator<Item = &(String, Type)> {
        self.plan.key.iter().chain(&self.plan.columns)
    }

    fn give(&self, at: u32, out: &mut [Cells]) {
        let (keys, columns) = out.split_at_mut(self.plan.key.len().min(out.len()));
        self.keys.give(&[at], keys);
        self.columns.iter().zip(columns).for_each(|(column, out)| column.give(at as usize, out));
    }

    fn resize(&mut self) {
        self.is_there.resize(self.keys.len(), false);
        self.columns.iter_mut().for_each(|column| column.resize(self.keys.len()));
    }

    /// Makes room once most keys have no row.
    fn sweep(&mut self) {
        let gone = self.is_there.len() - self.rows;
        if gone < SWEEP_ROWS || gone * 2 < self.is_there.len() {
            return;
        }
        let kept: Vec<u32> = (0..).zip(&self.is_there).filter(|(_, is_there)| **is_there).map(|(at, _)| at).collect();
        self.keys = self.keys.pick(&kept);
        self.columns.iter_mut().for_each(|column| column.keep(&kept));
        self.is_there = vec![true; kept.len()];
    }

    /// Writes all rows, a record for each key group that has any; `tag` comes first in each.
    pub fn save(&self, tag: u8, writer: &mut SnapshotWriter) -> RunResult<()> {
        let saved = SavedKeys::placed_by(&self.keys, &self.key_types, self.plan.placing, writer.key_groups())?;
        let columns: Vec<SavedColumn> = self.all_columns()?;
        for (key_group, mut rows) in saved.by_key_group() {
            rows.retain(|row| self.is_there.get(*row as usize) == Some(&true));
            if rows.is_empty() {
                continue;
            }
            writer.keyed(key_group, |out| {
                out.u8(tag);
                saved.write(&rows, out);
                for column in &columns {
                    rows.iter().for_each(|row| column.write(*row as usize, out));
                }
            });
        }
        Ok(())
    }

    fn all_columns(&self) -> RunResult<Vec<SavedColumn>> {
        let of = |(kept, (_, data_type)): (&Kept, &(String, Type))| {
            let mut cells = Cells::new(*data_type, self.is_there.len());
            (0..self.is_there.len()).for_each(|at| kept.give(at, &mut cells));
            SavedColumn::new(&cells.finish("kept")?)
        };
        self.columns.iter().zip(&self.plan.columns).map(of).collect()
    }

    /// Adds rows that [`Latest::save`] wrote; `from` stands behind the tag.
    pub fn load(&mut self, from: &mut Reader<'_>) -> RunResult<()> {
        let rows = load_keys(&mut self.keys, &self.key_types, from)?;
        self.resize();
        for at in &rows {
            if let Some(is_there) = self.is_there.get_mut(*at as usize) {
                self.rows += usize::from(!std::mem::replace(is_there, true));
            }
        }
        for (column, (_, data_type)) in self.columns.iter_mut().zip(&self.plan.columns) {
            let read = SavedColumn::new(&load_column(*data_type, rows.len(), from)?)?;
            rows.iter().enumerate().for_each(|(row, at)| column.set(*at as usize, &read, row));
        }
        Ok(from.finish()?)
    }

    pub fn clear(&mut self) {
        *self = Latest::new(&self.plan);
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        self.keys.bytes() + self.columns.iter().map(Kept::bytes).sum::<usize>() + self.is_there.capacity()
    }
}
