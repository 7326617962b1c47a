//! What chooses: IN, BETWEEN, LIKE, CASE.

use millrace_model::DataType;

use super::Typer;
use crate::error::{self, ExprError, Place};
use crate::ir::{Ir, LikePattern, Literal, Node};
use crate::syntax::{LetterCase, Syntax};

impl Typer<'_> {
    pub(super) fn in_list(&mut self, input: &Syntax, list: &[Syntax], negated: bool, place: Place) -> Option<Ir> {
        let (input, list) = (self.expr(input), self.each(list, Self::expr));
        let mut list = list?;
        list.insert(0, input?);
        let mut parts = self.unify(list, place)?;
        let list = parts.split_off(1);
        let input = Box::new(parts.pop()?);
        Some(Ir::new(Node::In { input, list, negated }, DataType::Boolean))
    }

    pub(super) fn between(&mut self, parts: [&Syntax; 3], negated: bool, place: Place) -> Option<Ir> {
        let [input, low, high] = parts.map(|part| self.expr(part));
        let parts = self.unify(vec![input?, low?, high?], place)?;
        let Ok([input, low, high]) = <[Ir; 3]>::try_from(parts) else { return None };
        let (input, low, high) = (Box::new(input), Box::new(low), Box::new(high));
        Some(Ir::new(Node::Between { input, low, high, negated }, DataType::Boolean))
    }

    pub(super) fn case(
        &mut self,
        operand: Option<&Syntax>,
        branches: &[(Syntax, Syntax)],
        otherwise: Option<&Syntax>,
        place: Place,
    ) -> Option<Ir> {
        let has_operand = operand.is_some();
        let operand = operand.map(|operand| self.expr(operand));
        let (mut whens, mut results) = (Vec::new(), Vec::new());
        for (when, result) in branches {
            whens.push(if has_operand { self.expr(when) } else { self.boolean(when) });
            results.push(self.expr(result));
        }
        if let Some(otherwise) = otherwise {
            results.push(self.expr(otherwise));
        }
        let mut whens = whens.into_iter().collect::<Option<Vec<Ir>>>()?;
        let results = results.into_iter().collect::<Option<Vec<Ir>>>()?;
        let operand = match operand {
            None => None,
            Some(operand) => {
                whens.insert(0, operand?);
                let mut met = self.unify(whens, place)?;
                whens = met.split_off(1);
                met.pop().map(Box::new)
            }
        };
        let mut results = self.unify(results, place)?;
        let otherwise = if otherwise.is_some() { results.pop().map(Box::new) } else { None };
        let data_type = results.first()?.data_type;
        Some(Ir::new(Node::Case { operand, branches: whens.into_iter().zip(results).collect(), otherwise }, data_type))
    }

    pub(super) fn like(
        &mut self,
        input: &Syntax,
        pattern: &Syntax,
        escape: Option<&Syntax>,
        case: LetterCase,
        negated: bool,
    ) -> Option<Ir> {
        let (input, pattern) = (self.text(input), self.text(pattern));
        let escape = match escape {
            None => None,
            Some(escape) => self.escape(escape)?,
        };
        let (input, pattern) = (Box::new(input?), pattern?);
        let ignore_case = case == LetterCase::Ignored;
        let node = match &pattern.node {
            Node::Literal(Literal::Text(text)) => match LikePattern::new(text, escape, ignore_case) {
                Some(pattern) => Node::Like { input, pattern, negated },
                None => {
                    let error = ExprError::new(error::BAD_PATTERN, "the pattern ends with its escape", pattern.place);
                    return self.fail(error.help("what is escaped stands behind it: '%$%' ESCAPE '$'"));
                }
            },
            _ => Node::LikeEach { input, pattern: Box::new(pattern), escape, ignore_case, negated },
        };
        Some(Ir::new(node, DataType::Boolean))
    }

    /// The escape of a LIKE: one character, or none at all.
    fn escape(&mut self, syntax: &Syntax) -> Option<Option<char>> {
        let escape = self.expr(syntax)?;
        match escape.node {
            Node::Literal(Literal::Text(text)) if text.chars().count() <= 1 => Some(text.chars().next()),
            _ => self.fail(ExprError::new(error::BAD_PATTERN, "the escape must be one character", syntax.place)),
        }
    }

    /// An expression that must be a text.
    pub(super) fn text(&mut self, syntax: &Syntax) -> Option<Ir> {
        let input = self.expr(syntax)?;
        self.coerce(input, DataType::Varchar, syntax.place)
    }
}
