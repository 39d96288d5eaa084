//! Whatever the log and the window: whole turns, both budgets, the question last.

use std::collections::HashSet;

use proptest::prelude::*;

use super::{answer, build, ended, estimate_tokens, id, message, question};
use crate::ids::{MessageId, Seq};
use crate::log::{AnswerState, Message, Role};
use crate::prompt::{ChatRole, Window};

#[derive(Clone, Debug)]
enum Entry {
    Question(usize),
    Answer(prop::sample::Index, AnswerState, usize),
    Notification(usize),
}

fn entry() -> impl Strategy<Value = Entry> {
    let state = prop::sample::select(vec![
        AnswerState::Complete,
        AnswerState::Complete,
        AnswerState::Cancelled,
        AnswerState::Incomplete,
        AnswerState::Failed,
    ]);
    prop_oneof![
        3 => (1..80_usize).prop_map(Entry::Question),
        4 => (any::<prop::sample::Index>(), state, 0..80_usize)
            .prop_map(|(index, state, size)| Entry::Answer(index, state, size)),
        1 => (0..80_usize).prop_map(Entry::Notification),
    ]
}

/// A log in which every answer answers some question before it, and a question that it ends with.
fn log(entries: Vec<Entry>) -> Vec<Message> {
    let mut log = vec![question(1)];
    for entry in entries {
        let seq = i64::try_from(log.len()).unwrap() + 1;
        let asked: Vec<i64> = log
            .iter()
            .filter(|message| message.role == Role::User)
            .map(|message| message.seq.0)
            .collect();
        log.push(match entry {
            Entry::Question(size) => message(seq, Role::User, &"q".repeat(size)),
            Entry::Answer(index, state, size) => ended(
                answer(seq, asked[index.index(asked.len())]),
                state,
                &"a".repeat(size),
            ),
            Entry::Notification(size) => message(seq, Role::Notification, &"n".repeat(size)),
        });
    }
    log
}

proptest! {
    #[test]
    fn turns_are_whole_budgets_hold_and_the_question_is_last(
        entries in prop::collection::vec(entry(), 0..40),
        asked in any::<prop::sample::Index>(),
        cleared in 0..40_i64,
        max_messages in 0..20_usize,
        max_tokens in 0..400_usize,
    ) {
        let log = log(entries);
        let questions: Vec<&Message> = log.iter().filter(|message| message.role == Role::User).collect();
        let query = questions[asked.index(questions.len())];
        let window = Window { max_messages, max_tokens, system: "system".into() };
        let prompt = build(&log, query, Seq(cleared), &window);

        // The instruction first, the question last, a record for each message but the instruction.
        prop_assert_eq!(prompt.messages[0].role, ChatRole::System);
        prop_assert_eq!(prompt.seqs.last(), Some(&query.seq));
        prop_assert_eq!(&*prompt.messages.last().unwrap().content, &*query.content);
        prop_assert_eq!(prompt.messages.len(), prompt.seqs.len() + 1);
        let distinct: HashSet<Seq> = prompt.seqs.iter().copied().collect();
        prop_assert_eq!(distinct.len(), prompt.seqs.len(), "nothing twice");

        // Budgets.
        let history = prompt.seqs.len() - 1;
        prop_assert!(history <= max_messages);
        let tokens: usize = prompt.messages.iter().map(|message| estimate_tokens(&message.content)).sum();
        prop_assert_eq!(tokens, prompt.tokens);
        prop_assert!(history == 0 || tokens <= max_tokens);

        // Whole turns: each question is followed by an answer to it that says something, each answer follows its question.
        let at = |seq: &Seq| log.iter().find(|message| message.seq == *seq).unwrap();
        let chosen: Vec<&Message> = prompt.seqs[..history].iter().map(at).collect();
        let mut index = 0;
        let mut ran: Vec<Seq> = Vec::new();
        while index < chosen.len() {
            let first = chosen[index];
            prop_assert!(first.seq > Seq(cleared));
            match first.role {
                Role::Notification => {
                    ran.push(first.seq);
                    index += 1;
                }
                Role::User => {
                    let reply = chosen[index + 1];
                    prop_assert_eq!(reply.in_reply_to, Some(first.message_id));
                    prop_assert!(is_usable(reply));
                    let answers = usable_answers(&log, first.message_id);
                    prop_assert_eq!(answers.last(), Some(&reply.seq), "the latest answer");
                    ran.push(answers.into_iter().find(|seq| seq.0 > cleared).unwrap());
                    index += 2;
                }
                Role::Assistant => prop_assert!(false, "an answer without its question"),
            }
        }
        prop_assert!(ran.is_sorted(), "in the order in which they ran: {ran:?}");

        // Nothing that ran after the question's first run.
        let first_run = log.iter().find(|message| message.in_reply_to == Some(query.message_id));
        if let Some(first_run) = first_run {
            prop_assert!(ran.iter().all(|seq| *seq < first_run.seq));
        }
    }

    #[test]
    fn with_room_enough_no_usable_turn_is_missing(entries in prop::collection::vec(entry(), 0..40)) {
        let mut log = log(entries);
        let seq = i64::try_from(log.len()).unwrap() + 1;
        log.push(question(seq));
        let window = Window { max_messages: 1000, max_tokens: 1_000_000, system: "".into() };
        let prompt = build(&log, &log[log.len() - 1], Seq::START, &window);
        let expected: usize = log
            .iter()
            .map(|message| match message.role {
                Role::User if !usable_answers(&log, id(message.seq.0)).is_empty() => 2,
                Role::Notification => 1,
                Role::User | Role::Assistant => 0,
            })
            .sum();
        prop_assert_eq!(prompt.seqs.len(), expected + 1);
    }
}

fn is_usable(answer: &Message) -> bool {
    answer.state != AnswerState::Failed && !answer.content.is_empty()
}

fn usable_answers(log: &[Message], query: MessageId) -> Vec<Seq> {
    log.iter()
        .filter(|message| message.in_reply_to == Some(query) && is_usable(message))
        .map(|message| message.seq)
        .collect()
}
