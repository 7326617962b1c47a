//! One session: its requests in their order, its data beside them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use millrace_model::Diagnostic;
use millrace_runtime::files::Files;
use millrace_wire::codes;
use millrace_wire::message::{
    ControlPeer, DataHeader, Deployment, Event, InputFile, JobId, ReplicaOpen, Reply, Request, RequestId, ShareId,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};

use super::job::{Job, Place};
use super::noted::{Noted, noted};
use super::staging::Staging;
use super::{Caller, Shared, admissions, drain, keeper, moving};
use crate::control::{ControlNode, Peer};
use crate::data::{DataItem, DataPayload, DataQueue};
use crate::error::ClientError;
use crate::link::{Answer, Answers, Asked, HostEnd};
use crate::node::Token;
use crate::share::{Mark, ServedStore, Taking, Wanted, take};
use crate::socket::{Credential, Transport, connect_as};

/// Most often that figures are sent.
const MIN_FIGURES_INTERVAL: Duration = Duration::from_millis(10);

/// How long it is waited for what the log says of a deployment, and how often it is looked: whoever asks knows it already, and waits little longer.
const BEHIND: Duration = Duration::from_millis(1500);
const BEHIND_LOOK_EVERY: Duration = Duration::from_millis(20);

pub struct Session {
    pub host: Arc<Shared>,
    pub answers: Answers,
    pub data_out: Arc<DataQueue>,
    jobs: Mutex<BTreeMap<JobId, Arc<Job>>>,
    /// The parts that this node takes in runs that the asking side leads.
    shares: Mutex<BTreeMap<ShareId, Share>>,
    /// What the asking side has open of deployments' state that is held here.
    replicas: Mutex<BTreeMap<ShareId, Arc<ServedStore>>>,
    caller: Caller,
    /// What is under way that the audit log is told of once it is answered.
    noted: Mutex<BTreeMap<RequestId, Noted>>,
    /// What is under way for the control group.
    consensus: Arc<Semaphore>,
}

/// What a node says that offers to take part.
struct Wants<'a> {
    address: &'a str,
    token: &'a str,
    slots: u32,
    drains: bool,
    learns: bool,
}

/// One of them, and that the engine counts it.
type Share = (Taking, Arc<()>);

/// Shares that one leader may have at a node.
const MOST_SHARES: usize = 256;

/// Questions of the control group that one node has under way at another. Raft has few.
const MOST_CONSENSUS: usize = 64;

pub async fn serve(host: Arc<Shared>, mut end: HostEnd, caller: Caller) {
    let session = Arc::new(Session {
        host,
        answers: end.answers.clone(),
        data_out: end.data_out.0.clone(),
        jobs: Mutex::default(),
        shares: Mutex::default(),
        replicas: Mutex::default(),
        caller,
        noted: Mutex::default(),
        consensus: Arc::new(Semaphore::new(MOST_CONSENSUS)),
    });
    let data = tokio::spawn(take_data(session.clone(), end.data_in.0.clone()));
    while let Some(asked) = end.requests.recv().await {
        if let Err(refused) = session.admit(&asked) {
            session.reply(asked.id, Err(refused)).await;
            continue;
        }
        session.clone().handle(asked).await;
    }
    data.abort();
    session.shares().clear();
    session.replicas().clear();
    let jobs: Vec<Arc<Job>> = std::mem::take(&mut *session.jobs()).into_values().collect();
    for job in jobs {
        job.abandon();
    }
}

async fn take_data(session: Arc<Session>, queue: Arc<DataQueue>) {
    while let Some(DataItem { header, payload }) = queue.take().await {
        // Anything else comes from a peer that is confused; it harms nobody but itself.
        let (header, payload) = match (header, payload) {
            (header, DataPayload::Bytes(bytes)) if header.share().is_some() => {
                session.share_came(header, bytes);
                continue;
            }
            other => other,
        };
        if let (DataHeader::InputFile { job, path, offset, last }, DataPayload::Bytes(bytes)) = (header, payload)
            && let Some(staging) = session.job(job).and_then(|job| job.staging())
        {
            staging.part(&path, offset, last, bytes).await;
        }
    }
}

type Answered = Result<Reply, Diagnostic>;

fn no_job(id: JobId) -> Diagnostic {
    Diagnostic::error(codes::NO_JOB, format!("there is no job {}, or it is another session's", id.0))
}

impl Session {
    fn jobs(&self) -> MutexGuard<'_, BTreeMap<JobId, Arc<Job>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shares(&self) -> MutexGuard<'_, BTreeMap<ShareId, Share>> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replicas(&self) -> MutexGuard<'_, BTreeMap<ShareId, Arc<ServedStore>>> {
        self.replicas.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What came for a share that is over came too late.
    fn share_came(&self, header: DataHeader, bytes: Bytes) {
        let Some(share) = header.share() else { return };
        if let DataHeader::StoreCall { call, ask, last, .. } = header {
            let replica = self.replicas().get(&share).cloned();
            if replica.is_some_and(|replica| !replica.called(call, ask, &bytes, last)) {
                self.replicas().remove(&share);
            }
            return;
        }
        let mut shares = self.shares();
        if let Some((taking, _)) = shares.get(&share)
            && !taking.came(header, bytes)
        {
            shares.remove(&share);
        }
    }

    /// Whether the asking side may ask that. What it changes is noted either way.
    fn admit(&self, asked: &Asked) -> Result<(), Diagnostic> {
        if let Some(noted) = noted(&asked.request) {
            self.noted.lock().unwrap_or_else(PoisonError::into_inner).insert(asked.id, noted);
        }
        self.caller.check(&asked.request)
    }

    /// Calls the node back, unless it is in reach already: what it says of itself is true then. A node with a certificate has to show the same one where it says that it listens.
    async fn enlist(&self, wanted: Wants<'_>) -> Answered {
        let Wants { address, token, slots, drains, learns } = wanted;
        let refused = |error: &dyn std::fmt::Display| {
            Diagnostic::error(codes::NOT_NOW, format!("the node cannot be called back: {error}"))
                .help("see that its address can be reached from here")
        };
        let (mark, credential) = match (self.caller.guard(), self.caller.who()) {
            (Some(guard), Some(who)) => {
                let credential = Credential::Certificate { identity: guard.identity(), expected: Some(who.name.clone()) };
                (Mark::Name(who.name.clone()), credential)
            }
            _ => {
                // No node has another kind of token.
                let own = Token::parse(token).ok_or_else(|| refused(&ClientError::Refused { address: address.to_owned() }))?;
                (Mark::Token(own), Credential::Token(token.to_owned()))
            }
        };
        let crew = &self.host.options.crew;
        if !crew.has(address, &mark, slots) {
            let client = connect_as(address, &credential, Transport::default()).await.map_err(|error| refused(&error))?;
            let member = crew.enlist(address, mark, client, slots);
            tracing::info!(address, member = member.0, slots, "a node has enlisted");
            if crew.balances_by_itself() && !drains {
                tokio::spawn(moving::balance_soon(self.host.clone()));
            }
        }
        crew.tell_drains(address, drains);
        if drains {
            // Each time: what began there meanwhile is moved too.
            tokio::spawn(moving::move_off(self.host.clone()));
        }
        if !learns {
            return Ok(Reply::Done);
        }
        let known = |peer: Peer| ControlPeer { name: peer.name, address: peer.address };
        let control = crew.control().map(ControlNode::peers).unwrap_or_default();
        Ok(Reply::Enlisted { control: control.into_iter().map(known).collect() })
    }

    /// Answers a question of the control group, for as long as it holds a permit; as many are under way as may be where there is none.
    async fn consensus(&self, permit: Option<OwnedSemaphorePermit>, question: serde_json::Value) -> Answered {
        let Some(_held) = permit else {
            return Err(Diagnostic::error(codes::LIMIT, "the node has as many questions of the control group under way as it may"));
        };
        let control = self.host.options.crew.control().ok_or_else(|| {
            let refused = Diagnostic::error(codes::NO_CONTROL, "this node is of no control group");
            refused.help("start it with --control, or join another")
        })?;
        let told = control.answer(self.caller.who(), question).await?;
        Ok(Reply::Consensus { told })
    }

    fn dismiss(&self, share: ShareId) -> Reply {
        self.shares().remove(&share);
        self.replicas().remove(&share);
        Reply::Done
    }

    /// What is asked of the cluster's nodes, of the control group's deployments, and of who is let in.
    async fn of_cluster(&self, request: Request) -> Answered {
        match request {
            Request::Enlist { address, token, slots, drains, learns } => {
                self.enlist(Wants { address: &address, token: &token, slots, drains, learns }).await
            }
            Request::Balance => Ok(Reply::Balanced { runs: moving::balance(&self.host).await }),
            Request::Drain { node, drains } => drain::drain(&self.host, node.as_deref(), drains).await,
            Request::Replica { share, deployment, open } => self.open_replica(share, &deployment, open).await,
            Request::Deploy { deployment } => keeper::deploy(&self.host, deployment).await,
            Request::Remove { deployment } => keeper::remove(&self.host, &deployment).await,
            request => admissions::answer(&self.host, self.caller.guard(), request).await,
        }
    }

    /// Opens what this node holds of a deployment's state for another one.
    async fn open_replica(&self, share: ShareId, deployment: &str, open: ReplicaOpen) -> Answered {
        let refused = |why: String| Diagnostic::error(codes::DEPLOYMENT, format!("the state of {deployment} is not opened here: {why}"));
        let control = keeper::control(&self.host)?;
        if self.replicas().len() >= MOST_SHARES {
            return Err(Diagnostic::error(codes::LIMIT, "this session has as many replicas open as it may"));
        }
        if let ReplicaOpen::Write { generation } = open {
            self.may_write(control, deployment, generation).await.map_err(refused)?;
        }
        let (replicas, name) = (control.replicas().clone(), deployment.to_owned());
        let opening = tokio::task::spawn_blocking(move || match open {
            ReplicaOpen::Read => replicas.reader(&name),
            ReplicaOpen::Write { generation } => replicas.writer(&name, generation),
        });
        let opened = opening.await.map_err(|panic| Diagnostic::error(codes::BUG, panic.to_string()))?;
        let store = opened.map_err(|error| refused(error.to_string()))?;
        self.replicas().insert(share, ServedStore::of_replica(share, store, self.data_out.clone()));
        Ok(Reply::Done)
    }

    /// Sees that the log has whoever asks lead a deployment in a generation: it is written to by nobody else, and by none that the log has not.
    async fn may_write(&self, control: &ControlNode, deployment: &str, generation: u64) -> Result<(), String> {
        let asking = self.caller.who().map(|who| who.name.as_str().to_owned());
        let end = Instant::now() + BEHIND;
        loop {
            let known = control.group().read(|agreed| {
                let known = agreed.deployments().get(deployment)?;
                Some((known.generation.0, known.led.as_ref().map(|led| led.by.node.clone())))
            });
            return match known {
                Some((newest, _)) if newest > generation => Err(format!("generation {generation} leads it no more")),
                Some((newest, led)) if newest == generation => match (led, asking) {
                    (None, _) => Err(format!("nobody leads it in generation {generation}")),
                    // Where there are no certificates, nobody has a name.
                    (Some(_), None) => Ok(()),
                    (Some(by), Some(asking)) if by == asking => Ok(()),
                    (Some(by), Some(asking)) => Err(format!("{by} leads it in generation {generation}, and {asking} asks")),
                },
                // This node may be behind the group.
                _ if Instant::now() < end => {
                    sleep(BEHIND_LOOK_EVERY).await;
                    continue;
                }
                Some((newest, _)) => Err(format!("here generation {newest} is the newest that was heard of, and this is {generation}")),
                None => Err("the control group has no such deployment".to_owned()),
            };
        }
    }

    fn take_part(&self, wanted: Wanted) -> Answered {
        let mut shares = self.shares();
        let share = wanted.share;
        if shares.len() >= MOST_SHARES || shares.contains_key(&share) {
            return Err(Diagnostic::error(
                codes::TOO_MANY_JOBS,
                format!("this node takes part in {} runs of this session already", shares.len()),
            ));
        }
        let taking = take(&self.host.options.launcher, wanted, &self.answers, &self.data_out)?;
        shares.insert(share, (taking, self.host.share.clone()));
        Ok(Reply::Done)
    }

    fn job(&self, id: JobId) -> Option<Arc<Job>> {
        self.jobs().get(&id).cloned()
    }

    fn known(&self, id: JobId) -> Result<Arc<Job>, Diagnostic> {
        self.job(id).ok_or_else(|| no_job(id))
    }

    pub async fn event(&self, event: Event) -> bool {
        self.answers.send(Answer::Event(event)).await
    }

    async fn reply(&self, id: RequestId, answered: Answered) {
        self.answer(id, answered.unwrap_or_else(|diagnostic| Reply::Failed { diagnostic })).await;
    }

    pub async fn answer(&self, id: RequestId, reply: Reply) {
        let noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        if let Some(noted) = noted {
            noted.tell(&self.caller, &reply);
        }
        self.answers.send(Answer::Reply { id, reply }).await;
    }

    /// Answers at once what takes no time; the rest goes beside, so that a stop never waits behind a start.
    async fn handle(self: Arc<Self>, asked: Asked) {
        let Asked { id, request, files } = asked;
        let answered = match request {
            Request::Describe => Ok(Reply::Description(self.host.describe())),
            Request::Cluster { known } => Ok(Reply::Cluster { cluster: Box::new(self.host.cluster(known)) }),
            Request::Timeline { known } => self.host.pages(&known),
            Request::Ping { sent_us } => Ok(Reply::Pong { sent_us }),
            Request::Consensus { question } => {
                let session = self.clone();
                let permit = self.consensus.clone().try_acquire_owned();
                return self.beside(id, async move { session.consensus(permit.ok(), question).await });
            }
            Request::TakePart { share, deployment, columns, start } => self.take_part(Wanted { share, deployment, columns, start }),
            Request::Order { share, order } => match self.shares().get(&share) {
                Some((taking, _)) => taking.order(order).map(|()| Reply::Done),
                // It was through before it heard.
                None => Ok(Reply::Done),
            },
            request @ (Request::Enlist { .. }
            | Request::Drain { .. }
            | Request::Balance
            | Request::Replica { .. }
            | Request::Deploy { .. }
            | Request::Remove { .. }
            | Request::Invite { .. }
            | Request::Revoke { .. }
            | Request::Certificates
            | Request::Expel { .. }) => {
                let session = self.clone();
                return self.beside(id, async move { session.of_cluster(request).await });
            }
            Request::Dismiss { share } => Ok(self.dismiss(share)),
            Request::Stage { deployment, folder, inputs } => self.stage(deployment, files, &folder, &inputs).await,
            Request::Start { job } => match self.known(job).and_then(|job| job.claim().map(|()| job)) {
                Ok(job) => {
                    tokio::spawn(super::job::run(self.clone(), job, id));
                    return;
                }
                Err(diagnostic) => Err(diagnostic),
            },
            Request::Stop { job, mode } => self.host.job(job).ok_or_else(|| no_job(job)).map(|job| {
                job.stop(mode);
                Reply::Done
            }),
            Request::Scale { job, .. } | Request::Savepoint { job, .. } | Request::Upgrade { job, .. } | Request::RollBack { job, .. } => {
                match self.host.job(job) {
                    Some(job) => return self.beside(id, async move { change(&job, request).await }),
                    None => Err(no_job(job)),
                }
            }
            Request::Kill { job } => self.known(job).and_then(|job| job.kill()),
            Request::WatchFigures { job, every_ms } => self.known(job).and_then(|job| {
                let every = Duration::from_millis(u64::from(every_ms));
                let every = (every_ms > 0).then_some(every.max(MIN_FIGURES_INTERVAL));
                job.watch_figures(&self.answers, every)
            }),
            Request::Tap { job, from, to, on, max_rows } => self.known(job).and_then(|job| job.tap(&from, &to, on, max_rows)),
            Request::WatchResults { job, node, on } => self.known(job).map(|job| {
                job.results.watch(&node, &self.data_out, on);
                Reply::Done
            }),
            Request::Forget { job } => self.known(job).and_then(|job| {
                job.forget()?;
                self.jobs().remove(&job.id);
                self.host.unlist(job.id);
                Ok(Reply::Done)
            }),
        };
        self.reply(id, answered).await;
    }

    /// Answers once it is known, and takes other requests meanwhile.
    fn beside(self: Arc<Self>, id: RequestId, answered: impl Future<Output = Answered> + Send + 'static) {
        tokio::spawn(async move {
            let answered = answered.await;
            self.reply(id, answered).await;
        });
    }

    async fn stage(
        &self,
        mut deployment: Deployment,
        files: Option<Arc<Files>>,
        folder: &str,
        inputs: &[InputFile],
    ) -> Result<Reply, Diagnostic> {
        self.host.takes_runs()?;
        let slot = self.slot()?;
        let job = self.host.job_id();
        let place = match (&mut deployment.options.place, files) {
            (Some(place), None) => {
                // To whom a run is handed the log says, and no client.
                place.handed = None;
                Place::Shared(keeper::files_at(&self.host, place).await?)
            }
            (_, files) => self.place(files, folder, inputs).await?,
        };
        let wanted = place.staging().map(|staging| staging.wanted()).unwrap_or_default();
        let clock = self.host.options.clock.clone();
        let results = super::results::ResultStore::new(job, clock, self.host.options.limits.max_result_bytes);
        let staged = Arc::new(Job::new(job, deployment, place, results, slot));
        self.host.list(&staged);
        self.jobs().insert(job, staged);
        Ok(Reply::Staged { job, wanted })
    }

    fn slot(&self) -> Result<OwnedSemaphorePermit, Diagnostic> {
        let most = self.host.options.limits.max_jobs;
        self.host.slots.clone().try_acquire_owned().map_err(|_| {
            Diagnostic::error(codes::TOO_MANY_JOBS, format!("this engine runs {most} pipelines already, which is the most it takes"))
                .help("stop one of them")
        })
    }

    async fn place(&self, files: Option<Arc<Files>>, folder: &str, inputs: &[InputFile]) -> Result<Place, Diagnostic> {
        match files {
            Some(files) => Ok(Place::Shared(files)),
            None => {
                let options = &self.host.options;
                Staging::prepare(&options.limits, options.run_folder.clone(), folder, inputs)
                    .await
                    .map(|staging| Place::Own(Arc::new(staging)))
            }
        }
    }
}

/// Carries out what changes a run that is under way, which takes an epoch and more.
async fn change(job: &Job, request: Request) -> Answered {
    match request {
        Request::Scale { scale, .. } => job.rescale(scale).await,
        Request::Savepoint { name, .. } => job.savepoint(&name).await,
        Request::Upgrade { deployment, looks_only, .. } => job.upgrade(deployment, looks_only).await,
        Request::RollBack { allow_rewind, .. } => job.roll_back(allow_rewind).await,
        _ => Err(Diagnostic::error(codes::BUG, "that changes no run")),
    }
}
