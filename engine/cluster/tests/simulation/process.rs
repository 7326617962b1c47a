//! A process of the simulated cluster: what it has spawned ends with it.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use millrace_control::time::{Boxed, StandIn, within};
use millrace_runtime::{Clock, DataRuntime, Turns};
use millrace_testkit::sim::World;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

/// One life of a process. Its time, its turns and its chance are the world's.
pub struct Process {
    world: World,
    data: DataRuntime,
    tasks: Mutex<Vec<AbortHandle>>,
    is_over: AtomicBool,
}

impl Process {
    pub fn new(world: &World) -> Arc<Process> {
        let data = DataRuntime::simulated(Arc::new(world.clone()));
        Arc::new(Process { world: world.clone(), data, tasks: Mutex::default(), is_over: AtomicBool::new(false) })
    }

    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Ends it wherever its tasks stand: none of them is polled again.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.iter().for_each(AbortHandle::abort);
    }

    /// Runs work of it beside; what it gives can be waited for. Nothing comes if the process ends before.
    pub fn run<T: Send + 'static>(self: &Arc<Self>, work: impl Future<Output = T> + Send + 'static) -> oneshot::Receiver<T> {
        let (give, given) = oneshot::channel();
        let task = within(self.clone(), async move { drop(give.send(work.await)) });
        self.spawn(Box::pin(task));
        given
    }
}

impl StandIn for Process {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.world.monotonic_ns())
    }

    fn sleep(&self, time: Duration) -> Boxed {
        Clock::sleep(&self.world, time)
    }

    fn spawn(&self, task: Boxed) -> AbortHandle {
        let world = self.world.clone();
        let task = async move {
            if let Err(panic) = AssertUnwindSafe(task).catch_unwind().await {
                let said = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|said| (*said).to_owned()));
                world.say(format_args!("PANIC: {}", said.unwrap_or_default()));
            }
        };
        let handle = self.data.spawn(task).expect("the world runs").abort_handle();
        if self.is_over() {
            handle.abort();
        }
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if tasks.len() > 200 {
            tasks.retain(|task| !task.is_finished());
        }
        tasks.push(handle.clone());
        handle
    }

    fn delay(&self) -> Boxed {
        Turns::delay(&self.world)
    }

    fn draw(&self) -> u64 {
        self.world.chance(millrace_testkit::sim::Chance::draw)
    }
}
