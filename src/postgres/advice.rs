//! The one command that installs Postgres here. Pure: text of `/etc/os-release` in, text out. Called by `locate`
//! when it has found nothing that will do.

/// Families of distributions, by the names they use for themselves, and how each installs a Postgres server.
const FAMILIES: [(&[&str], &str); 5] = [
    (&["debian", "ubuntu"], "apt-get install -y postgresql"),
    (
        &["fedora", "rhel", "centos", "amzn"],
        "dnf install -y postgresql-server",
    ),
    (&["arch"], "pacman -S --noconfirm postgresql"),
    (&["alpine"], "apk add postgresql"),
    (
        &["suse", "opensuse", "sles"],
        "zypper install -y postgresql-server",
    ),
];

/// Who would type the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Invoker {
    Root,
    Ordinary,
}

/// "install it with `…`" for the system of this name and, on Linux, this `/etc/os-release`.
pub(super) fn install(os: &str, os_release: &str, invoker: Invoker) -> String {
    if os == "macos" {
        // Homebrew refuses root, so there is no `sudo` to add or to leave out.
        return "install it with `brew install postgresql@17`".to_owned();
    }
    match (linux_command(os_release), invoker) {
        (Some(command), Invoker::Root) => format!("install it with `{command}`"),
        (Some(command), Invoker::Ordinary) => format!("install it with `sudo {command}`"),
        (None, _) => "install its server programs (postgres and initdb) and put them in PATH".to_owned(),
    }
}

/// A distribution's own name counts before those it says it resembles; the latter come closest first.
fn linux_command(os_release: &str) -> Option<&'static str> {
    let own = value(os_release, "ID");
    let alike = value(os_release, "ID_LIKE");
    own.split_whitespace()
        .chain(alike.split_whitespace())
        .find_map(command_of_family)
}

fn command_of_family(id: &str) -> Option<&'static str> {
    // "opensuse-leap" and "opensuse-tumbleweed" are both "opensuse".
    let family = id.split('-').next().unwrap_or(id);
    let (_, command) = FAMILIES.iter().find(|(ids, _)| ids.contains(&family))?;
    Some(command)
}

/// The value of `key` in a file of shell assignments, without its quotes; empty where there is none.
fn value<'a>(os_release: &'a str, key: &str) -> &'a str {
    os_release
        .lines()
        .filter_map(|line| line.split_once('='))
        .find(|(name, _)| *name == key)
        .map_or("", |(_, value)| value.trim_matches(['"', '\'']))
}
