//! Who is connected, as this process writes it for people and other processes to read.

use uuid::Uuid;

use super::{Store, StoreError};
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

impl Store {
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
        let users: Vec<String> = there
            .iter()
            .map(|(_, p)| p.key.user_id.as_str().to_owned())
            .collect();
        let sessions: Vec<Uuid> = there.iter().map(|(_, p)| p.key.session_id.0).collect();
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
