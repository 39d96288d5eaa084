//! deploy/nginx and deploy/caddy, run by the real nginx and Caddy in front of real nodes: a turn, its text as it is written,
//! a resume, a node that goes away, and many sockets at once.
//!
//! The files are taken as they are. Only where the proxy listens, where its nodes are and where it may write are the test's.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::Message;

use super::file;
use crate::support::client::TestClient;
use crate::support::database::environment;
use crate::support::eventually;
use crate::support::http::request;
use crate::support::node::{TestNode, token};
use crate::support::process::Process;
use crate::support::provider::{Script, ScriptedProvider};
use crate::support::tool;

/// A proxy that runs. Dropping it kills it.
struct Proxy {
    base: String,
    _process: Process,
    _folder: TempDir,
}

/// A port that nobody else takes: on an address of this process's own out of loopback's sixteen million, where no other
/// asks for a free one.
fn free_address() -> String {
    let id = std::process::id();
    let host = format!("127.{}.{}.{}", 64 + (id >> 16) % 64, (id >> 8) & 255, id & 255);
    TcpListener::bind((host.as_str(), 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string()
}

/// Replaces a text that has to be there exactly once.
fn replaced(text: &str, old: &str, new: &str) -> String {
    assert_eq!(text.matches(old).count(), 1, "{old}");
    text.replace(old, new)
}

/// nginx with the files of deploy/nginx; `None` where it is not installed.
async fn nginx(nodes: &[&TestNode]) -> Option<Proxy> {
    let program = tool::find("nginx")?;
    let folder = tempfile::tempdir().unwrap();
    let (place, base) = (folder.path(), free_address());
    let read = |name: &str| fs::read_to_string(file("deploy/nginx").join(name)).unwrap();
    let mut writable = String::from("http {\n");
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        let _ = writeln!(writable, "    {kind}_temp_path {}/{kind};", place.display());
    }
    let mut servers = String::new();
    for node in nodes {
        let _ = writeln!(servers, "    server {};", node.base);
    }
    let site = replaced(
        &read("agent-websocket.conf"),
        "listen 80;",
        &format!("listen {base};"),
    );
    let site = replaced(
        &site,
        "/dev/stdout",
        &place.join("access.log").display().to_string(),
    );
    let upstream = replaced(&read("upstream.conf"), "    server 127.0.0.1:8080;\n", &servers);
    fs::write(
        place.join("nginx.conf"),
        replaced(&read("nginx.conf"), "http {\n", &writable),
    )
    .unwrap();
    fs::write(place.join("agent-websocket.conf"), site).unwrap();
    fs::write(place.join("upstream.conf"), upstream).unwrap();
    let here = place.display().to_string();
    let outside = format!("daemon off; pid {here}/pid; error_log stderr;");
    let configuration = format!("{here}/nginx.conf");
    let arguments = ["-p", &here, "-c", &configuration, "-e", "stderr", "-g", &outside];
    Some(started("nginx", &program, &arguments, &HashMap::new(), base, folder).await)
}

/// Caddy with deploy/caddy/Caddyfile; `None` where it is not installed.
async fn caddy(nodes: &[&TestNode]) -> Option<Proxy> {
    let program = tool::find("caddy")?;
    let folder = tempfile::tempdir().unwrap();
    let (here, base) = (folder.path().display().to_string(), free_address());
    let (host, port) = base.split_once(':').unwrap();
    // A site for every name, on that address alone.
    let text = fs::read_to_string(file("deploy/caddy/Caddyfile")).unwrap();
    let bound = format!("\tbind {host}\n\treverse_proxy {{$AGENT_NODES");
    let configuration = format!("{here}/Caddyfile");
    fs::write(
        &configuration,
        replaced(&text, "\treverse_proxy {$AGENT_NODES", &bound),
    )
    .unwrap();
    let bases: Vec<&str> = nodes.iter().map(|node| node.base.as_str()).collect();
    let settings = HashMap::from([
        ("SITE_ADDRESS".to_owned(), format!("http://:{port}")),
        ("AGENT_NODES".to_owned(), bases.join(" ")),
        ("CADDY_ADMIN".to_owned(), format!("unix/{here}/admin.sock")),
        ("XDG_DATA_HOME".to_owned(), here.clone()),
        ("XDG_CONFIG_HOME".to_owned(), here.clone()),
    ]);
    let arguments = ["run", "--adapter", "caddyfile", "--config", &configuration];
    Some(started("caddy", &program, &arguments, &settings, base, folder).await)
}

async fn started(
    name: &str,
    program: &Path,
    arguments: &[&str],
    settings: &HashMap<String, String>,
    base: String,
    folder: TempDir,
) -> Proxy {
    let mut process = Process::run(name, program, arguments, settings, Stdio::null());
    eventually("the proxy listens", || {
        assert!(process.is_alive(), "{name} ended");
        let base = base.clone();
        async move { tokio::net::TcpStream::connect(base).await.is_ok() }
    })
    .await;
    Proxy {
        base,
        _process: process,
        _folder: folder,
    }
}

/// Text arrives while the model is still writing, a cut socket resumes, and HTTP goes the same way.
async fn a_conversation(proxy: &Proxy, provider: &ScriptedProvider) {
    provider.then(
        Script::new()
            .head()
            .text("Through ")
            .wait_for("gate")
            .text("the proxy.")
            .finish("stop")
            .done(),
    );
    let mut client = TestClient::connect(&proxy.base, &token("alice"), "").await;
    client.live().await;
    client.query("q1", "Does it stream?").await;
    // The model waits for this: a proxy that held text back would never let it come.
    client.until(|frame| frame["content"] == "Through ").await;
    client.cut();

    let mut again = TestClient::connect(&proxy.base, &token("alice"), "?session_id=latest").await;
    let drafted = again.until(|frame| frame["type"] == "delta").await;
    assert_eq!(drafted["content"], "Through ");
    provider.open("gate");
    let answer = again.until(|frame| frame["type"] == "response").await;
    assert_eq!(answer["content"], "Through the proxy.");
    again.command("ping", json!({})).await;

    let authorization = format!("Bearer {}", token("alice"));
    let path = format!("/v1/sessions/{}/messages", again.session);
    let reply = request(
        &proxy.base,
        "GET",
        &path,
        &[("authorization", &authorization)],
        None,
    )
    .await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.json()["messages"].as_array().unwrap().len(), 2);
    again.cut();
}

#[tokio::test]
async fn a_conversation_goes_through_nginx_as_it_is_written() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    if let Some(proxy) = nginx(&[&node]).await {
        a_conversation(&proxy, &provider).await;
    }
    node.shut_down().await;
}

#[tokio::test]
async fn a_conversation_goes_through_caddy_as_it_is_written() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    if let Some(proxy) = caddy(&[&node]).await {
        a_conversation(&proxy, &provider).await;
    }
    node.shut_down().await;
}

#[tokio::test]
async fn nginx_leads_to_the_other_node_when_one_is_gone() {
    let provider = ScriptedProvider::start().await;
    let mut first = TestNode::start(&provider, &[]).await;
    let mut second = TestNode::start(&provider, &[]).await;
    if let Some(proxy) = nginx(&[&first, &second]).await {
        first.shut_down().await;
        for user in ["alice", "bob", "carol", "dave"] {
            let mut client = TestClient::connect(&proxy.base, &token(user), "").await;
            client.live().await;
            client.cut();
        }
    } else {
        first.shut_down().await;
    }
    second.shut_down().await;
}

#[tokio::test]
async fn nodes_behind_nginx_tell_clients_apart_by_their_addresses() {
    let provider = ScriptedProvider::start().await;
    let changes = [
        ("TRUSTED_PROXIES", "127.0.0.1"),
        ("AUTH_FAILURES_PER_MINUTE_PER_ADDRESS", "1"),
    ];
    let mut node = TestNode::start(&provider, &changes).await;
    if let Some(proxy) = nginx(&[&node]).await {
        let mut statuses = Vec::new();
        // The test is on the proxy's own address, so it counts as a trusted proxy too, and what it says is believed.
        for client in ["203.0.113.1", "203.0.113.1", "203.0.113.2"] {
            let headers = [("authorization", "Bearer x"), ("x-forwarded-for", client)];
            let reply = request(&proxy.base, "GET", "/v1/sessions", &headers, None).await;
            statuses.push(reply.status);
        }
        assert_eq!(statuses, [401, 429, 401]);
    }
    node.shut_down().await;
}

/// A number of the environment's.
fn number(name: &str, ordinary: u64) -> u64 {
    environment(name).map_or(ordinary, |text| text.parse().unwrap())
}

/// Reads until a moment; whatever ends the socket before is a drop.
async fn holds_until(mut client: TestClient, end: Instant) -> (TestClient, bool) {
    // Not by the client's own reading, which loses patience with a silent server.
    while let Ok(message) = timeout_at(end, client.socket.next()).await {
        if !matches!(message, Some(Ok(Message::Ping(_) | Message::Text(_)))) {
            return (client, false);
        }
    }
    (client, true)
}

/// Fifty sockets for two seconds, or as `PROXY_SOCKETS` and `PROXY_SECONDS` say (scripts/soak-proxy).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_stay_through_nginx() {
    let (sockets, seconds) = (number("PROXY_SOCKETS", 50), number("PROXY_SECONDS", 2));
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    if let Some(proxy) = nginx(&[&node]).await {
        let mut clients = Vec::new();
        for user in 0..sockets {
            let mut client = TestClient::connect(&proxy.base, &token(&format!("user_{user}")), "").await;
            client.live().await;
            clients.push(client);
        }
        let end = Instant::now() + Duration::from_secs(seconds);
        let mut held = JoinSet::new();
        for client in clients {
            held.spawn(holds_until(client, end));
        }
        let (mut dropped, mut answered) = (0, 0);
        while let Some(client) = held.join_next().await {
            let (mut client, stayed) = client.unwrap();
            if stayed {
                client.command("ping", json!({})).await;
                answered += 1;
            } else {
                dropped += 1;
            }
        }
        println!(
            "{sockets} sockets through nginx for {seconds} s: {dropped} dropped, {answered} answered at the end"
        );
        assert_eq!((dropped, answered), (0, sockets));
    }
    node.shut_down().await;
}
