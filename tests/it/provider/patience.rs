//! How long is waited for what, and what counts as a sign of life.

use agent_websocket::llm::Wait;

use super::*;

const SHORT: Duration = Duration::from_millis(150);

fn with_timeouts(provider: &ScriptedProvider, change: impl FnOnce(&mut Timeouts)) -> Settings {
    let mut settings = settings(provider);
    settings.retry.max_retries = 0;
    change(&mut settings.timeouts);
    settings
}

#[tokio::test]
async fn each_silence_has_its_limit() {
    type Change = fn(&mut Timeouts);
    let bytes: Change = |timeouts| timeouts.transport_idle = SHORT;
    let progress: Change = |timeouts| timeouts.progress_idle = SHORT;
    let total: Change = |timeouts| timeouts.total = SHORT;
    let beat = || {
        Script::new()
            .delay(SHORT / 10)
            .comment("OPENROUTER PROCESSING")
            .times(1_000)
    };
    let think = r#"{"choices":[{"delta":{"reasoning":"hm"}}]}"#;
    let thinking = Script::new().delay(SHORT / 10).event(think).times(1_000);
    let table: Vec<(&str, Script, Change, Wait)> = vec![
        (
            "no headers",
            Script::new().stall(),
            |timeouts| timeouts.headers = SHORT,
            Wait::Headers,
        ),
        ("no headers in total", Script::new().stall(), total, Wait::Headers),
        ("no bytes", Script::new().head().stall(), bytes, Wait::Bytes),
        (
            "no bytes after text",
            Script::new().text("Hi").stall(),
            bytes,
            Wait::Bytes,
        ),
        ("comments only", beat(), progress, Wait::Progress),
        (
            "a flood of comments",
            Script::new().flood(": x\n"),
            progress,
            Wait::Progress,
        ),
        (
            "half an event",
            Script::new().raw("data: {").stall(),
            bytes,
            Wait::Bytes,
        ),
        ("endless thinking", thinking, total, Wait::End),
    ];
    for (name, script, change, expected) in table {
        let provider = ScriptedProvider::start().await;
        provider.on("?", script);
        let outcome = ask(with_timeouts(&provider, change), request("?")).await;
        assert_eq!(outcome.fault(), &LlmError::TimedOut(expected), "{name}");
        assert_eq!(outcome.fault().code(), LlmCode::ProviderTimeout, "{name}");
        provider.wait_for(|tally| tally.aborted == 1).await;
    }
}

#[tokio::test]
async fn comments_keep_the_transport_alive() {
    let provider = ScriptedProvider::start().await;
    let beats = Script::new()
        .delay(SHORT / 5)
        .comment("OPENROUTER PROCESSING")
        .times(10);
    provider.then(beats.text("Hi").finish("stop").done());
    let settings = with_timeouts(&provider, |timeouts| timeouts.transport_idle = SHORT);
    assert_eq!(ask(settings, request("?")).await.text, "Hi");
}

#[tokio::test]
async fn thinking_is_progress() {
    let provider = ScriptedProvider::start().await;
    let think = r#"{"choices":[{"delta":{"reasoning":"hm"}}]}"#;
    let thinking = Script::new().delay(SHORT / 5).event(think).times(10);
    provider.then(thinking.text("Hi").finish("stop").done());
    let settings = with_timeouts(&provider, |timeouts| timeouts.progress_idle = SHORT);
    assert_eq!(ask(settings, request("?")).await.text, "Hi");
}

#[tokio::test]
async fn a_caller_that_takes_its_time_costs_the_answer_nothing() {
    let provider = ScriptedProvider::start().await;
    let settings = with_timeouts(&provider, |timeouts| {
        timeouts.transport_idle = SHORT;
        timeouts.progress_idle = SHORT;
    });
    let mut generation = connect(settings).start(request("slowly read"));
    generation.next().await.unwrap().unwrap();
    provider.wait_for(|tally| tally.played == 1).await;
    provider.pause(SHORT * 2).await;
    let mut text = String::new();
    while let Some(event) = generation.next().await {
        if let Event::Text(piece) = event.unwrap() {
            text.push_str(&piece);
        }
    }
    assert_eq!(text, "Message 2 was: slowly read");
}

#[tokio::test]
async fn retry_after_is_honoured_up_to_its_limit() {
    let provider = ScriptedProvider::start().await;
    provider.then(Script::status(429, "{}").header("retry-after", "0.3"));
    let before = Instant::now();
    ask(settings(&provider), request("soon")).await.end.unwrap();
    assert!(before.elapsed() >= Duration::from_millis(300));
    assert_eq!(provider.calls(), 2);

    provider.then(Script::status(429, "{}").header("retry-after", "3"));
    let outcome = ask(settings(&provider), request("much later")).await;
    assert_eq!(outcome.fault().retry_after(), Some(Duration::from_secs(3)));
    assert_eq!(provider.calls(), 3);
}

#[tokio::test]
async fn no_retry_outlives_the_total() {
    let provider = ScriptedProvider::start().await;
    provider.on("?", Script::status(429, "{}").header("retry-after", "1"));
    let mut settings = settings(&provider);
    settings.timeouts.total = Duration::from_millis(500);
    let before = Instant::now();
    let outcome = ask(settings, request("?")).await;
    assert_eq!((outcome.fault().label(), provider.calls()), ("busy", 1));
    assert!(
        before.elapsed() < Duration::from_millis(500),
        "it waits for nothing"
    );
}

#[tokio::test]
async fn an_endless_complaint_is_cut_short_by_its_size() {
    let provider = ScriptedProvider::start().await;
    provider.on("?", Script::status(400, "").flood("<p>and on and on</p>"));
    let before = Instant::now();
    let outcome = ask(
        with_timeouts(&provider, |timeouts| timeouts.drain *= 50),
        request("?"),
    )
    .await;
    assert_eq!(outcome.fault().label(), "rejected");
    assert!(before.elapsed() < Duration::from_secs(4), "it waited for the end");
}
