//! JSON Schemas of the file and of each kind in it.

use serde_json::{Map, Value, json};

use crate::alert::AlertFields;
use crate::catalog::{Catalog, Category, Inputs, KindInfo, schema_of};
use crate::field::{CommonFields, SinkFields, SourceFields};
use crate::pipeline::PipelineSettings;

/// All fields of a node of this kind: `kind`, `input`, its own, those of its category, and those of every node.
pub fn kind_schema(kind: &KindInfo) -> Value {
    let own = (kind.schema)();
    let mut required: Vec<Value> = vec![json!("kind")];
    let mut properties = Map::new();
    properties.insert("kind".to_owned(), json!({ "const": kind.name }));
    if let Some(input) = input_schema(kind.inputs) {
        properties.insert("input".to_owned(), input);
        required.push(json!("input"));
    }
    add_properties(&mut properties, &own);
    required.extend(own.get("required").and_then(Value::as_array).into_iter().flatten().cloned());
    match kind.category {
        Category::Source => add_properties(&mut properties, &schema_of::<SourceFields>()),
        Category::Sink => add_properties(&mut properties, &schema_of::<SinkFields>()),
        Category::Shape | Category::Window => {}
    }
    add_properties(&mut properties, &schema_of::<CommonFields>());
    json!({
        "type": "object",
        "title": kind.title,
        "description": kind.summary,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn add_properties(to: &mut Map<String, Value>, schema: &Value) {
    for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        to.entry(name.clone()).or_insert_with(|| property.clone());
    }
}

fn input_schema(inputs: Inputs) -> Option<Value> {
    let one = json!({ "type": "string", "description": "The node to read, or NODE.PORT." });
    match inputs {
        Inputs::None => None,
        Inputs::One => Some(one),
        Inputs::Many => Some(json!({ "type": "array", "items": one, "minItems": 1 })),
        Inputs::Named(names) => {
            let properties: Map<String, Value> = names.iter().map(|name| ((*name).to_owned(), one.clone())).collect();
            Some(json!({ "type": "object", "properties": properties, "required": names, "additionalProperties": false }))
        }
    }
}

/// The fields of an alert.
pub fn alert_schema() -> Value {
    let mut schema = schema_of::<AlertFields>();
    if let Some(object) = schema.as_object_mut() {
        object.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    schema
}

/// The whole file, every kind included.
pub fn file_schema(catalog: &Catalog) -> Value {
    let kinds: Map<String, Value> = catalog.iter().map(|kind| (kind.name.to_owned(), kind_schema(kind))).collect();
    let references: Vec<Value> = kinds.keys().map(|name| json!({ "$ref": format!("#/$defs/{name}") })).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Millrace pipeline",
        "type": "object",
        "properties": {
            "millrace": { "const": super::FORMAT_VERSION, "description": "The file format." },
            "pipeline": schema_of::<PipelineSettings>(),
            "node": { "type": "object", "propertyNames": { "pattern": "^[a-z0-9_-]{1,64}$" }, "additionalProperties": { "oneOf": references } },
            "alert": {
                "type": "object",
                "description": "Rules on the figures of a run.",
                "propertyNames": { "pattern": "^[a-z0-9_-]{1,64}$" },
                "additionalProperties": alert_schema(),
            },
            "layout": {
                "type": "object",
                "description": "Positions on the canvas, in pixels.",
                "additionalProperties": { "type": "array", "items": { "type": "number" }, "minItems": 2, "maxItems": 2 }
            }
        },
        "required": ["millrace", "node"],
        "additionalProperties": false,
        "$defs": kinds,
    })
}
