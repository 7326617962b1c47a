//! What is wrong with an expression, and where in its text.

use millrace_model::{Diagnostic, NodeDecl, Span};
use thiserror::Error;

pub const SYNTAX: &str = "MR0201";
pub const UNKNOWN_COLUMN: &str = "MR0202";
pub const UNKNOWN_FUNCTION: &str = "MR0203";
pub const WRONG_TYPE: &str = "MR0204";
pub const ARGUMENTS: &str = "MR0205";
pub const NOT_SUPPORTED: &str = "MR0206";
pub const NOT_A_PREDICATE: &str = "MR0207";
pub const NO_NAME: &str = "MR0208";
pub const NOT_AN_AGGREGATE: &str = "MR0209";
pub const BAD_LITERAL: &str = "MR0210";
pub const TOO_LARGE: &str = "MR0211";
pub const BAD_PATTERN: &str = "MR0212";

/// A part of an expression's text, in bytes: its first, and the one after its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    pub start: usize,
    pub end: usize,
}

impl Place {
    pub(crate) fn new(start: usize, end: usize) -> Self {
        Place { start, end: end.max(start) }
    }

    /// From the first byte of either to the last.
    pub(crate) fn around(self, other: Place) -> Self {
        Place { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

impl From<(usize, usize)> for Place {
    fn from((start, end): (usize, usize)) -> Self {
        Place::new(start, end)
    }
}

/// One finding in an expression. `start` and `end` are bytes of its text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct ExprError {
    pub code: &'static str,
    pub message: String,
    pub start: usize,
    pub end: usize,
    pub expected: Option<String>,
    pub found: Option<String>,
    pub nearest: Option<String>,
    pub help: Option<String>,
}

impl ExprError {
    pub(crate) fn new(code: &'static str, message: impl Into<String>, place: impl Into<Place>) -> Self {
        let Place { start, end } = place.into();
        ExprError { code, message: message.into(), start, end, expected: None, found: None, nearest: None, help: None }
    }

    pub(crate) fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    pub(crate) fn found(mut self, found: impl Into<String>) -> Self {
        self.found = Some(found.into());
        self
    }

    pub(crate) fn nearest_of<'a>(mut self, given: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        self.nearest = millrace_model::diagnostic::nearest(given, known).map(str::to_owned);
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The finding at its place in the pipeline file. `text` is the expression: within a one-line string the place is exact.
    pub fn into_diagnostic(self, node: &NodeDecl, field: &str, text: &str) -> Diagnostic {
        let mut finding = Diagnostic::error(self.code, self.message.clone()).node(&node.id);
        finding.field = (!field.is_empty()).then(|| field.to_owned());
        finding.span = node.span(field).map(|span| self.place(span, text));
        (finding.expected, finding.found, finding.nearest, finding.help) = (self.expected, self.found, self.nearest, self.help);
        finding
    }

    fn place(&self, value: Span, text: &str) -> Span {
        // A plain string is its text and two quotes; anything longer has escapes or several lines.
        if (value.end - value.start) as usize != text.len() + 2 {
            return value;
        }
        let before = text.get(..self.start).map_or(0, |before| before.chars().count());
        let start = value.start + 1 + self.start as u32;
        Span {
            line: value.line,
            column: value.column + 1 + before as u32,
            start,
            end: start + self.end.saturating_sub(self.start).max(1) as u32,
        }
    }
}
