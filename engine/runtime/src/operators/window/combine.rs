//! Partial results of windows over panes: rows are aggregated in the task that sends them, and the window's own task merges panes.
//!
//! The batch that carries them has the key columns; of the row's [`Place`] the window that takes it next, its pane and the first end it
//! counts for; numbers for the state of each aggregate; and last how many rows they are made of, all in the first row of each pane. So it
//! is split by key, overtaken by a barrier, and kept with an epoch as any other batch.
//!
//! Only aggregates whose states merge to the last bit in any order take part (`count`, `min` and `max` but of text, `avg` of integers),
//! and only rows that are kept without a doubt: a batch with a row that is late, out of range or cannot be computed goes on as it is.

use std::collections::BTreeMap;
use std::ops::Range;

use millrace_model::Timestamp;
use polars::prelude::*;

use super::assign::{Place, Slot, assign};
use super::inputs::Inputs;
use super::intake::Intake;
use super::operator::PanePlan;
use super::pane::Pane;
use super::rows::RowShape;
use super::shape::{Window, Windows};
use super::states::{OnOverflow, PaneShape, Scratch, States};
use crate::batch::{Batch, PARTIAL_COLUMN};
use crate::error::{RunError, RunResult};
use crate::operator::Combiner;
use crate::operators::aggregate::cells::Cells;
use crate::operators::aggregate::keys::BatchKeys;

const PLACE_COLUMNS: [&str; 4] = ["__next_start", "__next_end", "__pane", "__first_end"];

/// Emptied panes kept for those that come next.
const SPARE_PANES: usize = 2;

/// See the module's page.
pub struct PaneCombiner {
    windows: Windows,
    inputs: Inputs,
    rows: RowShape,
    shape: PaneShape,
    /// Numbers that a row's states are.
    words: usize,
    /// With the rows that each is made of.
    open: BTreeMap<Place, (Pane, usize)>,
    spare: Vec<Pane>,
    /// Every window that closes at or before it has fired: the last watermark that the sender told.
    watermark: i64,
    scratch: Scratch,
}

impl PaneCombiner {
    /// None for aggregates that do not take part.
    pub fn new(plan: &PanePlan) -> Option<Self> {
        let shape = Intake::pane_shape(&plan.aggregation);
        let words = States::new(&shape).words()?;
        Some(PaneCombiner {
            windows: plan.windows,
            inputs: Inputs::new(&plan.aggregation),
            rows: plan.aggregation.rows.clone(),
            shape,
            words,
            open: BTreeMap::new(),
            spare: Vec::new(),
            watermark: i64::MIN,
            scratch: Scratch::default(),
        })
    }
}

impl Combiner for PaneCombiner {
    fn combine(&mut self, batch: Batch) -> RunResult<Option<Batch>> {
        let mut assignment = assign(&self.windows, batch.times()?, batch.watermarks()?, self.watermark);
        if !assignment.fates.fates.is_empty() {
            return Ok(Some(batch));
        }
        let (mut readied, failed) = self.inputs.evaluate(batch.frame())?;
        if !failed.is_empty() {
            return Ok(Some(batch));
        }
        if let Some(order) = assignment.gather() {
            readied.take(&order)?;
        }
        let keys = BatchKeys::new(readied.keys(), assignment.fates.kept)?;
        let mut arguments = readied.arguments()?;
        for run in &assignment.runs {
            let made = || (self.spare.pop().unwrap_or_else(|| Pane::new(&self.shape)), 0);
            let (pane, rows) = self.open.entry(run.place).or_insert_with(made);
            *rows += run.rows.len();
            let refused = pane.update(&keys, run.rows.clone(), &mut arguments, OnOverflow::Refuse, &mut self.scratch)?;
            if !refused.is_empty() {
                return Err(RunError::bug("an aggregate that takes part in partial results refused a row"));
            }
        }
        Ok(None)
    }

    fn is_due(&self, watermark: Timestamp) -> bool {
        self.open.keys().next().is_some_and(|first| self.windows.close_of(first.next) <= watermark.micros())
    }

    fn advance(&mut self, watermark: Timestamp) {
        self.watermark = self.watermark.max(watermark.micros());
    }

    fn len(&self) -> usize {
        self.open.values().map(|(pane, _)| pane.len()).sum()
    }

    fn give(&mut self) -> RunResult<Option<Batch>> {
        let groups = Combiner::len(self);
        if groups == 0 {
            return Ok(None);
        }
        let mut keys: Vec<Cells> = self.rows.keys.iter().map(|(_, data_type)| Cells::new(*data_type, groups)).collect();
        let mut numbers: Vec<Vec<i64>> = vec![Vec::with_capacity(groups); PLACE_COLUMNS.len() + self.words + 1];
        for (place, (mut pane, rows)) in std::mem::take(&mut self.open) {
            let (places, rest) = numbers.split_at_mut(PLACE_COLUMNS.len());
            let Some((made_of, words)) = rest.split_last_mut() else { continue };
            let place = [place.next.start, place.next.end, place.slot.pane, place.slot.first_end];
            let filled = made_of.len() + pane.len();
            places.iter_mut().zip(place).for_each(|(column, value)| column.resize(filled, value));
            made_of.push(rows as i64);
            made_of.resize(filled, 0);
            pane.give_words(&mut keys, words);
            if self.spare.len() < SPARE_PANES {
                pane.clear();
                self.spare.push(pane);
            }
        }
        let mut columns = Vec::with_capacity(keys.len() + numbers.len());
        for ((name, _), cells) in self.rows.keys.iter().zip(keys) {
            columns.push(cells.finish(name)?);
        }
        let names = PLACE_COLUMNS.map(PlSmallStr::from_static).into_iter();
        let names = names.chain((0..self.words).map(|at| format!("__state_{at}").into())).chain([PARTIAL_COLUMN.into()]);
        columns.extend(names.zip(numbers).map(|(name, values)| Int64Chunked::from_vec(name, values).into_series().into_column()));
        Ok(Some(Batch::new(DataFrame::new(groups, columns)?)))
    }
}

/// A batch of partial results as the window's own task reads it.
pub struct Partial<'a> {
    keys: &'a [Column],
    places: [&'a [i64]; PLACE_COLUMNS.len()],
    words: Vec<&'a [i64]>,
}

impl<'a> Partial<'a> {
    pub fn read(frame: &'a DataFrame, shape: &RowShape) -> RunResult<Self> {
        let broken = || RunError::bug("a batch of partial results has other columns than its window gives");
        let (keys, numbers) = frame.columns().split_at_checked(shape.keys.len()).ok_or_else(broken)?;
        let numbers: Vec<&[i64]> =
            numbers.iter().map(|column| Ok(column.as_materialized_series().i64()?.cont_slice()?)).collect::<RunResult<_>>()?;
        let (places, rest) = numbers.split_first_chunk().ok_or_else(broken)?;
        let (_, words) = rest.split_last().ok_or_else(broken)?;
        Ok(Partial { keys, places: *places, words: words.to_vec() })
    }

    pub const fn keys(&self) -> &'a [Column] {
        self.keys
    }

    /// Rows of one place that follow each other.
    pub fn places(&self) -> Vec<(Place, Range<usize>)> {
        let [starts, ends, panes, firsts] = self.places;
        let mut places: Vec<(Place, Range<usize>)> = Vec::new();
        for (row, (((start, end), pane), first_end)) in starts.iter().zip(ends).zip(panes).zip(firsts).enumerate() {
            let place = Place { next: Window { start: *start, end: *end }, slot: Slot { pane: *pane, first_end: *first_end } };
            match places.last_mut() {
                Some((last, rows)) if *last == place => rows.end = row + 1,
                _ => places.push((place, row..row + 1)),
            }
        }
        places
    }

    /// The numbers of some rows, a slice of each column.
    pub fn words(&self, rows: Range<usize>) -> Vec<&'a [i64]> {
        self.words.iter().map(|column| column.get(rows.clone()).unwrap_or_default()).collect()
    }
}
