//! Notifications behind a pooler that delivers no NOTIFY: they are found by looking.

use std::time::{Duration, Instant};

use crate::support::client::TestClient;
use crate::support::database::TestDatabase;
use crate::support::eventually;
use crate::support::node::{token, values};
use crate::support::pooler::Pooler;
use crate::support::process::ServeProcess;
use crate::support::provider::ScriptedProvider;

/// How often the node looks without a hint.
const INTERVAL: Duration = Duration::from_millis(400);

/// What a shared machine may add to it.
const SLACK: Duration = Duration::from_secs(2);

#[tokio::test]
async fn behind_a_pooler_rows_arrive_by_polling_and_readyz_says_degraded_until_it_goes_direct() {
    let provider = ScriptedProvider::start().await;
    let database = TestDatabase::new().await;
    let pooler = Pooler::start(&database.server_url);
    let interval = INTERVAL.as_millis().to_string();
    let mut settings = values(
        &provider.base_url(),
        &database.server_url,
        &[("NOTIFICATION_POLL_MS", &interval), ("POLL_INTERVAL_MS", "300")],
    );
    settings.insert("LISTEN_DATABASE_URL".to_owned(), pooler.url.clone());
    let node = ServeProcess::start("behind a pooler", settings).await;
    let mut client = TestClient::connect(&node.base, &token("alice"), "").await;
    client.live().await;
    for n in 0..5 {
        let content = format!("polled {n}");
        let inserted = Instant::now();
        database.notify("alice", &content).await;
        client.notified(&content).await;
        let took = inserted.elapsed();
        assert!(took < INTERVAL + SLACK, "{content} took {took:?}");
    }
    eventually("its probe is swallowed", || async { pooler.swallowed() > 5 }).await;
    let (status, body) = node.ready().await;
    assert_eq!((status, &body["status"]), (200, &"degraded".into()));
    assert_eq!(body["notify"], "unavailable");
    assert_eq!(client.ask("q", "Hello").await["state"], "complete");

    pooler.go_direct();

    eventually("it hears", || async {
        let (status, body) = node.ready().await;
        status == 200 && body["status"] == "ready"
    })
    .await;
    database.notify("alice", "heard").await;
    client.notified("heard").await;
    assert_eq!(client.told().len(), 6, "each once");
}
