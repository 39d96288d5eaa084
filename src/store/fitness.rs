//! What a deployment's database is for the server: whose login it is, what that may do, and whether the schema is whole.
//!
//! Reads and changes nothing, but for one NOTIFY on a channel of its own. `check` asks.

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::{Store, StoreError, migrator};

/// A database login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Its name.
    pub name: String,
    /// The server's version, such as 170002.
    pub server_version: i32,
    /// Nothing is refused to it.
    pub is_superuser: bool,
    /// Row-level security shows it everybody's rows, as the server needs.
    pub sees_all_rows: bool,
}

impl Store {
    /// Who we are here.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn login(&self) -> Result<Login, StoreError> {
        Ok(sqlx::query_as!(
            Login,
            r#"
            SELECT me.rolname::text AS "name!",
                   current_setting('server_version_num')::int AS "server_version!",
                   me.rolsuper AS "is_superuser!",
                   me.rolsuper OR me.rolbypassrls
                       OR EXISTS (SELECT 1 FROM pg_roles AS app
                                  WHERE app.rolname = 'agent_app' AND pg_has_role(me.oid, app.oid, 'USAGE'))
                       OR EXISTS (SELECT 1 FROM pg_namespace AS n
                                  WHERE n.nspname = 'agent' AND pg_has_role(me.oid, n.nspowner, 'USAGE')) AS "sees_all_rows!"
            FROM pg_roles AS me
            WHERE me.rolname = current_user
            "#
        )
        .fetch_one(&self.pool)
        .await?)
    }

    /// What `agent_app` may do and this login may not, as `INSERT on messages`.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn missing_rights(&self) -> Result<Vec<String>, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"
            SELECT needed.what AS "what!"
            FROM pg_roles AS app
            JOIN pg_namespace AS n ON n.nspname = 'agent'
            CROSS JOIN LATERAL (
                SELECT 'USAGE on schema agent' AS what
                WHERE NOT has_schema_privilege(n.oid, 'USAGE')
                UNION ALL
                SELECT privilege || ' on ' || c.relname
                FROM pg_class AS c
                CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege
                WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'v')
                  AND has_table_privilege(app.oid, c.oid, privilege) AND NOT has_table_privilege(c.oid, privilege)
                UNION ALL
                SELECT DISTINCT 'EXECUTE on function ' || p.proname
                FROM pg_proc AS p
                WHERE p.pronamespace = n.oid
                  AND has_function_privilege(app.oid, p.oid, 'EXECUTE') AND NOT has_function_privilege(p.oid, 'EXECUTE')
            ) AS needed
            WHERE app.rolname = 'agent_app'
            ORDER BY 1
            "#
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// Indexes that the migrations made and that are not there, or not usable.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn missing_indexes(&self) -> Result<Vec<String>, StoreError> {
        let usable: Vec<String> = sqlx::query_scalar!(
            r#"
            SELECT c.relname::text AS "name!"
            FROM pg_index AS i
            JOIN pg_class AS c ON c.oid = i.indexrelid
            JOIN pg_namespace AS n ON n.oid = c.relnamespace
            WHERE n.nspname = 'agent' AND i.indisvalid AND i.indisready
            "#
        )
        .fetch_all(&self.pool)
        .await?;
        let mut expected = BTreeSet::new();
        for migration in migrator().iter() {
            apply(&mut expected, migration.sql.as_str());
        }
        Ok(expected
            .into_iter()
            .filter(|name| !usable.contains(name))
            .collect())
    }

    /// How long a NOTIFY takes from one connection to another that listens; `None`: it did not arrive in time. Takes two
    /// connections.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn hears(&self, within: Duration) -> Result<Option<Duration>, StoreError> {
        let channel = format!("agent_check_{}", Uuid::new_v4().simple());
        let mut listener = PgListener::connect_with(&self.pool).await?;
        listener.listen(&channel).await?;
        let began = Instant::now();
        sqlx::query_scalar!(r#"SELECT pg_notify($1, '')::text"#, channel)
            .fetch_one(&self.pool)
            .await?;
        match timeout(within, listener.recv()).await {
            Ok(heard) => {
                heard?;
                Ok(Some(began.elapsed()))
            }
            Err(_) => Ok(None),
        }
    }
}

/// What a migration does to the set of indexes.
fn apply(indexes: &mut BTreeSet<String>, sql: &str) {
    for line in sql.lines() {
        let mut words = line
            .split_whitespace()
            .filter(|word| !["UNIQUE", "CONCURRENTLY", "IF", "NOT", "EXISTS"].contains(word));
        let (verb, object, name) = (words.next(), words.next(), words.next());
        let Some(name) = name.map(|name| name.trim_start_matches("agent.").trim_end_matches(';')) else {
            continue;
        };
        match (verb, object) {
            (Some("CREATE"), Some("INDEX")) => {
                indexes.insert(name.to_owned());
            }
            (Some("DROP"), Some("INDEX")) => {
                indexes.remove(name);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::apply;

    #[test]
    fn the_indexes_are_those_that_the_migrations_leave() {
        let mut indexes = BTreeSet::new();
        apply(
            &mut indexes,
            "CREATE INDEX one ON agent.t (a);\nCREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS two ON agent.t (b)\n  WHERE c;",
        );
        apply(
            &mut indexes,
            "-- CREATE INDEX three\nDROP INDEX CONCURRENTLY IF EXISTS agent.one;",
        );
        assert_eq!(indexes, BTreeSet::from(["two".to_owned()]));
    }
}
