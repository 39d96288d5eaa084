//! The step of a notification: inserted as a service does, over HTTP or by SQL, and awaited on the socket.
//!
//! Acknowledges what it inserted. [`super::steps`] calls [`check`].

use std::io;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use uuid::Uuid;

use super::Options;
use super::causes::{NOTIFY_SCOPE, POOLER};
use super::door::ms;
use super::probe::Probe;
use super::report::{Finding, Report};
use crate::client::Token;
use crate::client::news::News;
use crate::client::says;
use crate::client::web::Web;
use crate::ids::UserId;
use crate::secret::DatabaseUrl;
use crate::store::Store;
use crate::store::notifications::NewNotification;

/// How long it may take: much longer than the slowest poll.
const PATIENCE: Duration = Duration::from_secs(20);

/// Later than this nobody heard the NOTIFY, and polling found it.
const PROMPT: Duration = Duration::from_secs(1);

pub(super) async fn check(
    options: &Options,
    probe: &mut Probe,
    user: &str,
    report: &mut Report,
) -> io::Result<()> {
    let content = format!("agent-websocket check {}", Uuid::new_v4());
    let began = Instant::now();
    let (way, inserted) = match (&options.service_token, &options.database_url) {
        (Some(token), _) => ("HTTP", post(options, token, user, &content).await),
        (None, Some(url)) => ("SQL", insert(url, user, &content).await),
        (None, None) => return report.skip("notification", "neither --service-token nor --database-url"),
    };
    let finding = match inserted {
        Ok(()) => arrive(probe, began, way, &content).await,
        Err(finding) => finding,
    };
    report.add("notification", &finding)
}

async fn arrive(probe: &mut Probe, began: Instant, way: &str, content: &str) -> Finding {
    let inserted = began.elapsed();
    let arrived = probe
        .until(PATIENCE, |news| match news {
            News::Notified(notification) if notification.content == content => {
                Some(notification.notification_id)
            }
            _ => None,
        })
        .await;
    let took = began.elapsed();
    let measured = format!("inserted by {way} in {}, here in {}", ms(inserted), ms(took));
    match arrived {
        Err(why) => Finding::fail(
            format!("inserted by {way} in {}, then {why}", ms(inserted)),
            "the row is for another user, in another database, or the server's role may not read it (wrong role)",
        ),
        Ok(id) => {
            let ack = says::command("ack", &json!({ "notification_ids": [id] }));
            if let Err(why) = probe.command(ack).await {
                return Finding::fail(
                    format!("{measured}; not acknowledged: {why}"),
                    "the server's log has the reason",
                );
            }
            if took.saturating_sub(inserted) > PROMPT {
                Finding::warn(measured, POOLER)
            } else {
                Finding::ok(measured)
            }
        }
    }
}

async fn post(options: &Options, token: &Token, user: &str, content: &str) -> Result<(), Finding> {
    let broke = |why: String| Finding::fail(why, "the request did not get through");
    let token = token.get().await.map_err(broke)?;
    let body = json!({ "user_id": user, "content": content, "kind": "check" });
    let web = Web::new(&options.address).map_err(broke)?;
    let reply = web
        .ask("/v1/notifications", Some(&token), Some(&body))
        .await
        .map_err(broke)?;
    match reply.status {
        200..=299 => Ok(()),
        403 => Err(Finding::fail("HTTP: 403", NOTIFY_SCOPE)),
        401 => Err(Finding::fail(
            "HTTP: 401",
            "the service's token is refused: compare it with the user's, which was taken",
        )),
        status => Err(Finding::fail(
            format!("HTTP: {status}"),
            "the server's log has the reason",
        )),
    }
}

async fn insert(url: &DatabaseUrl, user: &str, content: &str) -> Result<(), Finding> {
    let user = UserId::new(user)
        .map_err(|_| Finding::fail("no user", "the server did not say whose token it is"))?;
    let store = Store::connect(url.expose(), 1)
        .await
        .map_err(|error| Finding::fail(error.to_string(), "the database cannot be reached from here"))?;
    let notification = NewNotification {
        kind: Some("check".to_owned()),
        content: content.to_owned(),
        ..NewNotification::default()
    };
    let inserted = store.insert_notification(&user, &notification).await;
    store.close().await;
    match inserted {
        Ok(_) => Ok(()),
        Err(error) => Err(Finding::fail(
            format!("SQL: {error}"),
            "wrong role: this login may not notify. GRANT agent_notifier, or agent_app for a server, to it.",
        )),
    }
}
