//! Calls of aggregates: `avg(dep_delay)`, `quantile(dep_delay, 0.95)`.

use std::ops::RangeInclusive;

use millrace_model::{DataType, Schema};

use crate::error::{self, ExprError, Place};
use crate::ir::{Literal, Node, TypedExpr};
use crate::syntax::{Call, Kind, Syntax, parse_expression};
use crate::typing::Typer;

/// The aggregates, each once. A new one is an entry here, a result type below, and an accumulator in the runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AggregateFunction {
    /// `count(*)`
    CountRows,
    /// `count(x)`: the values that are not NULL.
    Count,
    Sum,
    Avg,
    Min,
    Max,
    /// Of the sample; NULL for fewer than two values.
    Stddev,
    /// Of the sample; NULL for fewer than two values.
    Variance,
    /// `quantile(x, q)`: interpolated linearly, as DuckDB's `quantile_cont`.
    Quantile,
    /// `count_distinct(x)`, `count(DISTINCT x)`: exact.
    CountDistinct,
    /// The quantile at 0.5.
    Median,
    /// The most frequent value; of several the least.
    Mode,
    /// By event time; of several rows at one time the least value.
    First,
    /// By event time; of several rows at one time the greatest value.
    Last,
    /// `arg_min(x, y)`: x where y is least; of several the least. Rows where either is NULL do not count.
    ArgMin,
    /// `arg_max(x, y)`: x where y is greatest; of several the greatest. Rows where either is NULL do not count.
    ArgMax,
    BoolAnd,
    BoolOr,
    /// `string_agg(x, sep)`: texts by event time, then by themselves; at most [`MOST_LIST_BYTES`] of them.
    StringAgg,
    /// `array_agg(x)`: values by event time, then by themselves, as a JSON array; at most [`MOST_LIST_VALUES`] and [`MOST_LIST_BYTES`].
    ArrayAgg,
    /// `approx_count_distinct(x)`: HyperLogLog++.
    ApproxCountDistinct,
    /// `approx_quantile(x, q)`: DDSketch.
    ApproxQuantile,
    /// `approx_top_k(x, k)`: the most frequent values as a JSON array.
    ApproxTopK,
}

/// The most values that an aggregate gathers for one row of a result.
pub const MOST_LIST_VALUES: usize = 10_000;

/// The most bytes that an aggregate gathers for one row of a result.
pub const MOST_LIST_BYTES: usize = 1 << 20;

/// The greatest k of `approx_top_k(x, k)`.
pub const MOST_TOP: u32 = 1_000;

/// What an aggregate is told besides its values.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Parameter {
    #[default]
    None,
    /// The q of a quantile, 0 to 1.
    Quantile(f64),
    /// What stands between two texts.
    Separator(String),
    /// How many values are wanted.
    Most(u32),
}

impl Parameter {
    /// The quantile that is asked for; the median if none is.
    pub const fn quantile(&self) -> f64 {
        if let Parameter::Quantile(quantile) = self { *quantile } else { 0.5 }
    }
}

/// An aggregate as a person looks it up.
#[derive(Debug, Clone, Copy)]
pub struct AggregateInfo {
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    pub signature: &'static str,
    pub summary: &'static str,
    pub example: &'static str,
    pub function: AggregateFunction,
}

static AGGREGATES: &[AggregateInfo] = &[
    info("count", &[], "count(*), count(x)", "How many rows, or values that are not NULL.", "count(*)", AggregateFunction::Count),
    info("sum", &[], "sum(x)", "The sum; of whole numbers as BIGINT, else as DOUBLE.", "sum(distance)", AggregateFunction::Sum),
    info("avg", &["mean"], "avg(x)", "The mean.", "avg(dep_delay)", AggregateFunction::Avg),
    info("min", &[], "min(x)", "The least value.", "min(dep_delay)", AggregateFunction::Min),
    info("max", &[], "max(x)", "The greatest value.", "max(dep_delay)", AggregateFunction::Max),
    info("stddev", &["stddev_samp"], "stddev(x)", "The standard deviation of the sample.", "stddev(dep_delay)", AggregateFunction::Stddev),
    info(
        "quantile",
        &["quantile_cont"],
        "quantile(x, q)",
        "The q-quantile, interpolated.",
        "quantile(dep_delay, 0.95)",
        AggregateFunction::Quantile,
    ),
    info(
        "count_distinct",
        &[],
        "count_distinct(x)",
        "How many different values.",
        "count_distinct(tailnum)",
        AggregateFunction::CountDistinct,
    ),
    info("variance", &["var_samp"], "variance(x)", "The variance of the sample.", "variance(dep_delay)", AggregateFunction::Variance),
    info("median", &[], "median(x)", "The middle value, interpolated.", "median(dep_delay)", AggregateFunction::Median),
    info("mode", &[], "mode(x)", "The most frequent value; of several the least.", "mode(dest)", AggregateFunction::Mode),
    info("first", &[], "first(x)", "The value of the first row by event time that has one.", "first(dest)", AggregateFunction::First),
    info("last", &[], "last(x)", "The value of the last row by event time that has one.", "last(dest)", AggregateFunction::Last),
    info("arg_min", &["argmin", "min_by"], "arg_min(x, y)", "x where y is least.", "arg_min(dest, dep_delay)", AggregateFunction::ArgMin),
    info(
        "arg_max",
        &["argmax", "max_by"],
        "arg_max(x, y)",
        "x where y is greatest.",
        "arg_max(dest, dep_delay)",
        AggregateFunction::ArgMax,
    ),
    info("bool_and", &[], "bool_and(x)", "Whether all are true.", "bool_and(dep_delay < 15)", AggregateFunction::BoolAnd),
    info("bool_or", &[], "bool_or(x)", "Whether any is true.", "bool_or(dep_delay > 60)", AggregateFunction::BoolOr),
    info(
        "string_agg",
        &["listagg", "group_concat"],
        "string_agg(x, sep)",
        "The texts by event time, with sep between; up to 1 MiB.",
        "string_agg(dest, ', ')",
        AggregateFunction::StringAgg,
    ),
    info(
        "array_agg",
        &["list"],
        "array_agg(x)",
        "The values by event time, as a JSON array; up to 10,000 and 1 MiB.",
        "array_agg(dest)",
        AggregateFunction::ArrayAgg,
    ),
    info(
        "approx_count_distinct",
        &[],
        "approx_count_distinct(x)",
        "About how many different values, in at most 16 KiB: off by 0.8 % (standard error).",
        "approx_count_distinct(tailnum)",
        AggregateFunction::ApproxCountDistinct,
    ),
    info(
        "approx_quantile",
        &[],
        "approx_quantile(x, q)",
        "About the q-quantile, in at most 64 KiB: within 1 % of a value that lies there.",
        "approx_quantile(dep_delay, 0.95)",
        AggregateFunction::ApproxQuantile,
    ),
    info(
        "approx_top_k",
        &[],
        "approx_top_k(x, k)",
        "The k most frequent values as a JSON array; exact up to 1,024 different ones.",
        "approx_top_k(dest, 3)",
        AggregateFunction::ApproxTopK,
    ),
];

const fn info(
    name: &'static str,
    aliases: &'static [&'static str],
    signature: &'static str,
    summary: &'static str,
    example: &'static str,
    function: AggregateFunction,
) -> AggregateInfo {
    AggregateInfo { name, aliases, signature, summary, example, function }
}

/// All aggregates.
pub fn aggregates() -> &'static [AggregateInfo] {
    AGGREGATES
}

impl AggregateFunction {
    pub(crate) fn named(name: &str) -> Option<&'static AggregateInfo> {
        let name = name.to_ascii_lowercase();
        AGGREGATES.iter().find(|aggregate| aggregate.name == name || aggregate.aliases.contains(&name.as_str()))
    }
}

/// An aggregate with its argument and types told.
#[derive(Debug, Clone, PartialEq)]
pub struct AggregateCall {
    pub function: AggregateFunction,
    /// None for `count(*)`.
    pub argument: Option<TypedExpr>,
    /// What rows are sorted by: the y of `arg_min(x, y)`.
    pub by: Option<TypedExpr>,
    /// Whether equal values count once; never where that makes no difference.
    pub distinct: bool,
    pub parameter: Parameter,
    pub result: DataType,
}

/// Parses and types one aggregate call over the columns of `schema`.
pub fn parse_aggregate(text: &str, schema: &Schema) -> Result<AggregateCall, Vec<ExprError>> {
    let parsed = parse_expression(text).map_err(|error| vec![error])?;
    let mut typer = Typer::new(schema);
    match aggregate(&mut typer, &parsed, text) {
        Some(call) if typer.errors.is_empty() => Ok(call),
        _ => Err(typer.errors),
    }
}

fn aggregate(typer: &mut Typer<'_>, parsed: &Syntax, text: &str) -> Option<AggregateCall> {
    let Kind::Call(call) = &parsed.kind else {
        let error = ExprError::new(error::NOT_AN_AGGREGATE, "an aggregate belongs here", parsed.place);
        return typer.fail(error.expected("such as count(*), avg(x) or quantile(x, 0.95)"));
    };
    let name = &call.name;
    let Some(info) = AggregateFunction::named(name) else {
        let names = || AGGREGATES.iter().map(|aggregate| aggregate.name);
        let error = ExprError::new(error::NOT_AN_AGGREGATE, format!("there is no aggregate `{name}`"), call.name_place);
        return typer.fail(error.nearest_of(name, names()).expected(format!("one of {}", names().collect::<Vec<_>>().join(", "))));
    };
    let filtered;
    let call = match &call.filter {
        Some(filter) => {
            filtered = with_filter(call, filter, info.function);
            &filtered
        }
        None => call,
    };
    let (function, distinct) = counted_once(typer, call, info.function)?;
    if function == AggregateFunction::CountRows {
        return Some(AggregateCall { function, argument: None, by: None, distinct, parameter: Parameter::None, result: DataType::BigInt });
    }
    let (Some(input), true) = (call.args.first(), arguments_of(function).contains(&call.args.len())) else {
        let error = ExprError::new(error::ARGUMENTS, format!("{name} does not take these arguments"), parsed.place);
        return typer.fail(error.expected(info.signature));
    };
    let (input, second) = (typer.expr(input), call.args.get(1));
    let (parameter, by) = match (function, second) {
        (AggregateFunction::Quantile | AggregateFunction::ApproxQuantile, Some(second)) => {
            (Parameter::Quantile(quantile_of(typer, second)?), None)
        }
        (AggregateFunction::Median, _) => (Parameter::Quantile(0.5), None),
        (AggregateFunction::StringAgg, Some(second)) => (Parameter::Separator(separator_of(typer, second)?), None),
        (AggregateFunction::StringAgg, None) => (Parameter::Separator(",".to_owned()), None),
        (AggregateFunction::ApproxTopK, Some(second)) => (Parameter::Most(most_of(typer, second)?), None),
        (_, Some(second)) => (Parameter::None, Some(sorted_by(typer, second, name, text)?)),
        (_, None) => (Parameter::None, None),
    };
    let input = input?;
    let place = input.place;
    let argument = TypedExpr::new(input, text);
    let result = result_type(typer, function, argument.data_type, name, place)?;
    Some(AggregateCall { function, argument: Some(argument), by, distinct, parameter, result })
}

/// How many arguments a function takes.
const fn arguments_of(function: AggregateFunction) -> RangeInclusive<usize> {
    use AggregateFunction as F;
    match function {
        F::Quantile | F::ApproxQuantile | F::ArgMin | F::ArgMax | F::ApproxTopK => 2..=2,
        F::StringAgg => 1..=2,
        _ => 1..=1,
    }
}

/// `f(x) FILTER (WHERE c)` as `f(CASE WHEN c THEN x END)`: no aggregate counts NULLs, so both mean the same.
fn with_filter(call: &Call, filter: &Syntax, function: AggregateFunction) -> Call {
    let mut call = Call { filter: None, star: false, ..call.clone() };
    if call.args.is_empty() && function == AggregateFunction::Count {
        call.args.push(Syntax { kind: Kind::Boolean(true), place: filter.place, depth: 1 });
    }
    if let Some(first) = call.args.first_mut() {
        let (place, depth) = (first.place, 1 + first.depth.max(filter.depth));
        let branches = vec![(filter.clone(), first.clone())];
        *first = Syntax { kind: Kind::Case { operand: None, branches, otherwise: None }, place, depth };
    }
    call
}

/// The function that is meant, and whether it looks at each value once.
fn counted_once(typer: &mut Typer<'_>, call: &Call, function: AggregateFunction) -> Option<(AggregateFunction, bool)> {
    use AggregateFunction as F;
    match (function, call.distinct) {
        (F::Count, None) if call.args.is_empty() => Some((F::CountRows, false)),
        (function, None) => Some((function, false)),
        (F::Count | F::CountDistinct, Some(_)) => Some((F::CountDistinct, false)),
        (F::Sum | F::Avg | F::Stddev | F::Variance | F::Quantile | F::Median, Some(_)) => Some((function, true)),
        (F::Min | F::Max | F::BoolAnd | F::BoolOr | F::First | F::Last, Some(_)) => Some((function, false)),
        (F::StringAgg | F::ArrayAgg, Some(_)) => Some((function, true)),
        (F::ApproxCountDistinct, Some(_)) => Some((function, false)),
        (F::ApproxQuantile, Some(place)) => {
            let error = ExprError::new(error::NOT_SUPPORTED, format!("{} does not remember which values it has seen", call.name), place);
            typer.fail(error.help("quantile(DISTINCT x, q) does, exactly"))
        }
        (F::ApproxTopK, Some(place)) => {
            let error = ExprError::new(error::NOT_SUPPORTED, "values that count once are all as frequent", place);
            typer.fail(error.help("leave DISTINCT out"))
        }
        (F::CountRows | F::Mode | F::ArgMin | F::ArgMax, Some(place)) => {
            let error = ExprError::new(error::NOT_SUPPORTED, format!("{} knows no DISTINCT", call.name), place);
            typer.fail(error.help("leave DISTINCT out"))
        }
    }
}

fn sorted_by(typer: &mut Typer<'_>, syntax: &Syntax, name: &str, text: &str) -> Option<TypedExpr> {
    let by = TypedExpr::new(typer.expr(syntax)?, text);
    if by.data_type == DataType::Varchar {
        let error = ExprError::new(error::WRONG_TYPE, format!("{name} sorts by numbers, times or truth"), syntax.place);
        return typer.fail(error.found(by.data_type.name()).help("turn the text into what it means, with CAST"));
    }
    Some(by)
}

fn quantile_of(typer: &mut Typer<'_>, syntax: &Syntax) -> Option<f64> {
    match typer.expr(syntax)?.node {
        Node::Literal(Literal::Double(q) | Literal::Decimal(q)) if (0.0..=1.0).contains(&q) => Some(q),
        Node::Literal(Literal::Integer(q)) if (0..=1).contains(&q) => Some(q as f64),
        _ => typer.fail(ExprError::new(error::ARGUMENTS, "the quantile must be a number written out", syntax.place).expected("0 to 1")),
    }
}

fn separator_of(typer: &mut Typer<'_>, syntax: &Syntax) -> Option<String> {
    match typer.expr(syntax)?.node {
        Node::Literal(Literal::Text(separator)) => Some(separator),
        _ => {
            typer.fail(ExprError::new(error::ARGUMENTS, "the separator must be a text written out", syntax.place).expected("such as ', '"))
        }
    }
}

fn most_of(typer: &mut Typer<'_>, syntax: &Syntax) -> Option<u32> {
    match typer.expr(syntax)?.node {
        Node::Literal(Literal::Integer(most)) if (1..=i128::from(MOST_TOP)).contains(&most) => u32::try_from(most).ok(),
        _ => {
            let error = ExprError::new(error::ARGUMENTS, "how many values are wanted must be a number written out", syntax.place);
            typer.fail(error.expected(format!("1 to {MOST_TOP}")))
        }
    }
}

fn result_type(typer: &mut Typer<'_>, function: AggregateFunction, input: DataType, name: &str, place: Place) -> Option<DataType> {
    match function {
        AggregateFunction::CountRows | AggregateFunction::Count | AggregateFunction::CountDistinct => Some(DataType::BigInt),
        AggregateFunction::Min | AggregateFunction::Max | AggregateFunction::Mode => Some(input),
        AggregateFunction::First | AggregateFunction::Last | AggregateFunction::ArgMin | AggregateFunction::ArgMax => Some(input),
        AggregateFunction::ApproxCountDistinct => Some(DataType::BigInt),
        AggregateFunction::ArrayAgg | AggregateFunction::ApproxTopK => Some(DataType::Varchar),
        AggregateFunction::StringAgg if input == DataType::Varchar => Some(DataType::Varchar),
        AggregateFunction::StringAgg => {
            let error = ExprError::new(error::WRONG_TYPE, format!("{name} wants text"), place);
            typer.fail(error.expected("VARCHAR").found(input.name()).help(format!("{name}(CAST(x AS VARCHAR), ..) makes it of anything")))
        }
        AggregateFunction::BoolAnd | AggregateFunction::BoolOr if input == DataType::Boolean => Some(DataType::Boolean),
        AggregateFunction::BoolAnd | AggregateFunction::BoolOr => {
            let error = ExprError::new(error::WRONG_TYPE, format!("{name} wants what is true or false"), place);
            typer.fail(error.expected("BOOLEAN").found(input.name()))
        }
        AggregateFunction::Sum if input.is_integer() => Some(DataType::BigInt),
        _ if input.is_numeric() => Some(DataType::Double),
        _ => {
            let error = ExprError::new(error::WRONG_TYPE, format!("{name} wants numbers"), place);
            typer.fail(error.expected("a numeric type").found(input.name()))
        }
    }
}
