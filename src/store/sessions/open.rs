//! Sessions that are opened: all that wait for one are registered, looked at and read together, in two statements.
//!
//! Each alone took a commit and three statements, for the session, for where its catch-up begins, for the messages and for
//! the user's mail. Where this process has the session in memory, only the user's mail is looked for. `feed` opens sessions here.

use std::sync::Arc;

use super::{Mail, Session, SessionRow};
use crate::ids::{NodeId, Seq, SessionKey, UserId};
use crate::log::Message;
use crate::store::crowd::{self, Crowd, Waiting};
use crate::store::messages::MessageRow;
use crate::store::{Store, StoreError, columns};

/// The most messages that come with a session. Who has missed more is rare, and reads for itself.
const MAX_MISSED: i64 = 50;

/// The most text of them, in bytes: the oldest beyond it stay where they are.
const MAX_MISSED_BYTES: i64 = 32 * 1024;

/// A session that this process watches from now on.
#[derive(Clone, Debug, PartialEq)]
pub struct Watched {
    /// The session.
    pub session: Session,
    /// Whether notifications wait for its user.
    pub mail: Mail,
    /// Messages up to the newest that the client has missed, in order; empty where they are many.
    pub missed: Vec<Arc<Message>>,
}

/// What is asked for: a session, and what the client says it has applied.
type Wanted = (SessionKey, Option<i64>);

/// The way to the [`OpenerTask`].
#[derive(Clone, Debug)]
pub struct Opener {
    sessions: Crowd<Wanted, Option<Watched>>,
    users: Crowd<UserId, Mail>,
}

impl Opener {
    /// Registers this process as a watcher of a session, and reads what a client needs who has applied everything up to `after`.
    /// `None` when there is no such session, or somebody holds it now: then [`Store::watch_session`] knows, or waits.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn open(&self, key: &SessionKey, after: Option<i64>) -> Result<Option<Watched>, StoreError> {
        self.sessions.ask((key.clone(), after)).await
    }

    /// Whether notifications wait for a user.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn mail(&self, user: &UserId) -> Result<Mail, StoreError> {
        self.users.ask(user.clone()).await
    }
}

/// Opens what is asked for.
#[derive(Debug)]
pub struct OpenerTask {
    store: Store,
    node: NodeId,
    sessions: Waiting<Wanted, Option<Watched>>,
    users: Waiting<UserId, Mail>,
}

impl OpenerTask {
    /// Opens sessions and looks for mail until nobody can ask any more.
    pub async fn run(self) {
        let Self {
            store,
            node,
            sessions,
            users,
        } = self;
        let store = &store;
        let open_on = sessions.serve(
            |wanted: Vec<Wanted>| async move { open(store, node, &wanted).await },
            |error| tracing::warn!(error = %error, "sessions could not be opened"),
        );
        let look_on = users.serve(
            |asked: Vec<UserId>| async move { store.find_mail(&asked).await },
            |error| tracing::warn!(error = %error, "mail could not be looked for"),
        );
        tokio::join!(open_on, look_on);
    }
}

/// The messages are read by a statement of their own: a session's row is seen as it is when it is locked, its messages as they
/// were when the statement began, and a newer one could be missing.
async fn open(store: &Store, node: NodeId, wanted: &[Wanted]) -> Result<Vec<Option<Watched>>, StoreError> {
    let keys: Vec<&SessionKey> = wanted.iter().map(|(key, _)| key).collect();
    let mut opened = store.watch_sessions(&keys, node).await?;
    let stretches: Vec<Stretch<'_>> = opened
        .iter()
        .zip(wanted)
        .map(|(watched, (key, after))| Stretch::missed(key, watched.as_ref(), *after))
        .collect();
    if stretches.iter().all(Stretch::is_empty) {
        return Ok(opened);
    }
    match store.newest_messages(&stretches).await {
        Ok(lists) => {
            for (watched, list) in opened.iter_mut().zip(lists) {
                if let Some(watched) = watched {
                    watched.missed = list;
                }
            }
        }
        // A row that cannot be read must not keep the others out: each reads for itself.
        Err(error) => tracing::warn!(error = %error, "messages could not be read with their sessions"),
    }
    Ok(opened)
}

/// A stretch of a session's log.
#[derive(Clone, Copy, Debug)]
pub struct Stretch<'a> {
    /// Which session.
    pub key: &'a SessionKey,
    /// The place before its first message.
    pub after: Seq,
    /// The place of its last.
    pub upto: Seq,
}

impl<'a> Stretch<'a> {
    /// What a client lacks that has applied everything up to `after`: nothing where that is more than comes along.
    fn missed(key: &'a SessionKey, watched: Option<&Watched>, after: Option<i64>) -> Self {
        let (first, head) = watched.map_or((1, 0), |w| (w.session.first_seq.0, w.session.last_seq.0));
        // Without a usable cursor it is given the newest.
        let after = after.filter(|after| (0..=head).contains(after));
        let after = after.unwrap_or(head - MAX_MISSED).max(first - 1).max(0);
        let few = head - after <= MAX_MISSED;
        Self {
            key,
            after: Seq(if few { after } else { head }),
            upto: Seq(head),
        }
    }

    fn is_empty(&self) -> bool {
        self.after >= self.upto
    }
}

/// Whose answer a row is, by what `WITH ORDINALITY` has counted.
fn at<T>(answers: &mut [T], ord: i64) -> Option<&mut T> {
    answers.get_mut(usize::try_from(ord - 1).ok()?)
}

impl Store {
    /// A task that opens sessions for this process, and the way to it.
    pub fn opener(&self, node: NodeId) -> (Opener, OpenerTask) {
        let (ask_sessions, sessions) = crowd::gather();
        let (ask_users, users) = crowd::gather();
        let task = OpenerTask {
            store: self.clone(),
            node,
            sessions,
            users,
        };
        let opener = Opener {
            sessions: ask_sessions,
            users: ask_users,
        };
        (opener, task)
    }

    /// Whether notifications wait for each of these users, as far as a look at the index tells.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find_mail(&self, users: &[UserId]) -> Result<Vec<Mail>, StoreError> {
        let names: Vec<String> = users.iter().map(|user| user.as_str().to_owned()).collect();
        let found = sqlx::query_scalar!(
            r#"
            SELECT EXISTS (SELECT 1 FROM agent.notifications AS n
                           WHERE n.user_id = u.user_id AND n.acknowledged_at IS NULL) AS "has_mail!"
            FROM unnest($1::text[]) WITH ORDINALITY AS u (user_id, ord)
            ORDER BY u.ord
            "#,
            &names,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(found.into_iter().map(Mail::found).collect())
    }

    /// The same as [`Store::watch_session`] for many, in their order, with whether notifications wait for their users. Left out
    /// are those that do not exist, and those that somebody else has locked: nobody waits for another's session.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn watch_sessions(
        &self,
        keys: &[&SessionKey],
        node: NodeId,
    ) -> Result<Vec<Option<Watched>>, StoreError> {
        let (users, sessions) = columns(keys.iter().copied());
        let rows = sqlx::query!(
            r#"
            WITH asked AS (
                SELECT k.user_id, k.session_id, k.ord
                FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY AS k (user_id, session_id, ord)
            ),
            free AS MATERIALIZED (
                SELECT s.user_id, s.session_id
                FROM asked AS a
                JOIN agent.sessions AS s ON s.user_id = a.user_id AND s.session_id = a.session_id
                FOR UPDATE OF s SKIP LOCKED
            ),
            watched AS (
                UPDATE agent.sessions AS s
                SET watchers = CASE WHEN $3 = ANY (s.watchers) THEN s.watchers ELSE array_append(s.watchers, $3) END
                FROM free AS f
                WHERE s.user_id = f.user_id AND s.session_id = f.session_id
                RETURNING s.user_id, s.session_id, s.title, s.model, s.metadata, s.first_seq, s.last_seq, s.context_after_seq,
                          s.active_run_id, s.fence, s.created_at, s.last_activity_at
            )
            SELECT a.ord AS "ord!", w.session_id, w.title, w.model, w.metadata, w.first_seq, w.last_seq, w.context_after_seq,
                   w.active_run_id, w.fence, w.created_at, w.last_activity_at,
                   EXISTS (SELECT 1 FROM agent.notifications AS n
                           WHERE n.user_id = a.user_id AND n.acknowledged_at IS NULL) AS "has_mail!"
            FROM asked AS a
            JOIN watched AS w ON w.user_id = a.user_id AND w.session_id = a.session_id
            "#,
            &users,
            &sessions,
            node.0,
        )
        .fetch_all(&self.pool)
        .await?;
        let mut watched = vec![None; keys.len()];
        for row in rows {
            if let Some(place) = at(&mut watched, row.ord) {
                *place = Some(Watched {
                    mail: Mail::found(row.has_mail),
                    missed: Vec::new(),
                    session: Session::from(SessionRow {
                        session_id: row.session_id,
                        title: row.title,
                        model: row.model,
                        metadata: row.metadata,
                        first_seq: row.first_seq,
                        last_seq: row.last_seq,
                        context_after_seq: row.context_after_seq,
                        active_run_id: row.active_run_id,
                        fence: row.fence,
                        created_at: row.created_at,
                        last_activity_at: row.last_activity_at,
                    }),
                });
            }
        }
        Ok(watched)
    }

    /// The messages of each of these stretches, in order: the newest of them, as many as 32 KiB of text hold.
    ///
    /// # Errors
    /// When the database fails, or has a message that cannot be read.
    pub async fn newest_messages(
        &self,
        stretches: &[Stretch<'_>],
    ) -> Result<Vec<Vec<Arc<Message>>>, StoreError> {
        let (users, sessions) = columns(stretches.iter().map(|stretch| stretch.key));
        let after: Vec<i64> = stretches.iter().map(|stretch| stretch.after.0).collect();
        let upto: Vec<i64> = stretches.iter().map(|stretch| stretch.upto.0).collect();
        let rows = sqlx::query!(
            r#"
            SELECT a.ord AS "ord!", m.session_id, m.seq, m.message_id, m.client_id, m.role, m.content, m.state, m.in_reply_to,
                   m.run_id, m.notification_id, m.model, m.finish_reason, m.error_code, m.input_tokens, m.output_tokens,
                   m.cost_usd::float8 AS cost_usd, m.metadata, m.created_at
            FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::bigint[]) WITH ORDINALITY
                 AS a (user_id, session_id, after, upto, ord)
            CROSS JOIN LATERAL (
                SELECT *, sum(octet_length(content)) OVER (ORDER BY seq DESC) AS bytes
                FROM agent.messages
                WHERE user_id = a.user_id AND session_id = a.session_id AND seq > a.after AND seq <= a.upto
            ) AS m
            WHERE m.bytes <= $5
            ORDER BY a.ord, m.seq
            "#,
            &users,
            &sessions,
            &after,
            &upto,
            MAX_MISSED_BYTES,
        )
        .fetch_all(&self.pool)
        .await?;
        let mut lists = vec![Vec::new(); stretches.len()];
        for row in rows {
            if let Some(list) = at(&mut lists, row.ord) {
                let message = MessageRow {
                    session_id: row.session_id,
                    seq: row.seq,
                    message_id: row.message_id,
                    client_id: row.client_id,
                    role: row.role,
                    content: row.content,
                    state: row.state,
                    in_reply_to: row.in_reply_to,
                    run_id: row.run_id,
                    notification_id: row.notification_id,
                    model: row.model,
                    finish_reason: row.finish_reason,
                    error_code: row.error_code,
                    input_tokens: row.input_tokens,
                    output_tokens: row.output_tokens,
                    cost_usd: row.cost_usd,
                    metadata: row.metadata,
                    created_at: row.created_at,
                };
                list.push(Arc::new(Message::try_from(message)?));
            }
        }
        Ok(lists)
    }
}
