//! Operators between two sides.

use millrace_model::DataType;

use super::{Typer, is_null};
use crate::error::{self, ExprError, Place};
use crate::ir::{Arithmetic, Comparison, Function, Interval, Ir, Literal, Node};
use crate::syntax::{BinaryOp, Kind, Syntax};
use crate::types::arithmetic_union;

impl Typer<'_> {
    pub(super) fn binary(&mut self, op: BinaryOp, left: &Syntax, right: &Syntax, place: Place) -> Option<Ir> {
        match op {
            BinaryOp::Add => self.sum(Arithmetic::Add, left, right, place),
            BinaryOp::Subtract => self.sum(Arithmetic::Subtract, left, right, place),
            BinaryOp::Multiply => self.arithmetic(Arithmetic::Multiply, left, right, place),
            BinaryOp::Divide => self.arithmetic(Arithmetic::Divide, left, right, place),
            BinaryOp::Modulo => self.arithmetic(Arithmetic::Modulo, left, right, place),
            BinaryOp::IntegerDivide => self.arithmetic(Arithmetic::IntegerDivide, left, right, place),
            BinaryOp::Power => {
                let (left, right) = (self.double(left), self.double(right));
                Some(Ir::new(Node::Call { function: Function::Named("pow"), arguments: vec![left?, right?] }, DataType::Double))
            }
            BinaryOp::Equal => self.compare(Comparison::Eq, left, right, place),
            BinaryOp::NotEqual => self.compare(Comparison::NotEq, left, right, place),
            BinaryOp::Less => self.compare(Comparison::Lt, left, right, place),
            BinaryOp::LessEqual => self.compare(Comparison::LtEq, left, right, place),
            BinaryOp::Greater => self.compare(Comparison::Gt, left, right, place),
            BinaryOp::GreaterEqual => self.compare(Comparison::GtEq, left, right, place),
        }
    }

    pub(super) fn concat(&mut self, parts: &[Syntax]) -> Option<Ir> {
        let arguments = self.each(parts, Self::as_text)?;
        Some(Ir::new(Node::Call { function: Function::Named("||"), arguments }, DataType::Varchar))
    }

    /// A part of a text: numbers and times are written out, as DuckDB does in `||`.
    pub(super) fn as_text(&mut self, syntax: &Syntax) -> Option<Ir> {
        let input = self.expr(syntax)?;
        Some(match input.data_type {
            DataType::Varchar => input,
            _ if is_null(&input) => Ir::null(DataType::Varchar),
            _ => Ir::new(Node::Cast(Box::new(input)), DataType::Varchar),
        })
    }

    /// `+` and `-`, which times know as well.
    fn sum(&mut self, op: Arithmetic, left: &Syntax, right: &Syntax, place: Place) -> Option<Ir> {
        let sign = if op == Arithmetic::Add { 1 } else { -1 };
        match (&left.kind, &right.kind) {
            (Kind::Interval { .. }, Kind::Interval { .. }) => {}
            (Kind::Interval { words, unit }, _) if op == Arithmetic::Add => {
                let interval = self.interval(words, unit.as_deref(), 1, left.place);
                return self.add_interval(right, interval);
            }
            (_, Kind::Interval { words, unit }) => {
                let interval = self.interval(words, unit.as_deref(), sign, right.place);
                return self.add_interval(left, interval);
            }
            (Kind::Interval { .. }, _) => {}
            _ => return self.arithmetic(op, left, right, place),
        }
        self.fail(ExprError::new(error::NOT_SUPPORTED, "an interval can be added to a time, or taken from one", place))
    }

    fn add_interval(&mut self, time: &Syntax, interval: Option<Interval>) -> Option<Ir> {
        let input = self.time(time);
        Some(Ir::new(Node::AddInterval { input: Box::new(input?), interval: interval? }, DataType::Timestamp))
    }

    fn arithmetic(&mut self, op: Arithmetic, left: &Syntax, right: &Syntax, place: Place) -> Option<Ir> {
        let (left, right) = (self.expr(left), self.expr(right));
        let (left, right) = (left?, right?);
        if left.data_type.is_temporal() || right.data_type.is_temporal() {
            return self.temporal_arithmetic(op, left, right, place);
        }
        for side in [&left, &right] {
            if !side.data_type.is_numeric() && !is_null(side) {
                let error = ExprError::new(error::WRONG_TYPE, format!("`{}` wants numbers", op.symbol()), side.place);
                return self.fail(error.expected("a numeric type").found(side.data_type.name()).help("cast it: CAST(.. AS DOUBLE)"));
            }
        }
        let (left, right) = self.same_number(left, right, place)?;
        Some(self.arithmetic_of(op, left, right))
    }

    /// Two numbers brought to the type in which DuckDB computes with them.
    pub(super) fn same_number(&mut self, left: Ir, right: Ir, place: Place) -> Option<(Ir, Ir)> {
        let sides = [left, right];
        let to = if sides.iter().all(is_null) { DataType::BigInt } else { self.meeting(&sides, arithmetic_union, place)? };
        let [left, right] = sides;
        Some((self.coerce(left, to, place)?, self.coerce(right, to, place)?))
    }

    /// Both sides have one type already.
    pub(super) fn arithmetic_of(&mut self, op: Arithmetic, left: Ir, right: Ir) -> Ir {
        let data_type = left.data_type;
        // `/` is of floats, whatever its sides are; FLOAT stays FLOAT, as in DuckDB, and its `//` of floats does not truncate.
        let (op, to) = match op {
            Arithmetic::Divide if !data_type.is_float() => (op, DataType::Double),
            Arithmetic::IntegerDivide if data_type.is_float() => (Arithmetic::Divide, data_type),
            op => (op, data_type),
        };
        let cast = |side: Ir| if to == data_type { side } else { as_double(side) };
        let (left, right) = (Box::new(cast(left)), Box::new(cast(right)));
        Ir::new(Node::Arithmetic { op, left, right }, to)
    }

    fn temporal_arithmetic(&mut self, op: Arithmetic, left: Ir, right: Ir, place: Place) -> Option<Ir> {
        let big = |ir: Ir| Ir::new(Node::Cast(Box::new(ir)), DataType::BigInt);
        match (op, left.data_type, right.data_type) {
            // Days between two dates, as BIGINT.
            (Arithmetic::Subtract, DataType::Date, DataType::Date) => {
                let (left, right) = (Box::new(big(left)), Box::new(big(right)));
                Some(Ir::new(Node::Arithmetic { op, left, right }, DataType::BigInt))
            }
            (Arithmetic::Add | Arithmetic::Subtract, DataType::Date, days) if is_day_count(days) => {
                let days = big(right);
                let days = if op == Arithmetic::Subtract { Ir::new(Node::Negate(Box::new(days)), DataType::BigInt) } else { days };
                Some(Ir::new(Node::AddDays { date: Box::new(left), days: Box::new(days) }, DataType::Date))
            }
            (Arithmetic::Add, days, DataType::Date) if is_day_count(days) => {
                Some(Ir::new(Node::AddDays { date: Box::new(right), days: Box::new(big(left)) }, DataType::Date))
            }
            (_, DataType::Timestamp, DataType::Timestamp) => {
                let error =
                    ExprError::new(error::NOT_SUPPORTED, "the difference of two times is an INTERVAL, which no column holds", place);
                self.fail(error.help("take the difference of epoch(..) in seconds, or of epoch_ms(..)"))
            }
            _ => {
                let message = format!("`{}` does not go between {} and {}", op.symbol(), left.data_type, right.data_type);
                self.fail(ExprError::new(error::WRONG_TYPE, message, place).help("add an interval: ts + INTERVAL '5 minutes'"))
            }
        }
    }

    pub(super) fn compare(&mut self, op: Comparison, left: &Syntax, right: &Syntax, place: Place) -> Option<Ir> {
        let (left, right) = (self.expr(left), self.expr(right));
        let (left, right) = self.comparable(left?, right?, place)?;
        Some(Ir::new(Node::Compare { op, left: Box::new(left), right: Box::new(right) }, DataType::Boolean))
    }

    /// Two values brought to one type.
    pub(super) fn comparable(&mut self, left: Ir, right: Ir, place: Place) -> Option<(Ir, Ir)> {
        let mut sides = self.unify(vec![left, right], place)?;
        let (right, left) = (sides.pop()?, sides.pop()?);
        Some((left, right))
    }
}

/// What DuckDB takes for days beside a date: INTEGER and what widens to it.
fn is_day_count(data_type: DataType) -> bool {
    matches!(data_type, DataType::TinyInt | DataType::SmallInt | DataType::Integer | DataType::UTinyInt | DataType::USmallInt)
}

fn as_double(side: Ir) -> Ir {
    let place = side.place;
    match side.node {
        Node::Literal(Literal::Null) => Ir::null(DataType::Double),
        Node::Literal(Literal::Integer(number)) => Ir::new(Node::Literal(Literal::Double(number as f64)), DataType::Double),
        _ => Ir::new(Node::Cast(Box::new(side)), DataType::Double),
    }
    .at(place)
}
