//! Types a pipeline against the world: asks the sources for their columns, then binds every node.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use millrace_model::field::{ColumnName, EventTime};
use millrace_model::types::SchemaRef;
use millrace_model::{Diagnostic, Diagnostics, NodeDecl, NodeId, Pipeline};
use millrace_plan::{Kind, Kinds, LogicalPlan, bind_known};

use crate::job::{DEFAULT_BATCH_ROWS, HostContext};
use crate::registry::{Entry, Registry};
use crate::source::TimeReader;

impl Kinds for Registry {
    fn kind(&self, name: &str) -> Option<&dyn Kind> {
        self.get(name).map(Entry::kind)
    }
}

/// Asks every source for its columns, all at once, and types the pipeline. The plan is there if no finding is an error; warnings
/// come either way.
///
/// The pipeline has been over the checker before: what that finds is not found again here.
pub async fn prepare(pipeline: &Pipeline, registry: &Registry, host: &HostContext) -> (Option<LogicalPlan>, Diagnostics) {
    let Typed { plan, found, .. } = prepare_known(pipeline, registry, host).await;
    ((!found.has_errors()).then_some(plan), found)
}

/// A pipeline typed as far as it could be.
#[derive(Debug)]
pub struct Typed {
    pub plan: LogicalPlan,
    /// The sources' columns.
    pub columns: BTreeMap<NodeId, SchemaRef>,
    pub found: Diagnostics,
}

/// Types a pipeline whose sources have been asked elsewhere.
pub fn prepare_told(pipeline: &Pipeline, registry: &Registry, columns: &BTreeMap<NodeId, SchemaRef>) -> (Option<LogicalPlan>, Diagnostics) {
    let (plan, found) = bind_known(&with_default_times(pipeline, registry, columns), registry, columns);
    ((!found.has_errors()).then_some(plan), found)
}

/// Like [`prepare`], and gives the nodes that could be typed even if others could not: what an editor shows.
pub async fn prepare_known(pipeline: &Pipeline, registry: &Registry, host: &HostContext) -> Typed {
    let mut discovered = BTreeMap::new();
    let mut found = Diagnostics::default();
    let sources = pipeline.nodes.iter().filter_map(|node| match registry.get(&node.kind) {
        Some(Entry::Source(factory)) => Some((node, factory)),
        _ => None,
    });
    let asked = sources.map(|(node, factory)| async move {
        let context = host.connector(&node.id, 0, 1, DEFAULT_BATCH_ROWS, host.clock.wall_us());
        (node, factory.discover(node, &context).await)
    });
    for (node, columns) in join_all(asked).await {
        TimeReader::check(node, &mut found);
        take(node, columns, &mut discovered, &mut found);
    }
    for node in &pipeline.nodes {
        if let Some(Entry::Sink(factory)) = registry.get(&node.kind)
            && let Err(finding) = factory.check(node, &host.files)
        {
            found.push(placed(finding, node));
        }
    }
    let pipeline = with_default_times(pipeline, registry, &discovered);
    let (plan, more) = bind_known(&pipeline, registry, &discovered);
    let missing_is_explained = found.has_errors();
    let is_news = |finding: &Diagnostic| !(missing_is_explained && finding.code == millrace_plan::codes::NO_SCHEMA);
    found.items.extend(more.items.into_iter().filter(is_news));
    Typed { plan, columns: discovered, found }
}

/// A source that knows its event time by itself needs none in the file.
fn with_default_times(pipeline: &Pipeline, registry: &Registry, discovered: &BTreeMap<NodeId, SchemaRef>) -> Pipeline {
    let mut pipeline = pipeline.clone();
    for node in pipeline.nodes.iter_mut().filter(|node| node.source.event_time.is_none()) {
        let Some(Entry::Source(factory)) = registry.get(&node.kind) else { continue };
        let known = |column: &&str| discovered.get(&node.id).is_some_and(|columns| columns.field(column).is_some());
        let Some(column) = factory.default_event_time().filter(known) else { continue };
        node.source.event_time = Some(EventTime::Column(ColumnName(column.to_owned())));
        node.source.max_delay = node.source.max_delay.or(factory.default_max_delay());
    }
    pipeline
}

fn take(node: &NodeDecl, columns: Result<SchemaRef, Diagnostic>, discovered: &mut BTreeMap<NodeId, SchemaRef>, found: &mut Diagnostics) {
    match columns {
        Ok(columns) => {
            discovered.insert(node.id.clone(), columns);
        }
        Err(finding) => found.push(placed(finding, node)),
    }
}

/// A connector knows its field, and not always where that stands in the file.
fn placed(mut finding: Diagnostic, node: &NodeDecl) -> Diagnostic {
    finding.node.get_or_insert_with(|| node.id.clone());
    finding.span = finding.span.or_else(|| node.span(finding.field.as_deref().unwrap_or_default()));
    finding
}
