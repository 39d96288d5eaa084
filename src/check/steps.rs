//! The steps on a socket: connect, ask, be cut and resume, be silent, be notified. In this order, in one session that is deleted
//! at the end.
//!
//! Each step says what it measured; what it likely comes from is [`super::causes`]'s. [`super::run`] calls [`check`].

use std::io;
use std::time::Duration;

use serde_json::json;
use time::OffsetDateTime;
use tokio::time::Instant;

use super::Options;
use super::causes::{self, BUFFERING, IDLE_CUT};
use super::door::{knock, ms};
use super::inform;
use super::probe::Probe;
use super::report::{Finding, Report};
use crate::client::frames::Response;
use crate::client::news::{News, Start};
use crate::client::{self, Client, Token, says};
use crate::ids::MessageId;
use crate::secret::Secret;

/// How long anything but an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long an answer may take.
const ANSWER: Duration = Duration::from_mins(2);

/// What takes longer than this is worth a look.
const SLOW: Duration = Duration::from_secs(1);

/// The server's silence, where it does not tell.
const HEARTBEAT: Duration = Duration::from_secs(25);

/// How much longer than the server's silence we are silent.
const MARGIN: Duration = Duration::from_secs(5);

/// The cause where a step was ended by something else.
const BROKE: &str = "the connection broke; the server's log and the proxy's have the reason";

pub(super) async fn check(options: &Options, token: &Secret, report: &mut Report) -> io::Result<()> {
    let welcome = match knock(&options.address, token).await {
        Ok((welcome, finding)) => {
            report.add("connect", &finding)?;
            welcome
        }
        Err(finding) => return report.add("connect", &finding),
    };
    let client = Client::new(client::Options {
        address: options.address.clone(),
        token: Token::Fixed(token.clone()),
        start: Start::Session(welcome.session_id),
    });
    let mut probe = Probe { client };
    report.add("round trip", &or_broke(round_trip(&mut probe).await))?;
    let (answered, pieces) = answer(&mut probe, &options.question).await;
    let can_answer = answered.is_ok();
    report.add("answer", &answered.unwrap_or_else(|fault| fault))?;
    if can_answer {
        report.add("streaming", &streaming(&pieces))?;
        report.add("resume", &or_broke(resume(&mut probe, &options.question).await))?;
    } else {
        report.skip("resume", "there is no answer to be cut in")?;
    }
    let heartbeat = welcome.heartbeat_ms.map_or(HEARTBEAT, Duration::from_millis);
    match options.idle.unwrap_or(heartbeat + MARGIN) {
        Duration::ZERO => report.skip("idle", "--idle-seconds 0")?,
        idle => report.add("idle", &silence(&mut probe, idle, heartbeat).await)?,
    }
    inform::check(options, &mut probe, &welcome.user_id, report).await?;
    // What cannot be deleted any more is a session with two questions.
    let delete = says::command("delete", &json!({ "session_id": welcome.session_id }));
    let _ = probe.command(delete).await;
    probe.client.close().await;
    Ok(())
}

fn or_broke(found: Result<Finding, String>) -> Finding {
    found.unwrap_or_else(|why| Finding::fail(why, BROKE))
}

/// How long the smallest exchange takes.
async fn round_trip(probe: &mut Probe) -> Result<Finding, String> {
    probe
        .until(PATIENCE, |news| matches!(news, News::Live).then_some(()))
        .await?;
    let mut times = Vec::new();
    for _ in 0..5 {
        times.push(probe.command(says::command("ping", &json!({}))).await?);
    }
    times.sort();
    let median = times.get(2).copied().unwrap_or_default();
    let measured = format!("{} (median of 5)", ms(median));
    Ok(if median > SLOW {
        Finding::warn(measured, BUFFERING)
    } else {
        Finding::ok(measured)
    })
}

/// Sends a question: the message that it became, and how long its receipt took.
async fn ask(probe: &mut Probe, question: &str) -> Result<(MessageId, Duration), String> {
    let frame = says::query(question);
    let id = frame.id.clone();
    let began = Instant::now();
    probe.client.send(frame).map_err(|full| full.to_string())?;
    let message = probe
        .until(PATIENCE, |news| match news {
            News::Accepted(accepted) if accepted.re.as_ref() == Some(&id) => Some(Ok(accepted.message_id)),
            News::Failed(failure) if failure.re.as_ref() == Some(&id) => {
                Some(Err(format!("{} ({})", failure.content, failure.code)))
            }
            _ => None,
        })
        .await??;
    Ok((message, began.elapsed()))
}

type Pieces = Vec<(OffsetDateTime, Duration)>;

/// Asks, and notes when each piece of the answer was sent and came.
async fn answer(probe: &mut Probe, question: &str) -> (Result<Finding, Finding>, Pieces) {
    let mut pieces = Vec::new();
    let refused = |why: String| {
        Finding::fail(
            why,
            "the question was refused: a limit or quota of the server's, or its database (see --database-url)",
        )
    };
    let began = Instant::now();
    let (message, accepted) = match ask(probe, question).await {
        Ok(asked) => asked,
        Err(why) => return (Err(refused(why)), pieces),
    };
    let mut said = None;
    let ended = probe
        .until(ANSWER, |news| match news {
            News::Text { at, .. } => {
                pieces.push((at.0, began.elapsed()));
                None
            }
            News::Failed(failure) => {
                said = Some(failure.content.clone());
                None
            }
            News::Answered { response, intact, .. } if response.in_reply_to == Some(message) => {
                Some((response.clone(), *intact))
            }
            _ => None,
        })
        .await;
    let found = match ended {
        Err(why) => Err(Finding::fail(
            why,
            "the model does not answer, or its text does not arrive (proxy buffering)",
        )),
        Ok((response, _)) if response.state != "complete" => Err(unanswered(&response, said)),
        Ok((_, false)) => Err(Finding::fail(
            "the text is not the one that was stored",
            "a proxy changes what it passes on",
        )),
        Ok((response, true)) => {
            let first = pieces.first().map_or(began.elapsed(), |(_, arrived)| *arrived);
            Ok(answered(&response, accepted, first, began.elapsed()))
        }
    };
    (found, pieces)
}

fn answered(response: &Response, accepted: Duration, first: Duration, whole: Duration) -> Finding {
    let characters = response.content.chars().count();
    let measured = format!(
        "accepted in {}, first text in {}, {characters} characters in {}",
        ms(accepted),
        ms(first),
        ms(whole)
    );
    if accepted > SLOW {
        Finding::warn(
            measured,
            "slow database: a question is accepted when it is committed",
        )
    } else {
        Finding::ok(measured)
    }
}

fn unanswered(response: &Response, said: Option<String>) -> Finding {
    let code = response
        .error
        .as_ref()
        .map_or("no code", |fault| fault.code.as_str());
    Finding::fail(
        format!("{} ({code}) {}", response.state, said.unwrap_or_default()),
        "the model's provider: OPENROUTER_API_KEY, its credit, MODEL, or the way there. The server's log has the reason",
    )
}

/// Whether text came as it was sent.
fn streaming(pieces: &Pieces) -> Finding {
    let bunch = causes::longest_bunch(pieces);
    let spread = match (pieces.first(), pieces.last()) {
        (Some((first, _)), Some((last, _))) => Duration::try_from(*last - *first).unwrap_or_default(),
        _ => Duration::ZERO,
    };
    let count = pieces.len();
    let measured = format!(
        "{count} pieces, sent over {:.1} s; at most {:.1} s of it came at once",
        spread.as_secs_f64(),
        bunch.as_secs_f64()
    );
    if bunch >= causes::BUNCH {
        Finding::fail(measured, BUFFERING)
    } else if spread < causes::BUNCH {
        Finding::ok(format!("{measured} (too short to show a proxy that buffers)"))
    } else {
        Finding::ok(measured)
    }
}

/// Cuts the connection in the middle of an answer, and comes back.
async fn resume(probe: &mut Probe, question: &str) -> Result<Finding, String> {
    let (message, _) = ask(probe, question).await?;
    let of_this = |news: &News| match news {
        News::Answered { response, intact, .. } if response.in_reply_to == Some(message) => {
            Some((response.state.clone(), *intact))
        }
        _ => None,
    };
    let before = probe
        .until(ANSWER, |news| match news {
            News::Text { .. } => Some(None),
            news => of_this(news).map(Some),
        })
        .await?;
    probe.client.cut();
    let began = Instant::now();
    let mut ended = before;
    probe
        .across(PATIENCE, |news| {
            ended = ended.take().or_else(|| of_this(news));
            matches!(news, News::Live).then_some(())
        })
        .await?;
    let back = began.elapsed();
    let was_in_middle = ended.is_none();
    let (state, intact) = match ended {
        Some(ended) => ended,
        None => probe.until(ANSWER, of_this).await?,
    };
    let place = if was_in_middle {
        "in mid-answer"
    } else {
        "at the end of an answer"
    };
    let measured = format!("cut {place}, live again in {}, the text {state}", ms(back));
    Ok(if state == "complete" && intact {
        Finding::ok(format!("{measured} and as stored"))
    } else {
        Finding::fail(
            measured,
            "the answer did not survive the cut: another node or a restart in between? Its log has the reason",
        )
    })
}

/// Says nothing for a while, and looks whether the connection is still there.
async fn silence(probe: &mut Probe, idle: Duration, heartbeat: Duration) -> Finding {
    let began = Instant::now();
    if let Err(why) = probe.stays(idle).await {
        return Finding::fail(
            format!("{why}, after {} of silence", ms(began.elapsed())),
            IDLE_CUT,
        );
    }
    if let Err(why) = probe.command(says::command("ping", &json!({}))).await {
        return Finding::fail(
            format!("dead after {} s of silence: {why}", idle.as_secs()),
            IDLE_CUT,
        );
    }
    let measured = format!("{} s of silence", idle.as_secs());
    if idle < heartbeat {
        Finding::ok(format!(
            "{measured}, which is less than the server's ({} s)",
            heartbeat.as_secs()
        ))
    } else {
        Finding::ok(measured)
    }
}
