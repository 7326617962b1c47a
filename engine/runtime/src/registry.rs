//! The kinds that an engine can run.

use std::collections::BTreeMap;
use std::sync::Arc;

use millrace_model::Catalog;
use millrace_plan::Kind;

use crate::connector::{SinkFactory, SourceFactory};
use crate::operator::OperatorFactory;

/// One kind, by what it is.
#[derive(Clone)]
pub enum Entry {
    Source(Arc<dyn SourceFactory>),
    Operator(Arc<dyn OperatorFactory>),
    Sink(Arc<dyn SinkFactory>),
}

impl Entry {
    pub fn kind(&self) -> &dyn Kind {
        match self {
            Entry::Source(factory) => factory.as_ref(),
            Entry::Operator(factory) => factory.as_ref(),
            Entry::Sink(factory) => factory.as_ref(),
        }
    }
}

/// All kinds, by name. The engine brings its operators; the program that embeds it adds connectors.
#[derive(Clone, Default)]
pub struct Registry {
    entries: BTreeMap<String, Entry>,
}

impl Registry {
    pub fn with(mut self, entries: impl IntoIterator<Item = Entry>) -> Self {
        for entry in entries {
            let name = entry.kind().info().name.to_owned();
            self.entries.insert(name, entry);
        }
        self
    }

    pub fn get(&self, kind: &str) -> Option<&Entry> {
        self.entries.get(kind)
    }

    pub fn catalog(&self) -> Catalog {
        Catalog::new(self.entries.values().map(|entry| entry.kind().info().clone()))
    }
}
