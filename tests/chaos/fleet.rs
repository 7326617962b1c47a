//! A leader and those that take part in its runs, each a process of its own, with ways between them that can be disturbed.

use std::fs::File;
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use millrace_tests::node::Node;
use tempfile::TempDir;

use crate::disk::Disk;
use crate::process::{names, tail, until};
use crate::schedule::Parted;
use crate::terrain::{Link, Place, Terrain};

pub const MEMBERS: usize = 3;

const LOG: &str = "log";

/// How long processes may take to come to what they always come to.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Fleet {
    pub leader: Leader,
    pub members: Vec<Member>,
    /// Tries to come in with a token that is not the leader's.
    stranger: Mutex<Process>,
    folder: TempDir,
    terrain: Terrain,
}

pub struct Leader {
    node: Mutex<Process>,
    pub address: String,
    pub token: String,
    /// None if this machine lets nobody mount one.
    pub disk: Option<Disk>,
    /// Where its runs lie, as seen from here.
    runs: PathBuf,
}

pub struct Member {
    node: Mutex<Process>,
    /// From the member to its leader.
    pub up: Link,
    /// From the leader to the member.
    pub down: Link,
    place: Place,
    /// How it is started, each time.
    arguments: Vec<String>,
    home: PathBuf,
    terrain: Terrain,
}

/// A node, and the folder that it has for what it puts down for a while. One that was killed leaves such things behind, so each has its own.
pub struct Process {
    node: Node,
    temporary: PathBuf,
}

impl Deref for Process {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}

impl DerefMut for Process {
    fn deref_mut(&mut self) -> &mut Node {
        &mut self.node
    }
}

impl Process {
    /// A process that writes its log in `home`. `within` puts the command where it belongs.
    fn start(home: &Path, arguments: &[String], within: impl FnOnce(&Command, &Path) -> Command) -> Process {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let temporary = home.join(STARTED.fetch_add(1, Ordering::Relaxed).to_string());
        std::fs::create_dir_all(&temporary).unwrap();
        let mut command = Node::command(arguments);
        command.env("TMPDIR", &temporary).env("RUST_LOG", "info").env("NO_COLOR", "1");
        let log = File::options().create(true).append(true).open(home.join(LOG)).unwrap();
        let mut command = within(&command, &temporary);
        command.stdin(Stdio::null()).stderr(log);
        Process { node: Node::by(command), temporary }
    }
}

fn socket(url: &str) -> SocketAddr {
    url.strip_prefix("ws://").unwrap().parse().unwrap()
}

impl Fleet {
    /// All of them, joined.
    pub fn start(terrain: Terrain) -> Fleet {
        let folder = tempfile::Builder::new().prefix("millrace-chaos-").tempdir().unwrap();
        let leader = Leader::start(&folder.path().join("leader"), &terrain);
        let members: Vec<Member> = (0..MEMBERS).map(|n| Member::start(n, &leader, folder.path(), &terrain)).collect();
        let foreign = "5".repeat(64);
        let joining = Node::joining(&leader.address, &foreign, 1);
        let stranger = Process::start(&folder.path().join("stranger"), &joining, |command, _| terrain.command(command, Place::LEADER));
        Fleet { leader, members, stranger: Mutex::new(stranger), folder, terrain }
    }

    /// A run of this on the leader.
    pub fn run(&self, run: &mut Command) -> Command {
        run.env("MILLRACE_TOKEN", &self.leader.token).args(["--on", &self.leader.address]);
        self.terrain.command(run, Place::LEADER)
    }

    /// Parts a member from its leader, or ends that.
    pub fn part(&self, member: &Member, parted: Parted, is_parted: bool) {
        self.terrain.part(member.place, [&member.up, &member.down], parted, is_parted);
    }

    /// Makes all between a member and its leader slow; zero of both makes it quick again.
    pub fn slow(&self, member: &Member, delay: Duration, bytes_per_second: u32) {
        self.terrain.slow(member.place, [&member.up, &member.down], delay, bytes_per_second);
    }

    /// Every process is there that was not killed, and none keeps anything of a run that is over.
    pub fn is_as_before(&self) {
        assert!(self.leader.node().lives(), "the leader has ended: {}", self.logs());
        assert!(self.stranger.lock().unwrap().lives(), "the stranger has ended: {}", self.logs());
        for member in &self.members {
            assert!(member.node().lives(), "a member has ended: {}", self.logs());
        }
        let nothing_is_left = |folder: &Path| {
            let what = || format!("nothing is left of the run: {:?}\n{}", names(folder, ""), self.logs());
            until(PATIENCE, what, || names(folder, "").is_empty());
        };
        nothing_is_left(&self.leader.runs);
        for member in &self.members {
            nothing_is_left(&member.node().temporary);
        }
    }

    /// How often somebody without the leader's token was refused.
    pub fn refusals(&self) -> usize {
        let log = std::fs::read_to_string(self.folder.path().join("stranger").join(LOG)).unwrap_or_default();
        log.matches("refused the token").count()
    }

    /// The ends of what all processes have said.
    pub fn logs(&self) -> String {
        let mut homes = names(self.folder.path(), "");
        homes.sort();
        homes.iter().map(|home| format!("{home}:\n{}\n", tail(&self.folder.path().join(home).join(LOG)))).collect()
    }
}

impl Leader {
    fn start(home: &Path, terrain: &Terrain) -> Leader {
        let has_disk = Disk::can_be();
        let node = Process::start(home, &[], |command, temporary| {
            let with_disk = has_disk.then(|| Disk::under(command, temporary));
            terrain.command(with_disk.as_ref().unwrap_or(command), Place::LEADER)
        });
        let disk = has_disk.then(|| Disk::of(node.id(), &node.temporary));
        let runs = disk.as_ref().map_or_else(|| node.temporary.clone(), |disk| disk.root().to_path_buf());
        Leader { address: node.address.clone(), token: node.token.clone(), node: Mutex::new(node), disk, runs }
    }

    pub fn node(&self) -> MutexGuard<'_, Process> {
        self.node.lock().unwrap()
    }
}

impl Member {
    fn start(n: usize, leader: &Leader, within: &Path, terrain: &Terrain) -> Member {
        let place = Place::member(n);
        let up = terrain.link(place, Place::LEADER);
        let down = terrain.link(Place::LEADER, place);
        up.aim_as_host(socket(&leader.address));
        let home = within.join(format!("member-{}", n + 1));
        let mut arguments = Node::joining(&up.url(), &leader.token, 1).to_vec();
        arguments.extend(["--advertise".to_owned(), down.url()]);
        let mut node = Member::process(&home, &arguments, terrain, place, &down);
        // One after the other, so that the same tasks go to the same members every time.
        assert_eq!(node.says(), Some(format!("joined {}", up.url())));
        Member { node: Mutex::new(node), up, down, place, arguments, home, terrain: terrain.clone() }
    }

    fn process(home: &Path, arguments: &[String], terrain: &Terrain, place: Place, down: &Link) -> Process {
        let node = Process::start(home, arguments, |command, _| terrain.command(command, place));
        down.aim(socket(&node.address));
        node
    }

    pub fn node(&self) -> MutexGuard<'_, Process> {
        self.node.lock().unwrap()
    }

    /// Whether it has tasks of a run: it has a folder for them then.
    pub fn takes_part(&self) -> bool {
        !names(&self.node().temporary, "millrace-share-").is_empty()
    }

    /// Sends its process a signal, if it lives, and gives its id.
    pub fn signal(&self, name: &str) -> Option<u32> {
        let mut node = self.node();
        let id = node.lives().then(|| node.id())?;
        node.signal(name);
        Some(id)
    }

    /// The same, if the process is still that one.
    pub fn signal_if(&self, name: &str, process: u32) {
        let mut node = self.node();
        if node.id() == process && node.lives() {
            node.signal(name);
        }
    }

    /// `kill -9`. The port where it listened refuses from then on.
    pub fn kill(&self) {
        self.node().kill();
        self.down.close();
        self.up.cut();
    }

    /// Another process in its place.
    pub fn restart(&self) {
        let node = Member::process(&self.home, &self.arguments, &self.terrain, self.place, &self.down);
        self.down.open();
        *self.node() = node;
    }
}
