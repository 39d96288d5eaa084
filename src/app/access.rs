//! Tokens for the commands that connect to a deployment (`chat`, `check`): given, read from a file, or signed here.
//!
//! Refuses to sign for an address that is not this machine's: the secret that would be used is this machine's too.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;

use super::commands::checked;
use super::dev;
use crate::auth::{MintRequest, NOTIFY_SCOPE, mint};
use crate::cli::{AccessArgs, CheckArgs};
use crate::client::Token;
use crate::clock::Clock;
use crate::config::{self, TokenSettings};
use crate::ids::UserId;
use crate::secret::{DatabaseUrl, Secret};

/// How long a token holds that is signed here.
const LIFE: Duration = Duration::from_hours(1);

/// Where the token for a deployment comes from; `scope` is what one that is signed here allows.
///
/// # Errors
/// When there is none.
pub(super) fn token(access: &AccessArgs, scope: Option<&'static str>) -> anyhow::Result<Token> {
    if let Some(token) = &access.token {
        return Ok(Token::Fixed(token.clone()));
    }
    if let Some(file) = access.token_file.clone() {
        return Ok(Token::Asked(Box::new(move || Box::pin(read(file.clone())))));
    }
    anyhow::ensure!(
        access.url.is_local(),
        "no token for {}: set AGENT_WEBSOCKET_TOKEN, or give --token-file",
        access.url
    );
    // Said at once if there is nothing to sign with.
    let sign = signer(scope)?;
    Ok(Token::Asked(Box::new(move || {
        Box::pin(std::future::ready(sign().map_err(|error| format!("{error:#}"))))
    })))
}

/// A token with which to notify: given, or signed here where the user's is too.
///
/// # Errors
/// When there is nothing to sign with.
pub(super) fn service_token(arguments: &CheckArgs) -> anyhow::Result<Option<Token>> {
    if let Some(token) = &arguments.service_token {
        return Ok(Some(Token::Fixed(token.clone())));
    }
    if signs(&arguments.access) {
        return Ok(Some(token(&arguments.access, Some(NOTIFY_SCOPE))?));
    }
    Ok(None)
}

/// The server's database: given, or that of the `dev` whose secret signs the tokens.
pub(super) fn database(arguments: &CheckArgs) -> Option<DatabaseUrl> {
    if arguments.database_url.is_some() || !signs(&arguments.access) {
        return arguments.database_url.clone();
    }
    let (_, data_dir) = config::database_or_dev(&config::environment).ok()?;
    dev::running_database(&data_dir).ok()
}

/// Whether tokens are signed here.
fn signs(access: &AccessArgs) -> bool {
    access.token.is_none() && access.token_file.is_none() && access.url.is_local()
}

/// Signs tokens of the demo user, as the command `token` does.
fn signer(scope: Option<&'static str>) -> anyhow::Result<impl Fn() -> anyhow::Result<Secret> + Send + use<>> {
    let settings = checked(TokenSettings::from_lookup(&config::environment))?;
    let secret = match &settings.secret {
        Some(secret) => secret.clone(),
        None => {
            dev::existing_secret(&settings.data_dir).context("no token was given, and none can be signed")?
        }
    };
    let user_id = UserId::new(dev::DEMO_USER)?;
    Ok(move || {
        let request = MintRequest {
            user_id: &user_id,
            ttl: LIFE,
            issuer: settings.issuer.as_deref(),
            audience: settings.audience.as_deref(),
            authorized_party: settings.authorized_party.as_deref(),
            scope,
            token_id: uuid::Uuid::new_v4(),
        };
        Ok(Secret::new(&mint(&secret, &request, Clock::system().now())?))
    })
}

async fn read(file: PathBuf) -> Result<Secret, String> {
    let text = tokio::fs::read_to_string(&file)
        .await
        .map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(Secret::new(text.trim()))
}
