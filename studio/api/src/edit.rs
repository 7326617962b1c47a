//! A change to the pipeline, as a gesture means it. The studio carries it out on the text.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use ts_rs::TS;

/// One change. Ports are written `node` or `node.port`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case", tag = "edit")]
pub enum Edit {
    /// Adds a node of a kind; the studio names it after the kind (`filter`, `filter_2`) and says so in `Document::new_nodes`.
    AddNode {
        kind: String,
        at: [f64; 2],
        /// The port that it is connected to at once.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(optional)]
        from: Option<String>,
        /// Which input takes `from`, where the kind names them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(optional)]
        input: Option<String>,
    },
    RemoveNodes {
        nodes: Vec<String>,
    },
    /// References to it follow, those of alerts too.
    RenameNode {
        node: String,
        name: String,
    },
    /// Sets a field, or removes it where `value` is absent. `path` has one entry per level: `["aggregate", "mean_delay"]`.
    SetField {
        node: String,
        path: Vec<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(optional, type = "unknown")]
        value: Option<Value>,
    },
    /// The same in the `[pipeline]` table.
    SetPipelineField {
        path: Vec<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(optional, type = "unknown")]
        value: Option<Value>,
    },
    /// Adds an alert with these fields, named after its figure.
    AddAlert {
        #[ts(type = "Record<string, unknown>")]
        fields: serde_json::Map<String, Value>,
    },
    /// Sets a field of an alert, or removes it where `value` is absent.
    SetAlertField {
        alert: String,
        path: Vec<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(optional, type = "unknown")]
        value: Option<Value>,
    },
    RenameAlert {
        alert: String,
        name: String,
    },
    RemoveAlert {
        alert: String,
    },
    Connect {
        from: String,
        to: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(optional)]
        input: Option<String>,
    },
    Disconnect {
        from: String,
        to: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(optional)]
        input: Option<String>,
    },
    /// Saved without marking the file changed.
    MoveNodes {
        positions: BTreeMap<String, [f64; 2]>,
    },
    /// Adds the nodes of a text that [`crate::Request::Copy`] gave, under free names, their left upper corner at `at`.
    Paste {
        text: String,
        at: [f64; 2],
    },
    /// Copies nodes beside themselves.
    Duplicate {
        nodes: Vec<String>,
        offset: [f64; 2],
    },
}
