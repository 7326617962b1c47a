//! An aggregate's argument in the form that its accumulator works on, NULLs taken out.

use std::borrow::Cow;
use std::ops::Range;

use millrace_expr::AggregateFunction;
use millrace_model::DataType as Type;
use polars::prelude::*;

use super::words;
use crate::error::{RunError, RunResult};

/// How an accumulator wants its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Only that there is one.
    Presence,
    Integers,
    /// UBIGINT, for what does not fit an i64.
    Unsigned,
    Floats,
    /// See [`words`].
    Words,
    Text,
    /// What a row is sorted by, then its value, both as words.
    Pairs,
    /// What a row is sorted by as a word, then its text.
    TextPairs,
}

impl Form {
    pub fn of(function: AggregateFunction, argument: Type) -> Form {
        match function {
            AggregateFunction::CountRows | AggregateFunction::Count => Form::Presence,
            AggregateFunction::Sum if argument.is_integer() => Form::Integers,
            AggregateFunction::Avg if argument == Type::UBigInt => Form::Unsigned,
            AggregateFunction::Avg if argument.is_integer() => Form::Integers,
            AggregateFunction::Sum | AggregateFunction::Avg | AggregateFunction::Stddev | AggregateFunction::Variance => Form::Floats,
            AggregateFunction::Quantile | AggregateFunction::Median | AggregateFunction::ApproxQuantile => Form::Floats,
            AggregateFunction::First | AggregateFunction::Last | AggregateFunction::ArgMin | AggregateFunction::ArgMax => {
                if argument == Type::Varchar { Form::TextPairs } else { Form::Pairs }
            }
            AggregateFunction::StringAgg | AggregateFunction::ArrayAgg => {
                if argument == Type::Varchar {
                    Form::TextPairs
                } else {
                    Form::Pairs
                }
            }
            AggregateFunction::ApproxCountDistinct | AggregateFunction::ApproxTopK => {
                if argument == Type::Varchar {
                    Form::Text
                } else {
                    Form::Words
                }
            }
            AggregateFunction::BoolAnd | AggregateFunction::BoolOr => Form::Words,
            AggregateFunction::Min | AggregateFunction::Max | AggregateFunction::CountDistinct | AggregateFunction::Mode => {
                if argument == Type::Varchar { Form::Text } else { Form::Words }
            }
        }
    }

    /// The column in the type that [`Argument::new`] reads, in one chunk.
    pub fn normalise(self, series: &Series) -> RunResult<Series> {
        let series = series.rechunk();
        Ok(match self {
            Form::Integers => series.cast(&DataType::Int64)?,
            Form::Unsigned => series.cast(&DataType::UInt64)?,
            Form::Floats => series.cast(&DataType::Float64)?,
            Form::Presence | Form::Words | Form::Text | Form::Pairs | Form::TextPairs => series,
        })
    }
}

/// Values without NULLs, beside the groups they belong to.
#[derive(Debug, Clone, Copy)]
pub enum Values<'a> {
    /// As many as there are groups.
    Present,
    Integers(&'a [i64]),
    Unsigned(&'a [u64]),
    Floats(&'a [f64]),
    Words(&'a [u64]),
    Text(&'a [&'a str]),
    Pairs(&'a [(u64, u64)]),
    TextPairs(&'a [(u64, &'a str)]),
}

fn mismatch<T>(wanted: &str) -> RunResult<T> {
    Err(RunError::bug(format!("an accumulator of {wanted} was given other values")))
}

impl<'a> Values<'a> {
    pub fn integers(self) -> RunResult<&'a [i64]> {
        if let Values::Integers(values) = self { Ok(values) } else { mismatch("integers") }
    }

    pub fn floats(self) -> RunResult<&'a [f64]> {
        if let Values::Floats(values) = self { Ok(values) } else { mismatch("floats") }
    }

    pub fn words(self) -> RunResult<&'a [u64]> {
        if let Values::Words(values) = self { Ok(values) } else { mismatch("words") }
    }

    pub fn pairs(self) -> RunResult<&'a [(u64, u64)]> {
        if let Values::Pairs(values) = self { Ok(values) } else { mismatch("pairs") }
    }

    pub fn text_pairs(self) -> RunResult<&'a [(u64, &'a str)]> {
        if let Values::TextPairs(values) = self { Ok(values) } else { mismatch("pairs of text") }
    }

    pub fn text(self) -> RunResult<&'a [&'a str]> {
        if let Values::Text(values) = self { Ok(values) } else { mismatch("text") }
    }
}

/// One argument of a batch.
pub struct Argument<'a> {
    values: Stored<'a>,
    /// By row; `None` if no row is NULL.
    valid: Option<Vec<bool>>,
    /// How many values the rows taken so far had.
    taken: usize,
}

enum Stored<'a> {
    Present,
    Integers(Cow<'a, [i64]>),
    Unsigned(Cow<'a, [u64]>),
    Floats(Cow<'a, [f64]>),
    Words(Vec<u64>),
    Text(Vec<&'a str>),
    Pairs(Vec<(u64, u64)>),
    TextPairs(Vec<(u64, &'a str)>),
}

fn compact<'a, T: Copy>(values: &'a [T], valid: Option<&[bool]>) -> Cow<'a, [T]> {
    match valid {
        None => Cow::Borrowed(values),
        Some(valid) => Cow::Owned(values.iter().zip(valid).filter(|(_, valid)| **valid).map(|(value, _)| *value).collect()),
    }
}

impl<'a> Argument<'a> {
    /// `series` comes from [`Form::normalise`].
    pub fn new(form: Form, series: &'a Series) -> RunResult<Self> {
        let valid: Option<Vec<bool>> = words::validity(series).map(|bits| bits.iter().collect());
        let mask = valid.as_deref();
        let values = match form {
            Form::Presence => Stored::Present,
            Form::Integers => Stored::Integers(compact(words::values(series.i64()?), mask)),
            Form::Unsigned => Stored::Unsigned(compact(words::values(series.u64()?), mask)),
            Form::Floats => Stored::Floats(compact(words::values(series.f64()?), mask)),
            Form::Words => Stored::Words(match mask {
                None => words::encode(series)?,
                Some(_) => compact(&words::encode(series)?, mask).into_owned(),
            }),
            Form::Text => Stored::Text(series.str()?.iter().flatten().collect()),
            Form::Pairs | Form::TextPairs => return Err(RunError::bug("an argument of pairs needs what its rows are sorted by")),
        };
        Ok(Argument { values, valid, taken: 0 })
    }

    /// An argument beside what its rows are sorted by; a row counts if it has both. `form` is one of pairs.
    pub fn sorted(form: Form, series: &'a Series, by: &Series) -> RunResult<Self> {
        let keys = words::encode(by)?;
        let valid: Option<Vec<bool>> = match (words::validity(series), words::validity(by)) {
            (None, None) => None,
            (Some(bits), None) | (None, Some(bits)) => Some(bits.iter().collect()),
            (Some(one), Some(other)) => Some(one.iter().zip(other.iter()).map(|(one, other)| one && other).collect()),
        };
        let mask = valid.as_deref();
        let values = match form {
            Form::TextPairs => {
                let rows = keys.into_iter().zip(series.str()?.iter()).enumerate();
                let kept = rows.filter(|(row, _)| mask.is_none_or(|valid| valid.get(*row) == Some(&true)));
                Stored::TextPairs(kept.filter_map(|(_, (key, text))| Some((key, text?))).collect())
            }
            _ => {
                let pairs: Vec<(u64, u64)> = keys.into_iter().zip(words::encode(series)?).collect();
                Stored::Pairs(compact(&pairs, mask).into_owned())
            }
        };
        Ok(Argument { values, valid, taken: 0 })
    }

    /// Every row of `count(*)`.
    pub fn every_row() -> Self {
        Argument { values: Stored::Present, valid: None, taken: 0 }
    }

    /// The values of the next rows, with their groups, as many of each. Rows are taken in order and each once; `groups` holds those of
    /// `rows` alone.
    pub fn peek<'b>(&'b self, rows: &Range<usize>, groups: &'b [u32], scratch: &'b mut Vec<u32>) -> (&'b [u32], Values<'b>) {
        let groups = match &self.valid {
            None => groups,
            Some(valid) => {
                let valid = valid.get(rows.clone()).unwrap_or_default();
                scratch.clear();
                scratch.extend(groups.iter().zip(valid).filter(|(_, valid)| **valid).map(|(group, _)| *group));
                &*scratch
            }
        };
        (groups, self.values.slice(self.taken..self.taken + groups.len()))
    }

    /// Takes the rows that were peeked at.
    pub fn skip(&mut self, rows: &Range<usize>) {
        self.taken += match &self.valid {
            None => rows.len(),
            Some(valid) => valid.get(rows.clone()).unwrap_or_default().iter().filter(|valid| **valid).count(),
        };
    }
}

impl Stored<'_> {
    fn slice(&self, range: Range<usize>) -> Values<'_> {
        match self {
            Stored::Present => Values::Present,
            Stored::Integers(values) => Values::Integers(values.get(range).unwrap_or_default()),
            Stored::Unsigned(values) => Values::Unsigned(values.get(range).unwrap_or_default()),
            Stored::Floats(values) => Values::Floats(values.get(range).unwrap_or_default()),
            Stored::Words(values) => Values::Words(values.get(range).unwrap_or_default()),
            Stored::Text(values) => Values::Text(values.get(range).unwrap_or_default()),
            Stored::Pairs(values) => Values::Pairs(values.get(range).unwrap_or_default()),
            Stored::TextPairs(values) => Values::TextPairs(values.get(range).unwrap_or_default()),
        }
    }
}
