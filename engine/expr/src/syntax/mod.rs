//! From text to a tree: DuckDB's grammar of scalar expressions, with the place of every part.
//!
//! The words are sqlparser's; the grammar is ours, because precedence must be DuckDB's (`-x ^ 2`, `'a' || 1 + 2`), every part must know
//! its bytes, and depth must be bounded before a deep tree exists.

mod lex;
mod parse;
mod special;

pub(crate) use lex::{Lexeme, lex};
pub(crate) use parse::{parse_expression, parse_select_item};

use crate::error::Place;

/// Longest text of one expression, in bytes.
pub const MAX_TEXT_BYTES: usize = 16 * 1024;
/// Deepest nesting of parentheses, calls and prefixes.
pub const MAX_NESTING: usize = 64;
/// Deepest tree: a chain of one operator nests to the left without parentheses. AND, OR and || chains count as one.
pub const MAX_TREE_DEPTH: usize = 128;

/// A part of an expression and where it stands, in bytes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Syntax {
    pub kind: Kind,
    pub place: Place,
    pub depth: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BinaryOp {
    Add,
    Subtract,
    Multiply,
    Divide,
    IntegerDivide,
    Modulo,
    Power,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

/// The right side of `IS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IsTest {
    Null,
    True,
    False,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LetterCase {
    Kept,
    Ignored,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnFailure {
    Fail,
    Null,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    /// As written.
    pub name: String,
    pub name_place: Place,
    pub args: Vec<Syntax>,
    /// `count(*)`
    pub star: bool,
    pub distinct: Option<Place>,
    pub filter: Option<Box<Syntax>>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Column(String),
    /// Digits as written, with a minus where one stood directly before.
    Number(String),
    Text(String),
    Boolean(bool),
    Null,
    /// `INTERVAL '1 day'`, `INTERVAL 5 MINUTE`: the words and the unit.
    Interval {
        words: String,
        unit: Option<String>,
    },
    Negate(Box<Syntax>),
    Plus(Box<Syntax>),
    Not(Box<Syntax>),
    Binary {
        op: BinaryOp,
        left: Box<Syntax>,
        right: Box<Syntax>,
    },
    And(Vec<Syntax>),
    Or(Vec<Syntax>),
    Concat(Vec<Syntax>),
    Is {
        input: Box<Syntax>,
        test: IsTest,
        negated: bool,
    },
    Distinct {
        left: Box<Syntax>,
        right: Box<Syntax>,
        negated: bool,
    },
    In {
        input: Box<Syntax>,
        list: Vec<Syntax>,
        negated: bool,
    },
    Between {
        input: Box<Syntax>,
        low: Box<Syntax>,
        high: Box<Syntax>,
        negated: bool,
    },
    Like {
        input: Box<Syntax>,
        pattern: Box<Syntax>,
        escape: Option<Box<Syntax>>,
        case: LetterCase,
        negated: bool,
    },
    Case {
        operand: Option<Box<Syntax>>,
        branches: Vec<(Syntax, Syntax)>,
        otherwise: Option<Box<Syntax>>,
    },
    Cast {
        input: Box<Syntax>,
        type_name: String,
        type_place: Place,
        on_failure: OnFailure,
    },
    Call(Call),
}
