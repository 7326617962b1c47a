//! From bytes to lines and columns, and a finding shown at its place.

use std::fmt::Write;
use std::ops::Range;

use crate::diagnostic::{Diagnostic, Span};

pub(super) const BOM: char = '\u{feff}';

/// Where each line of a text begins.
pub struct LineIndex<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> LineIndex<'a> {
    pub fn new(text: &'a str) -> Self {
        let starts = std::iter::once(0).chain(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1)).collect();
        LineIndex { text, starts }
    }

    /// The span of a range of bytes; a range that lies outside or inside a character is moved to the nearest place that is not.
    pub fn span(&self, range: Range<usize>) -> Span {
        let start = floor_char(self.text, range.start);
        let end = floor_char(self.text, range.end.max(start));
        let line = self.starts.partition_point(|at| *at <= start).max(1);
        let line_start = self.starts.get(line - 1).copied().unwrap_or(0);
        // A byte order mark is no character that anybody sees.
        let before = self.text.get(line_start..start).unwrap_or_default().trim_start_matches(BOM);
        let column = before.chars().count() + 1;
        Span { line: line as u32, column: column as u32, start: start as u32, end: end as u32 }
    }

    /// A line without its end, counted from 1.
    pub fn line(&self, line: u32) -> &'a str {
        let start = self.starts.get((line as usize).saturating_sub(1)).copied().unwrap_or(self.text.len());
        self.text.get(start..).and_then(|rest| rest.split('\n').next()).unwrap_or("").trim_end_matches('\r').trim_start_matches(BOM)
    }

    /// The line, from 1, on which a byte stands.
    pub fn line_of(&self, at: usize) -> u32 {
        self.starts.partition_point(|start| *start <= at).max(1) as u32
    }
}

fn floor_char(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Longest part of a source line that is shown, in characters.
const SHOWN: usize = 160;

/// The finding with its source line and a caret under the place, for a terminal.
pub fn render(diagnostic: &Diagnostic, text: &str) -> String {
    let mut out = String::new();
    let full = diagnostic.to_string();
    let mut lines = full.lines();
    let _ = writeln!(out, "{}", lines.next().unwrap_or(""));
    if let Some(span) = &diagnostic.span {
        let index = LineIndex::new(text);
        let source: String = index.line(span.line).chars().take(SHOWN).collect();
        let before = (span.column as usize - 1).min(SHOWN);
        let wide = text
            .get(span.start as usize..span.end as usize)
            .and_then(|there| there.lines().next())
            .map_or(1, |there| there.chars().count());
        let carets = "^".repeat(wide.clamp(1, SHOWN.saturating_sub(before).max(1)));
        let number = span.line.to_string();
        let gutter = " ".repeat(number.len());
        let _ = writeln!(out, "  {number} | {source}");
        let _ = writeln!(out, "  {gutter} | {}{carets}", " ".repeat(before));
    }
    for line in lines {
        let _ = writeln!(out, "{line}");
    }
    out.truncate(out.trim_end().len());
    out
}
