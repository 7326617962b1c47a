//! What a window reads of its input: the key columns, and each aggregate's argument in the form that its accumulator wants.

use std::collections::BTreeMap;

use millrace_expr::{AggregateFunction as F, CompiledExpr, TypedExpr, compile};
use millrace_model::DataType as Type;
use polars::prelude::*;

use super::bind::Aggregation;
use crate::batch::TIME_COLUMN;
use crate::error::{RunError, RunResult};
use crate::operators::aggregate::values::{Argument, Form};

/// Rows that could not be computed, by their place, with the reason.
pub type Failed = Vec<(usize, String)>;

/// The expressions and columns that a window reads, each once.
pub struct Inputs {
    keys: Vec<String>,
    expressions: Vec<Expression>,
    /// None for `count(*)`.
    arguments: Vec<Option<Wanted>>,
}

/// What an aggregate wants of a row.
#[derive(Clone, Copy)]
struct Wanted {
    value: Read,
    form: Form,
    /// What rows are sorted by, where the aggregate picks one.
    by: Option<Read>,
}

/// A value that is read of a row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Read {
    Expression(usize),
    EventTime,
}

struct Expression {
    typed: TypedExpr,
    compiled: CompiledExpr,
    /// The first output column that wants it, for messages.
    name: String,
    /// Whether an integer sum over it takes no value above BIGINT's.
    is_narrowed: bool,
}

impl Inputs {
    pub fn new(plan: &Aggregation) -> Self {
        let mut inputs = Inputs {
            keys: plan.rows.keys.iter().map(|(name, _)| name.clone()).collect(),
            expressions: Vec::new(),
            arguments: Vec::with_capacity(plan.calls.len()),
        };
        for (call, (name, _)) in plan.calls.iter().zip(&plan.rows.aggregates) {
            let Some(argument) = &call.argument else {
                inputs.arguments.push(None);
                continue;
            };
            let at = inputs.expression(argument, name);
            if call.function == F::Sum
                && argument.data_type == Type::UBigInt
                && let Some(expression) = inputs.expressions.get_mut(at)
            {
                expression.is_narrowed = true;
            }
            let by = match (call.function, &call.by) {
                (F::First | F::Last | F::StringAgg | F::ArrayAgg, _) => Some(Read::EventTime),
                (_, by) => by.as_ref().map(|by| Read::Expression(inputs.expression(by, name))),
            };
            let form = Form::of(call.function, argument.data_type);
            inputs.arguments.push(Some(Wanted { value: Read::Expression(at), form, by }));
        }
        inputs
    }

    /// The aggregates that hang on event time, by their places.
    pub fn by_event_time(&self) -> impl Iterator<Item = usize> {
        let hangs = |wanted: &Option<Wanted>| wanted.is_some_and(|wanted| wanted.by == Some(Read::EventTime));
        self.arguments.iter().enumerate().filter(move |(_, wanted)| hangs(wanted)).map(|(at, _)| at)
    }

    /// The place of an expression, which is added if it is new.
    fn expression(&mut self, typed: &TypedExpr, name: &str) -> usize {
        self.expressions.iter().position(|other| other.typed == *typed).unwrap_or_else(|| {
            let compiled = compile(typed);
            self.expressions.push(Expression { compiled, typed: typed.clone(), name: name.to_owned(), is_narrowed: false });
            self.expressions.len() - 1
        })
    }

    /// Computes all that is wanted of a frame. A value that could not be computed is NULL, and its row is told.
    pub fn evaluate(&self, frame: &DataFrame) -> RunResult<(Readied, Failed)> {
        let mut failed = BTreeMap::new();
        let mut values = Vec::with_capacity(self.expressions.len());
        for expression in &self.expressions {
            values.push(expression.evaluate(frame, &mut failed)?);
        }
        let keys = self.keys.iter().map(|name| Ok(frame.column(name)?.clone())).collect::<RunResult<_>>()?;
        let (mut columns, mut arguments) = (Vec::new(), Vec::with_capacity(self.arguments.len()));
        let mut forms: Vec<(Read, Form)> = Vec::new();
        let mut place = |read: Read, form: Form| -> RunResult<usize> {
            if let Some(place) = forms.iter().position(|other| other == &(read, form)) {
                return Ok(place);
            }
            let series = match read {
                Read::EventTime => Some(frame.column(TIME_COLUMN)?.as_materialized_series()),
                Read::Expression(at) => values.get(at),
            };
            let series = series.ok_or_else(|| RunError::bug("a window reads an expression that it has not"))?;
            columns.push(form.normalise(series)?);
            forms.push((read, form));
            Ok(forms.len() - 1)
        };
        for argument in &self.arguments {
            let Some(Wanted { value, form, by }) = *argument else {
                arguments.push(None);
                continue;
            };
            let (value, by) = (place(value, form)?, by.map(|by| place(by, Form::Words)).transpose()?);
            arguments.push(Some(Ready { value, form, by }));
        }
        Ok((Readied { keys, columns, arguments }, failed.into_iter().collect()))
    }
}

impl Expression {
    fn evaluate(&self, frame: &DataFrame, failed: &mut BTreeMap<usize, String>) -> RunResult<Series> {
        if let Some(name) = self.typed.as_column() {
            let series = frame.column(name)?.as_materialized_series().clone();
            self.note_too_large(&series, failed)?;
            return Ok(series);
        }
        let evaluated = self.compiled.evaluate(frame)?;
        if let Some(failures) = &evaluated.failures
            && let Some(mask) = failures.mask()
        {
            for (row, _) in mask.iter().enumerate().filter(|(_, is_failed)| *is_failed == Some(true)) {
                let reason = || failures.reason(row).unwrap_or("the value cannot be computed");
                failed.entry(row).or_insert_with(|| format!("column {}: {}", self.name, reason()));
            }
        }
        self.note_too_large(&evaluated.column, failed)?;
        Ok(evaluated.column)
    }

    fn note_too_large(&self, series: &Series, failed: &mut BTreeMap<usize, String>) -> RunResult<()> {
        if !self.is_narrowed {
            return Ok(());
        }
        for (row, value) in series.u64()?.iter().enumerate() {
            if let Some(value) = value.filter(|value| i64::try_from(*value).is_err()) {
                failed.entry(row).or_insert_with(|| format!("column {}: {value} does not fit a BIGINT", self.name));
            }
        }
        Ok(())
    }
}

/// A batch's keys and arguments, row by row as in the frame.
#[derive(Clone)]
pub struct Readied {
    keys: Vec<Column>,
    columns: Vec<Series>,
    /// None for `count(*)`.
    arguments: Vec<Option<Ready>>,
}

/// An argument's columns, by their places.
#[derive(Clone, Copy)]
struct Ready {
    value: usize,
    form: Form,
    by: Option<usize>,
}

impl Readied {
    pub fn keys(&self) -> &[Column] {
        &self.keys
    }

    pub fn filter(&mut self, mask: &BooleanChunked) -> RunResult<()> {
        for key in &mut self.keys {
            *key = key.filter(mask)?;
        }
        for column in &mut self.columns {
            *column = column.filter(mask)?.rechunk();
        }
        Ok(())
    }

    /// Puts the rows in another order.
    pub fn take(&mut self, order: &[u32]) -> RunResult<()> {
        for key in &mut self.keys {
            *key = key.take_slice(order)?;
        }
        for column in &mut self.columns {
            *column = column.take_slice(order)?.rechunk();
        }
        Ok(())
    }

    /// One for each aggregate.
    pub fn arguments(&self) -> RunResult<Vec<Argument<'_>>> {
        let column = |at: usize| self.columns.get(at).ok_or_else(|| RunError::bug("an aggregate's argument was not readied"));
        let of = |argument: &Option<Ready>| match *argument {
            Some(Ready { value, form, by: Some(by) }) => Argument::sorted(form, column(value)?, column(by)?),
            Some(Ready { value, form, by: None }) => Argument::new(form, column(value)?),
            None => Ok(Argument::every_row()),
        };
        self.arguments.iter().map(of).collect()
    }
}
