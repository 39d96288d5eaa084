//! A session as a file, over HTTP and from the command line; and the command that notifies.

use serde_json::{Value, json};

use crate::support::client::TestClient;
use crate::support::database::TestDatabase;
use crate::support::http::Api;
use crate::support::node::{TestNode, token};
use crate::support::process::program;
use crate::support::provider::{Script, ScriptedProvider};

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A session with an answer that somebody did not like, and one that failed.
async fn rated_session(node: &TestNode, provider: &ScriptedProvider) -> (TestClient, Value) {
    let mut client = node.connect("alice").await;
    let said = Script::new().text("An *answer*.\nTwo lines.");
    provider.on("first", said.finish("stop").usage(7, 5, 0.25).done());
    provider.on(
        "second",
        Script::status(400, r#"{"error":{"message":"no","code":400}}"#),
    );
    let answer = client.ask("q1", "The first <question>").await;
    client.ask("q2", "The second").await;
    let mut feedback = opinion();
    feedback["content"] = feedback.as_object_mut().unwrap().remove("comment").unwrap();
    feedback["type"] = json!("human_feedback");
    feedback["id"] = json!("f");
    feedback["message_id"] = answer["message_id"].clone();
    client.send(&feedback).await;
    client.until(|frame| frame["re"] == "f").await;
    client.command("rename", json!({ "title": "Talk" })).await;
    (client, answer)
}

fn opinion() -> Value {
    json!({ "rating": -1, "comment": "too\nshort", "correction": "More.", "tags": ["brief"] })
}

#[tokio::test]
async fn as_json_lines_an_export_is_the_session_and_the_messages_of_the_interface_with_their_feedback() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let (client, answer) = rated_session(&node, &provider).await;
    let api = Api::new(&node.base, &token("alice"));
    let path = format!("/v1/sessions/{}", client.session);
    let reply = api.call("GET", &format!("{path}/export"), None).await;
    let name = format!("attachment; filename=\"{}.jsonl\"", client.session);
    assert_eq!(
        reply.header("content-type"),
        Some("application/jsonl; charset=utf-8")
    );
    assert_eq!(reply.header("content-disposition"), Some(name.as_str()));
    let mut lines: Vec<Value> = reply
        .body
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let session = lines.remove(0);
    assert_eq!(
        (&session["type"], &session["title"], &session["user_id"]),
        (&json!("session"), &json!("Talk"), &json!("alice"))
    );
    let page = api.call("GET", &format!("{path}/messages"), None).await.json();
    let expected: Vec<Value> = page["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| {
            let mut line = message.clone();
            line["type"] = json!("message");
            if message["message_id"] == answer["message_id"] {
                line["feedback"] = opinion();
            }
            line
        })
        .collect();
    assert_eq!(lines, expected);
    node.shut_down().await;
}

#[tokio::test]
async fn as_markdown_an_export_can_be_read_and_the_terminal_writes_what_http_sends() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let (client, _) = rated_session(&node, &provider).await;
    let api = Api::new(&node.base, &token("alice"));
    let path = format!("/v1/sessions/{}/export", client.session);
    let markdown = api.call("GET", &format!("{path}?format=markdown"), None).await;
    assert_eq!(
        markdown.header("content-type"),
        Some("text/markdown; charset=utf-8")
    );
    let accepted = [("accept", "text/markdown")];
    let negotiated = api.call_with("GET", &path, &accepted, None).await;
    assert_eq!(markdown.body, negotiated.body);
    for part in [
        "# Talk\n\nSession ",
        "\n\nThe first <question>\n",
        "\n\nAn *answer*.\nTwo lines.\n",
        "> Feedback: rated -1 (brief)\n>\n> Comment: too\n> short\n>\n> Correction: More.\n",
        ", failed\n",
    ] {
        assert!(markdown.body.contains(part), "{part:?}: {}", markdown.body);
    }
    let lines = api.call("GET", &path, None).await;
    for (format, expected) in [("jsonl", &lines.body), ("markdown", &markdown.body)] {
        let arguments = ["export", &client.session, "--format", format];
        let output = program(&node.database.url, &arguments).await;
        assert_eq!(&text(&output.stdout), expected, "{output:?}");
    }
    let refused = api.call("GET", &format!("{path}?format=pdf"), None).await;
    refused.problem(400, "invalid_message");
    let nobodys = uuid::Uuid::now_v7().to_string();
    let nobodys = program(&node.database.url, &["export", &nobodys]).await;
    assert_eq!(nobodys.status.code(), Some(1));
    assert!(
        text(&nobodys.stderr).contains("there is no session"),
        "{nobodys:?}"
    );
    node.shut_down().await;
}

#[tokio::test]
async fn a_long_session_is_exported_whole_and_in_order() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let client = node.connect("alice").await;
    let session: uuid::Uuid = client.session.parse().unwrap();
    drop(client.cut());
    sqlx::query(
        "WITH grown AS (UPDATE agent.sessions SET last_seq = 1001 WHERE session_id = $1)
         INSERT INTO agent.messages (user_id, session_id, seq, message_id, role, content, created_at)
         SELECT 'alice', $1, n, gen_random_uuid(), 'user', 'text ' || n, clock_timestamp() FROM generate_series(1, 1001) AS n",
    )
    .bind(session)
    .execute(&node.database.pool)
    .await
    .unwrap();
    let api = Api::new(&node.base, &token("alice"));
    let reply = api
        .call("GET", &format!("/v1/sessions/{session}/export"), None)
        .await;
    let seqs: Vec<i64> = reply
        .body
        .lines()
        .skip(1)
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["seq"]
                .as_i64()
                .unwrap()
        })
        .collect();
    assert!(seqs.iter().copied().eq(1..=1001), "{seqs:?}");
    node.shut_down().await;
}

#[tokio::test]
async fn the_command_notify_reaches_the_user_once_for_each_key() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let mut client = node.connect("alice").await;
    client.live().await;
    let url = node.database.url.clone();
    let arguments = [
        "notify",
        "alice",
        "Build finished",
        "--kind",
        "build",
        "--title",
        "CI",
        "--data",
        r#"{"id": 7}"#,
        "--priority",
        "high",
        "--dedupe-key",
        "k",
        "--expires-at",
        "2999-01-01T00:00:00Z",
    ];
    let first = program(&url, &arguments).await;
    assert!(first.status.success(), "{first:?}");
    let frame = client.until(|frame| frame["event"] == "message").await;
    assert_eq!(
        text(&first.stdout).trim(),
        frame["notification_id"].as_str().unwrap()
    );
    assert_eq!(
        (
            &frame["content"],
            &frame["kind"],
            &frame["title"],
            &frame["data"]["id"],
            &frame["priority"]
        ),
        (
            &json!("Build finished"),
            &json!("build"),
            &json!("CI"),
            &json!(7),
            &json!("high")
        )
    );
    let again = program(&url, &arguments).await;
    assert!(again.status.success() && again.stdout.is_empty(), "{again:?}");
    let count = "SELECT count(*) FROM agent.notifications";
    assert_eq!(node.database.count(count).await, 1);
    node.shut_down().await;
}

#[tokio::test]
async fn the_command_notify_says_what_is_wrong_and_stores_nothing() {
    let database = TestDatabase::new().await;
    let url = &database.url;
    for (bad, rule) in [
        (&["notify", "alice", " "][..], "content is required"),
        (&["notify", "alice", "x", "--kind", "two words"], "kind must be"),
        (&["notify", "alice", "x", "--data", "[1]"], "not a JSON object"),
        (
            &["notify", "alice", "x", "--deliver-after", "tomorrow"],
            "2026-12-01T08:00:00Z",
        ),
        (&["notify", "alice", "x", "--in-context"], "--session"),
    ] {
        let refused = program(url, bad).await;
        assert!(!refused.status.success(), "{bad:?}");
        assert!(text(&refused.stderr).contains(rule), "{bad:?}: {refused:?}");
    }
    let count = "SELECT count(*) FROM agent.notifications";
    assert_eq!(database.count(count).await, 0);
}
