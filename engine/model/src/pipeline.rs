//! A pipeline as its file declares it, with the place of every word.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::alert::AlertDecl;
use crate::autoscale::AutoscaleFields;
use crate::diagnostic::{Diagnostic, Span};
use crate::field::{ByteSize, CommonFields, Duration, OnPoison, SinkFields, SourceFields};
use crate::id::{NodeId, PortRef};

/// A well-formed file. It may still be wrong: the findings stand beside it, and a node whose field is wrong holds the rest.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Pipeline {
    pub settings: PipelineSettings,
    /// In the file's order.
    pub nodes: Vec<NodeDecl>,
    /// The sound ones, in the file's order. Their webhooks' addresses may hold secrets: they go nowhere with the rest.
    #[serde(skip)]
    pub alerts: Vec<AlertDecl>,
    /// Canvas positions, in pixels. Neither validation nor the diff looks at them.
    pub layout: BTreeMap<NodeId, [f64; 2]>,
}

impl Pipeline {
    pub fn node(&self, id: &NodeId) -> Option<&NodeDecl> {
        self.nodes.iter().find(|node| node.id == *id)
    }
}

/// The `[pipeline]` table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PipelineSettings {
    #[serde(default)]
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_every: Option<Duration>,
    /// Where checkpoints lie: a folder, or `s3://BUCKET/PREFIX` with the key in the environment (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
    /// `AWS_REGION`, `AWS_ENDPOINT_URL`); `.millrace/state` beside the file if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// How many tasks run each node; the number of cores if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1024))]
    pub parallelism: Option<u32>,
    /// How long a checkpoint waits for slow inputs before its barriers overtake rows, which are then kept with it; `1s` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unaligned_after: Option<Duration>,
    /// What happens to rows that make a node fail again and again: the pipeline fails, or they are set aside after three tries. The latter
    /// needs `checkpoint_every`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_poison: Option<OnPoison>,
    /// On the disks of how many nodes each checkpoint lies, where a control group keeps the pipeline running and `state` names no bucket; 2 if absent, or as
    /// many as are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 5))]
    pub replicas: Option<u32>,
    /// The most that the pipeline's state may take, in memory and on disk; it fails rather than take more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_state: Option<ByteSize>,
    /// How the numbers of tasks follow the load while the pipeline runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscale: Option<AutoscaleFields>,
}

/// One `[node.NAME]` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeDecl {
    pub id: NodeId,
    pub kind: String,
    pub inputs: Vec<InputDecl>,
    /// The kind's own fields as JSON, environment references read; it deserializes into the kind's `Spec`.
    pub spec: Value,
    pub common: CommonFields,
    /// Set where the kind is a source.
    pub source: SourceFields,
    /// Set where the kind is a sink.
    pub sink: SinkFields,
    /// Where each value stands, by dotted field: `kind`, `aggregate.mean_delay`, `columns.0`. The table's header is under ``.
    #[serde(default)]
    pub spans: BTreeMap<String, Span>,
}

impl NodeDecl {
    /// Where the field's value stands, or the nearest thing around it.
    pub fn span(&self, field: &str) -> Option<Span> {
        let mut path = field;
        loop {
            if let Some(span) = self.spans.get(path) {
                return Some(*span);
            }
            path = match path.rfind('.') {
                Some(dot) => path.split_at(dot).0,
                None if path.is_empty() => return None,
                None => "",
            };
        }
    }

    /// An error at one of this node's fields (dotted; empty for the node itself).
    pub fn error(&self, code: &'static str, field: &str, message: impl Into<String>) -> Diagnostic {
        let diagnostic = Diagnostic::error(code, message).node(&self.id).at(self.span(field));
        if field.is_empty() { diagnostic } else { diagnostic.field(field) }
    }
}

/// One upstream port that a node reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputDecl {
    /// The input's name where the kind names them (`left`), else none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub from: PortRef,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<Span>,
}
