//! Clients that others wrote, or might copy, against the server: the original design's and the lines of README.md in Chromium, `wscat`, Python's;
//! in `library`, the examples on our own library.
//!
//! `scripts/example-clients` installs what they need; `support::programs` says what happens without it.

mod library;

use serde_json::json;

use crate::support::browser::{Browser, Pages};
use crate::support::cable::Cable;
use crate::support::node::{TestNode, token};
use crate::support::programs::{Driven, command, file, is_there, program};
use crate::support::provider::{Script, ScriptedProvider};
use crate::tidy::blocks::run_by;

#[tokio::test]
async fn the_original_client_runs_with_its_token_in_the_url_or_as_a_sub_protocol() {
    let Some(mut browser) = Browser::start().await else {
        return;
    };
    let pages = Pages::of(vec![file("examples/original-client")]).await;
    let provider = ScriptedProvider::start().await;
    let changes = [
        ("ALLOWED_ORIGINS", pages.origin.as_str()),
        ("ALLOW_ACCESS_TOKEN_IN_URL", "true"),
    ];
    let mut node = TestNode::start(&provider, &changes).await;
    let url = format!("ws://{}/functions/v1/agent_websocket", node.base);
    for (user, hash) in [
        ("alice", format!("#url={url}&token={}", token("alice"))),
        ("bob", format!("#url={url}?access_token={}", token("bob"))),
    ] {
        provider.on("Hello", Script::answer("Good day to you"));
        provider.on("Fail", Script::status(400, "{}"));
        // Another address than before, since a change behind # loads no page.
        browser
            .call(json!(["go", format!("{}/?{user}{hash}", pages.origin)]))
            .await;
        browser.until(".notification", |texts| !texts.is_empty()).await;
        browser.send("Hello").await;
        browser.shows(".response", "Good day to you").await;
        node.database.notify(user, "The kettle boils").await;
        browser.shows(".notification", "The kettle boils").await;
        browser.send(" ").await;
        browser.shows(".error", "Message content is required").await;
        browser.send("Fail").await;
        browser
            .until(".error", |texts| {
                texts
                    .last()
                    .is_some_and(|text| text.starts_with("Failed to generate response: "))
            })
            .await;
        browser
            .until(".status", |texts| texts.contains(&"Thinking...".to_owned()))
            .await;
        assert_eq!(browser.call(json!(["complaints"])).await, json!([]));
    }
    node.shut_down().await;
}

#[tokio::test]
async fn the_few_lines_of_the_readme_are_a_client_in_a_page() {
    let Some(mut browser) = Browser::start().await else {
        return;
    };
    let lines = run_by("tests/it/clients.rs", &["README.md"]);
    let lines: String = lines.iter().map(|block| block.code.as_str()).collect();
    let folder = tempfile::tempdir().unwrap();
    let pages = Pages::of(vec![folder.path().to_owned()]).await;
    let provider = ScriptedProvider::start().await;
    provider.on("Hello", Script::answer("Good day to you"));
    let mut node = TestNode::start(&provider, &[("ALLOWED_ORIGINS", pages.origin.as_str())]).await;
    let page = format!(
        "<!doctype html><title>A page</title><body><script>const token = '{}';
         console.log = (frame) => document.body.append(Object.assign(document.createElement('p'), {{
             className: frame.type, textContent: frame.content }}));
         {}</script>",
        token("alice"),
        lines.replace("127.0.0.1:8080", &node.base)
    );
    std::fs::write(folder.path().join("index.html"), page).unwrap();
    browser.call(json!(["go", format!("{}/", pages.origin)])).await;
    browser.shows(".response", "Good day to you").await;
    assert_eq!(browser.call(json!(["complaints"])).await, json!([]));
    node.shut_down().await;
}

#[tokio::test]
async fn wscat_holds_a_conversation_and_resumes_it() {
    let wscat = file("target/clients/tree/tests/clients/node_modules/.bin/wscat");
    let wscat = if wscat.exists() { wscat } else { "wscat".into() };
    if !is_there("wscat", command(&wscat).arg("--version")).await {
        return;
    }
    let provider = ScriptedProvider::start().await;
    provider.on("Hello", Script::answer("Good day to you"));
    let mut node = TestNode::start(&provider, &[]).await;
    let address = format!("ws://{}/v1/ws?session_id=latest", node.base);
    let bearer = format!("Authorization: Bearer {}", token("alice"));
    let protocol = agent_websocket::ws::bearer_protocol(&token("alice"));
    // As `dev` prints it, then as a browser would do it.
    let mut first = Driven::start(command(&wscat).args(["-c", &address, "-H", &bearer]));
    hears(&mut first, r#""event":"live""#).await;
    first.say(r#"{"type":"query","content":"Hello"}"#).await;
    let response = hears(&mut first, r#""type":"response""#).await;
    assert!(response.contains("Good day to you"), "{response}");
    drop(first);
    let mut second = command(&wscat);
    second.args(["-c", &address, "-s", "agentws.v1", "-s", &protocol]);
    let mut second = Driven::start(&mut second);
    let response = hears(&mut second, r#""type":"response""#).await;
    assert!(response.contains("Good day to you"), "{response}");
    drop(second);
    node.shut_down().await;
}

/// The next line with this in it.
async fn hears(program: &mut Driven, what: &str) -> String {
    loop {
        let line = program.hear().await;
        if line.contains(what) {
            return line;
        }
    }
}

#[tokio::test]
async fn the_python_client_shows_every_word_once_whatever_cuts_it_off() {
    let python = program("venv/bin/python", "python3");
    if !is_there(
        "websockets",
        command(&python).args(["-c", "import websockets.asyncio"]),
    )
    .await
    {
        return;
    }
    let provider = ScriptedProvider::start().await;
    provider.then(
        Script::new()
            .text("One 🌍\n")
            .wait_for("two")
            .text("two\n")
            .wait_for("three")
            .text("three")
            .finish("stop")
            .done(),
    );
    let mut node = TestNode::start(&provider, &[]).await;
    let cable = Cable::to(&node.base).await;
    let url = format!("ws://{}/v1/ws", cable.base);
    let mut run = command(&python);
    run.arg(file("examples/python/client.py"))
        .args([&url, &token("alice"), "Count"]);
    let mut client = Driven::start(&mut run);
    assert_eq!(client.hear().await, "One 🌍");
    cable.cut();
    provider.open("two");
    assert_eq!(client.hear().await, "two");
    provider.open("three");
    cable.cut();
    assert_eq!(client.hear().await, "three");
    assert_eq!(client.hear().await, "[complete]");
    assert_eq!(provider.calls(), 1);

    let wrong = format!("ws://{}/v1/ws", node.base);
    let mut run = command(&python);
    run.arg(file("examples/python/client.py"))
        .args([wrong.as_str(), "no-token", "Count"]);
    let refused = crate::support::programs::output(&mut run).await;
    assert_eq!(
        String::from_utf8_lossy(&refused.stderr).trim(),
        "refused: HTTP 401"
    );
    node.shut_down().await;
}
