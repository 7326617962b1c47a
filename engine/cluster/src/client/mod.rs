//! The asking side of a session: the same for an engine in this process and for one on a node.

mod inputs;
mod outputs;
mod view;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use millrace_model::{Diagnostic, Diagnostics, NodeId, PortRef, Schema};
use millrace_runtime::files::Files;
use millrace_runtime::share::{MemberOrder, MemberReport};
use millrace_state::store::Store;
use millrace_wire::change::{Changed, SavepointTaken, Scale, Upgraded};
use millrace_wire::cluster::{Balanced, Cluster, DrainLook, PageMark, TimelinePage};
use millrace_wire::codes;
use millrace_wire::message::{
    Certificate, ControlPeer, Deployment, EngineDescription, Event, JobId, ReplicaOpen, Reply, Request, RequestId, ShareId, SharedPlace,
    StopMode,
};
use tokio::runtime::Handle;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::contact::Contact;
use crate::data::{DataItem, DataQueue};
use crate::error::ClientError;
use crate::link::{Asked, ClientEnd, QueueEnd, WhyLost};
use crate::place;
use crate::seen::Traffic;
use crate::share::{Leading, LinkEdges, LinkStore, ServedStore};

pub use inputs::RunFiles;
use view::Shared;
pub use view::{Ended, FiguresSeen, JobView};

/// Events kept for a listener that is slow; after that it misses the oldest and is told how many.
const EVENTS_KEPT: usize = 1024;
/// Rows kept for a reader of [`EngineClient::next_data`] that is slow; the oldest go first, and are counted.
const ITEMS_KEPT: usize = 4096;
/// Reports of a member that wait for their reader.
const REPORTS: usize = 64;
const ITEM_BYTES_KEPT: usize = 64 << 20;

/// How long leaving may take.
const LEAVING: Duration = Duration::from_secs(1);

/// Whether engine and asking side see the same files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    /// The engine works in the asking side's folders.
    Shared,
    /// Inputs are sent, and outputs come back.
    Apart,
}

/// A session with an engine. Cheap to clone; the session ends, and its jobs are aborted, with the last clone.
#[derive(Clone)]
pub struct EngineClient {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    requests: mpsc::Sender<Asked>,
    data_out: QueueEnd,
    /// What comes passes here; it is taken elsewhere.
    data_in: Arc<DataQueue>,
    /// Whether the engine knows what a cluster is; unset until it was asked.
    knows_clusters: OnceLock<bool>,
    next_request: AtomicU64,
    disk: Disk,
    why_lost: WhyLost,
}

impl EngineClient {
    /// Takes one end of a link whose other end is served. Runs on the caller's tokio runtime.
    pub fn new(end: ClientEnd, disk: Disk) -> EngineClient {
        let ClientEnd { requests, answers, data_out, data_in, why_lost, standing } = end;
        let shared = Arc::new(Shared {
            pending: Mutex::default(),
            jobs: Mutex::default(),
            shares: Mutex::default(),
            replicas: Mutex::default(),
            events: broadcast::Sender::new(EVENTS_KEPT),
            data: Arc::new(DataQueue::new(ITEMS_KEPT, ITEM_BYTES_KEPT)),
            standing,
        });
        tokio::spawn(view::take_answers(shared.clone(), answers, why_lost.clone()));
        let coming = data_in.0.clone();
        tokio::spawn(view::take_data(shared.clone(), data_in));
        let (next_request, knows_clusters) = (AtomicU64::new(1), OnceLock::new());
        EngineClient {
            inner: Arc::new(Inner { shared, requests, data_out, data_in: coming, knows_clusters, next_request, disk, why_lost }),
        }
    }

    async fn ask(&self, request: Request, files: Option<Arc<Files>>) -> Result<Reply, ClientError> {
        let inner = &self.inner;
        let id = RequestId(inner.next_request.fetch_add(1, Ordering::Relaxed));
        let (sender, reply) = oneshot::channel();
        inner.shared.pending().insert(id, sender);
        let pending = Pending { shared: &inner.shared, id };
        // Asked after the reply was made room for: contact lost in between is seen by one of the two.
        let lost = inner.shared.standing.contact().is_lost();
        if lost || inner.requests.send(Asked { id, request, files }).await.is_err() {
            return Err(self.lost());
        }
        let reply = reply.await;
        drop(pending);
        match reply {
            Ok(Reply::Failed { diagnostic }) => Err(ClientError::failed(diagnostic)),
            Ok(Reply::Rejected { diagnostics }) => Err(ClientError::Rejected { diagnostics: Diagnostics { items: diagnostics } }),
            Ok(reply) => Ok(reply),
            Err(_) => Err(self.lost()),
        }
    }

    fn lost(&self) -> ClientError {
        ClientError::ContactLost { why: self.inner.why_lost.why().unwrap_or_else(|| "the engine ended the session".to_owned()) }
    }

    pub(crate) async fn done(&self, request: Request) -> Result<(), ClientError> {
        match self.ask(request, None).await? {
            Reply::Done => Ok(()),
            _ => Err(ClientError::UnexpectedReply),
        }
    }

    pub async fn describe(&self) -> Result<EngineDescription, ClientError> {
        match self.ask(Request::Describe, None).await? {
            Reply::Description(description) => Ok(description),
            _ => Err(ClientError::UnexpectedReply),
        }
    }

    /// A look at the cluster that the engine leads, with the fault timeline if it has changed since that revision. None: the engine is of the
    /// release before, and knows none.
    pub async fn cluster(&self, known: u64) -> Result<Option<Cluster>, ClientError> {
        let knows = match self.inner.knows_clusters.get() {
            Some(knows) => *knows,
            None => {
                let knows = self.describe().await?.health.is_some();
                *self.inner.knows_clusters.get_or_init(|| knows)
            }
        };
        if !knows {
            return Ok(None);
        }
        match self.ask(Request::Cluster { known }, None).await? {
            Reply::Cluster { cluster } => Ok(Some(*cluster)),
            _ => Err(ClientError::UnexpectedReply),
        }
    }

    /// Offers the engine a node for its runs. Gives the nodes of the control group that the engine is of, as it knows them.
    pub(crate) async fn enlist(&self, address: String, token: String, slots: u32, drains: bool) -> Result<Vec<ControlPeer>, ClientError> {
        match self.ask(Request::Enlist { address, token, slots, drains, learns: true }, None).await? {
            Reply::Enlisted { control } => Ok(control),
            // A leader of the release before tells of nobody.
            Reply::Done => Ok(Vec::new()),
            _ => Err(ClientError::UnexpectedReply),
        }
    }

    /// Has a node be emptied, or take part again: the one that is asked, or another that it knows. None looks how far that has come.
    ///
    /// # Errors
    /// If it cannot be, or the engine is of the release before, which would end the session at such a request.
    pub async fn drain(&self, node: Option<&str>, drains: Option<bool>) -> Result<DrainLook, ClientError> {
        self.moves("and cannot be drained", "stop it: what it ran is begun again from its newest epoch; and install this release").await?;
        match self.ask(Request::Drain { node: node.map(str::to_owned), drains }, None).await? {
            Reply::Drain { look } => Ok(look),
            _ => Err(ClientError::UnexpectedReply),
        }
    }

    /// Has the runs that would be spread better over the nodes that are there now be spread anew. Returns once their rows flow again.
    ///
    /// # Errors
    /// If the engine is of the release before, which would end the session at such a request.
    pub async fn balance(&self) -> Result<Vec<Balanced>, ClientError> {
        self.moves("and moves no run", "install the same release on both").await?;
        match self.ask(Request::Balance, None).await? {
            Reply::Balanced { runs } => Ok(runs),
            _ => Err(ClientError::UnexpectedReply),
        }
    }

    async fn moves(&self, but: &str, help: &'static str) -> Result<(), ClientError> {
        if self.describe().await?.drain.is_some() {
            return Ok(());
        }
        let old = Diagnostic::error(codes::VERSION, format!("the node is of an earlier release, {but}"));
        Err(ClientError::failed(old.help(help)))
    }

    /// Asks a node of a control group what only another node asks.
    pub async fn consensus(&self, question: serde_json::Value) -> Result<serde_json::Value, ClientError> {
        match self.ask(Request::Consensus { question }, None).await? {
            Reply::Consensus { told } => Ok(told),
            _ => Err(ClientError::UnexpectedReply),
        }
    }

    /// How long a question and its answer take.
    pub async fn ping(&self) -> Result<Duration, ClientError> {
        let asked = Instant::now();
        match self.ask(Request::Ping { sent_us: 0 }, None).await? {
            Reply::Pong { .. } => Ok(asked.elapsed()),
            _ => Err(ClientError::UnexpectedReply),
        }
    }

    /// Runs a pipeline. `files` are the folders it may use here; an engine elsewhere is sent `run_files.inputs`, and what comes back
    /// is put in place if it is among `run_files.outputs`.
    ///
    /// A project below a folder that the engine shares with this process is run where it lies, and no file travels.
    pub async fn deploy(&self, mut deployment: Deployment, files: Arc<Files>, run_files: RunFiles) -> Result<JobId, ClientError> {
        let staged = match self.inner.disk {
            Disk::Shared => inputs::Announced::default(),
            Disk::Apart => {
                deployment.options.place = self.place(&files).await?;
                match deployment.options.place {
                    Some(_) => inputs::stays_here(&run_files).map(|()| inputs::Announced::default()),
                    None => inputs::announce(&files, &run_files).await,
                }
                .map_err(ClientError::failed)?
            }
        };
        let request = Request::Stage { deployment, folder: staged.folder.clone(), inputs: staged.inputs.clone() };
        let Reply::Staged { job, wanted } = self.ask(request, Some(files.clone())).await? else {
            return Err(ClientError::UnexpectedReply);
        };
        self.inner.shared.add_job(job, outputs::Outputs::new(job, files.clone(), staged.outputs));
        let started = self.send_and_start(job, &staged.inputs, &wanted, &files).await;
        if started.is_err() {
            // The engine keeps nothing of a job that did not begin; it may be out of reach, too.
            let forget = self.clone();
            tokio::spawn(async move { forget.forget(job).await });
        }
        started.map(|()| job)
    }

    async fn send_and_start(
        &self,
        job: JobId,
        announced: &[millrace_wire::message::InputFile],
        wanted: &[String],
        files: &Arc<Files>,
    ) -> Result<(), ClientError> {
        // Only what was announced: a node is not to ask for others.
        for input in announced.iter().filter(|input| wanted.contains(&input.path)) {
            if !inputs::send(&self.inner.data_out.0, files, job, input).await.map_err(ClientError::failed)? {
                return Err(self.lost());
            }
        }
        match self.ask(Request::Start { job }, None).await? {
            Reply::Started { .. } => Ok(()),
            _ => Err(ClientError::UnexpectedReply),
        }
    }

    /// Where a project lies in a folder that the engine shares with this process, if it does.
    async fn place(&self, files: &Arc<Files>) -> Result<Option<SharedPlace>, ClientError> {
        let shared = self.describe().await?.shared;
        if !shared.iter().any(|folder| files.root().starts_with(folder)) {
            return Ok(None);
        }
        let files = files.clone();
        let placed = tokio::task::spawn_blocking(move || place::of_project(&files)).await;
        placed.map_err(|_| ClientError::UnexpectedReply)?.map(Some).map_err(ClientError::failed)
    }

    /// Has the control group that the engine is of keep a pipeline running, in a folder that its nodes share with this process, under a name, or that of
    /// its file. Gives the name; the run begins right after, at the node that is asked.
    pub async fn keep_running(
        &self,
        mut deployment: Deployment,
        files: Arc<Files>,
        run_files: &RunFiles,
        name: Option<String>,
    ) -> Result<String, ClientError> {
        self.knows_groups().await?;
        inputs::stays_here(run_files).map_err(ClientError::failed)?;
        let Some(place) = self.place(&files).await? else {
            let message = format!("the node does not share the project's folder, {}", files.root().display());
            let found = Diagnostic::error(codes::OTHER_FOLDER, message);
            return Err(ClientError::failed(
                found.help("start each node of the control group with --shared DIR, a folder that all see under one path"),
            ));
        };
        deployment.options.place = Some(SharedPlace { deployment: name, ..place });
        match self.ask(Request::Deploy { deployment }, None).await? {
            Reply::Deployed { deployment } => Ok(deployment),
            _ => Err(ClientError::UnexpectedReply),
        }
    }

    /// Ends a deployment of the control group, and has its state forgotten.
    pub async fn remove_deployment(&self, deployment: &str) -> Result<(), ClientError> {
        self.knows_groups().await?;
        self.done(Request::Remove { deployment: deployment.to_owned() }).await
    }

    /// Has the node make a join token that lets one in as a role, once, for so long. Whoever asks is an administrator, here and in what follows.
    pub async fn invite(&self, role: &str, life: Duration) -> Result<String, ClientError> {
        self.knows_admissions().await?;
        match self.ask(Request::Invite { role: role.to_owned(), life_s: life.as_secs() }, None).await? {
            Reply::Invited { token } => Ok(token.0),
            _ => Err(ClientError::UnexpectedReply),
        }
    }

    /// Takes all certificates of a name back.
    pub async fn revoke(&self, name: &str) -> Result<(), ClientError> {
        self.knows_admissions().await?;
        self.done(Request::Revoke { name: name.to_owned() }).await
    }

    /// All who have, or had, a certificate.
    pub async fn certificates(&self) -> Result<Vec<Certificate>, ClientError> {
        self.knows_admissions().await?;
        match self.ask(Request::Certificates, None).await? {
            Reply::Certificates { certificates } => Ok(certificates),
            _ => Err(ClientError::UnexpectedReply),
        }
    }

    /// What a node of a control group has seen and heard of others, as far as it is newer than what is known; and the time that its clock tells. None
    /// of a node of the release before.
    pub(crate) async fn timeline(&self, known: BTreeMap<String, PageMark>) -> Result<Option<(i64, Vec<TimelinePage>)>, ClientError> {
        if !self.describe().await?.admits {
            return Ok(None);
        }
        match self.ask(Request::Timeline { known }, None).await? {
            Reply::Timeline { at_us, pages } => Ok(Some((at_us, pages))),
            _ => Err(ClientError::UnexpectedReply),
        }
    }

    /// Has the control group do without a node that is gone for good.
    pub async fn expel(&self, node: &str) -> Result<(), ClientError> {
        self.knows_admissions().await?;
        self.done(Request::Expel { node: node.to_owned() }).await
    }

    /// # Errors
    /// If the engine is of the release before, which would end the session at such a request.
    async fn knows_admissions(&self) -> Result<(), ClientError> {
        if self.describe().await?.admits {
            return Ok(());
        }
        let old = Diagnostic::error(codes::VERSION, "the node is of an earlier release, and is asked where its data lies");
        Err(ClientError::failed(old.help("install the same release on both, or name its folder: --data DIR")))
    }

    /// # Errors
    /// If the engine is of no control group: one of the release before would end the session at such a request.
    async fn knows_groups(&self) -> Result<(), ClientError> {
        if self.describe().await?.control {
            return Ok(());
        }
        let alone = Diagnostic::error(codes::NO_CONTROL, "the node is of no control group, which alone keeps pipelines running");
        Err(ClientError::failed(alone.help("start it with --control")))
    }

    /// Opens what the node holds of a deployment's state: its store, until it is closed by [`EngineClient::close_replica`].
    pub(crate) async fn replica(&self, deployment: &str, open: ReplicaOpen) -> Result<(ShareId, Arc<LinkStore>), ClientError> {
        let inner = &self.inner;
        // Shares of members are numbered from one on; these do not meet them.
        let share = ShareId(inner.next_request.fetch_add(1, Ordering::Relaxed) | 1 << 63);
        let store = LinkStore::checked(share, inner.data_out.0.clone(), Handle::current());
        inner.shared.replicas().insert(share, store.clone());
        match self.done(Request::Replica { share, deployment: deployment.to_owned(), open }).await {
            Ok(()) => Ok((share, store)),
            Err(error) => {
                inner.shared.replicas().remove(&share);
                Err(error)
            }
        }
    }

    /// Ends what was opened; who is out of reach ends it by itself.
    pub(crate) fn close_replica(&self, share: ShareId) {
        self.inner.shared.replicas().remove(&share);
        let client = self.clone();
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { client.done(Request::Dismiss { share }).await });
        }
    }

    /// Asks a run to stop; [`EngineClient::wait`] tells when it has.
    pub async fn stop(&self, job: JobId, mode: StopMode) -> Result<(), ClientError> {
        self.done(Request::Stop { job, mode }).await
    }

    /// Fails a run's tasks as a crash would; its notices tell what comes of it.
    pub async fn kill(&self, job: JobId) -> Result<(), ClientError> {
        self.done(Request::Kill { job }).await
    }

    /// Has a run, of whatever session, go on in other numbers of tasks. Returns once its rows flow again.
    pub async fn scale(&self, job: JobId, scale: Scale) -> Result<Changed, ClientError> {
        self.knows_changes().await?;
        match self.ask(Request::Scale { job, scale }, None).await? {
            Reply::Changed { change } => Ok(change),
            _ => Err(ClientError::UnexpectedReply),
        }
    }

    /// Keeps the state of a run, of whatever session, under a name.
    pub async fn savepoint(&self, job: JobId, name: &str) -> Result<SavepointTaken, ClientError> {
        self.knows_changes().await?;
        match self.ask(Request::Savepoint { job, name: name.to_owned() }, None).await? {
            Reply::Savepoint { savepoint } => Ok(savepoint),
            _ => Err(ClientError::UnexpectedReply),
        }
    }

    /// Has a run, of whatever session, go on as another pipeline. Returns once its rows flow again; with `looks_only`, what it would keep.
    pub async fn upgrade(&self, job: JobId, deployment: Deployment, looks_only: bool) -> Result<Upgraded, ClientError> {
        self.knows_changes().await?;
        match self.ask(Request::Upgrade { job, deployment, looks_only }, None).await? {
            Reply::Upgraded { upgraded } => Ok(upgraded),
            _ => Err(ClientError::UnexpectedReply),
        }
    }

    /// Takes the newest upgrade of a run back. `allow_rewind`: also what sinks have shown since.
    pub async fn roll_back(&self, job: JobId, allow_rewind: bool) -> Result<Changed, ClientError> {
        self.knows_changes().await?;
        match self.ask(Request::RollBack { job, allow_rewind }, None).await? {
            Reply::Changed { change } => Ok(change),
            _ => Err(ClientError::UnexpectedReply),
        }
    }

    /// # Errors
    /// If the engine is of the release before, which would end the session at such a request.
    async fn knows_changes(&self) -> Result<(), ClientError> {
        if self.describe().await?.changes {
            return Ok(());
        }
        let old = Diagnostic::error(codes::VERSION, "the node is of an earlier release, and changes no run that is under way");
        Err(ClientError::failed(old.help("install the same release on both")))
    }

    /// Has figures sent this often, to be read with [`EngineClient::view`]; zero ends it.
    pub async fn watch_figures(&self, job: JobId, every: Duration) -> Result<(), ClientError> {
        let every_ms = u32::try_from(every.as_millis()).unwrap_or(u32::MAX);
        self.done(Request::WatchFigures { job, every_ms }).await
    }

    /// Samples an edge: rows come by [`EngineClient::next_data`].
    pub async fn tap(&self, job: JobId, from: PortRef, to: NodeId, on: bool, max_rows: u32) -> Result<(), ClientError> {
        self.done(Request::Tap { job, from, to, on, max_rows }).await
    }

    /// Has a dashboard's rows sent, those it holds first: they come by [`EngineClient::next_data`].
    pub async fn watch_results(&self, job: JobId, node: NodeId, on: bool) -> Result<(), ClientError> {
        self.done(Request::WatchResults { job, node, on }).await
    }

    /// Has the engine take part in a run that is led here: the reports and edges of its share. `store` is where the run's state lies, with the
    /// folder that the engine may reach there.
    pub async fn take_part(
        &self,
        share: ShareId,
        deployment: Deployment,
        columns: BTreeMap<NodeId, Schema>,
        start: serde_json::Value,
        store: Option<(Arc<dyn Store>, String)>,
    ) -> Result<(mpsc::Receiver<MemberReport>, Arc<LinkEdges>), ClientError> {
        let out = &self.inner.data_out.0;
        let edges = LinkEdges::new(share, out.clone());
        let (reports, reported) = mpsc::channel(REPORTS);
        let store = store.map(|(store, within)| ServedStore::new(share, store, within, out.clone()));
        self.inner.shared.shares().insert(share, Leading { edges: edges.clone(), store, reports: Some(reports) });
        match self.done(Request::TakePart { share, deployment, columns, start }).await {
            Ok(()) => Ok((reported, edges)),
            Err(error) => {
                self.inner.shared.shares().remove(&share);
                Err(error)
            }
        }
    }

    /// Tells a member something.
    pub async fn order(&self, share: ShareId, order: &MemberOrder) -> Result<(), ClientError> {
        let order = serde_json::to_value(order).map_err(|_| ClientError::UnexpectedReply)?;
        self.done(Request::Order { share, order }).await
    }

    /// Ends a share, whatever its member does.
    pub async fn dismiss(&self, share: ShareId) {
        self.inner.shared.shares().remove(&share);
        // A member out of reach ends by itself.
        let _ = self.done(Request::Dismiss { share }).await;
    }

    /// Ends a job's life on the engine and here. It must be over.
    pub async fn forget(&self, job: JobId) -> Result<(), ClientError> {
        let forgotten = self.done(Request::Forget { job }).await;
        if forgotten.is_ok() {
            self.inner.shared.jobs().remove(&job);
        }
        forgotten
    }

    /// Follows a job: its state, newest figures, and end. None for a job that this session did not deploy.
    pub fn view(&self, job: JobId) -> Option<watch::Receiver<JobView>> {
        self.inner.shared.jobs().get(&job).map(|entry| entry.view.subscribe())
    }

    /// Waits for a job's end: its outputs are in place then.
    pub async fn wait(&self, job: JobId) -> Result<Ended, ClientError> {
        let mut view = self.view(job).ok_or(ClientError::UnexpectedReply)?;
        loop {
            if let Some(ended) = &view.borrow_and_update().ended {
                return Ok((**ended).clone());
            }
            let mut contact = self.contact();
            tokio::select! {
                biased;
                changed = view.changed() => if changed.is_err() { return Err(self.lost()) },
                _ = contact.wait_for(Contact::is_lost) => return Err(self.lost()),
            }
        }
    }

    /// Events of all this session's jobs from now on, figures aside. A listener that is too slow misses the oldest; a job's end is
    /// never missed by [`EngineClient::wait`].
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.inner.shared.events.subscribe()
    }

    /// The next rows of a dashboard or a tap; none once the session is over. Meant for one reader.
    pub async fn next_data(&self) -> Option<DataItem> {
        self.inner.shared.data.take().await
    }

    /// Whether the engine is in reach.
    pub fn contact(&self) -> watch::Receiver<Contact> {
        self.inner.shared.standing.follow()
    }

    /// What has passed on the data side, in bytes.
    pub fn traffic(&self) -> Traffic {
        Traffic { sent_bytes: self.inner.data_out.0.passed_bytes(), received_bytes: self.inner.data_in.passed_bytes() }
    }

    /// How many connections of this session were dropped and made again.
    pub fn resumes(&self) -> u64 {
        self.inner.shared.standing.resumes()
    }

    /// Leaves the session, and waits for a moment until the engine knows: a process that ends right after the last clone was dropped looks to a
    /// node like a dropped connection, for which it waits.
    pub async fn leave(self) {
        let mut contact = self.contact();
        drop(self);
        let _ = tokio::time::timeout(LEAVING, contact.wait_for(Contact::is_lost)).await;
    }

    pub fn disk(&self) -> Disk {
        self.inner.disk
    }
}

/// Gives up the wait for a reply, however the asking ends.
struct Pending<'a> {
    shared: &'a Shared,
    id: RequestId,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.shared.pending().remove(&self.id);
    }
}

type PendingReplies = BTreeMap<RequestId, oneshot::Sender<Reply>>;

impl Shared {
    fn pending(&self) -> MutexGuard<'_, PendingReplies> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
