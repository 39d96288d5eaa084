//! The two cores that a pinned measurement runs on: the first two that this process may use, which in a container need not be the
//! machine's first. Called by `bed`.

use std::process::Stdio;

use anyhow::{Context, ensure};
use tokio::process::Command;

/// The server's core, and that of the load and the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) server: usize,
    pub(super) load: usize,
}

impl Pair {
    /// The first two cores that this process may use.
    ///
    /// # Errors
    /// Where it may use one only, or the system does not tell, as only Linux does.
    pub(super) fn allowed() -> anyhow::Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status").context("--pin needs Linux")?;
        Self::of(&status)
            .context("--pin needs two cores that this process may use; leave it out to measure on one")
    }

    /// The first two of the cores in a process's status, where they stand as `Cpus_allowed_list: 0-3,8`.
    fn of(status: &str) -> Option<Self> {
        let allowed = status
            .lines()
            .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
        let mut cores = allowed.trim().split(',').flat_map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            match (first.parse::<usize>(), last.parse::<usize>()) {
                (Ok(first), Ok(last)) => first..last + 1,
                _ => 0..0,
            }
        });
        Some(Self {
            server: cores.next()?,
            load: cores.next()?,
        })
    }

    /// Moves all threads of this process to the load's core.
    pub(super) async fn move_this_process(self) -> anyhow::Result<()> {
        let pid = std::process::id().to_string();
        let moved = Command::new("taskset")
            .args(["-a", "-c", "-p", &self.load.to_string(), &pid])
            .stdout(Stdio::null())
            .status()
            .await
            .context("--pin needs taskset")?;
        ensure!(
            moved.success(),
            "this process could not be pinned to core {}",
            self.load
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Pair;

    fn of(list: &str) -> Option<(usize, usize)> {
        let status =
            format!("Name:\tbench\nCpus_allowed:\tff\nCpus_allowed_list:\t{list}\nMems_allowed:\t1\n");
        Pair::of(&status).map(|pair| (pair.server, pair.load))
    }

    #[test]
    fn the_first_two_cores_that_are_allowed_are_taken() {
        assert_eq!(of("0-1"), Some((0, 1)));
        assert_eq!(of("2-15"), Some((2, 3)));
        assert_eq!(of("3,8-11"), Some((3, 8)));
        assert_eq!(of("5,7"), Some((5, 7)));
    }

    #[test]
    fn one_core_is_too_few() {
        assert_eq!(of("4"), None);
        assert_eq!(of(""), None);
        assert_eq!(Pair::of("Name:\tbench\n"), None);
    }
}
