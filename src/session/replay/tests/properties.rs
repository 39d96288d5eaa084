//! Long random plans: what the exhaustive check covers completely in the small, here at random in the large.

use std::sync::Arc;

use proptest::prelude::*;

use super::{Client, query, reply, writing};
use crate::ids::Seq;
use crate::log::{AnswerState, Message};
use crate::session::replay::{Cursor, Tail};

/// One thing that happens.
#[derive(Clone, Debug)]
enum Happening {
    /// A question becomes durable.
    Ask,
    /// The oldest question without an answer is taken up.
    Begin,
    /// The run in progress writes.
    Write(String),
    /// The run in progress is given up and starts anew.
    Retry,
    /// The run in progress ends.
    Finish,
    /// One of the messages that the tail does not know is offered to it.
    Offer(prop::sample::Index),
    /// The tail forgets all but so many messages.
    Trim(usize),
    /// The tail starts anew from the store.
    Restart,
    /// A connection opens, having applied some part of the log.
    Connect(prop::sample::Index),
    /// A connection takes a step.
    Step(prop::sample::Index),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        2 => Just(Happening::Ask),
        2 => Just(Happening::Begin),
        4 => "[aé🦀]{0,3}".prop_map(Happening::Write),
        1 => Just(Happening::Retry),
        2 => Just(Happening::Finish),
        5 => any::<prop::sample::Index>().prop_map(Happening::Offer),
        1 => (0..3_usize).prop_map(Happening::Trim),
        1 => Just(Happening::Restart),
        1 => any::<prop::sample::Index>().prop_map(Happening::Connect),
        12 => any::<prop::sample::Index>().prop_map(Happening::Step),
    ]
}

/// A run as its process knows it, whatever the tail does.
#[derive(Clone, Debug)]
struct Run {
    query: Seq,
    attempt: u32,
    text: String,
}

#[derive(Default)]
struct World {
    store: Vec<Message>,
    /// Places of messages that were not offered yet.
    unknown: Vec<usize>,
    waiting: Vec<Seq>,
    run: Option<Run>,
    tail: Tail,
    connections: Vec<(Cursor, Client)>,
}

impl World {
    fn head(&self) -> i64 {
        i64::try_from(self.store.len()).unwrap()
    }

    fn commit(&mut self, message: Message) {
        self.unknown.push(self.store.len());
        self.store.push(message);
    }

    /// As a room does: what a run of this process writes is in the tail until its message is.
    fn show(&mut self) {
        // Where the answer's message will stand is known when it ends; until then its id is the question's, negated.
        if let Some(run) = &self.run {
            let mut answer = writing(run.query.0, run.query.0, run.attempt, &run.text);
            answer.message_id = answer_id(run.query);
            self.tail.answer = Some(answer);
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Ask => {
                let seq = self.head() + 1;
                self.waiting.push(Seq(seq));
                self.commit(query(seq));
            }
            Happening::Begin if self.run.is_none() && !self.waiting.is_empty() => {
                let query = self.waiting.remove(0);
                self.run = Some(Run {
                    query,
                    attempt: 1,
                    text: String::new(),
                });
                self.show();
            }
            Happening::Write(text) => {
                if let Some(run) = &mut self.run {
                    run.text.push_str(&text);
                }
                self.show();
            }
            Happening::Retry => {
                if let Some(run) = &mut self.run {
                    run.attempt += 1;
                    run.text.clear();
                }
                self.show();
            }
            Happening::Finish => self.finish(),
            Happening::Offer(index) if !self.unknown.is_empty() => {
                let place = self.unknown.remove(index.index(self.unknown.len()));
                self.tail.offer(Arc::new(self.store[place].clone()));
            }
            Happening::Trim(messages) => self.tail.trim(messages, usize::MAX),
            Happening::Restart => {
                let head = Seq(self.head());
                if self.tail.head() < head {
                    self.tail = std::mem::take(&mut self.tail).restart_at(head);
                    self.unknown.clear();
                    self.mirror();
                }
            }
            Happening::Connect(index) => {
                let head = self.tail.head();
                let sent = Seq(i64::try_from(index.index(usize::try_from(head.0).unwrap() + 1)).unwrap());
                self.connections
                    .push((Cursor::new(sent, head), Client::connected(sent, head)));
            }
            Happening::Step(index) if !self.connections.is_empty() => {
                let index = index.index(self.connections.len());
                let (cursor, client) = &mut self.connections[index];
                client.take_step(&self.tail, cursor, &self.store);
            }
            // Nothing to begin, to offer or to step.
            Happening::Begin | Happening::Offer(_) | Happening::Step(_) => {}
        }
    }

    /// As `feed` does after a restart: the tail shows the run in progress or none.
    fn mirror(&mut self) {
        self.tail.answer = None;
        self.show();
    }

    fn finish(&mut self) {
        let Some(run) = self.run.take() else { return };
        let mut answer = reply(self.head() + 1, run.query.0, &run.text);
        answer.message_id = answer_id(run.query);
        if run.text.is_empty() {
            answer.state = AnswerState::Failed;
        }
        self.commit(answer);
    }

    fn come_to_rest(&mut self) {
        while self.run.is_some() || !self.waiting.is_empty() {
            self.finish();
            self.happen(Happening::Begin);
        }
        for place in std::mem::take(&mut self.unknown) {
            self.tail.offer(Arc::new(self.store[place].clone()));
        }
        for (cursor, client) in &mut self.connections {
            super::drain(&self.tail, cursor, client, &self.store);
            client.check_at_rest(&self.store);
        }
    }
}

fn answer_id(query: Seq) -> crate::ids::MessageId {
    super::message_id(1_000_000 + query.0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn every_client_ends_with_the_log_and_saw_nothing_that_the_contract_rules_out(
        plan in prop::collection::vec(happening(), 1..120)
    ) {
        let mut world = World::default();
        for happening in plan {
            world.happen(happening);
        }
        world.come_to_rest();
        prop_assert_eq!(world.tail.head().0, world.head());
        prop_assert!(!world.tail.has_gap());
        prop_assert_eq!(world.tail.answer, None);
    }
}
