//! What a run goes on from.

use std::collections::BTreeMap;
use std::ops::Range;

use millrace_model::{NodeId, Timestamp};
use millrace_state::StateResult;
use millrace_state::block::PiecePlace;
use millrace_state::checkpoint::{Committable, Manifest, TaskId};
use millrace_state::snapshot::{Apart, Counts, NodePart, PartitionPart, Reader, TaskPart};

/// A complete epoch, with its parts: all of them, or in a member of a run those that its own tasks go on from.
#[derive(Debug)]
pub struct Restored {
    pub manifest: Manifest,
    parts: Vec<(TaskId, TaskPart)>,
    /// What the nodes had counted, where that is not to be read in the parts.
    counted: Option<BTreeMap<NodeId, Counts>>,
    /// In a pipeline that changed: whose state each node takes over. A node that is not in it begins anew.
    from: Option<BTreeMap<NodeId, NodeId>>,
}

impl Restored {
    pub const fn new(manifest: Manifest, parts: Vec<(TaskId, TaskPart)>) -> Self {
        Restored { manifest, parts, counted: None, from: None }
    }

    /// The same with some of the parts alone, and what all of them had counted.
    #[must_use]
    pub fn counted(self, counted: BTreeMap<NodeId, Counts>) -> Self {
        Restored { counted: Some(counted), ..self }
    }

    /// Whether the node's operators had written anything.
    pub fn has_state(&self, node: &NodeId) -> bool {
        self.of_node(node).any(|(part, of)| part.has_state(of))
    }

    /// Gives each node the state of another, or none: sinks' commits too.
    pub fn carry(&mut self, from: BTreeMap<NodeId, NodeId>) {
        let ready = std::mem::take(&mut self.manifest.ready);
        let renamed = |former: &NodeId| from.iter().find(|(_, of)| *of == former).map(|(now, _)| now.clone());
        self.manifest.ready = ready.into_iter().filter_map(|it| Some(Committable { node: renamed(&it.node)?, ..it })).collect();
        self.from = Some(from);
    }

    /// In a pipeline that changed: whose state each node takes over.
    pub const fn carried(&self) -> Option<&BTreeMap<NodeId, NodeId>> {
        self.from.as_ref()
    }

    fn of_node(&self, node: &NodeId) -> impl Iterator<Item = (&TaskPart, &NodePart)> {
        let node = match &self.from {
            Some(from) => from.get(node).cloned(),
            None => Some(node.clone()),
        };
        self.parts.iter().filter_map(move |(_, part)| {
            let node = node.as_ref()?;
            Some((part, part.nodes.iter().find(|it| it.node == *node)?))
        })
    }

    /// What all tasks of a node had counted.
    pub fn counts(&self, node: &NodeId) -> Counts {
        if let Some(counted) = &self.counted {
            return counted.get(node).copied().unwrap_or_default();
        }
        self.of_node(node).fold(Counts::default(), |sum, (_, part)| sum.plus(part.counts))
    }

    /// A source's partition. A task reads one source, so that its node tells which.
    pub fn partition(&self, node: &NodeId, name: &str) -> Option<&PartitionPart> {
        self.of_node(node).flat_map(|(part, _)| &part.partitions).find(|partition| partition.name == name)
    }

    /// The tasks with this node at their head as they were, the least watermark first.
    pub fn tasks(&self, head: &NodeId) -> Vec<FormerTask<'_>> {
        let parts = self.parts.iter().filter(|(task, _)| task.node == *head);
        let mut tasks: Vec<FormerTask<'_>> = parts.map(|(task, part)| FormerTask { number: task.task, part }).collect();
        tasks.sort_by_key(FormerTask::watermark);
        tasks
    }

    /// What the operators of a node had written.
    pub fn operator(&self, node: &NodeId) -> OperatorSnapshot<'_> {
        OperatorSnapshot { parts: self.of_node(node).collect(), apart: None }
    }
}

/// A task of the attempt that was.
#[derive(Debug)]
pub struct FormerTask<'a> {
    pub number: u32,
    part: &'a TaskPart,
}

impl<'a> FormerTask<'a> {
    /// The merged watermark of its inputs when it passed the barrier.
    pub fn watermark(&self) -> Timestamp {
        self.part.watermark.map_or(Timestamp::MIN, Timestamp)
    }

    /// Rows that were in flight to it, in the order in which they came: its input, and the rows.
    pub fn in_flight(&self) -> impl Iterator<Item = (u32, &'a [u8])> {
        let part = self.part;
        part.in_flight.iter().map(move |rows| (rows.input, part.rows(rows)))
    }
}

/// What all former tasks of an operator had written, or what it had put aside itself.
#[derive(Debug)]
pub struct OperatorSnapshot<'a> {
    parts: Vec<(&'a TaskPart, &'a NodePart)>,
    apart: Option<&'a Apart>,
}

impl<'a> OperatorSnapshot<'a> {
    /// What was put aside alone.
    pub const fn of(apart: &'a Apart) -> OperatorSnapshot<'a> {
        OperatorSnapshot { parts: Vec::new(), apart: Some(apart) }
    }

    /// The same, with what was put aside as if it stood in it.
    pub fn with<'b>(&'b self, apart: &'b Apart) -> OperatorSnapshot<'b> {
        OperatorSnapshot { parts: self.parts.clone(), apart: Some(apart) }
    }

    /// State that no key owns, of each former task. A task that wrote nothing gives an empty reader.
    pub fn shared(&self) -> impl Iterator<Item = Reader<'a>> {
        self.parts.iter().map(|(part, node)| part.shared(node)).chain(self.apart.into_iter().flat_map(Apart::shared))
    }

    /// The pieces of some key groups that lie in blocks, each with what its operator said of it.
    pub fn spilled(&self, groups: Range<u16>) -> impl Iterator<Item = StateResult<(u16, PiecePlace, Reader<'a>)>> {
        self.parts.iter().flat_map(move |(part, node)| part.spilled(node, groups.clone()))
    }

    /// The records of some key groups.
    pub fn keyed(&self, groups: Range<u16>) -> impl Iterator<Item = (u16, Reader<'a>)> {
        let apart = self.apart.into_iter().flat_map({
            let groups = groups.clone();
            move |apart| apart.keyed(groups.clone())
        });
        self.parts.iter().flat_map(move |(part, node)| part.keyed(node, groups.clone())).chain(apart)
    }
}
