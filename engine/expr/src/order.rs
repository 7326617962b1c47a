//! What rows are sorted by: `price DESC`, `ts`, `x ASC NULLS FIRST`.
//!
//! As in DuckDB: ascending if nothing is said, NULL last whichever way, NaN greater than any number, text by its bytes.

use millrace_model::Schema;

use crate::error::{self, ExprError, Place};
use crate::parse::parse_scalar;
use crate::syntax::{Lexeme, lex};

/// One term of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderTerm {
    pub column: String,
    pub is_descending: bool,
    pub nulls_first: bool,
}

/// Parses one term of an order over the columns of `schema`.
pub fn parse_order(text: &str, schema: &Schema) -> Result<OrderTerm, Vec<ExprError>> {
    let words = lex(text).map_err(|error| vec![error])?;
    let mut rest = words.as_slice();
    let nulls_first = match rest {
        [before @ .., nulls, place] if nulls.is_keyword("NULLS") => {
            let is_first = place.is_keyword("FIRST");
            if !is_first && !place.is_keyword("LAST") {
                let error = ExprError::new(error::SYNTAX, "NULLS come FIRST or LAST", place.place);
                return Err(vec![error.expected("FIRST or LAST")]);
            }
            rest = before;
            is_first
        }
        _ => false,
    };
    let is_descending = match rest {
        [before @ .., way] if way.is_keyword("DESC") || way.is_keyword("ASC") => {
            rest = before;
            way.is_keyword("DESC")
        }
        _ => false,
    };
    let column = column(text, rest, schema)?;
    Ok(OrderTerm { column, is_descending, nulls_first })
}

fn column(text: &str, words: &[Lexeme], schema: &Schema) -> Result<String, Vec<ExprError>> {
    let (Some(first), Some(last)) = (words.first(), words.last()) else {
        let error = ExprError::new(error::SYNTAX, "an order names a column", (0, text.len()));
        return Err(vec![error.expected("a column, then perhaps ASC or DESC, and NULLS FIRST or NULLS LAST")]);
    };
    let place = Place::new(first.place.start, last.place.end);
    let typed = parse_scalar(text.get(..place.end).unwrap_or_default(), schema)?;
    typed.as_column().map(str::to_owned).ok_or_else(|| {
        let error = ExprError::new(error::NOT_SUPPORTED, "rows are sorted by columns", place);
        vec![error.expected("a column").help("compute it in a `derive` before, and name its column here")]
    })
}

#[cfg(test)]
mod tests {
    use millrace_model::{DataType, Field};

    use super::*;

    fn schema() -> Schema {
        Schema::new(vec![Field::new("price", DataType::Double), Field::new("odd name", DataType::Varchar)])
    }

    fn term(column: &str, is_descending: bool, nulls_first: bool) -> OrderTerm {
        OrderTerm { column: column.to_owned(), is_descending, nulls_first }
    }

    #[test]
    fn a_term_is_ascending_and_has_nulls_last_unless_it_says_otherwise() {
        let parse = |text: &str| parse_order(text, &schema()).unwrap();
        assert_eq!(parse("price"), term("price", false, false));
        assert_eq!(parse("price ASC"), term("price", false, false));
        assert_eq!(parse("price desc"), term("price", true, false));
        assert_eq!(parse(" \"odd name\" DESC nulls first "), term("odd name", true, true));
        assert_eq!(parse("price NULLS LAST"), term("price", false, false));
    }

    #[test]
    fn what_is_wrong_with_a_term_is_told_at_its_place() {
        let fault = |text: &str| {
            let error = parse_order(text, &schema()).unwrap_err().remove(0);
            (error.code, error.start, error.end, error.nearest)
        };
        assert_eq!(fault("prize DESC"), (error::UNKNOWN_COLUMN, 0, 5, Some("price".to_owned())));
        assert_eq!(fault("price * 2 DESC"), (error::NOT_SUPPORTED, 0, 9, None));
        assert_eq!(fault("price NULLS MIDDLE"), (error::SYNTAX, 12, 18, None));
        assert_eq!(fault("").0, error::SYNTAX);
        assert_eq!(fault("price DOWN").0, error::SYNTAX);
    }
}
