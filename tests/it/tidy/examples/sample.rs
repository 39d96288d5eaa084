//! One of each frame that the server sends.

use agent_websocket::ids::{
    ClientName, ConnectionId, MessageId, NotificationId, RunId, Seq, SessionId, UserId,
};
use agent_websocket::protocol::error::ErrorCode;
use agent_websocket::protocol::server::{
    Accepted, Acknowledged, AuthDone, Authenticated, Cancelled, Cleared, CommandList, Cut, Delta, Done,
    Draining, ErrorFrame, FeedbackStored, Gap, Live, MatchList, MessageList, ModelChosen, Nothing,
    Notification, NotificationList, Outcome, Plain, Pushed, Query, Reconnect, Regenerated, Renamed, Response,
    RunChanged, RunError, SessionChanged, SessionList, SessionNamed, Status, Thinking, TokenExpiring,
    Unqueued, Usage, WaitingList, Welcome,
};
use agent_websocket::protocol::text::{Text, Timestamp};
use serde_json::json;
use uuid::Uuid;

/// Values for frames: with everything that may be absent, or without.
pub(super) struct Sample {
    is_full: bool,
    timestamp: Timestamp,
    session_id: SessionId,
    message_id: MessageId,
    run_id: RunId,
    notification_id: NotificationId,
}

impl Sample {
    pub(super) fn full() -> Self {
        Self {
            is_full: true,
            timestamp: Timestamp(time::OffsetDateTime::UNIX_EPOCH),
            session_id: SessionId(Uuid::nil()),
            message_id: MessageId(Uuid::nil()),
            run_id: RunId(Uuid::nil()),
            notification_id: NotificationId(Uuid::nil()),
        }
    }

    pub(super) fn sparse() -> Self {
        Self {
            is_full: false,
            ..Self::full()
        }
    }

    fn may<T>(&self, value: T) -> Option<T> {
        self.is_full.then_some(value)
    }

    fn re(&self) -> Option<ClientName> {
        self.may(ClientName::new("q-1").expect("a name"))
    }

    fn live(&self) -> Live<'static> {
        Live {
            content: "x".into(),
            timestamp: self.timestamp,
            session_id: self.session_id,
            head: Seq(1),
        }
    }

    #[expect(clippy::too_many_lines, reason = "one of each status")]
    pub(super) fn statuses(&self) -> Vec<Status<'static>> {
        let (timestamp, session_id, run_id, message_id) =
            (self.timestamp, self.session_id, self.run_id, self.message_id);
        let mut statuses = vec![
            Status::Accepted(Accepted {
                content: "x".into(),
                timestamp,
                re: self.re(),
                session_id,
                seq: Seq(1),
                message_id,
                run_id,
                queue_position: 0,
                duplicate: false,
            }),
            Status::Thinking(Thinking {
                content: "x".into(),
                timestamp,
                session_id,
                run_id,
                in_reply_to: message_id,
                message_id,
                replay: self.is_full,
            }),
            Status::Live(self.live()),
            Status::Heartbeat(self.live()),
            Status::Run(RunChanged {
                content: "x".into(),
                timestamp,
                session_id,
                run_id,
                state: "queued".into(),
                attempt: 1,
            }),
            Status::Session(SessionChanged {
                content: "x".into(),
                timestamp,
                session_id,
                title: self.may("x".into()),
                deleted: false,
            }),
            Status::TokenExpiring(TokenExpiring {
                content: "x".into(),
                timestamp,
                expires_at: timestamp,
            }),
            Status::Draining(Draining {
                content: "x".into(),
                timestamp,
                retry_after_ms: 1,
            }),
            Status::Feedback(FeedbackStored {
                content: "x".into(),
                timestamp,
                re: self.re(),
                message_id,
            }),
        ];
        statuses.push(Status::Auth(AuthDone {
            content: "x".into(),
            timestamp,
            re: self.re(),
            expires_at: timestamp,
            data: Authenticated {
                user_id: UserId::new("demo").expect("a user"),
                expires_at: timestamp,
            },
        }));
        statuses.extend(self.outcomes().into_iter().map(|outcome| {
            Status::Done(Done {
                content: "x".into(),
                timestamp,
                re: self.re(),
                outcome,
            })
        }));
        statuses
    }

    /// One of each command but `auth`, with empty lists.
    fn outcomes(&self) -> Vec<Outcome> {
        let (session_id, run_id, message_id) = (self.session_id, self.run_id, self.message_id);
        let named = SessionNamed { session_id };
        vec![
            Outcome::Ping(Nothing {}),
            Outcome::Help(CommandList { commands: Vec::new() }),
            Outcome::Sessions(SessionList { sessions: Vec::new() }),
            Outcome::New(named),
            Outcome::Resume(named),
            Outcome::History(MessageList { messages: Vec::new() }),
            Outcome::Rename(Renamed {
                session_id,
                title: Text::new("x".to_owned()).expect("a text"),
            }),
            Outcome::Clear(Cut {
                context_after_seq: Seq(1),
            }),
            Outcome::Delete(named),
            Outcome::Cancel(Cancelled {
                run_id: self.may(run_id),
                state: "none".to_owned(),
            }),
            Outcome::Model(ModelChosen {
                model: self.may("x".to_owned()),
                allowed_models: Vec::new(),
            }),
            Outcome::Search(MatchList { matches: Vec::new() }),
            Outcome::Regenerate(Regenerated {
                run_id,
                in_reply_to: message_id,
                message_id,
                queue_position: 1,
                duplicate: false,
            }),
            Outcome::Queue(WaitingList { queue: Vec::new() }),
            Outcome::Unqueue(Unqueued { message_id, run_id }),
            Outcome::Inbox(NotificationList {
                notifications: Vec::new(),
            }),
            Outcome::Ack(Acknowledged {
                notification_ids: Vec::new(),
            }),
        ]
    }

    pub(super) fn notifications(&self) -> Vec<Notification<'static>> {
        let timestamp = self.timestamp;
        vec![
            Notification::Welcome(Box::new(self.welcome())),
            Notification::Message(Box::new(Pushed {
                content: "x".into(),
                timestamp,
                notification_id: self.notification_id,
                kind: "x".into(),
                title: self.may("x".into()),
                data: self.may(std::borrow::Cow::Owned(json!({}))),
                priority: "normal".into(),
                created_at: timestamp,
                session_id: self.may(self.session_id),
                seq: self.may(Seq(1)),
                message_id: self.may(self.message_id),
                replay: self.is_full,
            })),
            Notification::Cleared(Cleared {
                content: "x".into(),
                timestamp,
                notification_ids: vec![self.notification_id],
            }),
            Notification::Timeout(Plain {
                content: "x".into(),
                timestamp,
            }),
        ]
    }

    fn welcome(&self) -> Welcome<'static> {
        Welcome {
            content: "x".into(),
            timestamp: self.timestamp,
            session_id: self.session_id,
            resumed: true,
            head: Seq(1),
            first_available: Seq(1),
            connection_id: ConnectionId(Uuid::nil()),
            user_id: "x".into(),
            protocol: 1,
            heartbeat_ms: 1,
            max_message_bytes: 1,
            token_expires_at: self.timestamp,
            reconnect: Reconnect {
                base_ms: 1,
                max_ms: 1,
                jitter_ms: 1,
            },
            gap: self.may(Gap {
                from: Seq(1),
                to: Seq(1),
            }),
        }
    }

    pub(super) fn query(&self) -> Query<'static> {
        Query {
            content: "x".into(),
            timestamp: self.timestamp,
            id: self.may("x".into()),
            session_id: self.session_id,
            seq: Seq(1),
            message_id: self.message_id,
            run_id: self.may(self.run_id),
            replay: self.is_full,
        }
    }

    pub(super) fn delta(&self) -> Delta<'static> {
        Delta {
            content: "x".into(),
            timestamp: self.timestamp,
            session_id: self.session_id,
            message_id: self.message_id,
            run_id: self.run_id,
            attempt: 1,
            offset: 0,
            replay: self.is_full,
        }
    }

    pub(super) fn response(&self) -> Response<'static> {
        Response {
            content: "x".into(),
            timestamp: self.timestamp,
            session_id: self.session_id,
            seq: Seq(1),
            message_id: self.message_id,
            in_reply_to: self.may(self.message_id),
            run_id: self.may(self.run_id),
            state: "complete".into(),
            error: self.may(RunError {
                code: ErrorCode::Internal,
                retryable: true,
            }),
            finish_reason: self.may("x".into()),
            model: self.may("x".into()),
            usage: self.may(Usage {
                input_tokens: Some(1),
                output_tokens: Some(1),
                cost_usd: Some(0.5),
            }),
            length: 1,
            sha256: "x".to_owned(),
            replay: self.is_full,
        }
    }

    pub(super) fn error(&self) -> ErrorFrame<'static> {
        ErrorFrame {
            content: "x".into(),
            timestamp: self.timestamp,
            re: self.re(),
            run_id: self.may(self.run_id),
            code: ErrorCode::Internal,
            retryable: true,
            retry_after_ms: self.may(1),
        }
    }
}
