//! The threads that move data. Control has threads of its own, so that stop, figures and heartbeats answer while these are jammed.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use crate::memory::StateMemory;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::{JoinHandle, JoinSet};

/// A tokio runtime for tasks, shared by all jobs of the process. Cheap to clone; the threads end with the last clone.
#[derive(Debug, Clone)]
pub struct DataRuntime {
    inner: Arc<Inner>,
    memory: Arc<StateMemory>,
}

#[derive(Debug)]
enum Inner {
    /// Taken when this is dropped.
    Threads(Option<Runtime>),
    Simulated(Arc<dyn Turns>),
}

/// Who says which task goes on, where one thread stands for all: a simulation.
pub trait Turns: Send + Sync + fmt::Debug {
    /// A task begins, and is known by this number.
    fn begin(&self) -> u64;

    /// Asked before every poll of the task: ready once it is its turn.
    fn poll_turn(&self, task: u64, context: &mut Context<'_>) -> Poll<()>;

    fn end(&self, task: u64);

    /// Waits as long as work that blocks takes before it has an effect.
    fn delay(&self) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// A task of a simulation.
struct InTurn<F> {
    turns: Arc<dyn Turns>,
    task: u64,
    future: Pin<Box<F>>,
}

impl<F: Future> InTurn<F> {
    fn new(turns: &Arc<dyn Turns>, future: F) -> Self {
        InTurn { task: turns.begin(), turns: turns.clone(), future: Box::pin(future) }
    }
}

impl<F: Future> Future for InTurn<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        ready!(self.turns.poll_turn(self.task, context));
        self.future.as_mut().poll(context)
    }
}

impl<F> Drop for InTurn<F> {
    fn drop(&mut self) {
        self.turns.end(self.task);
    }
}

/// Who goes first where data and a screen want the same cores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DataPriority {
    /// Data threads are as good as any other: a server.
    #[default]
    Equal,
    /// Data threads give way (`nice` 10, with the threads they start): a studio, whose screen has to answer while a source floods.
    BehindScreen,
}

impl DataPriority {
    /// For the thread that calls it. On Linux a priority belongs to a thread; elsewhere it would be the whole process's.
    fn apply(self) {
        #[cfg(target_os = "linux")]
        if self == DataPriority::BehindScreen
            && let Err(error) = rustix::process::setpriority_process(None, 10)
        {
            tracing::warn!("data threads cannot give way to the screen: {error}");
        }
    }
}

impl DataRuntime {
    /// Starts `threads` threads, at least one. Polars computes on the thread that calls it: hopping to its own pool costs more than
    /// a batch does.
    pub fn new(threads: usize, priority: DataPriority) -> io::Result<DataRuntime> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name("millrace-data")
            .on_thread_start(move || {
                polars_async::executor::ALLOW_RAYON_THREADS.set(false);
                priority.apply();
            })
            .enable_all()
            .build()?;
        Ok(DataRuntime { inner: Arc::new(Inner::Threads(Some(runtime))), memory: Arc::default() })
    }

    /// No threads: tasks, and work that blocks, run on the caller's tokio runtime, one at a time, as `turns` says.
    pub fn simulated(turns: Arc<dyn Turns>) -> DataRuntime {
        polars_async::executor::ALLOW_RAYON_THREADS.set(false);
        DataRuntime { inner: Arc::new(Inner::Simulated(turns)), memory: Arc::default() }
    }

    /// The same threads, whose jobs share this much memory for state.
    #[must_use]
    pub fn with_memory(self, memory: StateMemory) -> DataRuntime {
        DataRuntime { memory: Arc::new(memory), ..self }
    }

    /// What the state of all jobs takes.
    pub const fn memory(&self) -> &Arc<StateMemory> {
        &self.memory
    }

    /// Runs a future on these threads. None once the runtime has shut down.
    pub fn spawn<F>(&self, future: F) -> Option<JoinHandle<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        match self.inner.as_ref() {
            Inner::Threads(runtime) => runtime.as_ref().map(|runtime| runtime.spawn(future)),
            Inner::Simulated(turns) => Handle::try_current().ok().map(|here| here.spawn(InTurn::new(turns, future))),
        }
    }

    /// Runs work that blocks, on the caller's threads for that.
    pub fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        match self.inner.as_ref() {
            Inner::Threads(_) => tokio::task::spawn_blocking(work),
            Inner::Simulated(turns) => tokio::spawn(simulated(turns, work)),
        }
    }

    /// The same, as one of a set.
    pub fn blocking_in<T: Send + 'static>(&self, set: &mut JoinSet<T>, work: impl FnOnce() -> T + Send + 'static) {
        match self.inner.as_ref() {
            Inner::Threads(_) => set.spawn_blocking(work),
            Inner::Simulated(turns) => set.spawn(simulated(turns, work)),
        };
    }
}

/// Work that blocks, where nothing may.
fn simulated<T: Send + 'static>(
    turns: &Arc<dyn Turns>,
    work: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = T> + Send + 'static {
    let delay = turns.delay();
    InTurn::new(turns, async move {
        delay.await;
        work()
    })
}

impl Drop for Inner {
    fn drop(&mut self) {
        // A plain drop waits for the threads, which tokio forbids within an async context.
        if let Inner::Threads(runtime) = self
            && let Some(runtime) = runtime.take()
        {
            runtime.shutdown_background();
        }
    }
}
