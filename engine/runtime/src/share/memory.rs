//! Both sides of an attempt in one process: for tests, and to see that local is not special.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use millrace_state::store::Gate;
use tokio::sync::{Mutex as AsyncMutex, mpsc};

use super::{EdgeId, Edges, FarLeader, FarMember, member_lost};
use crate::error::RunResult;

/// Elements under way on an edge, orders and reports under way.
const UNDER_WAY: usize = 4;

/// Both ends of an edge; the sending one is gone once nothing more is sent.
#[derive(Clone)]
struct Ends {
    sender: Option<mpsc::Sender<Bytes>>,
    reading: Arc<AsyncMutex<mpsc::Receiver<Bytes>>>,
}

/// One direction of all edges.
#[derive(Default)]
struct Way {
    edges: Mutex<BTreeMap<EdgeId, Ends>>,
    is_over: AtomicBool,
}

impl Way {
    fn edge(&self, edge: EdgeId) -> Ends {
        let mut edges = self.edges.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = self.is_over.load(Ordering::Relaxed);
        let made = edges.entry(edge).or_insert_with(|| {
            let (sender, receiver) = mpsc::channel(UNDER_WAY);
            Ends { sender: (!is_over).then_some(sender), reading: Arc::new(AsyncMutex::new(receiver)) }
        });
        made.clone()
    }

    /// Nothing more is sent: who reads comes to the end of what is there.
    fn close(&self) {
        let mut edges = self.edges.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_over.store(true, Ordering::Relaxed);
        edges.values_mut().for_each(|ends| ends.sender = None);
    }
}

struct MemoryEdges {
    out: Arc<Way>,
    into: Arc<Way>,
}

impl Drop for MemoryEdges {
    fn drop(&mut self) {
        self.out.close();
        // Who still sends to this side finds that nobody is here.
        let edges = self.into.edges.lock().unwrap_or_else(PoisonError::into_inner);
        for Ends { reading, .. } in edges.values() {
            if let Ok(mut reading) = reading.try_lock() {
                reading.close();
            }
        }
    }
}

#[async_trait]
impl Edges for MemoryEdges {
    async fn send(&self, edge: EdgeId, bytes: Bytes) -> RunResult<()> {
        let gone = || member_lost("the other side of the run is gone".to_owned());
        let sender = self.out.edge(edge).sender.ok_or_else(gone)?;
        sender.send(bytes).await.map_err(|_| gone())
    }

    async fn receive(&self, edge: EdgeId) -> RunResult<Option<Bytes>> {
        let reading = self.into.edge(edge).reading;
        Ok(reading.lock().await.recv().await)
    }
}

/// Both sides of an attempt, joined.
pub fn joined() -> (FarMember, FarLeader) {
    let (give_orders, orders) = mpsc::channel(UNDER_WAY);
    let (give_reports, reports) = mpsc::channel(UNDER_WAY);
    let (to_member, to_leader) = (Arc::new(Way::default()), Arc::new(Way::default()));
    let member: Arc<dyn Edges> = Arc::new(MemoryEdges { out: to_leader.clone(), into: to_member.clone() });
    let leader: Arc<dyn Edges> = Arc::new(MemoryEdges { out: to_member, into: to_leader });
    (
        FarMember { orders: give_orders, reports, edges: leader, gate: Gate::default() },
        FarLeader { orders, reports: give_reports, edges: member },
    )
}
