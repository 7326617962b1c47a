//! Operator precedence parsing with DuckDB's binding powers (its `gram.y`).

use sqlparser::tokenizer::Token;

use super::lex::{Lexeme, is_reserved, lex};
use super::{BinaryOp, IsTest, Kind, LetterCase, MAX_NESTING, MAX_TREE_DEPTH, OnFailure, Syntax};
use crate::deep;
use crate::error::{self, ExprError, Place};

/// How tightly operators bind, from loosest.
mod power {
    pub const OR: u8 = 10;
    pub const AND: u8 = 20;
    pub const NOT: u8 = 30;
    pub const IS: u8 = 40;
    pub const COMPARE: u8 = 50;
    pub const MATCH: u8 = 60;
    pub const OTHER: u8 = 70;
    pub const SUM: u8 = 80;
    pub const PRODUCT: u8 = 90;
    pub const POWER: u8 = 100;
    pub const SIGN: u8 = 110;
    pub const CAST: u8 = 120;
}

/// Above IN and LIKE: where a word between arguments must not be taken for an operator.
pub(super) const ABOVE_MATCH: u8 = power::MATCH;

pub(super) type Parsed<T> = Result<T, ExprError>;

/// Reads the whole text as one expression.
pub(crate) fn parse_expression(text: &str) -> Parsed<Syntax> {
    let mut parser = Parser::new(text)?;
    let expression = parser.expression(0)?;
    parser.expect_end()?;
    Ok(expression)
}

/// Reads `expression` or `expression AS name`.
pub(crate) fn parse_select_item(text: &str) -> Parsed<(Syntax, Option<String>)> {
    let mut parser = Parser::new(text)?;
    let expression = parser.expression(0)?;
    let alias = if parser.take_keyword("AS") { Some(parser.name("a name for the column")?.0) } else { None };
    parser.expect_end()?;
    Ok((expression, alias))
}

pub(super) struct Parser {
    words: Vec<Lexeme>,
    at: usize,
    nesting: usize,
    end: usize,
}

impl Parser {
    fn new(text: &str) -> Parsed<Self> {
        Ok(Parser { words: lex(text)?, at: 0, nesting: 0, end: text.len() })
    }

    /// Operators that bind more tightly than `floor`, and what they bind.
    pub(super) fn expression(&mut self, floor: u8) -> Parsed<Syntax> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            return Err(ExprError::new(error::TOO_LARGE, "the expression is nested too deeply", self.place())
                .expected(format!("at most {MAX_NESTING} levels"))
                .help("split it over several derived columns"));
        }
        let whole = deep(|| {
            let mut left = self.prefix()?;
            loop {
                match self.infix(left, floor)? {
                    Step::More(grown) => left = grown,
                    Step::Done(whole) => return Ok(whole),
                }
            }
        });
        self.nesting -= 1;
        whole
    }

    /// One operator after `left`, if it binds more tightly than `floor`.
    fn infix(&mut self, left: Syntax, floor: u8) -> Parsed<Step> {
        let Some(word) = self.words.get(self.at).cloned() else { return Ok(Step::Done(left)) };
        let step = match &word.token {
            Token::DoubleColon if floor < power::CAST => self.cast_operator(left)?,
            Token::StringConcat if floor < power::OTHER => self.chain(left, power::OTHER)?,
            Token::Word(_) => return self.word_operator(left, &word, floor),
            token => match binary_operator(token) {
                Some((op, bind)) if floor < bind => {
                    self.at += 1;
                    let right = self.expression(bind)?;
                    self.grow(Kind::Binary { op, left: Box::new(left), right: Box::new(right) })?
                }
                _ => return Ok(Step::Done(left)),
            },
        };
        Ok(Step::More(step))
    }

    /// AND, OR, IS, IN, BETWEEN, LIKE and their negations.
    fn word_operator(&mut self, left: Syntax, word: &Lexeme, floor: u8) -> Parsed<Step> {
        let keyword = word.keyword().unwrap_or_default();
        let step = match keyword.as_str() {
            "AND" if floor < power::AND => self.chain(left, power::AND)?,
            "OR" if floor < power::OR => self.chain(left, power::OR)?,
            "IS" if floor < power::IS => self.is(left)?,
            "ISNULL" | "NOTNULL" if floor < power::IS => {
                self.at += 1;
                let place = Place::new(left.place.start, self.last_end());
                self.at(Kind::Is { input: Box::new(left), test: IsTest::Null, negated: keyword == "NOTNULL" }, place)?
            }
            "NOT" if floor < power::MATCH && self.peek_is_match(1) => {
                self.at += 1;
                self.matching(left, true)?
            }
            _ if floor < power::MATCH && self.peek_is_match(0) => self.matching(left, false)?,
            _ => return Ok(Step::Done(left)),
        };
        Ok(Step::More(step))
    }

    fn peek_is_match(&self, ahead: usize) -> bool {
        self.words
            .get(self.at + ahead)
            .is_some_and(|word| ["IN", "BETWEEN", "LIKE", "ILIKE"].iter().any(|keyword| word.is_keyword(keyword)))
    }

    /// `a AND b AND c` as one: three-valued logic and concatenation are associative.
    fn chain(&mut self, first: Syntax, bind: u8) -> Parsed<Syntax> {
        let mut parts = vec![first];
        let operator = self.words.get(self.at).map(|word| word.token.clone());
        while self.words.get(self.at).is_some_and(|word| same_operator(operator.as_ref(), &word.token)) {
            self.at += 1;
            parts.push(self.expression(bind)?);
        }
        self.grow(match bind {
            power::AND => Kind::And(parts),
            power::OR => Kind::Or(parts),
            _ => Kind::Concat(parts),
        })
    }

    fn is(&mut self, left: Syntax) -> Parsed<Syntax> {
        self.at += 1;
        let negated = self.take_keyword("NOT");
        if self.take_keyword("DISTINCT") {
            self.expect_keyword("FROM")?;
            let right = self.expression(power::IS)?;
            return self.grow(Kind::Distinct { left: Box::new(left), right: Box::new(right), negated });
        }
        let test = match self.peek_keyword().as_deref() {
            Some("NULL" | "UNKNOWN") => IsTest::Null,
            Some("TRUE") => IsTest::True,
            Some("FALSE") => IsTest::False,
            _ => return Err(self.wrong("NULL, TRUE, FALSE or DISTINCT FROM after IS")),
        };
        self.at += 1;
        let place = Place::new(left.place.start, self.last_end());
        self.at(Kind::Is { input: Box::new(left), test, negated }, place)
    }

    /// What follows `x` or `x NOT`: IN, BETWEEN, LIKE, ILIKE.
    fn matching(&mut self, left: Syntax, negated: bool) -> Parsed<Syntax> {
        let input = Box::new(left);
        if self.take_keyword("IN") {
            self.expect(&Token::LParen, "( after IN")?;
            let list = self.list()?;
            let place = Place::new(input.place.start, self.last_end());
            return self.at(Kind::In { input, list, negated }, place);
        }
        if self.take_keyword("BETWEEN") {
            let low = Box::new(self.expression(power::MATCH)?);
            self.expect_keyword("AND")?;
            let high = Box::new(self.expression(power::MATCH)?);
            return self.grow(Kind::Between { input, low, high, negated });
        }
        let case = if self.take_keyword("ILIKE") { LetterCase::Ignored } else { LetterCase::Kept };
        if case == LetterCase::Kept {
            self.expect_keyword("LIKE")?;
        }
        let pattern = Box::new(self.expression(power::MATCH)?);
        let escape = if self.take_keyword("ESCAPE") { Some(Box::new(self.expression(power::MATCH)?)) } else { None };
        self.grow(Kind::Like { input, pattern, escape, case, negated })
    }

    fn cast_operator(&mut self, left: Syntax) -> Parsed<Syntax> {
        self.at += 1;
        let (type_name, type_place) = self.type_name()?;
        let place = Place::new(left.place.start, type_place.end);
        self.at(Kind::Cast { input: Box::new(left), type_name, type_place, on_failure: OnFailure::Fail }, place)
    }

    fn prefix(&mut self) -> Parsed<Syntax> {
        let Some(word) = self.words.get(self.at).cloned() else { return Err(self.wrong("an expression")) };
        let start = word.place.start;
        match &word.token {
            Token::Minus => {
                self.at += 1;
                let input = self.expression(power::SIGN)?;
                let place = Place::new(start, input.place.end);
                // A minus belongs to the number behind it, so that -9223372036854775808 is one literal.
                if let Kind::Number(digits) = &input.kind
                    && !digits.starts_with('-')
                    && matches!(self.words.get(self.at.wrapping_sub(1)).map(|last| &last.token), Some(Token::Number(..)))
                {
                    return self.at(Kind::Number(format!("-{digits}")), place);
                }
                self.at(Kind::Negate(Box::new(input)), place)
            }
            Token::Plus => {
                self.at += 1;
                let input = self.expression(power::SIGN)?;
                let place = Place::new(start, input.place.end);
                self.at(Kind::Plus(Box::new(input)), place)
            }
            Token::LParen => {
                self.at += 1;
                let inner = self.expression(0)?;
                self.expect(&Token::RParen, ")")?;
                Ok(Syntax { place: Place::new(start, self.last_end()), ..inner })
            }
            Token::Number(digits, _) => self.leaf(Kind::Number(digits.clone())),
            Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) => self.leaf(Kind::Text(text.clone())),
            Token::DollarQuotedString(text) => self.leaf(Kind::Text(text.value.clone())),
            Token::Word(word_token) if word_token.quote_style.is_some() => self.leaf(Kind::Column(word_token.value.clone())),
            Token::Word(word_token) => {
                if word.is_keyword("NOT") {
                    self.at += 1;
                    let input = self.expression(power::NOT)?;
                    let place = Place::new(start, input.place.end);
                    return self.at(Kind::Not(Box::new(input)), place);
                }
                self.word(&word, is_reserved(word_token))
            }
            _ => Err(self.wrong("an expression")),
        }
    }

    /// `expression, expression)`, the closing parenthesis included; at least one.
    pub(super) fn list(&mut self) -> Parsed<Vec<Syntax>> {
        let mut items = vec![self.expression(0)?];
        while self.take(&Token::Comma) {
            items.push(self.expression(0)?);
        }
        self.expect(&Token::RParen, ", or )")?;
        Ok(items)
    }
}

enum Step {
    More(Syntax),
    Done(Syntax),
}

fn same_operator(operator: Option<&Token>, token: &Token) -> bool {
    match (operator, token) {
        (Some(Token::Word(one)), Token::Word(other)) => other.quote_style.is_none() && one.value.eq_ignore_ascii_case(&other.value),
        (Some(one), other) => one == other,
        (None, _) => false,
    }
}

fn binary_operator(token: &Token) -> Option<(BinaryOp, u8)> {
    Some(match token {
        Token::Plus => (BinaryOp::Add, power::SUM),
        Token::Minus => (BinaryOp::Subtract, power::SUM),
        Token::Mul => (BinaryOp::Multiply, power::PRODUCT),
        Token::Div => (BinaryOp::Divide, power::PRODUCT),
        Token::DuckIntDiv => (BinaryOp::IntegerDivide, power::PRODUCT),
        Token::Mod => (BinaryOp::Modulo, power::PRODUCT),
        Token::Caret => (BinaryOp::Power, power::POWER),
        Token::Eq | Token::DoubleEq => (BinaryOp::Equal, power::COMPARE),
        Token::Neq => (BinaryOp::NotEqual, power::COMPARE),
        Token::Lt => (BinaryOp::Less, power::COMPARE),
        Token::LtEq => (BinaryOp::LessEqual, power::COMPARE),
        Token::Gt => (BinaryOp::Greater, power::COMPARE),
        Token::GtEq => (BinaryOp::GreaterEqual, power::COMPARE),
        _ => return None,
    })
}

/// Small steps over the words.
impl Parser {
    pub(super) fn leaf(&mut self, kind: Kind) -> Parsed<Syntax> {
        let place = self.place();
        self.at += 1;
        self.at(kind, place)
    }

    /// A part whose place is that of its parts together.
    pub(super) fn grow(&mut self, kind: Kind) -> Parsed<Syntax> {
        let place = kind.children().iter().map(|child| child.place).reduce(Place::around);
        self.at(kind, place.unwrap_or_default())
    }

    pub(super) fn at(&mut self, kind: Kind, place: Place) -> Parsed<Syntax> {
        let depth = 1 + kind.children().iter().map(|child| child.depth).max().unwrap_or(0);
        if depth > MAX_TREE_DEPTH {
            return Err(ExprError::new(error::TOO_LARGE, "too many operators follow one another", place)
                .expected(format!("at most {MAX_TREE_DEPTH} in a row"))
                .help("group them with parentheses, or split them over several derived columns"));
        }
        Ok(Syntax { kind, place, depth })
    }

    pub(super) fn place(&self) -> Place {
        self.words.get(self.at).map_or(Place::new(self.end, self.end), |word| word.place)
    }

    pub(super) fn last_end(&self) -> usize {
        self.at.checked_sub(1).and_then(|last| self.words.get(last)).map_or(0, |word| word.place.end)
    }

    pub(super) fn peek(&self) -> Option<&Token> {
        self.words.get(self.at).map(|word| &word.token)
    }

    pub(super) fn peek_at(&self, ahead: usize) -> Option<&Token> {
        self.words.get(self.at + ahead).map(|word| &word.token)
    }

    pub(super) fn peek_keyword(&self) -> Option<String> {
        self.words.get(self.at).and_then(Lexeme::keyword)
    }

    pub(super) fn skip(&mut self) {
        self.at += 1;
    }

    pub(super) fn take(&mut self, token: &Token) -> bool {
        let there = self.peek() == Some(token);
        self.at += usize::from(there);
        there
    }

    pub(super) fn take_keyword(&mut self, keyword: &str) -> bool {
        let there = self.words.get(self.at).is_some_and(|word| word.is_keyword(keyword));
        self.at += usize::from(there);
        there
    }

    pub(super) fn expect(&mut self, token: &Token, expected: &str) -> Parsed<()> {
        if self.take(token) { Ok(()) } else { Err(self.wrong(expected)) }
    }

    pub(super) fn expect_keyword(&mut self, keyword: &str) -> Parsed<()> {
        if self.take_keyword(keyword) { Ok(()) } else { Err(self.wrong(keyword)) }
    }

    fn expect_end(&self) -> Parsed<()> {
        if self.at >= self.words.len() { Ok(()) } else { Err(self.wrong("an operator or the end of the expression")) }
    }

    /// A plain or double-quoted name.
    pub(super) fn name(&mut self, expected: &str) -> Parsed<(String, Place)> {
        let place = self.place();
        match self.peek() {
            Some(Token::Word(word)) if !is_reserved(word) => {
                let name = word.value.clone();
                self.at += 1;
                Ok((name, place))
            }
            _ => Err(self.wrong(expected)),
        }
    }

    /// What stands here is not what had to.
    pub(super) fn wrong(&self, expected: &str) -> ExprError {
        let found = self.peek().map_or_else(|| "the end of the expression".to_owned(), |token| format!("`{token}`"));
        let error =
            ExprError::new(error::SYNTAX, format!("expected {expected}, found {found}"), self.place()).expected(expected).found(found);
        match self.peek() {
            Some(Token::SemiColon) => error.help("one expression, without a semicolon"),
            Some(Token::Word(word)) if word.quote_style.is_none() && is_reserved(word) => {
                error.help(format!("`{}` is a word of SQL; a column of that name stands in \"double quotes\"", word.value))
            }
            _ => error,
        }
    }
}

impl Kind {
    /// The parts, in the order in which they stand, mostly.
    pub(super) fn children(&self) -> Vec<&Syntax> {
        match self {
            Kind::Column(_) | Kind::Number(_) | Kind::Text(_) | Kind::Boolean(_) | Kind::Null | Kind::Interval { .. } => Vec::new(),
            Kind::Negate(input) | Kind::Plus(input) | Kind::Not(input) | Kind::Is { input, .. } | Kind::Cast { input, .. } => vec![input],
            Kind::Binary { left, right, .. } | Kind::Distinct { left, right, .. } => vec![left, right],
            Kind::And(parts) | Kind::Or(parts) | Kind::Concat(parts) => parts.iter().collect(),
            Kind::In { input, list, .. } => std::iter::once(&**input).chain(list).collect(),
            Kind::Between { input, low, high, .. } => vec![input, low, high],
            Kind::Like { input, pattern, escape, .. } => [input, pattern].into_iter().chain(escape).map(|part| &**part).collect(),
            Kind::Case { operand, branches, otherwise } => operand
                .iter()
                .map(|part| &**part)
                .chain(branches.iter().flat_map(|(when, then)| [when, then]))
                .chain(otherwise.iter().map(|part| &**part))
                .collect(),
            Kind::Call(call) => call.args.iter().chain(call.filter.iter().map(|part| &**part)).collect(),
        }
    }
}
