//! The floor's way with this schema's rows and the service's frames: what is promised to who looks with SQL, and to the client, by a relay
//! that decides nothing. An answer is written by a task of its own, for it goes on when its connection is gone. Called by `floor`.

use std::borrow::Cow;
use std::sync::Arc;

use anyhow::Context;
use axum::extract::ws::{Message, WebSocket};
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::Floor;
use super::relay::{self, Turn, frame};
use crate::bench::rows::Part;

#[derive(Deserialize)]
struct Question<'a> {
    id: &'a str,
    #[serde(borrow)]
    content: Cow<'a, str>,
}

/// What the task that writes an answer tells the connection.
enum Said {
    More(String),
    Whole(String),
}

/// Serves one connection to its end.
pub(super) async fn converse(mut socket: WebSocket, floor: &Arc<Floor>) -> anyhow::Result<()> {
    let session = Uuid::now_v7();
    floor.pool.open_session(session).await?;
    let mut turns = vec![Turn::system()];
    socket.send(relay::live(session)).await?;
    while let Some(message) = socket.recv().await {
        let Message::Text(text) = message? else { continue };
        let question: Question<'_> = serde_json::from_str(&text)?;
        let run = Uuid::now_v7();
        let asked = Part {
            session,
            run,
            asked_as: Some(question.id.to_owned()),
            content: question.content.into_owned(),
        };
        turns.push(Turn::user(&asked.content));
        floor.parts.append(asked).await?;
        socket.feed(frame("status", "accepted")?).await?;
        socket.send(frame("status", "thinking")?).await?;
        let (say, mut said) = mpsc::channel(1024);
        begin(answer(Arc::clone(floor), session, run, turns.clone(), say));
        loop {
            match said.recv().await.context("an answer broke off")? {
                Said::More(text) => socket.send(frame("delta", &text)?).await?,
                Said::Whole(text) => {
                    socket.send(frame("response", &text)?).await?;
                    turns.push(Turn::assistant(&text));
                    break;
                }
            }
        }
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the floor does not end, it is killed")]
fn begin(task: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
    tokio::spawn(task);
}

/// Writes an answer to its end, whoever listens.
async fn answer(
    floor: Arc<Floor>,
    session: Uuid,
    run: Uuid,
    turns: Vec<Turn>,
    say: mpsc::Sender<Said>,
) -> anyhow::Result<()> {
    let mut body = floor.relay.ask(&turns).await?.into_data_stream();
    let (mut events, mut answer) = (Vec::new(), String::new());
    while let Some(piece) = body.next().await {
        events.extend_from_slice(&piece?);
        let shown = answer.len();
        let used = relay::read_events(&events, &mut answer, None).await?;
        events.drain(..used);
        if let Some(more) = answer.get(shown..).filter(|more| !more.is_empty()) {
            say.send(Said::More(more.to_owned())).await.ok();
        }
    }
    let answered = Part {
        session,
        run,
        asked_as: None,
        content: answer.clone(),
    };
    floor.parts.append(answered).await?;
    say.send(Said::Whole(answer)).await.ok();
    Ok(())
}
