//! From a seed to what will be done: pure, so that a seed names its plan for ever.

use std::fmt::{Display, Formatter, Result};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

pub(super) const NODES: usize = 2;
pub(super) const USERS: usize = 3;
/// Each user has two, on different nodes at first.
pub(super) const DEVICES: usize = 2 * USERS;

/// How many operations a plan has.
const LENGTH: usize = 70;

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// At once.
    Quick,
    /// Word by word.
    Slow,
    /// Stalls in the middle until [`Op::Unstall`].
    Stalls,
    /// Stalls before the first word.
    Silent,
}

/// One thing that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Ask {
        device: usize,
        manner: Manner,
        words: usize,
        on_busy: &'static str,
    },
    /// The same query again under its id.
    Repeat {
        device: usize,
    },
    Cancel {
        device: usize,
    },
    /// The device loses its connection.
    Cut {
        device: usize,
    },
    /// The device reads nothing for a while.
    SlowRead {
        device: usize,
        ms: u64,
    },
    /// A service inserts a notification.
    Notify {
        user: usize,
    },
    Kill9 {
        node: usize,
    },
    /// SIGTERM; its successor may start while it drains.
    Terminate {
        node: usize,
    },
    Start {
        node: usize,
    },
    /// The node's connections to Postgres are cut.
    PostgresCut {
        node: usize,
    },
    PostgresRefuses {
        node: usize,
    },
    PostgresStalls {
        node: usize,
    },
    PostgresBack {
        node: usize,
    },
    /// Stalled answers go on.
    Unstall,
    Pause {
        ms: u64,
    },
}

/// What is done for a seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) ops: Vec<Op>,
}

impl Display for Plan {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(f, "CHAOS_SEED={} replays this plan:", self.seed)?;
        for (n, op) in self.ops.iter().enumerate() {
            writeln!(f, "  {n:2} {op:?}")?;
        }
        Ok(())
    }
}

impl Plan {
    pub(super) fn of(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut up = [true; NODES];
        let mut ops = Vec::new();
        while ops.len() < LENGTH {
            let op = draw(&mut rng);
            // One node is always there to recover what the other left.
            match op {
                Op::Kill9 { node } | Op::Terminate { node } if !up[node] || !up[1 - node] => continue,
                Op::Start { node } if up[node] => continue,
                Op::Kill9 { node } | Op::Terminate { node } => up[node] = false,
                Op::Start { node } => up[node] = true,
                _ => {}
            }
            ops.push(op);
        }
        Self { seed, ops }
    }
}

fn draw(rng: &mut StdRng) -> Op {
    let device = rng.random_range(0..DEVICES);
    let node = rng.random_range(0..NODES);
    match rng.random_range(0..100) {
        0..30 => Op::Ask {
            device,
            manner: *[
                Manner::Quick,
                Manner::Slow,
                Manner::Slow,
                Manner::Stalls,
                Manner::Silent,
            ]
            .choose(rng)
            .unwrap(),
            words: rng.random_range(1..40),
            on_busy: ["enqueue", "enqueue", "enqueue", "reject", "interrupt"]
                .choose(rng)
                .unwrap(),
        },
        30..37 => Op::Repeat { device },
        37..42 => Op::Cancel { device },
        42..52 => Op::Cut { device },
        52..55 => Op::SlowRead {
            device,
            ms: rng.random_range(50..500),
        },
        55..59 => Op::Notify {
            user: rng.random_range(0..USERS),
        },
        59..64 => Op::Kill9 { node },
        64..66 => Op::Terminate { node },
        66..74 => Op::Start { node },
        74..77 => Op::PostgresCut { node },
        77..79 => Op::PostgresRefuses { node },
        79..81 => Op::PostgresStalls { node },
        81..85 => Op::PostgresBack { node },
        85..89 => Op::Unstall,
        _ => Op::Pause {
            ms: rng.random_range(20..400),
        },
    }
}
