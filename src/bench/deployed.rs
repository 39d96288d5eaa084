//! The load on a deployment that is there: questions, a return to every session, and the count of what came. Called by `run`.
//!
//! Owns no process and looks into no database: what was lost is seen by coming back to each session and being sent all of it.

use std::time::Instant;

use anyhow::{Context, ensure};
use tokio::task::JoinSet;

use super::figures::{Times, now_ns, rate};
use super::load::{Client, Tally, Target, open_these};
use super::provider::{Provider, Script};
use super::suites::Sample;
use crate::cli::BenchArgs;
use crate::config;
use crate::secret::Secret;

/// Somebody else's model: the question holds no order that it would have to follow.
const ANYTHING: Script = Script {
    tokens: 0,
    together: 1,
    every_ms: 0,
};

/// Round trips without a question, by each client.
const PINGS: usize = 5;

/// A deployment, and what answers there.
#[derive(Debug)]
pub(super) struct Deployment {
    target: Target,
    script: Script,
    _provider: Option<Provider>,
    connections: usize,
    questions: usize,
}

impl Deployment {
    /// From the arguments, and the secret that signs the deployment's tokens.
    pub(super) fn of(arguments: &BenchArgs) -> anyhow::Result<Option<Self>> {
        let Some(address) = arguments.target else {
            return Ok(None);
        };
        let secret = config::environment("JWT_SECRET").context(
            "--target needs JWT_SECRET in the environment: it signs the tokens of the users that ask",
        )?;
        let provider = arguments.provider.map(Provider::start_at).transpose()?;
        Ok(Some(Self {
            target: Target {
                address,
                path: "/v1/ws",
                secret: Some(Secret::new(&secret)),
                run: format!("{:08x}", rand::random::<u32>()),
            },
            script: if provider.is_some() {
                Script::AT_ONCE
            } else {
                ANYTHING
            },
            _provider: provider,
            connections: arguments.connections,
            questions: arguments.questions,
        }))
    }

    /// All ask in turn, are cut, and come back.
    pub(super) async fn measure(&self) -> anyhow::Result<Sample> {
        let mut clients = open_these(std::slice::from_ref(&self.target), 0..self.connections).await?;
        let mut sample = Sample::default();
        let pings = ping(&mut clients).await?.sorted();
        let began = Instant::now();
        let (clients, tally) = self.ask(clients).await?;
        let took = began.elapsed();
        let mut returns = Times::default();
        for client in clients {
            let (number, session) = (client.number, client.session.clone());
            client.socket.cut()?;
            let left = now_ns();
            let back = Client::resume(&self.target, number, &session, 0).await?;
            returns.add(now_ns() - left);
            let (lost, doubled) = missed(&back.replayed, self.questions * 2);
            sample.lost += lost;
            sample.doubled += doubled;
            back.socket.cut()?;
        }
        let (answers, firsts, returns) = (tally.answers.sorted(), tally.firsts.sorted(), returns.sorted());
        sample.lost += tally.lost;
        sample.doubled += tally.doubled;
        sample.note("ping p50 ms", pings.quantile_ms(0.5));
        sample.note("queries/s", rate(tally.answered, took));
        sample.note("answer p50 ms", answers.quantile_ms(0.5));
        sample.note("answer p99 ms", answers.quantile_ms(0.99));
        sample.note("first token p50 ms", firsts.quantile_ms(0.5));
        sample.note("return p50 ms", returns.quantile_ms(0.5));
        sample.note("return p99 ms", returns.quantile_ms(0.99));
        sample.times = answers;
        Ok(sample)
    }

    async fn ask(&self, clients: Vec<Client>) -> anyhow::Result<(Vec<Client>, Tally)> {
        let (script, questions) = (self.script, self.questions);
        let mut asking = JoinSet::new();
        for mut client in clients {
            asking.spawn(async move {
                let mut tally = Tally::default();
                for _ in 0..questions {
                    client.ask(&script, &mut tally).await?;
                }
                anyhow::Ok((client, tally))
            });
        }
        let (mut clients, mut all) = (Vec::new(), Tally::default());
        while let Some(asked) = asking.join_next().await {
            let (client, tally) = asked??;
            clients.push(client);
            all.merge(tally);
        }
        ensure!(clients.len() == self.connections, "a client was lost");
        Ok((clients, all))
    }
}

/// The way there and back, with nothing at its end: the floor of everything else.
async fn ping(clients: &mut [Client]) -> anyhow::Result<Times> {
    let mut times = Times::default();
    for client in clients {
        for _ in 0..PINGS {
            let sent = now_ns();
            client.command("ping", "{}").await?;
            times.add(now_ns() - sent);
        }
    }
    Ok(times)
}

/// Of a session's messages those that were not sent on the return, and those that were sent again.
fn missed(replayed: &[u64], messages: usize) -> (usize, usize) {
    let mut distinct = replayed.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    (
        messages.saturating_sub(distinct.len()),
        replayed.len() - distinct.len(),
    )
}

#[cfg(test)]
mod tests {
    use super::missed;

    #[test]
    fn a_return_shows_what_was_lost_and_what_came_twice() {
        assert_eq!(missed(&[1, 2, 3, 4], 4), (0, 0));
        assert_eq!(missed(&[1, 2, 2, 4], 4), (1, 1));
    }
}
