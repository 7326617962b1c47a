//! Holds values to the JSON Schema of their kind, and says what is wrong in words.

use serde_json::{Map, Value};

use super::MAX_FINDINGS;
use super::raw::show;
use super::read::join;
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::field::{ByteSize, Duration, Rate, Speed, WindowSize};

/// One misfit: the dotted field, and the finding without node or place. `at_key` marks the field's name rather than its value.
pub struct Misfit {
    pub field: String,
    pub at_key: bool,
    pub finding: Diagnostic,
}

/// Everything in `value` that does not fit `schema`.
pub fn misfits(schema: &Value, value: &Value, field: &str) -> Vec<Misfit> {
    let mut found = Vec::new();
    Shape { found: &mut found }.value(schema, value, field);
    found
}

struct Shape<'a> {
    found: &'a mut Vec<Misfit>,
}

impl Shape<'_> {
    fn push(&mut self, field: &str, finding: Diagnostic) {
        self.tell(Misfit { field: field.to_owned(), at_key: false, finding });
    }

    fn tell(&mut self, misfit: Misfit) {
        if self.found.len() < MAX_FINDINGS {
            self.found.push(misfit);
        }
    }

    fn value(&mut self, schema: &Value, value: &Value, field: &str) {
        if let Some(choices) = choices(schema) {
            return self.choice(schema, choices, value, field);
        }
        if let Some(constant) = schema.get("const") {
            if constant != value {
                self.push(field, wrong(schema, value));
            }
            return;
        }
        if let Some(known) = schema.get("enum").and_then(Value::as_array) {
            return self.one_of(schema, known, value, field);
        }
        if !type_fits(schema, value) {
            return self.push(field, wrong(schema, value));
        }
        match value {
            Value::Object(fields) => self.object(schema, fields, field),
            Value::Array(items) => self.array(schema, items, field),
            Value::String(text) => self.text(schema, text, field),
            Value::Number(number) => self.number(schema, number.as_f64().unwrap_or(f64::NAN), field),
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// One of several shapes: if none fits, the one that is meant (same JSON type, fewest misfits) says what is wrong.
    fn choice(&mut self, schema: &Value, choices: &[Value], value: &Value, field: &str) {
        let mut nearest: Option<Vec<Misfit>> = None;
        for choice in choices {
            let found = misfits(choice, value, field);
            if found.is_empty() {
                return;
            }
            let meant = !is_fixed(choice)
                && type_fits(choice, value)
                && found.iter().all(|misfit| misfit.field != field || misfit.at_key || choice.get("format").is_some());
            if meant && nearest.as_ref().is_none_or(|best| found.len() < best.len()) {
                nearest = Some(found);
            }
        }
        match nearest {
            Some(found) => found.into_iter().for_each(|misfit| self.tell(misfit)),
            None => {
                let given = value.as_str().unwrap_or_default().to_owned();
                let words: Vec<&str> = choices.iter().flat_map(fixed_words).collect();
                let fits = choices.iter().any(|choice| type_fits(choice, value));
                self.push(field, misfit(fits, schema, value).nearest_of(&given, words));
            }
        }
    }

    fn one_of(&mut self, schema: &Value, known: &[Value], value: &Value, field: &str) {
        if !known.contains(value) {
            let given = value.as_str().unwrap_or_default().to_owned();
            self.push(field, wrong(schema, value).nearest_of(&given, known.iter().filter_map(Value::as_str)));
        }
    }

    fn object(&mut self, schema: &Value, fields: &Map<String, Value>, under: &str) {
        let empty = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            if !fields.contains_key(name) {
                let property = properties.get(name).unwrap_or(&Value::Null);
                let finding =
                    Diagnostic::error(codes::MISSING_FIELD, format!("`{}` is missing", join(under, name))).expected(describe(property));
                self.push(under, finding.field(join(under, name)));
            }
        }
        for (name, value) in fields {
            let path = join(under, name);
            match (properties.get(name), schema.get("additionalProperties")) {
                (Some(property), _) => self.value(property, value, &path),
                (None, Some(Value::Bool(false))) => self.unknown(name, &path, properties),
                (None, Some(other)) => self.value(other, value, &path),
                (None, None) => {}
            }
        }
        if fields.is_empty() && schema.get("minProperties").and_then(Value::as_u64).unwrap_or(0) > 0 {
            self.push(under, Diagnostic::error(codes::OUT_OF_RANGE, "at least one entry is needed").expected(describe(schema)));
        }
    }

    fn unknown(&mut self, name: &str, path: &str, properties: &Map<String, Value>) {
        let names: Vec<&str> = properties.keys().map(String::as_str).collect();
        let finding = Diagnostic::error(codes::UNKNOWN_FIELD, format!("there is no field `{name}` here"))
            .expected(format!("one of {}", names.join(", ")))
            .nearest_of(name, names);
        self.tell(Misfit { field: path.to_owned(), at_key: true, finding });
    }

    fn array(&mut self, schema: &Value, items: &[Value], field: &str) {
        if (items.len() as u64) < schema.get("minItems").and_then(Value::as_u64).unwrap_or(0) {
            self.push(field, Diagnostic::error(codes::OUT_OF_RANGE, "too few entries").expected(describe(schema)));
        }
        if (items.len() as u64) > schema.get("maxItems").and_then(Value::as_u64).unwrap_or(u64::MAX) {
            self.push(field, Diagnostic::error(codes::OUT_OF_RANGE, "too many entries").expected(describe(schema)));
        }
        if let Some(item_schema) = schema.get("items") {
            for (at, item) in items.iter().enumerate() {
                self.value(item_schema, item, &join(field, &at.to_string()));
            }
        }
    }

    fn text(&mut self, schema: &Value, text: &str, field: &str) {
        let problem = match schema.get("format").and_then(Value::as_str) {
            Some("duration") => Duration::parse(text).err(),
            Some("window-size") => WindowSize::parse(text).err(),
            Some("size") => ByteSize::parse(text).err(),
            Some("rate") => Rate::parse(text).err(),
            Some("speed") => Speed::parse(text).err(),
            Some("path") if text.contains('\0') => Some("a path has no NUL in it".to_owned()),
            Some("path" | "column" | "expression" | "aggregate" | "time-zone") if text.trim().is_empty() => {
                Some("the text is empty".to_owned())
            }
            _ => None,
        };
        if let Some(problem) = problem {
            let finding = Diagnostic::error(codes::BAD_VALUE, problem).expected(describe(schema)).found(show(&Value::from(text)));
            self.push(field, finding);
        }
    }

    fn number(&mut self, schema: &Value, number: f64, field: &str) {
        let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
        let low = bound("minimum").is_some_and(|least| number < least) || bound("exclusiveMinimum").is_some_and(|least| number <= least);
        let high = bound("maximum").is_some_and(|most| number > most);
        if low || high {
            let finding = Diagnostic::error(codes::OUT_OF_RANGE, if low { "the number is too small" } else { "the number is too large" });
            self.push(field, finding.expected(describe(schema)).found(number.to_string()));
        }
    }
}

fn choices(schema: &Value) -> Option<&[Value]> {
    ["anyOf", "oneOf"].iter().find_map(|name| schema.get(name)).and_then(Value::as_array).map(Vec::as_slice)
}

fn is_fixed(schema: &Value) -> bool {
    schema.get("const").is_some() || schema.get("enum").is_some()
}

/// The words that a choice between fixed texts knows.
fn fixed_words(schema: &Value) -> Vec<&str> {
    if let Some(choices) = choices(schema) {
        return choices.iter().flat_map(fixed_words).collect();
    }
    let one = schema.get("const").and_then(Value::as_str);
    let many = schema.get("enum").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    one.into_iter().chain(many).collect()
}

fn type_fits(schema: &Value, value: &Value) -> bool {
    let fits = |name: &str| match name {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        // TOML has no null: one stands for a NaN or an infinity, which fits nowhere.
        "null" => false,
        _ => true,
    };
    match schema.get("type") {
        Some(Value::String(name)) => fits(name),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).any(fits),
        _ => true,
    }
}

fn wrong(schema: &Value, value: &Value) -> Diagnostic {
    misfit(type_fits(schema, value) && choices(schema).is_none(), schema, value)
}

fn misfit(type_fits: bool, schema: &Value, value: &Value) -> Diagnostic {
    let finding = if type_fits {
        Diagnostic::error(codes::BAD_VALUE, "this is not one of the values that fit here")
    } else {
        Diagnostic::error(codes::WRONG_TYPE, format!("{} does not fit here", type_of(value)))
    };
    finding.expected(describe(schema)).found(show(value))
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null | Value::Number(_) => "a number",
        Value::Bool(_) => "true or false",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}

/// What a schema asks for, in words.
pub fn describe(schema: &Value) -> String {
    if let Some(choices) = choices(schema) {
        let mut words: Vec<String> =
            choices.iter().filter(|choice| choice.get("type") != Some(&Value::from("null"))).map(describe).collect();
        words.dedup();
        return words.join(" or ");
    }
    if let Some(constant) = schema.get("const") {
        return constant.to_string();
    }
    if let Some(known) = schema.get("enum").and_then(Value::as_array) {
        return format!("one of {}", known.iter().filter(|word| !word.is_null()).map(Value::to_string).collect::<Vec<_>>().join(", "));
    }
    let example =
        schema.get("examples").and_then(|examples| examples.get(0)).map(|example| format!(" such as {example}")).unwrap_or_default();
    match schema.get("format").and_then(Value::as_str) {
        Some(format @ ("duration" | "size" | "rate" | "speed" | "path")) => return format!("a {format}{example}"),
        Some("window-size") => return format!("a duration{example}"),
        Some("expression") => return format!("an expression{example}"),
        Some("aggregate") => return format!("an aggregate{example}"),
        Some("column") => return format!("the name of a column{example}"),
        Some("time-zone") => return format!("a time zone{example}"),
        _ => {}
    }
    describe_type(schema)
}

fn describe_type(schema: &Value) -> String {
    let name = match schema.get("type") {
        Some(Value::String(name)) => name.as_str(),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).find(|name| *name != "null").unwrap_or("a value"),
        _ => return "a value".to_owned(),
    };
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let range = match (bound("minimum"), bound("maximum")) {
        (Some(least), Some(most)) => format!(" from {least} to {most}"),
        (Some(least), None) => format!(" of {least} or more"),
        (None, Some(most)) => format!(" of at most {most}"),
        (None, None) => String::new(),
    };
    match name {
        "string" => "a text".to_owned(),
        "integer" => format!("a whole number{range}"),
        "number" => format!("a number{range}"),
        "boolean" => "true or false".to_owned(),
        "array" => {
            let items = schema.get("items").map_or_else(|| "values".to_owned(), describe);
            format!("a list, each {items}")
        }
        "object" => match schema.get("properties").and_then(Value::as_object) {
            Some(properties) => format!("a table with {}", properties.keys().map(String::as_str).collect::<Vec<_>>().join(", ")),
            None => "a table { name = value }".to_owned(),
        },
        other => other.to_owned(),
    }
}
