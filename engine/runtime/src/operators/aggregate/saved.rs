//! Keys as records of a snapshot, by key group.

use millrace_model::DataType as Type;
use millrace_plan::key_group::key_group;
use millrace_state::snapshot::{Reader, Writer};
use polars::prelude::*;
use polars_arrow::bitmap::Bitmap;

use super::cells::Cells;
use super::groups::Groups;
use super::keys::{BatchKeys, KeyColumn};
use super::words;
use crate::error::RunResult;
use crate::key::hash_keys;

/// A column as it is read and written value by value.
pub enum SavedColumn {
    Words { words: Vec<u64>, valid: Option<Bitmap> },
    Text(StringChunked),
}

impl SavedColumn {
    pub fn new(column: &Column) -> RunResult<Self> {
        let series = column.as_materialized_series();
        if series.dtype() == &DataType::String {
            return Ok(SavedColumn::Text(series.str()?.rechunk().into_owned()));
        }
        Ok(SavedColumn::Words { words: words::encode(series)?, valid: words::validity(series) })
    }

    pub fn write(&self, group: usize, out: &mut Writer) {
        match self {
            SavedColumn::Words { words, valid } => {
                let is_valid = valid.as_ref().is_none_or(|valid| valid.get(group) == Some(true));
                out.flag(is_valid);
                out.u64(if is_valid { words.get(group).copied().unwrap_or(0) } else { 0 });
            }
            SavedColumn::Text(texts) => {
                let text = texts.get(group);
                out.flag(text.is_some());
                out.text(text.unwrap_or_default());
            }
        }
    }
}

/// The keys of all groups, ready to be written.
pub struct SavedKeys {
    columns: Vec<SavedColumn>,
    /// All groups with their key groups, in order.
    placed: Vec<(u16, u32)>,
}

impl SavedKeys {
    pub fn new(groups: &Groups, types: &[Type], key_groups: u16) -> RunResult<Self> {
        SavedKeys::placed_by(groups, types, types.len(), key_groups)
    }

    /// Keys of which the first `placing` columns alone tell the key group: those that rows were sent by.
    pub fn placed_by(groups: &Groups, types: &[Type], placing: usize, key_groups: u16) -> RunResult<Self> {
        let all: Vec<u32> = (0..groups.len() as u32).collect();
        let mut cells: Vec<Cells> = types.iter().map(|data_type| Cells::new(*data_type, all.len())).collect();
        groups.give(&all, &mut cells);
        let columns: Vec<Column> =
            cells.into_iter().enumerate().map(|(at, cells)| cells.finish(&format!("k{at}"))).collect::<RunResult<_>>()?;
        let saved: Vec<SavedColumn> = columns.iter().map(SavedColumn::new).collect::<RunResult<_>>()?;
        let frame = DataFrame::new(all.len(), columns)?;
        let names: Vec<String> = (0..placing).map(|at| format!("k{at}")).collect();
        let hashes = hash_keys(&frame, &names.iter().map(String::as_str).collect::<Vec<_>>())?;
        let mut placed: Vec<(u16, u32)> = hashes.into_iter().map(|hash| key_group(hash, key_groups)).zip(all).collect();
        placed.sort_unstable();
        Ok(SavedKeys { columns: saved, placed })
    }

    /// The groups of each key group that has any.
    pub fn by_key_group(&self) -> impl Iterator<Item = (u16, Vec<u32>)> {
        let runs = self.placed.chunk_by(|a, b| a.0 == b.0);
        runs.filter_map(|run| Some((run.first()?.0, run.iter().map(|(_, group)| *group).collect())))
    }

    /// Writes the keys of some groups, in this order; a group may come again.
    pub fn write(&self, groups: &[u32], out: &mut Writer) {
        out.u64(groups.len() as u64);
        self.columns.iter().for_each(|column| groups.iter().for_each(|group| column.write(*group as usize, out)));
    }
}

/// Reads keys that [`SavedKeys::write`] wrote, adds those that are new, and gives the group of each.
pub fn load_keys(groups: &mut Groups, types: &[Type], from: &mut Reader<'_>) -> RunResult<Vec<u32>> {
    let mut found = load_keys_of(groups, types, std::slice::from_mut(from))?;
    Ok(found.pop().unwrap_or_default())
}

/// The same of many records, whose keys are looked up together. Each reader stands behind its keys then.
pub fn load_keys_of(groups: &mut Groups, types: &[Type], records: &mut [Reader<'_>]) -> RunResult<Vec<Vec<u32>>> {
    let mut columns: Vec<Loaded> = types.iter().map(|data_type| Loaded::new(*data_type)).collect();
    let mut counts = Vec::with_capacity(records.len());
    for from in records {
        let count = from.count(1)?;
        counts.push(count);
        columns.iter_mut().try_for_each(|column| column.load(count, from))?;
    }
    let all = counts.iter().sum();
    let keys = BatchKeys::of(columns.into_iter().map(Loaded::into_keys).collect::<RunResult<_>>()?, all);
    let mut found = vec![0; all];
    groups.find(&keys, 0..all, &mut found)?;
    let mut rest = found.as_slice();
    let each = counts.into_iter().map(|count| {
        let (own, others) = rest.split_at_checked(count).unwrap_or((rest, &[]));
        rest = others;
        own.to_vec()
    });
    Ok(each.collect())
}

/// A column of keys that is being read. Words are keys as they are.
enum Loaded {
    Words { words: Vec<u64>, valid: Vec<bool> },
    Text(Cells),
}

impl Loaded {
    fn new(data_type: Type) -> Loaded {
        match data_type {
            Type::Varchar => Loaded::Text(Cells::new(data_type, 0)),
            _ => Loaded::Words { words: Vec::new(), valid: Vec::new() },
        }
    }

    fn load(&mut self, count: usize, from: &mut Reader<'_>) -> RunResult<()> {
        match self {
            Loaded::Text(cells) => load_values(Type::Varchar, count, from, cells),
            Loaded::Words { words, valid } => {
                for [is_valid, word @ ..] in from.arrays::<9>(count)? {
                    valid.push(from.as_flag(*is_valid)?);
                    words.push(u64::from_le_bytes(*word));
                }
                Ok(())
            }
        }
    }

    fn into_keys(self) -> RunResult<KeyColumn> {
        match self {
            Loaded::Words { words, valid } => Ok(KeyColumn::words(words, Some(valid).filter(|valid| valid.contains(&false)))),
            Loaded::Text(cells) => KeyColumn::new(&cells.finish("k")?),
        }
    }
}

/// Reads as many values as [`SavedColumn::write`] wrote.
pub fn load_column(data_type: Type, count: usize, from: &mut Reader<'_>) -> RunResult<Column> {
    let mut cells = Cells::new(data_type, count);
    load_values(data_type, count, from, &mut cells)?;
    cells.finish("k")
}

fn load_values(data_type: Type, count: usize, from: &mut Reader<'_>, cells: &mut Cells) -> RunResult<()> {
    for _ in 0..count {
        match (from.flag()?, data_type) {
            (is_valid, Type::Varchar) => match from.text()? {
                text if is_valid => cells.push_text(text),
                _ => cells.push_null(),
            },
            (is_valid, _) => match from.u64()? {
                word if is_valid => cells.push_word(word),
                _ => cells.push_null(),
            },
        }
    }
    Ok(())
}
