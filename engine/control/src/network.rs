//! What the nodes of a group say to each other, and what carries it: sessions in earnest, a table in tests.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use openraft::error::{InstallSnapshotError, NetworkError, RPCError, RaftError, RemoteError, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse, VoteRequest, VoteResponse,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::answers;
use crate::config::{NodeId, Peer, Types};
use crate::control::{Answer, Command};

/// What one node of a group asks of another.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "ask", content = "with")]
pub enum Ask {
    Append(AppendEntriesRequest<Types>),
    Vote(VoteRequest<NodeId>),
    Snapshot(InstallSnapshotRequest<Types>),
    /// A command that a client gave to whoever asks. Only the leader takes it.
    Write(Command),
    /// A node wants to be of the group. Only the leader takes it.
    Admit {
        id: NodeId,
        peer: Peer,
    },
    /// A node is gone for good, as somebody says. Only the leader takes it.
    Expel {
        name: String,
    },
}

/// A question, and whom it is for.
///
/// A node that lost its log comes back as another one at the same address. What was meant for the one before would be answered by a log that lacks what
/// that one had said it holds, and a leader takes such an answer for a fault of its own.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Question {
    /// None if whoever listens there is meant: one that comes does not know who that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<NodeId>,
    pub ask: Ask,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "told", content = "with")]
pub enum Told {
    Append(AppendEntriesResponse<NodeId>),
    Vote(VoteResponse<NodeId>),
    Snapshot(Result<InstallSnapshotResponse<NodeId>, InstallSnapshotError>),
    Written(Answer),
    Admitted,
    /// Somebody else leads, if anybody does.
    NotLeader {
        leader: Option<(NodeId, Peer)>,
    },
    /// It could not be done, and may be later.
    Failed {
        why: String,
    },
    /// The node is of the group no more.
    Expelled,
    /// It may not be done as the group is.
    Refused {
        why: String,
    },
}

/// A node of the group did not answer.
#[derive(Debug, Clone, Error)]
#[error("{address} does not answer: {why}")]
pub struct NoAnswer {
    pub address: String,
    pub why: String,
}

/// Carries questions to the other nodes of a group.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Asks whoever listens at a node's address, and waits for so long.
    async fn ask(&self, peer: &Peer, question: Question, patience: Duration) -> Result<Told, NoAnswer>;

    /// How long ago a node last answered; none if it never did, or nobody counts.
    fn heard(&self, _peer: &Peer) -> Option<Duration> {
        None
    }
}

/// How soon a node that did not answer is asked again.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Raft's way to the others.
#[derive(Clone)]
pub struct Ways(pub Arc<dyn Transport>);

/// Raft's way to one.
pub struct Way {
    transport: Arc<dyn Transport>,
    id: NodeId,
    peer: Peer,
}

impl RaftNetworkFactory<Types> for Ways {
    type Network = Way;

    async fn new_client(&mut self, target: NodeId, node: &Peer) -> Way {
        Way { transport: self.0.clone(), id: target, peer: node.clone() }
    }
}

type Failure<E> = RPCError<NodeId, Peer, E>;

impl Way {
    async fn ask<E: std::error::Error>(&self, ask: Ask, option: &RPCOption) -> Result<Told, Failure<E>> {
        let question = Question { to: Some(self.id), ask };
        let asked = self.transport.ask(&self.peer, question, option.hard_ttl()).await;
        asked.map_err(|error| RPCError::Unreachable(Unreachable::new(&error)))
    }

    /// What no honest node answers is no answer.
    fn believed<E: std::error::Error>(&self, checked: Result<(), &'static str>) -> Result<(), Failure<E>> {
        checked.map_err(|why| {
            let why = format!("its answer is refused: {why}");
            RPCError::Network(NetworkError::new(&NoAnswer { address: self.peer.address.clone(), why }))
        })
    }

    /// An answer to something else, or none.
    fn other<E: std::error::Error>(&self, told: Told) -> Failure<E> {
        let why = match told {
            Told::Failed { why } => why,
            other => format!("it answers something else: {other:?}"),
        };
        RPCError::Network(NetworkError::new(&NoAnswer { address: self.peer.address.clone(), why }))
    }
}

impl RaftNetwork<Types> for Way {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<NodeId>, Failure<RaftError<NodeId>>> {
        let asked = answers::Appended::of(&rpc);
        match self.ask(Ask::Append(rpc), &option).await? {
            Told::Append(answer) => self.believed(asked.check(&answer)).map(|()| answer),
            told => Err(self.other(told)),
        }
    }

    async fn install_snapshot(
        &mut self,
        rpc: InstallSnapshotRequest<Types>,
        option: RPCOption,
    ) -> Result<InstallSnapshotResponse<NodeId>, Failure<RaftError<NodeId, InstallSnapshotError>>> {
        let asked = rpc.vote;
        match self.ask(Ask::Snapshot(rpc), &option).await? {
            Told::Snapshot(Ok(answer)) => self.believed(answers::check_vote(&asked, &answer.vote)).map(|()| answer),
            Told::Snapshot(Err(error)) => Err(RPCError::RemoteError(RemoteError::new(self.id, RaftError::APIError(error)))),
            told => Err(self.other(told)),
        }
    }

    async fn vote(&mut self, rpc: VoteRequest<NodeId>, option: RPCOption) -> Result<VoteResponse<NodeId>, Failure<RaftError<NodeId>>> {
        let asked = rpc.vote;
        match self.ask(Ask::Vote(rpc), &option).await? {
            Told::Vote(answer) => self.believed(answers::check_voter(&asked, &answer)).map(|()| answer),
            told => Err(self.other(told)),
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(AGAIN_AFTER))
    }
}
