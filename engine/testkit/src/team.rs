//! A team of members in this process, of which a test may lose one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use millrace_plan::{LogicalPlan, Member};
use millrace_runtime::registry::Registry;
use millrace_runtime::share::{FarMember, Part, ShareStart, Team, joined, take_part};
use millrace_runtime::{HostContext, JobOptions, RunError, RunResult};
use tokio::task::AbortHandle;

/// What members know of the run before an attempt begins.
#[derive(Clone)]
pub struct Recipe {
    pub plan: LogicalPlan,
    pub registry: Registry,
    pub options: JobOptions,
    pub host: HostContext,
}

#[derive(Default)]
pub struct TestTeam {
    slots: Mutex<BTreeMap<Member, u32>>,
    recipe: Mutex<Option<Recipe>>,
    running: Mutex<BTreeMap<Member, AbortHandle>>,
    begun: Mutex<Vec<Member>>,
    unfit: Mutex<BTreeSet<Member>>,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl TestTeam {
    /// Members 1, 2, .. with so many slots each.
    pub fn of(slots: &[u32]) -> Arc<TestTeam> {
        let members = slots.iter().zip(1..).map(|(slots, member)| (Member(member), *slots));
        Arc::new(TestTeam { slots: Mutex::new(members.collect()), ..TestTeam::default() })
    }

    /// Tells members of a run.
    pub fn learn(&self, recipe: Recipe) {
        *lock(&self.recipe) = Some(Recipe { host: HostContext { team: None, ..recipe.host }, ..recipe });
    }

    /// Ends a member as a crash would; it comes to no later muster.
    pub fn lose(&self, member: u32) {
        lock(&self.slots).remove(&Member(member));
        if let Some(running) = lock(&self.running).remove(&Member(member)) {
            running.abort();
        }
    }

    /// A member comes to no later muster, and goes on with what it has.
    pub fn spare(&self, member: u32) {
        lock(&self.slots).remove(&Member(member));
    }

    /// A member comes to each muster and can begin nothing: it is of a release that knows none of the kinds.
    pub fn unfit(&self, member: u32) {
        lock(&self.unfit).insert(Member(member));
    }

    /// The members that have begun an attempt, in order.
    pub fn begun(&self) -> Vec<u32> {
        lock(&self.begun).iter().map(|member| member.0).collect()
    }
}

#[async_trait]
impl Team for TestTeam {
    async fn muster(&self) -> BTreeMap<Member, u32> {
        lock(&self.slots).clone()
    }

    async fn begin(&self, start: ShareStart) -> RunResult<FarMember> {
        let Some(Recipe { plan, registry, options, host }) = lock(&self.recipe).clone() else {
            return Err(RunError::bug("the team was told of no run"));
        };
        let (member, leader) = joined();
        let host = HostContext { state: host.state.map(|home| home.behind(&member.gate)), ..host };
        let me = start.me;
        let is_unfit = lock(&self.unfit).contains(&me);
        let registry = if is_unfit { Registry::default() } else { registry };
        lock(&self.begun).extend((!is_unfit).then_some(me));
        let running = tokio::spawn(take_part(Part { plan, registry, options, host, start }, leader));
        lock(&self.running).insert(me, running.abort_handle());
        Ok(member)
    }
}
