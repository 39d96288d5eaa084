//! A gate in the statements of servers: where a statement of theirs with certain words looks at a row of
//! `agent.notifications`, it does what the test says, for as long as the gate stands.
//!
//! It is a row-level policy, which a server's login cannot step around, so nothing of the server is replaced.

use super::database::TestDatabase;
use super::eventually;

/// The key under which a gate is held shut.
const KEY: i64 = 7;

/// The words of the statement that reads rows for delivery.
pub(crate) const DELIVERY: &str = "%agent.deliverable(%";

/// The words of the statement that reads what is pending for a user who connects.
pub(crate) const PENDING: &str = "%NOT IN (SELECT unnest(%";

/// A gate in a database.
pub(crate) struct Gate {
    database: TestDatabase,
}

impl Gate {
    /// A gate that does something (in PL/pgSQL, `content` is the row's) in statements with these words. How often it was
    /// come to is counted.
    pub(crate) async fn put(database: &TestDatabase, words: &str, body: &str) -> Self {
        database.execute("CREATE SEQUENCE public.visits").await;
        database
            .execute("GRANT USAGE ON SEQUENCE public.visits TO agent_app")
            .await;
        database
            .execute(format!(
                "CREATE FUNCTION public.gate(content text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
                 BEGIN
                     IF current_query() LIKE '{words}' THEN
                         {body}
                     END IF;
                     RETURN true;
                 END $$"
            ))
            .await;
        database
            .execute("ALTER POLICY app ON agent.notifications USING (public.gate(content))")
            .await;
        Self {
            database: database.clone(),
        }
    }

    /// A gate that fails where a row has this content.
    pub(crate) async fn that_fails(database: &TestDatabase, words: &str, content: &str) -> Self {
        let body = format!(
            "IF content = '{content}' THEN PERFORM nextval('public.visits'); RAISE 'by the gate'; END IF;"
        );
        Self::put(database, words, &body).await
    }

    /// A gate that is shut: whoever comes to it waits until the returned transaction ends.
    pub(crate) async fn that_is_shut(
        database: &TestDatabase,
        words: &str,
    ) -> (Self, sqlx::Transaction<'static, sqlx::Postgres>) {
        let mut shut = database.pool.begin().await.unwrap();
        sqlx::query("SELECT pg_advisory_xact_lock($1)")
            .bind(KEY)
            .execute(&mut *shut)
            .await
            .unwrap();
        let body = format!("PERFORM nextval('public.visits'); PERFORM pg_advisory_xact_lock_shared({KEY});");
        (Self::put(database, words, &body).await, shut)
    }

    /// Waits until it was come to so often.
    pub(crate) async fn visited(&self, times: i64) {
        eventually("the gate is come to", || async {
            let visits = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM public.visits";
            self.database.count(visits).await >= times
        })
        .await;
    }

    /// Takes it away.
    pub(crate) async fn open(self) {
        self.database
            .execute("ALTER POLICY app ON agent.notifications USING (true)")
            .await;
    }
}
