//! What processes take, as Linux tells it in `/proc`: CPU time and resident memory. Elsewhere there is no figure.
//!
//! CPU time comes in ticks of 10 ms, so what is measured should take a second. Called by the suites.

use std::fs;
use std::path::Path;

/// Ticks a second: what Linux has on every machine that this program is built for.
const TICKS: f64 = 100.0;

/// What `/proc/<pid>/stat` says about one process.
struct Stat {
    pid: u32,
    parent: u32,
    /// Its own time and that of its children that have ended.
    ticks: u64,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, spaces and parentheses included.
    let rest = &text[text.rfind(')')? + 1..];
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
    Some(Stat {
        pid,
        parent: u32::try_from(number(1)?).ok()?,
        ticks: (11..=14).map(number).sum::<Option<u64>>()?,
    })
}

/// CPU time of some processes and all their descendants, each once, in seconds. `None` when one of them is gone.
pub(super) fn cpu_seconds(roots: &[u32]) -> Option<f64> {
    let entries = fs::read_dir("/proc").ok()?;
    let all: Vec<Stat> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(stat)
        .collect();
    let mut family = roots.to_vec();
    let mut seen = 0;
    while let Some(&parent) = family.get(seen) {
        family.extend(
            all.iter()
                .filter(|stat| stat.parent == parent)
                .map(|stat| stat.pid),
        );
        seen += 1;
    }
    let here = |pid: &u32| all.iter().any(|stat| stat.pid == *pid);
    let ticks = |stat: &&Stat| family.contains(&stat.pid);
    roots
        .iter()
        .all(here)
        .then(|| all.iter().filter(ticks).map(|stat| stat.ticks).sum::<u64>() as f64 / TICKS)
}

/// CPU time of one process, without its children, in seconds.
pub(super) fn own_cpu_seconds(pid: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let rest = &text[text.rfind(')')? + 1..];
    let mut times = rest.split_whitespace().skip(11);
    let mut time = || times.next()?.parse::<u64>().ok();
    Some((time()? + time()?) as f64 / TICKS)
}

/// CPU time that the whole machine has spent on anything, in seconds of one core.
pub(super) fn busy_seconds() -> Option<f64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let fields: Vec<u64> = text
        .lines()
        .next()?
        .split_whitespace()
        .skip(1)
        .map_while(|field| field.parse().ok())
        .collect();
    // user, nice, system, then idle and iowait, then irq and softirq.
    let busy = [0, 1, 2, 5, 6].map(|place| fields.get(place).copied().unwrap_or_default());
    Some(busy.iter().sum::<u64>() as f64 / TICKS)
}

/// Memory that a process has in use, in KiB; what the kernel holds for its sockets is not in it.
pub(super) fn resident_kib(pid: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The process that a Postgres data directory belongs to, from its `postmaster.pid`.
pub(super) fn postmaster(cluster_dir: &Path) -> Option<u32> {
    let text = fs::read_to_string(cluster_dir.join("postmaster.pid")).ok()?;
    text.lines().next()?.trim().parse().ok()
}
