//! Several hosts on one machine: network namespaces, joined by a bridge.

use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::ground::Ground;
use crate::terrain::Place;

/// What names of these begin with; then comes the process that made them.
const BEGINNING: &str = "mrc";

/// Removed when they are dropped, also while a test panics; what a killed test left is removed before the next ones are made.
pub struct Namespaces {
    /// Of the bridge; those of namespaces are made of it.
    name: String,
    hosts: Vec<Host>,
}

struct Host {
    name: String,
    address: IpAddr,
    ground: Ground,
}

/// Runs `ip` or `tc`. Whether that went well.
fn tried(words: &str) -> bool {
    let mut words = words.split(' ');
    let mut command = Command::new(words.next().unwrap());
    command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn done(words: &str) {
    assert!(tried(words), "`{words}` fails");
}

impl Namespaces {
    /// A host for the leader and one for each member. None where that is not allowed, or not there.
    pub fn of(hosts: usize) -> Option<Namespaces> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        sweep();
        let name = format!("{BEGINNING}{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        if !tried(&format!("ip link add {name} type bridge")) {
            return None;
        }
        // From here on dropping it removes what there is.
        let mut made = Namespaces { name, hosts: Vec::new() };
        done(&format!("ip link set {} up", made.name));
        for n in 0..hosts {
            made.hosts.push(Host::joined(&made.name, n)?);
        }
        Some(made)
    }

    fn host(&self, place: Place) -> &Host {
        &self.hosts[place.0]
    }

    pub fn name(&self, place: Place) -> &str {
        &self.host(place).name
    }

    pub fn address(&self, place: Place) -> IpAddr {
        self.host(place).address
    }

    pub fn ground(&self, place: Place) -> &Ground {
        &self.host(place).ground
    }

    /// Whether packets from one to the other are lost.
    pub fn lose(&self, from: Place, to: Place, are_lost: bool) {
        let how = if are_lost { "add" } else { "del" };
        done(&format!("ip -n {} route {how} blackhole {}/32", self.name(from), self.address(to)));
    }

    /// Lets so many bytes leave a host in a second, and loses some and delays all where this machine can do that; zero ends it.
    pub fn slow(&self, place: Place, bytes_per_second: u32) {
        let qdisc = |how: &str, what: &str| format!("ip netns exec {} tc qdisc {how} dev eth0 root {what}", self.name(place));
        // What was there before; there may be nothing.
        tried(qdisc("del", "").trim_end());
        if bytes_per_second > 0 && !tried(&qdisc("add", &format!("netem delay 20ms loss 1% rate {bytes_per_second}bps"))) {
            done(&qdisc("add", &format!("tbf rate {bytes_per_second}bps burst 32kb latency 400ms")));
        }
    }
}

impl Host {
    fn joined(bridge: &str, n: usize) -> Option<Host> {
        let name = format!("{bridge}-{n}");
        if !tried(&format!("ip netns add {name}")) {
            return None;
        }
        let cable = format!("{}v{n}", bridge.trim_start_matches(BEGINNING));
        done(&format!("ip link add {cable} type veth peer name eth0 netns {name}"));
        done(&format!("ip link set {cable} master {bridge} up"));
        let address = Ipv4Addr::new(10, 213, 0, n as u8 + 1);
        done(&format!("ip -n {name} addr add {address}/24 dev eth0"));
        done(&format!("ip -n {name} link set lo up"));
        done(&format!("ip -n {name} link set eth0 up"));
        let within = name.clone();
        Some(Host { name, address: address.into(), ground: Ground::new(move || enter(&within)) })
    }
}

/// Moves this thread there.
fn enter(name: &str) {
    let namespace = File::open(Path::new("/run/netns").join(name)).unwrap();
    // SAFETY: the descriptor is open until the call is over; it moves the calling thread alone, and no memory is handed over.
    let moved = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
    assert_eq!(moved, 0, "{name} can be entered");
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for host in &self.hosts {
            tried(&format!("ip netns del {}", host.name));
        }
        tried(&format!("ip link del {}", self.name));
    }
}

/// Removes what tests left that were killed.
fn sweep() {
    let is_gone = |name: &str| {
        let process = name.strip_prefix(BEGINNING).and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        process.is_some_and(|process| !Path::new(&format!("/proc/{process}")).exists())
    };
    let stale = |folder: &str| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| is_gone(name)).collect::<Vec<_>>()
    };
    for name in stale("/run/netns") {
        tried(&format!("ip netns del {name}"));
    }
    for name in stale("/sys/class/net") {
        tried(&format!("ip link del {name}"));
    }
}
