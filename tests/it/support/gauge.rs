//! What a process of ours takes, as Linux tells it: memory that is in use, and time on a processor.
//!
//! Elsewhere there is nothing to read: the tests then check what a client sees, and say that they measured nothing.

use std::fmt;
use std::fs;
use std::time::Duration;

/// Ticks a second in which Linux counts a process's time, on every system that it is built for here.
const TICKS_PER_SECOND: u64 = 100;

/// Memory and time of a process at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    rss_kib: i64,
    cpu: Duration,
}

/// What a process took between two moments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Growth {
    /// By how much its memory grew, in KiB.
    pub(crate) rss_kib: i64,
    /// How long it was on a processor.
    pub(crate) cpu: Duration,
}

impl Usage {
    /// What the process takes now; `None` where the system does not tell.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        if cfg!(not(target_os = "linux")) {
            return None;
        }
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let resident = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .unwrap();
        let rss_kib = resident.trim().trim_end_matches(" kB").parse().unwrap();
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        // The name of the program, in parentheses, may hold anything; what follows it is numbers.
        let (_, numbers) = stat.rsplit_once(") ").unwrap();
        let ticks: u64 = numbers
            .split(' ')
            .skip(11)
            .take(2)
            .map(|ticks| ticks.parse::<u64>().unwrap())
            .sum();
        let cpu = Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND);
        Some(Self { rss_kib, cpu })
    }

    /// What was taken since an earlier moment.
    pub(crate) fn since(self, earlier: Self) -> Growth {
        Growth {
            rss_kib: self.rss_kib - earlier.rss_kib,
            cpu: self.cpu.saturating_sub(earlier.cpu),
        }
    }
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "memory {:+.2} MiB, CPU {:.2} s",
            f64::from(i32::try_from(self.rss_kib).unwrap_or(i32::MAX)) / 1024.0,
            self.cpu.as_secs_f64()
        )
    }
}
