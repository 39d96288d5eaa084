//! The previous release: a database of it, and a node of it as the statements that it makes.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, FromRow, PgPool};
use time::OffsetDateTime;
use tokio::sync::watch;
use uuid::Uuid;

use crate::support::database::TestDatabase;
use crate::support::programs::file;

/// The previous release's database.
pub(super) struct Previous;

fn fixture(name: &str) -> String {
    std::fs::read_to_string(file("tests/fixtures/previous").join(name)).unwrap()
}

/// Every statement that its program makes.
pub(super) fn statements() -> Vec<String> {
    serde_json::from_str(&fixture("statements.json")).unwrap()
}

impl Previous {
    /// Its migrations, each with its checksum.
    pub(super) fn migrations() -> BTreeMap<String, String> {
        let migrations: BTreeMap<String, String> = serde_json::from_str(&fixture("migrations.json")).unwrap();
        assert!(!migrations.is_empty());
        migrations
    }

    /// Those of this version, likewise.
    pub(super) fn migrations_now() -> BTreeMap<String, String> {
        let hex = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
        };
        sqlx::migrate!()
            .iter()
            .map(|migration| (migration.version.to_string(), hex(&migration.checksum)))
            .collect()
    }

    /// A database as it was, with rows.
    pub(super) async fn database() -> TestDatabase {
        let database = TestDatabase::empty().await;
        let known = Self::migrations();
        let mut migrator: Migrator = sqlx::migrate!();
        migrator.table_name = "agent.migrations".into();
        migrator.create_schemas = vec!["agent".into()].into();
        migrator.migrations = migrator
            .iter()
            .filter(|migration| known.contains_key(&migration.version.to_string()))
            .cloned()
            .collect();
        migrator.run(&database.pool).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(fixture("data.sql")))
            .execute(&database.pool)
            .await
            .unwrap();
        database
    }
}

/// What the way into the log said.
#[derive(Clone, Debug, FromRow)]
struct Row {
    #[sqlx(rename = "outcome!")]
    outcome: String,
    seq: Option<i64>,
    message_id: Option<Uuid>,
    queue_position: Option<i32>,
    fence: Option<i64>,
    watchers: Option<Vec<i32>>,
}

/// What became of a question or an answer.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) outcome: String,
    pub(super) seq: Option<i64>,
    pub(super) message: Uuid,
    pub(super) queue_position: Option<i32>,
    pub(super) watchers: Vec<i32>,
    user: String,
    pub(super) session: Uuid,
    run: Uuid,
    fence: i64,
}

/// A node of the previous version.
pub(super) struct OldNode {
    pool: PgPool,
    node: i32,
}

/// The statement that holds these words.
fn statement(words: &str) -> AssertSqlSafe<String> {
    let mut found: Vec<String> = statements()
        .into_iter()
        .filter(|text| text.contains(words))
        .collect();
    assert_eq!(found.len(), 1, "statements with {words}");
    AssertSqlSafe(found.remove(0))
}

impl OldNode {
    /// Connects as servers do, and registers with a lease that outlasts the test.
    pub(super) async fn start(database: &TestDatabase) -> Self {
        let pool = PgPool::connect(&database.server_url).await.unwrap();
        let node = sqlx::query_scalar(statement("INSERT INTO agent.nodes"))
            .bind("0.1.0")
            .bind(3600.0)
            .fetch_one(&pool)
            .await
            .unwrap();
        Self { pool, node }
    }

    /// Its lease runs out, as when it hangs.
    pub(super) async fn lose_lease(&self) {
        sqlx::query(statement("UPDATE agent.nodes SET lease_until"))
            .bind(self.node)
            .bind(-1.0)
            .execute(&self.pool)
            .await
            .unwrap();
    }

    pub(super) async fn open_session(&self, user: &str) -> Uuid {
        let session = Uuid::now_v7();
        sqlx::query(statement("INSERT INTO agent.sessions"))
            .bind(user)
            .bind(session)
            .bind(vec![self.node])
            .bind(0_i64)
            .execute(&self.pool)
            .await
            .unwrap();
        session
    }

    /// Takes a question, and starts its run if the session is idle.
    pub(super) async fn ask(&self, user: &str, session: Uuid, id: &str, content: &str) -> Stored {
        let (message, run) = (Uuid::now_v7(), Uuid::now_v7());
        let question = (user, session, message, id, content, run);
        let row = self.append(Some(question), None).await;
        Stored {
            outcome: row.outcome,
            seq: row.seq,
            message: row.message_id.unwrap_or(message),
            queue_position: row.queue_position,
            watchers: row.watchers.unwrap_or_default(),
            user: user.to_owned(),
            session,
            run,
            fence: row.fence.unwrap_or_default(),
        }
    }

    /// Stores the answer to a question whose run it has.
    pub(super) async fn answer(&self, asked: &Stored, content: &str) -> Stored {
        let row = self.append(None, Some((asked, content))).await;
        Stored {
            outcome: row.outcome,
            seq: row.seq,
            watchers: row.watchers.unwrap_or_default(),
            ..asked.clone()
        }
    }

    /// Stores a piece of text: who watches, or nobody if the run is no longer its own.
    pub(super) async fn write(&self, asked: &Stored, at: i32, content: &str) -> Vec<i32> {
        let rows: Vec<(Uuid, Vec<i32>, bool)> = sqlx::query_as(statement("INSERT INTO agent.chunks"))
            .bind(vec![asked.user.clone()])
            .bind(vec![asked.session])
            .bind(vec![asked.run])
            .bind(vec![asked.fence])
            .bind(vec![1])
            .bind(vec![at])
            .bind(vec![content])
            .bind(vec![None::<String>])
            .bind(vec![None::<i32>])
            .bind(vec![None::<String>])
            .fetch_all(&self.pool)
            .await
            .unwrap();
        rows.into_iter().flat_map(|(_, watchers, _)| watchers).collect()
    }

    /// Tells the nodes that watch a session to look again.
    pub(super) async fn hint(&self, watchers: &[i32], session: Uuid) {
        let others = watchers.iter().filter(|node| **node != self.node);
        let channels: Vec<String> = others.map(|node| format!("agent_node_{node}")).collect();
        let payloads = vec![format!("s{session}"); channels.len()];
        sqlx::query(statement("pg_notify(c, p)"))
            .bind(channels)
            .bind(payloads)
            .execute(&self.pool)
            .await
            .unwrap();
    }

    /// Takes questions and answers them, one session after the other, until it is told to stop: how many turns it made.
    pub(super) async fn keep_talking(self, user: &'static str, stopped: watch::Receiver<bool>) -> usize {
        let mut turns = 0;
        while !*stopped.borrow() {
            let session = self.open_session(user).await;
            for turn in 0..3 {
                let asked = self.ask(user, session, &format!("q{turn}"), "Still there?").await;
                assert_eq!(
                    (asked.outcome.as_str(), asked.seq),
                    ("appended", Some(turn * 2 + 1))
                );
                let stored = self.answer(&asked, "Yes").await;
                assert_eq!(
                    (stored.outcome.as_str(), stored.seq),
                    ("appended", Some(turn * 2 + 2))
                );
                turns += 1;
            }
            // At a pace that leaves something of the machine to the others.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        turns
    }

    /// The previous version's one way into the log, with its 34 parameters, for one question or one answer.
    async fn append(
        &self,
        question: Option<(&str, Uuid, Uuid, &str, &str, Uuid)>,
        answer: Option<(&Stored, &str)>,
    ) -> Row {
        let q = question.into_iter().collect::<Vec<_>>();
        let a = answer.into_iter().collect::<Vec<_>>();
        let none = |n: usize| vec![None::<String>; n];
        sqlx::query_as(statement("agent.append("))
            .bind(self.node)
            .bind(0_i32)
            .bind(0_i32)
            .bind(false)
            .bind(q.iter().map(|q| q.0).collect::<Vec<_>>())
            .bind(q.iter().map(|q| q.1).collect::<Vec<_>>())
            .bind(q.iter().map(|q| q.2).collect::<Vec<_>>())
            .bind(q.iter().map(|q| q.3).collect::<Vec<_>>())
            .bind(q.iter().map(|q| q.4).collect::<Vec<_>>())
            .bind(vec![None::<serde_json::Value>; q.len()])
            .bind(q.iter().map(|q| q.4).collect::<Vec<_>>())
            .bind(q.iter().map(|q| q.5).collect::<Vec<_>>())
            .bind(q.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>())
            .bind(none(q.len()))
            .bind(vec![2_i16; q.len()])
            .bind(vec!["enqueue"; q.len()])
            .bind(vec![true; q.len()])
            .bind(a.iter().map(|a| a.0.user.as_str()).collect::<Vec<_>>())
            .bind(a.iter().map(|a| a.0.session).collect::<Vec<_>>())
            .bind(a.iter().map(|a| a.0.run).collect::<Vec<_>>())
            .bind(a.iter().map(|a| a.0.fence).collect::<Vec<_>>())
            .bind(a.iter().map(|a| a.1).collect::<Vec<_>>())
            .bind(vec!["complete"; a.len()])
            .bind(vec!["test/model"; a.len()])
            .bind(vec!["stop"; a.len()])
            .bind(none(a.len()))
            .bind(none(a.len()))
            .bind(vec![Some(3_i64); a.len()])
            .bind(vec![Some(1_i64); a.len()])
            .bind(vec![Some(0.001_f64); a.len()])
            .bind(none(a.len()))
            .bind(vec![None::<i32>; a.len()])
            .bind(vec![None::<OffsetDateTime>; a.len()])
            .bind(vec![false; a.len()])
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }
}
