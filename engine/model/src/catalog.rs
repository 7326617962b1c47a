//! The kinds of node that this build knows: what each is called, takes and gives.
//!
//! The catalog is handed in, since operators live in the engine's runtime and connectors outside the engine. Everything that
//! wants to know the kinds (the checker, `millrace schema`, the editor's palette, forms and completion) reads this.

use std::collections::BTreeMap;

use schemars::{JsonSchema, SchemaGenerator};

/// The palette's groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    Source,
    Shape,
    Window,
    Sink,
}

/// How many inputs a kind takes, and how they are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inputs {
    /// A source.
    None,
    /// `input = "a"`
    One,
    /// `input = ["a", "b"]`
    Many,
    /// `input = { left = "a", right = "b" }`
    Named(&'static [&'static str]),
}

/// An output port besides the main one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortInfo {
    pub name: &'static str,
    pub summary: &'static str,
}

/// What there is to know of a kind before it runs.
#[derive(Debug, Clone)]
pub struct KindInfo {
    /// As in the file: `tumbling_window`.
    pub name: &'static str,
    /// As on the palette: `Tumbling window`.
    pub title: &'static str,
    pub category: Category,
    /// A Lucide icon's name.
    pub icon: &'static str,
    /// One sentence.
    pub summary: &'static str,
    pub inputs: Inputs,
    /// Whether it has the main output port (a sink has none).
    pub has_output: bool,
    /// Output ports besides the main one.
    pub side_ports: &'static [PortInfo],
    /// The fields that the canvas shows on the node's second line, the first that is set.
    pub key_fields: &'static [&'static str],
    /// JSON Schema of the kind's own fields (an `object`; without the common fields).
    pub schema: fn() -> serde_json::Value,
}

/// The JSON Schema of a `Spec`, every reference inlined.
pub fn schema_of<Spec: JsonSchema>() -> serde_json::Value {
    let mut settings = schemars::generate::SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    let schema = SchemaGenerator::new(settings).into_root_schema_for::<Spec>();
    schema.to_value()
}

/// All kinds, by name.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    kinds: BTreeMap<&'static str, KindInfo>,
}

impl Catalog {
    pub fn new(kinds: impl IntoIterator<Item = KindInfo>) -> Self {
        Catalog { kinds: kinds.into_iter().map(|kind| (kind.name, kind)).collect() }
    }

    pub fn get(&self, name: &str) -> Option<&KindInfo> {
        self.kinds.get(name)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.kinds.keys().copied()
    }

    pub fn iter(&self) -> impl Iterator<Item = &KindInfo> {
        self.kinds.values()
    }
}
