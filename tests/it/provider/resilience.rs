//! Cancelling, trying again, falling back, and leaving a failing provider alone.

use super::*;

#[tokio::test]
async fn dropping_a_generation_aborts_it_upstream_in_every_phase() {
    let table = [
        ("before the head", Script::new().stall(), 0),
        ("before the first token", Script::new().head().stall(), 1),
        ("in the middle", Script::new().text("Hi").stall(), 2),
    ];
    for (name, script, events) in table {
        let provider = ScriptedProvider::start().await;
        provider.on("?", script);
        let mut generation = connect(settings(&provider)).start(request("?"));
        for _ in 0..events {
            assert!(matches!(generation.next().await, Some(Ok(_))), "{name}");
        }
        tokio::select! {
            event = generation.next() => panic!("{name}: {event:?} out of nothing"),
            tally = provider.wait_for(|tally| tally.calls == 1) => assert_eq!(tally.aborted, 0, "{name}"),
        }
        drop(generation);
        provider.wait_for(|tally| tally.aborted == 1).await;
    }
}

#[tokio::test]
async fn a_next_that_is_dropped_again_and_again_loses_nothing() {
    let provider = ScriptedProvider::start().await;
    provider.then(Script::status(503, "{}"));
    let long = "a word after the other ".repeat(40);
    provider.then(Script::answer(&long));
    let mut generation = connect(settings(&provider)).start(request("?"));
    let (mut text, mut turns) = (String::new(), 0);
    loop {
        turns += 1;
        tokio::select! {
            biased;
            // Dropped after a single poll: whatever `next` had begun has to go on from there.
            event = generation.next() => match event {
                Some(Ok(Event::Text(piece))) => text.push_str(&piece),
                Some(event) => { event.unwrap(); }
                None => break,
            },
            () = tokio::task::yield_now() => {}
        }
    }
    assert_eq!(text, long);
    assert_eq!(provider.calls(), 2);
    assert!(turns > 10, "{turns}");
}

#[tokio::test]
async fn a_retry_that_succeeds_hides_the_fault_and_announces_itself() {
    let provider = ScriptedProvider::start().await;
    provider.then(Script::new().head().cut());
    provider.then(Script::new().done());
    let outcome = ask(settings(&provider), request("?")).await;
    assert_eq!(outcome.text, "Message 2 was: ?");
    let ids: Vec<_> = outcome.generation_ids.iter().flatten().collect();
    assert_eq!(ids, ["gen-1", "gen-2", "gen-3"]);
    assert_eq!(outcome.finish().generation_id.as_deref(), Some("gen-3"));
}

#[tokio::test]
async fn a_server_without_fallbacks_of_its_own_is_asked_for_the_next_model() {
    let provider = ScriptedProvider::start().await;
    provider.then(Script::status(404, "{}"));
    provider.then(Script::status(503, "{}"));
    let settings = Settings {
        flavor: ProviderFlavor::Generic,
        ..settings(&provider)
    };
    let fallbacks = vec!["test/two".to_owned(), "test/three".to_owned()];
    let outcome = ask(
        settings,
        Request {
            fallbacks,
            ..request("?")
        },
    )
    .await;
    let asked: Vec<_> = provider
        .requests()
        .iter()
        .map(|request| request.model().to_owned())
        .collect();
    assert_eq!(asked, ["test/one", "test/two", "test/three"]);
    assert_eq!(outcome.finish().model.as_deref(), Some("test/three"));
}

#[tokio::test]
async fn openrouter_falls_back_by_itself_and_is_asked_the_same_again() {
    let provider = ScriptedProvider::start().await;
    provider.then(Script::status(503, "{}"));
    let fallbacks = vec!["test/two".to_owned()];
    ask(
        settings(&provider),
        Request {
            fallbacks,
            ..request("?")
        },
    )
    .await
    .end
    .unwrap();
    let requests = provider.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].body, requests[1].body);
    assert_eq!(requests[0].model(), "test/one");
}

fn nervous(provider: &ScriptedProvider) -> Settings {
    let mut settings = settings(provider);
    settings.retry.max_retries = 0;
    settings.breaker = BreakerSettings {
        failures: 3,
        within: Duration::from_secs(30),
        open_for: Duration::from_millis(300),
    };
    settings
}

#[tokio::test]
async fn a_model_that_keeps_failing_is_left_alone_until_a_probe_succeeds() {
    let provider = ScriptedProvider::start().await;
    provider.on("fail", Script::status(502, "{}"));
    provider.on(
        "wait",
        Script::new()
            .head()
            .wait_for("answer")
            .text("Hi")
            .finish("stop")
            .done(),
    );
    let model = connect(nervous(&provider));
    for _ in 0..3 {
        let outcome = listen(&mut model.start(request("fail"))).await;
        assert_eq!(outcome.fault().label(), "unavailable");
    }
    let refused = listen(&mut model.start(request("hello"))).await;
    assert_eq!(refused.fault().label(), "circuit_open");
    assert_eq!(refused.fault().code(), LlmCode::ProviderUnavailable);
    let retry_after = refused.fault().retry_after().unwrap();
    assert!(retry_after <= Duration::from_millis(300), "{retry_after:?}");
    assert_eq!(provider.calls(), 3, "an open breaker asks nobody");

    let other = Request {
        model: "test/two".to_owned(),
        ..request("hello")
    };
    listen(&mut model.start(other))
        .await
        .end
        .expect("another model has a breaker of its own");

    provider.pause(retry_after + Duration::from_millis(20)).await;
    let mut probe = model.start(request("wait"));
    assert!(matches!(probe.next().await, Some(Ok(Event::Started { .. }))));
    let refused = listen(&mut model.start(request("hello"))).await;
    assert_eq!(refused.fault().label(), "circuit_open", "one probe at a time");
    provider.open("answer");
    assert!(matches!(probe.next().await, Some(Ok(Event::Text(_)))));
    listen(&mut model.start(request("hello")))
        .await
        .end
        .expect("the probe closed the breaker");
}

#[tokio::test]
async fn a_refused_account_closes_the_provider_for_nobody() {
    for status in [401, 402, 403, 429] {
        let provider = ScriptedProvider::start().await;
        provider.on("fail", Script::status(status, "{}"));
        let model = connect(nervous(&provider));
        for _ in 0..10 {
            listen(&mut model.start(request("fail"))).await.end.unwrap_err();
        }
        listen(&mut model.start(request("hello")))
            .await
            .end
            .expect("the operator has mended it");
    }
}
