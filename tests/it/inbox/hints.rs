//! How few hints many rows make, and that the rows arrive all the same: hints only ever say "look".

use sqlx::postgres::PgListener;

use crate::support::client::TestClient;
use crate::support::database::TestDatabase;
use crate::support::node::TestNode;
use crate::support::provider::ScriptedProvider;

/// The channel on which inserts are announced.
const CHANNEL: &str = "agent_notifications";

/// What a count of hints ends with.
const END: &str = "that was all";

/// Counts what is said on the channel.
struct Hints {
    listener: PgListener,
    database: TestDatabase,
}

impl Hints {
    async fn of(database: &TestDatabase) -> Self {
        let mut listener = PgListener::connect(&database.url).await.unwrap();
        listener.listen(CHANNEL).await.unwrap();
        Self {
            listener,
            database: database.clone(),
        }
    }

    /// How many there were since the last count. Notifications come in the order of commits, so the one that is sent now
    /// is the last.
    async fn count(&mut self) -> usize {
        let mut hints = 0;
        self.database
            .execute(format!("SELECT pg_notify('{CHANNEL}', '{END}')"))
            .await;
        loop {
            let heard = self.listener.recv().await.unwrap();
            if heard.payload() == END {
                return hints;
            }
            assert_eq!(heard.payload(), "", "a hint carries nothing");
            hints += 1;
        }
    }
}

/// A transaction that inserts and does not end yet.
async fn begun(database: &TestDatabase, content: &str) -> sqlx::Transaction<'static, sqlx::Postgres> {
    let mut transaction = database.pool.begin().await.unwrap();
    sqlx::query("INSERT INTO agent.notifications (user_id, content) VALUES ('alice', $1)")
        .bind(content)
        .execute(&mut *transaction)
        .await
        .unwrap();
    transaction
}

#[tokio::test]
async fn a_statement_makes_one_hint_and_a_transaction_of_a_hundred_statements_one() {
    let database = TestDatabase::new().await;
    let mut hints = Hints::of(&database).await;
    let rows = "INSERT INTO agent.notifications (user_id, content) SELECT 'alice', n::text FROM generate_series(1, 10000) AS n";
    database.execute(rows).await;
    assert_eq!(hints.count().await, 1, "10,000 rows of one statement");

    let mut transaction = begun(&database, "0").await;
    for n in 1..100 {
        sqlx::query("INSERT INTO agent.notifications (user_id, content) VALUES ('alice', $1)")
            .bind(n.to_string())
            .execute(&mut *transaction)
            .await
            .unwrap();
    }
    assert_eq!(hints.count().await, 0, "nothing is said before the commit");
    transaction.commit().await.unwrap();
    assert_eq!(hints.count().await, 1, "100 statements of one transaction");

    begun(&database, "never").await.rollback().await.unwrap();
    assert_eq!(hints.count().await, 0, "what is rolled back was never said");
    database.notify("alice", "the next").await;
    assert_eq!(hints.count().await, 1);
}

#[tokio::test]
async fn of_transactions_that_insert_at_the_same_time_one_tells_and_the_rows_of_all_arrive() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    node.listening().await;
    let mut client = node.connect("alice").await;
    client.live().await;
    let mut hints = Hints::of(&node.database).await;
    let first = begun(&node.database, "first").await;
    let second = begun(&node.database, "second").await;

    for n in 0..20 {
        node.database.notify("alice", &format!("quick {n}")).await;
    }
    second.commit().await.unwrap();
    assert_eq!(hints.count().await, 0, "the first one tells, when it commits");

    told(&mut client, 21).await;
    assert!(!client.told().contains(&"first"));
    first.commit().await.unwrap();
    assert_eq!(hints.count().await, 1);
    client.notified("first").await;
    assert_eq!(client.told().len(), 22, "each once");
    node.shut_down().await;
}

/// Waits until a client has been told so much.
async fn told(client: &mut TestClient, n: usize) {
    let mut left = n - client.told().len();
    while left > 0 {
        client.until(|frame| frame["event"] == "message").await;
        left -= 1;
    }
}

#[tokio::test]
async fn ten_thousand_rows_come_in_their_order_to_who_is_there_and_in_shares_to_who_comes() {
    const ROWS: usize = 10_000;
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    node.listening().await;
    let mut there = node.connect("alice").await;
    there.live().await;
    let rows = format!(
        "INSERT INTO agent.notifications (user_id, content) SELECT 'alice', n::text FROM generate_series(1, {ROWS}) AS n"
    );
    node.database.execute(rows).await;
    let order: Vec<String> = (1..=ROWS).map(|n| n.to_string()).collect();

    told(&mut there, ROWS).await;
    assert_eq!(there.told(), order);

    let mut comes = node.connect("alice").await;
    comes.live().await;
    assert_eq!(comes.told(), order[..200], "200 at most before live");
    told(&mut comes, ROWS).await;
    assert_eq!(comes.told(), order);
    let replayed = comes.frames.iter().filter(|frame| frame["replay"] == true);
    assert_eq!(replayed.count(), 200, "the rest came live");
    node.shut_down().await;
}
