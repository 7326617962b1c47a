//! A look at a pipeline before it runs: its text checked, its sources asked, every node typed.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use millrace_cluster::RunFiles;
use millrace_model::field::OnPoison;
use millrace_model::file::{CheckOptions, Override, check};
use millrace_model::types::SchemaRef;
use millrace_model::{AutoscaleMode, Catalog, Diagnostic, Diagnostics, NodeId, Pipeline, PipelineSettings};
use millrace_plan::LogicalPlan;
use millrace_runtime::Batch;
use millrace_runtime::checkpoint::codes;
use millrace_runtime::clock::SystemClock;
use millrace_runtime::connector::ResultSink;
use millrace_runtime::data_runtime::DataRuntime;
use millrace_runtime::files::Files;
use millrace_runtime::guarantee::{Guarantee, guarantees};
use millrace_runtime::job::HostContext;
use millrace_runtime::prepare::{Typed, prepare_known, prepare_told};
use millrace_runtime::registry::{Entry, Registry};

use crate::clashes::clashes;
use crate::state_place::StatePlace;

/// The project's folder cannot be used.
pub const NO_FOLDER: &str = "MR0411";

/// Looks at pipelines. It knows the kinds, and the folders that pipelines may use.
pub struct Inspector {
    registry: Registry,
    catalog: Catalog,
    allowed: Vec<PathBuf>,
    data: DataRuntime,
}

/// What a look told. It may run if no finding is an error.
#[derive(Debug, Clone, Default)]
pub struct Inspection {
    /// There whenever the text is well-formed.
    pub pipeline: Option<Pipeline>,
    /// The nodes that could be typed.
    pub plan: LogicalPlan,
    /// The columns of the sources that could be asked.
    pub columns: BTreeMap<NodeId, SchemaRef>,
    /// Everything that is wrong, in the order of the text.
    pub diagnostics: Diagnostics,
    /// The environment's names that the text refers to.
    pub env_names: BTreeSet<String>,
    /// What a crash does to the rows between each source and each sink that they reach.
    pub guarantees: Vec<Guarantee>,
    /// What a run would read and write.
    pub run_files: RunFiles,
    /// The kinds it was looked at with.
    pub catalog: Catalog,
}

impl Inspection {
    /// The environment that the text refers to, as this process has it.
    pub fn environment(&self) -> BTreeMap<String, String> {
        self.env_names.iter().filter_map(|name| Some((name.clone(), std::env::var(name).ok()?))).collect()
    }
}

impl Inspector {
    pub fn new(registry: Registry, allowed: Vec<PathBuf>, data: DataRuntime) -> Inspector {
        Inspector { catalog: registry.catalog(), registry, allowed, data }
    }

    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The folders that a pipeline in `folder` may use.
    pub fn files(&self, folder: &Path) -> io::Result<Files> {
        Files::for_folder(folder, &self.allowed)
    }

    /// Looks at a text as a file of that name in that folder, with this process' environment.
    pub async fn inspect(&self, text: &str, name: Option<String>, folder: &Path, overrides: &[Override]) -> Inspection {
        self.inspect_with(text, name, folder, overrides, &|name| std::env::var(name).ok()).await
    }

    /// The same with another environment.
    pub async fn inspect_with(
        &self,
        text: &str,
        name: Option<String>,
        folder: &Path,
        overrides: &[Override],
        env: &(dyn Fn(&str) -> Option<String> + Sync),
    ) -> Inspection {
        match self.files(folder) {
            Ok(files) => self.inspect_within(text, name, Arc::new(files), overrides, env).await,
            Err(error) => {
                let finding = Diagnostic::error(NO_FOLDER, format!("the folder {} cannot be used: {error}", folder.display()));
                Inspection { diagnostics: Diagnostics { items: vec![finding] }, catalog: self.catalog.clone(), ..Inspection::default() }
            }
        }
    }

    /// The same within folders that are known: on a node, a run's own.
    pub async fn inspect_within(
        &self,
        text: &str,
        name: Option<String>,
        files: Arc<Files>,
        overrides: &[Override],
        env: &(dyn Fn(&str) -> Option<String> + Sync),
    ) -> Inspection {
        let checked = check(text, &CheckOptions { file: name.clone(), catalog: &self.catalog, env, overrides });
        let mut inspection = Inspection {
            diagnostics: checked.diagnostics,
            env_names: checked.env_names,
            catalog: self.catalog.clone(),
            ..Inspection::default()
        };
        let Some(pipeline) = checked.pipeline else { return inspection };
        let Typed { plan, columns, mut found } = prepare_known(&pipeline, &self.registry, &self.host(files.clone())).await;
        inspection.columns = columns;
        inspection.run_files = self.run_files(&pipeline, &files, &mut found);
        found.items.extend(StatePlace::of(&files, name.as_deref().unwrap_or_default(), pipeline.settings.state.as_deref()).err());
        found.items.extend(idle_settings(&pipeline.settings));
        found.items.extend(clashes(&pipeline, name.as_deref(), &self.registry, &files));
        // The checker has named what a field's own type forbids; binding stumbles over the same fields.
        let named: BTreeSet<NodeId> =
            inspection.diagnostics.items.iter().filter(|finding| finding.is_error()).filter_map(|finding| finding.node.clone()).collect();
        let is_news = |finding: &Diagnostic| finding.node.as_ref().is_none_or(|node| !named.contains(node)) || !finding.is_error();
        for mut finding in found.items.into_iter().filter(is_news) {
            finding.file = finding.file.or_else(|| name.clone());
            inspection.diagnostics.push(finding);
        }
        inspection.diagnostics.items.sort_by_key(|finding| finding.span.map_or(u32::MAX, |span| span.start));
        inspection.guarantees = guarantees(&plan, &self.registry, pipeline.settings.checkpoint_every.is_some());
        (inspection.pipeline, inspection.plan) = (Some(pipeline), plan);
        inspection
    }

    /// Types a pipeline that was looked at elsewhere, whose sources have these columns: nothing is read.
    ///
    /// # Errors
    /// All that is wrong with it, which here is a difference between two engines.
    pub fn told(
        &self,
        text: &str,
        name: &str,
        overrides: &[Override],
        env: &(dyn Fn(&str) -> Option<String> + Sync),
        columns: &BTreeMap<NodeId, SchemaRef>,
    ) -> Result<(Pipeline, LogicalPlan), Diagnostics> {
        let checked = check(text, &CheckOptions { file: Some(name.to_owned()), catalog: &self.catalog, env, overrides });
        let Some(pipeline) = checked.pipeline.filter(|_| !checked.diagnostics.has_errors()) else { return Err(checked.diagnostics) };
        let (plan, found) = prepare_told(&pipeline, &self.registry, columns);
        plan.map(|plan| (pipeline, plan)).ok_or(found)
    }

    fn host(&self, files: Arc<Files>) -> HostContext {
        HostContext {
            files,
            clock: Arc::new(SystemClock::default()),
            results: Arc::new(Nowhere),
            run: "inspection".to_owned(),
            data: self.data.clone(),
            team: None,
            state: None,
            ledger: None,
            herald: None,
        }
    }

    fn run_files(&self, pipeline: &Pipeline, files: &Files, found: &mut Diagnostics) -> RunFiles {
        let mut run_files = RunFiles::default();
        for node in &pipeline.nodes {
            match self.registry.get(&node.kind) {
                Some(Entry::Source(factory)) => {
                    if factory.stays_here() {
                        run_files.stay_here.push(node.id.clone());
                    }
                    match factory.input_paths(node, files) {
                        Ok(paths) => run_files.inputs.extend(paths),
                        // Asking for its columns told the same.
                        Err(finding) if found.items.iter().any(|other| other.node.as_ref() == Some(&node.id)) => drop(finding),
                        Err(finding) => found.push(finding),
                    }
                }
                Some(Entry::Sink(factory)) => {
                    run_files.outputs.extend(factory.output_paths(node));
                    if factory.stays_here() {
                        run_files.stay_here.push(node.id.clone());
                    }
                }
                Some(Entry::Operator(_)) | None => {}
            }
        }
        run_files
    }
}

/// Takes results of nothing: a look runs nothing.
pub struct Nowhere;

impl ResultSink for Nowhere {
    fn publish(&self, _: &NodeId, _: Batch) {}
}

/// Settings that do nothing beside the others. Nothing is wrong with them.
fn idle_settings(settings: &PipelineSettings) -> Vec<Diagnostic> {
    let idle = |field: &str, message: String, help: &str| {
        Diagnostic::warning(codes::IDLE_SETTING, message).field(format!("pipeline.{field}")).help(help)
    };
    if settings.checkpoint_every.is_some() {
        let both = settings.unaligned_after.is_some() && settings.on_poison == Some(OnPoison::Quarantine);
        let message = "`unaligned_after` does nothing where `on_poison` sets rows aside: barriers overtake none".to_owned();
        return both.then(|| idle("unaligned_after", message, "leave it out")).into_iter().collect();
    }
    let scales = settings.autoscale.as_ref().is_some_and(|said| said.mode == Some(AutoscaleMode::On));
    let given = [
        ("state", settings.state.is_some(), "says where checkpoints lie"),
        ("unaligned_after", settings.unaligned_after.is_some(), "says how long checkpoints wait"),
        ("on_poison", settings.on_poison.is_some(), "needs checkpoints to go back to"),
        ("autoscale.mode", scales, "needs checkpoints to change a run at"),
    ];
    given
        .into_iter()
        .filter(|(_, is_given, _)| *is_given)
        .map(|(field, _, what)| {
            idle(field, format!("`{field}` {what}, and this pipeline has none"), "set `checkpoint_every` under [pipeline]")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use millrace_model::field::Duration;

    use super::*;

    #[test]
    fn settings_that_do_nothing_beside_the_others_are_told() {
        let mut settings = PipelineSettings { state: Some("kept".to_owned()), on_poison: Some(OnPoison::Quarantine), ..Default::default() };
        let fields = |settings: &PipelineSettings| -> Vec<String> {
            idle_settings(settings).into_iter().filter_map(|finding| finding.field).collect()
        };
        assert_eq!(fields(&settings), ["pipeline.state", "pipeline.on_poison"]);
        settings.checkpoint_every = Some(Duration::from_secs(1));
        assert!(fields(&settings).is_empty());
        settings.unaligned_after = Some(Duration::from_secs(1));
        assert_eq!(fields(&settings), ["pipeline.unaligned_after"], "barriers overtake nothing where rows may be set aside");
    }
}
