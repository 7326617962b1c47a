//! The threads that move data. Control has threads of its own, so that stop, figures and heartbeats answer while these are jammed.

use std::future::Future;
use std::io;
use std::sync::Arc;

use crate::memory::StateMemory;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// A tokio runtime for tasks, shared by all jobs of the process. Cheap to clone; the threads end with the last clone.
#[derive(Debug, Clone)]
pub struct DataRuntime {
    inner: Arc<Inner>,
    memory: Arc<StateMemory>,
}

#[derive(Debug)]
struct Inner {
    /// Taken when this is dropped.
    runtime: Option<Runtime>,
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
        Ok(DataRuntime { inner: Arc::new(Inner { runtime: Some(runtime) }), memory: Arc::default() })
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
        self.inner.runtime.as_ref().map(|runtime| runtime.spawn(future))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // A plain drop waits for the threads, which tokio forbids within an async context.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
