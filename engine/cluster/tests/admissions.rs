//! A control group's nodes give certificates, take tokens and revoke in each other's place, over real sockets.

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use common::*;
use millrace_cluster::control::{ControlNode, Peer, Settings, Ways};
use millrace_cluster::node::Token;
use millrace_cluster::share::Crew;
use millrace_cluster::socket::{Transport, connect_as};
use millrace_cluster::trust::{
    Authority, Fingerprint, Guard, HeldKey, Identity, JoinToken, Keyring, Name, Refusal, Role, Source, Who, ask_authority, enrol,
    folder_in, renew,
};
use millrace_cluster::{ClientError, Credential, EngineClient, HostLimits, Node, NodeOptions, serve};
use millrace_control::control::Command;
use millrace_control::{Ask, Question};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Long, for a machine with other work.
const LONG: Duration = Duration::from_secs(60);

/// A node of a control group with certificates, in this process.
struct Member {
    data: TempDir,
    guard: Arc<Guard>,
    node: Option<Node>,
    control: ControlNode,
    beside: Vec<JoinHandle<()>>,
    /// `HOST:PORT`
    authority: String,
}

impl Member {
    /// The first, or one that joins another with a token.
    async fn start(joins: Option<(&Member, &JoinToken)>) -> Member {
        let data = tempfile::tempdir().unwrap();
        if let Some((leader, token)) = joins {
            enrol(&leader.authority, token, "other", &Keyring::at(folder_in(data.path()))).await.unwrap();
        }
        let guard = Arc::new(Guard::open(data.path(), DAY).unwrap().0);
        let crew = Arc::<Crew>::default();
        let options = NodeOptions { guard: Some(guard.clone()), ..NodeOptions::default() };
        let node = serve("127.0.0.1:0", host_of(HostLimits::default(), crew.clone()).0, options).await.unwrap();
        let authority = node.address().to_string();
        let shown = guard.clone();
        let credential = move |peer: &Peer| {
            let identity = shown.identity();
            let expected = Name::parse(&peer.name).ok().or_else(|| identity.given_by.clone());
            Credential::Certificate { identity, expected }
        };
        let own = Peer { name: guard.identity().who.name.to_string(), address: format!("wss://{authority}") };
        let control = ControlNode::open(data.path(), Arc::new(Ways::new(Arc::new(credential))), own, 2, Settings::default()).await.unwrap();
        assert!(crew.take_control(control.clone()));
        guard.take_group(control.group().clone());
        let leader = joins.map(|(leader, _)| leader.authority.clone());
        let (kept, join) = (control.clone(), leader.as_ref().map(|leader| format!("wss://{leader}")));
        let keeping = tokio::spawn(async move { kept.keep(join.as_deref(), |_| ()).await });
        let tended = guard.clone();
        let tending = tokio::spawn(async move { tended.tend(leader.as_deref()).await });
        Member { data, guard, node: Some(node), control, beside: vec![keeping, tending], authority }
    }

    fn name(&self) -> &str {
        self.control.name()
    }

    /// As if its process were killed, and its disk lost.
    async fn lose(mut self) {
        self.beside.iter().for_each(JoinHandle::abort);
        self.node = None;
        self.control.group().shut_down().await;
    }

    async fn token(&self, role: Role) -> JoinToken {
        self.guard.make_token(role, DAY).await.unwrap()
    }

    async fn enrol(&self, token: &JoinToken) -> Result<Identity, ClientError> {
        let folder = tempfile::tempdir().unwrap();
        enrol(&self.authority, token, "newcomer", &Keyring::at(folder.path())).await
    }

    async fn session(&self, identity: &Arc<Identity>) -> Result<EngineClient, ClientError> {
        let shown = Credential::Certificate { identity: identity.clone(), expected: None };
        connect_as(&format!("wss://{}", self.authority), &shown, Transport::default()).await
    }
}

/// Waits for as long as a busy machine may take.
async fn comes(what: &str, mut check: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !check() {
        assert!(Instant::now() < end, "not within {LONG:?}: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// So many nodes of one group with a vote, all of which hold the authority's key.
async fn group(nodes: usize) -> Vec<Member> {
    let first = Member::start(None).await;
    comes("the first leads", || first.control.group().look().leads()).await;
    let mut members = vec![first];
    for _ in 1..nodes {
        let token = members[0].token(Role::Control).await;
        members.push(Member::start(Some((&members[0], &token))).await);
    }
    comes("all vote", || members.iter().all(|member| member.control.group().look().voters() == nodes)).await;
    comes("all hold the authority's key", || members.iter().all(|member| member.guard.holds_authority())).await;
    members
}

fn refusal<T>(outcome: Result<T, ClientError>) -> Refusal {
    match outcome.err().expect("it is refused") {
        ClientError::NotAdmitted { refusal, .. } => refusal,
        other => panic!("refused otherwise: {other}"),
    }
}

/// Every file below a folder.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_in(&path) } else { vec![path] }).collect()
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_node_is_handed_the_authoritys_key_if_its_token_says_so_and_it_is_in_no_log() {
    let first = Member::start(None).await;
    comes("the first leads", || first.control.group().look().leads()).await;
    let (may, may_not) = (first.token(Role::Control).await, first.token(Role::Node).await);
    let second = Member::start(Some((&first, &may))).await;
    let third = Member::start(Some((&first, &may_not))).await;
    let all = [&first, &second, &third];
    comes("all three vote", || all.iter().all(|member| member.control.group().look().voters() == 3)).await;
    comes("the second holds the key", || second.guard.holds_authority()).await;
    let source = Source { authority: first.authority.clone(), name: None };
    assert_eq!(refusal(ask_authority(&source, &third.guard.identity()).await), Refusal::Role);
    assert!(!third.guard.holds_authority());
    let key_at = |member: &Member| folder_in(member.data.path()).join("authority-key.der");
    let key = std::fs::read(key_at(&first)).unwrap();
    assert_eq!(std::fs::read(key_at(&second)).unwrap(), key);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(key_at(&second)).unwrap().permissions().mode() & 0o777, 0o600);
    }
    // The 32 bytes that are secret, which follow their length: neither as they are nor as the log writes bytes.
    let at = key.windows(2).position(|pair| pair == [4, 32]).unwrap() + 2;
    let as_json = serde_json::to_string(&key[at..at + 32]).unwrap();
    let parts = [&key[at..at + 32], as_json.trim_matches(['[', ']']).as_bytes()];
    for (member, path) in all.iter().flat_map(|member| files_in(member.data.path()).into_iter().map(move |path| (member, path))) {
        let bytes = std::fs::read(&path).unwrap();
        let is_key = path == key_at(member);
        assert!(is_key || parts.iter().all(|part| !holds(&bytes, part)), "{}", path.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_first_node_is_gone_any_other_lets_in_renews_and_revokes() {
    let mut members = group(3).await;
    let (early, kept) = (members[0].token(Role::Operate).await, members[0].token(Role::View).await);
    let user = Arc::new(members[0].enrol(&early).await.unwrap());
    members.remove(0).lose().await;
    let [second, third] = &members[..] else { panic!() };
    comes("another one leads", || [second, third].iter().any(|member| member.control.group().look().leads())).await;
    // What was used at the first is used, and what it made and nobody used serves.
    assert_eq!(refusal(second.enrol(&early).await), Refusal::UsedToken);
    third.enrol(&kept).await.unwrap();
    assert_eq!(refusal(second.enrol(&kept).await), Refusal::UsedToken);
    let token = second.token(Role::Node).await;
    let newcomer = second.enrol(&token).await.unwrap();
    assert_eq!(refusal(third.enrol(&token).await), Refusal::UsedToken);
    assert_eq!(newcomer.given_by.as_ref().map(Name::as_str), Some(second.name()));
    let made_up = JoinToken::random(Fingerprint::of(&newcomer.authority)).unwrap();
    assert_eq!(refusal(third.enrol(&made_up).await), Refusal::UnknownToken);
    let folder = tempfile::tempdir().unwrap();
    let keyring = Keyring::at(folder.path());
    let joined = enrol(&third.authority, &third.token(Role::View).await, "x", &keyring).await.unwrap();
    assert_eq!(renew(&third.authority, &joined, &keyring).await.unwrap().who, joined.who);
    // Whom the first let in is known to the others, and so is that it is revoked: for its session, and for the next.
    let standing = third.session(&user).await.unwrap();
    second.guard.revoke(&user.who.name).await.unwrap();
    becomes(&standing, "lost", millrace_cluster::Contact::is_lost).await;
    for member in [second, third] {
        assert_eq!(refusal(member.session(&user).await), Refusal::RevokedCertificate);
        let end = Instant::now() + LONG;
        loop {
            let all = member.guard.certificates().await.unwrap();
            let has = |who: &Who, is_revoked: bool| all.iter().any(|(issued, revoked)| issued.who == *who && *revoked == is_revoked);
            if has(&user.who, true) && has(&newcomer.who, false) {
                break;
            }
            assert!(Instant::now() < end, "{all:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }
    let nobody = Name::parse("nobody-0").unwrap();
    assert_eq!(third.guard.revoke(&nobody).await.unwrap_err().code(), "MR0640");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_shown_at_three_nodes_at_once_lets_one_in() {
    let members = group(3).await;
    for maker in [0, 1, 2, 0, 1] {
        let token = members[maker].token(Role::View).await;
        let (a, b, c) = tokio::join!(members[0].enrol(&token), members[1].enrol(&token), members[2].enrol(&token));
        let outcomes = [a, b, c].map(|outcome| outcome.map(|identity| identity.who));
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
        for outcome in outcomes.into_iter().filter(Result::is_err) {
            assert_eq!(refusal(outcome), Refusal::UsedToken);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_and_a_revocation_that_were_made_in_a_nodes_folder_serve_at_every_node() {
    let members = group(3).await;
    let token = members[0].guard.issue_token(Role::View, SystemTime::now() + DAY).unwrap();
    let end = Instant::now() + LONG;
    let joined = loop {
        match members[2].enrol(&token).await {
            Ok(joined) => break joined,
            Err(ClientError::NotAdmitted { refusal: Refusal::UnknownToken, .. }) if Instant::now() < end => {}
            Err(error) => panic!("{error}"),
        }
    };
    for member in &members {
        assert_eq!(refusal(member.enrol(&token).await), Refusal::UsedToken);
    }
    // As another process does it.
    millrace_cluster::trust::Revoked::within(&folder_in(members[1].data.path())).add(&joined.who.name).unwrap();
    comes("all have heard of it", || members.iter().all(|member| member.guard.is_revoked(&joined.who.name))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_majority_nobody_comes_in_and_a_revocation_holds_where_it_was_made() {
    let mut members = group(3).await;
    let token = members[0].token(Role::View).await;
    let user = Arc::new(members[0].enrol(&members[0].token(Role::View).await).await.unwrap());
    let last = members.pop().unwrap();
    comes("the last one has heard of both", || last.control.group().read(|agreed| agreed.admissions().certificates().count() == 4)).await;
    for member in members {
        member.lose().await;
    }
    let end = Instant::now() + LONG;
    loop {
        match last.enrol(&token).await {
            // A busy machine may be slower than a newcomer is patient.
            Err(ClientError::Unreachable { .. }) if Instant::now() < end => {}
            other => break assert_eq!(refusal(other), Refusal::NotAgreed),
        }
    }
    assert_eq!(last.guard.make_token(Role::View, DAY).await.unwrap_err().code(), "MR0651");
    assert_eq!(last.guard.revoke(&user.who.name).await.unwrap_err().code(), "MR0651");
    assert_eq!(refusal(last.session(&user).await), Refusal::RevokedCertificate);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_may_only_take_part_in_runs_invites_nobody_by_way_of_the_log() {
    let first = Member::start(None).await;
    comes("the first leads", || first.control.group().look().leads()).await;
    let token = JoinToken::random(Fingerprint::of(&first.guard.identity().authority)).unwrap();
    let hash = token.secret.bytes();
    let hash = Token::from_bytes(ring::digest::digest(&ring::digest::SHA256, hash).as_ref().try_into().unwrap()).reveal();
    let (role, seal) = ("control".to_owned(), "0".repeat(64));
    let invite = Command::Invite { token: token.id.clone(), role, hash, expires: u64::MAX, seal, now: 0 };
    let revoke = Command::Revoke { name: first.name().to_owned() };
    let node = first.session(&Arc::new(first.enrol(&first.token(Role::Node).await).await.unwrap())).await.unwrap();
    for command in [&invite, &revoke] {
        let question = serde_json::to_value(Question { to: None, ask: Ask::Write(command.clone()) }).unwrap();
        assert_eq!(node.consensus(question).await.unwrap_err().code(), "MR0619");
    }
    // Though it comes to lead the group, and writes what it likes.
    assert!(first.control.group().write(invite).await.unwrap().is_done());
    assert_eq!(refusal(first.enrol(&token).await), Refusal::UnknownToken);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_makes_tokens_and_revokes_over_the_wire_and_nobody_else() {
    let first = Member::start(None).await;
    comes("the first leads", || first.control.group().look().leads()).await;
    for role in [Role::View, Role::Operate, Role::Node, Role::Control] {
        let client = first.session(&Arc::new(first.enrol(&first.token(role).await).await.unwrap())).await.unwrap();
        assert_eq!(client.invite("view", DAY).await.unwrap_err().code(), "MR0619", "{role}");
        assert_eq!(client.revoke(first.name()).await.unwrap_err().code(), "MR0619", "{role}");
        assert_eq!(client.certificates().await.unwrap_err().code(), "MR0619", "{role}");
        assert_eq!(client.expel(first.name()).await.unwrap_err().code(), "MR0619", "{role}");
    }
    let admin = Arc::new(first.enrol(&first.token(Role::Admin).await).await.unwrap());
    let client = first.session(&admin).await.unwrap();
    let token = JoinToken::parse(&client.invite("operate", DAY).await.unwrap()).unwrap();
    let user = first.enrol(&token).await.unwrap();
    assert_eq!(user.who.role, Role::Operate);
    assert_eq!(client.invite("root", DAY).await.unwrap_err().code(), "MR0619");
    client.revoke(user.who.name.as_str()).await.unwrap();
    let all = client.certificates().await.unwrap();
    assert!(all.iter().any(|known| known.name == user.who.name.as_str() && known.role == "operate" && known.revoked), "{all:?}");
    assert_eq!(refusal(first.session(&Arc::new(user)).await), Refusal::RevokedCertificate);
    // It is there, and it leads.
    assert_eq!(client.expel(first.name()).await.unwrap_err().code(), "MR0656");
    let text = std::fs::read_to_string(first.data.path().join("audit.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (what, about, outcome) in [("token", "operate", "done"), ("token", "view", "MR0619"), ("expel", first.name(), "MR0656")] {
        assert!(lines.iter().any(|line| line["what"] == what && line["about"] == about && line["outcome"] == outcome), "{what}: {text}");
    }
    let by_admin = lines.iter().filter(|line| line["what"] == "revoke" && line["outcome"] == "done");
    assert!(by_admin.map(|line| &line["who"]).eq([admin.who.name.as_str()]), "{text}");
    assert!(!text.contains(&token.secret.reveal()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_hears_of_revocations_and_is_renewed_by_other_control_nodes_when_the_one_it_joined_is_gone() {
    let mut members = group(3).await;
    let data = tempfile::tempdir().unwrap();
    let keyring = Keyring::at(folder_in(data.path()));
    let joined = enrol(&members[0].authority, &members[0].token(Role::Node).await, "worker", &keyring).await.unwrap();
    // It ends soon.
    let authority = Authority::open(&folder_in(members[1].data.path())).unwrap();
    let key = HeldKey::of_pair(&keyring.key().unwrap());
    let short = authority.issue(&joined.who, &key, SystemTime::now() + 2 * DAY).unwrap();
    let leader = members[0].authority.clone();
    let heard = folder_in(data.path()).join("nodes.json");
    {
        let worker = Guard::open(data.path(), DAY).unwrap().0;
        let end = Instant::now() + LONG;
        while !members.iter().all(|member| std::fs::read_to_string(&heard).is_ok_and(|heard| heard.contains(&member.authority))) {
            assert!(Instant::now() < end, "{:?}", std::fs::read_to_string(&heard));
            worker.keep_fresh(Some(&leader)).await.unwrap();
        }
    }
    members.remove(0).lose().await;
    comes("another one leads", || members.iter().any(|member| member.control.group().look().leads())).await;
    let user = members[0].enrol(&members[0].token(Role::View).await).await.unwrap();
    members[1].guard.revoke(&user.who.name).await.unwrap();
    // It starts again, and knows the others from before.
    keyring.keep(&short, &joined.authority).unwrap();
    let worker = Guard::open(data.path(), DAY).unwrap().0;
    assert!(!worker.identity().is_valid_at(SystemTime::now() + 3 * DAY));
    let end = Instant::now() + LONG;
    while !worker.is_revoked(&user.who.name) || !worker.identity().is_valid_at(SystemTime::now() + 60 * DAY) {
        let fresh = worker.keep_fresh(Some(&leader)).await;
        assert!(Instant::now() < end, "{fresh:?}");
    }
    assert_eq!(worker.identity().who, joined.who);
}
