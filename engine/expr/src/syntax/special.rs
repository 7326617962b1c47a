//! What begins with a word: columns, calls, CASE, CAST, and SQL's calls with words between their arguments.

use sqlparser::tokenizer::Token;

use super::lex::Lexeme;
use super::parse::{Parsed, Parser};
use super::{Call, Kind, OnFailure, Syntax};
use crate::error::{self, ExprError, Place};

impl Parser {
    pub(super) fn word(&mut self, word: &Lexeme, reserved: bool) -> Parsed<Syntax> {
        let keyword = word.keyword().unwrap_or_default();
        let called = self.peek_at(1) == Some(&Token::LParen);
        let before_text = matches!(self.peek_at(1), Some(Token::SingleQuotedString(_)));
        match keyword.as_str() {
            "TRUE" => self.leaf(Kind::Boolean(true)),
            "FALSE" => self.leaf(Kind::Boolean(false)),
            "NULL" => self.leaf(Kind::Null),
            "CASE" => self.case(),
            "CAST" | "TRY_CAST" if called => self.cast(if keyword == "CAST" { OnFailure::Fail } else { OnFailure::Null }),
            "INTERVAL" if !called => self.interval(),
            "DATE" | "TIMESTAMP" | "DATETIME" | "TIMESTAMPTZ" if before_text => self.typed_text(),
            "EXTRACT" if called => self.extract(),
            "POSITION" if called => self.position(),
            "TRIM" if called => self.trim(),
            "SUBSTRING" | "SUBSTR" if called => self.substring(),
            _ if reserved => Err(self.wrong("an expression")),
            _ if called => self.call(),
            _ => self.column(),
        }
    }

    fn column(&mut self) -> Parsed<Syntax> {
        let start = self.place().start;
        let (name, _) = self.name("a column")?;
        if self.peek() == Some(&Token::Period) {
            self.skip();
            let place = Place::new(start, self.place().end);
            return Err(ExprError::new(error::NOT_SUPPORTED, "columns are named without a table", place)
                .help("write the column's name alone; a name with a dot in it stands in \"double quotes\""));
        }
        let end = self.last_end();
        self.at(Kind::Column(name), Place::new(start, end))
    }

    /// `name(` arguments `)` and, for aggregates, `DISTINCT`, `*` and `FILTER (WHERE ..)`.
    fn call(&mut self) -> Parsed<Syntax> {
        let (name, name_place) = self.name("a function")?;
        self.expect(&Token::LParen, "(")?;
        let mut call = Call { name, name_place, args: Vec::new(), star: false, distinct: None, filter: None };
        if self.peek() == Some(&Token::Mul) {
            self.skip();
            call.star = true;
            self.expect(&Token::RParen, ")")?;
        } else if !self.take(&Token::RParen) {
            let place = self.place();
            if self.take_keyword("DISTINCT") {
                call.distinct = Some(place);
            }
            call.args = self.list()?;
        }
        if self.take_keyword("FILTER") {
            self.expect(&Token::LParen, "( after FILTER")?;
            self.expect_keyword("WHERE")?;
            call.filter = Some(Box::new(self.expression(0)?));
            self.expect(&Token::RParen, ")")?;
        }
        if self.peek_keyword().as_deref() == Some("OVER") {
            return Err(ExprError::new(error::NOT_SUPPORTED, "window functions over rows are not expressions of a stream", self.place())
                .help("use a window node and its aggregates"));
        }
        let end = self.last_end();
        self.at(Kind::Call(call), Place::new(name_place.start, end))
    }

    /// A call that was written with words between its arguments.
    fn made_call(&mut self, name: &str, name_place: Place, args: Vec<Syntax>) -> Parsed<Syntax> {
        let place = Place::new(name_place.start, self.last_end());
        let call = Call { name: name.to_owned(), name_place, args, star: false, distinct: None, filter: None };
        self.at(Kind::Call(call), place)
    }

    fn case(&mut self) -> Parsed<Syntax> {
        let start = self.place().start;
        self.skip();
        let operand = if self.peek_keyword().as_deref() == Some("WHEN") { None } else { Some(Box::new(self.expression(0)?)) };
        let mut branches = Vec::new();
        while self.take_keyword("WHEN") {
            let when = self.expression(0)?;
            self.expect_keyword("THEN")?;
            branches.push((when, self.expression(0)?));
        }
        if branches.is_empty() {
            return Err(self.wrong("WHEN"));
        }
        let otherwise = if self.take_keyword("ELSE") { Some(Box::new(self.expression(0)?)) } else { None };
        if !self.take_keyword("END") {
            return Err(self.wrong("WHEN, ELSE or END"));
        }
        let end = self.last_end();
        self.at(Kind::Case { operand, branches, otherwise }, Place::new(start, end))
    }

    fn cast(&mut self, on_failure: OnFailure) -> Parsed<Syntax> {
        let start = self.place().start;
        self.skip();
        self.expect(&Token::LParen, "(")?;
        let input = Box::new(self.expression(0)?);
        self.expect_keyword("AS")?;
        let (type_name, type_place) = self.type_name()?;
        self.expect(&Token::RParen, ")")?;
        let end = self.last_end();
        self.at(Kind::Cast { input, type_name, type_place, on_failure }, Place::new(start, end))
    }

    /// A type's name: one word, or `DOUBLE PRECISION`, `TIMESTAMP WITH TIME ZONE`, `TIMESTAMP WITHOUT TIME ZONE`; `(n)` is kept.
    pub(super) fn type_name(&mut self) -> Parsed<(String, Place)> {
        let (mut name, mut place) = self.name("a type")?;
        if name.eq_ignore_ascii_case("DOUBLE") {
            self.take_keyword("PRECISION");
        }
        if name.eq_ignore_ascii_case("TIMESTAMP") {
            let zoned = self.take_keyword("WITH");
            if zoned || self.take_keyword("WITHOUT") {
                self.expect_keyword("TIME")?;
                self.expect_keyword("ZONE")?;
            }
            if zoned {
                "TIMESTAMPTZ".clone_into(&mut name);
            }
        }
        if self.take(&Token::LParen) {
            let inner = self.list()?;
            // VARCHAR(n) means VARCHAR, as in DuckDB; what else takes a number is not a type of ours and must not be mistaken for one.
            if !["VARCHAR", "CHAR", "TEXT", "STRING", "BPCHAR"].iter().any(|text| name.eq_ignore_ascii_case(text)) {
                name.push_str(if inner.len() == 1 { "(n)" } else { "(n, m)" });
            }
        }
        if self.peek() == Some(&Token::LBracket) {
            name.push_str("[]");
            self.skip();
            self.expect(&Token::RBracket, "]")?;
        }
        place.end = self.last_end();
        Ok((name, place))
    }

    /// `DATE '2013-01-01'`
    fn typed_text(&mut self) -> Parsed<Syntax> {
        let (type_name, type_place) = self.name("a type")?;
        let Some(Token::SingleQuotedString(text)) = self.peek().cloned() else { return Err(self.wrong("a string")) };
        let input = Box::new(self.leaf(Kind::Text(text))?);
        let place = Place::new(type_place.start, input.place.end);
        self.at(Kind::Cast { input, type_name, type_place, on_failure: OnFailure::Fail }, place)
    }

    /// `INTERVAL '1 day 2 hours'`, `INTERVAL '5' MINUTE`, `INTERVAL 5 MINUTES`.
    fn interval(&mut self) -> Parsed<Syntax> {
        let start = self.place().start;
        self.skip();
        let (words, needs_unit) = match self.peek().cloned() {
            Some(Token::SingleQuotedString(text)) => (text, false),
            Some(Token::Number(digits, _)) => (digits, true),
            Some(Token::Minus) => {
                self.skip();
                let Some(Token::Number(digits, _)) = self.peek().cloned() else { return Err(self.wrong("a number")) };
                (format!("-{digits}"), true)
            }
            _ => {
                return Err(self
                    .wrong("a string or a whole number after INTERVAL")
                    .help("such as INTERVAL '5 minutes' or INTERVAL 5 MINUTE"));
            }
        };
        self.skip();
        let unit = match self.peek_keyword() {
            Some(unit) if crate::typing::is_interval_unit(&unit) => {
                self.skip();
                Some(unit)
            }
            _ if needs_unit => return Err(self.wrong("a unit of time").help("such as INTERVAL 5 MINUTE")),
            _ => None,
        };
        let end = self.last_end();
        self.at(Kind::Interval { words, unit }, Place::new(start, end))
    }

    /// `EXTRACT(hour FROM x)` is `date_part('hour', x)`.
    fn extract(&mut self) -> Parsed<Syntax> {
        let name_place = self.place();
        self.skip();
        self.expect(&Token::LParen, "(")?;
        let part = match self.peek().cloned() {
            Some(Token::Word(word)) => self.leaf(Kind::Text(word.value))?,
            Some(Token::SingleQuotedString(text)) => self.leaf(Kind::Text(text))?,
            _ => return Err(self.wrong("a part of a date, such as hour")),
        };
        self.expect_keyword("FROM")?;
        let from = self.expression(0)?;
        self.expect(&Token::RParen, ")")?;
        self.made_call("date_part", name_place, vec![part, from])
    }

    /// `POSITION(needle IN text)` is `strpos(text, needle)`.
    fn position(&mut self) -> Parsed<Syntax> {
        let name_place = self.place();
        self.skip();
        self.expect(&Token::LParen, "(")?;
        // Above IN, so that the word between the arguments is not an operator.
        let needle = self.expression(super::parse::ABOVE_MATCH)?;
        self.expect_keyword("IN")?;
        let text = self.expression(0)?;
        self.expect(&Token::RParen, ")")?;
        self.made_call("strpos", name_place, vec![text, needle])
    }

    /// `TRIM(x)`, `TRIM(x, letters)`, `TRIM(BOTH letters FROM x)`.
    fn trim(&mut self) -> Parsed<Syntax> {
        let name_place = self.place();
        self.skip();
        self.expect(&Token::LParen, "(")?;
        let name = if self.take_keyword("LEADING") {
            "ltrim"
        } else if self.take_keyword("TRAILING") {
            "rtrim"
        } else {
            self.take_keyword("BOTH");
            "trim"
        };
        if self.take_keyword("FROM") {
            let text = self.expression(0)?;
            self.expect(&Token::RParen, ")")?;
            return self.made_call(name, name_place, vec![text]);
        }
        let first = self.expression(0)?;
        if self.take_keyword("FROM") {
            let text = self.expression(0)?;
            self.expect(&Token::RParen, ")")?;
            return self.made_call(name, name_place, vec![text, first]);
        }
        let mut args = vec![first];
        while self.take(&Token::Comma) {
            args.push(self.expression(0)?);
        }
        self.expect(&Token::RParen, ")")?;
        self.made_call(name, name_place, args)
    }

    /// `SUBSTRING(x, from, for)` or `SUBSTRING(x FROM a FOR b)`.
    fn substring(&mut self) -> Parsed<Syntax> {
        let name_place = self.place();
        self.skip();
        self.expect(&Token::LParen, "(")?;
        let mut args = vec![self.expression(0)?];
        if self.take_keyword("FROM") {
            args.push(self.expression(0)?);
            if self.take_keyword("FOR") {
                args.push(self.expression(0)?);
            }
        } else {
            while self.take(&Token::Comma) {
                args.push(self.expression(0)?);
            }
        }
        self.expect(&Token::RParen, ") or ,")?;
        self.made_call("substring", name_place, args)
    }
}
