//! The `[alert.NAME]` tables: read, and what is wrong with them.

use serde_json::Value;
use toml_edit::{Item, Table, TableLike};

use super::raw::{item_to_json, show};
use super::read::{ReadTable, Reader};
use super::schema::alert_schema;
use super::shape::misfits;
use crate::alert::{AlertDecl, AlertFields, Condition, Figure, MAX_ALERTS, MAX_NOTIFIED, WebhookUrl};
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::id::{MAX_NODE_NAME_BYTES, NodeId};
use crate::pipeline::{NodeDecl, PipelineSettings};

/// The table's name among those of findings and `veil`.
pub const PREFIX: &str = "alert.";

/// Every alert's table under `alert.NAME`.
pub fn tables(reader: &mut Reader<'_>, top: &Table) -> Vec<(String, ReadTable)> {
    let Some(item) = top.get("alert") else { return Vec::new() };
    let Some(alerts) = item.as_table_like() else {
        let span = reader.span(item.span());
        let finding = Diagnostic::error(codes::NOT_A_TABLE, "`alert` is not a table").at(span);
        reader.found.push(finding.expected("[alert.NAME]").found(show(&item_to_json(item))));
        return Vec::new();
    };
    if alerts.len() > MAX_ALERTS {
        let finding = Diagnostic::error(codes::TOO_MANY_ALERTS, "the pipeline has too many alerts");
        let finding = finding.at(reader.span(item.span())).expected(format!("at most {MAX_ALERTS}"));
        reader.found.push(finding.found(alerts.len().to_string()));
        return Vec::new();
    }
    alerts.iter().filter_map(|(name, item)| table(reader, alerts, name, item)).collect()
}

fn table(reader: &mut Reader<'_>, alerts: &dyn TableLike, name: &str, item: &Item) -> Option<(String, ReadTable)> {
    let key = alerts.key(name).and_then(toml_edit::Key::span);
    if !NodeId::check(name) {
        let finding = Diagnostic::error(codes::BAD_NODE_NAME, format!("`{name}` cannot be an alert's name")).at(reader.span(key.clone()));
        reader.found.push(finding.expected(format!("letters a-z, digits, _ and -, at most {MAX_NODE_NAME_BYTES}")));
    }
    let Some(table) = item.as_table_like() else {
        let finding = Diagnostic::error(codes::NOT_A_TABLE, format!("alert `{name}` is not a table")).at(reader.span(item.span()));
        // What stands there may be an address.
        reader.found.push(finding.expected(format!("[alert.{name}]")));
        return None;
    };
    let before = reader.found.items.len();
    let read = reader.table(table, item.span().or(key), None);
    for finding in reader.found.items.iter_mut().skip(before) {
        finding.field = finding.field.take().map(|field| format!("{PREFIX}{name}.{field}"));
    }
    Some((format!("{PREFIX}{name}"), read))
}

/// The sound ones of these tables. What is wrong with the others is found.
pub fn read(tables: &[(String, ReadTable)], nodes: &[NodeDecl], settings: &PipelineSettings, found: &mut Diagnostics) -> Vec<AlertDecl> {
    if tables.is_empty() {
        return Vec::new();
    }
    let schema = alert_schema();
    tables.iter().filter_map(|(name, read)| Alert { table: name, read, found }.sound(&schema, nodes, settings)).collect()
}

struct Alert<'a> {
    table: &'a str,
    read: &'a ReadTable,
    found: &'a mut Diagnostics,
}

impl Alert<'_> {
    fn error(&self, code: &'static str, field: &str, message: impl Into<String>) -> Diagnostic {
        let table = self.table;
        let finding = self.read.place(Diagnostic::error(code, message), field, false);
        finding.field(if field.is_empty() { table.to_owned() } else { format!("{table}.{field}") })
    }

    fn sound(mut self, schema: &Value, nodes: &[NodeDecl], settings: &PipelineSettings) -> Option<AlertDecl> {
        let before = self.found.items.len();
        for misfit in misfits(schema, &Value::Object(self.read.values.clone()), "") {
            let field = misfit.finding.field.clone().unwrap_or_else(|| misfit.field.clone());
            let mut finding = self.read.place(misfit.finding, &misfit.field, misfit.at_key);
            if field.starts_with("notify") {
                finding.found = None;
            }
            self.found.push(finding.field(format!("{}.{field}", self.table)));
        }
        if self.found.items.len() > before {
            return None;
        }
        let fields: AlertFields = serde_json::from_value(Value::Object(self.read.values.clone())).ok()?;
        let node = self.node(&fields, nodes);
        let condition = self.condition(&fields);
        let (desktop, webhooks) = self.notified(&fields.notify);
        self.can_fire(fields.figure, settings);
        if self.found.items.iter().skip(before).any(Diagnostic::is_error) {
            return None;
        }
        let name = self.table.strip_prefix(PREFIX).unwrap_or(self.table).to_owned();
        let hold = fields.hold.unwrap_or_default();
        Some(AlertDecl { name, figure: fields.figure, node, condition: condition?, hold, desktop, webhooks })
    }

    fn node(&mut self, fields: &AlertFields, nodes: &[NodeDecl]) -> Option<NodeId> {
        let name = fields.node.as_deref()?;
        let figure = fields.figure;
        if figure.is_of_run_alone() {
            let finding = self.error(codes::BAD_ALERT, "node", format!("`{}` is a figure of the whole run, and of no node", figure.name()));
            self.found.push(finding.help("leave `node` out"));
        } else if !nodes.iter().any(|node| node.id.as_str() == name) {
            let finding = self.error(codes::ALERT_NODE, "node", format!("there is no node `{name}` to watch"));
            self.found.push(finding.nearest_of(name, nodes.iter().map(|node| node.id.as_str())));
        }
        Some(NodeId::new(name))
    }

    fn condition(&mut self, fields: &AlertFields) -> Option<Condition> {
        let (figure, unit) = (fields.figure, fields.figure.unit());
        if figure == Figure::RunState {
            let none = fields.above.is_none() && fields.below.is_none() && fields.until.is_none();
            let Some(state) = fields.is.filter(|_| none) else {
                let finding = self.error(codes::BAD_ALERT, "", "an alert on `run_state` says what the run is");
                self.found.push(finding.expected("`is` alone, such as is = \"failed\"").help("take `above`, `below` and `until` out"));
                return None;
            };
            return Some(Condition::Is(state));
        }
        let (is_above, field) = match (&fields.above, &fields.below, fields.is) {
            (Some(_), None, None) => (true, "above"),
            (None, Some(_), None) => (false, "below"),
            _ => {
                let finding = self.error(codes::BAD_ALERT, "", format!("an alert on `{}` has one threshold", figure.name()));
                self.found.push(finding.expected(format!("one of `above` and `below`: {}", unit.example())));
                return None;
            }
        };
        let threshold = self.number(figure, field);
        let until = fields.until.as_ref().map(|_| self.number(figure, "until"));
        let threshold = threshold?;
        let until = until.unwrap_or(Some(threshold))?;
        if is_above && until > threshold || !is_above && until < threshold {
            let side = if is_above { "`until` lies above `above`" } else { "`until` lies below `below`" };
            let finding = self.error(codes::BAD_ALERT, "until", format!("{side}: the alert would be over before it fires"));
            self.found.push(finding.expected(format!("{} or {}", unit.words(threshold), if is_above { "less" } else { "more" })));
            return None;
        }
        Some(if is_above { Condition::Above { threshold, until } } else { Condition::Below { threshold, until } })
    }

    fn number(&mut self, figure: Figure, field: &str) -> Option<f64> {
        let value = self.read.values.get(field)?;
        let read = figure.unit().read(value);
        if read.is_none() {
            let finding = self.error(codes::BAD_ALERT, field, format!("this is no threshold of `{}`", figure.name()));
            self.found.push(finding.expected(figure.unit().example()).found(show(value)));
        }
        read
    }

    fn notified(&mut self, notify: &[String]) -> (bool, Vec<WebhookUrl>) {
        let mut webhooks = Vec::new();
        for (at, whom) in notify.iter().enumerate().filter(|(_, whom)| *whom != "desktop") {
            match WebhookUrl::parse(whom) {
                Ok(url) => webhooks.push(url),
                Err(problem) => {
                    // Without what stands there: it may be a secret in the wrong place.
                    let finding = self.error(codes::ALERT_TARGET, &format!("notify.{at}"), format!("nobody can be told there: {problem}"));
                    self.found.push(finding.expected("\"desktop\", or an address such as \"https://hooks.example/x\""));
                }
            }
        }
        if notify.len() > MAX_NOTIFIED {
            let finding = self.error(codes::OUT_OF_RANGE, "notify", "the alert tells too many");
            self.found.push(finding.expected(format!("at most {MAX_NOTIFIED}")));
        }
        (notify.iter().any(|whom| whom == "desktop"), webhooks)
    }

    fn can_fire(&mut self, figure: Figure, settings: &PipelineSettings) {
        if figure.is_of_checkpoints() && settings.checkpoint_every.is_none() {
            let message = format!("`{}` is a figure of checkpoints, and this pipeline takes none", figure.name());
            let finding = self.error(codes::IDLE_ALERT, "figure", message);
            self.found.push(Diagnostic { severity: Severity::Warning, ..finding.help("set `checkpoint_every` under [pipeline]") });
        }
    }
}
