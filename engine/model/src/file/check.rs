//! Reads a pipeline file and finds everything that is wrong with it, in one look.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};
use toml_edit::{Item, Table, TableLike};

use super::lines::LineIndex;
use super::overrides::{self, Override};
use super::raw::{item_to_json, show};
use super::read::{ReadTable, Reader};
use super::schema::kind_schema;
use super::shape::misfits;
use super::{FORMAT_VERSION, MAX_FINDINGS, MAX_NODES, alerts, connect, syntax};
use crate::catalog::{Catalog, Category, schema_of};
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::field::{CommonFields, SinkFields, SourceFields};
use crate::id::{MAX_NODE_NAME_BYTES, NodeId};
use crate::pipeline::{NodeDecl, Pipeline, PipelineSettings};

/// What a file is checked against.
pub struct CheckOptions<'a> {
    /// The file's name as shown in findings.
    pub file: Option<String>,
    pub catalog: &'a Catalog,
    /// Looks up `${NAME}`.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// `--set`, in order.
    pub overrides: &'a [Override],
}

/// What a look at a file told.
#[derive(Debug, Clone, Default)]
pub struct Checked {
    /// There whenever the text is well-formed TOML of a version that is read, and of no more nodes than are read, even with errors
    /// in it.
    pub pipeline: Option<Pipeline>,
    /// In the order of the text.
    pub diagnostics: Diagnostics,
    /// The environment's names that the file refers to.
    pub env_names: BTreeSet<String>,
}

impl Checked {
    /// Whether it may run.
    pub fn is_sound(&self) -> bool {
        self.pipeline.is_some() && !self.diagnostics.has_errors()
    }
}

/// Reads and checks `text`. Never panics, whatever the text.
pub fn check(text: &str, options: &CheckOptions<'_>) -> Checked {
    let mut checked = check_text(text, options);
    let items = &mut checked.diagnostics.items;
    // Where some go untold, no error does for a warning.
    items.sort_by_key(|finding| !finding.is_error());
    items.truncate(MAX_FINDINGS);
    items.sort_by_key(|finding| finding.span.map_or(u32::MAX, |span| span.start));
    for finding in items {
        finding.file = options.file.clone();
        finding.message = cut(&finding.message);
        finding.found = finding.found.as_deref().map(cut);
    }
    checked
}

/// A file may have a text of any length where a message quotes it.
fn cut(text: &str) -> String {
    const SHOWN: usize = 400;
    if text.chars().count() > SHOWN { format!("{}…", text.chars().take(SHOWN).collect::<String>()) } else { text.to_owned() }
}

fn check_text(text: &str, options: &CheckOptions<'_>) -> Checked {
    let lines = LineIndex::new(text);
    let document = match syntax::parse(text, &lines) {
        Ok(document) => document,
        Err(diagnostics) => return Checked { diagnostics, ..Checked::default() },
    };
    let reader = Reader::new(&lines, options.env);
    Checker { options, reader, catalog: options.catalog, schemas: BTreeMap::new(), groups: Groups::new() }.run(document.as_table())
}

struct Checker<'a> {
    options: &'a CheckOptions<'a>,
    reader: Reader<'a>,
    catalog: &'a Catalog,
    /// By kind, made once: a file has many nodes of few kinds.
    schemas: BTreeMap<&'a str, Arc<Value>>,
    groups: Groups,
}

/// Names of the fields that nodes have besides their kind's own.
struct Groups {
    common: Vec<String>,
    source: Vec<String>,
    sink: Vec<String>,
}

impl Groups {
    fn new() -> Self {
        Groups { common: names_of::<CommonFields>(), source: names_of::<SourceFields>(), sink: names_of::<SinkFields>() }
    }
}

const TOP_LEVEL: [&str; 5] = ["millrace", "pipeline", "node", "alert", "layout"];

impl<'a> Checker<'a> {
    fn run(mut self, top: &Table) -> Checked {
        let readable = self.version(top);
        for (name, item) in top.iter().filter(|(name, _)| !TOP_LEVEL.contains(name)) {
            let span = self.reader.span(top.key(name).and_then(toml_edit::Key::span).or_else(|| item.span()));
            let finding = Diagnostic::error(codes::UNKNOWN_TABLE, format!("`{name}` does not belong in a pipeline file")).at(span);
            let finding = finding.expected("millrace, [pipeline], [node.NAME], [alert.NAME], [layout]").nearest_of(name, TOP_LEVEL);
            self.reader.found.push(finding);
        }
        if !readable || self.too_many_nodes(top) {
            return Checked { pipeline: None, diagnostics: self.reader.found, env_names: self.reader.names };
        }
        let mut tables = vec![("pipeline".to_owned(), self.sub_table(top, "pipeline"))];
        tables.extend(self.node_tables(top));
        for over in self.options.overrides {
            if let Err(finding) = overrides::apply(over, &mut tables) {
                self.reader.found.push(finding);
            }
        }
        let settings = self.settings(&tables);
        let nodes: Vec<NodeDecl> = tables.iter().skip(1).map(|(name, read)| self.node(name, read)).collect();
        if nodes.is_empty() {
            let finding = Diagnostic::error(codes::NO_NODES, "the pipeline has no nodes");
            self.reader.found.push(finding.help("add a source: [node.NAME] with kind = \"file\""));
        }
        let meant = connect::check_references(&nodes, self.catalog, &mut self.reader.found);
        connect::check_graph(&nodes, self.catalog, &meant, &mut self.reader.found);
        let alert_tables = alerts::tables(&mut self.reader, top);
        let alerts = alerts::read(&alert_tables, &nodes, &settings, &mut self.reader.found);
        for (name, read) in tables.iter().chain(&alert_tables) {
            read.veil(name, &mut self.reader.found);
        }
        let layout = self.layout(top);
        let pipeline = Pipeline { settings, nodes, alerts, layout };
        Checked { pipeline: Some(pipeline), diagnostics: self.reader.found, env_names: self.reader.names }
    }

    /// Whether this is a version that is read.
    fn version(&mut self, top: &Table) -> bool {
        let Some(item) = top.get("millrace") else {
            let finding = Diagnostic::error(codes::NO_VERSION, "the file does not say which format it has");
            let finding = finding.at(Some(self.reader.lines.span(0..0))).expected(format!("millrace = {FORMAT_VERSION}"));
            self.reader.found.push(finding.help("make it the first line"));
            return true;
        };
        if item.as_integer() == Some(FORMAT_VERSION) {
            return true;
        }
        let span = self.reader.span(item.span());
        let newer = item.as_integer().is_some_and(|version| version > FORMAT_VERSION);
        let finding = Diagnostic::error(codes::UNKNOWN_VERSION, "this release does not read this format").at(span).field("millrace");
        let finding = finding.expected(format!("millrace = {FORMAT_VERSION}")).found(show(&item_to_json(item)));
        self.reader.found.push(if newer { finding.help("a newer release of Millrace wrote this file") } else { finding });
        false
    }

    /// A pipeline of so many nodes is not looked into: whatever else is wrong with them, this comes first.
    fn too_many_nodes(&mut self, top: &Table) -> bool {
        let count = top.get("node").and_then(Item::as_table_like).map_or(0, TableLike::len);
        if count > MAX_NODES {
            let finding = Diagnostic::error(codes::TOO_MANY_NODES, "the pipeline has too many nodes");
            self.reader.found.push(finding.expected(format!("at most {MAX_NODES}")).found(count.to_string()));
        }
        count > MAX_NODES
    }

    fn sub_table(&mut self, top: &Table, name: &str) -> ReadTable {
        let Some(item) = top.get(name) else { return ReadTable::default() };
        let Some(table) = item.as_table_like() else {
            let span = self.reader.span(item.span());
            let finding = Diagnostic::error(codes::NOT_A_TABLE, format!("`{name}` is not a table")).at(span);
            self.reader.found.push(finding.expected(format!("[{name}]")).found(show(&item_to_json(item))));
            return ReadTable::default();
        };
        let header = item.span().or_else(|| top.key(name).and_then(toml_edit::Key::span));
        self.reader.table(table, header, None)
    }

    fn node_tables(&mut self, top: &Table) -> Vec<(String, ReadTable)> {
        let Some(item) = top.get("node") else { return Vec::new() };
        let Some(nodes) = item.as_table_like() else {
            let span = self.reader.span(item.span());
            let finding = Diagnostic::error(codes::NOT_A_TABLE, "`node` is not a table").at(span);
            self.reader.found.push(finding.expected("[node.NAME]").found(show(&item_to_json(item))));
            return Vec::new();
        };
        let mut tables = Vec::new();
        for (name, item) in nodes.iter() {
            let key = nodes.key(name).and_then(toml_edit::Key::span);
            if !NodeId::check(name) {
                let finding =
                    Diagnostic::error(codes::BAD_NODE_NAME, format!("`{name}` cannot be a node's name")).at(self.reader.span(key.clone()));
                self.reader.found.push(finding.expected(format!("letters a-z, digits, _ and -, at most {MAX_NODE_NAME_BYTES}")));
            }
            match item.as_table_like() {
                Some(table) => {
                    let header = item.span().or(key);
                    let read = self.reader.table(table, header, Some(&NodeId::new(name)));
                    tables.push((name.to_owned(), read));
                }
                None => {
                    let span = self.reader.span(item.span());
                    let finding = Diagnostic::error(codes::NOT_A_TABLE, format!("node `{name}` is not a table")).at(span);
                    self.reader.found.push(finding.expected(format!("[node.{name}]")).found(show(&item_to_json(item))));
                }
            }
        }
        tables
    }

    fn settings(&mut self, tables: &[(String, ReadTable)]) -> PipelineSettings {
        let Some((_, read)) = tables.first() else { return PipelineSettings::default() };
        let mut schema = schema_of::<PipelineSettings>();
        if let Some(object) = schema.as_object_mut() {
            object.insert("additionalProperties".to_owned(), Value::Bool(false));
            object.remove("required");
        }
        let mut good = read.values.clone();
        for misfit in misfits(&schema, &Value::Object(read.values.clone()), "") {
            forget(&mut good, &misfit.field);
            let finding = read.place(misfit.finding, &misfit.field, misfit.at_key);
            self.reader.found.push(finding.field(format!("pipeline.{}", misfit.field)));
        }
        let settings: PipelineSettings = serde_json::from_value(Value::Object(good)).unwrap_or_default();
        self.autoscale_bounds(&settings, read);
        settings
    }

    /// No number of tasks is at least `min` and at most `max` where these are the wrong way round.
    fn autoscale_bounds(&mut self, settings: &PipelineSettings, read: &ReadTable) {
        let bounds = settings.autoscale.as_ref().and_then(|said| said.min.zip(said.max));
        if let Some((min, max)) = bounds.filter(|(min, max)| min > max) {
            let finding = Diagnostic::error(codes::OUT_OF_RANGE, "`min` is more than `max`: no number of tasks is within both");
            let finding = read.place(finding.expected(format!("at most {max}")).found(min.to_string()), "autoscale.min", false);
            self.reader.found.push(finding.field("pipeline.autoscale.min"));
        }
    }

    fn node(&mut self, name: &str, read: &ReadTable) -> NodeDecl {
        let id = NodeId::new(name);
        let kind_name = read.values.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut node = NodeDecl {
            id,
            kind: kind_name.clone(),
            inputs: connect::inputs(read),
            spec: Value::Object(Map::new()),
            common: CommonFields::default(),
            source: SourceFields::default(),
            sink: SinkFields::default(),
            spans: read.spans.iter().filter(|(field, _)| !field.starts_with('!')).map(|(field, span)| (field.clone(), *span)).collect(),
        };
        let Some(kind) = self.catalog.get(&kind_name) else {
            self.unknown_kind(&node, read);
            node.spec = Value::Object(read.values.clone());
            return node;
        };
        connect::check_shape(&node, read, kind, &mut self.reader.found);
        let schema = self.schemas.entry(kind.name).or_insert_with(|| Arc::new(kind_schema(kind))).clone();
        let mut rest = self.fields(&node, read, &schema);
        node.common = split(&self.groups.common, &mut rest);
        match kind.category {
            Category::Source => node.source = split(&self.groups.source, &mut rest),
            Category::Sink => node.sink = split(&self.groups.sink, &mut rest),
            Category::Shape | Category::Window => {}
        }
        rest.shift_remove("kind");
        rest.shift_remove("input");
        node.spec = Value::Object(rest);
        node
    }

    fn unknown_kind(&mut self, node: &NodeDecl, read: &ReadTable) {
        let finding = match read.values.get("kind") {
            None => node.error(codes::NO_KIND, "", "the node has no kind").help("set `kind`"),
            Some(Value::String(name)) => {
                node.error(codes::UNKNOWN_KIND, "kind", format!("there is no kind `{name}`")).nearest_of(name, self.catalog.names())
            }
            Some(other) => node.error(codes::WRONG_TYPE, "kind", "a kind is a text").found(show(other)),
        };
        let known: Vec<&str> = self.catalog.names().collect();
        self.reader.found.push(finding.expected(format!("one of {}", known.join(", "))));
    }

    /// Reports what does not fit, and gives the fields that do.
    fn fields(&mut self, node: &NodeDecl, read: &ReadTable, schema: &Value) -> Map<String, Value> {
        let mut good = read.values.clone();
        for misfit in misfits(schema, &Value::Object(read.values.clone()), "") {
            let top = misfit.field.split('.').next().unwrap_or_default();
            // The shape of `input` and a missing one have findings of their own.
            if top == "input" || misfit.finding.field.as_deref() == Some("input") {
                continue;
            }
            forget(&mut good, &misfit.field);
            let field = misfit.finding.field.clone().unwrap_or_else(|| misfit.field.clone());
            let finding = read.place(misfit.finding, &misfit.field, misfit.at_key);
            self.reader.found.push(finding.node(&node.id).field(field));
        }
        good
    }

    fn layout(&mut self, top: &Table) -> BTreeMap<NodeId, [f64; 2]> {
        let mut positions = BTreeMap::new();
        let Some(item) = top.get("layout") else { return positions };
        let Some(table) = item.as_table_like() else {
            let span = self.reader.span(item.span());
            let finding = Diagnostic::warning(codes::BAD_LAYOUT, "the layout is not a table; the nodes are placed anew").at(span);
            self.reader.found.push(finding.expected("[layout]").found(show(&item_to_json(item))));
            return positions;
        };
        for (name, item) in table.iter() {
            let numbers: Vec<f64> = item
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|value| value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64)))
                .collect();
            match numbers.as_slice() {
                [x, y] if x.is_finite() && y.is_finite() => {
                    positions.insert(NodeId::new(name), [*x, *y]);
                }
                _ => {
                    let span = self.reader.span(item.span());
                    let finding = Diagnostic::warning(codes::BAD_LAYOUT, format!("the position of `{name}` cannot be read")).at(span);
                    let finding = finding.expected("two numbers: [x, y]").found(show(&item_to_json(item)));
                    self.reader.found.push(finding.field(format!("layout.{name}")));
                }
            }
        }
        positions
    }
}

/// Takes the field of a misfit away, so that what is right can be read.
fn forget(values: &mut Map<String, Value>, field: &str) {
    if let Some(top) = field.split('.').next() {
        values.shift_remove(top);
    }
}

fn names_of<T: schemars::JsonSchema>() -> Vec<String> {
    let schema = schema_of::<T>();
    schema.get("properties").and_then(Value::as_object).into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

/// Takes the fields of these names out of `values`, and reads them.
fn split<T: serde::de::DeserializeOwned + Default>(names: &[String], values: &mut Map<String, Value>) -> T {
    let own = names.iter().filter_map(|name| values.shift_remove_entry(name));
    serde_json::from_value(Value::Object(own.collect())).unwrap_or_default()
}
