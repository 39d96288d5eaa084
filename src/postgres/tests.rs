//! The choices of the embedded Postgres, each as a table: which programs, which advice, which account, which
//! directory. What needs a running server is in `tests/it/postgres.rs`.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::account::{self, Account, granted};
use super::advice::{Invoker, install};
use super::directory::{Home, fits_socket};
use super::error::PostgresError;
use super::locate::{Installation, parse_version, usual_places};
use super::log::{ServerLog, last_lines};
use super::previous::{Occupant, judge};

#[test]
fn the_advice_is_one_command_of_the_system_at_hand() {
    let check = |os_release: &str, expected: &str| {
        assert_eq!(
            install("linux", os_release, Invoker::Root),
            format!("install it with `{expected}`")
        );
        let sudo = install("linux", os_release, Invoker::Ordinary);
        assert_eq!(sudo, format!("install it with `sudo {expected}`"));
    };
    check(
        "NAME=\"Debian\"\nVERSION_ID=\"12\"\nID=debian\n",
        "apt-get install -y postgresql",
    );
    check(
        "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n",
        "apt-get install -y postgresql",
    );
    check(
        "ID=fedora\nVARIANT_ID=container\n",
        "dnf install -y postgresql-server",
    );
    check(
        "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n",
        "dnf install -y postgresql-server",
    );
    check("ID=manjaro\nID_LIKE=arch\n", "pacman -S --noconfirm postgresql");
    check("ID=alpine\n", "apk add postgresql");
    check(
        "ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n",
        "zypper install -y postgresql-server",
    );
}

#[test]
fn the_advice_for_macos_never_says_sudo() {
    for invoker in [Invoker::Root, Invoker::Ordinary] {
        assert_eq!(
            install("macos", "", invoker),
            "install it with `brew install postgresql@17`"
        );
    }
}

#[test]
fn an_unknown_system_gets_words_instead_of_a_wrong_command() {
    for os_release in ["", "ID=plan9\n", "ID_LIKE=\n", "PRETTY_NAME=debian\n"] {
        let advice = install("linux", os_release, Invoker::Ordinary);
        assert!(
            advice.contains("postgres and initdb"),
            "{os_release:?} gave {advice:?}"
        );
    }
}

#[test]
fn versions_are_read_as_postgres_writes_them() {
    let cases = [
        ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", Some(15)),
        ("postgres (PostgreSQL) 17.0", Some(17)),
        ("postgres (PostgreSQL) 18beta1", Some(18)),
        ("postgres (PostgreSQL) 19devel", Some(19)),
        ("postgres (PostgreSQL) 9.6.24", Some(9)),
        ("postgres (PostgreSQL) ", None),
        ("not a database", None),
    ];
    for (text, expected) in cases {
        assert_eq!(parse_version(text), expected, "{text:?}");
    }
}

/// A directory with programs that answer `--version` with `version`.
fn install_fake(bin_dir: &Path, version: &str) {
    fs::create_dir_all(bin_dir).unwrap();
    for program in ["postgres", "initdb"] {
        let path = bin_dir.join(program);
        fs::write(
            &path,
            format!("#!/bin/sh\necho '{program} (PostgreSQL) {version}'\n"),
        )
        .unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }
}

fn locate(root: &Path, path: &str) -> Result<Installation, PostgresError> {
    Installation::locate_under(root, &|name| (name == "PATH").then(|| path.to_owned()))
}

/// The real path of a new directory: on macOS the temporary directory is behind a link.
fn real_temp_dir() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap();
    (dir, path)
}

#[test]
fn usual_places_come_newest_first() {
    let (_guard, root) = real_temp_dir();
    for name in ["9.6", "9", "16", "10", "common"] {
        fs::create_dir_all(root.join("usr/lib/postgresql").join(name)).unwrap();
    }
    for dir in [
        "usr/pgsql-17",
        "opt/homebrew/opt/postgresql@18",
        "opt/homebrew/opt/postgis",
    ] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    let expected = [
        "usr/lib/postgresql/16/bin",
        "usr/lib/postgresql/10/bin",
        "usr/lib/postgresql/9/bin",
        "usr/pgsql-17/bin",
        "opt/homebrew/opt/postgresql@18/bin",
        "usr/bin",
    ];
    assert_eq!(usual_places(&root), expected.map(|place| root.join(place)));
}

#[test]
fn path_comes_first_and_its_links_are_followed() {
    let (_guard, root) = real_temp_dir();
    install_fake(&root.join("usr/lib/postgresql/17/bin"), "17.2");
    install_fake(&root.join("opt/chosen"), "16.1");
    fs::create_dir_all(root.join("links")).unwrap();
    symlink(root.join("opt/chosen/postgres"), root.join("links/postgres")).unwrap();
    let path = format!("{}::/nowhere", root.join("links").display());

    let found = locate(&root, &path).unwrap();
    assert_eq!(
        (found.bin_dir(), found.major()),
        (root.join("opt/chosen").as_path(), 16)
    );
}

#[test]
fn pg_config_comes_before_the_usual_places() {
    let (_guard, root) = real_temp_dir();
    install_fake(&root.join("usr/lib/postgresql/17/bin"), "17.2");
    install_fake(&root.join("custom"), "16.1");
    let bin_dir = root.join("bin");
    fs::create_dir_all(&bin_dir).unwrap();
    let script = format!("#!/bin/sh\necho '{}'\n", root.join("custom").display());
    fs::write(bin_dir.join("pg_config"), script).unwrap();
    fs::set_permissions(bin_dir.join("pg_config"), Permissions::from_mode(0o755)).unwrap();

    let found = locate(&root, &bin_dir.display().to_string()).unwrap();
    assert_eq!(found.bin_dir(), root.join("custom"));
}

#[test]
fn half_an_installation_and_an_old_one_are_passed_over() {
    let (_guard, root) = real_temp_dir();
    install_fake(&root.join("old"), "14.9");
    install_fake(&root.join("half"), "16.1");
    fs::remove_file(root.join("half/initdb")).unwrap();
    install_fake(&root.join("usr/lib/postgresql/15/bin"), "15.3");
    let path = format!("{}:{}", root.join("old").display(), root.join("half").display());

    assert_eq!(
        locate(&root, &path).unwrap().bin_dir(),
        root.join("usr/lib/postgresql/15/bin")
    );
}

#[test]
fn too_old_and_not_there_are_told_apart_and_both_name_the_way_out() {
    let (_guard, root) = real_temp_dir();
    let absent = locate(&root, "").unwrap_err();
    assert!(matches!(absent, PostgresError::NotInstalled { .. }), "{absent:?}");

    install_fake(&root.join("usr/lib/postgresql/13/bin"), "13.1");
    install_fake(&root.join("usr/bin"), "14.9");
    let old = locate(&root, "").unwrap_err();
    assert!(matches!(old, PostgresError::TooOld { major: 14, .. }), "{old:?}");
    for error in [absent, old] {
        let text = error.to_string();
        assert!(
            text.contains("install") && text.contains("DATABASE_URL"),
            "{text}"
        );
    }
}

#[test]
fn the_server_account_is_postgres_else_nobody_and_never_root() {
    let nobody = "nobody:x:65534:65533:nobody:/:/bin/false\n";
    let postgres = "postgres:x:101:104:PostgreSQL,,,:/var/lib/postgresql:/bin/bash\n";
    let root = "root:x:0:0::/root:/bin/sh\n";
    let cases = [
        (format!("{root}{nobody}{postgres}"), Some((101, 104))),
        (format!("{root}{nobody}"), Some((65534, 65533))),
        (
            "nobody:*:-2:-2:Unprivileged User:/:/usr/bin/false\n".to_owned(),
            Some((u32::MAX - 1, u32::MAX - 1)),
        ),
        (format!("{root}postgres:x:0:0::/:/bin/sh\n"), None),
        ("postgres\npostgres:x:many:1\n\n".to_owned(), None),
    ];
    for (passwd, expected) in cases {
        let expected = expected.map(|(uid, gid)| Account { uid, gid });
        assert_eq!(Account::in_passwd(&passwd), expected, "{passwd:?}");
    }
}

#[test]
fn the_first_matching_class_of_a_mode_decides() {
    let account = Account { uid: 7, gid: 8 };
    let cases = [
        (0o700, 7, 0, 7),
        (0o077, 7, 8, 0),
        (0o751, 0, 8, 5),
        (0o707, 0, 8, 0),
        (0o751, 0, 0, 1),
    ];
    for (mode, owner, group, expected) in cases {
        assert_eq!(
            granted(account, mode, owner, group),
            expected,
            "{mode:o} of {owner}:{group}"
        );
    }
}

#[test]
fn a_socket_directory_is_short_and_needs_no_quoting() {
    let long = format!("/{}", "d".repeat(87));
    let too_long = format!("/{}", "d".repeat(88));
    let cases = [
        ("/tmp/agent-ws-pg-it-1a2b", true),
        (long.as_str(), true),
        (too_long.as_str(), false),
        ("/home/me/my project", false),
        ("/home/me/a,b", false),
        ("/home/zoë", false),
        ("/tmp/a..b", false),
    ];
    for (dir, expected) in cases {
        assert_eq!(fits_socket(Path::new(dir)), expected, "{dir}");
    }
}

#[test]
fn only_the_server_of_this_directory_is_waited_for() {
    let dir = Path::new("/data/cluster");
    let cases = [
        (
            "/usr/lib/postgresql/15/bin/postgres -D /data/cluster -p 5432",
            Occupant::Server(42),
        ),
        (
            "/usr/lib/postgresql/15/bin/postgres -D /data/other",
            Occupant::LeftToPostgres,
        ),
        ("postgres: checkpointer", Occupant::LeftToPostgres),
        ("vim /data/cluster/postgresql.conf", Occupant::Stranger),
    ];
    for (command_line, expected) in cases {
        assert_eq!(judge(42, command_line, dir), expected, "{command_line}");
    }
}

#[test]
fn a_directory_that_the_server_account_cannot_reach_is_replaced_for_root() {
    let (_guard, closed) = real_temp_dir();
    fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
    let open = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o755))
        .tempdir()
        .unwrap();
    let fallback = open.path().canonicalize().unwrap();
    let requested = closed.join("data");

    let home = Home::durable_or_below(&fallback, &requested).unwrap();
    if account::effective_uid().unwrap() == 0 {
        assert_eq!(home.dir().parent(), Some(fallback.as_path()));
        assert!(!requested.exists());
        let first = home.dir().to_owned();
        drop(home);
        let again = Home::durable_or_below(&fallback, &requested).unwrap();
        assert_eq!(again.dir(), first, "the same request finds the same place");
    } else {
        assert_eq!(home.dir(), requested);
    }
}

#[test]
fn a_home_that_never_ran_leaves_no_temporary_directory() {
    let home = Home::throw_away(Path::new("/tmp"), "unit/../test").unwrap();
    let dir = home.dir().to_owned();
    assert!(
        dir.is_dir()
            && dir
                .file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with("agent-ws-pg-unittest-")
    );
    drop(home);
    assert!(!dir.exists());
}

#[test]
fn a_large_log_is_put_aside_and_the_tail_is_of_this_run() {
    let (_guard, dir) = real_temp_dir();
    let path = dir.join("server.log");
    fs::write(&path, "an earlier run\n").unwrap();
    let log = ServerLog::open(&dir, None).unwrap();
    assert_eq!(log.tail(), "");
    fs::write(&path, "an earlier run\nthis run\n").unwrap();
    assert_eq!(log.tail(), "this run");

    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(11 * 1024 * 1024)
        .unwrap();
    ServerLog::open(&dir, None).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), 0);
    assert!(dir.join("server.log.1").is_file());
}

#[test]
fn the_last_lines_are_few_and_in_order() {
    let text: String = (0..100)
        .map(|n| format!("line {n}\n"))
        .collect::<Vec<_>>()
        .concat();
    let last = last_lines(text.as_bytes());
    assert_eq!(last.lines().count(), 20);
    assert!(last.starts_with("line 80\n") && last.ends_with("line 99"));
}
