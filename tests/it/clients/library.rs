//! The examples that are built on `clients/typescript`: a page without a build, an application in React, a service in Node.

use serde_json::json;

use super::{
    Browser, Cable, Driven, Pages, Script, ScriptedProvider, TestNode, command, file, is_there, token,
};
use crate::support::PATIENCE;
use crate::support::node::token_with;
use crate::support::programs::{beside_its_libraries, output};

/// What `scripts/example-clients` builds of the library.
const LIBRARY: &str = "target/clients/tree/clients/typescript/dist";

/// An answer that waits in its middle.
fn in_two_halves(gate: &str) -> Script {
    Script::new()
        .text("Half ")
        .wait_for(gate)
        .text("and half")
        .finish("stop")
        .done()
}

#[tokio::test]
async fn the_page_without_a_build_goes_on_after_a_cut_stops_and_shows_notifications() {
    let Some(mut browser) = Browser::start().await else {
        return;
    };
    let pages = Pages::of(vec![file("examples/html-page"), file(LIBRARY)]).await;
    let provider = ScriptedProvider::start().await;
    provider.then(in_two_halves("rest"));
    provider.then(Script::new().text("Endless").stall());
    let mut node = TestNode::start(&provider, &[("ALLOWED_ORIGINS", &pages.origin)]).await;
    let cable = Cable::to(&node.base).await;
    let address = format!(
        "{}/#token={}&server=ws://{}",
        pages.origin,
        token("alice"),
        cable.base
    );
    let status = "[role=status]";

    browser.call(json!(["go", address])).await;
    browser.shows(status, "live").await;
    browser.send("Hello").await;
    browser.shows(".assistant", "Half").await;
    cable.cut();
    provider.open("rest");
    browser.shows(".assistant", "Half and half").await;
    browser.shows(status, "live").await;

    browser.send("Something long").await;
    browser.shows(".assistant", "Endless").await;
    browser.call(json!(["press", "Stop"])).await;
    provider.wait_for(|tally| tally.aborted == 1).await;
    node.database.notify("alice", "<b>The kettle boils</b>").await;
    browser.shows(".notification", "<b>The kettle boils</b>").await;

    browser.call(json!(["reload"])).await;
    browser.shows(".notification", "<b>The kettle boils</b>").await;
    let said = browser.until("#messages li", |texts| texts.len() == 4).await;
    assert_eq!(said, ["Hello", "Half and half", "Something long", "Endless"]);
    assert_eq!(browser.call(json!(["complaints"])).await, json!([]));
    node.shut_down().await;
}

#[tokio::test]
async fn the_application_in_react_goes_on_after_a_reload_and_takes_feedback_and_acknowledgements() {
    let Some(mut browser) = Browser::start().await else {
        return;
    };
    let pages = Pages::of(vec![file("target/clients/tree/examples/react-vite/dist")]).await;
    let provider = ScriptedProvider::start().await;
    provider.then(in_two_halves("rest"));
    let mut node = TestNode::start(&provider, &[("ALLOWED_ORIGINS", &pages.origin)]).await;
    let address = format!(
        "{}/#token={}&server=ws://{}",
        pages.origin,
        token("alice"),
        node.base
    );
    let answers = ".assistant .text";

    browser.call(json!(["go", address])).await;
    browser.shows("[role=status]", "live").await;
    browser.send("Hello").await;
    browser.shows(answers, "Half").await;
    browser.call(json!(["reload"])).await;
    browser.shows(answers, "Half").await;
    provider.open("rest");
    let whole = browser.shows(answers, "Half and half").await;
    assert_eq!(whole.len(), 1);
    browser.call(json!(["press", "Good"])).await;
    let database = &node.database;
    let liked = "SELECT count(*) FROM agent.feedback WHERE rating = 1";
    crate::support::eventually("the feedback is stored", || async {
        database.count(liked).await == 1
    })
    .await;

    database.notify("alice", "The kettle boils").await;
    browser.shows(".notification .text", "The kettle boils").await;
    browser.call(json!(["press", "Seen"])).await;
    let seen = "SELECT count(*) FROM agent.notifications WHERE acknowledged_at IS NOT NULL";
    crate::support::eventually("it is acknowledged", || async { database.count(seen).await == 1 }).await;
    browser.until(".notification", <[String]>::is_empty).await;
    assert_eq!(browser.call(json!(["complaints"])).await, json!([]));
    node.shut_down().await;
}

#[tokio::test]
async fn the_service_in_node_waits_out_a_cut_tells_its_user_once_and_fails_aloud() {
    let place = beside_its_libraries("examples/node-service/service.mjs");
    let mut probe = command("node");
    let import = "await import('ws'); await import('agent-websocket')";
    probe
        .current_dir(&place)
        .args(["--input-type=module", "-e", import]);
    if !is_there("Node", &mut probe).await {
        return;
    }
    let provider = ScriptedProvider::start().await;
    provider.then(in_two_halves("rest"));
    provider.then(Script::answer("Half and half"));
    provider.then(Script::status(400, "{}"));
    let mut node = TestNode::start(&provider, &[]).await;
    let cable = Cable::to(&node.base).await;
    let service = |question: &str| {
        let mut run = command("node");
        run.arg(place.path().join("service.mjs"))
            .args(["alice", question, "report-1"])
            .env("AGENT_URL", format!("http://{}", cable.base))
            .env(
                "AGENT_TOKEN",
                token_with("reporter", PATIENCE, Some("agent:notify")),
            );
        run
    };

    let mut first = Driven::start(&mut service("Report"));
    provider.wait_for(|tally| tally.calls == 1).await;
    cable.cut();
    provider.open("rest");
    let told = first.hear().await;
    assert!(told.starts_with("told: "), "{told}");
    let again = output(&mut service("Report")).await;
    assert_eq!(String::from_utf8_lossy(&again.stdout).trim(), "told before");
    let rows: Vec<(String, String, String)> =
        sqlx::query_as("SELECT user_id, kind, content FROM agent.notifications")
            .fetch_all(&node.database.pool)
            .await
            .unwrap();
    assert_eq!(rows, [("alice".into(), "report".into(), "Half and half".into())]);

    let failed = output(&mut service("Fail")).await;
    assert_eq!(failed.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&failed.stderr).trim(),
        "failed: the answer is failed"
    );
    node.shut_down().await;
}
