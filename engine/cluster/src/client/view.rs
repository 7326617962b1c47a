//! What the asking side knows of its jobs, kept from what the engine says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use millrace_wire::figures::{JobFigures, RunState, Summary};
use millrace_wire::message::{DataHeader, Event, Failure, JobId, ShareId};
use tokio::sync::{broadcast, watch};

use super::PendingReplies;
use super::outputs::Outputs;
use crate::contact::Standing;
use crate::data::{DataItem, DataPayload, DataQueue};
use crate::link::{Answer, AnswerReceiver, QueueEnd, WhyLost};
use crate::share::{Leading, LinkStore};

/// Figures, and when they came.
#[derive(Debug, Clone)]
pub struct FiguresSeen {
    pub figures: Arc<JobFigures>,
    pub at: Instant,
}

impl FiguresSeen {
    /// How old they are.
    pub fn age(&self) -> Duration {
        self.at.elapsed()
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    pub state: RunState,
    pub summary: Summary,
    pub cause: Option<Failure>,
}

/// A job as last heard of.
#[derive(Debug, Clone)]
pub struct JobView {
    pub state: RunState,
    pub figures: Option<FiguresSeen>,
    /// Set once, after the last output file is in place.
    pub ended: Option<Arc<Ended>>,
}

pub struct JobEntry {
    pub view: watch::Sender<JobView>,
    outputs: Arc<tokio::sync::Mutex<Outputs>>,
    /// The end as told by control, held back until the data side is through.
    end: Option<Ended>,
    is_data_through: bool,
    /// What became of the output files here, where it was not good.
    fault: Option<Failure>,
}

pub struct Shared {
    pub pending: Mutex<PendingReplies>,
    pub jobs: Mutex<BTreeMap<JobId, JobEntry>>,
    /// The shares that the engine takes in runs that are led here.
    pub shares: Mutex<BTreeMap<ShareId, Leading>>,
    /// What is held there of deployments' state, as far as it is open.
    pub replicas: Mutex<BTreeMap<ShareId, Arc<LinkStore>>>,
    pub events: broadcast::Sender<Event>,
    pub data: Arc<DataQueue>,
    pub standing: Standing,
}

impl Shared {
    pub fn jobs(&self) -> MutexGuard<'_, BTreeMap<JobId, JobEntry>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn shares(&self) -> MutexGuard<'_, BTreeMap<ShareId, Leading>> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn replicas(&self) -> MutexGuard<'_, BTreeMap<ShareId, Arc<LinkStore>>> {
        self.replicas.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A member tells its leader something, or nothing more.
    async fn reported(&self, share: ShareId, report: Option<serde_json::Value>) {
        let Some(report) = report else {
            if let Some(leading) = self.shares().get_mut(&share) {
                leading.reports = None;
            }
            return;
        };
        let reports = self.shares().get(&share).and_then(|leading| leading.reports.clone());
        let is_heard = match (reports, serde_json::from_value(report)) {
            (Some(reports), Ok(report)) => reports.send(report).await.is_ok(),
            (_, Err(error)) => {
                tracing::warn!(%error, "a member's report cannot be read");
                false
            }
            (None, Ok(_)) => false,
        };
        if !is_heard {
            self.shares().remove(&share);
        }
    }

    /// Something has come for a share. A member that sends what none does is not heard any more.
    fn share_came(&self, header: DataHeader, bytes: bytes::Bytes) {
        let Some(share) = header.share() else { return };
        if let (Some(replica), DataHeader::StoreAnswer { call, answer, last, .. }) = (self.replicas().get(&share), &header) {
            return replica.answered(*call, answer.clone(), &bytes, *last);
        }
        let mut shares = self.shares();
        if let Some(leading) = shares.get(&share)
            && !leading.came(header, bytes)
        {
            tracing::warn!(share = share.0, "a member sent what none does, and is not heard any more");
            shares.remove(&share);
        }
    }

    pub fn add_job(&self, job: JobId, outputs: Outputs) {
        let view = watch::Sender::new(JobView { state: RunState::Starting, figures: None, ended: None });
        let outputs = Arc::new(tokio::sync::Mutex::new(outputs));
        self.jobs().insert(job, JobEntry { view, outputs, end: None, is_data_through: false, fault: None });
    }

    fn event(&self, event: Event) {
        match event {
            Event::Figures { job, figures } => {
                if let Some(entry) = self.jobs().get(&job) {
                    let seen = FiguresSeen { figures: Arc::new(figures), at: Instant::now() };
                    entry.view.send_modify(|view| view.figures = Some(seen));
                }
            }
            Event::Ended { job, state, summary, cause } => {
                if let Some(entry) = self.jobs().get_mut(&job) {
                    entry.end = Some(Ended { state, summary, cause });
                }
                self.end(job);
            }
            Event::State { job, state } => {
                if let Some(entry) = self.jobs().get(&job) {
                    entry.view.send_modify(|view| view.state = state);
                }
                let _ = self.events.send(Event::State { job, state });
            }
            // Nobody may be listening.
            Event::Notice { .. } => {
                let _ = self.events.send(event);
            }
            Event::Share { .. } => {}
        }
    }

    /// Tells a job's end, once both sides have told theirs.
    fn end(&self, job: JobId) {
        let mut jobs = self.jobs();
        let Some(entry) = jobs.get_mut(&job).filter(|entry| entry.is_data_through) else { return };
        let Some(mut ended) = entry.end.take() else { return };
        // A run that went well on the engine has failed if its outputs are not where they belong.
        if let (None, Some(fault)) = (&ended.cause, entry.fault.take()) {
            ended.state = RunState::Failed;
            ended.cause = Some(fault);
        }
        let told = Event::Ended { job, state: ended.state, summary: ended.summary.clone(), cause: ended.cause.clone() };
        entry.view.send_modify(|view| {
            view.state = ended.state;
            view.ended = Some(Arc::new(ended));
        });
        drop(jobs);
        let _ = self.events.send(told);
    }

    /// The data side of a job is through; `fault` is what went wrong with its files here.
    fn data_through(&self, job: JobId, fault: Option<Failure>) {
        if let Some(entry) = self.jobs().get_mut(&job) {
            entry.is_data_through = true;
            entry.fault = fault;
        }
        self.end(job);
    }

    fn outputs_of(&self, job: JobId) -> Option<Arc<tokio::sync::Mutex<Outputs>>> {
        self.jobs().get(&job).map(|entry| entry.outputs.clone())
    }

    fn lose(&self, why: String) {
        self.shares().clear();
        std::mem::take(&mut *self.replicas()).into_values().for_each(|replica| replica.close());
        self.standing.lose(why);
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.data.close();
    }
}

/// Until the engine is gone.
pub async fn take_answers(shared: Arc<Shared>, mut answers: AnswerReceiver, why_lost: WhyLost) {
    while let Some(answer) = answers.next().await {
        match answer {
            Answer::Reply { id, reply } => {
                let asked = shared.pending.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
                if let Some(asked) = asked {
                    let _ = asked.send(reply);
                }
            }
            Answer::Event(Event::Share { share, report }) => shared.reported(share, report).await,
            Answer::Event(event) => shared.event(event),
        }
    }
    shared.lose(why_lost.why().unwrap_or_else(|| "the engine ended the session".to_owned()));
}

/// Passes rows on, and puts files in place.
pub async fn take_data(shared: Arc<Shared>, queue: QueueEnd) {
    while let Some(item) = queue.0.take().await {
        let DataItem { header, payload } = item;
        match (header, payload) {
            (header @ (DataHeader::Results { .. } | DataHeader::TapRows { .. }), payload) => {
                shared.data.offer(DataItem { header, payload });
            }
            (DataHeader::OutputFile { job, path, offset, last }, DataPayload::Bytes(bytes)) => {
                if let Some(outputs) = shared.outputs_of(job) {
                    outputs.lock().await.part(&path, offset, last, bytes).await;
                }
            }
            (DataHeader::EndOfJob { job }, _) => {
                let outputs = shared.outputs_of(job);
                let fault = match outputs {
                    Some(outputs) => outputs.lock().await.close().await,
                    None => None,
                };
                shared.data_through(job, fault);
            }
            (header, DataPayload::Bytes(bytes)) if header.share().is_some() => shared.share_came(header, bytes),
            // An engine sends no inputs, and nothing else in another form.
            _ => {}
        }
    }
}
