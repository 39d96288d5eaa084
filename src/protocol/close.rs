//! Why a socket is closed by the server: the code, the reason, and whether to come back.
//!
//! One exhaustive table; PROTOCOL.md's is compared with it by a test. 4000–4499 mean "come back and resume", 4500–4999
//! "do not come back as you are".

/// Why the server closes a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// Nothing happened in the session for `SESSION_TIMEOUT`.
    SessionTimeout,
    /// The client closed; we answer.
    ClientClosed,
    /// RFC 6455 was broken.
    ProtocolError,
    /// A binary frame.
    BinaryFrame,
    /// Text that is not UTF-8.
    InvalidUtf8,
    /// A frame above `max_message_bytes`.
    MessageTooLarge,
    /// Our fault.
    InternalError,
    /// The server restarts; `draining` said when to come back.
    Restarting,
    /// Too much work here now.
    Overloaded,
    /// The token expired on the live socket.
    TokenExpired,
    /// Nothing was received for two heartbeats.
    Silent,
    /// The same device connected again.
    Replaced,
    /// The client reads too slowly.
    SlowReader,
    /// Too many frames a second.
    Flooding,
    /// Too many frames that could not be understood.
    BadFrames,
    /// No valid token, or none in time.
    Unauthorized,
    /// Renewed as someone else, or revoked.
    IdentityChanged,
    /// The session does not exist or is someone else's.
    NoSuchSession,
    /// The user has too many connections.
    TooManyConnections,
    /// The session was deleted.
    SessionDeleted,
}

impl CloseReason {
    /// Every reason, for tables and tests.
    pub const ALL: [Self; 20] = [
        Self::SessionTimeout,
        Self::ClientClosed,
        Self::ProtocolError,
        Self::BinaryFrame,
        Self::InvalidUtf8,
        Self::MessageTooLarge,
        Self::InternalError,
        Self::Restarting,
        Self::Overloaded,
        Self::TokenExpired,
        Self::Silent,
        Self::Replaced,
        Self::SlowReader,
        Self::Flooding,
        Self::BadFrames,
        Self::Unauthorized,
        Self::IdentityChanged,
        Self::NoSuchSession,
        Self::TooManyConnections,
        Self::SessionDeleted,
    ];

    /// The WebSocket close code.
    pub fn code(self) -> u16 {
        match self {
            Self::SessionTimeout | Self::ClientClosed => 1000,
            Self::ProtocolError => 1002,
            Self::BinaryFrame => 1003,
            Self::InvalidUtf8 => 1007,
            Self::MessageTooLarge => 1009,
            Self::InternalError => 1011,
            Self::Restarting => 1012,
            Self::Overloaded => 1013,
            Self::TokenExpired => 4401,
            Self::Silent => 4408,
            Self::Replaced => 4409,
            Self::SlowReader => 4413,
            Self::Flooding => 4429,
            Self::BadFrames => 4500,
            Self::Unauthorized => 4501,
            Self::IdentityChanged => 4503,
            Self::NoSuchSession => 4504,
            Self::TooManyConnections => 4505,
            Self::SessionDeleted => 4509,
        }
    }

    /// The close frame's reason, at most 123 bytes.
    pub fn reason(self) -> &'static str {
        match self {
            Self::SessionTimeout => "Session timeout",
            Self::ClientClosed => "",
            Self::ProtocolError => "Protocol error",
            Self::BinaryFrame => "Binary frames are not accepted",
            Self::InvalidUtf8 => "Text must be UTF-8",
            Self::MessageTooLarge => "Message too large",
            Self::InternalError => "Internal error",
            Self::Restarting => "Server restarting",
            Self::Overloaded => "Overloaded",
            Self::TokenExpired => "Token expired",
            Self::Silent => "Nothing received",
            Self::Replaced => "Replaced by the same device",
            Self::SlowReader => "Reading too slowly",
            Self::Flooding => "Too many frames",
            Self::BadFrames => "Too many bad frames",
            Self::Unauthorized => "Unauthorized",
            Self::IdentityChanged => "Identity changed or revoked",
            Self::NoSuchSession => "No such session",
            Self::TooManyConnections => "Too many connections",
            Self::SessionDeleted => "Session deleted",
        }
    }

    /// A name for logs and metrics: a closed set, unlike the codes that clients send.
    pub fn label(self) -> &'static str {
        match self {
            Self::SessionTimeout => "session_timeout",
            Self::ClientClosed => "client_closed",
            Self::ProtocolError => "protocol_error",
            Self::BinaryFrame => "binary_frame",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::MessageTooLarge => "message_too_large",
            Self::InternalError => "internal_error",
            Self::Restarting => "restarting",
            Self::Overloaded => "overloaded",
            Self::TokenExpired => "token_expired",
            Self::Silent => "silent",
            Self::Replaced => "replaced",
            Self::SlowReader => "slow_reader",
            Self::Flooding => "flooding",
            Self::BadFrames => "bad_frames",
            Self::Unauthorized => "unauthorized",
            Self::IdentityChanged => "identity_changed",
            Self::NoSuchSession => "no_such_session",
            Self::TooManyConnections => "too_many_connections",
            Self::SessionDeleted => "session_deleted",
        }
    }
}
