//! Who is connected, as this process writes it for people and other processes to read.

use uuid::Uuid;

use super::{Store, StoreError, columns};
use crate::ids::{ClientName, ConnectionId, NodeId, SessionKey};
use crate::protocol::text::Timestamp;

/// An open connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// Whose it is, and the session that it shows.
    pub key: SessionKey,
    /// The client's own name for the device.
    pub device: Option<ClientName>,
    /// Since when it shows that session.
    pub since: Timestamp,
}

/// A connection that has to end, seen over all processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Surplus {
    /// Which connection.
    pub connection: ConnectionId,
    /// The process that holds it.
    pub node: NodeId,
    /// The same device connected to the same session again; otherwise its user has too many.
    pub is_replaced: bool,
}

impl Store {
    /// Connections that have to end: of these users, or of all who are connected to this process. Those whose device has
    /// connected to the same session again, and of a user's the youngest beyond `max` (0 = no limit).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn surplus_connections(
        &self,
        node: NodeId,
        users: Option<&[String]>,
        max: u32,
    ) -> Result<Vec<Surplus>, StoreError> {
        let rows = sqlx::query!(
            r#"
            SELECT connection_id AS "connection_id!", node_id AS "node_id!", is_replaced AS "is_replaced!"
            FROM (
                SELECT c.connection_id, c.node_id,
                       row_number() OVER (PARTITION BY c.user_id ORDER BY c.connected_at, c.connection_id) AS place,
                       c.device_id IS NOT NULL AND lead(c.connection_id) OVER (
                           PARTITION BY c.user_id, c.session_id, c.device_id
                           ORDER BY c.connected_at, c.connection_id) IS NOT NULL AS is_replaced
                FROM agent.live_connections AS c
                WHERE c.user_id = ANY ($1)
                   OR ($1 IS NULL AND c.user_id IN (SELECT o.user_id FROM agent.connections AS o WHERE o.node_id = $2))
            ) AS ranked
            WHERE is_replaced OR ($3::bigint > 0 AND place > $3::bigint)
            "#,
            users,
            node.0,
            i64::from(max),
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| Surplus {
                connection: ConnectionId(row.connection_id),
                node: NodeId(row.node_id),
                is_replaced: row.is_replaced,
            })
            .collect())
    }

    /// Writes what became of connections of this process: where they are now, or that they are gone. Since when a connection
    /// is open stands as it was first written.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn write_connections(
        &self,
        node: NodeId,
        changes: &[(ConnectionId, Option<Presence>)],
    ) -> Result<(), StoreError> {
        let gone: Vec<Uuid> = changes
            .iter()
            .filter(|(_, presence)| presence.is_none())
            .map(|(connection, _)| connection.0)
            .collect();
        let there: Vec<(Uuid, &Presence)> = changes
            .iter()
            .filter_map(|(connection, presence)| Some((connection.0, presence.as_ref()?)))
            .collect();
        let connections: Vec<Uuid> = there.iter().map(|(connection, _)| *connection).collect();
        let (users, sessions) = columns(there.iter().map(|(_, presence)| &presence.key));
        let devices: Vec<Option<String>> = there
            .iter()
            .map(|(_, p)| p.device.as_ref().map(ToString::to_string))
            .collect();
        let since: Vec<time::OffsetDateTime> = there.iter().map(|(_, p)| p.since.0).collect();
        sqlx::query!(
            r#"
            WITH gone AS (
                DELETE FROM agent.connections WHERE connection_id = ANY ($1)
            )
            INSERT INTO agent.connections (connection_id, node_id, user_id, session_id, device_id, connected_at)
            SELECT c.connection_id, $2, c.user_id, c.session_id, c.device_id, c.since
            FROM unnest($3::uuid[], $4::text[], $5::uuid[], $6::text[], $7::timestamptz[])
                 AS c (connection_id, user_id, session_id, device_id, since)
            ON CONFLICT (connection_id) DO UPDATE SET session_id = excluded.session_id
            "#,
            &gone,
            node.0,
            &connections,
            &users,
            &sessions,
            &devices as &[Option<String>],
            &since,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
