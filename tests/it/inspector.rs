//! The inspector: who may look, that what is shown is what the tables hold, that looking changes nothing, as the server's own role.

use serde_json::{Value, json};
use std::time::Duration;

use crate::support::client::TestClient;
use crate::support::http::{Api, request};
use crate::support::node::{TestNode, token, token_with};
use crate::support::provider::{Script, ScriptedProvider};

const ON: [(&str, &str); 1] = [("INSPECTOR", "true")];

/// An operator's way to a node's inspector.
fn operator(node: &TestNode) -> Api {
    let scope = Some("agent:inspect");
    Api::new(&node.admin, &token_with("olga", Duration::from_mins(10), scope))
}

async fn read(api: &Api, path: &str) -> Value {
    let reply = api.call("GET", path, None).await;
    assert_eq!(reply.status, 200, "{path}: {reply:?}");
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    reply.json()
}

/// A user who has asked and was answered, and is still there.
async fn turn_of_alice(node: &TestNode) -> TestClient {
    let mut client = node.connect("alice").await;
    client.live().await;
    client.query("q1", "What is a log?").await;
    client.until(|frame| frame["type"] == "response").await;
    client
}

const EVERYTHING: [&str; 6] = [
    "/inspect/now",
    "/inspect/sessions",
    "/inspect/session?user=alice&session=01a1fb21-2c73-71b8-a89e-a54c8f823890",
    "/inspect/prompt?user=alice&session=01a1fb21-2c73-71b8-a89e-a54c8f823890&run=01a1fb21-2c73-71b8-a89e-a54c8f823890",
    "/inspect/notifications",
    "/inspect/days",
];

#[tokio::test]
async fn nobody_looks_without_the_scope() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &ON).await;
    let user = Api::new(&node.admin, &token("alice"));
    let service = token_with("s", Duration::from_mins(10), Some("agent:notify"));
    let service = Api::new(&node.admin, &service);
    for path in EVERYTHING {
        let stranger = request(&node.admin, "GET", path, &[], None).await;
        stranger.problem(401, "unauthorized");
        user.call("GET", path, None).await.problem(403, "forbidden");
        service.call("GET", path, None).await.problem(403, "forbidden");
        read(&operator(&node), path).await;
        // Where users come there is nothing to look at, whatever token they bring.
        let scoped = token_with("olga", Duration::from_mins(10), Some("agent:inspect"));
        let outside = Api::new(&node.base, &scoped);
        outside.call("GET", path, None).await.problem(404, "not_found");
    }
    node.shut_down().await;
}

#[tokio::test]
async fn a_page_of_a_rebound_name_reaches_no_inspector() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &ON).await;
    for path in ["/", "/inspect/now", "/metrics"] {
        let headers = [("host", "evil.example.com:9090")];
        let reply = request(&node.admin, "GET", path, &headers, None).await;
        reply.problem(421, "misdirected_request");
    }
    node.shut_down().await;
}

#[tokio::test]
async fn who_is_connected_what_waits_and_which_sessions_there_are_is_seen() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &ON).await;
    let api = operator(&node);
    let client = turn_of_alice(&node).await;
    let session = client.session.clone();
    let sql = "INSERT INTO agent.notifications (user_id, content) VALUES ('bob', 'Build finished')";
    sqlx::query(sql).execute(&node.database.pool).await.unwrap();

    // Connections are written within a second.
    crate::support::eventually("the connection is shown", || async {
        let now = read(&api, "/inspect/now").await;
        now["connections"][0]["user_id"] == "alice" && now["connections"][0]["session_id"] == session.as_str()
    })
    .await;
    let now = read(&api, "/inspect/now").await;
    assert_eq!(
        now["counts"],
        json!({ "connections": 1, "users": 1, "running": 0, "queued": 0, "undelivered": 1, "sessions": 1 })
    );
    assert_eq!(now["nodes"].as_array().unwrap().len(), 1);

    let pending = read(&api, "/inspect/notifications").await;
    assert_eq!(pending["notifications"][0]["content"], "Build finished");
    let sessions = read(&api, "/inspect/sessions?limit=1").await;
    assert_eq!(sessions["sessions"][0]["session_id"], session.as_str());
    for (find, found) in [
        ("alice", 1),
        (session.as_str(), 1),
        ("nobody", 0),
        ("' OR true --", 0),
    ] {
        let find = find.replace(' ', "%20").replace('\'', "%27");
        let sessions = read(&api, &format!("/inspect/sessions?find={find}")).await;
        assert_eq!(sessions["sessions"].as_array().unwrap().len(), found, "{find}");
    }

    node.shut_down().await;
}

#[tokio::test]
async fn a_run_is_seen_with_its_moments_its_messages_its_prompt_and_its_day() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &ON).await;
    let api = operator(&node);
    let session = turn_of_alice(&node).await.session.clone();
    let whole = read(&api, &format!("/inspect/session?user=alice&session={session}")).await;
    let run = &whole["runs"][0];
    assert_eq!(
        (&run["state"], &run["query_seq"]),
        (&json!("complete"), &json!(1))
    );
    for moment in ["queued_at", "started_at", "first_token_at", "ended_at"] {
        assert!(run[moment].is_string(), "{moment}: {run}");
    }
    assert_eq!(whole["messages"][0]["content"], "What is a log?");
    assert_eq!(whole["messages"][1]["role"], "assistant");
    let before = read(
        &api,
        &format!("/inspect/session?user=alice&session={session}&before=2"),
    )
    .await;
    assert_eq!(before["messages"].as_array().unwrap().len(), 1);

    let run = run["run_id"].as_str().unwrap();
    let path = format!("/inspect/prompt?user=alice&session={session}&run={run}");
    let prompt = read(&api, &path).await;
    assert_eq!(prompt["messages"][0]["content"], "What is a log?");
    assert!(prompt["system_prompt_now"].is_string());
    // The owner is part of the key here as everywhere.
    let path = path.replace("user=alice", "user=bob");
    assert_eq!(read(&api, &path).await["messages"], json!([]));

    let days = read(&api, "/inspect/days?days=3").await;
    let days = days["days"].as_array().unwrap();
    assert_eq!(days.len(), 3, "{days:?}");
    let today = &days[2];
    assert_eq!((&today["runs"], &today["complete"]), (&json!(1), &json!(1)));
    assert!(today["first_token_p50_ms"].is_number(), "{today}");
    node.shut_down().await;
}

#[tokio::test]
async fn a_long_text_is_shown_by_its_beginning_and_says_how_long_it_is() {
    let provider = ScriptedProvider::start().await;
    provider.then(Script::answer("ok"));
    let mut node = TestNode::start(&provider, &ON).await;
    let mut client = node.connect("alice").await;
    client.live().await;
    client.query("q1", &"é".repeat(9000)).await;
    client.until(|frame| frame["type"] == "response").await;
    let path = format!("/inspect/session?user=alice&session={}", client.session);
    let message = read(&operator(&node), &path).await["messages"][0].clone();
    assert_eq!(message["content"].as_str().unwrap().chars().count(), 4000);
    assert_eq!(message["length"], 9000);
    node.shut_down().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_before_the_database_is_asked() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &ON).await;
    let api = operator(&node);
    for path in [
        "/inspect/sessions?find=a%00b",
        "/inspect/sessions?limit=x",
        "/inspect/session?user=alice",
        "/inspect/session?user=&session=01a1fb21-2c73-71b8-a89e-a54c8f823890",
        "/inspect/session?user=alice&session=1",
        "/inspect/prompt?user=alice&session=01a1fb21-2c73-71b8-a89e-a54c8f823890",
        "/inspect/days?days=-1",
        "/inspect/now/?x",
    ] {
        let reply = api.call("GET", path, None).await;
        assert!([400, 404].contains(&reply.status), "{path}: {reply:?}");
    }
    let reply = api.call("POST", "/inspect/now", None).await;
    reply.problem(405, "method_not_allowed");
    node.shut_down().await;
}
