//! Time, tasks and chance: the machine's, or those of a simulation.
//!
//! openraft asks for them by functions that know nothing of who calls, so that whoever stands in for them cannot be handed in as a value. Instead a task
//! is polled [`within`] a [`StandIn`], and so are all tasks that it spawns. Everywhere else tokio and the system's chance are meant. All of this
//! crate, and the nodes' part in it, asks here, and not tokio.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::io;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use openraft::{AsyncRuntime, OptionalSend, TokioRuntime};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinError};

/// A future of a stand-in's.
pub type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Who stands in for time, tasks and chance.
pub trait StandIn: Send + Sync + 'static {
    /// Since some fixed moment. Never goes back.
    fn now(&self) -> Duration;

    fn sleep(&self, time: Duration) -> Boxed;

    /// Runs a task beside, which is polled within this very stand-in.
    fn spawn(&self, task: Boxed) -> AbortHandle;

    /// Waits as long as work that blocks takes before it has an effect.
    fn delay(&self) -> Boxed;

    /// Any number.
    fn draw(&self) -> u64;
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<dyn StandIn>>> = const { RefCell::new(None) };
}

fn current() -> Option<Arc<dyn StandIn>> {
    CURRENT.with_borrow(Clone::clone)
}

/// Whether somebody stands in here.
pub(crate) fn is_simulated() -> bool {
    CURRENT.with_borrow(Option::is_some)
}

/// A future that is polled with a stand-in.
pub struct Within<F> {
    stand_in: Arc<dyn StandIn>,
    future: Pin<Box<F>>,
}

/// Has a future polled with a stand-in.
pub fn within<F: Future>(stand_in: Arc<dyn StandIn>, future: F) -> Within<F> {
    Within { stand_in, future: Box::pin(future) }
}

/// Puts back who stood in before, however a poll ends.
struct Before(Option<Arc<dyn StandIn>>);

impl Drop for Before {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

impl<F: Future> Future for Within<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let _before = Before(CURRENT.replace(Some(self.stand_in.clone())));
        self.future.as_mut().poll(context)
    }
}

/// A moment, by a clock that never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

/// Where clocks begin, so that what was a while before their first moment is a moment as well.
const BEGIN: Duration = Duration::from_secs(24 * 3600);

impl Moment {
    pub fn now() -> Moment {
        static ORIGIN: OnceLock<std::time::Instant> = OnceLock::new();
        let since = current().map_or_else(|| ORIGIN.get_or_init(std::time::Instant::now).elapsed(), |stand_in| stand_in.now());
        Moment(BEGIN + since)
    }

    /// How long ago it was; nothing if it is yet to come.
    pub fn elapsed(self) -> Duration {
        Moment::now() - self
    }
}

impl openraft::Instant for Moment {
    fn now() -> Self {
        Moment::now()
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;

    fn add(self, time: Duration) -> Moment {
        Moment(self.0.saturating_add(time))
    }
}

impl AddAssign<Duration> for Moment {
    fn add_assign(&mut self, time: Duration) {
        *self = *self + time;
    }
}

impl Sub<Duration> for Moment {
    type Output = Moment;

    fn sub(self, time: Duration) -> Moment {
        Moment(self.0.saturating_sub(time))
    }
}

impl SubAssign<Duration> for Moment {
    fn sub_assign(&mut self, time: Duration) {
        *self = *self - time;
    }
}

impl Sub for Moment {
    type Output = Duration;

    fn sub(self, before: Moment) -> Duration {
        self.0.saturating_sub(before.0)
    }
}

/// Waits. In a lock, which nobody ever waits for, since openraft wants to share it between threads.
pub struct Sleep(Mutex<Boxed>);

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner).as_mut().poll(context)
    }
}

pub fn sleep(time: Duration) -> Sleep {
    Sleep(Mutex::new(current().map_or_else(|| Box::pin(tokio::time::sleep(time)) as Boxed, |stand_in| stand_in.sleep(time))))
}

pub fn sleep_until(moment: Moment) -> Sleep {
    sleep(moment - Moment::now())
}

/// It did not come in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it did not come in time")
    }
}

/// Waits for a future, for so long.
pub struct Timeout<F> {
    future: Pin<Box<F>>,
    sleep: Sleep,
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(done) = self.future.as_mut().poll(context) {
            return Poll::Ready(Ok(done));
        }
        Pin::new(&mut self.sleep).poll(context).map(|()| Err(Elapsed))
    }
}

pub fn timeout<F: Future>(time: Duration, future: F) -> Timeout<F> {
    Timeout { future: Box::pin(future), sleep: sleep(time) }
}

pub fn timeout_at<F: Future>(moment: Moment, future: F) -> Timeout<F> {
    timeout(moment - Moment::now(), future)
}

/// A task that was spawned; what it gives can be waited for. It goes on without.
pub struct Task<T>(Spawned<T>);

enum Spawned<T> {
    Tokio(tokio::task::JoinHandle<T>),
    Simulated(oneshot::Receiver<T>, AbortHandle),
}

/// Why a task gave nothing.
#[derive(Debug)]
pub enum Lost {
    Ended(JoinError),
    /// It was aborted, or it panicked.
    Gone,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lost::Ended(error) => error.fmt(f),
            Lost::Gone => f.write_str("the task is gone"),
        }
    }
}

impl std::error::Error for Lost {}

impl<T> Task<T> {
    pub fn abort(&self) {
        match &self.0 {
            Spawned::Tokio(task) => task.abort(),
            Spawned::Simulated(_, task) => task.abort(),
        }
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T, Lost>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Spawned::Tokio(task) => Pin::new(task).poll(context).map_err(Lost::Ended),
            Spawned::Simulated(given, _) => Pin::new(given).poll(context).map_err(|_| Lost::Gone),
        }
    }
}

pub fn spawn<F>(future: F) -> Task<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let Some(stand_in) = current() else { return Task(Spawned::Tokio(tokio::spawn(future))) };
    let (give, given) = oneshot::channel();
    let task = within(stand_in.clone(), async move {
        // Nobody may wait for it.
        drop(give.send(future.await));
    });
    Task(Spawned::Simulated(given, stand_in.spawn(Box::pin(task))))
}

/// Runs work that blocks.
///
/// # Errors
/// If it panicked, or the process ends.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let Some(stand_in) = current() else { return tokio::task::spawn_blocking(work).await.map_err(io::Error::other) };
    let work = async move {
        stand_in.delay().await;
        work()
    };
    spawn(work).await.map_err(io::Error::other)
}

/// A number that nobody else draws.
pub fn draw() -> u64 {
    current().map_or_else(rand::random, |stand_in| stand_in.draw())
}

/// From 0 to 1, without 1.
pub fn draw_part() -> f64 {
    /// As many bits as a float has.
    const BITS: u32 = 53;
    #[allow(clippy::cast_precision_loss)] // It has that many.
    let (drawn, of) = ((draw() >> (u64::BITS - BITS)) as f64, (1_u64 << BITS) as f64);
    drawn / of
}

/// What openraft runs on.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Runtime;

impl AsyncRuntime for Runtime {
    type JoinError = Lost;
    type JoinHandle<T: OptionalSend + 'static> = Task<T>;
    type Sleep = Sleep;
    type Instant = Moment;
    type TimeoutError = Elapsed;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = Timeout<T>;
    // It draws when it would call elections, which it does not: see `elect`.
    type ThreadLocalRng = <TokioRuntime as AsyncRuntime>::ThreadLocalRng;
    type OneshotSender<T: OptionalSend> = <TokioRuntime as AsyncRuntime>::OneshotSender<T>;
    type OneshotReceiver<T: OptionalSend> = <TokioRuntime as AsyncRuntime>::OneshotReceiver<T>;
    type OneshotReceiverError = <TokioRuntime as AsyncRuntime>::OneshotReceiverError;

    fn spawn<T>(future: T) -> Task<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        spawn(future)
    }

    fn sleep(time: Duration) -> Sleep {
        sleep(time)
    }

    fn sleep_until(moment: Moment) -> Sleep {
        sleep_until(moment)
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(time: Duration, future: F) -> Timeout<F> {
        timeout(time, future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(moment: Moment, future: F) -> Timeout<F> {
        timeout_at(moment, future)
    }

    fn is_panic(lost: &Lost) -> bool {
        matches!(lost, Lost::Ended(error) if error.is_panic())
    }

    fn thread_rng() -> Self::ThreadLocalRng {
        TokioRuntime::thread_rng()
    }

    fn oneshot<T: OptionalSend>() -> (Self::OneshotSender<T>, Self::OneshotReceiver<T>) {
        TokioRuntime::oneshot()
    }
}
