//! Text and bytes that nobody meant: what reads them neither panics, nor takes long, nor lets anything through.
//!
//! ```console
//! $ FUZZ_CASES=1000000 cargo test --test it fuzz:: -- --nocapture
//! ```
//!
//! Each case is a sample, changed at random, and depends on its own seed only: a failure prints the line that repeats it.
//! An ordinary `cargo test` tries some thousands of the same ones each time.

mod frames;
mod mutation;
mod sockets;
mod streams;
mod tokens;

use std::thread;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::support::database::environment;

/// Cases of each target in an ordinary run.
const CASES: u64 = 4000;

/// No case is larger than this, in bytes, and none may take this long: far above what any needs, and far below what one
/// needs whose cost grows with the square of its length.
const MOST_BYTES: usize = 64 * 1024;
const MOST_TIME: Duration = Duration::from_secs(5);

/// Says how to repeat a case that fails.
struct Case {
    target: &'static str,
    seed: u64,
}

impl Drop for Case {
    fn drop(&mut self) {
        if thread::panicking() {
            let Self { target, seed } = self;
            eprintln!("to repeat it: FUZZ_SEED={seed} FUZZ_CASES=1 cargo test --test it fuzz::{target}");
        }
    }
}

fn number(name: &str, default: u64) -> u64 {
    environment(name).map_or(default, |text| text.parse().expect("a number"))
}

/// The seeds of a run, with `share` in a hundred of the usual number of cases.
fn seeds(share: u64) -> std::ops::Range<u64> {
    let first = number("FUZZ_SEED", 1);
    first..first + (number("FUZZ_CASES", CASES) * share).div_ceil(100)
}

/// Tries every case of a target, and says how many there were.
fn fuzz(target: &'static str, mut attempt: impl FnMut(&mut StdRng)) {
    let (began, seeds) = (Instant::now(), seeds(100));
    let cases = seeds.end - seeds.start;
    for seed in seeds {
        let _case = Case { target, seed };
        let began = Instant::now();
        attempt(&mut StdRng::seed_from_u64(seed));
        let took = began.elapsed();
        assert!(took < MOST_TIME, "it took {took:?}");
    }
    println!(
        "fuzz {target}: {cases} cases in {:.1} s",
        began.elapsed().as_secs_f64()
    );
}
