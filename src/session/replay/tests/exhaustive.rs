//! Every plan within small bounds: all orders in which commits, offers, text, trims, restarts, connects and steps can
//! happen, from a few scripts. A depth-first walk over states, each visited once.
//!
//! Why not stateright: it checks models of actors and messages, so cursor and tail would have to be put into its `Model`
//! with states that are hashable as they are, for a search that takes twenty lines here; its own strengths (networks that
//! reorder and drop, linearizability testers, an explorer) have no object in two pure types that are called in turn. This
//! walk calls the shipped code itself, not a model of it, and says which plan failed as a list of words.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::{Client, query, reply, writing};
use crate::ids::Seq;
use crate::log::{AnswerState, Message};
use crate::session::replay::{Answer, Cursor, Tail};

/// One line of what happens to the session and its run, in the order in which the database decided it.
#[derive(Clone, Debug)]
enum Line {
    /// A message becomes durable.
    Commit(Message),
    /// A run of this process begins.
    Begin(Answer),
    /// It writes.
    Write(&'static str),
    /// It is given up without a message.
    Abandon,
}

/// A step of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Move {
    /// The script goes on by a line.
    Script,
    /// A durable message is offered to the tail.
    Offer(usize),
    /// The tail forgets all messages.
    Trim,
    /// The tail starts anew at the store's head.
    Restart,
    /// A connection opens that has applied so much.
    Connect(i64),
    /// A connection takes its next step.
    Step(usize),
}

#[derive(Clone)]
struct State {
    line: usize,
    committed: usize,
    /// Which messages the tail was offered, by bit.
    offered: u32,
    tail: Tail,
    connections: Vec<(Cursor, Client)>,
}

struct Walk {
    script: Vec<Line>,
    store: Vec<Message>,
    max_connections: usize,
    seen: HashSet<u128>,
    plan: Vec<Move>,
    ends: usize,
}

impl Walk {
    fn new(script: Vec<Line>, max_connections: usize) -> Self {
        let store = script
            .iter()
            .filter_map(|line| match line {
                Line::Commit(message) => Some(message.clone()),
                _ => None,
            })
            .collect();
        Self {
            script,
            store,
            max_connections,
            seen: HashSet::new(),
            plan: Vec::new(),
            ends: 0,
        }
    }

    /// Walks through all plans; how many states and ends there were.
    fn run(mut self) -> (usize, usize) {
        let start = State {
            line: 0,
            committed: 0,
            offered: 0,
            tail: Tail::default(),
            connections: Vec::new(),
        };
        self.visit(&start);
        (self.seen.len(), self.ends)
    }

    fn visit(&mut self, state: &State) {
        if !self.seen.insert(key(state)) {
            return;
        }
        let mut stuck = true;
        for next in self.moves(state) {
            self.plan.push(next);
            let reporter = Reporter(&self.plan);
            let after = self.make(state, next);
            std::mem::forget(reporter);
            if let Some(after) = after {
                stuck = false;
                self.visit(&after);
            }
            self.plan.pop();
        }
        if stuck {
            self.ends += 1;
            let reporter = Reporter(&self.plan);
            self.check_end(state);
            std::mem::forget(reporter);
        }
    }

    fn moves(&self, state: &State) -> Vec<Move> {
        let mut moves = vec![Move::Script];
        let known = |place: &usize| state.offered & (1 << place) == 0;
        moves.extend((0..state.committed).filter(known).map(Move::Offer));
        moves.push(Move::Trim);
        moves.push(Move::Restart);
        if state.connections.len() < self.max_connections {
            moves.extend((0..=state.tail.head().0).map(Move::Connect));
        }
        moves.extend((0..state.connections.len()).map(Move::Step));
        moves
    }

    /// The state after a move; `None` where it changes nothing.
    fn make(&self, state: &State, next: Move) -> Option<State> {
        let mut after = state.clone();
        match next {
            Move::Script => {
                let line = self.script.get(state.line)?;
                after.line += 1;
                match line {
                    Line::Commit(_) => after.committed += 1,
                    Line::Begin(answer) => after.tail.answer = Some(answer.clone()),
                    Line::Write(text) => after.tail.answer.as_mut()?.text.push_str(text),
                    Line::Abandon => after.tail.answer = None,
                }
            }
            Move::Offer(place) => {
                after.offered |= 1 << place;
                after.tail.offer(Arc::new(self.store[place].clone()));
            }
            Move::Trim => {
                after.tail.trim(0, 0);
                if after.tail.base() == state.tail.base() {
                    return None;
                }
            }
            Move::Restart => {
                let head = Seq(i64::try_from(state.committed).unwrap());
                if head <= state.tail.head() {
                    return None;
                }
                after.offered = (1 << state.committed) - 1;
                after.tail = after.tail.restart_at(head);
                self.mirror(&mut after);
            }
            Move::Connect(sent) => {
                let head = state.tail.head();
                let sent = Seq(sent);
                after
                    .connections
                    .push((Cursor::new(sent, head), Client::connected(sent, head)));
            }
            Move::Step(index) => {
                let (cursor, client) = &mut after.connections[index];
                if !client.take_step(&state.tail, cursor, &self.store[..state.committed]) {
                    return None;
                }
            }
        }
        Some(after)
    }

    /// As `feed` does after a restart: an answer whose message is durable is no longer being written.
    fn mirror(&self, state: &mut State) {
        let ended = |answer: &Answer| {
            self.store[..state.committed]
                .iter()
                .any(|message| message.message_id == answer.message_id)
        };
        if state.tail.answer.as_ref().is_some_and(ended) {
            state.tail.answer = None;
        }
    }

    fn check_end(&self, state: &State) {
        assert_eq!(state.line, self.script.len(), "the script is through");
        assert_eq!(state.tail.head().0, i64::try_from(self.store.len()).unwrap());
        assert!(!state.tail.has_gap());
        assert_eq!(state.tail.answer, None);
        assert_eq!(state.connections.len(), self.max_connections);
        for (_, client) in &state.connections {
            client.check_at_rest(&self.store);
        }
    }
}

/// Tells the plan that led to a failure.
struct Reporter<'a>(&'a [Move]);

impl Drop for Reporter<'_> {
    fn drop(&mut self) {
        eprintln!("the plan: {:?}", self.0);
    }
}

/// All that can make a difference later, in 128 bits: the chance that two of a million states are taken for one is 10⁻²⁷.
fn key(state: &State) -> u128 {
    let tail = &state.tail;
    let answer = tail
        .answer
        .as_ref()
        .map(|answer| (answer.run_id, answer.attempt, &answer.text));
    let half = |salt: u64| {
        let mut hasher = DefaultHasher::new();
        (salt, state.line, state.committed, state.offered).hash(&mut hasher);
        (tail.head(), tail.base(), tail.early.len(), answer).hash(&mut hasher);
        for (cursor, client) in &state.connections {
            (cursor.sent, cursor.replay_until, cursor.live, client).hash(&mut hasher);
            for known in &cursor.announced {
                (known.run_id, known.attempt, known.bytes, known.digest).hash(&mut hasher);
            }
        }
        u128::from(hasher.finish())
    };
    half(1) << 64 | half(2)
}

/// A question, its answer in two pieces of text, another question, asked at each possible moment.
fn a_turn_and_a_question() -> Vec<Vec<Line>> {
    let turn = |reply_seq| {
        [
            Line::Begin(writing(reply_seq, 1, 1, "")),
            Line::Write("é"),
            Line::Write("🦀"),
            Line::Commit(reply(reply_seq, 1, "é🦀")),
        ]
    };
    (0..=4)
        .map(|moment| {
            let (reply_seq, query_seq) = if moment == 4 { (2, 3) } else { (3, 2) };
            let mut script = vec![Line::Commit(query(1))];
            script.extend(turn(reply_seq));
            script.insert(1 + moment, Line::Commit(query(query_seq)));
            script
        })
        .collect()
}

/// Two questions at once, answered one after the other.
fn two_turns() -> Vec<Line> {
    vec![
        Line::Commit(query(1)),
        Line::Commit(query(2)),
        Line::Begin(writing(3, 1, 1, "")),
        Line::Write("é"),
        Line::Commit(reply(3, 1, "é")),
        Line::Begin(writing(4, 2, 1, "")),
        Line::Write("🦀"),
        Line::Commit(reply(4, 2, "🦀")),
    ]
}

/// A run that is given up after some text and tried again, to an answer that begins otherwise.
fn a_second_attempt() -> Vec<Line> {
    vec![
        Line::Commit(query(1)),
        Line::Begin(writing(2, 1, 1, "")),
        Line::Write("é"),
        Line::Abandon,
        Line::Begin(writing(2, 1, 2, "")),
        Line::Write("🦀é"),
        Line::Commit(reply(2, 1, "🦀é")),
    ]
}

/// A run that is released without text, while an interrupting question goes first.
fn a_released_run() -> Vec<Line> {
    vec![
        Line::Commit(query(1)),
        Line::Begin(writing(4, 1, 1, "")),
        Line::Commit(query(2)),
        Line::Abandon,
        Line::Begin(writing(3, 2, 1, "")),
        Line::Write("é"),
        Line::Commit(reply(3, 2, "é")),
        Line::Begin(writing(4, 1, 2, "")),
        Line::Write("🦀"),
        Line::Commit(reply(4, 1, "🦀")),
    ]
}

/// A run without a word, and one that never ran.
fn empty_answers() -> Vec<Line> {
    let ended = |seq, query_seq, state| Message {
        state,
        ..reply(seq, query_seq, "")
    };
    vec![
        Line::Commit(query(1)),
        Line::Begin(writing(4, 1, 1, "")),
        Line::Commit(query(2)),
        Line::Commit(ended(3, 2, AnswerState::Cancelled)),
        Line::Commit(ended(4, 1, AnswerState::Failed)),
    ]
}

fn walk(script: Vec<Line>, max_connections: usize) {
    let length = script.len();
    let (states, ends) = Walk::new(script, max_connections).run();
    assert!(states > length && ends > 0, "{states} states, {ends} ends");
}

// A connection only looks at the tail, so it cannot disturb another one: two of them are walked where that is cheap.

#[test]
fn every_order_of_a_turn_and_a_question() {
    for script in a_turn_and_a_question() {
        walk(script, 1);
    }
}

#[test]
fn every_order_of_a_turn_under_two_connections() {
    let mut script = a_turn_and_a_question().remove(4);
    script.pop();
    walk(script, 2);
}

#[test]
fn every_order_of_two_turns() {
    walk(two_turns(), 1);
}

#[test]
fn every_order_of_a_second_attempt_under_two_connections() {
    walk(a_second_attempt(), 2);
}

#[test]
fn every_order_of_a_released_run() {
    walk(a_released_run(), 1);
}

#[test]
fn every_order_of_empty_answers() {
    walk(empty_answers(), 1);
}
