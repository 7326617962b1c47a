//! From text to a typed expression.

use millrace_model::{DataType, Schema};

use crate::error::{self, ExprError};
use crate::ir::TypedExpr;
use crate::syntax::{Syntax, parse_expression, parse_select_item};
use crate::typing::Typer;

/// Parses and types an expression over the columns of `schema`.
pub fn parse_scalar(text: &str, schema: &Schema) -> Result<TypedExpr, Vec<ExprError>> {
    let parsed = parse_expression(text).map_err(|error| vec![error])?;
    type_expr(text, schema, &parsed)
}

/// Like [`parse_scalar`], and the expression must be BOOLEAN.
pub fn parse_predicate(text: &str, schema: &Schema) -> Result<TypedExpr, Vec<ExprError>> {
    let mut typed = parse_scalar(text, schema)?;
    if crate::typing::is_null(&typed.ir) {
        (typed.ir.data_type, typed.data_type) = (DataType::Boolean, DataType::Boolean);
    }
    if typed.data_type == DataType::Boolean {
        return Ok(typed);
    }
    let error = ExprError::new(error::NOT_A_PREDICATE, "a condition must be true or false", typed.ir.place);
    let help = if typed.data_type.is_numeric() { "compare it: .. <> 0" } else { "compare it with something: .. = '..'" };
    Err(vec![error.expected("BOOLEAN").found(typed.data_type.name()).help(help)])
}

/// Parses a column of a `select`: `origin`, or `dep_delay * 60 AS delay_s`. Gives the column's name and its expression.
pub fn parse_column(text: &str, schema: &Schema) -> Result<(String, TypedExpr), Vec<ExprError>> {
    if text.trim() == "*" {
        let error = ExprError::new(error::NOT_SUPPORTED, "`*` is not a column", (0, text.len()));
        return Err(vec![error.help("name the columns, or use `derive`, which keeps all there are")]);
    }
    let (parsed, name) = parse_select_item(text).map_err(|error| vec![error])?;
    let typed = type_expr(text, schema, &parsed)?;
    match name.or_else(|| typed.as_column().map(str::to_owned)) {
        Some(name) => Ok((name, typed)),
        None => {
            let error = ExprError::new(error::NO_NAME, "this column has no name", typed.ir.place);
            let shown: String = text.trim().chars().take(60).collect();
            Err(vec![error.help(format!("name it: {shown} AS name"))])
        }
    }
}

fn type_expr(text: &str, schema: &Schema, parsed: &Syntax) -> Result<TypedExpr, Vec<ExprError>> {
    let mut typer = Typer::new(schema);
    match typer.expr(parsed) {
        Some(ir) if typer.errors.is_empty() => Ok(TypedExpr::new(ir, text)),
        _ => Err(typer.errors),
    }
}
