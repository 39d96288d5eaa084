//! `examples/ai-sdk`, which is `useChat` on the AI SDK's transport, as esbuild bundles it, in Chromium.

use super::{Script, ScriptedProvider, TestNode, token};
use crate::support::browser::{Browser, Pages};
use crate::support::programs::file;
use serde_json::json;

#[tokio::test]
async fn the_example_of_use_chat_goes_on_after_a_reload_stops_and_asks_again() {
    let Some(mut browser) = Browser::start().await else {
        return;
    };
    let pages = Pages::of(vec![file("target/clients/tree/examples/ai-sdk")]).await;
    let provider = ScriptedProvider::start().await;
    provider.then(
        Script::new()
            .text("Half ")
            .wait_for("rest")
            .text("and half")
            .finish("stop")
            .done(),
    );
    provider.then(Script::new().text("Endless").stall());
    provider.then(Script::answer("Short enough"));
    let mut node = TestNode::start(&provider, &[("ALLOWED_ORIGINS", &pages.origin)]).await;
    let address = format!(
        "{}/#token={}&chat=tea&server=ws://{}",
        pages.origin,
        token("alice"),
        node.base
    );
    let answers = "li[data-role=assistant]";

    browser.call(json!(["go", address])).await;
    browser.shows("[role=status]", "ready").await;
    browser.send("Hello").await;
    browser.shows(answers, "Half").await;
    browser.call(json!(["reload"])).await;
    browser.shows(answers, "Half").await;
    provider.open("rest");
    let whole = browser.shows(answers, "Half and half").await;
    assert_eq!(whole.len(), 1);
    browser.shows("[role=status]", "ready").await;

    browser.send("Something long").await;
    browser.shows(answers, "Endless").await;
    browser.call(json!(["press", "Stop"])).await;
    provider.wait_for(|tally| tally.aborted == 1).await;
    browser.shows("[role=status]", "ready").await;
    browser.call(json!(["press", "Again"])).await;
    browser.shows(answers, "Short enough").await;
    assert_eq!(browser.call(json!(["complaints"])).await, json!([]));
    node.shut_down().await;
}
