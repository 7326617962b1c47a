//! Nodes of a control group in one process.

use std::sync::Arc;
use std::time::Duration;

use millrace_cluster::control::{ControlNode, Happened, Peer, Settings, Ways};
use millrace_cluster::node::Token;
use millrace_cluster::seen::Seen;
use millrace_cluster::share::Crew;
use millrace_cluster::{Credential, HostLimits, Node, NodeOptions, serve};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::host_of;

/// A node of a control group, in this process. All share one token: here nobody has a certificate.
pub struct Member {
    node: Option<Node>,
    pub control: ControlNode,
    pub seen: Seen,
    keeping: JoinHandle<()>,
    pub address: String,
    _folder: TempDir,
}

impl Member {
    pub async fn start(name: &str, token: &Token, join: Option<&str>) -> Member {
        let crew = Arc::<Crew>::default();
        let (host, _) = host_of(HostLimits::default(), crew.clone());
        let options = NodeOptions { token: Some(token.clone()), ..NodeOptions::default() };
        let node = serve("127.0.0.1:0", host, options).await.unwrap();
        let address = format!("ws://{}", node.address());
        let (folder, shown) = (tempfile::tempdir().unwrap(), token.reveal());
        let ways = Arc::new(Ways::new(Arc::new(move |_: &Peer| Credential::Token(shown.clone()))));
        let own = Peer { name: name.to_owned(), address: address.clone() };
        let control = ControlNode::open(folder.path(), ways, own, 2, Settings::default()).await.unwrap();
        assert!(crew.take_control(control.clone()));
        let (kept, join) = (control.clone(), join.map(str::to_owned));
        let seen = crew.seen().clone();
        let tell = move |happened| {
            if let Happened::Changed(look) = happened {
                crew.seen().control(&look);
            }
        };
        let keeping = tokio::spawn(async move { kept.keep(join.as_deref(), tell).await });
        Member { node: Some(node), control, seen, keeping, address, _folder: folder }
    }

    pub fn leader(&self) -> Option<String> {
        self.control.look().leader().map(|node| node.name.clone())
    }

    /// As if its process were killed.
    pub async fn kill(&mut self) {
        self.keeping.abort();
        self.node = None;
        self.control.group().shut_down().await;
    }
}

pub async fn three(token: &Token) -> Vec<Member> {
    let first = Member::start("a", token, None).await;
    let address = first.address.clone();
    let mut members = vec![first];
    for name in ["b", "c"] {
        members.push(Member::start(name, token, Some(&address)).await);
    }
    let end = Instant::now() + Duration::from_secs(20);
    while !members.iter().all(|member| member.control.look().survives == 1 && member.leader().is_some()) {
        let looks: Vec<_> = members.iter().map(|member| member.control.look()).collect();
        assert!(Instant::now() < end, "three do not vote: {looks:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    members
}
