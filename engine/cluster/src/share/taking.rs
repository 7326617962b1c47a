//! A member's end of a share.

use std::sync::Arc;

use bytes::Bytes;
use millrace_model::{Diagnostic, NodeId, Schema};
use millrace_runtime::share::{FarLeader, MemberOrder, MemberReport, ShareStart};
use millrace_wire::codes;
use millrace_wire::message::{DataHeader, Deployment, Event, ShareId};
use std::collections::BTreeMap;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::edges::LinkEdges;
use super::store::LinkStore;
use crate::data::DataQueue;
use crate::launch::RunLauncher;
use crate::link::{Answer, Answers};

/// Orders and reports under way.
const UNDER_WAY: usize = 64;

/// A share that this node has taken.
pub struct Taking {
    edges: Arc<LinkEdges>,
    store: Arc<LinkStore>,
    orders: mpsc::Sender<MemberOrder>,
    telling: AbortHandle,
}

/// What was asked of the node.
pub struct Wanted {
    pub share: ShareId,
    pub deployment: Deployment,
    pub columns: BTreeMap<NodeId, Schema>,
    pub start: serde_json::Value,
}

/// Begins a share. What becomes of it is told by events.
///
/// # Errors
/// If what is to begin cannot be read.
pub fn take(launcher: &Arc<dyn RunLauncher>, wanted: Wanted, answers: &Answers, out: &Arc<DataQueue>) -> Result<Taking, Diagnostic> {
    let Wanted { share, deployment, columns, start } = wanted;
    let start: ShareStart = serde_json::from_value(start).map_err(|error| {
        Diagnostic::error(codes::NOT_NOW, format!("the share to take cannot be read: {error}")).help("let all nodes be of one release")
    })?;
    let edges = LinkEdges::new(share, out.clone());
    let store = LinkStore::new(share, out.clone(), Handle::current());
    let (orders, ordered) = mpsc::channel(UNDER_WAY);
    let (reports, mut reported) = mpsc::channel::<MemberReport>(UNDER_WAY);
    let leader = FarLeader { orders: ordered, reports, edges: edges.clone() };
    let (launcher, kept, answers) = (launcher.clone(), store.clone(), answers.clone());
    tokio::spawn(async move { launcher.take_part(&deployment, &columns, start, kept, leader).await });
    let telling = tokio::spawn(async move {
        while let Some(report) = reported.recv().await {
            let Ok(report) = serde_json::to_value(report) else { break };
            if !answers.send(Answer::Event(Event::Share { share, report: Some(report) })).await {
                return;
            }
        }
        answers.send(Answer::Event(Event::Share { share, report: None })).await;
    });
    Ok(Taking { edges, store, orders, telling: telling.abort_handle() })
}

impl Taking {
    /// # Errors
    /// If the order cannot be read, or the share takes none any more.
    pub fn order(&self, order: serde_json::Value) -> Result<(), Diagnostic> {
        let order = serde_json::from_value(order)
            .map_err(|error| Diagnostic::error(codes::NOT_NOW, format!("the order cannot be read: {error}")))?;
        self.orders.try_send(order).map_err(|_| Diagnostic::error(codes::NOT_NOW, "the share takes no orders any more"))
    }

    /// Something has come on the data side. False if it is nothing that a leader sends.
    pub fn came(&self, header: DataHeader, bytes: Bytes) -> bool {
        match header {
            DataHeader::Edge { edge, raw, .. } => return self.edges.came(edge, bytes, raw).is_ok(),
            DataHeader::Credit { edge, bytes, hungry, .. } => self.edges.granted(edge, bytes, hungry),
            DataHeader::StoreAnswer { call, answer, last, .. } => self.store.answered(call, answer, &bytes, last),
            _ => return false,
        }
        true
    }
}

impl Drop for Taking {
    /// The leader is gone, or needs it no more: its orders end, which is an abort, and nothing it still does reaches anybody.
    fn drop(&mut self) {
        self.edges.close();
        self.store.close();
        self.telling.abort();
    }
}
