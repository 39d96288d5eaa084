-- Who is connected, written behind: for people who look, and for what has to be counted over all nodes.

CREATE TABLE agent.connections (
    connection_id uuid PRIMARY KEY,
    node_id       integer NOT NULL,
    user_id       text COLLATE "C" NOT NULL,
    session_id    uuid NOT NULL,
    device_id     text,
    connected_at  timestamptz NOT NULL
);
CREATE INDEX connections_of_user ON agent.connections (user_id);
CREATE INDEX connections_of_node ON agent.connections (node_id);

COMMENT ON TABLE agent.connections IS 'Open sockets, as each node wrote them within the last second. Of a node that died until it is taken off the list: read agent.live_connections.';
COMMENT ON COLUMN agent.connections.connection_id IS 'Which connection: the welcome''s connection_id.';
COMMENT ON COLUMN agent.connections.node_id IS 'The process that holds it.';
COMMENT ON COLUMN agent.connections.user_id IS 'Whose it is.';
COMMENT ON COLUMN agent.connections.session_id IS 'The session that it shows now.';
COMMENT ON COLUMN agent.connections.device_id IS 'The client''s own name for the device, if it gave one.';
COMMENT ON COLUMN agent.connections.connected_at IS 'Since when.';
