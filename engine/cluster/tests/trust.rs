//! Who is let in by a node of a cluster, and who is not: each refusal over real sockets, with its code at both ends.

mod common;

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use common::proxy::Proxy;
use common::*;
use futures_util::StreamExt;
use millrace_cluster::share::{Enlistment, enlist};
use millrace_cluster::socket::{CONTROL_PATH, DATA_PATH, Transport, connect_as};
use millrace_cluster::trust::{
    Authority, Believed, Guard, HeldKey, Identity, JoinToken, Keyring, Name, Refusal, Revoked, Role, Shown, Who, client_config, credential,
    enrol, folder_in, handshake, member, new_key, renew, session_config,
};
use millrace_cluster::{ClientError, Contact, Credential, EngineClient, Node, NodeOptions, RunFiles, serve};
use millrace_wire::change::Scale;
use millrace_wire::message::{JobId, StopMode};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::client::{ClientRequestBuilder, IntoClientRequest};
use tokio_tungstenite::{WebSocketStream, client_async};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A cluster's first node, and the folder that it lies in.
struct Cluster {
    data: TempDir,
    guard: Arc<Guard>,
    node: Node,
    /// What it printed for the first other node.
    first: JoinToken,
}

impl Cluster {
    async fn start() -> Cluster {
        Cluster::listening("127.0.0.1:0").await
    }

    async fn listening(at: &str) -> Cluster {
        let data = tempfile::tempdir().unwrap();
        let (guard, first) = Guard::open(data.path(), DAY).unwrap();
        let guard = Arc::new(guard);
        let options = NodeOptions { guard: Some(guard.clone()), ..NodeOptions::default() };
        let node = serve(at, host().0, options).await.unwrap();
        Cluster { data, guard, node, first: first.unwrap() }
    }

    /// `HOST:PORT`
    fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.node.address().port())
    }

    fn address(&self) -> String {
        format!("wss://{}", self.authority())
    }

    fn token(&self, role: Role) -> JoinToken {
        self.guard.issue_token(role, SystemTime::now() + DAY).unwrap()
    }

    /// Somebody who has joined as `role`.
    async fn somebody(&self, role: Role) -> Arc<Identity> {
        let folder = tempfile::tempdir().unwrap();
        Arc::new(enrol(&self.authority(), &self.token(role), "Somebody's laptop", &Keyring::at(folder.path())).await.unwrap())
    }

    async fn session(&self, identity: &Arc<Identity>) -> Result<EngineClient, ClientError> {
        session_at(&self.address(), identity).await
    }

    /// The lines of the audit log.
    fn audit(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.data.path().join("audit.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Waits until the log tells of something with this outcome.
    async fn tells(&self, what: &str, outcome: &str) {
        let told = || self.audit().iter().any(|line| line["what"] == what && line["outcome"] == outcome);
        until(&format!("the audit log tells {what} {outcome}: {:?}", self.audit()), told).await;
    }
}

async fn session_at(address: &str, identity: &Arc<Identity>) -> Result<EngineClient, ClientError> {
    let shown = Credential::Certificate { identity: identity.clone(), expected: None };
    connect_as(address, &shown, Transport::default()).await
}

fn refusal<T>(outcome: Result<T, ClientError>) -> Refusal {
    match outcome.err().expect("it is refused") {
        ClientError::NotAdmitted { refusal, .. } => refusal,
        other => panic!("refused otherwise: {other}"),
    }
}

async fn join(cluster: &Cluster, token: &JoinToken) -> Result<Identity, ClientError> {
    let folder = tempfile::tempdir().unwrap();
    enrol(&cluster.authority(), token, "late", &Keyring::at(folder.path())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_a_join_token_once_needs_none_again() {
    let cluster = Cluster::start().await;
    let home = tempfile::tempdir().unwrap();
    let token = cluster.token(Role::Operate).reveal();
    for shown in [Some(token.as_str()), None, Some(token.as_str())] {
        let shown = credential(&cluster.address(), shown, "laptop", home.path()).await.unwrap();
        let client = connect_as(&cluster.address(), &shown, Transport::default()).await.unwrap();
        client.ping().await.unwrap();
        let Credential::Certificate { identity, .. } = shown else { panic!() };
        assert!(identity.who.role == Role::Operate && identity.who.name.as_str().starts_with("laptop-"), "{}", identity.who);
    }
    cluster.tells("enrol", "done").await;
    cluster.tells("connect", "done").await;
    let none = credential("wss://127.0.0.1:1", None, "laptop", home.path()).await.err().unwrap();
    assert_eq!(none.code(), "MR0640", "{none}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_token_that_is_used_too_old_or_made_up_is_refused_and_says_so_only_to_who_has_it() {
    let cluster = Cluster::start().await;
    let used = cluster.token(Role::View);
    join(&cluster, &used).await.unwrap();
    assert_eq!(refusal(join(&cluster, &used).await), Refusal::UsedToken);
    let expired = cluster.guard.issue_token(Role::View, SystemTime::now() - DAY).unwrap();
    assert_eq!(refusal(join(&cluster, &expired).await), Refusal::ExpiredToken);
    let made_up = JoinToken::random(used.authority).unwrap();
    assert_eq!(refusal(join(&cluster, &made_up).await), Refusal::UnknownToken);
    let guessed = JoinToken { id: used.id.clone(), ..made_up };
    assert_eq!(refusal(join(&cluster, &guessed).await), Refusal::UnknownToken, "that it was used is nobody else's to know");
    for code in ["MR0613", "MR0614", "MR0611"] {
        cluster.tells("enrol", code).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_gives_its_secret_to_no_node_of_another_authority() {
    let (meant, other) = (Cluster::start().await, Cluster::start().await);
    let token = meant.token(Role::Node);
    assert_eq!(refusal(join(&other, &token).await), Refusal::ForeignCertificate);
    // The other end hears why, and never heard the secret: the token still serves.
    other.tells("connect", "MR0615").await;
    join(&meant, &token).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_cluster_lets_nobody_in() {
    let (cluster, other) = (Cluster::start().await, Cluster::start().await);
    let foreign = other.somebody(Role::Admin).await;
    assert_eq!(refusal(cluster.session(&foreign).await), Refusal::ForeignCertificate, "it does not believe the node");
    let authority = cluster.guard.identity().authority.clone();
    let believing = Identity { authority, given_by: None, ..without_place(&foreign) };
    assert_eq!(refusal(cluster.session(&Arc::new(believing)).await), Refusal::ForeignCertificate, "the node does not believe it");
    cluster.tells("connect", "MR0615").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shows_no_certificate_gets_no_session() {
    let cluster = Cluster::start().await;
    let believed = Believed::Known(cluster.guard.identity().authority.clone());
    let config = client_config(None, believed, None, b"millrace/1").unwrap();
    let mut stream = handshake(TcpStream::connect(cluster.node.address()).await.unwrap(), config).await.unwrap();
    let error = timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap_err();
    assert_eq!(Refusal::of_handshake(&error), Some(Refusal::NoCertificate), "{error}");
    cluster.tells("connect", "MR0616").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_has_expired_lets_nobody_in_and_gets_no_new_one() {
    let cluster = Cluster::start().await;
    let member = cluster.somebody(Role::Admin).await;
    let folder = tempfile::tempdir().unwrap();
    let keyring = Keyring::at(folder.path());
    let authority = Authority::open(&folder_in(cluster.data.path())).unwrap();
    let key = new_key().unwrap();
    let certificate = authority.issue(&member.who, &HeldKey::of_pair(&key), SystemTime::now() - Duration::from_secs(60)).unwrap();
    let expired = Arc::new(keyring.keep_new(&key, &certificate, authority.certificate(), None).unwrap());
    assert_eq!(refusal(cluster.session(&expired).await), Refusal::ExpiredCertificate);
    cluster.tells("connect", "MR0615").await;
    assert_eq!(refusal(renew(&cluster.authority(), &expired, &keyring).await), Refusal::ForeignCertificate);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_revoked_ends_its_session_and_begins_none() {
    let cluster = Cluster::start().await;
    let (revoked, other) = (cluster.somebody(Role::Operate).await, cluster.somebody(Role::Operate).await);
    let (ends, stays) = (cluster.session(&revoked).await.unwrap(), cluster.session(&other).await.unwrap());
    // As another process does it.
    Revoked::within(&folder_in(cluster.data.path())).add(&revoked.who.name).unwrap();
    let Contact::Lost { why, .. } = becomes(&ends, "lost", Contact::is_lost).await else { panic!() };
    assert!(why.contains("MR0617"), "{why}");
    assert_eq!(refusal(cluster.session(&revoked).await), Refusal::RevokedCertificate);
    cluster.tells("connect", "MR0617").await;
    stays.ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_revoked_comes_back_with_a_new_token_and_another_key() {
    let cluster = Cluster::start().await;
    let folder = tempfile::tempdir().unwrap();
    let keyring = Keyring::at(folder.path());
    let (first, second) = (cluster.token(Role::Operate).reveal(), cluster.token(Role::View).reveal());
    let joined = member(&cluster.authority(), Some(&first), "laptop", &keyring).await.unwrap();
    // The token of a command that is started again is not asked for.
    assert_eq!(member(&cluster.authority(), Some(&first), "laptop", &keyring).await.unwrap().who, joined.who);
    Revoked::within(&folder_in(cluster.data.path())).add(&joined.who.name).unwrap();
    assert_eq!(refusal(member(&cluster.authority(), Some(&first), "laptop", &keyring).await), Refusal::UsedToken);
    let again = member(&cluster.authority(), Some(&second), "laptop", &keyring).await.unwrap();
    assert!(again.who.name != joined.who.name && again.who.role == Role::View, "{}", again.who);
    assert_ne!(again.key.secret_der(), joined.key.secret_der());
    cluster.session(&Arc::new(again)).await.unwrap().ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_do_not_share_a_folder() {
    let cluster = Cluster::start().await;
    let error = Guard::open(cluster.data.path(), DAY).err().unwrap();
    assert!(error.code() == "MR0640" && error.to_string().contains("another node"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_protocol_is_told_so_within_tls() {
    let cluster = Cluster::start().await;
    let shown = Credential::Certificate { identity: cluster.somebody(Role::View).await, expected: None };
    let transport = Transport { protocol: 99, ..Transport::default() };
    let error = connect_as(&cluster.address(), &shown, transport).await.err().unwrap();
    assert!(matches!(&error, ClientError::Protocol { ours: 99, .. }), "{error}");
    cluster.tells("connect", "MR0602").await;
    // TLS 1.2 is none that is spoken here.
    let old = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let error = handshake(TcpStream::connect(cluster.node.address()).await.unwrap(), Arc::new(old)).await.unwrap_err();
    assert!(error.to_string().contains("ProtocolVersion"), "{error}");
    // A purpose that this release does not know is refused in the handshake.
    let Credential::Certificate { identity, .. } = &shown else { panic!() };
    let config = client_config(Some(Shown::of(identity)), Believed::Known(identity.authority.clone()), None, b"millrace/9").unwrap();
    assert!(handshake(TcpStream::connect(cluster.node.address()).await.unwrap(), config).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_beyond_the_limits_ends_its_peer_within_tls_and_nobody_else() {
    let cluster = Cluster::start().await;
    let member = cluster.somebody(Role::Operate).await;
    let standing = cluster.session(&member).await.unwrap();
    let (mut control, id) = dial(&cluster, &member, CONTROL_PATH, None).await;
    let (_data, _) = dial(&cluster, &member, DATA_PATH, Some(&id)).await;
    // FIN and binary, masked, a length of 64 bits, the mask, and nothing more.
    let mut head = vec![0x82, 0xff];
    head.extend_from_slice(&(4u64 << 30).to_be_bytes());
    head.extend_from_slice(&[1, 2, 3, 4]);
    control.get_mut().write_all(&head).await.unwrap();
    control.get_mut().flush().await.unwrap();
    let ended = timeout(PATIENCE, async { while let Some(Ok(_)) = control.next().await {} });
    ended.await.unwrap();
    standing.ping().await.unwrap();
}

/// A client of our own making, which sends what it likes.
async fn dial(cluster: &Cluster, member: &Identity, path: &str, session: Option<&str>) -> (WebSocketStream<TlsStream<TcpStream>>, String) {
    let config = session_config(member, None).unwrap();
    let stream = handshake(TcpStream::connect(cluster.node.address()).await.unwrap(), config).await.unwrap();
    let uri = format!("ws://{}{path}", cluster.authority()).parse().unwrap();
    let mut request = ClientRequestBuilder::new(uri).with_header("x-millrace-protocol", "2");
    if let Some(session) = session {
        request = request.with_header("x-millrace-session", session);
    }
    let (socket, response) = client_async(request.into_client_request().unwrap(), stream).await.unwrap();
    let id = response.headers().get("x-millrace-session").map(|id| id.to_str().unwrap().to_owned());
    (socket, id.unwrap_or_default())
}

/// An address of this machine that is not the loopback's; none where it has no network.
fn other_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent.
    socket.connect("198.51.100.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|address| !address.is_loopback() && !address.is_unspecified())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tls_nobody_comes_in_from_elsewhere_though_it_knows_the_token() {
    let Some(outside) = other_address() else {
        return eprintln!("this machine has no address but the loopback's: the door's own test has to do");
    };
    let cluster = Cluster::listening("0.0.0.0:0").await;
    let port = cluster.node.address().port();
    let mut stream = TcpStream::connect(SocketAddr::new(outside, port)).await.unwrap();
    let token = cluster.node.token().reveal();
    let head = format!(
        "GET {CONTROL_PATH} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\nX-Millrace-Protocol: 2\r\n\r\n",
        cluster.authority()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("x-millrace-code: MR0618") && answer.ends_with("\r\n\r\n"), "{answer}");
    cluster.tells("connect", "MR0618").await;
    // This side does not even dial.
    let error = millrace_cluster::connect(&format!("ws://{outside}:{port}"), &token).await.err().unwrap();
    assert_eq!(error.code(), "MR0612", "{error}");
    // From this machine the token serves as before, and from elsewhere a certificate does.
    millrace_cluster::connect(&format!("ws://127.0.0.1:{port}"), &token).await.unwrap().ping().await.unwrap();
    let member = cluster.somebody(Role::View).await;
    session_at(&format!("wss://{outside}:{port}"), &member).await.unwrap().ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_covers_what_it_says_and_no_more_and_each_request_is_told_of() {
    let cluster = Cluster::start().await;
    let (_folder, files) = project(10);
    for (role, may_run) in [(Role::View, false), (Role::Node, false), (Role::Operate, true), (Role::Admin, true)] {
        let member = cluster.somebody(role).await;
        let client = cluster.session(&member).await.unwrap();
        client.describe().await.unwrap();
        let deployed = client.deploy(deployment("on and on"), files.clone(), RunFiles::default()).await;
        match deployed {
            Ok(job) if may_run => client.stop(job, StopMode::Abort).await.unwrap(),
            Err(error) if !may_run => assert_eq!(error.code(), "MR0619", "{error}"),
            other => panic!("{role}: {other:?}"),
        }
        let scaled = client.scale(JobId(4711), Scale { parallelism: Some(2), ..Scale::default() }).await.unwrap_err();
        assert_eq!(scaled.code(), if may_run { "MR0620" } else { "MR0619" }, "{role}");
        let own = Enlistment { address: "wss://127.0.0.1:1".to_owned(), token: None, slots: 1, ..Enlistment::default() };
        let shown = Credential::Certificate { identity: member.clone(), expected: None };
        let code = enlist(&cluster.address(), &shown, &own).await.err().unwrap().code().to_owned();
        // Who may be called back there is called, in vain.
        assert_eq!(code, if role.covers(millrace_cluster::trust::Need::Member) { "MR0621" } else { "MR0619" }, "{role}");
        let line = cluster.audit().into_iter().find(|line| line["who"] == member.who.name.as_str() && line["what"] == "stage").unwrap();
        let outcome = if may_run { "done" } else { "MR0619" };
        assert!(line["role"] == role.as_str() && line["outcome"] == outcome && line["about"] == "x", "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_a_node_speaks_of_consensus_to_a_node() {
    let cluster = Cluster::start().await;
    for role in [Role::View, Role::Operate, Role::Admin, Role::Node] {
        let client = cluster.session(&cluster.somebody(role).await).await.unwrap();
        let error = client.consensus(serde_json::json!({ "ask": "vote" })).await.unwrap_err();
        // A node may, but this one is of no control group.
        assert_eq!(error.code(), if role == Role::Node { "MR0650" } else { "MR0619" }, "{role}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_enlists_where_it_is_and_not_in_the_place_of_another() {
    let (cluster, data) = (Cluster::start().await, tempfile::tempdir().unwrap());
    enrol(&cluster.authority(), &cluster.first, "second", &Keyring::at(folder_in(data.path()))).await.unwrap();
    let (guard, none) = Guard::open(data.path(), DAY).unwrap();
    assert!(none.is_none(), "it is of a cluster already");
    let guard = Arc::new(guard);
    let second = serve("127.0.0.1:0", host().0, NodeOptions { guard: Some(guard.clone()), ..NodeOptions::default() }).await.unwrap();
    let own = Enlistment { address: format!("wss://{}", second.address()), token: None, slots: 1, ..Enlistment::default() };
    let as_second = Credential::Certificate { identity: guard.identity(), expected: None };
    enlist(&cluster.address(), &as_second, &own).await.unwrap().ping().await.unwrap();
    let as_third = Credential::Certificate { identity: cluster.somebody(Role::Node).await, expected: None };
    let error = enlist(&cluster.address(), &as_third, &own).await.err().unwrap();
    assert!(error.code() == "MR0621" && error.to_string().contains("MR0615"), "{error}");
    cluster.tells("enlist", "MR0621").await;
    // It gets no join token: it holds no authority's key, and might use the token itself.
    let (token, folder) = (cluster.token(Role::Admin), tempfile::tempdir().unwrap());
    let (elsewhere, keyring) = (second.address().to_string(), Keyring::at(folder.path()));
    assert_eq!(refusal(enrol(&elsewhere, &token, "x", &keyring).await), Refusal::ForeignCertificate);
    join(&cluster, &token).await.unwrap();
    assert_eq!(refusal(renew(&elsewhere, &without_place(&guard.identity()), &keyring).await), Refusal::NoAuthority);
    // What is revoked at the first is soon revoked at the second.
    let revoked = cluster.somebody(Role::Operate).await;
    let at_second = session_at(&own.address, &revoked).await.unwrap();
    Revoked::within(&folder_in(cluster.data.path())).add(&revoked.who.name).unwrap();
    guard.keep_fresh(Some(&cluster.authority())).await.unwrap();
    becomes(&at_second, "lost", Contact::is_lost).await;
    assert_eq!(refusal(session_at(&own.address, &revoked).await), Refusal::RevokedCertificate);
}

/// The same, and does not mind who answers.
fn without_place(identity: &Identity) -> Identity {
    let Identity { who, certificate, authority, key, .. } = identity;
    Identity { who: who.clone(), certificate: certificate.clone(), authority: authority.clone(), key: key.clone_key(), given_by: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_one_node_gave_a_certificate_no_other_answers_in_its_place() {
    let (cluster, data) = (Cluster::start().await, tempfile::tempdir().unwrap());
    enrol(&cluster.authority(), &cluster.first, "second", &Keyring::at(folder_in(data.path()))).await.unwrap();
    let guard = Arc::new(Guard::open(data.path(), DAY).unwrap().0);
    let second = serve("127.0.0.1:0", host().0, NodeOptions { guard: Some(guard), ..NodeOptions::default() }).await.unwrap();
    let identity = cluster.somebody(Role::Operate).await;
    let expected = identity.given_by.clone();
    assert_eq!(expected.as_ref(), Some(&cluster.guard.identity().who.name));
    let shown = Credential::Certificate { identity, expected };
    connect_as(&cluster.address(), &shown, Transport::default()).await.unwrap().ping().await.unwrap();
    // As if its address led to the second now.
    let redirected = connect_as(&format!("wss://{}", second.address()), &shown, Transport::default()).await;
    assert_eq!(refusal(redirected), Refusal::AnotherNode);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_in_tls_outlives_its_connections() {
    let cluster = Cluster::start().await;
    let proxy = Proxy::to(cluster.node.address()).await;
    let member = cluster.somebody(Role::Operate).await;
    let client = session_at(&format!("wss://{}", proxy.address), &member).await.unwrap();
    let (_folder, files) = project(10);
    let job = client.deploy(deployment("on and on"), files, RunFiles::default()).await.unwrap();
    for cut in 1..=3 {
        assert!(proxy.cut() > 0);
        // Both sockets come back, each by itself.
        until("both connections are resumed", || client.resumes() >= 2 * cut).await;
    }
    client.ping().await.unwrap();
    client.stop(job, StopMode::Abort).await.unwrap();
    client.wait(job).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_renewed_before_their_end() {
    let data = tempfile::tempdir().unwrap();
    let folder = folder_in(data.path());
    let authority = Authority::open_or_make(&folder).unwrap();
    let keyring = Keyring::at(&folder);
    let who = Who { role: Role::Node, name: Name::parse("first-1").unwrap() };
    let soon = SystemTime::now() + 2 * DAY;
    let key = new_key().unwrap();
    let short = authority.issue(&who, &HeldKey::of_pair(&key), soon).unwrap();
    keyring.keep_new(&key, &short, authority.certificate(), None).unwrap();
    let guard = Arc::new(Guard::open(data.path(), DAY).unwrap().0);
    let node = serve("127.0.0.1:0", host().0, NodeOptions { guard: Some(guard.clone()), ..NodeOptions::default() }).await.unwrap();
    // Who asks renews its own when it connects.
    let (home, address) = (tempfile::tempdir().unwrap(), format!("wss://{}", node.address()));
    let own = Keyring::at(home.path().join(format!("at-{}", node.address().to_string().replace(':', "_"))));
    let me = Who { role: Role::View, name: Name::parse("me-1").unwrap() };
    let key = new_key().unwrap();
    let certificate = authority.issue(&me, &HeldKey::of_pair(&key), soon).unwrap();
    own.keep_new(&key, &certificate, authority.certificate(), None).unwrap();
    let Credential::Certificate { identity, .. } = credential(&address, None, "me", home.path()).await.unwrap() else { panic!() };
    assert!(identity.who == me && identity.is_valid_at(SystemTime::now() + 60 * DAY));
    // A node renews its own by itself, and shows it from then on.
    assert!(!guard.identity().is_valid_at(SystemTime::now() + 3 * DAY));
    guard.keep_fresh(None).await.unwrap();
    assert!(guard.identity().who == who && guard.identity().is_valid_at(SystemTime::now() + 60 * DAY));
    session_at(&address, &identity).await.unwrap().ping().await.unwrap();
}

/// Every file below a folder.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_in(&path) } else { vec![path] }).collect()
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_keeps_is_its_users_alone_and_holds_no_secret_of_others() {
    use std::os::unix::fs::PermissionsExt;
    let cluster = Cluster::start().await;
    let (spent, open) = (cluster.token(Role::Operate), cluster.token(Role::Admin));
    let member = join(&cluster, &spent).await.unwrap();
    cluster.session(&Arc::new(member)).await.unwrap().ping().await.unwrap();
    cluster.tells("connect", "done").await;
    let secrets = [spent.secret.reveal(), open.secret.reveal(), cluster.first.secret.reveal(), cluster.node.token().reveal()];
    for path in files_in(cluster.data.path()) {
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", path.display());
        let bytes = std::fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(secrets.iter().all(|secret| !text.contains(secret)), "{}", path.display());
    }
    let mode = std::fs::metadata(folder_in(cluster.data.path())).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o700);
}
