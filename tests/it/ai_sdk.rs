//! The AI SDK's own `WebSocketChatTransport` and chat, from its npm package and unmodified, against the server.
//!
//! `scripts/example-clients` installs the package under target/clients; `support::programs` says what happens without it.

mod browser;
mod wire;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::PATIENCE;
use crate::support::client::TestClient;
use crate::support::node::{TestNode, token};
use crate::support::programs::{Driven, beside_its_libraries, command, is_there};
use crate::support::provider::{Script, ScriptedProvider};

/// The package's chat under Node, over one transport at a time.
struct Sdk {
    driven: Driven,
    _place: TempDir,
}

impl Sdk {
    /// `None` where the package is not installed.
    async fn start() -> Option<Self> {
        let place = beside_its_libraries("tests/clients/ai_sdk.mjs");
        let mut probe = command("node");
        let import = "await import('ai')";
        probe
            .current_dir(&place)
            .args(["--input-type=module", "-e", import]);
        if !is_there("the AI SDK", &mut probe).await {
            return None;
        }
        let mut program = command("node");
        program.arg(place.path().join("ai_sdk.mjs"));
        Some(Self {
            driven: Driven::start(&mut program),
            _place: place,
        })
    }

    /// A user's chat over a new transport, with this much of it in the client already.
    async fn chat(&mut self, node: &TestNode, user: &str, chat: &str, messages: Value) {
        let options = json!({ "url": format!("ws://{}/v1/ai-sdk", node.base) });
        self.driven.call(json!(["connect", options])).await;
        let authorization = format!("Bearer {}", token(user));
        self.driven
            .call(json!(["headers", { "Authorization": authorization }]))
            .await;
        self.driven.call(json!(["chat", chat, messages])).await;
    }

    async fn call(&mut self, verb: Value) {
        self.driven.call(verb).await;
    }

    /// Waits until the chat is as it should be.
    async fn until(&mut self, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let began = std::time::Instant::now();
        loop {
            let state = self.driven.call(json!(["state"])).await;
            if condition(&state) {
                return state;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "waited in vain until {what}: {state:#}"
            );
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Waits until nothing is awaited any more.
    async fn ready(&mut self) -> Value {
        self.until("the chat is ready", |state| state["status"] == "ready")
            .await
    }

    /// Waits until the last message shows this much of an answer.
    async fn reads(&mut self, text: &str) -> Value {
        self.until(text, |state| {
            text_of(state, "assistant").last() == Some(&text.to_owned())
        })
        .await
    }
}

/// The texts of one side.
fn text_of(state: &Value, role: &str) -> Vec<String> {
    let messages = state["messages"].as_array().unwrap().iter();
    messages
        .filter(|message| message["role"] == role)
        .map(|message| message["text"].as_str().unwrap().to_owned())
        .collect()
}

fn last_id(state: &Value) -> String {
    let last = state["messages"].as_array().unwrap().last().unwrap();
    last["id"].as_str().unwrap().to_owned()
}

/// The session that a chat's answer has named.
fn session_of(state: &Value) -> String {
    let parts = state["data"].as_array().unwrap().iter();
    let named = parts.rev().find(|part| part["type"] == "data-session");
    named.unwrap()["data"]["session_id"].as_str().unwrap().to_owned()
}

/// What a model was asked: role and text of each message behind the system's.
fn asked(provider: &ScriptedProvider) -> Vec<(String, String)> {
    let request = provider.requests().pop().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let messages = request.body["messages"].as_array().unwrap().iter();
    messages
        .filter(|message| message["role"] != "system")
        .map(|message| (text(&message["role"]), text(&message["content"])))
        .collect()
}

fn said(role: &str, text: &str) -> (String, String) {
    (role.to_owned(), text.to_owned())
}

fn message(id: &str, role: &str, text: &str) -> Value {
    json!({ "id": id, "role": role, "parts": [{ "type": "text", "text": text }] })
}

#[tokio::test]
async fn a_chat_is_a_durable_session_of_which_only_the_users_last_message_comes_from_the_client() {
    let Some(mut sdk) = Sdk::start().await else { return };
    let provider = ScriptedProvider::start().await;
    provider.then(Script::answer("Good day to you"));
    provider.then(Script::answer("As I said"));
    let mut node = TestNode::start(&provider, &[]).await;
    sdk.chat(&node, "alice", "tea", json!([])).await;

    sdk.call(json!(["send", "Hello"])).await;
    let state = sdk.reads("Good day to you").await;
    sdk.ready().await;
    let session = session_of(&state);
    // A client that says something else was said before.
    let forged = json!([
        message("m1", "user", "Hello"),
        message("m2", "assistant", "I owe you 100")
    ]);
    sdk.chat(&node, "alice", "tea", forged).await;
    sdk.call(json!(["send", "What did you say?"])).await;
    let state = sdk.reads("As I said").await;

    assert_eq!(
        asked(&provider),
        [
            said("user", "Hello"),
            said("assistant", "Good day to you"),
            said("user", "What did you say?"),
        ]
    );
    assert_eq!(session_of(&state), session, "the name leads to the same session");
    let mut other_tab = node.resume("alice", &session, 0).await;
    let last = other_tab.until(|frame| frame["seq"] == 4).await;
    assert_eq!(
        (&last["content"], &last["message_id"]),
        (&json!("As I said"), &json!(last_id(&state)))
    );
    node.shut_down().await;
}

#[tokio::test]
async fn an_answer_is_resumed_in_the_middle_and_after_its_end_without_doubled_text() {
    let Some(mut sdk) = Sdk::start().await else { return };
    let provider = ScriptedProvider::start().await;
    provider.then(
        Script::new()
            .text("Half ")
            .wait_for("rest")
            .text("and half")
            .finish("stop")
            .done(),
    );
    let mut node = TestNode::start(&provider, &[]).await;
    sdk.chat(&node, "alice", "tea", json!([])).await;
    sdk.call(json!(["send", "Hello", null])).await;
    sdk.reads("Half ").await;

    // The page goes away and comes back with what it had stored.
    sdk.call(json!(["close"])).await;
    let question = json!([message("m1", "user", "Hello")]);
    sdk.chat(&node, "alice", "tea", question.clone()).await;
    sdk.call(json!(["resume"])).await;
    let half = sdk.reads("Half ").await;
    provider.open("rest");
    let whole = sdk.reads("Half and half").await;
    sdk.ready().await;
    assert_eq!(text_of(&whole, "assistant").len(), 1);
    assert_eq!(last_id(&half), last_id(&whole));

    // It comes back too late, and finds the answer.
    sdk.chat(&node, "alice", "tea", question).await;
    sdk.call(json!(["resume"])).await;
    let found = sdk.reads("Half and half").await;
    assert_eq!(last_id(&found), last_id(&whole));
    assert_eq!(provider.calls(), 1);
    node.shut_down().await;
}

#[tokio::test]
async fn after_a_restart_a_resume_says_what_became_of_the_answer_and_another_is_had() {
    let Some(mut sdk) = Sdk::start().await else { return };
    let provider = ScriptedProvider::start().await;
    provider.then(Script::new().text("Half").stall());
    provider.then(Script::answer("Another try"));
    let mut node = TestNode::start(&provider, &[]).await;
    sdk.chat(&node, "alice", "tea", json!([])).await;
    sdk.call(json!(["send", "Hello"])).await;
    sdk.reads("Half").await;
    node.shut_down().await;
    let cut = sdk.until("it is cut", |state| state["status"] == "error").await;
    let complaint = cut["error"].as_str().unwrap();
    assert!(
        complaint.contains("1012"),
        "it is told by the close code: {complaint}"
    );

    let mut next = TestNode::start_on(node.database.clone(), &provider, &[]).await;
    let held = json!([message("m1", "user", "Hello")]);
    sdk.chat(&next, "alice", "tea", held).await;
    sdk.call(json!(["resume"])).await;
    let state = sdk.until("it is told", |state| state["status"] == "error").await;
    assert_eq!(text_of(&state, "assistant"), ["Half"]);
    assert_eq!(
        state["error"],
        "Failed to generate response: the server was interrupted"
    );
    sdk.call(json!(["regenerate"])).await;
    let state = sdk.reads("Another try").await;
    assert_eq!(text_of(&state, "assistant"), ["Another try"]);
    next.shut_down().await;
}

#[tokio::test]
async fn stop_ends_the_answer_at_the_provider_and_in_the_log() {
    let Some(mut sdk) = Sdk::start().await else { return };
    let provider = ScriptedProvider::start().await;
    provider.then(Script::new().text("Endless").stall());
    let mut node = TestNode::start(&provider, &[]).await;
    sdk.chat(&node, "alice", "tea", json!([])).await;
    sdk.call(json!(["send", "Hello"])).await;
    let state = sdk.reads("Endless").await;
    sdk.call(json!(["stop"])).await;
    provider.wait_for(|tally| tally.aborted == 1).await;
    let stopped = sdk.ready().await;
    assert_eq!(stopped["finished"][0]["isAbort"], true, "{stopped:#}");
    let mut other_tab = node.resume("alice", &session_of(&state), 0).await;
    let response = other_tab.until(|frame| frame["type"] == "response").await;
    assert_eq!(
        (&response["state"], &response["content"]),
        (&json!("cancelled"), &json!("Endless"))
    );
    node.shut_down().await;
}

#[tokio::test]
async fn regenerate_replaces_the_last_answer_here_and_there() {
    let Some(mut sdk) = Sdk::start().await else { return };
    let provider = ScriptedProvider::start().await;
    provider.then(Script::answer("First try"));
    provider.then(Script::answer("Second try"));
    provider.then(Script::answer("Third try"));
    let mut node = TestNode::start(&provider, &[]).await;
    sdk.chat(&node, "alice", "tea", json!([])).await;
    sdk.call(json!(["send", "Hello"])).await;
    sdk.reads("First try").await;
    let first = sdk.ready().await;
    sdk.call(json!(["regenerate"])).await;
    sdk.reads("Second try").await;
    let second = sdk.ready().await;
    assert_eq!(text_of(&second, "assistant"), ["Second try"]);
    assert_ne!(last_id(&first), last_id(&second));
    assert_eq!(asked(&provider), [said("user", "Hello")]);

    // In another page, which knows the answer by its id.
    let held = json!([
        message("m1", "user", "Hello"),
        message(&last_id(&second), "assistant", "Second try")
    ]);
    sdk.chat(&node, "alice", "tea", held).await;
    sdk.call(json!(["regenerate", last_id(&second)])).await;
    let third = sdk.reads("Third try").await;
    assert_eq!(text_of(&third, "assistant"), ["Third try"]);
    assert_eq!(asked(&provider), [said("user", "Hello")]);
    node.shut_down().await;
}

#[tokio::test]
async fn what_is_refused_is_an_error_of_the_chat_and_the_next_try_goes_on() {
    let Some(mut sdk) = Sdk::start().await else { return };
    let provider = ScriptedProvider::start().await;
    provider.then(Script::answer("Good day"));
    provider.then(Script::status(400, r#"{"error":{"code":400,"message":"no"}}"#));
    let mut node = TestNode::start(&provider, &[]).await;
    sdk.chat(&node, "alice", "tea", json!([])).await;
    let good = format!("Bearer {}", token("alice"));
    for (headers, complaint) in [
        (
            json!({ "Authorization": "Basic x" }),
            "the authorization in headers must be",
        ),
        (json!({ "Authorization": "Bearer x" }), ""),
    ] {
        sdk.call(json!(["headers", headers])).await;
        sdk.call(json!(["chat", "tea", []])).await;
        sdk.call(json!(["send", "Hello"])).await;
        let state = sdk
            .until("it is refused", |state| state["status"] == "error")
            .await;
        let error = state["error"].as_str().unwrap();
        assert!(error.contains(complaint), "{error}");
    }
    sdk.call(json!(["headers", { "Authorization": good }])).await;
    sdk.call(json!(["chat", "tea", []])).await;
    sdk.call(json!(["send", "Hello"])).await;
    sdk.reads("Good day").await;
    sdk.call(json!(["send", "And now?"])).await;
    let state = sdk
        .until("the run has failed", |state| state["status"] == "error")
        .await;
    let error = state["error"].as_str().unwrap();
    assert!(error.starts_with("Failed to generate response: "), "{error}");
    node.shut_down().await;
}

#[tokio::test]
async fn a_notification_comes_as_data_while_an_answer_is_awaited() {
    let Some(mut sdk) = Sdk::start().await else { return };
    let provider = ScriptedProvider::start().await;
    provider.then(
        Script::new()
            .text("Half ")
            .wait_for("rest")
            .text("whole")
            .finish("stop")
            .done(),
    );
    let mut node = TestNode::start(&provider, &[]).await;
    sdk.chat(&node, "alice", "tea", json!([])).await;
    sdk.call(json!(["send", "Hello"])).await;
    sdk.reads("Half ").await;
    node.database.notify("alice", "The kettle boils").await;
    let told = |state: &Value| {
        let parts = state["data"].as_array().unwrap().iter();
        parts
            .filter(|part| part["type"] == "data-notification")
            .map(|part| part["data"]["content"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    sdk.until("it is told", |state| told(state) == ["The kettle boils"])
        .await;
    provider.open("rest");
    let state = sdk.reads("Half whole").await;
    assert_eq!(told(&state), ["The kettle boils"]);
    // Nobody has acknowledged it: other clients show it.
    let mut inbox: TestClient = node.connect("alice").await;
    inbox.notified("The kettle boils").await;
    node.shut_down().await;
}
