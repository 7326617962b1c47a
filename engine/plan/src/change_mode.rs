//! What an edge's change mode asks of the nodes that read it.

use std::sync::Arc;

use millrace_model::types::SchemaRef;
use millrace_model::{ChangeMode, Diagnostic, NodeDecl, OP_COLUMN, PortRef, Schema};

use crate::codes;

/// The finding that a node cannot take the rows of an input; `help` says what to do instead.
pub fn refusal(node: &NodeDecl, from: Option<&PortRef>, mode: &ChangeMode, help: impl Into<String>) -> Diagnostic {
    let message = format!("`{}` cannot take rows that {}", node.kind, meaning(mode));
    let found = from.map_or_else(|| mode.word().to_owned(), |from| format!("{}, from `{from}`", mode.word()));
    node.error(codes::CHANGE_MODE, "input", message).expected(ChangeMode::Append.word()).found(found).help(help)
}

/// What rows of a mode do, as the end of a sentence.
pub const fn meaning(mode: &ChangeMode) -> &'static str {
    match mode {
        ChangeMode::Append => "are new and final",
        ChangeMode::Upsert { .. } => "replace earlier rows of the same key",
        ChangeMode::Retract => "take earlier rows back",
    }
}

/// The columns that tell something of what a row is about: all but `__op`, which no expression reads.
pub fn content(schema: &SchemaRef, mode: &ChangeMode) -> SchemaRef {
    if !mode.has_op() {
        return schema.clone();
    }
    Arc::new(Schema::new(schema.fields.iter().filter(|field| field.name != OP_COLUMN).cloned().collect()))
}
