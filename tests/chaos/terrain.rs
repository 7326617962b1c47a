//! Where processes are, and what is between them: all on this machine's loopback, or each in a network of its own.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use crate::ground::{Ground, free_address};
use crate::namespaces::Namespaces;
use crate::process::within;
use crate::schedule::Parted;
use crate::way::{Direction, Way};

/// A host: the leader's, or a member's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place(pub usize);

impl Place {
    pub const LEADER: Place = Place(0);

    pub fn member(n: usize) -> Place {
        Place(n + 1)
    }
}

#[derive(Clone)]
pub enum Terrain {
    /// Proxies in this process are all that is between them.
    Loopback(Arc<Ground>),
    Namespaces(Arc<Namespaces>),
}

impl Terrain {
    pub fn loopback() -> Terrain {
        Terrain::Loopback(Arc::new(Ground::new(|| ())))
    }

    /// The command in its place.
    pub fn command(&self, command: &Command, place: Place) -> Command {
        match self {
            Terrain::Loopback(_) => within(command, []),
            Terrain::Namespaces(namespaces) => within(command, ["ip", "netns", "exec", namespaces.name(place)]),
        }
    }

    /// What is dialled at one place to reach a process at another. Plain `ws` is spoken on loopback alone, so there is a port on either's.
    pub fn link(&self, from: Place, to: Place) -> Link {
        match self {
            Terrain::Loopback(ground) => Link { near: Way::new(ground, free_address()), far: None },
            Terrain::Namespaces(namespaces) => {
                let near = Way::new(namespaces.ground(from), free_address());
                let far = Way::new(namespaces.ground(to), SocketAddr::new(namespaces.address(to), near.address().port()));
                Link { near, far: Some(far) }
            }
        }
    }

    /// Parts a member from its leader, or ends that.
    pub fn part(&self, member: Place, [up, down]: [&Link; 2], parted: Parted, is_parted: bool) {
        match self {
            Terrain::Loopback(_) => {
                if parted != Parted::Deaf {
                    up.near.hold(Direction::There, is_parted);
                    down.near.hold(Direction::Back, is_parted);
                }
                if parted != Parted::Mute {
                    up.near.hold(Direction::Back, is_parted);
                    down.near.hold(Direction::There, is_parted);
                }
            }
            Terrain::Namespaces(namespaces) => {
                if parted != Parted::Deaf {
                    namespaces.lose(member, Place::LEADER, is_parted);
                }
                if parted != Parted::Mute {
                    namespaces.lose(Place::LEADER, member, is_parted);
                }
            }
        }
    }

    /// Makes all that comes from and goes to a member slow; nothing and zero make it quick again.
    pub fn slow(&self, member: Place, [up, down]: [&Link; 2], delay: Duration, bytes_per_second: u32) {
        match self {
            Terrain::Loopback(_) => [up, down].iter().for_each(|link| link.near.slow(delay, bytes_per_second)),
            Terrain::Namespaces(namespaces) => {
                namespaces.slow(member, bytes_per_second);
                [up, down].iter().for_each(|link| link.near.slow(delay, 0));
            }
        }
    }
}

/// What one process dials to reach another.
pub struct Link {
    near: Way,
    /// At the other's place, where that is elsewhere.
    far: Option<Way>,
}

impl Link {
    /// `ws://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("ws://{}", self.near.address())
    }

    /// Leads to the process that listens there from now on.
    pub fn aim(&self, process: SocketAddr) {
        self.lead(process, None);
    }

    /// The same, and names the process as it knows itself.
    pub fn aim_as_host(&self, process: SocketAddr) {
        self.lead(process, Some(process));
    }

    fn lead(&self, process: SocketAddr, host: Option<SocketAddr>) {
        match &self.far {
            Some(far) => {
                far.aim(process, None);
                self.near.aim(far.address(), host);
            }
            None => self.near.aim(process, host),
        }
    }

    /// Ends all connections. How many there were.
    pub fn cut(&self) -> usize {
        self.near.cut()
    }

    pub fn connections(&self) -> usize {
        self.near.connections()
    }

    /// Refuses all who dial, as where nobody listens.
    pub fn close(&self) {
        self.near.close();
    }

    pub fn open(&self) {
        self.near.open();
    }
}
