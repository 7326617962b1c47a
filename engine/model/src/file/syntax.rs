//! From text to a TOML tree with spans, or to everything that keeps the text from being TOML.

use std::borrow::Cow;
use std::ops::Range;

use toml_edit::Document;
use toml_parser::parser::{Event, EventKind, RecursionGuard, ValidateWhitespace, parse_document};
use toml_parser::{ErrorSink, Expected, ParseError, Source};

use super::lines::LineIndex;
use super::{MAX_DEPTH, MAX_NAME_BYTES, MAX_TEXT_BYTES};
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics, Span};

/// More errors than this are not told: the later ones of a text so broken follow from the earlier ones.
const MAX_ERRORS: usize = 20;

/// Reads a text as TOML. Never panics, and takes no more stack than [`MAX_DEPTH`] levels need.
pub fn parse<'t>(text: &'t str, lines: &LineIndex<'_>) -> Result<Document<&'t str>, Diagnostics> {
    if text.len() > MAX_TEXT_BYTES {
        let finding = Diagnostic::error(codes::TOO_LARGE, "the file is too large to be a pipeline");
        return Err(one(finding.expected("at most 1 MiB").found(format!("{} bytes", text.len()))));
    }
    let (events, errors) = events(text);
    if errors.is_empty() {
        let long = |event: &&Event| event.kind() == EventKind::SimpleKey && event.span().len() > MAX_NAME_BYTES;
        if let Some(key) = events.iter().find(long) {
            let finding = Diagnostic::error(codes::LONG_NAME, "this name is too long").expected(format!("at most {MAX_NAME_BYTES} bytes"));
            return Err(one(finding.at(Some(lines.span(key.span().start()..key.span().end())))));
        }
        if let Some(place) = too_deep(&events) {
            return Err(one(nested_too_deep(Some(lines.span(place)))));
        }
        // What is left to be wrong is the meaning: a name that is given twice.
        return Document::parse(text).map_err(|error| one(meaning_error(&error, text, lines)));
    }
    let mut found = Diagnostics::default();
    for error in errors.iter().take(MAX_ERRORS) {
        let finding = grammar_error(error, text, lines);
        // One slip may be told twice, by the grammar and by the reader of the value.
        if found.items.iter().all(|told| told.span.map(|span| span.line) != finding.span.map(|span| span.line)) {
            found.push(finding);
        }
    }
    Err(found)
}

fn one(finding: Diagnostic) -> Diagnostics {
    Diagnostics { items: vec![finding] }
}

fn events(text: &str) -> (Vec<Event>, Vec<ParseError>) {
    let source = Source::new(text);
    let tokens = source.lex().into_vec();
    let mut events = Vec::with_capacity(tokens.len());
    let mut errors = Vec::new();
    {
        let mut checked = ValidateWhitespace::new(&mut events, source);
        let mut guarded = RecursionGuard::new(&mut checked, MAX_DEPTH as u32);
        parse_document(&tokens, &mut guarded, &mut errors);
    }
    for event in &events {
        let Some(raw) = source.get(event) else { continue };
        let mut out = Cow::Borrowed("");
        let sink: &mut dyn ErrorSink = &mut errors;
        match event.kind() {
            EventKind::SimpleKey => raw.decode_key(&mut out, sink),
            EventKind::Scalar => {
                let _ = raw.decode_scalar(&mut out, sink);
            }
            EventKind::Comment => raw.decode_comment(sink),
            EventKind::Newline => raw.decode_newline(sink),
            _ => {}
        }
    }
    errors.sort_by_key(|error| error.unexpected().or(error.context()).map_or(usize::MAX, |span| span.start()));
    (events, errors)
}

/// The first place that lies deeper than [`MAX_DEPTH`] tables and lists, dotted names included.
fn too_deep(events: &[Event]) -> Option<Range<usize>> {
    let mut open: Vec<usize> = vec![0];
    let (mut keys, mut next) = (0, 0);
    for event in events {
        let around = open.last().copied().unwrap_or(0);
        match event.kind() {
            EventKind::StdTableOpen | EventKind::ArrayTableOpen => {
                open = vec![0];
                keys = 0;
            }
            EventKind::StdTableClose | EventKind::ArrayTableClose => {
                open = vec![keys];
                keys = 0;
            }
            EventKind::SimpleKey => keys += 1,
            EventKind::KeyValSep => {
                next = around + keys;
                keys = 0;
            }
            EventKind::InlineTableOpen | EventKind::ArrayOpen => {
                next += 1;
                open.push(next);
            }
            EventKind::InlineTableClose | EventKind::ArrayClose => {
                open.pop();
                next = open.last().copied().unwrap_or(0);
            }
            EventKind::ValueSep => {
                next = around;
                keys = 0;
            }
            _ => {}
        }
        if around + keys > MAX_DEPTH || next > MAX_DEPTH {
            return Some(event.span().start()..event.span().end());
        }
    }
    None
}

fn nested_too_deep(place: Option<Span>) -> Diagnostic {
    Diagnostic::error(codes::TOO_DEEP, "values are nested too deep here").at(place).expected(format!("at most {MAX_DEPTH} levels"))
}

fn grammar_error(error: &ParseError, text: &str, lines: &LineIndex<'_>) -> Diagnostic {
    let range = error.unexpected().or(error.context()).map(|span| span.start()..span.end());
    let there = range.clone().and_then(|range| text.get(range)).and_then(shown);
    let place = range.map(|range| lines.span(range));
    if error.description().contains("recurs") {
        return nested_too_deep(place);
    }
    let (what, help) = reworded(error.description(), there.as_deref());
    let mut finding = Diagnostic::error(codes::SYNTAX, format!("this is not TOML: {what}")).at(place);
    let expected: Vec<String> = error.expected().into_iter().flatten().filter_map(in_words).collect();
    // The parser guesses what an unquoted word or nothing at all was to become; where its words lead astray, so do its guesses.
    if !expected.is_empty() && what == error.description() {
        finding = finding.expected(expected.join(" or "));
    }
    finding.found = there;
    finding.help(help)
}

/// What went wrong and what to do, where the parser's own words lead astray.
fn reworded(what: &str, there: Option<&str>) -> (String, &'static str) {
    let is_word = there.is_some_and(|word| word.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '/' || c == '.'));
    let quotes = "a text stands in quotes: name = \"text\"";
    match what {
        "string values must be quoted" if there.is_none() => ("a value is missing".to_owned(), "a field is written: name = value"),
        _ if is_word && (what.contains("quote") || what.starts_with("invalid")) => ("a text without quotes".to_owned(), quotes),
        _ if what.contains("basic string") || what.contains("literal string") => {
            (what.to_owned(), "close the text with the quote that opened it")
        }
        _ if what.contains("unclosed") => (what.to_owned(), "close it, or look for a quote or bracket that is missing before"),
        _ if what.contains("value") => (what.to_owned(), "a field is written: name = value"),
        _ => (what.to_owned(), "the file is TOML: toml.io describes it"),
    }
}

fn in_words(expected: &Expected) -> Option<String> {
    match expected {
        Expected::Literal("\n") => Some("the end of the line".to_owned()),
        Expected::Literal(text) => Some(format!("`{text}`")),
        Expected::Description(text) => Some((*text).to_owned()),
        _ => None,
    }
}

fn shown(text: &str) -> Option<String> {
    let line = text.lines().next()?.trim();
    let shown: String = line.chars().take(40).collect();
    (!shown.is_empty()).then_some(shown)
}

fn meaning_error(error: &toml_edit::TomlError, text: &str, lines: &LineIndex<'_>) -> Diagnostic {
    let range = error.span();
    let name = range.clone().and_then(|range| text.get(range)).and_then(shown);
    let finding = match name {
        Some(name) if error.message().contains("duplicate") => {
            Diagnostic::error(codes::TWICE, format!("`{name}` is given twice")).help("rename one of the two, or remove it")
        }
        _ => Diagnostic::error(codes::SYNTAX, format!("this is not TOML: {}", error.message().trim().replace('\n', ", "))),
    };
    finding.at(range.map(|range| lines.span(range)))
}
