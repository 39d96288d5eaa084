//! Hints on their way out: grouped, cut to size, never waited for.

use std::collections::{HashMap, HashSet};

use sqlx::postgres::PgConnectOptions;

use super::{Hint, Notifier, WORK_CHANNEL, node_channel, payloads};
use crate::ids::{NodeId, SessionId};

/// What Postgres takes in one NOTIFY must be shorter than this.
const LIMIT_BYTES: usize = 8000;

#[test]
fn hints_are_grouped_by_the_process_that_they_are_for() {
    let sessions = [SessionId::new(), SessionId::new()];
    let hints = HashSet::from([
        Hint::Session(NodeId(1), sessions[0]),
        Hint::Cancel(NodeId(1), sessions[0]),
        Hint::Session(NodeId(2), sessions[1]),
        Hint::Probe(NodeId(2)),
        Hint::Work,
    ]);
    let (channels, payloads) = payloads(&hints);
    let sent: HashMap<String, HashSet<String>> = channels
        .into_iter()
        .zip(payloads)
        .map(|(channel, payload)| (channel, payload.split(',').map(str::to_owned).collect()))
        .collect();
    let words = |words: &[String]| words.iter().cloned().collect::<HashSet<_>>();
    assert_eq!(
        sent,
        HashMap::from([
            (
                "agent_node_1".to_owned(),
                words(&[format!("s{}", sessions[0]), format!("c{}", sessions[0])])
            ),
            (
                "agent_node_2".to_owned(),
                words(&[format!("s{}", sessions[1]), "p".to_owned()])
            ),
            (WORK_CHANNEL.to_owned(), words(&[String::new()])),
        ])
    );
}

#[test]
fn many_hints_are_cut_into_payloads_that_postgres_takes_and_none_is_lost() {
    for count in [0, 1, 199, 200, 201, 1000] {
        let hints: HashSet<Hint> = (0..count)
            .map(|_| Hint::Session(NodeId(i32::MAX), SessionId::new()))
            .collect();
        let (channels, payloads) = payloads(&hints);
        assert_eq!(channels.len(), payloads.len());
        assert!(
            channels
                .iter()
                .all(|channel| *channel == node_channel(NodeId(i32::MAX)))
        );
        assert!(payloads.iter().all(|payload| payload.len() < LIMIT_BYTES));
        let words: HashSet<String> = payloads
            .iter()
            .flat_map(|payload| payload.split(',').map(str::to_owned))
            .collect();
        let expected: HashSet<String> = hints
            .iter()
            .map(|hint| match hint {
                Hint::Session(_, session) => format!("s{session}"),
                other => panic!("{other:?} was not sent"),
            })
            .collect();
        assert_eq!(words, expected);
    }
}

#[test]
fn everybody_who_watches_is_told_but_the_one_who_knows() {
    let (notifier, mut task) = Notifier::new(PgConnectOptions::new());
    let session = SessionId::new();
    notifier.session(&[NodeId(1), NodeId(2), NodeId(3)], NodeId(2), session);
    assert_eq!(task.queue.try_recv(), Ok(Hint::Session(NodeId(1), session)));
    assert_eq!(task.queue.try_recv(), Ok(Hint::Session(NodeId(3), session)));
    assert!(task.queue.try_recv().is_err());
}

#[test]
fn a_full_queue_drops_hints_and_never_blocks() {
    let (notifier, mut task) = Notifier::new(PgConnectOptions::new());
    for _ in 0..super::QUEUE + 10 {
        notifier.send(Hint::Work);
    }
    let mut waiting = 0;
    while task.queue.try_recv().is_ok() {
        waiting += 1;
    }
    assert_eq!(waiting, super::QUEUE);
}
