//! Words with their bytes.

use sqlparser::dialect::DuckDbDialect;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Token, Tokenizer, TokenizerError};

use super::MAX_TEXT_BYTES;
use crate::error::{self, ExprError, Place};

#[derive(Debug, Clone)]
pub(crate) struct Lexeme {
    pub token: Token,
    pub place: Place,
}

impl Lexeme {
    /// The unquoted word in capitals, else nothing.
    pub fn keyword(&self) -> Option<String> {
        match &self.token {
            Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_ascii_uppercase()),
            _ => None,
        }
    }

    pub fn is_keyword(&self, keyword: &str) -> bool {
        matches!(&self.token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(keyword))
    }
}

/// The words without the space between them.
pub(crate) fn lex(text: &str) -> Result<Vec<Lexeme>, ExprError> {
    if text.len() > MAX_TEXT_BYTES {
        let error = ExprError::new(error::TOO_LARGE, "the expression is too long", (0, text.len()));
        return Err(error.expected(format!("at most {MAX_TEXT_BYTES} bytes")).found(format!("{} bytes", text.len())));
    }
    let mut lines = Lines::new(text);
    let tokens = Tokenizer::new(&DuckDbDialect {}, text).tokenize_with_location().map_err(|failure| broken_word(failure, &mut lines))?;
    Ok(tokens
        .into_iter()
        .filter(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF))
        .map(|token| Lexeme { place: Place::new(lines.byte(token.span.start), lines.byte(token.span.end)), token: token.token })
        .collect())
}

fn broken_word(failure: TokenizerError, lines: &mut Lines<'_>) -> ExprError {
    let at = lines.byte(failure.location);
    let message = if failure.message.contains("Unterminated string") {
        "a string is not closed".to_owned()
    } else {
        format!("a word cannot be read: {}", failure.message.to_lowercase())
    };
    ExprError::new(error::SYNTAX, message, (at, lines.text.len()))
        .help("strings stand in 'single quotes', odd column names in \"double quotes\"")
}

/// From sqlparser's lines and columns (both from 1, columns in characters) to bytes. The places asked for mostly grow, so that each
/// search goes on where the last one ended.
struct Lines<'a> {
    text: &'a str,
    line: u64,
    column: u64,
    byte: usize,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        Lines { text, line: 1, column: 1, byte: 0 }
    }

    fn byte(&mut self, location: Location) -> usize {
        if (location.line, location.column) < (self.line, self.column) {
            *self = Lines::new(self.text);
        }
        let rest = self.text.get(self.byte..).unwrap_or("");
        for letter in rest.chars() {
            if (self.line, self.column) >= (location.line, location.column) {
                break;
            }
            self.byte += letter.len_utf8();
            self.column += 1;
            if letter == '\n' {
                (self.line, self.column) = (self.line + 1, 1);
            }
        }
        self.byte
    }
}

/// Words that cannot be a column without double quotes.
pub(super) fn is_reserved(word: &sqlparser::tokenizer::Word) -> bool {
    word.quote_style.is_none()
        && matches!(
            word.keyword,
            Keyword::AND
                | Keyword::AS
                | Keyword::CASE
                | Keyword::CAST
                | Keyword::DISTINCT
                | Keyword::ELSE
                | Keyword::END
                | Keyword::FROM
                | Keyword::IN
                | Keyword::IS
                | Keyword::LIKE
                | Keyword::ILIKE
                | Keyword::BETWEEN
                | Keyword::NOT
                | Keyword::OR
                | Keyword::SELECT
                | Keyword::THEN
                | Keyword::WHEN
                | Keyword::WHERE
                | Keyword::ORDER
                | Keyword::GROUP
        )
}
