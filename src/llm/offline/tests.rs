//! The built-in model, under a clock that stands still until everyone waits.

use super::*;
use crate::prompt::ChatRole;

fn said(role: ChatRole, content: &str) -> ChatMessage {
    ChatMessage {
        role,
        content: content.into(),
    }
}

fn request(messages: Vec<ChatMessage>) -> Request {
    Request {
        model: "some/model".to_owned(),
        fallbacks: Vec::new(),
        messages,
        temperature: 1.0,
        max_tokens: 10,
        user: String::new(),
        session: String::new(),
    }
}

struct Recited {
    text: String,
    words: usize,
    took: Duration,
    end: Result<Finish, LlmError>,
}

async fn recite(messages: Vec<ChatMessage>) -> Recited {
    let start = Instant::now();
    let mut recital = Offline::default().start(&request(messages));
    assert_eq!(
        recital.next().await,
        Some(Ok(Event::Started { generation_id: None }))
    );
    let (mut text, mut words) = (String::new(), 0);
    let end = loop {
        match recital.next().await.expect("no end") {
            Ok(Event::Text(word)) => {
                text.push_str(&word);
                words += 1;
            }
            Ok(Event::Finished(finish)) => break Ok(finish),
            Ok(other) => panic!("{other:?}"),
            Err(fault) => break Err(fault),
        }
    };
    assert_eq!(recital.next().await, None);
    Recited {
        text,
        words,
        took: start.elapsed(),
        end,
    }
}

async fn reply_to(question: &str) -> Recited {
    recite(vec![said(ChatRole::User, question)]).await
}

#[tokio::test(start_paused = true)]
async fn an_answer_shows_that_the_conversation_is_remembered() {
    let conversation = vec![
        said(ChatRole::System, "Be brief."),
        said(ChatRole::User, "My name is Ada."),
        said(ChatRole::Assistant, "Hello Ada."),
        said(ChatRole::User, "[[slow]] I like tea."),
        said(ChatRole::Assistant, "Good choice."),
        said(ChatRole::User, "Who am I?"),
    ];
    let answer = recite(conversation.clone()).await;
    let expected = "You asked: “Who am I?”. That is question 3 of this conversation; the one before it was \
        “I like tea.”, and I replied “Good choice.”. It all began with “My name is Ada.”.";
    assert!(answer.text.starts_with(expected), "{}", answer.text);
    let finish = answer.end.unwrap();
    assert_eq!(
        (finish.finish_reason, finish.model.as_deref()),
        (FinishReason::Stop, Some(MODEL))
    );
    let usage = finish.usage.unwrap();
    assert_eq!((usage.input_tokens, usage.cost_usd), (19, Some(0.0)));
    assert_eq!(
        usage.output_tokens as usize,
        answer.text.chars().count().div_ceil(4)
    );
    assert_eq!(
        recite(conversation).await.text,
        answer.text,
        "the same prompt, the same answer"
    );
}

#[tokio::test(start_paused = true)]
async fn the_first_question_and_an_empty_one_are_answered_too() {
    let first = reply_to("Hi [[unknown]] [[x").await.text;
    assert!(
        first.starts_with("You asked: “Hi [[unknown]] [[x”. That is the first question"),
        "{first}"
    );
    let bare = reply_to("[[delay=0]]").await.text;
    assert!(
        bare.starts_with("You sent me nothing but directions. That is the first question"),
        "{bare}"
    );
    assert!(recite(Vec::new()).await.text.starts_with("You sent me nothing"));
}

#[tokio::test(start_paused = true)]
async fn quotes_do_not_grow_from_turn_to_turn() {
    let long = "ü".repeat(10_000);
    let conversation = vec![
        said(ChatRole::User, &long),
        said(ChatRole::Assistant, &long),
        said(ChatRole::User, &long),
    ];
    assert!(recite(conversation).await.text.chars().count() < 700);
}

#[tokio::test(start_paused = true)]
async fn directives_set_pace_and_length() {
    let natural = reply_to("Hi").await;
    let per_word = |recited: &Recited| recited.took.as_millis() / (recited.words as u128 + 1);
    assert_eq!(per_word(&natural), 25);
    assert_eq!(per_word(&reply_to("Hi [[delay=200]]").await), 200);
    assert_eq!(per_word(&reply_to("[[slow]]").await), 500);
    assert_eq!(reply_to("Hi [[delay=0]]").await.took, Duration::ZERO);
    for length in [1, 7, 500, 20_000] {
        let long = reply_to(&format!("[[words={length}]] [[delay=0]] Hi")).await;
        assert_eq!(
            (long.words, long.text.split_whitespace().count()),
            (length, length)
        );
        assert_eq!(long.text.trim_end(), long.text);
        assert!(long.text.starts_with("You"), "{}", long.text);
    }
    assert_eq!(reply_to("[[words=999999999]] [[delay=0]]").await.words, 20_000);
    assert_eq!(reply_to("[[words=0]]").await.words, 1);
    assert_eq!(
        per_word(&reply_to("[[words=1]] [[delay=999999999]]").await),
        10_000
    );
}

#[tokio::test(start_paused = true)]
async fn directives_make_it_fail() {
    let table = [
        ("[[fail]]", 0, "unavailable"),
        ("[[fail=3]] Hi", 3, "unavailable"),
        ("[[fail=300]] Hi", 300, "unavailable"),
        ("[[timeout]]", 0, "timed_out"),
        ("[[empty]]", 0, "empty"),
    ];
    for (question, words, label) in table {
        let recited = reply_to(question).await;
        assert_eq!(
            (recited.words, recited.end.unwrap_err().label()),
            (words, label),
            "{question}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_next_that_is_dropped_loses_no_word() {
    let whole = reply_to("Hi").await.text;
    let mut recital = Offline::default().start(&request(vec![said(ChatRole::User, "Hi")]));
    let mut text = String::new();
    loop {
        match tokio::time::timeout(Duration::from_millis(7), recital.next()).await {
            Ok(Some(Ok(Event::Text(word)))) => text.push_str(&word),
            Ok(Some(event)) => drop(event.unwrap()),
            Ok(None) => break,
            Err(_) => {}
        }
    }
    assert_eq!(text, whole);
}

#[test]
fn the_help_names_every_directive() {
    for directive in [
        "[[slow]]",
        "[[delay=200]]",
        "[[words=500]]",
        "[[fail]]",
        "[[fail=20]]",
        "[[timeout]]",
        "[[empty]]",
    ] {
        assert!(HELP.contains(directive), "{directive}");
        assert!(directives::read(directive).0.is_empty(), "{directive}");
    }
}
