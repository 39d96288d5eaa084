//! The commands that work on the database beside a server: `migrate`, `notify`, `revoke`, `export`.

use std::io::Write;

use anyhow::Context;

use super::commands::checked;
use super::dev;
use crate::cli::{ExportArgs, NotifyArgs, RevokeArgs};
use crate::config;
use crate::ids::{SessionId, SessionKey};
use crate::protocol::notice::Notice;
use crate::protocol::text::Text;
use crate::service::export::{Export, Format};
use crate::store::Store;
use crate::store::notifications::NewNotification;
use crate::store::revocations::NewRevocation;

/// Connects to the database that was named, or says which could not be reached.
async fn connect(url: &crate::secret::DatabaseUrl) -> anyhow::Result<Store> {
    Store::connect(url.expose(), 1)
        .await
        .with_context(|| format!("{url} cannot be reached"))
}

/// The named database, or the one of the `dev` that runs in the data directory.
async fn named_or_dev() -> anyhow::Result<Store> {
    match checked(config::database_or_dev(&config::environment))? {
        (Some(url), _) => connect(&url).await,
        (None, data_dir) => {
            let url = dev::running_database(&data_dir)?;
            connect(&url).await.context("is `agent-websocket dev` running?")
        }
    }
}

/// Brings the schema up to this version, and says what a person still has to do.
pub(super) async fn migrate() -> anyhow::Result<()> {
    let url = checked(config::database_url(&config::environment))?;
    let store = connect(&url).await?;
    store.migrate().await?;
    let missing = store.missing_roles().await?;
    store.close().await;
    writeln!(std::io::stdout(), "The schema is up to date.")?;
    if !missing.is_empty() {
        writeln!(
            std::io::stdout(),
            "Roles that this user may not create: {}. The server works as the schema's owner; for the other roles have someone \
             who may CREATE ROLE run deploy/roles.sql in this database.",
            missing.join(", ")
        )?;
    }
    Ok(())
}

/// Notifies a user and prints the notification's id.
pub(super) async fn notify(arguments: NotifyArgs) -> anyhow::Result<()> {
    let user = arguments.user.clone();
    let notice = notice(arguments)?;
    notice
        .check()
        .map_err(|refusal| anyhow::anyhow!("{}", refusal.content))?;
    let store = named_or_dev().await?;
    let id = store
        .insert_notification(&user, &NewNotification::from(notice))
        .await?;
    store.close().await;
    if let Some(id) = id {
        writeln!(std::io::stdout(), "{id}")?;
    }
    Ok(())
}

fn notice(arguments: NotifyArgs) -> anyhow::Result<Notice> {
    let text = |text: String| Text::new(text).map_err(|error| anyhow::anyhow!("{error}"));
    Ok(Notice {
        user_id: text(arguments.user.as_str().to_owned())?,
        content: text(arguments.text)?,
        session_id: arguments.session.map(SessionId),
        kind: arguments.kind.map(text).transpose()?,
        title: arguments.title.map(text).transpose()?,
        data: arguments.data,
        priority: arguments.priority.map(text).transpose()?,
        dedupe_key: arguments.dedupe_key.map(text).transpose()?,
        collapse_key: arguments.collapse_key.map(text).transpose()?,
        deliver_after: arguments.deliver_after,
        expires_at: arguments.expires_at,
        in_context: arguments.in_context,
    })
}

/// Revokes, and prints the revocation's id.
pub(super) async fn revoke(arguments: RevokeArgs) -> anyhow::Result<()> {
    let revocation = NewRevocation {
        user_id: arguments.user,
        token_id: arguments.token_id,
        issued_before: arguments.issued_before,
        expires_at: arguments.expires_at,
    };
    let store = named_or_dev().await?;
    let id = store.revoke(&revocation).await?;
    store.close().await;
    writeln!(std::io::stdout(), "{id}")?;
    Ok(())
}

/// Writes a session to the standard output, a page at a time.
pub(super) async fn export(arguments: &ExportArgs) -> anyhow::Result<()> {
    let format = Format::named(&arguments.format).context("the format must be jsonl or markdown")?;
    let session_id = SessionId(arguments.session);
    let store = named_or_dev().await?;
    let no_session = || format!("there is no session {session_id}");
    let user_id = store
        .find_session_owner(session_id)
        .await?
        .with_context(no_session)?;
    let key = SessionKey { user_id, session_id };
    let mut export = Export::begin(store.clone(), key, format)
        .await?
        .with_context(no_session)?;
    let mut output = std::io::stdout().lock();
    while let Some(piece) = export.next().await? {
        output.write_all(piece.as_bytes())?;
    }
    output.flush()?;
    store.close().await;
    Ok(())
}
