//! The scalar functions: one list, read by the typing, the docs and the editor's completion.

/// What a function's arguments must be, and what it gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One number, given as DOUBLE, to DOUBLE.
    Double,
    /// Two numbers as DOUBLE, to DOUBLE.
    DoubleDouble,
    /// One number, to its own type.
    SameNumber,
    /// One number, to DOUBLE (FLOAT stays FLOAT).
    ToFloat,
    Round,
    Sign,
    Modulo,
    /// Any number of one type.
    Widest,
    Coalesce,
    NullIf,
    If,
    /// Microseconds since 1970, to a TIMESTAMP.
    FromMicros,
    /// Milliseconds of a time, or a time of milliseconds.
    EpochMs,
    /// Texts and whole numbers, as the letters say (`t`, `i`; capitals may be left out), and what comes out.
    Text(&'static str, TextResult),
    Concat,
    RegexMatches,
    RegexExtract,
    DatePart,
    DateTrunc,
    /// A part of a time by its own name.
    Part(crate::ir::TimePart),
    FloatTest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextResult {
    Text,
    BigInt,
    Boolean,
}

/// A function as a person looks it up.
#[derive(Debug, Clone, Copy)]
pub struct FunctionInfo {
    pub name: &'static str,
    /// Other names for it.
    pub aliases: &'static [&'static str],
    pub signature: &'static str,
    pub summary: &'static str,
    pub example: &'static str,
    pub(crate) shape: Shape,
    can_fail: bool,
}

const fn entry(name: &'static str, signature: &'static str, summary: &'static str, example: &'static str, shape: Shape) -> FunctionInfo {
    FunctionInfo { name, aliases: &[], signature, summary, example, shape, can_fail: false }
}

impl FunctionInfo {
    const fn also(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    const fn failing(mut self) -> Self {
        self.can_fail = true;
        self
    }
}

use crate::ir::TimePart;
use Shape::{Coalesce, Concat, DatePart, DateTrunc, Double, DoubleDouble, FloatTest, Modulo, NullIf, Part, RegexExtract, RegexMatches};
use Shape::{EpochMs, FromMicros, If, Round, SameNumber, Sign, Text, ToFloat, Widest};

static FUNCTIONS: &[FunctionInfo] = &[
    entry("abs", "abs(x)", "The size of a number.", "abs(arr_delay)", SameNumber).failing(),
    entry("ceil", "ceil(x)", "The next whole number up.", "ceil(x)", ToFloat).also(&["ceiling"]),
    entry("floor", "floor(x)", "The next whole number down.", "floor(x)", ToFloat),
    entry("round", "round(x [, digits])", "Rounds, halves away from zero.", "round(x, 2)", Round).failing(),
    entry("sign", "sign(x)", "-1, 0 or 1.", "sign(dep_delay)", Sign),
    entry("sqrt", "sqrt(x)", "The square root; of a negative number it fails.", "sqrt(distance)", Double).failing(),
    entry("ln", "ln(x)", "The natural logarithm; of zero or less it fails.", "ln(x)", Double).failing(),
    entry("log10", "log10(x)", "The logarithm to base 10; of zero or less it fails.", "log10(x)", Double).failing().also(&["log"]),
    entry("log2", "log2(x)", "The logarithm to base 2; of zero or less it fails.", "log2(x)", Double).failing(),
    entry("exp", "exp(x)", "e to the power of x.", "exp(x)", Double),
    entry("pow", "pow(x, y)", "x to the power of y.", "pow(x, 2)", DoubleDouble).also(&["power"]),
    entry("mod", "mod(x, y)", "What is left of a division, with the sign of x.", "mod(flight, 10)", Modulo),
    entry("greatest", "greatest(x, ..)", "The greatest of the values that are not NULL.", "greatest(dep_delay, arr_delay)", Widest),
    entry("least", "least(x, ..)", "The least of the values that are not NULL.", "least(dep_delay, arr_delay)", Widest),
    entry("coalesce", "coalesce(x, ..)", "The first value that is not NULL.", "coalesce(tailnum, '?')", Coalesce).also(&["ifnull"]),
    entry("if", "if(condition, x, y)", "x where the condition is true, else y.", "if(dep_delay > 15, 'late', 'on time')", If),
    entry("nullif", "nullif(x, y)", "NULL where both are equal, else x.", "nullif(air_time, 0)", NullIf),
    entry("isnan", "isnan(x)", "Whether it is not a number.", "isnan(x)", FloatTest),
    entry("isinf", "isinf(x)", "Whether it is infinite.", "isinf(x)", FloatTest),
    entry("isfinite", "isfinite(x)", "Whether it is a finite number.", "isfinite(x)", FloatTest),
    entry("upper", "upper(text)", "In capital letters.", "upper(origin)", Text("t", TextResult::Text)).also(&["ucase"]),
    entry("lower", "lower(text)", "In small letters.", "lower(origin)", Text("t", TextResult::Text)).also(&["lcase"]),
    entry("length", "length(text)", "How many characters.", "length(tailnum)", Text("t", TextResult::BigInt)).also(&["len", "char_length"]),
    entry("strlen", "strlen(text)", "How many bytes in UTF-8.", "strlen(tailnum)", Text("t", TextResult::BigInt)),
    entry(
        "trim",
        "trim(text [, characters])",
        "Without spaces (or the characters) at both ends.",
        "trim(tailnum)",
        Text("tT", TextResult::Text),
    ),
    entry("ltrim", "ltrim(text [, characters])", "Without spaces at the beginning.", "ltrim(tailnum)", Text("tT", TextResult::Text)),
    entry("rtrim", "rtrim(text [, characters])", "Without spaces at the end.", "rtrim(tailnum)", Text("tT", TextResult::Text)),
    entry(
        "left",
        "left(text, n)",
        "The first n characters; all but the last -n if n is negative.",
        "left(tailnum, 2)",
        Text("ti", TextResult::Text),
    ),
    entry(
        "right",
        "right(text, n)",
        "The last n characters; all but the first -n if n is negative.",
        "right(tailnum, 2)",
        Text("ti", TextResult::Text),
    ),
    entry("replace", "replace(text, from, to)", "Every `from` becomes `to`.", "replace(tailnum, 'N', '')", Text("ttt", TextResult::Text)),
    entry(
        "lpad",
        "lpad(text, n, filling)",
        "Filled up at the left to n characters, or cut.",
        "lpad(tailnum, 8, '0')",
        Text("tit", TextResult::Text),
    )
    .failing(),
    entry(
        "rpad",
        "rpad(text, n, filling)",
        "Filled up at the right to n characters, or cut.",
        "rpad(origin, 5, '.')",
        Text("tit", TextResult::Text),
    )
    .failing(),
    entry("repeat", "repeat(text, n)", "n times after one another.", "repeat('=', 10)", Text("ti", TextResult::Text)).failing(),
    entry("reverse", "reverse(text)", "Backwards.", "reverse(origin)", Text("t", TextResult::Text)),
    entry(
        "split_part",
        "split_part(text, separator, n)",
        "The n-th part, from 1; from the end if n is negative.",
        "split_part(url, '/', 3)",
        Text("tti", TextResult::Text),
    ),
    entry("substr", "substr(text, from [, length])", "A part of it, from 1.", "substr(tailnum, 1, 3)", Text("tiI", TextResult::Text))
        .failing()
        .also(&["substring"]),
    entry(
        "strpos",
        "strpos(text, part)",
        "Where a part begins, from 1; 0 if nowhere.",
        "strpos(dest, 'A')",
        Text("tt", TextResult::BigInt),
    )
    .also(&["instr", "position"]),
    entry("contains", "contains(text, part)", "Whether it has the part in it.", "contains(dest, 'LA')", Text("tt", TextResult::Boolean)),
    entry(
        "starts_with",
        "starts_with(text, part)",
        "Whether it begins with the part.",
        "starts_with(tailnum, 'N')",
        Text("tt", TextResult::Boolean),
    )
    .also(&["prefix"]),
    entry(
        "ends_with",
        "ends_with(text, part)",
        "Whether it ends with the part.",
        "ends_with(tailnum, 'UA')",
        Text("tt", TextResult::Boolean),
    )
    .also(&["suffix"]),
    entry("concat", "concat(x, ..)", "All of them in one text; NULL counts as empty.", "concat(carrier, flight)", Concat),
    entry(
        "regexp_matches",
        "regexp_matches(text, pattern [, options])",
        "Whether a part of it matches; option i ignores case.",
        "regexp_matches(tailnum, '^N\\d+')",
        RegexMatches,
    ),
    entry(
        "regexp_extract",
        "regexp_extract(text, pattern [, group])",
        "The part that matches, or a group of it; empty if nothing does.",
        "regexp_extract(url, 'id=(\\d+)', 1)",
        RegexExtract,
    ),
    entry(
        "date_trunc",
        "date_trunc(part, time)",
        "The beginning of the hour, day, month .. that it lies in.",
        "date_trunc('day', scheduled)",
        DateTrunc,
    ),
    entry("date_part", "date_part(part, time)", "The hour, day, month .. of a time.", "date_part('hour', scheduled)", DatePart)
        .also(&["datepart"]),
    entry("year", "year(time)", "The year.", "year(scheduled)", Part(TimePart::Year)),
    entry("quarter", "quarter(time)", "The quarter, 1 to 4.", "quarter(scheduled)", Part(TimePart::Quarter)),
    entry("month", "month(time)", "The month, 1 to 12.", "month(scheduled)", Part(TimePart::Month)),
    entry("week", "week(time)", "The ISO week, 1 to 53.", "week(scheduled)", Part(TimePart::Week)).also(&["weekofyear"]),
    entry("day", "day(time)", "The day of the month.", "day(scheduled)", Part(TimePart::Day)).also(&["dayofmonth"]),
    entry("dayofweek", "dayofweek(time)", "The day of the week, Sunday 0.", "dayofweek(scheduled)", Part(TimePart::DayOfWeek))
        .also(&["weekday"]),
    entry("isodow", "isodow(time)", "The day of the week, Monday 1, Sunday 7.", "isodow(scheduled)", Part(TimePart::IsoDayOfWeek)),
    entry("dayofyear", "dayofyear(time)", "The day of the year, from 1.", "dayofyear(scheduled)", Part(TimePart::DayOfYear)),
    entry("hour", "hour(time)", "The hour, 0 to 23.", "hour(scheduled)", Part(TimePart::Hour)),
    entry("minute", "minute(time)", "The minute, 0 to 59.", "minute(scheduled)", Part(TimePart::Minute)),
    entry("second", "second(time)", "The second, 0 to 59.", "second(scheduled)", Part(TimePart::Second)),
    entry("epoch", "epoch(time)", "Seconds since 1970, with decimals.", "epoch(scheduled)", Part(TimePart::Epoch)),
    entry(
        "epoch_ms",
        "epoch_ms(time), epoch_ms(n)",
        "Milliseconds since 1970; of a whole number, the time so long after 1970.",
        "epoch_ms(scheduled)",
        EpochMs,
    ),
    entry("make_timestamp", "make_timestamp(n)", "The time so many microseconds after 1970.", "make_timestamp(micros)", FromMicros),
    entry("epoch_us", "epoch_us(time)", "Microseconds since 1970.", "epoch_us(scheduled)", Part(TimePart::EpochUs)),
];

/// All scalar functions.
pub fn functions() -> &'static [FunctionInfo] {
    FUNCTIONS
}

pub(crate) fn find(name: &str) -> Option<&'static FunctionInfo> {
    let name = name.to_ascii_lowercase();
    FUNCTIONS.iter().find(|function| function.name == name || function.aliases.contains(&name.as_str()))
}

pub(crate) fn can_fail(name: &str) -> bool {
    FUNCTIONS.iter().any(|function| function.name == name && function.can_fail)
}
