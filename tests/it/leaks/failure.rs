//! What fails: tokens that are refused, frames that cannot be read, a provider that quotes, a database that complains.

use serde_json::json;

use super::{CANARY, DATABASE, KEY, PROVIDER, Scene, eventually, service_token};
use crate::support::client::TestClient;
use crate::support::node::token;
use crate::support::provider::Script;
use crate::support::raw::{Part, RawClient, TEXT};

/// A wish to be taken for another line, and for an order to the terminal.
const CONTROL: &str = "\\u0000\\r\\n\\u001b[2J\\u2028\\u009b";

/// Does everything that fails, one after the other.
pub(super) async fn drive(scene: &mut Scene) {
    show_bad_tokens(scene).await;
    send_bad_frames(scene).await;
    send_bad_requests(scene).await;
    ask_a_provider_that_quotes(scene).await;
    meet_a_database_that_complains(scene).await;
    lose_the_database(scene).await;
}

/// A token whose signature is wrong, with a secret where one would be.
fn bad_token() -> String {
    format!("{}canary", token("alice"))
}

async fn show_bad_tokens(scene: &mut Scene) {
    let bad = bad_token();
    let bearer = format!("Bearer {bad}");
    let offered = format!("agentws.v1, agentws.bearer.{bad}");
    let alone = format!("agentws.bearer.{bad}");
    let in_url = format!("/v1/ws?access_token={bad}");
    let ways: [(&str, Vec<(&str, &str)>); 5] = [
        ("/v1/ws", vec![("authorization", &bearer)]),
        ("/v1/ws", vec![("sec-websocket-protocol", &offered)]),
        ("/v1/ws", vec![("sec-websocket-protocol", &alone)]),
        (&in_url, Vec::new()),
        ("/v1/ws?session_id=canary&after=canary", Vec::new()),
    ];
    for (path, headers) in ways {
        if let Some(mut client) = scene.open(path, &headers).await {
            assert_eq!(client.closed().await.0, 4501);
            scene.heard(client);
        }
    }
    for args in [
        json!({ "token": bad }),
        json!({ "token": token("alice"), "after": bad }),
    ] {
        let mut client = scene.open("/v1/ws", &[]).await.unwrap();
        assert_eq!(client.command("auth", args).await["type"], "error");
        scene.heard(client);
    }
    assert_eq!(scene.call("GET", "/v1/sessions", &bad, None).await, 401);
}

async fn send_bad_frames(scene: &mut Scene) {
    let mut client = scene.connect("alice").await;
    client.live().await;
    let frames = [
        format!(r#"{{"type":"canary{CONTROL}"}}"#),
        format!(r#"{{"type":"query","id":"canary{CONTROL}","content":"x"}}"#),
        format!(r#"{{"type":"query","id":"a","content":"canary{CONTROL}"}}"#),
        r#"{"type":"query","id":"a","content":"x","priority":"canary"}"#.to_owned(),
        r#"{"type":"query","id":"a","content":"x","metadata":"canary"}"#.to_owned(),
        r#"{"type":"query","id":"a","content":"x","model":"canary"}"#.to_owned(),
        format!(r#"{{"type":"command","id":"a","content":"canary{CONTROL}"}}"#),
        r#"{"type":"command","id":"a","content":"rename","args":{"title":["canary"]}}"#.to_owned(),
        r#"{"type":"command","id":"a","content":"resume","args":{"session_id":"canary"}}"#.to_owned(),
        r#"{"type":"human_feedback","id":"a","message_id":"canary"}"#.to_owned(),
        r#"{"type":"query","content":"canary"#.to_owned(),
    ];
    for frame in &frames {
        client.send_text(frame).await;
        assert_eq!(client.next().await.unwrap()["type"], "error", "{frame}");
    }
    scene.heard(client);
    // Bytes that no text frame may hold, and a header that is none.
    let bearer = format!("Bearer {}", token("alice"));
    let (mut raw, _) = RawClient::upgrade(&scene.serve.base, "/v1/ws", &[("authorization", &bearer)]).await;
    raw.frame(TEXT, Part::Last, b"canary\x1b\x00\r\n\xff\xfe")
        .await
        .unwrap();
    assert_eq!(raw.closed().await.unwrap().0, 1007);
    let mut raw = RawClient::connect(&scene.serve.base).await;
    raw.send(b"GET /canary\x1b HTTP/1.1\r\nx-canary: \x00\x1b\r\n\r\n")
        .await
        .unwrap();
    raw.ended().await;
}

async fn send_bad_requests(scene: &mut Scene) {
    let alice = token("alice");
    let long = format!(r#"{{"content":"{}"}}"#, "canary".repeat(50_000));
    for (method, path, body, status) in [
        ("GET", "/v1/canary%0d%0aINFO%1b", None, 404),
        ("GET", "/v1/sessions/canary%0a", None, 404),
        ("GET", "/v1/sessions?before=canary%0a", None, 400),
        ("GET", "/v1/search?canary=canary", None, 400),
        ("POST", "/v1/sessions", Some(r#"{"title":["canary"]}"#), 400),
        ("POST", "/v1/sessions", Some(r#"{"model":"canary"}"#), 400),
        ("POST", "/v1/sessions", Some("canary\u{1b}"), 400),
        ("POST", "/v1/sessions", Some(&long), 413),
        ("POST", "/v1/notifications", Some(r#"{"content":"canary"}"#), 403),
    ] {
        assert_eq!(
            scene.call(method, path, &alice, body).await,
            status,
            "{method} {path}"
        );
    }
}

/// Errors in every shape, each with the key and the question in its words.
async fn ask_a_provider_that_quotes(scene: &mut Scene) {
    let words = format!("{PROVIDER} of {KEY} about canary-question\\nforged");
    let error = |kind: &str| format!(r#"{{"error":{{"type":"{kind}","message":"{words}"}}}}"#);
    let html = format!("<html>{words}</html>");
    let (midway, named) = (error("canary words"), error("invalid_request_error"));
    let odd = format!(r#"{{"choices":["{words}"]}}"#);
    let scripts = [
        ("with the key", Script::status(401, &error("canary words"))),
        ("rejected", Script::status(400, &named)),
        (
            "a page",
            Script::status(403, &html).header("content-type", "text/html"),
        ),
        ("midway", Script::new().text("Some text").event(&midway)),
        ("odd", Script::new().text("Some text").event(&odd)),
        (
            "torn",
            Script::new().text("Some text").event(&format!("{{\"{words}")),
        ),
    ];
    let mut client = scene.connect("alice").await;
    for (index, (cue, script)) in scripts.into_iter().enumerate() {
        scene.provider.on(cue, script);
        let answer = client
            .ask(&format!("p{index}"), &format!("canary-question {cue}"))
            .await;
        assert_ne!(answer["state"], "complete", "{cue}: {answer}");
        assert!(answer["error"]["code"].is_string(), "{cue}: {answer}");
    }
    scene.heard(client);
}

/// A trigger that quotes, a constraint that is violated, and warnings beside what works.
const COMPLAINTS: [&str; 5] = [
    "CREATE FUNCTION agent.trip() RETURNS trigger LANGUAGE plpgsql AS $$
     BEGIN
         RAISE WARNING 'canary-database-words: %', NEW;
         IF to_jsonb(NEW)::text ~ 'raise' THEN
             RAISE EXCEPTION 'canary-database-words: %', NEW USING DETAIL = 'canary', HINT = 'canary';
         END IF;
         RETURN NEW;
     END $$",
    "CREATE TRIGGER trip BEFORE INSERT ON agent.messages FOR EACH ROW EXECUTE FUNCTION agent.trip()",
    "CREATE TRIGGER trip BEFORE INSERT ON agent.feedback FOR EACH ROW EXECUTE FUNCTION agent.trip()",
    "CREATE TRIGGER trip BEFORE INSERT ON agent.notifications FOR EACH ROW EXECUTE FUNCTION agent.trip()",
    "ALTER TABLE agent.messages ADD CONSTRAINT trip_check CHECK (content !~ 'violate')",
];

async fn meet_a_database_that_complains(scene: &mut Scene) {
    for sql in COMPLAINTS {
        sqlx::query(sql).execute(&scene.database.pool).await.unwrap();
    }
    let mut client = scene.connect("alice").await;
    let answer = client.ask("ok", "What works is warned of").await;
    for content in ["raise canary-query", "violate canary-query"] {
        let query = json!({ "type": "query", "id": "d", "content": content });
        client.send(&query).await;
        assert_internal(&mut client, "d").await;
        let path = format!("/v1/sessions/{}/messages", client.session);
        let body = json!({ "content": content }).to_string();
        assert_eq!(scene.call("POST", &path, &token("alice"), Some(&body)).await, 503);
    }
    let feedback = json!({ "type": "human_feedback", "id": "f", "message_id": answer["message_id"],
        "content": "raise canary-comment" });
    client.send(&feedback).await;
    assert_internal(&mut client, "f").await;
    let body = r#"{"user_id":"alice","content":"raise canary-notification"}"#;
    let service = service_token();
    assert_eq!(
        scene
            .call("POST", "/v1/notifications", &service, Some(body))
            .await,
        503
    );
    scene.heard(client);
    assert!(DATABASE.contains(CANARY) && COMPLAINTS[0].contains(DATABASE));
}

async fn assert_internal(client: &mut TestClient, id: &str) {
    let error = client.until(|frame| frame["re"] == id).await;
    assert_eq!(error["code"], "internal", "{error}");
}

/// Its connections are cut as a restart of the server cuts them.
async fn lose_the_database(scene: &mut Scene) {
    let mut client = scene.connect("alice").await;
    client.ask("before", "canary-query: are you there?").await;
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'agent-websocket'";
    sqlx::query(cut).execute(&scene.database.pool).await.unwrap();
    eventually("the server is ready again", || async {
        scene.serve.ready().await.0 == 200
    })
    .await;
    client.ask("after", "canary-query: are you back?").await;
    scene.heard(client);
}
