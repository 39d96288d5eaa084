//! Which room may use which: an upward path fails.

use std::collections::BTreeSet;

use super::{Source, none, sources};

/// The rooms from the ground up. A room may use those of lower floors; of its own only where [`NEIGHBOURS`] says so.
const FLOORS: [(&str, &[&str]); 8] = [
    (
        "leaves",
        &[
            "cidr", "clock", "host", "ids", "log", "metrics", "protocol", "secret", "trace",
        ],
    ),
    ("core", &["prompt", "session"]),
    (
        "adapters",
        &[
            "auth", "client", "limits", "llm", "notify", "otlp", "postgres", "store",
        ],
    ),
    ("orchestration: rooms in step with the store", &["feed"]),
    ("orchestration: work", &["runs", "upkeep"]),
    ("orchestration: verbs", &["service"]),
    ("orchestration: wires", &["http", "ws"]),
    (
        "composition",
        &[
            "app",
            "bench",
            "chat",
            "check",
            "cli",
            "config",
            "conformance",
            "shutdown",
            "spec",
            "telemetry",
        ],
    ),
];

/// Floors whose rooms know each other. Adapters are not among them: each is about one outside thing.
const NEIGHBOURS: [&str; 3] = [
    "leaves",
    // An upgrade begins as a request: `http` routes it, `ws` answers it with `http`'s problems and addresses.
    "orchestration: wires",
    "composition",
];

/// Upward paths that are meant, each with its reason.
const MEANT: [(&str, &str, &str); 4] = [
    (
        "service",
        "config",
        "its verbs check what the settings allow, and the settings are a value",
    ),
    (
        "runs",
        "shutdown",
        "a task is started by whoever has the work, and tracked by shutdown::Tasks",
    ),
    (
        "service",
        "shutdown",
        "connections and requests start tasks by it",
    ),
    (
        "http",
        "shutdown",
        "the accept loop starts a task for each connection",
    ),
];

/// Files of the core that live in another room: pure like it, and bound to the same.
const PURE: [&str; 20] = [
    "src/prompt.rs",
    "src/session.rs",
    "src/session/",
    "src/llm/sse.rs",
    "src/ws/ai_sdk.rs",
    "src/ws/ai_sdk/",
    "src/ws/keepalive.rs",
    "src/ws/partial.rs",
    "src/protocol/",
    "src/client/comeback.rs",
    "src/client/frames.rs",
    "src/client/news.rs",
    "src/client/replica.rs",
    "src/client/says.rs",
    "src/conformance/frame.rs",
    "src/conformance/rules.rs",
    "src/conformance/witness.rs",
    "src/chat/command.rs",
    "src/chat/listing.rs",
    "src/check/causes.rs",
];

/// What a pure file has no use for: waiting, the outside, and the time of day.
const IMPURE: [&str; 12] = [
    ".await",
    "async ",
    "tokio::",
    "sqlx",
    "axum",
    "reqwest",
    "rand::",
    "Instant::now",
    "SystemTime",
    "now_utc",
    "std::fs",
    "std::net",
];

fn floor_of(room: &str) -> Option<(usize, &'static str)> {
    FLOORS
        .iter()
        .position(|(_, rooms)| rooms.contains(&room))
        .map(|index| (index, FLOORS[index].0))
}

/// The room of a file under `src`.
fn room_of(path: &str) -> &str {
    let inside = path.trim_start_matches("src/");
    inside.split(['/', '.']).next().unwrap_or(inside)
}

/// The rooms that a line names by `crate::room`.
fn used(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("crate::").map(|(at, word)| {
        let rest = &line[at + word.len()..];
        let end = rest.find(|c: char| c != '_' && !c.is_ascii_alphanumeric());
        &rest[..end.unwrap_or(rest.len())]
    })
}

fn may_use(user: &str, target: &str) -> bool {
    let (Some((from, floor)), Some((to, _))) = (floor_of(user), floor_of(target)) else {
        return false;
    };
    user == target || to < from || (to == from && NEIGHBOURS.contains(&floor))
}

#[test]
fn every_room_has_its_floor() {
    let rooms: BTreeSet<String> = sources("src", "rs")
        .iter()
        .map(|source| room_of(&source.path).to_owned())
        .filter(|room| room != "lib" && room != "main")
        .collect();
    let placed: BTreeSet<String> = FLOORS
        .iter()
        .flat_map(|(_, rooms)| rooms.iter().map(|room| (*room).to_owned()))
        .collect();
    assert_eq!(rooms, placed);
}

#[test]
fn no_room_uses_one_above_it() {
    let mut faults = Vec::new();
    let mut needed = BTreeSet::new();
    for source in sources("src", "rs") {
        let user = room_of(&source.path);
        if user == "lib" || user == "main" {
            continue;
        }
        for (number, line) in source.code() {
            for room in used(line) {
                if let Some(meant) = MEANT.iter().find(|(from, to, _)| *from == user && *to == room) {
                    needed.insert(meant.0.to_owned() + meant.1);
                } else if !may_use(user, room) {
                    faults.push(format!("{}:{number}: {user} uses {room}", source.path));
                }
            }
        }
    }
    none(&faults, "A room may use lower floors only");
    assert_eq!(
        needed.len(),
        MEANT.len(),
        "an exception is needed no more: {needed:?}"
    );
}

#[test]
fn the_layering_test_sees_upward_paths() {
    assert!(!may_use("session", "store"), "core uses an adapter");
    assert!(!may_use("notify", "store"), "an adapter uses another");
    assert!(!may_use("feed", "runs") && !may_use("protocol", "config"));
    assert!(may_use("ws", "store") && may_use("http", "ws") && may_use("app", "config"));
    assert_eq!(
        used("use crate::store::{Store}; fn f(x: crate::ids::Seq)").collect::<Vec<_>>(),
        ["store", "ids"]
    );
    assert_eq!(room_of("src/ws/connection/pump.rs"), "ws");
    assert_eq!(room_of("src/ws.rs"), "ws");
}

#[test]
fn the_core_neither_waits_nor_looks_outside() {
    let mut seen = BTreeSet::new();
    let mut faults = Vec::new();
    let is_pure = |source: &Source| PURE.iter().find(|pure| source.path.starts_with(*pure)).copied();
    for source in sources("src", "rs") {
        let Some(pure) = is_pure(&source).filter(|_| !source.is_test()) else {
            continue;
        };
        seen.insert(pure);
        for (number, line) in source.code() {
            for word in IMPURE.iter().filter(|word| line.contains(**word)) {
                faults.push(format!("{}:{number}: {word}", source.path));
            }
        }
    }
    none(
        &faults,
        "The core is pure: time is passed in, and it touches nothing",
    );
    assert_eq!(seen.len(), PURE.len(), "a file of the core is gone");
}

#[test]
fn all_sql_is_in_the_store() {
    let mut faults = Vec::new();
    for source in sources("src", "rs")
        .into_iter()
        .filter(|source| !source.is_test())
    {
        // The benchmark's looks from outside and what its floors store are no part of the server.
        let in_store = source.path.starts_with("src/store") || source.path.starts_with("src/bench/rows");
        // It says NOTIFY on a connection of its own, and nothing else.
        let is_notifier = source.path == "src/notify/notifier.rs";
        // The listener has sqlx's own, and the embedded server creates databases on it.
        let may_connect = source.path == "src/notify/listener.rs" || source.path.starts_with("src/postgres");
        for (number, line) in source.code() {
            let asks = line.contains("sqlx::query");
            let connects = line.contains("sqlx::");
            if (asks && !in_store && !is_notifier) || (connects && !in_store && !is_notifier && !may_connect)
            {
                faults.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    none(&faults, "SQL is in src/store and nowhere else");
}
