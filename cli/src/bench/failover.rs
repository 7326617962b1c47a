//! How soon a run goes on when a node that takes part in it is gone: real processes, `kill -9`.
//!
//! A leader and three members run a pipeline of which all that is keyed is with the members. The rows that fill its state come as fast as they
//! can; then rows come a thousand a second, by the clock, and are shown. A member is killed, and the next row that the run shows is waited for; after
//! an epoch, and with another member in its place, the next one. A silent partition is a member that is stopped: its machine answers, it does not.

use std::collections::VecDeque;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use millrace_engine::cluster::{DataPayload, EngineClient, RunFiles, connect};
use millrace_engine::model::{NodeId, field};
use millrace_engine::runtime::files::Files;
use millrace_engine::wire::figures::{EpochOutcome, JobFigures};
use millrace_engine::wire::message::{Deployment, Event, JobId, RunOptions};
use polars::prelude::ChunkAgg;
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::broadcast;

use super::Setting;
use super::process;
use super::runner::Folder;

const MEMBERS: usize = 3;
/// What a key takes of the state, about.
pub const BYTES_PER_KEY: u64 = 80;
/// Of so many losses more one is of a member that is stopped instead of killed: it takes as long as a leader waits.
const KILLS_FOR_A_SILENT_ONE: usize = 6;
/// The number of the first event of those that come by the clock; those that fill the state are below.
const FIRST_SHOWN: u64 = 10_000_000_000;
/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(20);

/// What becomes of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    Killed,
    Silent,
}

/// From the loss of a member to the next row.
#[derive(Debug, Clone, Serialize)]
pub struct Times {
    pub losses: usize,
    /// Until the run showed a row again. It may be one that was shown before: rows since the last epoch come again.
    pub p50_ms: f64,
    pub p95_ms: f64,
    pub max_ms: f64,
    /// Until the run showed a row that it had not shown before. Rows since the last epoch come first, by the clock as before.
    pub new_row_p50_ms: f64,
    pub new_row_p95_ms: f64,
}

/// How soon a run goes on.
#[derive(Debug, Clone, Serialize)]
pub struct Failover {
    pub name: &'static str,
    pub members: usize,
    pub state_bytes: u64,
    /// Of the newest epoch, on disk.
    pub epoch_bytes: u64,
    pub checkpoint_every: String,
    pub killed: Times,
    /// None if too few were killed for one of these.
    pub silent: Option<Times>,
    /// Of the machine, for a minute, before the first and after the last.
    pub load: [Option<f64>; 2],
}

/// A node as a process, killed when it is dropped.
struct Process {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
    address: String,
    token: String,
}

impl Process {
    /// `folder`: what a node that is killed leaves behind is there.
    async fn start(folder: &Path, arguments: &[&str]) -> anyhow::Result<Process> {
        let mut command = Command::new(std::env::current_exe().context("this program cannot be found")?);
        command.args(["node", "--listen", "127.0.0.1:0"]).args(arguments).env_remove("MILLRACE_TOKEN").env("TMPDIR", folder);
        // What nodes say of the loss of others is what is meant to happen.
        command.env("RUST_LOG", "off").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().context("a node cannot be started")?;
        let said = BufReader::new(child.stdout.take().context("a node says nothing")?).lines();
        let mut process = Process { child, said, address: String::new(), token: String::new() };
        process.address = process.says("listening ").await?;
        process.token = process.says("token ").await?;
        Ok(process)
    }

    async fn member(folder: &Path, leader: &Process) -> anyhow::Result<Process> {
        let mut member = Process::start(folder, &["--join", &leader.address, "--token", &leader.token, "--slots", "1"]).await?;
        member.says("joined ").await?;
        Ok(member)
    }

    /// The rest of the next line, which begins so.
    async fn says(&mut self, beginning: &str) -> anyhow::Result<String> {
        let line = tokio::time::timeout(PATIENCE, self.said.next_line()).await.context("a node says nothing")??;
        let line = line.context("a node has ended")?;
        line.strip_prefix(beginning).map(str::to_owned).with_context(|| format!("a node says `{line}`"))
    }

    async fn lose(&mut self, loss: Loss) -> anyhow::Result<()> {
        if loss == Loss::Killed {
            return Ok(self.child.start_kill()?);
        }
        let id = self.child.id().context("a node has ended")?;
        let stopped = Command::new("kill").args(["-STOP", &id.to_string()]).status().await?;
        if stopped.success() { Ok(()) } else { bail!("a node cannot be stopped") }
    }
}

pub fn pipeline(keys: u64, every: field::Duration) -> String {
    // Of fifty events 46 are bids.
    let events = keys * 50 / 46;
    format!(
        "millrace = 1\n\n[pipeline]\nname = \"bench failover\"\ncheckpoint_every = \"{every}\"\n\n\
         [node.keys]\nkind = \"nexmark\"\nstream = \"bid\"\nevents = {events}\n\n\
         [node.live]\nkind = \"nexmark\"\nstream = \"bid\"\nfirst_event = {FIRST_SHOWN}\nrate = \"1000/s\"\npartitions = 1\n\
         replay = {{ speed = \"1x\" }}\n\n\
         [node.all]\nkind = \"union\"\ninput = [\"keys\", \"live\"]\n\n\
         [node.work]\nkind = \"aggregate\"\ninput = \"all\"\nby = [\"event_number\"]\n\
         aggregate = {{ n = \"count(*)\", most = \"max(price)\" }}\n\n\
         [node.news]\nkind = \"filter\"\ninput = \"work\"\nwhere = \"event_number >= {FIRST_SHOWN}\"\n\n\
         [node.shown]\nkind = \"dashboard\"\ninput = \"news\"\nplot = {{ x = \"event_number\", y = \"most\" }}\n"
    )
}

/// A run whose members are lost one after the other.
pub struct Run {
    pub client: EngineClient,
    pub job: JobId,
    /// The greatest number that was shown.
    pub newest: i64,
}

/// What came of a loss.
struct Recovered {
    first_row: Duration,
    new_row: Duration,
}

impl Run {
    pub async fn start(client: EngineClient, text: String, folder: &Path, parallelism: u32) -> anyhow::Result<Run> {
        let files = Arc::new(Files::for_folder(folder, &[]).context("the bench's folder cannot be used")?);
        let options = RunOptions { parallelism: Some(parallelism), replay: true, ..RunOptions::default() };
        let deployment = Deployment { name: "bench.millrace.toml".to_owned(), text, env: Default::default(), options };
        let job = client.deploy(deployment, files, RunFiles::default()).await.context("the pipeline does not start")?;
        client.watch_figures(job, LOOK).await?;
        client.watch_results(job, NodeId::new("shown"), true).await?;
        Ok(Run { client, job, newest: 0 })
    }

    /// Waits until the figures are as they should be. Rows that are shown meanwhile are taken.
    pub async fn until<T>(&mut self, what: &str, is_there: impl Fn(&JobFigures) -> Option<T>) -> anyhow::Result<T> {
        let mut view = self.client.view(self.job).context("the run is not known")?;
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let now = view.borrow_and_update().clone();
            if let Some(found) = now.figures.as_ref().and_then(|seen| is_there(&seen.figures)) {
                return Ok(found);
            }
            if let Some(ended) = now.ended {
                let cause = ended.cause.as_ref().map_or_else(String::new, |cause| format!(": {}", cause.diagnostic));
                bail!("the run ended before {what}{cause}");
            }
            tokio::select! {
                changed = view.changed() => changed.context("the leader is gone")?,
                shown = shown(&self.client) => self.newest = self.newest.max(shown?),
                () = tokio::time::sleep_until(deadline) => bail!("after {} s, not yet: {what}", PATIENCE.as_secs()),
            }
        }
    }

    /// Waits for an epoch that began after this was asked.
    pub async fn epoch(&mut self) -> anyhow::Result<u64> {
        let newest = |figures: &JobFigures| figures.epochs.last().map_or(0, |epoch| epoch.epoch);
        let now = self.until("figures", |figures| Some(newest(figures))).await?;
        let complete = |figures: &JobFigures| {
            let mut later = figures.epochs.iter().filter(|epoch| epoch.epoch > now && epoch.outcome == EpochOutcome::Complete);
            later.next_back().map(|epoch| epoch.bytes)
        };
        self.until("an epoch was complete", complete).await
    }

    /// Lets some time go by. Rows that are shown meanwhile are taken.
    pub async fn rest(&mut self, time: Duration) -> anyhow::Result<()> {
        let until = tokio::time::Instant::now() + time;
        loop {
            tokio::select! {
                shown = shown(&self.client) => self.newest = self.newest.max(shown?),
                () = tokio::time::sleep_until(until) => return Ok(()),
            }
        }
    }

    /// Waits until the run says that all its tasks have begun again: what is shown from then on is of the next attempt, since all that came before
    /// was on its way for longer than the run waits between the two.
    async fn begins_again(&mut self, mut events: broadcast::Receiver<Event>) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Ok(Event::Notice { job, notice }) if job == self.job && notice.kind == "started" => return Ok(()),
                    Ok(Event::Ended { job, .. }) if job == self.job => bail!("the run ended"),
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => bail!("the leader is gone"),
                },
                shown = shown(&self.client) => self.newest = self.newest.max(shown?),
            }
        }
    }

    async fn recovers(&mut self, member: &mut Process, loss: Loss) -> anyhow::Result<Recovered> {
        let (events, lost) = (self.client.events(), Instant::now());
        member.lose(loss).await?;
        self.begins_again(events).await?;
        let (before, mut first_row) = (self.newest, None);
        loop {
            let shown = shown(&self.client).await?;
            let after = lost.elapsed();
            let first_row = *first_row.get_or_insert(after);
            if shown > before {
                self.newest = shown;
                return Ok(Recovered { first_row, new_row: after });
            }
        }
    }
}

/// The greatest number of the rows that are shown next. Dropping the future loses none.
pub async fn shown(client: &EngineClient) -> anyhow::Result<i64> {
    loop {
        let item = client.next_data().await.context("the leader is gone")?;
        let DataPayload::Rows(batch) = item.payload else { continue };
        if let Some(newest) = batch.frame().column("event_number")?.i64()?.max() {
            return Ok(newest);
        }
    }
}

/// Of sorted times, the least that such a part of them is no longer than.
pub fn part(times: &[f64], part: f64) -> f64 {
    let at = (times.len() as f64 * part).ceil() as usize;
    times.get(at.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

fn times(recovered: &[Recovered]) -> Times {
    let sorted = |of: fn(&Recovered) -> Duration| {
        let mut times: Vec<f64> = recovered.iter().map(|recovered| of(recovered).as_secs_f64() * 1e3).collect();
        times.sort_by(f64::total_cmp);
        times
    };
    let (first, new) = (sorted(|recovered| recovered.first_row), sorted(|recovered| recovered.new_row));
    Times {
        losses: recovered.len(),
        p50_ms: part(&first, 0.5),
        p95_ms: part(&first, 0.95),
        max_ms: part(&first, 1.0),
        new_row_p50_ms: part(&new, 0.5),
        new_row_p95_ms: part(&new, 0.95),
    }
}

/// Loses members, killed and silent ones, and times each.
pub async fn failover(setting: &Setting) -> anyhow::Result<Failover> {
    let (load_before, kills) = (process::load(), setting.repeat as usize);
    let every = setting.checkpoint_every.unwrap_or(field::Duration::from_secs(2));
    let period = Duration::from_micros(u64::try_from(every.micros).unwrap_or(0));
    let keys = (setting.state_bytes / BYTES_PER_KEY).max(1);
    let folder = Folder::new()?;
    let leader = Process::start(folder.path(), &[]).await?;
    let mut members = VecDeque::new();
    for _ in 0..MEMBERS {
        members.push_back(Process::member(folder.path(), &leader).await?);
    }
    let client = connect(&leader.address, &leader.token).await?;
    let mut run = Run::start(client, pipeline(keys, every), folder.path(), MEMBERS as u32).await?;
    let full =
        |figures: &JobFigures| figures.nodes.get(&NodeId::new("work")).filter(|work| work.state_rows >= keys).map(|work| work.state_bytes);
    let state_bytes = run.until("all keys had come", full).await?;
    let (mut killed, mut silent, mut epoch_bytes) = (Vec::new(), Vec::new(), 0);
    for n in 0..kills + kills / KILLS_FOR_A_SILENT_ONE {
        epoch_bytes = run.epoch().await?;
        // All tenths of the time between two epochs, in another order.
        run.rest(period * (n * 7 % 10) as u32 / 10).await?;
        // The one that takes part for longest does take part: one that came later may wait for the next restart.
        let mut member = members.pop_front().context("there are members")?;
        let loss = if n < kills { Loss::Killed } else { Loss::Silent };
        let recovered = tokio::time::timeout(PATIENCE, run.recovers(&mut member, loss)).await.context("the run does not go on")??;
        if loss == Loss::Killed {
            killed.push(recovered)
        } else {
            silent.push(recovered)
        }
        members.push_back(Process::member(folder.path(), &leader).await?);
    }
    Ok(Failover {
        name: "failover",
        members: MEMBERS,
        state_bytes,
        epoch_bytes,
        checkpoint_every: every.to_string(),
        killed: times(&killed),
        silent: (!silent.is_empty()).then(|| times(&silent)),
        load: [load_before, process::load()],
    })
}
