//! From a seed to what will be done: pure, so that a seed names its plan for ever.

use std::fmt::{Display, Formatter, Result};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::support::ledger::Extent;

pub(super) const NODES: usize = 2;

/// Whose each device is: users have one, two and three.
pub(super) const DEVICES: [usize; 6] = [0, 1, 1, 2, 2, 2];

/// Who acknowledges everything at times, also what was not shown yet: of the others nothing may be acknowledged unseen.
pub(super) const SWEEPER: usize = 2;

/// How many operations a plan has.
const LENGTH: usize = 90;

/// What a statement inserts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Rows {
        n: usize,
        priority: &'static str,
    },
    /// With a key that may be there, left out then.
    Dedupe {
        key: usize,
    },
    /// The same by `agent.notify`.
    Function {
        key: usize,
    },
    Collapse {
        key: usize,
        n: usize,
    },
    Soon {
        ms: i64,
    },
    /// In the past when negative.
    Expires {
        ms: i64,
    },
    InContext,
}

/// How its transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    AtOnce,
    Commit { after_ms: u64 },
    RollBack { after_ms: u64 },
}

/// What happens to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Kill9,
    /// SIGTERM; its successor may start while it drains.
    Terminate,
    Start,
    PostgresCut,
    PostgresRefuses,
    PostgresStalls,
    PostgresBack,
}

/// One thing that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Write {
        user: usize,
        what: What,
        ending: Ending,
    },
    Acknowledge {
        device: usize,
        extent: Extent,
    },
    /// From here on the device acknowledges at once, or no more.
    Eager {
        device: usize,
        eager: bool,
    },
    /// The device loses its connection and comes back to the other node.
    Cut {
        device: usize,
    },
    /// The device reads nothing for a while.
    SlowRead {
        device: usize,
        ms: u64,
    },
    /// A query, which appends to the same conversation.
    Ask {
        device: usize,
    },
    ListenersKilled,
    Node {
        node: usize,
        deed: Deed,
    },
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
        writeln!(f, "DELIVERY_SEED={} replays this plan:", self.seed)?;
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
            if let Op::Node { node, deed } = op {
                match deed {
                    // One node is always there.
                    Deed::Kill9 | Deed::Terminate if !up[node] || !up[1 - node] => continue,
                    Deed::Start if up[node] => continue,
                    Deed::Kill9 | Deed::Terminate => up[node] = false,
                    Deed::Start => up[node] = true,
                    _ => {}
                }
            }
            ops.push(op);
        }
        Self { seed, ops }
    }
}

fn draw(rng: &mut StdRng) -> Op {
    let device = rng.random_range(0..DEVICES.len());
    match rng.random_range(0..100) {
        0..42 => Op::Write {
            user: DEVICES[device],
            what: draw_what(rng),
            ending: draw_ending(rng),
        },
        42..52 => Op::Acknowledge {
            device,
            extent: if DEVICES[device] == SWEEPER && rng.random_bool(0.3) {
                Extent::All
            } else {
                Extent::Some(rng.random_range(1..40))
            },
        },
        52..55 => Op::Eager {
            device,
            eager: rng.random_bool(0.6),
        },
        55..63 => Op::Cut { device },
        63..65 => Op::SlowRead {
            device,
            ms: rng.random_range(50..500),
        },
        65..69 => Op::Ask { device },
        69..72 => Op::ListenersKilled,
        72..88 => Op::Node {
            node: rng.random_range(0..NODES),
            deed: *[
                Deed::Kill9,
                Deed::Kill9,
                Deed::Terminate,
                Deed::Start,
                Deed::Start,
                Deed::Start,
                Deed::PostgresCut,
                Deed::PostgresRefuses,
                Deed::PostgresStalls,
                Deed::PostgresBack,
                Deed::PostgresBack,
            ]
            .choose(rng)
            .unwrap(),
        },
        _ => Op::Pause {
            ms: rng.random_range(20..300),
        },
    }
}

fn draw_what(rng: &mut StdRng) -> What {
    let key = rng.random_range(0..4);
    match rng.random_range(0..100) {
        0..30 => What::Rows {
            n: 1,
            priority: ["high", "normal", "low"].choose(rng).unwrap(),
        },
        // Some are more than a mailbox holds.
        30..42 => What::Rows {
            n: rng.random_range(2..400),
            priority: ["high", "normal", "low"].choose(rng).unwrap(),
        },
        42..50 => What::Dedupe { key },
        50..56 => What::Function { key },
        56..68 => What::Collapse {
            key,
            n: rng.random_range(1..5),
        },
        68..78 => What::Soon {
            ms: rng.random_range(50..1500),
        },
        78..82 => What::Expires {
            ms: -rng.random_range(1..1000),
        },
        82..86 => What::Expires {
            ms: rng.random_range(50..2000),
        },
        _ => What::InContext,
    }
}

fn draw_ending(rng: &mut StdRng) -> Ending {
    let after_ms = rng.random_range(200..2500);
    match rng.random_range(0..10) {
        0..6 => Ending::AtOnce,
        6..9 => Ending::Commit { after_ms },
        _ => Ending::RollBack { after_ms },
    }
}
