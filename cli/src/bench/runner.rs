//! Runs pipelines on an embedded engine as a program that embeds it does: by a session, from a text.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use millrace_engine::cluster::{EngineClient, HostLimits, RunFiles};
use millrace_engine::wire::figures::RunState;
use millrace_engine::wire::message::{Deployment, JobId, RunOptions, StopMode};
use millrace_engine::{Engine, EngineOptions};

use super::checksum::Checksum;
use super::kinds::{Seen, Stage};
use super::process;

/// An engine with the bench's own kinds beside all others, and a folder to work in that goes with it.
pub struct Runner {
    engine: Engine,
    client: EngineClient,
    stage: Arc<Stage>,
    folder: Arc<Folder>,
    parallelism: u32,
    batch_rows: u32,
}

/// Goes with whoever has it last.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> anyhow::Result<Arc<Folder>> {
        let folder = std::env::temp_dir().join(format!("millrace-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        Ok(Arc::new(Folder(folder)))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left lies in the system's temporary folder.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// One run to its end.
pub struct Timing {
    pub elapsed: Duration,
    pub cpu_seconds: Option<f64>,
    pub checksum: Checksum,
}

impl Runner {
    pub fn new(stage: Arc<Stage>, parallelism: u32, max_jobs: usize) -> anyhow::Result<Runner> {
        Runner::with(Folder::new()?, stage, parallelism, max_jobs, None)
    }

    /// One whose state goes to disk beyond so many bytes.
    pub fn with_budget(stage: Arc<Stage>, parallelism: u32, budget: Option<u64>) -> anyhow::Result<Runner> {
        Runner::with(Folder::new()?, stage, parallelism, 1, budget)
    }

    /// Another engine in the place of this one, over the same folder.
    pub fn anew(self) -> anyhow::Result<Runner> {
        let Runner { engine, client, stage, folder, parallelism, .. } = self;
        drop((engine, client));
        Runner::with(folder, stage, parallelism, 1, None)
    }

    fn with(
        folder: Arc<Folder>,
        stage: Arc<Stage>,
        parallelism: u32,
        max_jobs: usize,
        state_memory: Option<u64>,
    ) -> anyhow::Result<Runner> {
        let mut connectors = millrace_connectors::all();
        connectors.extend(stage.entries());
        let limits = HostLimits { max_jobs, ..HostLimits::default() };
        let engine = Engine::new(EngineOptions { connectors, limits, state_memory, ..EngineOptions::default() })
            .context("the engine cannot start")?;
        let client = engine.session();
        let batch_rows = u32::try_from(stage.rows().batch_rows()).unwrap_or(u32::MAX);
        Ok(Runner { engine, client, stage, folder, parallelism, batch_rows })
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn client(&self) -> &EngineClient {
        &self.client
    }

    /// Starts a pipeline, and says who watches its sinks.
    pub async fn start(&self, text: &str) -> anyhow::Result<(JobId, Arc<Seen>)> {
        let seen = self.stage.begin();
        let files = Arc::new(self.engine.inspector().files(self.folder()).context("the bench's folder cannot be used")?);
        let options = RunOptions { parallelism: Some(self.parallelism), batch_rows: Some(self.batch_rows), ..RunOptions::default() };
        let deployment = Deployment { name: "bench.millrace.toml".to_owned(), text: text.to_owned(), env: Default::default(), options };
        let job = self.client.deploy(deployment, files, RunFiles::default()).await.context("the pipeline does not start")?;
        Ok((job, seen))
    }

    /// Runs a pipeline to its end.
    pub async fn run(&self, text: &str) -> anyhow::Result<Timing> {
        let (cpu, started) = (process::cpu_seconds(), Instant::now());
        let (job, seen) = self.start(text).await?;
        self.finish(job).await?;
        let elapsed = started.elapsed();
        let cpu_seconds = process::cpu_seconds().zip(cpu).map(|(after, before)| after - before);
        Ok(Timing { elapsed, cpu_seconds, checksum: seen.checksum() })
    }

    /// Takes a run away as a crash would: what it kept stays.
    pub async fn abort(&self, job: JobId) -> anyhow::Result<()> {
        self.client.stop(job, StopMode::Abort).await?;
        self.client.wait(job).await?;
        Ok(self.client.forget(job).await?)
    }

    /// Waits for a run's end; it must have gone well.
    pub async fn finish(&self, job: JobId) -> anyhow::Result<()> {
        let ended = self.client.wait(job).await?;
        self.client.forget(job).await?;
        match (ended.state, ended.cause) {
            (RunState::Finished, _) => Ok(()),
            (_, Some(cause)) => bail!("the run failed: {}", cause.diagnostic),
            (state, None) => bail!("the run ended as {state:?}"),
        }
    }
}
