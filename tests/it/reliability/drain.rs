//! SIGTERM: clients told to come back, answers given their time, nothing lost when nodes are rolled.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::{is_response, resume, runs, serve};
use crate::support::chaos::ChaosProxy;
use crate::support::client::TestClient;
use crate::support::database::{TestDatabase, environment};
use crate::support::device::Device;
use crate::support::fleet::Fleet;
use crate::support::node::{token, values};
use crate::support::process::{Process, ServeProcess};
use crate::support::provider::{Script, ScriptedProvider};

/// The part of the window in which clients are sent away.
const DRAINED_OVER: f64 = 0.9;

/// Clients beside those that ask, to see closes spread.
const ONLOOKERS: usize = 12;

/// Three clients whose answers can end within the window, has not begun, and cannot end.
async fn askers(node: &ServeProcess, provider: &ScriptedProvider) -> Vec<TestClient> {
    let said = |script: Script| script.finish("stop").done();
    provider.on(
        "finish",
        said(Script::new().text("start ").wait_for("draining").text("end")),
    );
    provider.on(
        "nothing yet",
        said(Script::new().head().wait_for("gone").text("at last")),
    );
    provider.on("endless", Script::new().text("never done").wait_for("never"));
    let mut askers = Vec::new();
    for question in ["finish", "nothing yet", "endless"] {
        let mut client = TestClient::connect(&node.base, &token("alice"), "").await;
        client.query("q", question).await;
        client.until(|frame| frame["event"] == "thinking").await;
        if question != "nothing yet" {
            client.until(|frame| frame["type"] == "delta").await;
        }
        askers.push(client);
    }
    provider.wait_for(|tally| tally.calls == 3).await;
    askers
}

/// State and text of a session's answer, as a node shows it.
async fn answer(node: &ServeProcess, session: &str) -> (String, String) {
    let mut client = resume(node, session).await;
    let replayed = client.frames.iter().find(|frame| is_response(frame)).cloned();
    let response = match replayed {
        Some(response) => response,
        None => client.until(is_response).await,
    };
    let text = |field: &str| response[field].as_str().unwrap().to_owned();
    (text("state"), text("content"))
}

#[tokio::test]
async fn sigterm_drains_finishes_releases_and_ends_truthfully() {
    let provider = ScriptedProvider::start().await;
    let database = TestDatabase::new().await;
    let drain = [("DRAIN_SECONDS", "2")];
    let mut leaving = serve("leaving", &database, &provider, &drain).await;
    let staying = serve("staying", &database, &provider, &drain).await;
    let mut clients = askers(&leaving, &provider).await;
    for _ in 0..ONLOOKERS {
        clients.push(TestClient::connect(&leaving.base, &token("bob"), "").await);
    }

    leaving.process.terminate();

    let mut waits = BTreeSet::new();
    for client in &mut clients {
        let draining = client.until(|frame| frame["event"] == "draining").await;
        waits.insert(draining["retry_after_ms"].as_u64().unwrap());
    }
    assert!(waits.len() > ONLOOKERS / 2, "the closes are spread: {waits:?}");
    assert!(
        waits.iter().all(|wait| *wait <= 2000),
        "within the window: {waits:?}"
    );
    provider.open("draining");
    for client in &mut clients {
        assert_eq!(client.closed().await.0, 1012);
    }
    leaving.ended().await;
    provider.open("gone");
    let mut ends = Vec::new();
    for asker in &clients[..3] {
        ends.push(answer(&staying, &asker.session).await);
    }
    let expected = [
        ("complete", "start end"),
        ("complete", "at last"),
        ("incomplete", "never done"),
    ];
    assert_eq!(
        ends,
        expected.map(|(state, text)| (state.to_owned(), text.to_owned()))
    );
    let attempts: Vec<i32> = runs(&database).await.into_iter().map(|run| run.1).collect();
    assert_eq!(attempts, [1, 2, 1], "only what had shown nothing was tried again");
}

#[tokio::test]
async fn sigterm_at_any_moment_of_a_start_ends_the_program_properly() {
    let provider = ScriptedProvider::start().await;
    let database = TestDatabase::new().await;
    for _ in 0..5 {
        let mut node = serve("starting", &database, &provider, &[]).await;
        node.process.terminate();
        node.ended().await;
    }
    let proxy = ChaosProxy::start(&database.server_url);
    proxy.stall();
    let free = [("BIND_ADDR", "127.0.0.1:0"), ("ADMIN_BIND_ADDR", "127.0.0.1:0")];
    let settings = values(&provider.base_url(), &proxy.url, &free);
    let mut waiting = Process::start("waiting", "serve", &settings);
    proxy.knocked().await;
    waiting.terminate();
    assert!(waiting.exit().await.success());
}

/// A hundred clients, or as many as `ROLLING_CLIENTS` says, over a drain window of one second for each hundred, and five at least: within
/// it a slow machine has to finish answers that take moments.
#[tokio::test]
async fn a_rolling_restart_under_a_hundred_clients_loses_and_doubles_nothing() {
    let clients: usize = environment("ROLLING_CLIENTS").map_or(100, |text| text.parse().unwrap());
    let window = Duration::from_secs((clients as u64 / 100).max(5));
    let provider = ScriptedProvider::start().await;
    let mut fleet = Fleet::start(2, &provider, &[("DRAIN_SECONDS", &window.as_secs().to_string())]).await;
    for n in 0..clients {
        let user = format!("user-{n}");
        let session = fleet.session(&user).await;
        fleet.device(&user, &session, n);
    }
    let ask_all = |devices: &[Device], id: &str| {
        for device in devices {
            device.ask(id, &format!("{id} of {}", device.user), "enqueue");
        }
    };
    ask_all(&fleet.devices, "before");
    fleet.acknowledged().await;
    for node in 0..2 {
        ask_all(&fleet.devices, &format!("rolling-{node}"));
        let mut leaving = fleet.take(node);
        let began = Instant::now();
        leaving.process.terminate();
        ask_all(&fleet.devices, &format!("draining-{node}"));
        leaving.ended().await;
        check_spread(&fleet.devices, began, window.mul_f64(DRAINED_OVER));
        fleet.start_node(node).await;
        fleet.acknowledged().await;
    }

    fleet.rest().await;

    let verdict = fleet.verify().await;
    assert_eq!(verdict.accepted, 5 * clients);
    for device in &fleet.devices {
        let memory = device.memory();
        assert!(
            memory.closes.iter().all(|(_, code)| *code == 1012),
            "{}: {:?}",
            device.name,
            memory.closes
        );
        assert_eq!(
            memory.drains.len(),
            memory.closes.len(),
            "each close was announced"
        );
        assert!(!memory.closes.is_empty(), "{} was never sent away", device.name);
    }
    assert_eq!(
        fleet
            .database
            .count("SELECT count(*) FROM agent.runs WHERE state <> 'complete'")
            .await,
        0,
        "answers that take moments finish within the window"
    );
    fleet.shut_down().await;
}

/// The other node is not stormed: what the leaving one told them, when each will be sent away, is spread over its window. None is
/// sent away before. When they are back is the machine's affair.
fn check_spread(devices: &[Device], began: Instant, window: Duration) {
    const PARTS: usize = 5;
    let mut told = [0_usize; PARTS];
    for device in devices {
        let memory = device.memory();
        for ((at, wait), (closed, _)) in memory.drains.iter().zip(&memory.closes) {
            if *at >= began {
                assert!(
                    closed.duration_since(began) >= *wait,
                    "{} was closed too soon",
                    device.name
                );
                let part = wait.as_micros() * PARTS as u128 / window.as_micros();
                told[usize::try_from(part).unwrap().min(PARTS - 1)] += 1;
            }
        }
    }
    let mean = told.iter().sum::<usize>() as f64 / PARTS as f64;
    let peak = *told.iter().max().unwrap() as f64;
    println!(
        "sent away by fifths of {window:.1?}: {told:?}, peak {:.2} x the mean",
        peak / mean
    );
    assert!(mean > 1.0, "{told:?}");
    // Small numbers scatter: the bound is the goal's twice the mean, and three standard deviations.
    assert!(peak <= 2.0 * mean + 3.0 * mean.sqrt(), "{told:?}");
}
