//! Where ways are: a thread of its own, in the test's network or in one that it enters.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

/// What is spawned on it ends with it.
pub struct Ground {
    handle: Handle,
    _ends: oneshot::Sender<()>,
}

impl Ground {
    /// `enter` is the first thing that the thread does: sockets belong to the network of the thread that makes them.
    pub fn new(enter: impl FnOnce() + Send + 'static) -> Ground {
        let (ends, ended) = oneshot::channel::<()>();
        let (told, handle) = std::sync::mpsc::sync_channel(1);
        std::thread::spawn(move || {
            enter();
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            told.send(runtime.handle().clone()).unwrap();
            // An error says that the ground was dropped, which is what is waited for.
            let _ = runtime.block_on(ended);
        });
        Ground { handle: handle.recv().expect("the ground can be entered"), _ends: ends }
    }

    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.handle.spawn(work).abort_handle()
    }
}

/// An address of this machine that is free, and that no connection going out is given: it can be closed and opened again.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 10_000 + (std::process::id() % 20_000) as u16;
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed) % 2_000;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
