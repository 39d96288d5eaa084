//! Server processes and their leases. Only the database's clock is compared.

use std::time::Duration;

use super::line::Line;
use super::{Store, StoreError};
use crate::ids::NodeId;

fn seconds(lease: Duration) -> f64 {
    lease.as_secs_f64()
}

/// Keeps a process's lease, over a connection of its own: through the pool it waited behind all that others asked, and a process with
/// too much to do was given up for dead, whose runs then were begun again by others with as much to do.
#[derive(Debug)]
pub struct LeaseKeeper {
    line: Line,
    node: NodeId,
}

impl LeaseKeeper {
    /// Renews the lease. `false` when the process's row is gone: others may have taken its runs.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn renew(&mut self, lease: Duration) -> Result<bool, StoreError> {
        let mut connection = self.line.take().await?;
        let done = sqlx::query!(
            "UPDATE agent.nodes SET lease_until = clock_timestamp() + make_interval(secs => $2) WHERE node_id = $1",
            self.node.0,
            seconds(lease),
        )
        .execute(&mut connection)
        .await?;
        self.line.keep(connection);
        Ok(done.rows_affected() == 1)
    }
}

impl Store {
    /// Registers this process under a new number.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn register_node(&self, version: &str, lease: Duration) -> Result<NodeId, StoreError> {
        let id = sqlx::query_scalar!(
            r#"
            INSERT INTO agent.nodes (version, lease_until)
            VALUES ($1, clock_timestamp() + make_interval(secs => $2))
            RETURNING node_id
            "#,
            version,
            seconds(lease),
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(NodeId(id))
    }

    /// Who keeps a process's lease.
    pub fn lease_keeper(&self, node: NodeId) -> LeaseKeeper {
        LeaseKeeper {
            line: self.line(),
            node,
        }
    }

    /// Takes this process off the list, so that what it leaves behind is picked up at once.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn leave_node(&self, node: NodeId) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            WITH closed AS (DELETE FROM agent.connections WHERE node_id = $1)
            DELETE FROM agent.nodes WHERE node_id = $1
            "#,
            node.0
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Removes processes whose lease ran out long ago and that own no run any more, with the connections that they held, and
    /// returns how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sweep_nodes(&self, dead_for: Duration) -> Result<u64, StoreError> {
        let swept = sqlx::query_scalar!(
            r#"
            WITH dead AS (
                DELETE FROM agent.nodes AS n
                WHERE n.lease_until < clock_timestamp() - make_interval(secs => $1)
                  AND NOT EXISTS (SELECT 1 FROM agent.runs AS r WHERE r.node_id = n.node_id AND r.state = 'running')
                RETURNING n.node_id
            ),
            closed AS (
                -- Also of those who wrote a last one after they had left.
                DELETE FROM agent.connections AS c
                WHERE c.node_id IN (SELECT d.node_id FROM dead AS d)
                   OR NOT EXISTS (SELECT 1 FROM agent.nodes AS n WHERE n.node_id = c.node_id)
            )
            SELECT count(*) AS "swept!" FROM dead
            "#,
            seconds(dead_for),
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(u64::try_from(swept).unwrap_or_default())
    }
}
