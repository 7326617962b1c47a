//! Evaluates typed expressions over frames, column by column.

use std::sync::Arc;

use millrace_model::DataType;
use polars::prelude::*;

use crate::deep;
use crate::error::Place;
use crate::ir::{Arithmetic, Comparison, Function, Ir, LikePattern, Literal, Node, TypedExpr};
use crate::kernels::{Checked, Row, arithmetic, booleans_by_row, cast, math, text, time};
use crate::types::{physical, to_polars};

/// An expression ready to run over many frames.
#[derive(Debug, Clone)]
pub struct CompiledExpr {
    ir: Ir,
    can_fail: bool,
    text: Arc<str>,
}

/// Prepares an expression. Its columns are found by name when it runs, so that hidden columns may stand beside them.
pub fn compile(expr: &TypedExpr) -> CompiledExpr {
    CompiledExpr { ir: expr.ir.clone(), can_fail: expr.can_fail(), text: expr.text.clone() }
}

/// The values of an expression, one a row.
#[derive(Debug, Clone)]
pub struct Evaluated {
    /// Of the frame's height and the expression's type; NULL where the value could not be computed.
    pub column: Series,
    /// There only if a value could not be computed.
    pub failures: Option<Failures>,
}

/// Which rows failed, and why.
#[derive(Debug, Clone, Default)]
pub struct Failures {
    masks: Vec<(BooleanChunked, String)>,
}

impl Failures {
    /// True for every row that failed.
    pub fn mask(&self) -> Option<BooleanChunked> {
        self.masks.iter().map(|(mask, _)| mask.clone()).reduce(|a, b| &a | &b)
    }

    /// Why a row failed, in words; the first reason if there are several.
    pub fn reason(&self, row: usize) -> Option<&str> {
        self.masks.iter().find(|(mask, _)| mask.get(row) == Some(true)).map(|(_, reason)| reason.as_str())
    }
}

impl CompiledExpr {
    /// Whether a value can fail to be computed; if not, `failures` is never there.
    pub fn can_fail(&self) -> bool {
        self.can_fail
    }

    pub fn data_type(&self) -> DataType {
        self.ir.data_type
    }

    /// The values over a frame. An error here is an invariant broken (a column missing or of another type), not a bad value.
    pub fn evaluate(&self, frame: &DataFrame) -> PolarsResult<Evaluated> {
        let mut evaluation = Evaluation { frame, rows: frame.height(), text: &self.text, failures: Vec::new() };
        let values = evaluation.ir(&self.ir)?;
        let values = evaluation.full(values);
        let column = from_physical(values, self.ir.data_type)?;
        let failures = Failures { masks: evaluation.failures };
        let Some(mask) = failures.mask() else { return Ok(Evaluated { column, failures: None }) };
        // What is above a part that failed may have made a value of its NULL: `coalesce(x + 1, 0)`.
        let null = Series::full_null(UNNAMED, 1, column.dtype());
        Ok(Evaluated { column: column.zip_with(&!mask, &null)?, failures: Some(failures) })
    }

    /// The rows for which a predicate is true; NULL counts as false.
    pub fn evaluate_predicate(&self, frame: &DataFrame) -> PolarsResult<(BooleanChunked, Option<Failures>)> {
        let Evaluated { column, failures } = self.evaluate(frame)?;
        let mask = column.bool()?;
        let mask = if mask.null_count() == 0 { mask.clone() } else { mask.fill_null_with_values(false)? };
        Ok((mask, failures))
    }
}

fn from_physical(values: Series, data_type: DataType) -> PolarsResult<Series> {
    match data_type {
        DataType::Date | DataType::Timestamp => values.cast(&to_polars(data_type)),
        _ => Ok(values),
    }
}

/// One run over one frame. Times are held as the integers that they are; a value of one row stands for all rows.
pub(crate) struct Evaluation<'a> {
    frame: &'a DataFrame,
    rows: usize,
    /// The expression as written, for the words of its failures.
    text: &'a str,
    failures: Vec<(BooleanChunked, String)>,
}

const UNNAMED: PlSmallStr = PlSmallStr::EMPTY;

impl Evaluation<'_> {
    fn ir(&mut self, ir: &Ir) -> PolarsResult<Series> {
        deep(|| self.node(ir))
    }

    fn node(&mut self, ir: &Ir) -> PolarsResult<Series> {
        match &ir.node {
            Node::Column { name, .. } => self.column(name, ir.data_type),
            Node::Literal(literal) => literal_series(literal, ir.data_type),
            Node::Cast(input) => {
                let values = self.ir(input)?;
                let (cast, failed) = cast::cast(&values, input.data_type, ir.data_type)?;
                self.note(failed, ir.place, || format!("the {} is not a {}", input.data_type, ir.data_type));
                Ok(cast)
            }
            Node::TryCast(input) => Ok(cast::cast(&self.ir(input)?, input.data_type, ir.data_type)?.0),
            Node::Negate(input) => {
                let values = self.ir(input)?;
                let (negated, failed) = arithmetic::negate(&values)?;
                self.note(failed, ir.place, || "overflow".to_owned());
                Ok(negated)
            }
            Node::Not(input) => Ok((!self.ir(input)?.bool()?).into_series()),
            Node::Arithmetic { op, left, right } => self.arithmetic(*op, left, right, ir.place),
            Node::AddDays { date, days } => {
                let (date, days) = (self.ir(date)?, self.ir(days)?);
                let (moved, failed) = time::add_days(date.i32()?, days.i64()?)?;
                self.note(failed, ir.place, || "the date is out of range".to_owned());
                Ok(moved.into_series())
            }
            Node::Compare { op, left, right } => {
                let (left, right) = (self.ir(left)?, self.ir(right)?);
                Ok(compare(*op, &left, &right)?.into_series())
            }
            Node::And(parts) => self.and_or(parts, false),
            Node::Or(parts) => self.and_or(parts, true),
            Node::IsNull { input, negated } => {
                let values = self.ir(input)?;
                Ok(if *negated { values.is_not_null() } else { values.is_null() }.into_series())
            }
            Node::Is { input, value, negated } => {
                let values = self.ir(input)?;
                let is = if *value { values.bool()?.clone() } else { !values.bool()? }.fill_null_with_values(false)?;
                Ok(if *negated { !is } else { is }.into_series())
            }
            Node::In { input, list, negated } => self.in_list(input, list, *negated),
            Node::Between { input, low, high, negated } => self.between(input, low, high, *negated),
            Node::Like { input, pattern, negated } => {
                let values = self.ir(input)?;
                let matches = like(values.str()?, pattern);
                Ok(if *negated { !matches } else { matches }.into_series())
            }
            Node::LikeEach { input, pattern, escape, ignore_case, negated } => {
                let (values, patterns) = (self.ir(input)?, self.ir(pattern)?);
                let (matches, failed) = like_each(values.str()?, patterns.str()?, *escape, *ignore_case);
                self.note(failed, ir.place, || "the pattern ends with its escape".to_owned());
                Ok(if *negated { (!matches.bool()?).into_series() } else { matches })
            }
            Node::Case { operand, branches, otherwise } => self.case(operand.as_deref(), branches, otherwise.as_deref(), ir.data_type),
            Node::NullIf { input, other, meeting } => self.null_if(input, other, *meeting),
            Node::Coalesce(list) => self.coalesce(list),
            Node::AddInterval { input, interval } => {
                let values = self.ir(input)?;
                let (moved, failed) = time::add_interval(values.i64()?, *interval)?;
                self.note(failed, ir.place, || "the time is out of range".to_owned());
                Ok(moved.into_series())
            }
            Node::Call { function, arguments } => self.call(function, arguments, ir),
        }
    }

    /// A part of the expression, for a person to find it.
    fn shown(&self, place: Place) -> String {
        const MOST: usize = 80;
        let part = self.text.get(place.start..place.end).filter(|part| !part.is_empty()).unwrap_or(self.text);
        if part.chars().count() <= MOST { format!("`{part}`") } else { format!("`{} ..`", part.chars().take(MOST).collect::<String>()) }
    }

    fn column(&self, name: &str, data_type: DataType) -> PolarsResult<Series> {
        let series = self.frame.column(name)?.as_materialized_series();
        Ok(match data_type {
            DataType::Date | DataType::Timestamp => series.to_physical_repr().into_owned(),
            _ => series.clone(),
        })
    }

    /// The values with a row each.
    fn full(&self, values: Series) -> Series {
        if values.len() == self.rows { values } else { values.new_from_index(0, self.rows) }
    }

    fn note(&mut self, failed: Option<BooleanChunked>, place: Place, what: impl Fn() -> String) {
        if let Some(failed) = failed {
            let failed = if failed.len() == self.rows { failed } else { failed.new_from_index(0, self.rows) };
            self.failures.push((failed, format!("{} in {}", what(), self.shown(place))));
        }
    }

    /// Evaluates a part that matters only where `counts`: failures elsewhere are forgotten.
    fn guarded(&mut self, ir: &Ir, counts: impl Fn() -> BooleanChunked) -> PolarsResult<Series> {
        let before = self.failures.len();
        let values = self.ir(ir)?;
        if self.failures.len() > before {
            let counts = counts();
            let noted = self.failures.split_off(before);
            let noted = noted.into_iter().map(|(mask, reason)| (&mask & &counts, reason));
            self.failures.extend(noted.filter(|(mask, _)| mask.any()));
        }
        Ok(values)
    }

    fn arithmetic(&mut self, op: Arithmetic, left: &Ir, right: &Ir, place: Place) -> PolarsResult<Series> {
        let (left, right) = (self.ir(left)?, self.ir(right)?);
        let (values, failed) = arithmetic::arithmetic(op, &left, &right)?;
        let what = match op {
            Arithmetic::Divide => "division by zero",
            // The least number by minus one.
            Arithmetic::IntegerDivide | Arithmetic::Modulo => "division by zero or overflow",
            _ => "overflow",
        };
        self.note(failed, place, || what.to_owned());
        Ok(values)
    }

    /// A part counts only where those before it leave the answer open.
    fn and_or(&mut self, parts: &[Ir], decided_by: bool) -> PolarsResult<Series> {
        let mut decided: Option<BooleanChunked> = None;
        for part in parts {
            decided = Some(match decided {
                None => self.ir(part)?.bool()?.clone(),
                Some(before) => {
                    let rows = self.rows;
                    let values = self.guarded(part, || {
                        let open = before.iter().map(|flag| flag != Some(decided_by)).collect::<BooleanChunked>();
                        if open.len() == rows { open } else { open.new_from_index(0, rows) }
                    })?;
                    let values = values.bool()?;
                    if decided_by { &before | values } else { &before & values }
                }
            });
        }
        Ok(decided.unwrap_or_else(|| BooleanChunked::full(UNNAMED, !decided_by, 1)).into_series())
    }

    fn between(&mut self, input: &Ir, low: &Ir, high: &Ir, negated: bool) -> PolarsResult<Series> {
        let (values, low, high) = (self.ir(input)?, self.ir(low)?, self.ir(high)?);
        let both = &values.gt_eq(&low)? & &values.lt_eq(&high)?;
        Ok(if negated { !both } else { both }.into_series())
    }

    fn null_if(&mut self, input: &Ir, other: &Ir, meeting: DataType) -> PolarsResult<Series> {
        let (values, other) = (self.ir(input)?, self.ir(other)?);
        let (compared, _) = cast::cast(&values, input.data_type, meeting)?;
        let equal = self.full(compared.equal(&other)?.fill_null_with_values(false)?.into_series());
        let values = self.full(values);
        let differ = !equal.bool()?;
        values.zip_with(&differ, &Series::full_null(UNNAMED, 1, values.dtype()))
    }

    fn in_list(&mut self, input: &Ir, list: &[Ir], negated: bool) -> PolarsResult<Series> {
        let values = self.ir(input)?;
        let mut found: Option<BooleanChunked> = None;
        for item in list {
            let item = self.ir(item)?;
            let equal = compare(Comparison::Eq, &values, &item)?;
            found = Some(match found {
                Some(before) => &before | &equal,
                None => equal,
            });
        }
        let found = found.unwrap_or_else(|| BooleanChunked::full(UNNAMED, false, 1));
        Ok(if negated { !found } else { found }.into_series())
    }

    fn case(&mut self, operand: Option<&Ir>, branches: &[(Ir, Ir)], otherwise: Option<&Ir>, data_type: DataType) -> PolarsResult<Series> {
        let operand = operand.map(|operand| self.ir(operand)).transpose()?;
        let mut open = BooleanChunked::full(UNNAMED, true, self.rows);
        let mut taken: Vec<(BooleanChunked, Series)> = Vec::new();
        for (when, then) in branches {
            let reached = open.clone();
            let condition = self.guarded(when, || reached.clone())?;
            let condition = match &operand {
                Some(operand) => operand.equal(&condition)?.into_series(),
                None => condition,
            };
            let condition = self.full(condition);
            let holds = condition.bool()?.fill_null_with_values(false)?;
            let here = &holds & &open;
            let values = self.guarded(then, || here.clone())?;
            let values = self.full(values);
            open = &open & &(!&here);
            taken.push((here, values));
        }
        let rest = match otherwise {
            Some(otherwise) => {
                let reached = open.clone();
                self.guarded(otherwise, || reached.clone())?
            }
            None => Series::full_null(UNNAMED, 1, &physical(data_type)),
        };
        let mut result = self.full(rest);
        for (here, values) in taken.iter().rev() {
            result = values.zip_with(here, &result)?;
        }
        Ok(result)
    }

    fn coalesce(&mut self, list: &[Ir]) -> PolarsResult<Series> {
        let mut result: Option<Series> = None;
        for ir in list {
            let values = match &result {
                None => self.ir(ir)?,
                Some(before) => {
                    let missing = before.is_null();
                    self.guarded(ir, || missing.clone())?
                }
            };
            let values = self.full(values);
            result = Some(match result {
                None => values,
                Some(before) => before.zip_with(&before.is_not_null(), &values)?,
            });
            if result.as_ref().is_some_and(|values| values.null_count() == 0) {
                break;
            }
        }
        Ok(result.unwrap_or_default())
    }

    fn call(&mut self, function: &Function, arguments: &[Ir], ir: &Ir) -> PolarsResult<Series> {
        let mut values = Vec::with_capacity(arguments.len());
        for argument in arguments {
            values.push(self.ir(argument)?);
        }
        let first = values.first().ok_or_else(|| polars_err!(ComputeError: "a function without arguments"))?;
        let out_of_range = || "the time is out of range".to_owned();
        match function {
            Function::RegexMatches(regex) => Ok(text::regex_matches(first.str()?, regex)),
            Function::RegexExtract { regex, group } => text::regex_extract(first.str()?, regex, *group),
            Function::Part(part) => time::part(first.i64()?, *part),
            Function::Trunc(part) => {
                let (values, failed) = time::trunc(first.i64()?, *part);
                self.note(failed, ir.place, out_of_range);
                Ok(values.into_series())
            }
            Function::FromEpoch { micros_per_unit } => {
                let (values, failed) = time::from_epoch(first.i64()?, *micros_per_unit);
                self.note(failed, ir.place, out_of_range);
                Ok(values.into_series())
            }
            Function::Named(name) => {
                let (result, failed) = match crate::functions::find(name).map(|function| function.shape) {
                    Some(crate::functions::Shape::Text(..) | crate::functions::Shape::Concat) => text::call(name, &values)?,
                    _ if *name == "||" => text::call(name, &values)?,
                    _ => math::call(name, &values, ir.data_type)?,
                };
                self.note(failed, ir.place, || text::failure_reason(name).map_or_else(|| math::failure_reason(name), str::to_owned));
                Ok(result)
            }
        }
    }
}

fn literal_series(literal: &Literal, data_type: DataType) -> PolarsResult<Series> {
    let held = physical(data_type);
    match literal {
        Literal::Null => Ok(Series::full_null(UNNAMED, 1, &held)),
        Literal::Boolean(flag) => Ok(Series::new(UNNAMED, [*flag])),
        Literal::Text(text) => Ok(Series::new(UNNAMED, [text.as_str()])),
        Literal::Double(number) | Literal::Decimal(number) => Series::new(UNNAMED, [*number]).cast(&held),
        Literal::Integer(number) if data_type == DataType::UBigInt => Ok(Series::new(UNNAMED, [*number as u64])),
        Literal::Integer(number) => Series::new(UNNAMED, [*number as i64]).cast(&held),
    }
}

/// NULL on a side gives NULL; NaN is equal to itself and greater than any number, in Polars as in DuckDB.
fn compare(op: Comparison, left: &Series, right: &Series) -> PolarsResult<BooleanChunked> {
    match op {
        Comparison::Eq => left.equal(right),
        Comparison::NotEq => left.not_equal(right),
        Comparison::Lt => left.lt(right),
        Comparison::LtEq => left.lt_eq(right),
        Comparison::Gt => left.gt(right),
        Comparison::GtEq => left.gt_eq(right),
        Comparison::Distinct => left.not_equal_missing(right),
        Comparison::NotDistinct => left.equal_missing(right),
    }
}

fn like(values: &StringChunked, pattern: &LikePattern) -> BooleanChunked {
    let mut buffer = String::new();
    values.iter().map(|value| value.map(|value| pattern.matches(value, &mut buffer))).collect()
}

/// A pattern for each row; a run of equal ones is taken apart once.
fn like_each(values: &StringChunked, patterns: &StringChunked, escape: Option<char>, ignore_case: bool) -> Checked<Series> {
    let rows = if values.len() == 1 { patterns.len() } else { values.len() };
    let at = |texts: &StringChunked, row: usize| if texts.len() == 1 { 0 } else { row };
    let mut buffer = String::new();
    let mut last: Option<(String, Option<LikePattern>)> = None;
    booleans_by_row(rows, |row| {
        let (Some(value), Some(pattern)) = (values.get(at(values, row)), patterns.get(at(patterns, row))) else { return Row::Null };
        if last.as_ref().is_none_or(|(text, _)| text != pattern) {
            last = Some((pattern.to_owned(), LikePattern::new(pattern, escape, ignore_case)));
        }
        match last.as_ref().and_then(|(_, pattern)| pattern.as_ref()) {
            Some(pattern) => Row::Value(pattern.matches(value, &mut buffer)),
            None => Row::Failed,
        }
    })
}

/// A column's values as DuckDB writes them: what a table shows. NULL stays NULL.
pub fn as_text(column: &Series) -> PolarsResult<StringChunked> {
    let Some(data_type) = crate::types::from_polars(column.dtype()) else {
        polars_bail!(ComputeError: "a column of type {} cannot be written as text", column.dtype());
    };
    let held = column.to_physical_repr().into_owned();
    let held = if data_type == DataType::Varchar { column.clone() } else { held };
    let (text, _) = cast::cast(&held, data_type, DataType::Varchar)?;
    Ok(text.str()?.clone())
}
