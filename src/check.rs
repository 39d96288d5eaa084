//! `check`: goes through a deployment as a client, a service and a server would, and says what is wrong and why.
//!
//! Owns the order of the steps and the verdict of the whole. Measures from outside, so that proxies and clocks between are
//! measured too; with the database's address it also looks inside. Cleans up behind itself. `app` calls [`run`].

mod causes;
mod database;
mod door;
mod inform;
mod probe;
mod report;
mod steps;
mod web;

use std::time::Duration;

use self::report::Report;
use crate::client::Token;
use crate::client::address::Address;
use crate::clock::Clock;
use crate::secret::DatabaseUrl;

/// What to check, and with what.
#[derive(Debug)]
pub struct Options {
    /// Where the deployment is.
    pub address: Address,
    /// A user's token.
    pub token: Token,
    /// A token that may notify.
    pub service_token: Option<Token>,
    /// The server's database.
    pub database_url: Option<DatabaseUrl>,
    /// The same database as the server listens to it.
    pub listen_url: Option<DatabaseUrl>,
    /// How long to be silent; `None`: longer than the server ever is.
    pub idle: Option<Duration>,
    /// What to ask the model.
    pub question: String,
    /// This machine's clock.
    pub clock: Clock,
}

/// Checks, and prints what it found.
///
/// # Errors
/// When something failed, or the table cannot be written.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let mut report = Report::new();
    let token = options.token.get().await.map_err(anyhow::Error::msg)?;
    report.begin(&options.address.to_string())?;
    // Where HTTP does not get through, its findings say more than what would follow from them.
    if web::check(&options, &token, &mut report).await? {
        steps::check(&options, &token, &mut report).await?;
    } else {
        report.skip("connect", "not tried, since the above failed")?;
    }
    database::check(&options, &mut report).await?;
    let failures = report.failures();
    anyhow::ensure!(
        failures == 0,
        "{failures} {} failed",
        if failures == 1 { "check" } else { "checks" }
    );
    Ok(())
}
