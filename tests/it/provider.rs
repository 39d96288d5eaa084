//! The way to a provider, against one that misbehaves in every known manner.

use std::time::{Duration, Instant};

use agent_websocket::llm::{
    ApiKey, BreakerSettings, Event, Finish, FinishReason, Generation, Limits, LlmCode, LlmError, Provider,
    ProviderFlavor, Request, Retry, Settings, Timeouts, Usage,
};
use agent_websocket::prompt::{ChatMessage, ChatRole};

use crate::support::provider::{Script, ScriptedProvider};

mod failures;
mod patience;
mod resilience;
mod streams;

/// No answer for a client may hold this: the scripts put it into everything that a provider says of a fault.
const UPSTREAM: &str = "upstream-secret";

/// How a generation went.
#[derive(Debug)]
struct Outcome {
    generation_ids: Vec<Option<String>>,
    text: String,
    end: Result<Finish, LlmError>,
}

impl Outcome {
    fn finish(&self) -> &Finish {
        self.end.as_ref().expect("an answer")
    }

    fn fault(&self) -> &LlmError {
        self.end.as_ref().expect_err("a fault")
    }
}

/// Settings under which whatever has to be waited for comes soon, and no breaker interferes.
fn settings(provider: &ScriptedProvider) -> Settings {
    Settings {
        flavor: ProviderFlavor::OpenRouter,
        timeouts: Timeouts {
            connect: Duration::from_secs(5),
            headers: Duration::from_secs(5),
            transport_idle: Duration::from_secs(5),
            progress_idle: Duration::from_secs(5),
            total: Duration::from_secs(20),
            drain: Duration::from_millis(100),
        },
        limits: Limits {
            event_bytes: 4096,
            text_bytes: 16 * 1024,
            error_body_bytes: 4096,
        },
        retry: Retry {
            max_retries: 2,
            base: Duration::from_millis(1),
            cap: Duration::from_millis(4),
            max_retry_after: Duration::from_secs(2),
        },
        breaker: BreakerSettings {
            failures: 1_000,
            ..BreakerSettings::default()
        },
        ..Settings::new(provider.base_url().parse().unwrap())
    }
}

fn request(question: &str) -> Request {
    Request {
        model: "test/one".to_owned(),
        fallbacks: Vec::new(),
        messages: vec![
            ChatMessage {
                role: ChatRole::System,
                content: "Be brief.".into(),
            },
            ChatMessage {
                role: ChatRole::User,
                content: question.into(),
            },
        ],
        temperature: 0.5,
        max_tokens: 100,
        user: "user-hash".to_owned(),
        session: "session-id".to_owned(),
    }
}

fn connect(settings: Settings) -> Provider {
    Provider::open_router(settings).unwrap()
}

async fn ask(settings: Settings, request: Request) -> Outcome {
    listen(&mut connect(settings).start(request)).await
}

/// Follows a generation to its end, and holds it to its contract.
async fn listen(generation: &mut Generation) -> Outcome {
    let (mut generation_ids, mut text) = (Vec::new(), String::new());
    let end = loop {
        match generation.next().await.expect("no end") {
            Ok(Event::Started { generation_id }) => {
                assert_eq!(text, "", "a new attempt after text");
                generation_ids.push(generation_id);
            }
            Ok(Event::Text(piece)) => {
                assert!(
                    !piece.is_empty() && !generation_ids.is_empty(),
                    "{piece:?} out of place"
                );
                text.push_str(&piece);
            }
            Ok(Event::Finished(finish)) => break Ok(finish),
            Err(fault) => break Err(fault),
        }
    };
    assert_eq!(generation.next().await, None, "something after the end");
    if let Err(fault) = &end {
        assert!(fault.client_text().starts_with("Failed to generate response: "));
        assert!(!fault.client_text().contains(UPSTREAM));
    }
    Outcome {
        generation_ids,
        text,
        end,
    }
}
