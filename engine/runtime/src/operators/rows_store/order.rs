//! How rows sort: by the columns of an `order`, then by all others, so that it hangs on the rows alone which comes first.

use std::cmp::Ordering;

use millrace_expr::OrderTerm;
use polars::prelude::{Column, DataType};

use super::column::{StoredColumn, Value};
use super::{RowLayout, RowsStore};
use crate::error::{RunError, RunResult};

#[derive(Debug, Clone, Copy)]
struct Term {
    column: usize,
    is_descending: bool,
    nulls_first: bool,
}

/// A total order of rows: two that are equal in it are equal in every column.
#[derive(Debug, Clone)]
pub struct RowOrder {
    terms: Vec<Term>,
    /// How many terms were asked for; the others tell apart rows that share a place.
    asked: usize,
}

impl RowOrder {
    /// By `order`, then by the layout's other columns in their order, ascending; columns that the layout has not are passed over.
    pub fn new(layout: &RowLayout, order: &[OrderTerm]) -> Self {
        let mut terms: Vec<Term> = Vec::with_capacity(layout.width());
        for term in order {
            if let Some(column) = layout.index_of(&term.column) {
                terms.push(Term { column, is_descending: term.is_descending, nulls_first: term.nulls_first });
            }
        }
        let asked = terms.len();
        let others = (0..layout.width()).filter(|column| order.iter().all(|term| layout.index_of(&term.column) != Some(*column)));
        terms.extend(others.map(|column| Term { column, is_descending: false, nulls_first: false }));
        RowOrder { terms, asked }
    }

    /// The same the other way round: what came last comes first.
    #[must_use]
    pub fn reversed(mut self) -> Self {
        for term in &mut self.terms {
            (term.is_descending, term.nulls_first) = (!term.is_descending, !term.nulls_first);
        }
        self
    }

    pub fn compare(&self, a: &RowsStore, row_a: u32, b: &RowsStore, row_b: u32) -> Ordering {
        compare(&self.terms, a, row_a, b, row_b)
    }

    /// By the columns that were asked for alone.
    pub fn compare_places(&self, a: &RowsStore, row_a: u32, b: &RowsStore, row_b: u32) -> Ordering {
        compare(self.terms.get(..self.asked).unwrap_or_default(), a, row_a, b, row_b)
    }

    /// A number for each row of a batch: of two rows the one that comes first never has the greater, but two may share one.
    pub fn leads(&self, layout: &RowLayout, columns: &[Column]) -> RunResult<Vec<u64>> {
        let Some(first) = self.terms.first() else { return Ok(vec![0; columns.first().map_or(0, Column::len)]) };
        let name = layout.name(first.column);
        let column = columns.iter().find(|column| column.name().as_str() == name);
        let column = column.ok_or_else(|| RunError::bug(format!("rows are sorted by {name}, and have no such column")))?;
        let Term { is_descending, nulls_first, .. } = *first;
        if column.dtype() == &DataType::String {
            let texts = column.as_materialized_series().str()?;
            let value = |text: Option<&str>| text.map_or(Value::Null, |text| Value::Text(text.as_bytes())).lead(is_descending, nulls_first);
            return Ok(texts.iter().map(value).collect());
        }
        let stored = StoredColumn::of(column)?;
        match stored {
            StoredColumn::Words { words, valid } if valid.is_empty() => Ok(match is_descending {
                true => words.into_iter().map(|word| !word).collect(),
                false => words,
            }),
            stored => Ok((0..column.len()).map(|row| stored.get(row).lead(is_descending, nulls_first)).collect()),
        }
    }

    /// The number that [`RowOrder::leads`] gives a kept row.
    pub fn lead(&self, rows: &RowsStore, row: u32) -> u64 {
        self.terms.first().map_or(0, |first| rows.value(first.column, row).lead(first.is_descending, first.nulls_first))
    }
}

#[inline]
fn compare(terms: &[Term], a: &RowsStore, row_a: u32, b: &RowsStore, row_b: u32) -> Ordering {
    for term in terms {
        let (a, b) = (a.value(term.column, row_a), b.value(term.column, row_b));
        let order = a.compare(b, term.is_descending, term.nulls_first);
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}
