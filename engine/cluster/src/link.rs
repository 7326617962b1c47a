//! What joins a client and a host: bounded channels, control apart from data.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use millrace_runtime::files::Files;
use millrace_wire::figures::JobFigures;
use millrace_wire::message::{Event, JobId, Reply, Request, RequestId};
use tokio::sync::{Notify, mpsc};

use crate::contact::Standing;
use crate::data::{DataItem, DataQueue};

/// Requests under way.
const MAX_REQUESTS: usize = 64;
/// Replies and events under way.
const MAX_ANSWERS: usize = 256;
/// Data under way in each direction.
const MAX_ITEMS: usize = 4096;
const MAX_ITEM_BYTES: usize = 32 << 20;

/// A request on its way to the host.
#[derive(Debug)]
pub struct Asked {
    pub id: RequestId,
    pub request: Request,
    /// The asking side's folders, where engine and asking side share a disk; a socket carries no such thing. An engine that is given
    /// them works in them, and nothing is staged.
    pub files: Option<Arc<Files>>,
}

/// What the host says.
#[derive(Debug, Clone)]
pub enum Answer {
    Reply { id: RequestId, reply: Reply },
    Event(Event),
}

/// The newest figures of each job. A reader that is slow sees fewer, never older ones.
#[derive(Debug, Default)]
struct Latest {
    figures: Mutex<BTreeMap<JobId, JobFigures>>,
    changed: Notify,
}

impl Latest {
    fn put(&self, job: JobId, figures: Option<JobFigures>) {
        let mut held = self.figures.lock().unwrap_or_else(PoisonError::into_inner);
        match figures {
            Some(figures) => {
                held.insert(job, figures);
                self.changed.notify_one();
            }
            None => {
                held.remove(&job);
            }
        }
    }

    async fn take(&self) -> (JobId, JobFigures) {
        loop {
            let changed = self.changed.notified();
            if let Some(next) = self.figures.lock().unwrap_or_else(PoisonError::into_inner).pop_first() {
                // There may be those of another job.
                self.changed.notify_one();
                return next;
            }
            changed.await;
        }
    }
}

/// The host's side of the answers.
#[derive(Debug, Clone)]
pub struct Answers {
    queue: mpsc::Sender<Answer>,
    latest: Arc<Latest>,
}

impl Answers {
    /// Waits for room. False: nobody listens any more.
    pub async fn send(&self, answer: Answer) -> bool {
        self.queue.send(answer).await.is_ok()
    }

    /// Figures that nobody has taken yet are replaced.
    pub fn figures(&self, job: JobId, figures: JobFigures) {
        self.latest.put(job, Some(figures));
    }

    /// Forgets figures that nobody has taken yet.
    pub fn clear_figures(&self, job: JobId) {
        self.latest.put(job, None);
    }
}

/// The client's side of the answers.
#[derive(Debug)]
pub struct AnswerReceiver {
    queue: mpsc::Receiver<Answer>,
    latest: Arc<Latest>,
}

impl AnswerReceiver {
    /// Replies and events in their order, figures when there is nothing else. None: the host is gone. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Answer> {
        tokio::select! {
            biased;
            answer = self.queue.recv() => answer,
            (job, figures) = self.latest.take() => Some(Answer::Event(Event::Figures { job, figures })),
        }
    }
}

/// Why a link ended, told once by whoever saw it first.
#[derive(Debug, Clone, Default)]
pub struct WhyLost(Arc<OnceLock<String>>);

impl WhyLost {
    pub fn tell(&self, why: impl Into<String>) {
        let _ = self.0.set(why.into());
    }

    pub fn why(&self) -> Option<String> {
        self.0.get().cloned()
    }
}

/// Closes a data queue for both ends when one of them goes.
#[derive(Debug)]
pub struct QueueEnd(pub Arc<DataQueue>);

impl Drop for QueueEnd {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The client's end.
#[derive(Debug)]
pub struct ClientEnd {
    pub requests: mpsc::Sender<Asked>,
    pub answers: AnswerReceiver,
    pub data_out: QueueEnd,
    pub data_in: QueueEnd,
    pub why_lost: WhyLost,
    pub standing: Standing,
}

/// The host's end.
#[derive(Debug)]
pub struct HostEnd {
    pub requests: mpsc::Receiver<Asked>,
    pub answers: Answers,
    pub data_in: QueueEnd,
    pub data_out: QueueEnd,
}

/// Two ends, joined.
pub fn link() -> (ClientEnd, HostEnd) {
    let (ask, asked) = mpsc::channel(MAX_REQUESTS);
    let (answer, answered) = mpsc::channel(MAX_ANSWERS);
    let latest = Arc::new(Latest::default());
    let to_host = Arc::new(DataQueue::new(MAX_ITEMS, MAX_ITEM_BYTES));
    let to_client = Arc::new(DataQueue::new(MAX_ITEMS, MAX_ITEM_BYTES));
    let client = ClientEnd {
        requests: ask,
        answers: AnswerReceiver { queue: answered, latest: latest.clone() },
        data_out: QueueEnd(to_host.clone()),
        data_in: QueueEnd(to_client.clone()),
        why_lost: WhyLost::default(),
        standing: Standing::default(),
    };
    let host =
        HostEnd { requests: asked, answers: Answers { queue: answer, latest }, data_in: QueueEnd(to_host), data_out: QueueEnd(to_client) };
    (client, host)
}

/// An item of the data side that is no rows.
pub fn bare(header: millrace_wire::message::DataHeader) -> DataItem {
    DataItem { header, payload: crate::data::DataPayload::Bytes(bytes::Bytes::new()) }
}
