//! What a kind of node knows at planning time.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use millrace_model::id::MAIN_PORT;
use millrace_model::types::SchemaRef;
use millrace_model::{ChangeMode, Diagnostic, Diagnostics, KindInfo, NodeDecl, codes};
use serde::de::DeserializeOwned;

use crate::bound::OutputPort;

/// A kind of node, before it runs. The runtime's operators and the connectors implement it beside what they run.
pub trait Kind: Send + Sync {
    fn info(&self) -> &KindInfo;

    /// Whether the kind takes rows of this change mode. Planning refuses the others before `bind` is asked.
    fn takes(&self, mode: &ChangeMode) -> bool {
        *mode == ChangeMode::Append
    }

    /// Types the node against its inputs. Pushes every finding it can make, and gives none only if an output schema cannot be told.
    fn bind(&self, input: &BindInput<'_>, found: &mut Diagnostics) -> Option<Bound>;
}

/// What a node is bound against.
pub struct BindInput<'a> {
    pub node: &'a NodeDecl,
    /// In the order of `node.inputs`.
    pub inputs: &'a [InputPort],
    /// For a source: the columns its connector found. For others none.
    pub discovered: Option<&'a SchemaRef>,
}

impl BindInput<'_> {
    /// The node's fields as the kind's own `Spec`. The checker has been over them before, so that a failure is rare; it is reported.
    pub fn spec<Spec: DeserializeOwned>(&self, found: &mut Diagnostics) -> Option<Spec> {
        match serde_json::from_value(self.node.spec.clone()) {
            Ok(spec) => Some(spec),
            Err(error) => {
                found.push(self.node.error(codes::SPEC, "", error.to_string()));
                None
            }
        }
    }

    pub fn error(&self, code: &'static str, field: &str, message: impl Into<String>) -> Diagnostic {
        self.node.error(code, field, message)
    }
}

/// The port that feeds one of a node's inputs.
#[derive(Debug, Clone)]
pub struct InputPort {
    pub schema: SchemaRef,
    pub mode: ChangeMode,
    /// Whether rows carry an event time.
    pub has_event_time: bool,
}

/// How rows must be spread over a node's tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Distribution {
    /// Any row to any task: the node chains with what feeds it.
    Any,
    /// Rows of one key to one task: a hash exchange on these columns of the input.
    ByKey(Vec<String>),
    /// All rows to one task.
    Single,
}

/// A node with its types told.
pub struct Bound {
    /// Main port first, then side ports; empty for a sink without a `quarantined` port.
    pub outputs: Vec<OutputPort>,
    pub distribution: Distribution,
    /// What the kind needs again to make its operator: typed expressions, parsed settings.
    pub payload: Payload,
}

impl OutputPort {
    /// A port whose rows are new and final.
    pub fn append(name: &str, schema: SchemaRef, has_event_time: bool) -> Self {
        OutputPort { name: name.to_owned(), schema, mode: ChangeMode::Append, has_event_time }
    }

    /// The main port of a node that hands on the rows of an input one by one: their mode is that of the input.
    pub fn passing(upstream: &InputPort, schema: SchemaRef) -> Self {
        OutputPort { name: MAIN_PORT.to_owned(), schema, mode: upstream.mode.clone(), has_event_time: upstream.has_event_time }
    }
}

/// A kind's own planning result, given back to it when its operator is made.
#[derive(Clone)]
pub struct Payload(Arc<dyn Any + Send + Sync>);

impl Payload {
    pub fn new<T: Any + Send + Sync>(value: T) -> Self {
        Payload(Arc::new(value))
    }

    pub fn get<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Payload(..)")
    }
}
