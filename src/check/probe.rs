//! A client whose every event has a moment, and which is waited for no longer than it should take.
//!
//! Refuses to judge. [`super::steps`] asks it.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::client::news::News;
use crate::client::says::Outgoing;
use crate::client::{Client, Event};

/// A client under watch.
pub(super) struct Probe {
    pub(super) client: Client,
}

impl Probe {
    /// Waits for what `pick` takes; a lost connection ends the wait.
    ///
    /// # Errors
    /// What happened instead.
    pub(super) async fn until<T>(
        &mut self,
        within: Duration,
        mut pick: impl FnMut(&News) -> Option<T>,
    ) -> Result<T, String> {
        self.watch(within, |event| match event {
            Event::News(news) => pick(news).map(Ok),
            Event::Down { why, .. } => Some(Err(format!("disconnected: {why}"))),
        })
        .await?
    }

    /// Waits for what `pick` takes, across as many connections as that takes.
    ///
    /// # Errors
    /// What happened instead.
    pub(super) async fn across<T>(
        &mut self,
        within: Duration,
        mut pick: impl FnMut(&News) -> Option<T>,
    ) -> Result<T, String> {
        self.watch(within, |event| match event {
            Event::News(news) => pick(news),
            Event::Down { .. } => None,
        })
        .await
    }

    /// Whether the connection lasts so long.
    ///
    /// # Errors
    /// Why it ended.
    pub(super) async fn stays(&mut self, time: Duration) -> Result<(), String> {
        let until = Instant::now() + time;
        loop {
            match timeout_at(until, self.client.next()).await {
                Err(_) => return Ok(()),
                Ok(Ok(Event::News(_))) => {}
                Ok(Ok(Event::Down { why, .. }) | Err(why)) => return Err(format!("disconnected: {why}")),
            }
        }
    }

    async fn watch<T>(
        &mut self,
        within: Duration,
        mut pick: impl FnMut(&Event) -> Option<T>,
    ) -> Result<T, String> {
        let until = Instant::now() + within;
        loop {
            let event = timeout_at(until, self.client.next())
                .await
                .map_err(|_| format!("nothing for {} s", within.as_secs()))??;
            if let Some(picked) = pick(&event) {
                return Ok(picked);
            }
        }
    }

    /// Sends a command, and waits for its answer: how long that took.
    ///
    /// # Errors
    /// What happened instead.
    pub(super) async fn command(&mut self, frame: Outgoing) -> Result<Duration, String> {
        let began = Instant::now();
        let id = frame.id.clone();
        self.client.send(frame).map_err(|full| full.to_string())?;
        self.until(Duration::from_secs(20), |news| match news {
            News::Done(done) if done.re.as_ref() == Some(&id) => Some(Ok(())),
            News::Failed(failure) if failure.re.as_ref() == Some(&id) => {
                Some(Err(format!("{} ({})", failure.content, failure.code)))
            }
            _ => None,
        })
        .await??;
        Ok(began.elapsed())
    }
}
