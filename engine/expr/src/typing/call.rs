//! Calls of functions.

use millrace_model::DataType;
use millrace_model::time::MICROS_PER_MILLI;

use super::{Typer, is_null};
use crate::aggregate::AggregateFunction;
use crate::error::{self, ExprError, Place};
use crate::functions::{FunctionInfo, Shape, TextResult, find, functions};
use crate::ir::{Arithmetic, Function, Ir, Literal, Node, TimePart};
use crate::kernels::pattern;
use crate::syntax::{Call, Syntax};

impl Typer<'_> {
    pub(super) fn call(&mut self, call: &Call, place: Place) -> Option<Ir> {
        let Some(function) = find(&call.name) else { return self.unknown_function(&call.name, call.name_place) };
        if call.star || call.distinct.is_some() || call.filter.is_some() {
            let error =
                ExprError::new(error::NOT_SUPPORTED, format!("`*`, DISTINCT and FILTER are for aggregates, not for {}", call.name), place);
            return self.fail(error.expected(function.signature));
        }
        if !arity_fits(function.shape, call.args.len()) {
            let count = call.args.len();
            let error = ExprError::new(
                error::ARGUMENTS,
                format!("{} does not take {count} argument{}", call.name, if count == 1 { "" } else { "s" }),
                place,
            );
            return self.fail(error.expected(function.signature));
        }
        self.shaped(function, &call.args, place)
    }

    fn unknown_function(&mut self, name: &str, place: Place) -> Option<Ir> {
        if AggregateFunction::named(name).is_some() {
            let error = ExprError::new(error::UNKNOWN_FUNCTION, format!("`{name}` is an aggregate"), place);
            return self.fail(error.help("it belongs into `aggregate` of a window"));
        }
        let names = functions().iter().flat_map(|function| std::iter::once(function.name).chain(function.aliases.iter().copied()));
        let error = ExprError::new(error::UNKNOWN_FUNCTION, format!("there is no function `{name}`"), place);
        self.fail(error.nearest_of(name, names))
    }

    fn shaped(&mut self, function: &'static FunctionInfo, arguments: &[Syntax], place: Place) -> Option<Ir> {
        let named =
            |arguments: Vec<Ir>, data_type| Some(Ir::new(Node::Call { function: Function::Named(function.name), arguments }, data_type));
        match (function.shape, arguments) {
            (Shape::Double | Shape::DoubleDouble, _) => {
                let inputs = self.each(arguments, Self::double)?;
                named(inputs, DataType::Double)
            }
            (Shape::SameNumber, [input]) => {
                let input = self.numeric(input)?;
                let data_type = input.data_type;
                named(vec![input], data_type)
            }
            (Shape::ToFloat, [input]) => {
                let input = self.floating(input)?;
                let data_type = input.data_type;
                named(vec![input], data_type)
            }
            (Shape::Sign, [input]) => named(vec![self.double(input)?], DataType::TinyInt),
            (Shape::FloatTest, [input]) => named(vec![self.double(input)?], DataType::Boolean),
            (Shape::Round, [input, rest @ ..]) => self.round(input, rest.first(), place),
            (Shape::Modulo, [left, right]) => {
                let (left, right) = (self.numeric(left), self.numeric(right));
                let (left, right) = self.same_number(left?, right?, place)?;
                Some(self.arithmetic_of(Arithmetic::Modulo, left, right))
            }
            (Shape::Widest, _) => {
                let inputs = self.unified(arguments, place)?;
                let data_type = inputs.first()?.data_type;
                named(inputs, data_type)
            }
            (Shape::Coalesce, _) => {
                let inputs = self.unified(arguments, place)?;
                let data_type = inputs.first()?.data_type;
                Some(Ir::new(Node::Coalesce(inputs), data_type))
            }
            (Shape::NullIf, [input, other]) => self.null_if(input, other, place),
            (Shape::If, [when, then, otherwise]) => self.case(None, &[(when.clone(), then.clone())], Some(otherwise), place),
            (Shape::FromMicros, [input]) => {
                let input = self.expr(input)?;
                self.time_of_epoch(input, 1, place)
            }
            (Shape::EpochMs, [input]) => {
                let typed = self.expr(input)?;
                if typed.data_type.is_integer() && !is_null(&typed) {
                    return self.time_of_epoch(typed, MICROS_PER_MILLI, place);
                }
                self.part_of(TimePart::EpochMs, typed)
            }
            (Shape::Text(letters, result), _) => {
                let inputs = self.text_arguments(letters, arguments)?;
                let data_type = match result {
                    TextResult::Text => DataType::Varchar,
                    TextResult::BigInt => DataType::BigInt,
                    TextResult::Boolean => DataType::Boolean,
                };
                named(inputs, data_type)
            }
            (Shape::Concat, _) => {
                let inputs = self.each(arguments, Self::as_text)?;
                named(inputs, DataType::Varchar)
            }
            (Shape::RegexMatches, [text, pattern, options @ ..]) => {
                let (input, regex) = self.regex_arguments(text, pattern, options.first())?;
                Some(Ir::new(Node::Call { function: Function::RegexMatches(regex), arguments: vec![input] }, DataType::Boolean))
            }
            (Shape::RegexExtract, [text, pattern, rest @ ..]) => self.regex_extract(text, pattern, rest.first()),
            (Shape::DatePart, [part, time]) => {
                let part_place = part.place;
                let name = self.constant_argument(part, "the part")?;
                let part = self.time_part(&name, part_place)?;
                self.part(part, time)
            }
            (Shape::DateTrunc, [part, time]) => {
                let part_place = part.place;
                let name = self.constant_argument(part, "the part")?;
                let part = self.time_part(&name, part_place)?;
                let input = self.time(time)?;
                Some(Ir::new(Node::Call { function: Function::Trunc(part), arguments: vec![input] }, DataType::Timestamp))
            }
            (Shape::Part(part), [time]) => self.part(part, time),
            _ => self.fail(ExprError::new(error::ARGUMENTS, "these arguments do not fit", place).expected(function.signature)),
        }
    }

    fn unified(&mut self, arguments: &[Syntax], place: Place) -> Option<Vec<Ir>> {
        let inputs = self.each(arguments, Self::expr)?;
        self.unify(inputs, place)
    }

    /// A number as DOUBLE.
    pub(super) fn double(&mut self, syntax: &Syntax) -> Option<Ir> {
        let input = self.expr(syntax)?;
        self.coerce(input, DataType::Double, syntax.place)
    }

    /// A number as DOUBLE; FLOAT stays what it is.
    fn floating(&mut self, syntax: &Syntax) -> Option<Ir> {
        let input = self.numeric(syntax)?;
        if input.data_type == DataType::Float { Some(input) } else { self.coerce(input, DataType::Double, syntax.place) }
    }

    fn round(&mut self, input: &Syntax, digits: Option<&Syntax>, place: Place) -> Option<Ir> {
        let digits = match digits {
            None => 0,
            Some(digits) => match self.expr(digits)?.node {
                Node::Literal(Literal::Integer(digits)) if digits.abs() <= 30 => digits,
                _ => return self.fail(ExprError::new(error::ARGUMENTS, "the digits must be a number written out, -30 to 30", place)),
            },
        };
        let input = self.numeric(input)?;
        // DuckDB rounds unsigned integers as BIGINT.
        let small = matches!(input.data_type, DataType::UTinyInt | DataType::USmallInt | DataType::UInteger);
        let input = if small { self.coerce(input, DataType::BigInt, place)? } else { input };
        if input.data_type.is_integer() && digits >= 0 {
            return Some(input);
        }
        let data_type = input.data_type;
        let digits = Ir::new(Node::Literal(Literal::Integer(digits)), DataType::Integer);
        Some(Ir::new(Node::Call { function: Function::Named("round"), arguments: vec![input, digits] }, data_type))
    }

    /// The result keeps the first one's type, whatever both are compared as.
    fn null_if(&mut self, input: &Syntax, other: &Syntax, place: Place) -> Option<Ir> {
        let (input, other) = (self.expr(input), self.expr(other));
        let (input, other) = (input?, other?);
        let meeting = self.meeting(&[input.clone(), other.clone()], crate::types::union, place)?;
        let other = Box::new(self.coerce(other, meeting, place)?);
        if matches!(input.node, Node::Literal(_)) {
            // Compared as the meeting type, which it must read as; the result is what it is by itself.
            self.coerce(input.clone(), meeting, place)?;
            let data_type = input.data_type;
            return Some(Ir::new(Node::NullIf { input: Box::new(input), other, meeting }, data_type));
        }
        if input.data_type != meeting && crate::types::union(input.data_type, meeting) != Some(meeting) {
            let error = ExprError::new(error::WRONG_TYPE, format!("{} and {meeting} cannot be compared", input.data_type), place);
            return self.fail(error);
        }
        let data_type = input.data_type;
        Some(Ir::new(Node::NullIf { input: Box::new(input), other, meeting }, data_type))
    }

    fn text_arguments(&mut self, letters: &str, arguments: &[Syntax]) -> Option<Vec<Ir>> {
        let wanted = letters.chars().map(|letter| if letter.eq_ignore_ascii_case(&'t') { DataType::Varchar } else { DataType::BigInt });
        let mut wanted = wanted.collect::<Vec<_>>().into_iter();
        self.each(arguments, |typer, argument| {
            let input = typer.expr(argument)?;
            typer.coerce(input, wanted.next()?, argument.place)
        })
    }

    /// A text that must be written out.
    fn constant_argument(&mut self, syntax: &Syntax, what: &str) -> Option<String> {
        match self.expr(syntax)?.node {
            Node::Literal(Literal::Text(text)) => Some(text),
            _ => self.fail(ExprError::new(error::ARGUMENTS, format!("{what} must be a text written out"), syntax.place)),
        }
    }

    fn regex_arguments(&mut self, text: &Syntax, pattern: &Syntax, options: Option<&Syntax>) -> Option<(Ir, regex::Regex)> {
        let input = self.text(text);
        let written = self.constant_argument(pattern, "the pattern")?;
        let options = match options {
            Some(options) => self.constant_argument(options, "the options")?,
            None => String::new(),
        };
        match pattern::regex(&written, &options) {
            Ok(regex) => Some((input?, regex)),
            Err(problem) => self.fail(ExprError::new(error::BAD_PATTERN, format!("the pattern cannot be read: {problem}"), pattern.place)),
        }
    }

    fn regex_extract(&mut self, text: &Syntax, pattern: &Syntax, group: Option<&Syntax>) -> Option<Ir> {
        let (input, regex) = self.regex_arguments(text, pattern, None)?;
        let group = match group {
            None => 0,
            Some(group) => match self.expr(group)?.node {
                Node::Literal(Literal::Integer(group)) if (0..regex.captures_len() as i128).contains(&group) => group as usize,
                _ => {
                    let error = ExprError::new(error::ARGUMENTS, "there is no such group in the pattern", group.place);
                    return self.fail(error.expected(format!("0 to {}", regex.captures_len() - 1)));
                }
            },
        };
        Some(Ir::new(Node::Call { function: Function::RegexExtract { regex, group }, arguments: vec![input] }, DataType::Varchar))
    }

    /// A TIMESTAMP, or a DATE taken as its midnight.
    pub(super) fn time(&mut self, syntax: &Syntax) -> Option<Ir> {
        let input = self.expr(syntax)?;
        self.as_time(input)
    }

    fn as_time(&mut self, input: Ir) -> Option<Ir> {
        let place = input.place;
        if input.data_type == DataType::Varchar && !is_null(&input) {
            let error = ExprError::new(error::WRONG_TYPE, "a time belongs here", place);
            return self.fail(error.expected("TIMESTAMP or DATE").found("VARCHAR").help("cast it: CAST(.. AS TIMESTAMP)"));
        }
        self.coerce(input, DataType::Timestamp, place)
    }

    fn part(&mut self, part: TimePart, time: &Syntax) -> Option<Ir> {
        let input = self.expr(time)?;
        self.part_of(part, input)
    }

    fn part_of(&mut self, part: TimePart, input: Ir) -> Option<Ir> {
        let input = self.as_time(input)?;
        let data_type = if part == TimePart::Epoch { DataType::Double } else { DataType::BigInt };
        Some(Ir::new(Node::Call { function: Function::Part(part), arguments: vec![input] }, data_type))
    }

    fn time_of_epoch(&mut self, input: Ir, micros_per_unit: i64, place: Place) -> Option<Ir> {
        let input = self.coerce(input, DataType::BigInt, place)?;
        Some(Ir::new(Node::Call { function: Function::FromEpoch { micros_per_unit }, arguments: vec![input] }, DataType::Timestamp))
    }

    fn time_part(&mut self, name: &str, place: Place) -> Option<TimePart> {
        let lower = name.to_ascii_lowercase();
        match TIME_PARTS.iter().find(|(known, _)| *known == lower || Some(*known) == lower.strip_suffix('s')) {
            Some((_, part)) => Some(*part),
            None => {
                let known = TIME_PARTS.iter().map(|(name, _)| *name);
                let error = ExprError::new(error::ARGUMENTS, format!("there is no part `{name}` of a time"), place);
                self.fail(error.nearest_of(name, known))
            }
        }
    }
}

const TIME_PARTS: [(&str, TimePart); 21] = [
    ("millennium", TimePart::Millennium),
    ("century", TimePart::Century),
    ("decade", TimePart::Decade),
    ("year", TimePart::Year),
    ("quarter", TimePart::Quarter),
    ("month", TimePart::Month),
    ("week", TimePart::Week),
    ("day", TimePart::Day),
    ("dayofweek", TimePart::DayOfWeek),
    ("dow", TimePart::DayOfWeek),
    ("weekday", TimePart::DayOfWeek),
    ("isodow", TimePart::IsoDayOfWeek),
    ("dayofyear", TimePart::DayOfYear),
    ("doy", TimePart::DayOfYear),
    ("hour", TimePart::Hour),
    ("minute", TimePart::Minute),
    ("second", TimePart::Second),
    ("millisecond", TimePart::Millisecond),
    ("microsecond", TimePart::Microsecond),
    ("epoch", TimePart::Epoch),
    ("epoch_ms", TimePart::EpochMs),
];

fn arity_fits(shape: Shape, count: usize) -> bool {
    match shape {
        Shape::Double | Shape::SameNumber | Shape::ToFloat | Shape::Sign | Shape::FloatTest | Shape::Part(_) => count == 1,
        Shape::DoubleDouble | Shape::Modulo | Shape::NullIf | Shape::DatePart | Shape::DateTrunc => count == 2,
        Shape::If => count == 3,
        Shape::FromMicros | Shape::EpochMs => count == 1,
        Shape::Round => (1..=2).contains(&count),
        Shape::RegexMatches | Shape::RegexExtract => (2..=3).contains(&count),
        Shape::Widest | Shape::Coalesce | Shape::Concat => count >= 1,
        Shape::Text(letters, _) => (letters.chars().filter(char::is_ascii_lowercase).count()..=letters.len()).contains(&count),
    }
}
