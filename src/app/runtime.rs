//! The runtime that a command runs on: a server that has one core runs on one thread.
//!
//! On one core the runtime of several threads has one that works, and gains nothing by being ready to have more: 100,000 tokens of 400
//! streams of 50 a second took 4.0 s of CPU on it, and 3.5 on the runtime of one thread (medians of five rounds in turn, `bench --pin`).

use std::io;
use std::num::NonZero;
use std::thread::available_parallelism;

use tokio::runtime::{Builder, Runtime};

use crate::cli::Command;

/// Tasks that run before the one thread looks whether a socket or a timer is ready. With tokio's own 61 a flood of tokens came
/// 15 to 20 % slower than on its other runtime; with this, as fast.
const TASKS_BETWEEN_LOOKS: u32 = 200;

/// Sockets that are taken from such a look at a time. A token comes by one task and goes by another, which the one thread runs after
/// all that were ready before: with tokio's own 1,024 half of the tokens of 400 streams came after 1.6 ms, with this after 0.8
/// (two rounds in turn). On the other runtime, which runs next what a task woke, they come sooner still: 1.3 ms to 1.5 here (five).
const SOCKETS_A_LOOK: usize = 16;

/// Builds the runtime for a command, on the cores that this process may use: those of its CPU affinity and its cgroup's quota.
///
/// # Errors
/// When the system gives no thread, or nothing to wait for sockets with.
pub fn runtime(command: &Command) -> io::Result<Runtime> {
    build(command, available_parallelism().map_or(1, NonZero::get))
}

fn build(command: &Command, cores: usize) -> io::Result<Runtime> {
    let serves = matches!(command, Command::Serve | Command::Dev);
    let mut builder = if serves && cores == 1 {
        let mut builder = Builder::new_current_thread();
        builder
            .event_interval(TASKS_BETWEEN_LOOKS)
            .max_io_events_per_tick(SOCKETS_A_LOOK);
        builder
    } else {
        Builder::new_multi_thread()
    };
    builder.enable_all().build()
}

#[cfg(test)]
mod tests;
