//! The process as the system sees it, under the names that Prometheus's own clients give. Linux only: elsewhere all is zero.

use std::fs;
use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::labels::Sum;

/// Ticks a second of the times in `/proc/self/stat`: the same on every architecture that Linux has today.
const TICKS_PER_SECOND: f64 = 100.0;

#[derive(Clone, Debug)]
pub(super) struct Process {
    cpu: Sum,
    resident: Gauge,
    open: Gauge,
    max_open: Gauge,
    started: Gauge<f64, AtomicU64>,
}

impl Process {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let process = Self {
            cpu: Counter::default(),
            resident: Gauge::default(),
            open: Gauge::default(),
            max_open: Gauge::default(),
            started: Gauge::default(),
        };
        let gauges = [
            (
                "process_resident_memory_bytes",
                "Memory that the process holds",
                &process.resident,
            ),
            (
                "process_open_fds",
                "Open file descriptors; each socket is one",
                &process.open,
            ),
            ("process_max_fds", "Most open file descriptors", &process.max_open),
        ];
        for (name, help, gauge) in gauges {
            registry.register(name, help, gauge.clone());
        }
        registry.register(
            "process_cpu_seconds",
            "Processor time that the process took",
            process.cpu.clone(),
        );
        registry.register(
            "process_start_time_seconds",
            "When the process began, since 1970",
            process.started.clone(),
        );
        process
    }

    /// Asks the system.
    pub(super) fn read(&self) {
        let read = |file: &str| fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default();
        if let Some(kib) = labelled(&read("status"), "VmRSS:") {
            self.resident.set(kib.saturating_mul(1024));
        }
        if let Some(most) = labelled(&read("limits"), "Max open files") {
            self.max_open.set(most);
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            self.open.set(i64::try_from(open.count()).unwrap_or(i64::MAX));
        }
        let stat = read("stat");
        if let Some(ticks) = ticks(&stat, &[UTIME, STIME]) {
            // It never goes down, and two who ask at once must not count the same time twice.
            let before = self.cpu.get();
            self.cpu.inc_by((ticks / TICKS_PER_SECOND - before).max(0.0));
        }
        let booted = fs::read_to_string("/proc/stat").unwrap_or_default();
        if let (Some(booted), Some(ticks)) = (labelled(&booted, "btime"), ticks(&stat, &[STARTED])) {
            self.started.set(booted as f64 + ticks / TICKS_PER_SECOND);
        }
    }
}

/// Places in `/proc/self/stat` after the name, which may hold spaces.
const UTIME: usize = 11;
const STIME: usize = 12;
const STARTED: usize = 19;

/// The sum of some fields.
fn ticks(stat: &str, places: &[usize]) -> Option<f64> {
    let (_, after_name) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = after_name.split(' ').collect();
    places
        .iter()
        .map(|place| fields.get(*place)?.trim().parse::<f64>().ok())
        .sum()
}

/// A number in the line that begins so.
fn labelled(text: &str, label: &str) -> Option<i64> {
    let line = text.lines().find_map(|line| line.strip_prefix(label))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_where_the_system_writes_them() {
        let stat = "7 (a name) b) S 1 7 7 0 -1 4194304 99 0 0 0 250 50 0 0 20 0 3 0 1200 9 9 9";
        assert_eq!(ticks(stat, &[UTIME, STIME]), Some(300.0));
        assert_eq!(ticks(stat, &[STARTED]), Some(1200.0));
        assert_eq!(ticks("", &[UTIME]), None);
        let limits = "Max processes  1 2 processes\nMax open files            1024     4096   files\n";
        assert_eq!(labelled(limits, "Max open files"), Some(1024));
        assert_eq!(labelled("VmRSS:\t   88 kB\n", "VmRSS:"), Some(88));
        assert_eq!(labelled("Max open files unlimited\n", "Max open files"), None);
    }
}
