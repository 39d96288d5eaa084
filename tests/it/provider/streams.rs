//! Streams that hold an answer, in every shape in which servers send one, and the requests that ask for them.

use serde_json::json;

use super::*;

#[tokio::test]
async fn an_unscripted_request_is_echoed_with_usage_and_id() {
    let provider = ScriptedProvider::start().await;
    let outcome = ask(settings(&provider), request("How are you?")).await;
    assert_eq!(outcome.text, "Message 2 was: How are you?");
    assert_eq!(outcome.generation_ids, [Some("gen-1".to_owned())]);
    let expected = Finish {
        finish_reason: FinishReason::Stop,
        model: Some("test/one".to_owned()),
        usage: Some(Usage {
            input_tokens: 10,
            output_tokens: 6,
            cost_usd: Some(0.000_125),
        }),
        generation_id: Some("gen-1".to_owned()),
    };
    assert_eq!(outcome.finish(), &expected);
    let tally = provider.wait_for(|tally| tally.played == 1).await;
    assert_eq!((tally.calls, tally.aborted), (1, 0));
}

/// Each stream holds the answer `Hi there`.
#[tokio::test]
async fn every_shape_of_a_whole_answer_is_accepted() {
    let whole = || Script::new().text("Hi ").text("there");
    let stop = r#"data: {"choices":[{"delta":{},"finish_reason":"stop"}]}"#;
    let hi = r#"data: {"choices":[{"delta":{"content":"Hi there"},"finish_reason":"stop"}]}"#;
    let table: Vec<(&str, Script)> = vec![
        ("no [DONE]", whole().finish("stop")),
        ("[DONE] without a finish reason", whole().done()),
        ("finish reasons again", whole().finish("stop").finish("length").finish("stop").done()),
        ("blank finish reasons", Script::new().finish("").text("Hi ").finish("").text("there").finish("stop").done()),
        ("cut after the finish", whole().finish("stop").cut()),
        ("stall after the finish", whole().finish("stop").stall()),
        ("endless comments after the finish", whole().finish("stop").flood(": still here\n")),
        ("an error after the finish", whole().finish("stop").event(r#"{"error":{"code":502}}"#)),
        ("garbage after the finish", whole().finish("stop").garbage()),
        ("comments", Script::new().comment("OPENROUTER PROCESSING").raw(":\n").text("Hi there").finish("stop")),
        ("keep-alives as data", Script::new().event(": keepalive").event("").text("Hi there").finish("stop")),
        ("a byte order mark", Script::new().raw("\u{FEFF}").text("Hi there").finish("stop")),
        ("no blank line at the end", Script::new().raw(hi)),
        ("CR line ends", Script::new().raw(format!("{hi}\r\r"))),
        ("CRLF line ends, cut between them", Script::new().raw(format!("{hi}\r")).raw("\n\r").raw("\n")),
        ("events with names and ids", Script::new().raw(format!("event: x\nid: 1\n\nid: 2\nevent: y\n{hi}\n\n"))),
        ("content null and absent", Script::new()
            .event(r#"{"choices":[{"delta":{"content":null,"role":"assistant"},"finish_reason":null}]}"#)
            .event(r#"{"choices":[{"delta":null}]}"#).event(r#"{"choices":[]}"#).event(r#"{"choices":null}"#)
            .event("{}").text("Hi there").finish("stop")),
        ("reasoning is no text", Script::new()
            .event(r#"{"choices":[{"delta":{"reasoning":"hm","reasoning_details":[{"type":"reasoning.text"}]}}]}"#)
            .event(r#"{"choices":[{"delta":{"reasoning_content":"hm"}}]}"#).text("Hi there").finish("stop")),
        ("unknown fields", Script::new()
            .event(r#"{"id":"gen-1","x":{"y":[1]},"choices":[{"z":1,"delta":{"content":"Hi there","w":2}}]}"#)
            .raw(stop)),
        ("no content type", Script::answer("Hi there").header("content-type", "")),
        ("another content type", Script::answer("Hi there").header("content-type", "text/plain")),
    ];
    for (name, script) in table {
        let provider = ScriptedProvider::start().await;
        provider.then(script);
        let outcome = ask(settings(&provider), request("?")).await;
        assert_eq!(outcome.text, "Hi there", "{name}");
        assert!(outcome.end.is_ok(), "{name}: {:?}", outcome.end);
        assert_eq!(provider.calls(), 1, "{name}");
    }
}

#[tokio::test]
async fn usage_counts_wherever_it_comes_and_the_last_one_wins() {
    let late = r#"{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":7.0,"cost":null}}"#;
    let odd = r#"{"choices":[],"usage":"none"}"#;
    let table = [
        (
            "beside an empty delta",
            Script::new().text("a").finish("stop").usage(3, 4, 0.5).done(),
            Some((3, 4, Some(0.5))),
        ),
        (
            "with empty choices",
            Script::new().text("a").finish("stop").event(late).done(),
            Some((5, 7, None)),
        ),
        (
            "before the finish",
            Script::new().text("a").usage(3, 4, 0.5).finish("stop"),
            Some((3, 4, Some(0.5))),
        ),
        (
            "twice",
            Script::new()
                .text("a")
                .usage(3, 4, 0.5)
                .finish("stop")
                .event(late)
                .done(),
            Some((5, 7, None)),
        ),
        (
            "of an odd type",
            Script::new().text("a").finish("stop").event(odd).done(),
            None,
        ),
        (
            "too late",
            Script::new()
                .text("a")
                .finish("stop")
                .wait_for("never")
                .usage(3, 4, 0.5)
                .done(),
            None,
        ),
    ];
    for (name, script, expected) in table {
        let provider = ScriptedProvider::start().await;
        provider.then(script);
        let usage = ask(settings(&provider), request("?")).await.finish().usage;
        let usage = usage.map(|usage| (usage.input_tokens, usage.output_tokens, usage.cost_usd));
        assert_eq!(usage, expected, "{name}");
    }
}

#[tokio::test]
async fn text_survives_cuts_within_characters_and_nul_does_not_survive() {
    let provider = ScriptedProvider::start().await;
    let event = "data: {\"choices\":[{\"delta\":{\"content\":\"grün\\u0000 🦀\\n\"}}]}\n\n";
    let byte_by_byte = event
        .bytes()
        .fold(Script::new(), |script, byte| script.raw([byte]));
    provider.then(byte_by_byte.finish("stop").done());
    assert_eq!(
        ask(settings(&provider), request("?")).await.text,
        "grün\u{FFFD} 🦀\n"
    );
}

#[tokio::test]
async fn an_id_that_comes_only_with_the_chunks_is_reported_before_the_text() {
    let provider = ScriptedProvider::start().await;
    provider.then(
        Script::new()
            .header("x-generation-id", "")
            .text("Hi")
            .finish("stop"),
    );
    let outcome = ask(settings(&provider), request("?")).await;
    assert_eq!(outcome.generation_ids, [Some("gen-1".to_owned())]);
    assert_eq!(outcome.finish().generation_id.as_deref(), Some("gen-1"));
}

#[tokio::test]
async fn the_id_is_reported_while_the_model_is_still_thinking() {
    let provider = ScriptedProvider::start().await;
    provider.then(Script::new().head().wait_for("answer").text("Hi").finish("stop"));
    let mut generation = connect(settings(&provider)).start(request("?"));
    let started = generation.next().await;
    assert_eq!(
        started,
        Some(Ok(Event::Started {
            generation_id: Some("gen-1".to_owned())
        }))
    );
    provider.open("answer");
    assert_eq!(generation.next().await, Some(Ok(Event::Text("Hi".to_owned()))));
}

#[tokio::test]
async fn openrouter_is_told_what_only_it_understands() {
    let provider = ScriptedProvider::start().await;
    let key: ApiKey = "sk-or-1".parse().unwrap();
    let settings = Settings {
        api_key: Some(key),
        ..settings(&provider)
    };
    ask(
        settings,
        Request {
            fallbacks: vec!["test/two".to_owned()],
            ..request("Hi")
        },
    )
    .await;
    let requests = provider.requests();
    let expected = json!({
        "model": "test/one",
        "models": ["test/two"],
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
        "temperature": 0.5,
        "stream": true,
        "max_completion_tokens": 100,
        "user": "user-hash",
        "session_id": "session-id",
        "plugins": [{"id": "context-compression", "enabled": false}],
    });
    assert_eq!(requests[0].body, expected);
    assert_eq!(requests[0].header("authorization"), Some("Bearer sk-or-1"));
    assert_eq!(requests[0].header("accept"), Some("text/event-stream"));
}

#[tokio::test]
async fn any_other_server_is_told_only_what_all_understand() {
    for (flavor, limit) in [
        (ProviderFlavor::Generic, "max_tokens"),
        (ProviderFlavor::OpenAi, "max_completion_tokens"),
    ] {
        let provider = ScriptedProvider::start().await;
        ask(
            Settings {
                flavor,
                ..settings(&provider)
            },
            request("Hi"),
        )
        .await;
        let requests = provider.requests();
        let expected = json!({
            "model": "test/one",
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
            "temperature": 0.5,
            "stream": true,
            limit: 100,
            "stream_options": {"include_usage": true},
        });
        assert_eq!(requests[0].body, expected);
        assert_eq!(requests[0].header("authorization"), None);
    }
}

#[test]
fn a_generation_can_move_between_threads() {
    fn is_send(_: impl Send) {}
    let mut generation = Provider::offline().start(request("?"));
    is_send(generation.next());
    is_send(generation);
}
