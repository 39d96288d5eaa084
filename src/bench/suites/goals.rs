//! What the tables say: each suite's title, what it is compared with, its figures and their goals. Called by `report`.

use super::{Figure, Goal, Suite};

/// The pace of a model.
const PACED: [Figure; 7] = [
    ("tokens/s", Goal::RatioAtLeast(0.985)),
    ("added p50 ms", Goal::RatioAtMost(1.3)),
    ("added p99 ms", Goal::RatioAtMost(1.3)),
    ("first token p50 ms", Goal::RatioAtMost(1.5)),
    ("first token p99 ms", Goal::None),
    ("CPU s/100,000 tokens", Goal::None),
    ("Postgres CPU s/100,000 tokens", Goal::None),
];

impl Suite {
    /// What its work is, in a line.
    pub(in crate::bench) fn title(self) -> &'static str {
        match self {
            Self::Query64 => {
                "64 connections, 25 questions each in turn, both messages durable, answers of 330 characters in one write"
            }
            Self::Query1 => "One connection, a question after the other, both messages durable",
            Self::Rows64 => {
                "The questions of query64, beside a bare relay that writes the same rows, sends the same frames and decides nothing"
            }
            Self::Rows1 => "The questions of query1, beside the same relay",
            Self::Rows50 => {
                "The streams of paced50, beside the same relay, which stores no text before its end"
            }
            Self::Rows400 => "The streams of paced400, beside the same relay",
            Self::Flood => "16 streams of 256 tokens, a write each token, as fast as they go",
            Self::Paced50 => {
                "50 streams of 50 tokens a second; added = from the provider's write to the client"
            }
            Self::Paced400 => {
                "400 streams of 50 tokens a second; added = from the provider's write to the client"
            }
            Self::Memory => "2,000 connections; the floor keeps no sessions",
            Self::Handshake => "4,000 connects: token, session row, welcome; the floor's are bare upgrades",
            Self::Fan500 => {
                "150 notifications, 20 a second, by INSERT, to 500 sockets of one user; times from before the INSERT"
            }
            Self::Storm => {
                "3,000 sockets cut, back at once on another node, each sent the two rows that it missed"
            }
            Self::Jitter => {
                "10,000 clients of one session, cut about every 15 s, 2 s away; 120 messages at 2 a second"
            }
            Self::Long => "8 connections in sessions of 400 questions, beside sessions of 25",
            Self::Slow => {
                "256 connections; every flush of Postgres's log takes longer; the floor commits row by row"
            }
            Self::Nodes => "64 connections over 1, 2 and 4 nodes on one Postgres",
            Self::Stored => {
                "A user with 10,000 messages among 10 million (x --scale) of others, beside the same user alone"
            }
            Self::Deployment => {
                "Each client asks in turn, is cut, and comes back to all that was said; a ping is the bare way"
            }
        }
    }

    /// What the floor's column is.
    pub(in crate::bench) fn compared_with(self) -> &'static str {
        match self {
            Self::Long => "25 questions",
            _ if self.beside_the_floor().is_some() => "same rows",
            Self::Slow => "row by row",
            Self::Stored => "alone",
            _ => "floor",
        }
    }

    /// What the points of its plot are along, if it has any.
    pub(in crate::bench) fn axis(self) -> &'static str {
        match self {
            Self::Slow => "ms that a flush takes longer",
            Self::Nodes => "nodes",
            _ => "",
        }
    }

    /// Its figures, in the order of the table. The goals are for the bare floor.
    pub(in crate::bench) fn figures(self) -> Vec<Figure> {
        match self.beside_the_floor() {
            Some(twin) => twin
                .own_figures()
                .iter()
                .map(|(name, _)| (*name, Goal::None))
                .collect(),
            None => self.own_figures().to_vec(),
        }
    }

    fn own_figures(self) -> &'static [Figure] {
        match self {
            Self::Query64 | Self::Query1 | Self::Long => self.figures_of_queries(),
            Self::Flood => &[
                ("tokens/s", Goal::RatioAtLeast(0.85)),
                ("first token p50 ms", Goal::None),
                ("CPU s/100,000 tokens", Goal::None),
                ("Postgres CPU s/100,000 tokens", Goal::None),
            ],
            Self::Paced50 | Self::Paced400 => &PACED,
            Self::Memory => &[
                ("base MiB", Goal::AtMost(15.0)),
                ("idle KiB/connection", Goal::AtMost(9.0)),
                ("KiB/connection after a query", Goal::AtMost(12.0)),
            ],
            Self::Handshake => &[
                ("CPU s/1,000 connects", Goal::RatioAtMost(2.5)),
                ("Postgres CPU s/1,000 connects", Goal::None),
                ("connects/s", Goal::None),
            ],
            Self::Fan500 => &[
                ("p50 ms", Goal::RatioAtMost(1.1)),
                ("p99 ms", Goal::None),
                ("CPU s/100,000 deliveries", Goal::RatioAtMost(1.2)),
                ("Postgres CPU s/100,000 deliveries", Goal::None),
            ],
            Self::Storm => &[
                ("resumed/s", Goal::RatioAtLeast(0.85)),
                ("own p50 ms", Goal::None),
                ("own p99 ms", Goal::None),
                ("CPU s/1,000 resumed", Goal::None),
                ("Postgres CPU s/1,000 resumed", Goal::None),
            ],
            _ => self.figures_of_many(),
        }
    }

    /// The suites that show more than one deployment does in a while.
    fn figures_of_many(self) -> &'static [Figure] {
        match self {
            Self::Jitter => &[
                ("clients", Goal::None),
                ("delivered %", Goal::AtLeast(100.0)),
                ("replay p50 ms", Goal::None),
                ("replay p99 ms", Goal::AtMost(1000.0)),
                ("returns", Goal::None),
                ("CPU s, all", Goal::None),
                ("Postgres CPU s, all", Goal::None),
            ],
            Self::Slow => &[
                ("queries/s, as the disk is", Goal::None),
                ("queries/s, a flush 1 ms longer", Goal::None),
                ("queries/s, 5 ms", Goal::None),
                ("queries/s, 20 ms", Goal::None),
                ("kept at 20 ms", Goal::None),
            ],
            Self::Nodes => &[
                ("queries/s, 1 node", Goal::None),
                ("queries/s, 2 nodes", Goal::None),
                ("queries/s, 4 nodes", Goal::None),
                ("cores taken by 4 nodes", Goal::None),
                ("cores taken by Postgres", Goal::None),
                ("cores taken by load and provider", Goal::None),
            ],
            Self::Deployment => &[
                ("ping p50 ms", Goal::None),
                ("queries/s", Goal::None),
                ("answer p50 ms", Goal::None),
                ("answer p99 ms", Goal::None),
                ("first token p50 ms", Goal::None),
                ("return p50 ms", Goal::None),
                ("return p99 ms", Goal::None),
            ],
            _ => &[
                ("messages stored", Goal::None),
                ("sessions p50 ms", Goal::None),
                ("sessions p99 ms", Goal::RatioAtMost(2.0)),
                ("history p50 ms", Goal::None),
                ("history p99 ms", Goal::RatioAtMost(2.0)),
                ("search p50 ms", Goal::None),
                ("search p99 ms", Goal::RatioAtMost(2.0)),
            ],
        }
    }

    fn figures_of_queries(self) -> &'static [Figure] {
        use Goal::{None, RatioAtLeast, RatioAtMost};
        match self {
            Self::Query64 => &[
                ("queries/s", RatioAtLeast(0.8)),
                ("p50 ms", None),
                ("p99 ms", RatioAtMost(1.3)),
                ("CPU s/1,000 queries", RatioAtMost(1.6)),
                ("Postgres CPU s/1,000 queries", RatioAtMost(1.6)),
            ],
            Self::Long => &[
                ("queries/s", RatioAtLeast(0.97)),
                ("p50 ms", None),
                ("p99 ms", None),
                ("CPU s/1,000 queries", None),
                ("Postgres CPU s/1,000 queries", None),
            ],
            _ => &[
                ("queries/s", None),
                ("p50 ms", RatioAtMost(1.25)),
                ("p99 ms", None),
                ("CPU s/1,000 queries", None),
                ("Postgres CPU s/1,000 queries", None),
            ],
        }
    }
}
