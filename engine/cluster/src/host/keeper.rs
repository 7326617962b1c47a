//! Deployments that the control group keeps running: begun here when the log says that this node leads them, and handed on when a node is gone.
//!
//! A run of a deployment is a job like another, of a session that this process has with itself; so it is listed, stopped and changed like another. What
//! is to be done is in the log alone: a node that starts again reads there what it led.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace_control::ControlGroup;
use millrace_control::control::{Answer, Command, Deployment as Agreed, Desired, Generation, Place, Reach, Source, next_steps};
use millrace_model::{Diagnostic, Diagnostics};
use millrace_runtime::files::Files;
use millrace_wire::cluster::happenings::{DEPLOYMENT_WAITS, TAKEN_OVER};
use millrace_wire::codes;
use millrace_wire::figures::RunState;
use millrace_wire::message::{Deployment, JobId, Reply, RunOptions, SharedPlace, StopMode};
use tokio::time::{sleep, timeout};

use super::handing::Handing;
use super::{EngineHost, Shared};
use crate::client::{Disk, EngineClient, RunFiles};
use crate::control::{ControlNode, Led, Peer, RunLedger, code};
use crate::error::ClientError;
use crate::link::link;
use crate::place;
use crate::replica::is_name;
use crate::share::Crew;

/// From one look at the log to the next.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How soon a run that could not begin is begun again, if it still is this node's.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// How long a node that could not lead a run is not asked again.
const FORGIVEN_AFTER: Duration = Duration::from_secs(15);

/// How often what is due has to be seen before it is done: a run that somebody is just beginning is nobody's for a moment.
const DUE_LOOKS: u32 = 3;

/// How long a deployment is gone from the log before what is held of it goes: a node that has just started may be behind.
const GONE_FOR: Duration = Duration::from_secs(60);

/// How long a look at a shared folder may take.
const LOOKED_WITHIN: Duration = Duration::from_secs(10);

/// How long a run that is to end may take to do so in order.
const DRAINING: Duration = Duration::from_secs(30);

/// The node's control group.
pub fn control(host: &Shared) -> Result<&ControlNode, Diagnostic> {
    host.options.crew.control().ok_or_else(|| {
        let refused = Diagnostic::error(codes::NO_CONTROL, "this node is of no control group");
        refused.help("start it with --control, or ask another")
    })
}

/// The files of a project that this node shares with whoever asks.
///
/// # Errors
/// If it is not there, or if that cannot be told: a look at a folder whose server is gone may never end.
pub async fn files_at(host: &Shared, place: &SharedPlace) -> Result<Arc<Files>, Diagnostic> {
    let (place, shared, root) = (place.clone(), host.options.description.shared.clone(), place.root.clone());
    let looking = async {
        // One that never ends keeps its thread: there are only so many.
        let look = host.looks.clone().acquire_owned().await;
        let opening = tokio::task::spawn_blocking(move || {
            let _look = look;
            place::files_at(&place, &shared)
        });
        opening.await.map_err(|panic| Diagnostic::error(codes::BUG, panic.to_string()))?.map(Arc::new)
    };
    timeout(LOOKED_WITHIN, looking).await.unwrap_or_else(|_| {
        let message = format!("the folder {root} does not answer within {} s on this node", LOOKED_WITHIN.as_secs());
        Err(Diagnostic::error(codes::OTHER_FOLDER, message).help("see that what it is mounted from is there"))
    })
}

/// What a deployment is called that has no name given: as its file, without what follows the name.
pub fn name_of(file: &str) -> String {
    let name = Path::new(file).file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let stem = name.strip_suffix(".millrace.toml").or_else(|| name.strip_suffix(".toml")).unwrap_or(&name);
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || "-_.".contains(letter) { letter } else { '-' };
    let stem: String = stem.trim_start_matches('.').chars().map(plain).take(millrace_wire::message::MAX_DEPLOYMENT_NAME).collect();
    if stem.is_empty() { "pipeline".to_owned() } else { stem }
}

/// A deployment as the log holds it. `replicas` of it are to be, 0 where its state lies where all reach it.
fn source_of(deployment: &Deployment, place: &SharedPlace, replicas: u32) -> Source {
    // Whoever takes it over goes on from where it is, and in its own generation.
    let options =
        RunOptions { fresh: false, from: None, allow_rewind: false, overrides: Vec::new(), place: None, ..deployment.options.clone() };
    Source {
        text: deployment.text.clone(),
        parameters: deployment.options.overrides.iter().cloned().collect(),
        place: Some(Place {
            root: place.root.clone(),
            folder: place.folder.clone(),
            mark: place.mark.clone(),
            file: deployment.name.clone(),
            env: deployment.env.clone(),
            options: serde_json::to_string(&options).unwrap_or_default(),
            replicas,
        }),
    }
}

/// The same back, to be begun in a generation.
fn deployment_of(name: &str, source: &Source, generation: Generation) -> Option<Deployment> {
    let place = source.place.as_ref()?;
    let mut options: RunOptions = serde_json::from_str(&place.options).unwrap_or_default();
    options.overrides = source.parameters.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let (root, folder, mark) = (place.root.clone(), place.folder.clone(), place.mark.clone());
    options.place = Some(SharedPlace { root, folder, mark, deployment: Some(name.to_owned()), handed: Some(generation.0) });
    Some(Deployment { name: place.file.clone(), text: source.text.clone(), env: place.env.clone(), options })
}

/// Has this node lead a run in a shared folder, which the group keeps running from then on: since somebody wants it, or since it was handed to this node.
/// Gives its name too.
///
/// # Errors
/// If it runs elsewhere, or was handed to another node meanwhile.
pub async fn lead_in_place(
    control: &ControlNode,
    deployment: &Deployment,
    place: &SharedPlace,
    replicas: u32,
) -> Result<(RunLedger, String), Diagnostic> {
    let name = place.deployment.clone().unwrap_or_else(|| name_of(&deployment.name));
    check_name(&name)?;
    let source = source_of(deployment, place, replicas);
    let options = &deployment.options;
    let led = match place.handed {
        Some(generation) => Led::Handed { generation },
        None => {
            let known = control.group().read(|agreed| agreed.deployments().get(&name).cloned());
            check(&name, known.as_ref(), &source)?;
            // A savepoint may lie before the newest epoch, and lose nothing that sinks have shown.
            Led::Anew { may_rewind: options.allow_rewind || options.from.is_some(), fresh: options.fresh }
        }
    };
    let ledger = RunLedger::keep(control, name.clone(), source, led).await?;
    Ok((ledger, name))
}

/// Enters a deployment that somebody wants, and hands it to this node.
pub async fn deploy(host: &Shared, deployment: Deployment) -> Result<Reply, Diagnostic> {
    let control = control(host)?;
    host.takes_runs()?;
    let Some(place) = deployment.options.place.clone() else {
        return Err(refused("it says no folder that it runs in", "deploy it from a folder that the node shares"));
    };
    files_at(host, &place).await?;
    let name = place.deployment.clone().unwrap_or_else(|| name_of(&deployment.name));
    check_name(&name)?;
    let known = control.group().read(|agreed| agreed.deployments().get(&name).cloned());
    // How many replicas there are to be shows when it is read: until then as many as there were, none in a bucket.
    let before = known.as_ref().and_then(|known| known.source.place.as_ref()).map(|place| place.replicas);
    let source = source_of(&deployment, &place, before.unwrap_or(2));
    check(&name, known.as_ref(), &source)?;
    let was_stopped = known.as_ref().is_some_and(|known| known.desired == Desired::Stopped);
    let generation = known.map_or(Generation(0), |known| known.generation);
    let write = async |command: Command| match control.group().write(command).await {
        Ok(Answer::Done { generation } | Answer::Already { generation }) => Ok(generation),
        Ok(other) => {
            Err(refused(&format!("the control group does not take {name}: {other:?}"), "see `millrace deployments`, and try again"))
        }
        Err(error) => Err(Diagnostic::error(code(&error), error.to_string())),
    };
    let generation = write(Command::Deploy { name: name.clone(), generation, source }).await?;
    let why = "it was deployed".to_owned();
    let generation = write(Command::Hand { name: name.clone(), generation, to: control.name().to_owned(), why }).await?;
    if was_stopped {
        // Last, so that whoever led it before does not take it for what it is to go on with.
        write(Command::Desire { name: name.clone(), generation, desired: Desired::Running }).await?;
    }
    Ok(Reply::Deployed { deployment: name })
}

fn check_name(name: &str) -> Result<(), Diagnostic> {
    if is_name(name) {
        return Ok(());
    }
    Err(refused(&format!("`{name}` is no name of a deployment"), "write letters, digits, `-` and `_`, 64 at most: --name NAME"))
}

/// Whether somebody may begin a deployment, or change it, by its name.
fn check(name: &str, known: Option<&Agreed>, source: &Source) -> Result<(), Diagnostic> {
    let Some(known) = known else { return Ok(()) };
    let of = |source: &Source| source.place.as_ref().map(|place| (place.root.clone(), place.mark.clone()));
    if of(&known.source) != of(source) {
        let folder = known.source.place.as_ref().map_or("another folder", |place| place.folder.as_str());
        return Err(refused(
            &format!("the control group has a deployment {name} of another project, in {folder}"),
            "give this one a name of its own: millrace deploy FILE --name NAME; or give that one up: millrace remove NAME",
        ));
    }
    match known.owner().filter(|_| known.desired == Desired::Running) {
        Some(owner) => Err(refused(
            &format!("{name} runs already, on {owner}"),
            "see `millrace deployments`; to change it: millrace upgrade RUN FILE, on that node; to end it: millrace remove NAME",
        )),
        None => Ok(()),
    }
}

fn refused(message: &str, help: &'static str) -> Diagnostic {
    Diagnostic::error(codes::DEPLOYMENT, message.to_owned()).help(help)
}

/// Takes a deployment out of the log: whoever leads it ends it then, and all forget what they hold of it.
pub async fn remove(host: &Shared, name: &str) -> Result<Reply, Diagnostic> {
    let control = control(host)?;
    loop {
        let known = control.group().read(|agreed| agreed.deployments().get(name).map(|known| known.generation));
        let Some(generation) = known else {
            return Err(refused(&format!("there is no deployment {name}"), "see which there are: millrace deployments"));
        };
        match control.group().write(Command::Remove { name: name.to_owned(), generation }).await {
            Ok(Answer::Done { .. } | Answer::Already { .. } | Answer::Unknown) => return Ok(Reply::Done),
            // It changed meanwhile.
            Ok(Answer::Stale { .. }) => sleep(LOOK_EVERY).await,
            Ok(other) => return Err(refused(&format!("{name} is not removed: {other:?}"), "try again")),
            Err(error) => return Err(Diagnostic::error(code(&error), error.to_string())),
        }
    }
}

/// Keeps deployments running for as long as this is polled: those that the log says are this node's, and, while it leads the group, those whose nodes are
/// gone. Never returns, if the node is of no group.
pub async fn keep_deployments(host: &EngineHost) {
    let Some(control) = host.shared.options.crew.control().cloned() else { return std::future::pending().await };
    let (host, runs, gone) = (host.clone(), BTreeMap::new(), BTreeMap::new());
    let mut keeper = Keeper { host, control, runs, watch: Watch::default(), handing: Handing::default(), gone };
    loop {
        sleep(LOOK_EVERY).await;
        keeper.hand_on().await;
        keeper.handing.step(&keeper.host.shared, &keeper.control).await;
        keeper.begin().await;
        keeper.end();
        keeper.sweep().await;
    }
}

struct Keeper {
    host: EngineHost,
    control: ControlNode,
    /// What this node runs for the group, by deployment.
    runs: BTreeMap<String, Kept>,
    watch: Watch,
    /// What goes to others while this node drains.
    handing: Handing,
    /// Since when deployments that something is held of are not in the log.
    gone: BTreeMap<String, Instant>,
}

/// A run that this node leads for the group.
struct Kept {
    generation: Generation,
    running: tokio::task::JoinHandle<()>,
    ends: tokio::sync::watch::Sender<Option<StopMode>>,
}

/// What whoever leads the group has seen of the others.
#[derive(Default)]
struct Watch {
    /// Since when this node leads.
    since: Option<Instant>,
    /// What was due at the last look, and how often that has been so.
    due: BTreeMap<String, (Command, u32)>,
    /// When a node was first seen to have declined, by deployment and node.
    declined: BTreeMap<(String, String), Instant>,
}

/// Who is in reach, at one look.
struct Now<'a> {
    control: &'a ControlNode,
    crew: &'a Crew,
    /// Read before: the agreed state is held while it is looked at.
    peers: Vec<Peer>,
    since: Instant,
    declined: &'a BTreeMap<(String, String), Instant>,
}

impl Reach for Now<'_> {
    fn is_gone(&self, node: &str) -> Option<String> {
        if node == self.control.name() {
            return None;
        }
        let Some(peer) = self.peers.iter().find(|peer| peer.name == node) else { return Some("it is of the group no more".to_owned()) };
        // Before this node led, it asked nobody.
        let heard = self.control.ways().heard(&peer.address).map_or(self.since, |heard| heard.max(self.since));
        let silent = heard.elapsed();
        (silent > self.control.takeover_after()).then(|| format!("nothing was heard of it for {} s", silent.as_secs()))
    }

    fn is_forgiven(&self, deployment: &str, node: &str) -> bool {
        let at = self.declined.get(&(deployment.to_owned(), node.to_owned()));
        at.is_some_and(|at| at.elapsed() > FORGIVEN_AFTER)
    }

    fn is_spared(&self, node: &str) -> Option<String> {
        let address = |peer: &&Peer| peer.name == node;
        let drains = if node == self.control.name() {
            self.crew.drains().is_on()
        } else {
            self.peers.iter().find(address).is_some_and(|peer| self.crew.is_draining(&peer.address))
        };
        drains.then(|| "it is being drained".to_owned())
    }
}

impl Keeper {
    fn group(&self) -> &ControlGroup {
        self.control.group()
    }

    /// While this node leads the group: hands the runs of nodes that are gone to others.
    async fn hand_on(&mut self) {
        let look = self.group().look();
        if !look.leads() || look.has_majority == Some(false) {
            self.watch = Watch::default();
            return;
        }
        let since = *self.watch.since.get_or_insert_with(Instant::now);
        let declined: Vec<(String, String)> = self.group().read(|agreed| {
            let of = |(name, known): (&str, &Agreed)| known.declined.keys().map(|node| (name.to_owned(), node.clone())).collect::<Vec<_>>();
            agreed.deployments().iter().flat_map(of).collect()
        });
        self.watch.declined.retain(|key, _| declined.contains(key));
        declined.into_iter().for_each(|key| {
            self.watch.declined.entry(key).or_insert_with(Instant::now);
        });
        let (crew, peers) = (self.host.shared.options.crew.as_ref(), self.control.peers());
        let now = Now { control: &self.control, crew, peers, since, declined: &self.watch.declined };
        let due = self.group().read(|agreed| next_steps(agreed, &now));
        let before = std::mem::take(&mut self.watch.due);
        for command in due {
            let name = name_in(&command).to_owned();
            let looks = before.get(&name).filter(|(then, _)| is_same_step(then, &command)).map_or(1, |(_, looks)| looks + 1);
            if looks < DUE_LOOKS {
                self.watch.due.insert(name, (command, looks));
                continue;
            }
            self.tell(&command);
            match self.group().write(command).await {
                Ok(answer) if answer.is_done() => {}
                Ok(answer) => tracing::debug!(?answer, name, "a deployment was not handed on"),
                Err(error) => tracing::warn!(%error, name, "a deployment cannot be handed on"),
            }
        }
    }

    fn tell(&self, command: &Command) {
        let seen = self.host.shared.crew_seen();
        match command {
            Command::Hand { name, to, why, .. } => seen.told(TAKEN_OVER, to, &format!("is to lead {name}: {why}")),
            Command::Wait { name, why, .. } => seen.told(DEPLOYMENT_WAITS, name, &format!("{name} waits: {why}")),
            _ => {}
        }
    }

    /// Begins what the log says is this node's to lead, and does not run here.
    async fn begin(&mut self) {
        self.runs.retain(|_, kept| !kept.running.is_finished());
        let look = self.group().look();
        // A node that has just started does not know yet what became of its runs.
        if self.control.leaves() || look.leader.is_none() || look.has_majority == Some(false) {
            return;
        }
        let is_mine = |known: &Agreed| {
            let led = known.led.as_ref().filter(|_| known.handed.is_none());
            let is_to = known.handed.as_ref().is_some_and(|handed| handed.to == self.control.name());
            // Also one that waits for this node: nobody else could lead it while it was gone.
            known.desired == Desired::Running && (is_to || led.is_some_and(|led| led.by.node == self.control.name()))
        };
        let mine: Vec<(String, Generation, Source)> = self.group().read(|agreed| {
            let mine = agreed.deployments().iter().filter(|(_, known)| known.source.place.is_some() && is_mine(known));
            mine.map(|(name, known)| (name.to_owned(), known.generation, known.source.clone())).collect()
        });
        for (name, generation, source) in mine {
            if self.runs.contains_key(&name) || self.control.leading().is_led(&name) {
                continue;
            }
            if self.host.shared.options.crew.drains().is_on() {
                decline(&self.control, &name, generation, "it is being drained".to_owned()).await;
                continue;
            }
            let Some(deployment) = deployment_of(&name, &source, generation) else { continue };
            let (ends, ended) = tokio::sync::watch::channel(None);
            let (host, control, of) = (self.host.clone(), self.control.clone(), name.clone());
            let running = tokio::spawn(async move { run(&host, &control, &of, generation, deployment, ended).await });
            self.runs.insert(name, Kept { generation, running, ends });
        }
    }

    /// Ends what runs here and is not to any more: it was stopped or removed, or another node leads it.
    fn end(&self) {
        for (name, kept) in &self.runs {
            let mode = self.group().read(|agreed| match agreed.deployments().get(name) {
                None => Some(StopMode::Abort),
                Some(known) if known.desired == Desired::Stopped => Some(StopMode::Drain),
                Some(known) if known.generation >= kept.generation && known.owner() != Some(self.control.name()) => Some(StopMode::Abort),
                // It comes back to this node, to be begun again: what runs here was given up.
                Some(known) if known.generation > kept.generation && known.handed.is_some() => Some(StopMode::Abort),
                Some(_) => None,
            });
            if let Some(mode) = mode {
                kept.ends.send_if_modified(|before| before.replace(mode) != Some(mode));
            }
        }
    }

    /// Forgets what is held of deployments that are no more.
    async fn sweep(&mut self) {
        if self.group().look().leader.is_none() {
            self.gone.clear();
            return;
        }
        let held = self.control.replicas().names();
        let is_known = |name: &String| self.group().read(|agreed| agreed.deployments().get(name).is_some());
        let missing: Vec<String> = held.into_iter().filter(|name| !is_known(name) && !self.control.leading().is_led(name)).collect();
        self.gone.retain(|name, _| missing.contains(name));
        for name in missing {
            let since = *self.gone.entry(name.clone()).or_insert_with(Instant::now);
            if since.elapsed() < GONE_FOR {
                continue;
            }
            let (replicas, of) = (self.control.replicas().clone(), name.clone());
            if let Ok(Err(error)) = tokio::task::spawn_blocking(move || replicas.forget(&of)).await {
                tracing::warn!(%error, name, "the replica of a deployment that is no more cannot be removed");
            }
            self.gone.remove(&name);
        }
    }
}

fn name_in(command: &Command) -> &str {
    match command {
        Command::Hand { name, .. } | Command::Wait { name, .. } => name,
        _ => "",
    }
}

/// Whether two commands are of one kind and generation: reasons tell how long somebody has been silent, and change.
fn is_same_step(a: &Command, b: &Command) -> bool {
    match (a, b) {
        (Command::Hand { generation: a, to: x, .. }, Command::Hand { generation: b, to: y, .. }) => a == b && x == y,
        (Command::Wait { generation: a, .. }, Command::Wait { generation: b, .. }) => a == b,
        _ => false,
    }
}

/// Sees a deployment's run through, in a session of this process with itself. What keeps it from beginning is entered.
async fn run(
    host: &EngineHost,
    control: &ControlNode,
    name: &str,
    generation: Generation,
    deployment: Deployment,
    mut ends: tokio::sync::watch::Receiver<Option<StopMode>>,
) {
    let (client, end) = link();
    let serving = host.clone();
    tokio::spawn(async move { serving.serve(end).await });
    let client = EngineClient::new(client, Disk::Shared);
    let job = match begun(host, &client, deployment).await {
        Ok(job) => job,
        Err(why) => {
            decline(control, name, generation, why).await;
            // This node may be behind the log, and not know yet that it is not to.
            return sleep(AGAIN_AFTER).await;
        }
    };
    tracing::info!(name, job = job.0, "a deployment runs on this node");
    let mut drains = false;
    loop {
        tokio::select! {
            ended = client.wait(job) => {
                tell_end(name, ended.map(|ended| (ended.state, ended.cause.map(|cause| cause.diagnostic.message))));
                break;
            }
            Ok(()) = ends.changed() => {
                let mode = *ends.borrow_and_update();
                drains = mode == Some(StopMode::Drain);
                if let Some(mode) = mode {
                    // It has ended if that cannot be asked for.
                    let _ = client.stop(job, mode).await;
                }
            }
            () = sleep(DRAINING), if drains => {
                drains = false;
                let _ = client.stop(job, StopMode::Abort).await;
            }
        }
    }
    let _ = client.forget(job).await;
}

fn tell_end(name: &str, ended: Result<(RunState, Option<String>), ClientError>) {
    match ended {
        Ok((RunState::Failed, why)) => tracing::warn!(name, why, "a deployment's run has failed on this node"),
        Ok((state, _)) => tracing::info!(name, ?state, "a deployment's run is over on this node"),
        Err(error) => tracing::warn!(name, %error, "a deployment's run was lost"),
    }
}

async fn begun(host: &EngineHost, client: &EngineClient, deployment: Deployment) -> Result<JobId, String> {
    let place = deployment.options.place.clone().unwrap_or_default();
    let files = files_at(&host.shared, &place).await.map_err(|found| found.message)?;
    client.deploy(deployment, files, RunFiles::default()).await.map_err(|error| match error {
        ClientError::Rejected { diagnostics } => first_of(&diagnostics),
        other => other.to_string(),
    })
}

fn first_of(found: &Diagnostics) -> String {
    let first = found.items.iter().find(|finding| finding.is_error());
    first.map_or_else(|| "it is not valid".to_owned(), |first| first.message.clone())
}

/// Enters that this node cannot lead a run, if it is to: then another is asked.
async fn decline(control: &ControlNode, name: &str, generation: Generation, why: String) {
    tracing::warn!(name, why, "a deployment cannot be led by this node");
    // It may have been claimed already: then that is the generation to give back.
    let newest = control
        .group()
        .read(|agreed| agreed.deployments().get(name).filter(|known| known.owner() == Some(control.name())).map(|it| it.generation));
    let Some(generation) = newest.filter(|newest| *newest <= generation.next()) else { return };
    let command = Command::Decline { name: name.to_owned(), generation, node: control.name().to_owned(), why };
    match control.group().write(command).await {
        Ok(answer) => tracing::debug!(?answer, name, "what keeps this node from leading a deployment"),
        Err(error) => tracing::warn!(%error, name, "what keeps this node from leading a deployment cannot be entered"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_is_called_as_its_file() {
        let named = ["a/departures.millrace.toml", "x.toml", ".hidden", "ä b.millrace.toml", ""].map(name_of);
        assert_eq!(named, ["departures", "x", "hidden", "--b", "pipeline"].map(str::to_owned));
        assert!(named.iter().all(|name| is_name(name)));
    }

    #[test]
    fn what_the_log_holds_of_a_deployment_begins_it_again_in_a_generation() {
        let place = SharedPlace { root: "/mnt/x".into(), folder: "/mnt/x/y".into(), mark: "m".into(), deployment: None, handed: None };
        let overrides = vec![("a.b".to_owned(), "1".to_owned())];
        let options = RunOptions { parallelism: Some(3), fresh: true, replay: true, overrides: overrides.clone(), ..RunOptions::default() };
        let deployment =
            Deployment { name: "p.millrace.toml".into(), text: "t".into(), env: BTreeMap::from([("K".into(), "v".into())]), options };
        let again = deployment_of("p", &source_of(&deployment, &place, 2), Generation(7)).unwrap();
        assert_eq!((again.name.as_str(), again.text.as_str(), &again.env), ("p.millrace.toml", "t", &deployment.env));
        let options = again.options;
        assert_eq!((options.parallelism, options.fresh, options.replay, options.overrides), (Some(3), false, true, overrides));
        assert_eq!(options.place, Some(SharedPlace { deployment: Some("p".into()), handed: Some(7), ..place }));
    }
}
