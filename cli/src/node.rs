//! `millrace node`.

use std::cell::RefCell;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use millrace_engine::Engine;
use millrace_engine::cluster::control::{ControlError, ControlNode, Happened, Peer, Settings, Ways, code};
use millrace_engine::cluster::share::{Enlistment, stay_enlisted};
use millrace_engine::cluster::trust::{Guard, JoinToken, Keyring, Name, TrustError, folder_in, member};
use millrace_engine::cluster::{ClientError, Credential, Node, NodeOptions, serve as serve_node};
use tokio::net::{UdpSocket, lookup_host};

use crate::arguments::{Balance, NodeArguments};
use crate::check::sharing;
use crate::cluster::words::{self, control_group};
use crate::exit;
use crate::interrupt::interrupted;
use crate::output::{complain, say};
use crate::standing::{keep_known, known, peers_of, stand_by as stand_by_all};
use crate::trust::own_label;

/// How long the token serves that a cluster's first start prints.
const FIRST_TOKEN_LIFE: Duration = Duration::from_secs(24 * 3600);

/// Listens until Ctrl-C. Prints where, and what lets others in.
pub async fn serve(arguments: NodeArguments) -> anyhow::Result<u8> {
    let engine = sharing(shared(&arguments.shared)?, arguments.state_memory)?;
    let leader = arguments.join.as_deref().map(|join| Leader::read(join, arguments.data.is_some()));
    let (guard, join_token) = match guard(&arguments, leader.as_ref()).await {
        Ok(guard) => guard,
        Err(error) => {
            complain(format_args!("error[{}]: {error}", error.code()));
            return Ok(exit::FAILED);
        }
    };
    let advertised = match arguments.advertise.as_deref().map(|address| authority(address, guard.is_some())).transpose() {
        Ok(advertised) => advertised,
        Err(error) => {
            complain(format_args!("error: {error}"));
            return Ok(exit::USAGE);
        }
    };
    let keeping = match arguments.data.as_deref().filter(|_| guard.is_some()) {
        Some(data) => Some(engine.keep_timeline(data.join("timeline.json")).await.context("the fault timeline cannot be kept")?),
        None => None,
    };
    let options = NodeOptions { guard: guard.clone(), advertised: advertised.clone(), ..NodeOptions::default() };
    let node = match serve_node(&arguments.listen, engine.host().clone(), options).await {
        Ok(node) => node,
        Err(error) => {
            complain(format_args!("error: {error}"));
            return Ok(exit::FAILED);
        }
    };
    greet(&node, advertised.as_deref(), guard.is_some(), join_token.as_ref())?;
    let address = own_address(&node, advertised.as_deref(), leader.as_ref(), guard.is_some()).await;
    let control = match control(&arguments, &address, guard.as_ref()).await {
        Ok(control) => control,
        Err(error) => return Ok(failed(&error)),
    };
    if let Some(control) = &control {
        engine.take_control(control.clone());
        if let Some(guard) = &guard {
            guard.take_group(control.group().clone());
        }
    }
    let own = Enlistment {
        token: guard.is_none().then(|| node.token().clone()),
        slots: slots(&arguments),
        drains: engine.drains().clone(),
        learned: known(arguments.data.as_deref().filter(|_| guard.is_some())),
        address,
    };
    if arguments.balance == Balance::Auto {
        engine.balance_by_itself();
    }
    tokio::select! {
        () = ends(&engine, arguments.drain_within) => {}
        () = take_part(&arguments, leader.as_ref(), guard.as_ref(), &own) => {}
        () = agree(&engine, control.as_ref(), leader.as_ref()) => {}
        () = engine.keep_deployments() => {}
        () = share_timeline(&engine, control.as_ref()) => {}
        () = stand_by(&arguments, control.as_ref(), leader.as_ref(), guard.as_ref(), &own) => {}
        () = tend(guard.as_ref(), leader.as_ref()) => {}
    }
    if let Some(control) = &control {
        // What it leads goes on elsewhere.
        control.leave();
    }
    if let Some(keeping) = keeping {
        keeping.finish().await;
    }
    Ok(exit::DONE)
}

/// Waits until the process is asked to end, and what runs here has gone elsewhere, as far as it can.
async fn ends(engine: &Engine, within: Duration) {
    interrupted().await;
    if !engine.host().is_empty() {
        complain(format_args!(
            "draining: what runs here goes to other nodes, within {}; asked again, it ends at once",
            words::time(within)
        ));
    }
    tokio::select! {
        () = engine.host().drain_before_end(within) => {}
        () = interrupted() => {}
    }
}

/// The folders that are shared, as paths without links: what others call them is compared with.
fn shared(folders: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let real = |folder: &PathBuf| folder.canonicalize().with_context(|| format!("the shared folder {} cannot be used", folder.display()));
    folders.iter().map(real).collect()
}

/// The node to join.
struct Leader {
    /// `wss://HOST:PORT`
    address: String,
    /// `HOST:PORT`
    authority: String,
    is_secure: bool,
}

impl Leader {
    /// An address without a scheme is one with TLS if this node has a folder for its certificate.
    fn read(join: &str, has_data: bool) -> Leader {
        let join = join.trim_end_matches('/');
        let (scheme, authority) = join.split_once("://").unwrap_or((if has_data { "wss" } else { "ws" }, join));
        Leader { address: format!("{scheme}://{authority}"), authority: authority.to_owned(), is_secure: scheme == "wss" }
    }
}

/// What the node knows of its cluster, once it is of one: that of the node that it joins, or one of its own.
async fn guard(arguments: &NodeArguments, leader: Option<&Leader>) -> Result<(Option<Arc<Guard>>, Option<JoinToken>), ClientError> {
    // Who joins a node of this machine by its token is of no cluster.
    let Some(data) = arguments.data.as_deref().filter(|_| leader.is_none_or(|leader| leader.is_secure)) else { return Ok((None, None)) };
    if let Some(leader) = leader {
        join(data, leader, arguments.token.as_deref()).await?;
    }
    let (guard, token) = Guard::open(data, FIRST_TOKEN_LIFE)?;
    Ok((Some(Arc::new(guard)), token))
}

/// Has the leader give a certificate, if there is none that serves.
async fn join(data: &Path, leader: &Leader, token: Option<&str>) -> Result<(), ClientError> {
    match member(&leader.authority, token, &own_label(), &Keyring::at(folder_in(data))).await {
        Err(ClientError::Trust(error)) if matches!(*error, TrustError::NotJoined { .. }) => {
            let why = "a node that has no certificate yet needs a join token to join it: --token MRJOIN-..";
            Err(ClientError::Address { address: leader.address.clone(), why })
        }
        joined => joined.map(|_| ()),
    }
}

fn greet(node: &Node, advertised: Option<&str>, is_secure: bool, token: Option<&JoinToken>) -> anyhow::Result<()> {
    let address = node.address();
    say(format_args!("listening {}://{address}", if is_secure { "wss" } else { "ws" }))?;
    if address.ip().is_loopback() || address.ip().is_unspecified() {
        say(format_args!("token {}", node.token().reveal()))?;
    }
    if let Some(token) = token {
        // As it can be pasted on the next terminal: in a folder and at a port of its own.
        let own = advertised.map_or_else(|| named(address), str::to_owned);
        let listen = if address.ip().is_loopback() { "127.0.0.1:0".to_owned() } else { format!("0.0.0.0:{}", address.port()) };
        let data = format!("node-{}", token.id);
        say(format_args!("join millrace node --listen {listen} --join {own} --token {} --data {data}", token.reveal()))?;
    }
    std::io::stdout().flush()?;
    Ok(())
}

/// What is dialled of an address that others are told: `HOST:PORT`, with or without a scheme before it.
fn authority(address: &str, is_secure: bool) -> Result<String, ClientError> {
    let wrong = |why| ClientError::Address { address: address.to_owned(), why };
    let authority = address.split_once("://").map_or(address, |(_, authority)| authority).trim_end_matches('/');
    let parts = authority.rsplit_once(':').filter(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    let (host, _) = parts.ok_or_else(|| wrong("write it as HOST:PORT"))?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if !is_secure && host != "localhost" && !bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()) {
        return Err(wrong("without --data, and so without TLS, a node is reached from its own machine alone"));
    }
    Ok(authority.to_owned())
}

/// What others may call an address: one that is all of this machine's is called by its name.
fn named(address: SocketAddr) -> String {
    if address.ip().is_unspecified() { format!("{}:{}", own_label(), address.port()) } else { address.to_string() }
}

/// How others reach this node.
async fn own_address(node: &Node, advertised: Option<&str>, leader: Option<&Leader>, is_secure: bool) -> String {
    let authority = match (advertised, leader) {
        (Some(address), _) => address.to_owned(),
        (None, Some(leader)) if is_secure => facing(node.address(), &leader.authority).await.to_string(),
        (None, Some(_)) => node.address().to_string(),
        (None, None) => named(node.address()),
    };
    format!("{}://{authority}", if is_secure { "wss" } else { "ws" })
}

fn slots(arguments: &NodeArguments) -> u32 {
    let cores = || std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1));
    arguments.slots.unwrap_or_else(cores)
}

/// The node's part in the control group, if it is to have one.
async fn control(arguments: &NodeArguments, address: &str, guard: Option<&Arc<Guard>>) -> Result<Option<ControlNode>, ControlError> {
    let Some(data) = arguments.data.as_deref().filter(|_| arguments.control) else { return Ok(None) };
    let Some(guard) = guard.cloned() else {
        let why = "it joins without TLS; write --join HOST:PORT, so that its nodes know each other by their certificates".to_owned();
        return Err(ControlError::Settings { why });
    };
    let own = Peer { name: guard.identity().who.name.to_string(), address: address.to_owned() };
    let shown = move |peer: &Peer| {
        let identity = guard.identity();
        // Whoever is asked to be let in has no name yet: it is the node that gave the certificate.
        let expected = Name::parse(&peer.name).ok().or_else(|| identity.given_by.clone());
        Credential::Certificate { identity, expected }
    };
    let ways = Arc::new(Ways::new(Arc::new(shown)));
    let settings = Settings { takeover_after: arguments.takeover_after, ..Settings::default() };
    ControlNode::open(data, ways, own, slots(arguments), settings).await.map(Some)
}

fn failed(error: &ControlError) -> u8 {
    complain(format_args!("error[{}]: {error}", code(error)));
    exit::FAILED
}

/// Never ends, if there is nothing to agree on.
async fn agree(engine: &Engine, control: Option<&ControlNode>, leader: Option<&Leader>) {
    let Some(control) = control else { return std::future::pending().await };
    let told = |happened: Happened| match happened {
        Happened::Changed(look) => {
            engine.control_changed(&look);
            // Whoever started it may listen no more.
            let _ = say(control_group(&look));
            let _ = std::io::stdout().flush();
        }
        Happened::Trouble(error) => complain(format_args!("error[{}]: {error}; it is tried again", code(&error))),
    };
    control.keep(leader.map(|leader| leader.address.as_str()), told).await;
}

/// Never ends.
async fn share_timeline(engine: &Engine, control: Option<&ControlNode>) {
    match control {
        Some(control) => engine.share_timeline(control).await,
        None => std::future::pending().await,
    }
}

/// Never ends, if there is nothing to take part in.
async fn take_part(arguments: &NodeArguments, leader: Option<&Leader>, guard: Option<&Arc<Guard>>, own: &Enlistment) {
    let Some(leader) = leader else { return std::future::pending().await };
    let token = arguments.token.clone().unwrap_or_default();
    let credential = || match guard {
        Some(guard) => {
            let identity = guard.identity();
            Credential::Certificate { expected: identity.given_by.clone(), identity }
        }
        None => Credential::Token(token.clone()),
    };
    // What keeps it from joining is said once: where there are other control nodes, it may be so for good.
    let before = RefCell::new(String::new());
    let told = |enlisted: Result<(), &ClientError>| {
        let now = enlisted.as_ref().err().map_or_else(String::new, |error| error.to_string());
        let is_news = before.replace(now.clone()) != now;
        if enlisted.is_ok() || is_news {
            tell(&leader.address, enlisted);
        }
    };
    stay_enlisted(&leader.address, credential, own, told).await;
}

/// Takes part in the runs of the control group's other nodes too: a node of it where they share folders, since its runs pass from one to another there; any
/// other one as soon as it is told of them. Never ends.
async fn stand_by(
    arguments: &NodeArguments,
    control: Option<&ControlNode>,
    leader: Option<&Leader>,
    guard: Option<&Arc<Guard>>,
    own: &Enlistment,
) {
    let (Some(guard), Some(data)) = (guard, arguments.data.as_deref()) else { return std::future::pending().await };
    let leader_address = leader.map(|leader| leader.address.as_str());
    match control {
        Some(control) if !arguments.shared.is_empty() => stand_by_all(own, guard, leader_address, || peers_of(control)).await,
        None if leader.is_some() => {
            let learned = own.learned.follow();
            tokio::select! {
                () = stand_by_all(own, guard, leader_address, || learned.borrow().clone()) => {}
                () = keep_known(data, &own.learned) => {}
            }
        }
        _ => std::future::pending().await,
    }
}

/// Where a node that listens at all of this machine's addresses can be called from another one: nothing is sent for that.
async fn facing(own: SocketAddr, leader: &str) -> SocketAddr {
    let towards = async {
        let leader = lookup_host(leader).await?.next().ok_or(std::io::ErrorKind::NotFound)?;
        let any: IpAddr = if leader.is_ipv4() { [0, 0, 0, 0].into() } else { [0u16; 8].into() };
        let socket = UdpSocket::bind((any, 0)).await?;
        socket.connect(leader).await?;
        socket.local_addr()
    };
    if !own.ip().is_unspecified() {
        return own;
    }
    towards.await.map_or(own, |towards: SocketAddr| SocketAddr::new(towards.ip(), own.port()))
}

async fn tend(guard: Option<&Arc<Guard>>, leader: Option<&Leader>) {
    match guard {
        Some(guard) => guard.tend(leader.map(|leader| leader.authority.as_str())).await,
        None => std::future::pending().await,
    }
}

fn tell(leader: &str, enlisted: Result<(), &ClientError>) {
    match enlisted {
        Ok(()) => {
            // Whoever started it may listen no more.
            let _ = say(format_args!("joined {leader}"));
            let _ = std::io::stdout().flush();
        }
        Err(error) => complain(format_args!("error: cannot join {leader}: {error}")),
    }
}
