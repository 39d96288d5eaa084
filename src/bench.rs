//! `bench`: measures this program beside floors, on a private deployment on loopback; or puts a load on a deployment that is there.
//!
//! Owns the load, the scripted provider, the floors, the suites and the report. Refuses to measure without counting: every token and every
//! row is accounted for, and a run that lost one fails. It stands beside the server and shares none of its paths: what
//! is measured is a process of this program of its own. Called by `app` for the command `bench`, and by itself for `bench-floor`.
//!
//! ```text
//! core 0                                core 1, with --pin: this process
//! serve | bench-floor  ◄── frames ────► load
//!    │        └── chat completions ───► provider (a thread)
//!    └── SQL ──► postgres (floats)
//! ```

mod bed;
mod deployed;
mod figures;
mod floor;
mod gauge;
mod load;
mod progress;
mod provider;
mod report;
mod rows;
mod run;
mod socket;
mod suites;

pub use self::floor::serve as serve_floor;
pub use self::run::run;
pub use self::suites::Suite;
