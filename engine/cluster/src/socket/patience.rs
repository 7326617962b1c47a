//! How long a peer is borne with, and how much.

use std::time::{Duration, Instant};

/// How long a peer is borne with.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// How often to ping, at the side that does.
    pub ping_every: Option<Duration>,
    /// Nothing at all from the peer on the control socket for this long: the connection is dead.
    pub silence: Duration,
    /// A write to the control socket that takes this long: the peer is too slow.
    pub write: Duration,
    /// The same for the data socket, where a peer's disk may have to keep up; and how long that may be silent.
    pub write_data: Duration,
    /// Control messages and pings in a second; a peer that sends more is dropped.
    pub messages_per_second: u32,
    /// How long a session outlives a dropped connection.
    pub resume: Duration,
}

impl Patience {
    pub const ASKING: Patience = Patience {
        ping_every: Some(Duration::from_millis(500)),
        silence: Duration::from_secs(3),
        write: Duration::from_secs(10),
        write_data: Duration::from_secs(30),
        messages_per_second: u32::MAX,
        resume: Duration::from_secs(10),
    };

    pub const NODE: Patience = Patience {
        ping_every: None,
        silence: Duration::from_secs(10),
        write: Duration::from_secs(10),
        write_data: Duration::from_secs(30),
        messages_per_second: 1000,
        resume: Duration::from_secs(30),
    };
}

/// Counts what a peer does within a second.
#[derive(Debug)]
pub struct Rate {
    most: u32,
    since: Instant,
    count: u32,
}

impl Rate {
    pub fn new(most: u32) -> Rate {
        Rate { most, since: Instant::now(), count: 0 }
    }

    /// Counts one more. False: it is one too many.
    pub fn count(&mut self) -> bool {
        if self.since.elapsed() >= Duration::from_secs(1) {
            (self.since, self.count) = (Instant::now(), 0);
        }
        self.count = self.count.saturating_add(1);
        self.count <= self.most
    }
}
