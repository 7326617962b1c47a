//! Types an expression as DuckDB would, and writes its casts out.

mod call;
mod condition;
mod literal;
mod operator;

use millrace_model::{DataType, Schema};

pub(crate) use self::literal::is_interval_unit;
use crate::deep;
use crate::error::{self, ExprError, Place};
use crate::ir::{Comparison, Ir, Literal, Node};
use crate::syntax::{IsTest, Kind, OnFailure, Syntax};
use crate::types::{integer_range, union};

/// Types expressions of one text. What is wrong is gathered, so that one look finds it all.
pub(crate) struct Typer<'a> {
    schema: &'a Schema,
    pub(crate) errors: Vec<ExprError>,
}

/// Whether it is the word NULL, which takes any type.
pub(crate) fn is_null(ir: &Ir) -> bool {
    matches!(ir.node, Node::Literal(Literal::Null))
}

impl<'a> Typer<'a> {
    pub(crate) fn new(schema: &'a Schema) -> Self {
        Typer { schema, errors: Vec::new() }
    }

    pub(crate) fn fail<T>(&mut self, error: ExprError) -> Option<T> {
        self.errors.push(error);
        None
    }

    pub(crate) fn expr(&mut self, syntax: &Syntax) -> Option<Ir> {
        deep(|| self.kind(syntax)).map(|ir| ir.at(syntax.place))
    }

    fn kind(&mut self, syntax: &Syntax) -> Option<Ir> {
        let place = syntax.place;
        match &syntax.kind {
            Kind::Column(name) => self.column(name, place),
            Kind::Number(digits) => self.number(digits, place),
            Kind::Text(text) => Some(Ir::new(Node::Literal(Literal::Text(text.clone())), DataType::Varchar)),
            Kind::Boolean(flag) => Some(Ir::new(Node::Literal(Literal::Boolean(*flag)), DataType::Boolean)),
            Kind::Null => Some(Ir::null(DataType::Integer)),
            Kind::Interval { .. } => {
                let error = ExprError::new(error::NOT_SUPPORTED, "an interval is not a value of its own", place);
                self.fail(error.help("add it to a time: ts + INTERVAL '5 minutes'"))
            }
            Kind::Negate(inner) => self.negate(inner, place),
            Kind::Plus(inner) => self.numeric(inner),
            Kind::Not(inner) => Some(Ir::new(Node::Not(Box::new(self.boolean(inner)?)), DataType::Boolean)),
            Kind::Binary { op, left, right } => self.binary(*op, left, right, place),
            Kind::And(parts) => Some(Ir::new(Node::And(self.each(parts, Self::boolean)?), DataType::Boolean)),
            Kind::Or(parts) => Some(Ir::new(Node::Or(self.each(parts, Self::boolean)?), DataType::Boolean)),
            Kind::Concat(parts) => self.concat(parts),
            Kind::Is { input, test, negated } => self.is(input, *test, *negated),
            Kind::Distinct { left, right, negated } => {
                self.compare(if *negated { Comparison::NotDistinct } else { Comparison::Distinct }, left, right, place)
            }
            Kind::In { input, list, negated } => self.in_list(input, list, *negated, place),
            Kind::Between { input, low, high, negated } => self.between([input, low, high], *negated, place),
            Kind::Like { input, pattern, escape, case, negated } => self.like(input, pattern, escape.as_deref(), *case, *negated),
            Kind::Case { operand, branches, otherwise } => self.case(operand.as_deref(), branches, otherwise.as_deref(), place),
            Kind::Cast { input, type_name, type_place, on_failure } => self.cast(input, type_name, *type_place, *on_failure, place),
            Kind::Call(call) => self.call(call, place),
        }
    }

    /// Types each part, so that what is wrong is found in all of them.
    pub(super) fn each(&mut self, parts: &[Syntax], mut with: impl FnMut(&mut Self, &Syntax) -> Option<Ir>) -> Option<Vec<Ir>> {
        let typed: Vec<Option<Ir>> = parts.iter().map(|part| with(self, part)).collect();
        typed.into_iter().collect()
    }

    fn column(&mut self, name: &str, place: Place) -> Option<Ir> {
        // SQL folds the case of names; the exact spelling is taken first.
        let field = self.schema.field(name).or_else(|| self.schema.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name)));
        match field {
            Some(field) => Some(Ir::new(Node::Column { name: field.name.clone(), nullable: field.nullable }, field.data_type)),
            None => {
                let known = self.schema.names().collect::<Vec<_>>().join(", ");
                let error = ExprError::new(error::UNKNOWN_COLUMN, format!("there is no column `{name}`"), place);
                let error = error.expected(format!("one of {known}")).nearest_of(name, self.schema.names());
                self.fail(error)
            }
        }
    }

    fn negate(&mut self, inner: &Syntax, place: Place) -> Option<Ir> {
        let input = self.numeric(inner)?;
        match input.node {
            _ if is_null(&input) => Some(input),
            _ if input.data_type.is_integer() && integer_range(input.data_type).0 == 0 => {
                let error = ExprError::new(error::WRONG_TYPE, "an unsigned number cannot be negated", place);
                self.fail(error.found(input.data_type.name()).help("cast it to BIGINT first"))
            }
            _ => {
                let data_type = input.data_type;
                Some(Ir::new(Node::Negate(Box::new(input)), data_type))
            }
        }
    }

    /// An expression that must be a number.
    pub(crate) fn numeric(&mut self, syntax: &Syntax) -> Option<Ir> {
        let input = self.expr(syntax)?;
        if is_null(&input) {
            return Some(Ir::null(DataType::BigInt).at(syntax.place));
        }
        if input.data_type.is_numeric() {
            return Some(input);
        }
        let error = ExprError::new(error::WRONG_TYPE, "a number belongs here", syntax.place);
        self.fail(error.expected("a numeric type").found(input.data_type.name()).help("cast it: CAST(.. AS DOUBLE)"))
    }

    /// An expression that must be true or false; a number is, where it is not zero.
    pub(crate) fn boolean(&mut self, syntax: &Syntax) -> Option<Ir> {
        let input = self.expr(syntax)?;
        if input.data_type.is_numeric() && !is_null(&input) {
            return Some(Ir::new(Node::Cast(Box::new(input)), DataType::Boolean).at(syntax.place));
        }
        self.coerce(input, DataType::Boolean, syntax.place)
    }

    fn is(&mut self, inner: &Syntax, test: IsTest, negated: bool) -> Option<Ir> {
        let node = match test {
            IsTest::Null => Node::IsNull { input: Box::new(self.expr(inner)?), negated },
            IsTest::True => Node::Is { input: Box::new(self.boolean(inner)?), value: true, negated },
            IsTest::False => Node::Is { input: Box::new(self.boolean(inner)?), value: false, negated },
        };
        Some(Ir::new(node, DataType::Boolean))
    }

    /// Brings an expression to a type without being asked to: literals take the type they are used as, numbers widen.
    pub(crate) fn coerce(&mut self, input: Ir, to: DataType, place: Place) -> Option<Ir> {
        if input.data_type == to {
            return Some(input);
        }
        let here = input.place;
        match &input.node {
            Node::Literal(Literal::Null) => return Some(Ir::null(to).at(here)),
            Node::Literal(Literal::Integer(number)) if to.is_integer() && input.data_type.is_integer() => {
                let (least, most) = integer_range(to);
                if (least..=most).contains(number) {
                    return Some(Ir::new(input.node, to).at(here));
                }
            }
            Node::Literal(Literal::Integer(number)) if to.is_float() && input.data_type.is_integer() => {
                return Some(Ir::new(Node::Literal(Literal::Double(*number as f64)), to).at(here));
            }
            Node::Literal(Literal::Decimal(number)) if to.is_float() => {
                return Some(Ir::new(Node::Literal(Literal::Double(*number)), to).at(here));
            }
            Node::Literal(Literal::Text(text)) => return self.text_as(&text.clone(), to, here).map(|ir| ir.at(here)),
            _ => {}
        }
        if union(input.data_type, to) == Some(to) {
            return Some(Ir::new(Node::Cast(Box::new(input)), to).at(here));
        }
        let error = ExprError::new(error::WRONG_TYPE, "the types do not fit", place).expected(to.name()).found(input.data_type.name());
        self.fail(error.help(format!("cast it: CAST(.. AS {to})")))
    }

    /// Brings several expressions to the one type that holds all of them.
    pub(crate) fn unify(&mut self, inputs: Vec<Ir>, place: Place) -> Option<Vec<Ir>> {
        let to = self.meeting(&inputs, union, place)?;
        inputs.into_iter().map(|input| self.coerce(input, to, place)).collect()
    }

    /// The type in which the expressions meet. Columns decide, then numbers written out (they take a column's type where they fit in
    /// it), then texts; NULL takes any.
    pub(super) fn meeting(&mut self, inputs: &[Ir], meet: fn(DataType, DataType) -> Option<DataType>, place: Place) -> Option<DataType> {
        let rank = |ir: &Ir| match ir.node {
            Node::Literal(Literal::Integer(_)) if ir.data_type.is_integer() => 1,
            Node::Literal(Literal::Decimal(_)) => 1,
            Node::Literal(Literal::Text(_)) => 2,
            Node::Literal(Literal::Null) => 3,
            _ => 0,
        };
        let mut meeting: Option<DataType> = None;
        for input in (0..2).flat_map(|wanted| inputs.iter().filter(move |ir| rank(ir) == wanted)) {
            meeting = match meeting {
                None => Some(input.data_type),
                Some(before) if takes(before, input) => Some(before),
                Some(before) => match meet(before, input.data_type) {
                    Some(both) => Some(both),
                    None => return self.nothing_in_common(before, input.data_type, place),
                },
            };
        }
        if meeting.is_none() && inputs.iter().any(|ir| rank(ir) == 2) {
            meeting = Some(DataType::Varchar);
        }
        Some(meeting.unwrap_or(DataType::Integer))
    }

    fn nothing_in_common<T>(&mut self, one: DataType, other: DataType, place: Place) -> Option<T> {
        let error = ExprError::new(error::WRONG_TYPE, format!("{one} and {other} have no type in common"), place);
        let to = if one.is_integer() && other.is_integer() { DataType::BigInt } else { one };
        self.fail(error.help(format!("cast one of them: CAST(.. AS {to})")))
    }

    fn cast(&mut self, inner: &Syntax, name: &str, name_place: Place, on_failure: OnFailure, place: Place) -> Option<Ir> {
        let input = self.expr(inner);
        let Some(to) = DataType::parse(name) else {
            let names = DataType::ALL.map(DataType::name);
            let error = ExprError::new(error::WRONG_TYPE, format!("there is no type `{name}`"), name_place);
            return self.fail(error.expected(format!("one of {}", names.join(", "))).nearest_of(name, names));
        };
        let input = input?;
        if is_null(&input) {
            return Some(Ir::null(to));
        }
        if let (Node::Literal(Literal::Text(text)), OnFailure::Fail) = (&input.node, on_failure) {
            return self.text_as(&text.clone(), to, place);
        }
        if input.data_type == to {
            return Some(input);
        }
        if !crate::kernels::cast::is_known(input.data_type, to) {
            let error = ExprError::new(error::WRONG_TYPE, format!("{} cannot be cast to {to}", input.data_type), place);
            return self.fail(error);
        }
        let input = Box::new(input);
        Some(Ir::new(if on_failure == OnFailure::Fail { Node::Cast(input) } else { Node::TryCast(input) }, to))
    }
}

/// Whether a number written out is one of the type's.
fn takes(data_type: DataType, literal: &Ir) -> bool {
    match literal.node {
        Node::Literal(Literal::Integer(number)) if literal.data_type.is_integer() && data_type.is_integer() => {
            let (least, most) = integer_range(data_type);
            (least..=most).contains(&number)
        }
        Node::Literal(Literal::Decimal(_)) => data_type.is_float(),
        _ => false,
    }
}
