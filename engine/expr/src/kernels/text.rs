//! Functions of texts. Positions count characters, from 1.

use polars::prelude::{Int64Type, PolarsResult, Series, StringChunked, polars_bail};
use polars_arrow::array::{PrimitiveArray, StaticArray, Utf8ViewArray};
use regex::Regex;
use unicode_segmentation::UnicodeSegmentation;

use super::letters::{capitals_into, fold_into};
use super::{Checked, Row, booleans_by_row, numbers_by_row, texts_by_row};

/// Longest text that one value may become, in bytes.
const MAX_VALUE_BYTES: usize = 1 << 20;

/// DuckDB's bounds of a substring's place and length.
const MAX_PLACE: i64 = u32::MAX as i64;

/// One argument, whose single row may stand for all.
enum Argument<'a> {
    Text(&'a Utf8ViewArray),
    Whole(&'a PrimitiveArray<i64>),
}

/// The arguments of one row.
struct Arguments<'a> {
    inputs: Vec<Argument<'a>>,
}

impl<'a> Arguments<'a> {
    fn text(&self, at: usize, row: usize) -> Option<&'a str> {
        match self.inputs.get(at)? {
            Argument::Text(values) => values.get(if values.len() == 1 { 0 } else { row }),
            Argument::Whole(_) => None,
        }
    }

    fn whole(&self, at: usize, row: usize) -> Option<i64> {
        match self.inputs.get(at)? {
            Argument::Whole(values) => values.get(if values.len() == 1 { 0 } else { row }),
            Argument::Text(_) => None,
        }
    }

    fn has(&self, at: usize) -> bool {
        at < self.inputs.len()
    }
}

pub(crate) fn call(name: &str, arguments: &[Series]) -> PolarsResult<Checked<Series>> {
    let rows = arguments.iter().map(|values| values.len()).find(|len| *len != 1).unwrap_or(1);
    let arguments: Vec<Series> = arguments.iter().map(|values| values.rechunk()).collect();
    let mut inputs = Vec::with_capacity(arguments.len());
    for argument in &arguments {
        inputs.push(match argument.str() {
            Ok(values) => Argument::Text(values.downcast_as_array()),
            Err(_) => Argument::Whole(argument.i64()?.downcast_as_array()),
        });
    }
    let inputs = Arguments { inputs };
    match name {
        "length" | "strlen" | "strpos" => Ok(numbers_by_row::<Int64Type>(rows, |row| number(name, &inputs, row).into())),
        "contains" | "starts_with" | "ends_with" => Ok(booleans_by_row(rows, |row| test(name, &inputs, row).into())),
        "||" | "concat" => texts_by_row(rows, |row, to| concat(name == "concat", &inputs, row, to).into()),
        "upper" | "lower" | "reverse" | "trim" | "ltrim" | "rtrim" => texts_by_row(rows, |row, to| form(name, &inputs, row, to).into()),
        "left" | "right" | "replace" | "split_part" => texts_by_row(rows, |row, to| part(name, &inputs, row, to).into()),
        "substr" => texts_by_row(rows, |row, to| substring(&inputs, row, to)),
        "lpad" | "rpad" => texts_by_row(rows, |row, to| pad(name == "lpad", &inputs, row, to)),
        "repeat" => texts_by_row(rows, |row, to| repeat(&inputs, row, to)),
        other => polars_bail!(ComputeError: "no function {other}"),
    }
}

pub(crate) fn regex_matches(texts: &StringChunked, regex: &Regex) -> Series {
    booleans_by_row(texts.len(), |row| texts.get(row).map(|text| regex.is_match(text)).into()).0
}

/// What the group matched; empty where it or the whole did not.
pub(crate) fn regex_extract(texts: &StringChunked, regex: &Regex, group: usize) -> PolarsResult<Series> {
    let extracted = texts_by_row(texts.len(), |row, to| {
        let Some(text) = texts.get(row) else { return Row::Null };
        let found = if group == 0 { regex.find(text) } else { regex.captures(text).and_then(|found| found.get(group)) };
        to.push_str(found.map_or("", |found| found.as_str()));
        Row::Value(())
    });
    Ok(extracted?.0)
}

/// What to say of a text that a function could not make.
pub(crate) fn failure_reason(name: &str) -> Option<&'static str> {
    match name {
        "substr" => Some("the place is out of range"),
        "lpad" | "rpad" => Some("nothing to fill up with, or the text would be too long"),
        "repeat" => Some("the text would be too long"),
        _ => None,
    }
}

fn number(name: &str, inputs: &Arguments<'_>, row: usize) -> Option<i64> {
    let text = inputs.text(0, row)?;
    match name {
        "length" => Some(length(text)),
        "strlen" => Some(text.len() as i64),
        _ => {
            let at = text.find(inputs.text(1, row)?);
            Some(at.and_then(|at| text.get(..at)).map_or(0, |before| length(before) + 1))
        }
    }
}

fn length(text: &str) -> i64 {
    text.chars().count() as i64
}

fn test(name: &str, inputs: &Arguments<'_>, row: usize) -> Option<bool> {
    let (text, part) = (inputs.text(0, row)?, inputs.text(1, row)?);
    Some(match name {
        "contains" => memchr::memmem::find(text.as_bytes(), part.as_bytes()).is_some(),
        "starts_with" => text.starts_with(part),
        _ => text.ends_with(part),
    })
}

fn concat(skip_null: bool, inputs: &Arguments<'_>, row: usize, to: &mut String) -> Option<()> {
    for at in 0..inputs.inputs.len() {
        match inputs.text(at, row) {
            Some(text) => to.push_str(text),
            None if skip_null => {}
            None => return None,
        }
    }
    Some(())
}

fn form(name: &str, inputs: &Arguments<'_>, row: usize, to: &mut String) -> Option<()> {
    let text = inputs.text(0, row)?;
    match name {
        "upper" => capitals_into(text, to),
        "lower" => fold_into(text, to),
        "reverse" => to.extend(text.graphemes(true).rev()),
        _ if inputs.has(1) => {
            let letters = inputs.text(1, row)?;
            to.push_str(trimmed(name, text, |letter| letters.contains(letter)));
        }
        _ => to.push_str(trimmed(name, text, is_space)),
    }
    Some(())
}

/// The spaces of Unicode (its category Zs), but not tabs and line ends: as DuckDB trims.
fn is_space(letter: char) -> bool {
    matches!(letter, ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}')
}

fn trimmed<'a>(name: &str, text: &'a str, cut: impl Fn(char) -> bool) -> &'a str {
    let text = if name == "rtrim" { text } else { text.trim_start_matches(&cut) };
    if name == "ltrim" { text } else { text.trim_end_matches(&cut) }
}

fn part(name: &str, inputs: &Arguments<'_>, row: usize, to: &mut String) -> Option<()> {
    let text = inputs.text(0, row)?;
    match name {
        "left" => {
            let count = inputs.whole(1, row)?;
            let keep = if count >= 0 { count } else { length(text).saturating_add(count) };
            to.push_str(slice(text, 0, keep));
        }
        "right" => {
            let (count, all) = (inputs.whole(1, row)?, length(text));
            let skip = if count >= 0 { all.saturating_sub(count) } else { count.saturating_neg() };
            to.push_str(slice(text, skip, all));
        }
        "replace" => {
            let (from, by) = (inputs.text(1, row)?, inputs.text(2, row)?);
            replace(text, from, by, to);
        }
        _ => to.push_str(split_part(text, inputs.text(1, row)?, inputs.whole(2, row)?)),
    }
    Some(())
}

fn replace(text: &str, from: &str, by: &str, to: &mut String) {
    if from.is_empty() {
        to.push_str(text);
        return;
    }
    for (at, piece) in text.split(from).enumerate() {
        if at > 0 {
            to.push_str(by);
        }
        to.push_str(piece);
    }
}

/// An empty separator splits into characters.
fn split_part<'a>(text: &'a str, separator: &str, at: i64) -> &'a str {
    let nth = match at {
        0 => return "",
        at if at > 0 => at - 1,
        at => at.saturating_add(1).saturating_neg(),
    };
    let Ok(nth) = usize::try_from(nth) else { return "" };
    let found = match (separator.is_empty(), at > 0) {
        (false, true) => text.split(separator).nth(nth),
        (false, false) => text.rsplit(separator).nth(nth),
        (true, forward) => {
            let mut starts = text.char_indices();
            let start = if forward { starts.nth(nth) } else { starts.nth_back(nth) };
            start.and_then(|(at, letter)| text.get(at..at + letter.len_utf8()))
        }
    };
    found.unwrap_or("")
}

/// SQL's substring: `from` counts from 1, or from the end if negative; what lies before the text counts too, and a negative length
/// reads backwards from the start.
fn substring(inputs: &Arguments<'_>, row: usize, to: &mut String) -> Row<()> {
    let (Some(text), Some(from)) = (inputs.text(0, row), inputs.whole(1, row)) else { return Row::Null };
    let count = if inputs.has(2) { inputs.whole(2, row) } else { Some(MAX_PLACE) };
    let Some(count) = count else { return Row::Null };
    let range = -MAX_PLACE - 1..=MAX_PLACE;
    if !range.contains(&from) || !range.contains(&count) {
        return Row::Failed;
    }
    let start = if from < 0 { length(text) + from } else { from - 1 };
    // DuckDB counts a place before the beginning from the end as the beginning only where nothing bounds the length.
    let start = if from < 0 && !inputs.has(2) { start.max(0) } else { start };
    let (start, end) = if count < 0 { (start + count, start) } else { (start, start + count) };
    to.push_str(slice(text, start, end));
    Row::Value(())
}

/// Characters from `start` (from 0) to before `end`.
fn slice(text: &str, start: i64, end: i64) -> &str {
    let place = |count: i64| match usize::try_from(count) {
        Ok(count) if text.is_ascii() => count.min(text.len()),
        Ok(count) => text.char_indices().nth(count).map_or(text.len(), |(at, _)| at),
        Err(_) => 0,
    };
    let (start, end) = (place(start), place(end));
    text.get(start..end.max(start)).unwrap_or("")
}

fn pad(left: bool, inputs: &Arguments<'_>, row: usize, to: &mut String) -> Row<()> {
    let (Some(text), Some(wanted), Some(filling)) = (inputs.text(0, row), inputs.whole(1, row), inputs.text(2, row)) else {
        return Row::Null;
    };
    let missing = wanted.max(0) - length(text);
    if missing <= 0 {
        to.push_str(slice(text, 0, wanted));
        return Row::Value(());
    }
    if filling.is_empty() || usize::try_from(missing).map_or(true, |missing| missing > MAX_VALUE_BYTES) {
        return Row::Failed;
    }
    if !left {
        to.push_str(text);
    }
    to.extend(filling.chars().cycle().take(missing as usize));
    if left {
        to.push_str(text);
    }
    Row::Value(())
}

fn repeat(inputs: &Arguments<'_>, row: usize, to: &mut String) -> Row<()> {
    let (Some(text), Some(count)) = (inputs.text(0, row), inputs.whole(1, row)) else { return Row::Null };
    let count = usize::try_from(count).unwrap_or(0);
    if text.len().saturating_mul(count) > MAX_VALUE_BYTES {
        return Row::Failed;
    }
    (0..if text.is_empty() { 0 } else { count }).for_each(|_| to.push_str(text));
    Row::Value(())
}
