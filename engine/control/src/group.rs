//! One node of a control group.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Cursor};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use millrace_state::store::make_durable_folder;
use openraft::error::{ClientWriteError, Fatal, ForwardToLeader, RaftError};
use openraft::raft::{AppendEntriesRequest, InstallSnapshotRequest, InstallSnapshotResponse, VoteRequest};
use openraft::{ChangeMembers, Raft, Snapshot};

use crate::config::{LogId, NodeId, Peer, Settings, Types, Vote};
use crate::control::{Answer, Command, Control};
use crate::elect::{Heard, call};
use crate::error::{ControlError, ControlResult};
use crate::incoming::{Coming, Own, Piece, check_state};
use crate::log::{LogStore, LogView};
use crate::look::GroupLook;
use crate::machine::Machine;
use crate::network::{Ask, Question, Told, Transport, Ways};
use crate::place::Place;
use crate::tend::{promoted, without};
use crate::time::{self, Moment, Task, sleep, timeout, timeout_at};

/// How long whoever leads is waited for before it is looked anew who leads.
const FORWARD_PATIENCE: Duration = Duration::from_secs(1);

/// How long a node calls no election that has moved, while it says so. Then it may be that nobody leads since most have moved.
const QUIET_FOR: Duration = Duration::from_secs(5);

/// A node that has answered within this time is there: its leader asks it ten times a second.
const THERE_FOR: Duration = Duration::from_secs(2);

/// From one try to the next.
const AGAIN_AFTER: Duration = Duration::from_millis(40);

/// A node of a control group. Clones are the same node; it ends with the last one, or by [`ControlGroup::shut_down`].
#[derive(Clone)]
pub struct ControlGroup {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    id: NodeId,
    pub(crate) raft: Raft<Types>,
    pub(crate) heard: Heard,
    machine: Machine,
    log: LogView,
    /// A snapshot that a leader is sending.
    coming: Mutex<Coming>,
    transport: Arc<dyn Transport>,
    settings: Settings,
    /// Until when it calls no election, if it has moved.
    quiet: OnceLock<Moment>,
    /// What goes on beside: votes are given to nodes that lack one, and elections called.
    beside: Mutex<Vec<Task<()>>>,
}

impl Inner {
    /// Whether Raft stands still until a leader's snapshot is on disk.
    pub(crate) fn waits_for_disk(&self) -> bool {
        self.log.look(|known| known.waits)
    }

    pub(crate) fn quiet_until(&self) -> Option<Moment> {
        self.quiet.get().copied()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.beside.get_mut().unwrap_or_else(PoisonError::into_inner).iter().for_each(Task::abort);
    }
}

/// Why this node did not carry out what only the leader does.
enum NotHere {
    /// Somebody else leads, if anybody does.
    Leads(Option<(NodeId, Peer)>),
    /// It may be tried again.
    Later(String),
    Refused(String),
    Ended(ControlError),
}

impl ControlGroup {
    /// Opens a node's folder, which is made if need be, and takes part in the group that it knows of. One that is new waits to be let in by
    /// [`ControlGroup::join`], or begins a group of its own by [`ControlGroup::found`]. Runs on the caller's tokio runtime.
    pub async fn open(folder: &Path, transport: Arc<dyn Transport>, settings: Settings) -> ControlResult<ControlGroup> {
        let place = Place::on_system(folder);
        make_durable_folder(place.disk.as_ref(), folder).and_then(|()| close(folder)).map_err(ControlError::io(folder))?;
        ControlGroup::open_on(place, transport, settings).await
    }

    /// The same on whatever disk.
    pub async fn open_on(place: Place, transport: Arc<dyn Transport>, settings: Settings) -> ControlResult<ControlGroup> {
        let config = Arc::new(settings.raft()?);
        // What is said to be on disk there has to be found there again.
        make_durable_folder(place.disk.as_ref(), &place.folder).map_err(ControlError::io(&place.folder))?;
        // First of all: it holds the folder for this process.
        let log = LogStore::open(&place, settings.segment_bytes)?;
        let (id, machine) = (own_id(&place)?, Machine::open(&place)?);
        let (purged, applied) = (log.view().look(|known| known.head.purged), machine.look_at(|last, _| last));
        if purged.is_some_and(|purged| applied.is_none_or(|applied| applied.index < purged.index)) {
            return Err(ControlError::damaged(&place.folder, "what has gone from the log is in no snapshot"));
        }
        let log = log.behind(machine.on_disk());
        let view = log.view();
        let raft = Raft::new(id, config, Ways(transport.clone()), log, machine.clone()).await.map_err(|error| ended(&error))?;
        let of_them = settings.clone();
        let inner = Inner {
            id,
            raft,
            heard: Heard::now(),
            machine,
            log: view,
            coming: Mutex::default(),
            transport,
            settings,
            quiet: OnceLock::new(),
            beside: Mutex::default(),
        };
        let group = ControlGroup { inner: Arc::new(inner) };
        let tending = time::spawn(tend(Arc::downgrade(&group.inner), of_them.tend_every));
        let calling = time::spawn(call(Arc::downgrade(&group.inner), of_them));
        group.beside().extend([tending, calling]);
        Ok(group)
    }

    fn beside(&self) -> MutexGuard<'_, Vec<Task<()>>> {
        self.inner.beside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn id(&self) -> NodeId {
        self.inner.id
    }

    /// Whether it is of a group already, be it one of its own.
    pub async fn is_in_group(&self) -> ControlResult<bool> {
        let known = self.inner.raft.is_initialized().await.map_err(|error| ended(&error))?;
        Ok(known || !self.look().nodes.is_empty())
    }

    /// Begins a group, of which this is the only node. One that is of a group already stays in it.
    pub async fn found(&self, own: Peer) -> ControlResult<()> {
        if self.is_in_group().await? {
            return Ok(());
        }
        let founded = self.inner.raft.initialize(BTreeMap::from([(self.inner.id, own)])).await;
        founded.map_err(|error| ControlError::Ended { why: error.to_string() })
    }

    /// Asks the group that `via` is of to be let in, or to be reached at another address from now on; waits until it is.
    pub async fn join(&self, via: &Peer, own: Peer) -> ControlResult<()> {
        let until = Moment::now() + self.inner.settings.write_patience;
        let ask = Ask::Admit { id: self.inner.id, peer: own };
        let mut asked = (None, via.clone());
        let mut why = String::new();
        while Moment::now() < until {
            let question = Question { to: asked.0, ask: ask.clone() };
            match self.inner.transport.ask(&asked.1, question, FORWARD_PATIENCE).await {
                Ok(Told::Admitted) => return Ok(()),
                Ok(Told::NotLeader { leader: Some((id, peer)) }) => {
                    asked = (Some(id), peer);
                    sleep(AGAIN_AFTER).await;
                    continue;
                }
                Ok(Told::NotLeader { leader: None }) => "nobody leads it".clone_into(&mut why),
                Ok(Told::Failed { why: told }) => why = told,
                Ok(other) => why = format!("it answers something else: {other:?}"),
                Err(error) => why = error.to_string(),
            }
            asked = (None, via.clone());
            sleep(AGAIN_AFTER).await;
        }
        Err(ControlError::NoQuorum { why })
    }

    /// Says where this node is to be reached, if the group knows another address.
    pub async fn announce(&self, own: Peer) -> ControlResult<()> {
        let look = self.look();
        if look.node(self.inner.id).is_some_and(|node| node.peer == own) {
            return Ok(());
        }
        // Whoever leads calls it where it was, and it hears nothing: to call elections for that would depose one after the other, and it would win none.
        self.inner.quiet.get_or_init(|| Moment::now() + QUIET_FOR);
        // One that led when it ended takes itself for the leader at first, and waits for a majority that has another one.
        match timeout(FORWARD_PATIENCE, self.admit_here(self.inner.id, own.clone())).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(NotHere::Ended(error))) => return Err(error),
            Ok(Err(NotHere::Leads(_) | NotHere::Later(_) | NotHere::Refused(_))) | Err(_) => {}
        }
        let mut result = Err(ControlError::NotInGroup);
        for other in look.nodes.iter().filter(|node| node.id != self.inner.id) {
            result = self.join(&other.peer, own.clone()).await;
            if result.is_ok() {
                break;
            }
        }
        result
    }

    /// Has the group carry out a command, whichever node this is. The answer is given once a majority has it on disk.
    ///
    /// # Errors
    /// [`ControlError::NoQuorum`] if that is not known in time: it may have been carried out, and asking again is safe (see [`crate::control`]).
    pub async fn write(&self, command: Command) -> ControlResult<Answer> {
        let until = Moment::now() + self.inner.settings.write_patience;
        let mut why = "nobody leads it".to_owned();
        loop {
            match timeout_at(until, self.write_once(command.clone())).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(NotHere::Ended(error))) => return Err(error),
                Ok(Err(NotHere::Refused(why))) => return Err(ControlError::Refused { why }),
                Ok(Err(NotHere::Later(later))) => why = later,
                Ok(Err(NotHere::Leads(_))) => {}
                Err(_) => return Err(ControlError::NoQuorum { why }),
            }
            if Moment::now() + AGAIN_AFTER >= until {
                return Err(ControlError::NoQuorum { why });
            }
            sleep(AGAIN_AFTER).await;
        }
    }

    /// Has the group do without a node that is gone for good: one that follows votes in its place, if there is any.
    ///
    /// # Errors
    /// [`ControlError::Refused`] if the node is there, or the group would lose its majority, with the numbers.
    pub async fn expel(&self, name: &str) -> ControlResult<()> {
        let until = Moment::now() + self.inner.settings.write_patience;
        let mut why = "nobody leads it".to_owned();
        while Moment::now() < until {
            match timeout_at(until, self.expel_once(name)).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(NotHere::Ended(error))) => return Err(error),
                Ok(Err(NotHere::Refused(why))) => return Err(ControlError::Refused { why }),
                Ok(Err(NotHere::Later(later))) => why = later,
                Ok(Err(NotHere::Leads(_))) => {}
                Err(_) => break,
            }
            sleep(AGAIN_AFTER).await;
        }
        Err(ControlError::NoQuorum { why })
    }

    async fn expel_once(&self, name: &str) -> Result<(), NotHere> {
        let (leader, peer) = match self.expel_here(name).await {
            Err(NotHere::Leads(Some(leader))) => leader,
            other => return other,
        };
        let question = Question { to: Some(leader), ask: Ask::Expel { name: name.to_owned() } };
        // A change of who votes takes two rounds, and may wait for one that is under way.
        match self.inner.transport.ask(&peer, question, FORWARD_PATIENCE * 2).await {
            Ok(Told::Expelled) => Ok(()),
            Ok(Told::Refused { why }) => Err(NotHere::Refused(why)),
            Ok(Told::Failed { why }) => Err(NotHere::Later(why)),
            Ok(Told::NotLeader { leader }) => Err(NotHere::Leads(leader)),
            Ok(other) => Err(NotHere::Later(format!("{} answers something else: {other:?}", peer.address))),
            Err(error) => Err(NotHere::Later(error.to_string())),
        }
    }

    async fn expel_here(&self, name: &str) -> Result<(), NotHere> {
        // One that leads since a moment ago has heard of nobody yet; whoever is there answers within it.
        self.without(name)?;
        sleep(THERE_FOR / 4).await;
        let change = self.without(name)?;
        self.inner.raft.change_membership(change, false).await.map(drop).map_err(not_here)
    }

    fn without(&self, name: &str) -> Result<ChangeMembers<NodeId, Peer>, NotHere> {
        let metrics = self.inner.raft.metrics().borrow().clone();
        if metrics.current_leader != Some(metrics.id) {
            let leader = metrics.current_leader;
            let peer = leader.and_then(|leader| metrics.membership_config.membership().get_node(&leader).cloned());
            return Err(NotHere::Leads(leader.zip(peer)));
        }
        let answers = |peer: &Peer| self.inner.transport.heard(peer).is_some_and(|ago| ago < THERE_FOR);
        without(&metrics, name, answers).map_err(NotHere::Refused)
    }

    async fn write_once(&self, command: Command) -> Result<Answer, NotHere> {
        let (leader, peer) = match self.write_here(command.clone()).await {
            Err(NotHere::Leads(Some(leader))) => leader,
            other => return other,
        };
        let question = Question { to: Some(leader), ask: Ask::Write(command) };
        match self.inner.transport.ask(&peer, question, FORWARD_PATIENCE).await {
            Ok(Told::Written(answer)) => Ok(answer),
            Ok(Told::Failed { why }) => Err(NotHere::Later(why)),
            Ok(Told::NotLeader { leader }) => Err(NotHere::Leads(leader)),
            Ok(other) => Err(NotHere::Later(format!("{} answers something else: {other:?}", peer.address))),
            Err(error) => Err(NotHere::Later(error.to_string())),
        }
    }

    async fn write_here(&self, command: Command) -> Result<Answer, NotHere> {
        let written = self.inner.raft.client_write(command).await.map_err(not_here)?;
        written.data.ok_or_else(|| NotHere::Later("the command was answered with nothing".to_owned()))
    }

    async fn admit_here(&self, id: NodeId, peer: Peer) -> Result<(), NotHere> {
        let membership = self.inner.raft.metrics().borrow().membership_config.membership().clone();
        // Who has a name without its former log takes the place of who had it: a name is a certificate's, and nobody else can have it.
        let before: Vec<NodeId> =
            membership.nodes().filter(|(other, known)| **other != id && known.name == peer.name).map(|(other, _)| *other).collect();
        let known = membership.get_node(&id);
        if known != Some(&peer) {
            let nodes = BTreeMap::from([(id, peer)]);
            self.change(if known.is_some() { ChangeMembers::SetNodes(nodes) } else { ChangeMembers::AddNodes(nodes) }).await?;
        }
        for other in before {
            let is_voter = membership.voter_ids().any(|voter| voter == other);
            let other = BTreeSet::from([other]);
            self.change(if is_voter { ChangeMembers::RemoveVoters(other) } else { ChangeMembers::RemoveNodes(other) }).await?;
        }
        Ok(())
    }

    async fn change(&self, change: ChangeMembers<NodeId, Peer>) -> Result<(), NotHere> {
        // Voters that were removed do not stay as learners.
        let retain = !matches!(change, ChangeMembers::RemoveVoters(_));
        self.inner.raft.change_membership(change, retain).await.map(drop).map_err(not_here)
    }

    /// Answers another node of the group. Ends when it cannot be known in time.
    pub async fn answer(&self, question: Question) -> Told {
        if question.to.is_some_and(|to| to != self.inner.id) {
            return Told::Failed { why: "it is meant for the node that was here before".to_owned() };
        }
        match timeout(self.inner.settings.write_patience, self.answered(question.ask)).await {
            Ok(told) => told,
            Err(_) => Told::Failed { why: "whoever leads reaches no majority".to_owned() },
        }
    }

    async fn answered(&self, ask: Ask) -> Told {
        match ask {
            Ask::Append(append) => self.append(append).await,
            Ask::Vote(candidate) => self.vote(candidate).await,
            Ask::Snapshot(piece) => self.snapshot(piece).await,
            Ask::Write(command) => self.write_here(command).await.map_or_else(told, Told::Written),
            Ask::Admit { id, peer } => self.admit_here(id, peer).await.map_or_else(told, |()| Told::Admitted),
            Ask::Expel { name } => self.expel_here(&name).await.map_or_else(told, |()| Told::Expelled),
        }
    }

    /// Looks at what came, beside what this node knows. Gives its vote.
    async fn checked(&self, check: impl FnOnce(&Own<'_>) -> Result<(), &'static str>) -> Result<Vote, Told> {
        let vote = self.inner.raft.with_raft_state(|state| *state.vote_ref()).await.map_err(|error| failed(&error))?;
        let applied = self.inner.machine.look_at(|last, _| last);
        self.inner.log.look(|known| {
            let committed = known.head.committed.max(applied);
            let own = Own { id: self.inner.id, vote, known, committed };
            // A vote that is behind is refused by Raft, which tells the newer one.
            check(&own).map(|()| vote).map_err(|why| Told::Failed { why: format!("this is refused: {why}") })
        })
    }

    async fn append(&self, append: AppendEntriesRequest<Types>) -> Told {
        if let Err(refused) = self.checked(|own| own.check_append(&append)).await {
            return refused;
        }
        match self.inner.raft.append_entries(append).await {
            Ok(answer) => {
                self.inner.heard.appended(&answer);
                Told::Append(answer)
            }
            Err(error) => failed(&error),
        }
    }

    async fn vote(&self, candidate: VoteRequest<NodeId>) -> Told {
        if let Err(refused) = self.checked(|own| own.check_candidate(&candidate)).await {
            return refused;
        }
        match self.inner.raft.vote(candidate).await {
            Ok(answer) => {
                self.inner.heard.voted(&answer);
                Told::Vote(answer)
            }
            Err(error) => failed(&error),
        }
    }

    /// Takes a piece of a snapshot. What cannot be read is never Raft's: it would take that for damage of this node's own disk, and end.
    async fn snapshot(&self, piece: InstallSnapshotRequest<Types>) -> Told {
        let mut is_known = false;
        let checking = self.checked(|own| {
            is_known = own.has_all_of(&piece);
            own.check_snapshot(&piece)
        });
        let vote = match checking.await {
            Ok(vote) => vote,
            Err(refused) => return refused,
        };
        if is_known || piece.vote < vote {
            return Told::Snapshot(Ok(InstallSnapshotResponse { vote }));
        }
        self.inner.heard.again();
        let (by, meta) = (piece.vote, piece.meta.clone());
        let bytes = match self.inner.coming.lock().unwrap_or_else(PoisonError::into_inner).take(piece) {
            Piece::More => return Told::Snapshot(Ok(InstallSnapshotResponse { vote })),
            Piece::Mismatch(mismatch) => return Told::Snapshot(Err(mismatch)),
            Piece::Refused(why) => return Told::Failed { why: format!("this is refused: {why}") },
            Piece::Whole(bytes) => bytes,
        };
        if let Err(why) = check_state(&bytes) {
            return Told::Failed { why: format!("this is refused: {why}") };
        }
        match self.inner.raft.install_full_snapshot(by, Snapshot { meta, snapshot: Box::new(Cursor::new(bytes)) }).await {
            Ok(answer) => Told::Snapshot(Ok(InstallSnapshotResponse { vote: answer.vote })),
            Err(error) => failed(&error),
        }
    }

    /// What this node knows of its group.
    pub fn look(&self) -> GroupLook {
        GroupLook::of(&self.inner.raft.metrics().borrow())
    }

    /// Waits until it looks like this.
    ///
    /// # Errors
    /// If the node ends, or after so long.
    pub async fn wait_for(&self, patience: Duration, is_so: impl Fn(&GroupLook) -> bool) -> ControlResult<GroupLook> {
        let mut metrics = self.inner.raft.metrics();
        let waiting = metrics.wait_for(|metrics| is_so(&GroupLook::of(metrics)));
        match timeout(patience, waiting).await {
            Ok(Ok(metrics)) => Ok(GroupLook::of(&metrics)),
            Ok(Err(_)) => Err(ControlError::Ended { why: "it was shut down".to_owned() }),
            Err(_) => Err(ControlError::NoQuorum { why: "what was waited for did not come about in time".to_owned() }),
        }
    }

    /// Looks at what is agreed on, as far as this node has heard of it.
    pub fn read<T>(&self, look: impl FnOnce(&Control) -> T) -> T {
        self.inner.machine.look(look)
    }

    /// The same, with the last entry of the log that it has applied.
    pub fn read_at<T>(&self, look: impl FnOnce(Option<LogId>, &Control) -> T) -> T {
        self.inner.machine.look_at(look)
    }

    /// Ends the node at once; what it has on disk stays.
    pub async fn shut_down(&self) {
        self.beside().drain(..).for_each(|beside| beside.abort());
        if let Err(error) = self.inner.raft.shutdown().await {
            tracing::warn!(%error, "the control group ended badly at this node");
        }
    }
}

fn failed(error: &dyn std::error::Error) -> Told {
    Told::Failed { why: error.to_string() }
}

fn ended(error: &Fatal<NodeId>) -> ControlError {
    ControlError::Ended { why: error.to_string() }
}

fn not_here(error: RaftError<NodeId, ClientWriteError<NodeId, Peer>>) -> NotHere {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(ForwardToLeader { leader_id, leader_node })) => {
            NotHere::Leads(leader_id.zip(leader_node))
        }
        RaftError::APIError(ClientWriteError::ChangeMembershipError(error)) => NotHere::Later(error.to_string()),
        RaftError::Fatal(error) => NotHere::Ended(ended(&error)),
    }
}

fn told(not_here: NotHere) -> Told {
    match not_here {
        NotHere::Leads(leader) => Told::NotLeader { leader },
        NotHere::Later(why) => Told::Failed { why },
        NotHere::Refused(why) => Told::Refused { why },
        NotHere::Ended(error) => Told::Failed { why: error.to_string() },
    }
}

/// While this node leads, gives votes to those that lack one.
async fn tend(group: std::sync::Weak<Inner>, every: Duration) {
    loop {
        sleep(every).await;
        let Some(inner) = group.upgrade() else { return };
        let promoted = promoted(&inner.raft.metrics().borrow());
        if let Some(change) = promoted {
            let raft = inner.raft.clone();
            drop(inner);
            // Whoever it is promoted for may be gone again; the next look sees to it.
            if let Ok(Err(error)) = timeout(every * 4, raft.change_membership(change, true)).await {
                tracing::debug!(%error, "a node could not be given a vote");
            }
        }
    }
}

/// Texts of pipelines are in there: its user's alone.
#[cfg(unix)]
fn close(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
}

#[cfg(not(unix))]
fn close(_: &Path) -> io::Result<()> {
    // A user's folders are theirs by default there.
    Ok(())
}

/// Longest id, with what an editor may have put behind it.
const ID_BYTES: u64 = 64;

/// The node's id, drawn when the folder was made. Within 53 bits, as JSON's numbers are read by browsers.
fn own_id(place: &Place) -> ControlResult<NodeId> {
    const FILE: &str = "id";
    let path = place.path(FILE);
    let Some(bytes) = place.read(FILE, ID_BYTES)? else {
        let id = (time::draw() >> 11).max(1);
        place.replace(FILE, format!("{id:014x}\n").as_bytes()).map_err(ControlError::io(&path))?;
        return Ok(id);
    };
    let id = std::str::from_utf8(&bytes).ok().and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).filter(|id| *id != 0);
    id.ok_or_else(|| ControlError::damaged(&path, "it is no id"))
}
