//! Findings of the engine's, as the screens count places: in UTF-16.

use millrace_engine::model::{Diagnostic, Severity};
use millrace_studio_api::{Finding, FindingSeverity};

/// One finding about `text`.
pub fn finding(diagnostic: &Diagnostic, text: &str) -> Finding {
    let span = diagnostic.span;
    let utf16 = |byte: u32| text.get(..byte as usize).map_or(0, |before| before.encode_utf16().count() as u32);
    Finding {
        code: diagnostic.code.to_string(),
        severity: match diagnostic.severity {
            Severity::Error => FindingSeverity::Error,
            Severity::Warning => FindingSeverity::Warning,
        },
        message: diagnostic.message.clone(),
        node: diagnostic.node.as_ref().map(ToString::to_string),
        field: diagnostic.field.clone(),
        line: span.map_or(0, |span| span.line),
        column: span.map_or(0, |span| span.column),
        start: span.map_or(0, |span| utf16(span.start)),
        end: span.map_or(0, |span| utf16(span.end)),
        expected: diagnostic.expected.clone(),
        found: diagnostic.found.clone(),
        nearest: diagnostic.nearest.clone(),
        help: diagnostic.help.clone(),
    }
}

/// All findings about `text`.
pub fn findings<'a>(diagnostics: impl IntoIterator<Item = &'a Diagnostic>, text: &str) -> Vec<Finding> {
    diagnostics.into_iter().map(|diagnostic| finding(diagnostic, text)).collect()
}
