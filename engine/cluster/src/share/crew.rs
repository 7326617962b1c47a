//! The nodes that an engine may spread its runs over, and a run's use of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use millrace_model::{NodeId, Schema};
use millrace_plan::{Member, PhysicalPlan, Placement};
use millrace_runtime::share::{FarMember, ShareStart, Team, member_lost};
use millrace_runtime::{RunError, RunResult};
use millrace_state::checkpoint::{Paths, RunId};
use millrace_state::store::{Gate, Gated, Store};
use millrace_wire::message::{Deployment, JobId, ShareId};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::drains::Drains;
use crate::client::EngineClient;
use crate::contact::Contact;
use crate::control::ControlNode;
use crate::node::Token;
use crate::seen::{Seen, Watching};
use crate::trust::Name;

/// How long a run that begins waits for a node whose connection is being made again.
const A_MOMENT: Duration = Duration::from_secs(1);
/// Orders under way to a member.
const ORDERS: usize = 16;

/// The nodes that have enlisted.
#[derive(Default)]
pub struct Crew {
    enlisted: Mutex<Enlisted>,
    next_share: AtomicU64,
    seen: Seen,
    /// Whether this very process is being emptied.
    drains: Drains,
    /// Whether runs are spread anew when a node comes, without anybody's asking.
    balances: AtomicBool,
    /// Set once the node is of a control group.
    control: OnceLock<ControlNode>,
}

#[derive(Default)]
struct Enlisted {
    last: u32,
    nodes: BTreeMap<Member, Hand>,
}

/// One node.
struct Hand {
    address: String,
    mark: Mark,
    client: EngineClient,
    slots: u32,
    /// Whether it is being emptied: it is not asked to take part.
    drains: bool,
    _watching: Watching,
}

/// What tells a node from another at the same address.
#[derive(Debug, Clone)]
pub enum Mark {
    /// Each start of a node makes its own.
    Token(Token),
    /// Its certificate's.
    Name(Name),
}

impl Mark {
    fn is_same(&self, other: &Mark) -> bool {
        match (self, other) {
            (Mark::Token(a), Mark::Token(b)) => a.is_same(b),
            (Mark::Name(a), Mark::Name(b)) => a == b,
            _ => false,
        }
    }
}

impl Crew {
    fn enlisted(&self) -> MutexGuard<'_, Enlisted> {
        self.enlisted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this very node is in reach, so that it need not be called back.
    pub fn has(&self, address: &str, mark: &Mark, slots: u32) -> bool {
        let is_it = |hand: &Hand| hand.address == address && hand.slots == slots.max(1) && hand.mark.is_same(mark);
        self.enlisted().nodes.values().any(|hand| is_it(hand) && !hand.client.contact().borrow().is_lost())
    }

    /// Takes a node on, in place of what was at that address before. `slots`: of how many tasks of each operator it takes part.
    pub fn enlist(&self, address: &str, mark: Mark, client: EngineClient, slots: u32) -> Member {
        let mut enlisted = self.enlisted();
        self.keep(&mut enlisted, |hand| if hand.address == address { Some("it has joined again".to_owned()) } else { None });
        enlisted.last += 1;
        let (member, slots) = (Member(enlisted.last), slots.max(1));
        self.seen.joined(member, address, slots);
        let watching = Watching::start(self.seen.clone(), member, client.clone());
        enlisted.nodes.insert(member, Hand { address: address.to_owned(), mark, client, slots, drains: false, _watching: watching });
        member
    }

    /// Lets those go of whom there is a reason to, and tells why, unless contact was lost before: whoever finds that first tells it.
    fn keep(&self, enlisted: &mut Enlisted, gone: impl Fn(&Hand) -> Option<String>) {
        enlisted.nodes.retain(|member, hand| {
            let lost = match &*hand.client.contact().borrow() {
                Contact::Lost { why, .. } => Some(why.clone()),
                _ => gone(hand),
            };
            if let Some(why) = &lost {
                self.seen.lost(*member, why);
            }
            lost.is_none()
        });
    }

    /// A node at an address is being emptied from now on, or is not any more. False if that is no news.
    pub fn tell_drains(&self, address: &str, drains: bool) -> bool {
        let mut enlisted = self.enlisted();
        let of_address = enlisted.nodes.iter_mut().filter(|(_, hand)| hand.address == address && hand.drains != drains);
        let turned: Vec<Member> = of_address
            .map(|(member, hand)| {
                hand.drains = drains;
                *member
            })
            .collect();
        turned.iter().for_each(|member| self.seen.drains(*member, drains));
        !turned.is_empty()
    }

    /// Whether this process is being emptied.
    pub const fn drains(&self) -> &Drains {
        &self.drains
    }

    /// The nodes in reach that are being emptied.
    pub fn draining(&self) -> BTreeMap<Member, String> {
        let enlisted = self.enlisted();
        enlisted.nodes.iter().filter(|(_, hand)| hand.drains).map(|(member, hand)| (*member, hand.address.clone())).collect()
    }

    /// Whether a node at an address is known to be being emptied.
    pub fn is_draining(&self, address: &str) -> bool {
        self.enlisted().nodes.values().any(|hand| hand.drains && hand.address == address)
    }

    /// The slots of all that may be asked to take part, by member.
    pub fn slots(&self) -> BTreeMap<Member, u32> {
        let mut enlisted = self.enlisted();
        self.keep(&mut enlisted, |_| None);
        enlisted.nodes.iter().filter(|(_, hand)| !hand.drains).map(|(member, hand)| (*member, hand.slots)).collect()
    }

    /// All of them together.
    pub fn hands(&self) -> u32 {
        self.slots().values().sum()
    }

    /// From now on runs are spread anew whenever a node comes that they would be spread better with.
    pub fn balance_by_itself(&self) {
        self.balances.store(true, Ordering::Relaxed);
    }

    pub fn balances_by_itself(&self) -> bool {
        self.balances.load(Ordering::Relaxed)
    }

    /// A node by its number, or by its address with or without a scheme.
    pub fn find(&self, node: &str) -> Option<(Member, String, EngineClient)> {
        let bare = |address: &str| address.split_once("://").map_or(address, |(_, authority)| authority).trim_end_matches('/').to_owned();
        let number = node.parse().ok().map(Member);
        let enlisted = self.enlisted();
        let mut nodes = enlisted.nodes.iter();
        let found = nodes.find(|(member, hand)| Some(**member) == number || bare(&hand.address) == bare(node));
        found.map(|(member, hand)| (*member, hand.address.clone(), hand.client.clone()))
    }

    /// What is known of the nodes and of what they do.
    pub const fn seen(&self) -> &Seen {
        &self.seen
    }

    /// The node's part in its control group; none if it is of none.
    pub fn control(&self) -> Option<&ControlNode> {
        self.control.get()
    }

    /// From now on the node is of a control group, and its runs are entered there. False if it was of one before.
    pub fn take_control(&self, control: ControlNode) -> bool {
        self.control.set(control).is_ok()
    }

    /// The addresses and slots of the nodes in reach.
    pub fn present(&self) -> Vec<(Member, String, u32)> {
        let mut enlisted = self.enlisted();
        self.keep(&mut enlisted, |_| None);
        enlisted.nodes.iter().map(|(member, hand)| (*member, hand.address.clone(), hand.slots)).collect()
    }

    /// The slots of the nodes that can be spoken to and are not being emptied. One whose connection is being made again is waited for, a moment: it may be back at once, or be
    /// gone, which is known much later.
    pub async fn in_reach(&self) -> BTreeMap<Member, u32> {
        let hands = |enlisted: &Enlisted| -> Vec<_> {
            let nodes = enlisted.nodes.iter().filter(|(_, hand)| !hand.drains);
            nodes.map(|(member, hand)| (*member, hand.slots, hand.client.contact())).collect()
        };
        let nodes = hands(&self.enlisted());
        let asked = nodes.into_iter().map(|(member, slots, mut contact)| async move {
            let known = timeout(A_MOMENT, contact.wait_for(|contact| !contact.is_resuming())).await;
            // Who does not come back in time, or is gone with its contact, is not in reach.
            let is_there = matches!(known, Ok(Ok(contact)) if *contact == Contact::Connected);
            is_there.then_some((member, slots))
        });
        join_all(asked).await.into_iter().flatten().collect()
    }

    fn client(&self, member: Member) -> Option<EngineClient> {
        self.enlisted().nodes.get(&member).map(|hand| hand.client.clone())
    }
}

/// A run's use of the crew.
pub struct RunTeam {
    pub crew: Arc<Crew>,
    pub job: JobId,
    pub deployment: Deployment,
    /// The columns of its sources.
    pub columns: BTreeMap<NodeId, Schema>,
    /// Where its state lies; none if it is not kept.
    pub store: Option<Arc<dyn Store>>,
}

#[async_trait]
impl Team for RunTeam {
    async fn muster(&self) -> BTreeMap<Member, u32> {
        let members = self.crew.in_reach().await;
        // Looked at first: what was lost with a node that is gone is told by where the last attempt was spread.
        let _ = self.crew.present();
        self.crew.seen().gathers(self.job);
        members
    }

    fn spread(&self, plan: &PhysicalPlan, placement: &Placement, stays: &[bool]) {
        self.crew.seen().placed(self.job, &self.deployment.name, plan, placement, stays);
    }

    async fn begin(&self, start: ShareStart) -> RunResult<FarMember> {
        let member = start.me;
        let client = self.crew.client(member).filter(|client| !client.contact().borrow().is_lost());
        let unreachable = |why: &dyn std::fmt::Display| unreachable(&self.name(member), why);
        let client = client.ok_or_else(|| unreachable(&"it is gone"))?;
        let share = ShareId(self.crew.next_share.fetch_add(1, Ordering::Relaxed) + 1);
        let within = Paths { run: RunId(start.run_start_us) }.run();
        let start = serde_json::to_value(start).map_err(|error| RunError::bug(error.to_string()))?;
        let gate = Gate::default();
        let store = self.store.clone().map(|store| (Arc::new(Gated::new(store, gate.clone())) as Arc<dyn Store>, within));
        let begun = client.take_part(share, self.deployment.clone(), self.columns.clone(), start, store).await;
        let (reports, edges) = begun.map_err(|error| unreachable(&error))?;
        let (orders, mut ordered) = mpsc::channel(ORDERS);
        tokio::spawn(async move {
            while let Some(order) = ordered.recv().await {
                // A member that takes no orders is lost, which is told by its reports.
                let _ = client.order(share, &order).await;
            }
            client.dismiss(share).await;
        });
        Ok(FarMember { orders, reports, edges, gate })
    }

    fn name(&self, member: Member) -> String {
        let address = self.crew.seen().address(member);
        address.map_or_else(|| format!("process {} of the run", member.0), |address| format!("the node at {address}"))
    }
}

fn unreachable(name: &str, why: &dyn std::fmt::Display) -> RunError {
    member_lost(format!("{name} cannot take part: {why}"))
}
