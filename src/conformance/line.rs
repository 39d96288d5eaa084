//! One connection of a check: sends, waits for what should come, and shows every frame to its witness.
//!
//! Waits for each next thing as long as the run's patience, and no longer: a server that is silent fails the check that
//! waited. A refusal by rate is no fault: what was refused is sent again when the server says. Opened by [`super::bed`].

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_tungstenite::tungstenite::Message;

use super::Stop;
use super::frame::Frame;
use super::rules::{Notes, Rule};
use super::schema::{Judgement, Schema};
use super::witness::Witness;
use crate::client::Socket;

/// How often something is sent again that came too soon.
const MAX_REPEATS: u32 = 20;

/// The longest that a server may ask to be left alone for.
const MAX_WAIT: Duration = Duration::from_secs(90);

/// What all connections of a run share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) notes: Rc<RefCell<Notes>>,
    pub(super) schema: Rc<Schema>,
    pub(super) patience: Duration,
}

/// One connection.
pub(super) struct Line {
    socket: Socket,
    witness: Witness,
    shared: Shared,
    /// Every frame so far.
    pub(super) heard: Vec<Frame>,
    /// The session that `welcome` named last.
    pub(super) session: String,
    sent: u32,
}

/// What came.
#[derive(Debug)]
pub(super) enum Heard {
    Frame(Frame),
    /// The end, by a close frame.
    Closed(u16),
}

impl Line {
    pub(super) fn new(socket: Socket, witness: Witness, shared: Shared) -> Self {
        Self {
            socket,
            witness,
            shared,
            heard: Vec::new(),
            session: String::new(),
            sent: 0,
        }
    }

    /// Sends a frame.
    pub(super) async fn send(&mut self, frame: &Value) -> Result<(), Stop> {
        self.witness.sent(frame);
        self.send_message(Message::text(frame.to_string())).await
    }

    /// Sends anything, whatever becomes of it.
    pub(super) async fn send_message(&mut self, message: Message) -> Result<(), Stop> {
        match timeout(self.shared.patience, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Stop::Failed(format!("nothing could be sent: {error}"))),
            Err(_) => Err(Stop::Failed("the server reads nothing".to_owned())),
        }
    }

    /// The next frame or the close; `what` is waited for.
    pub(super) async fn hear(&mut self, what: &str) -> Result<Heard, Stop> {
        let until = Instant::now() + self.shared.patience;
        loop {
            let Ok(message) = timeout_at(until, self.socket.next()).await else {
                let (seconds, last) = (self.shared.patience.as_secs(), self.heard.last());
                let last = last.map_or_else(|| "nothing".to_owned(), ToString::to_string);
                return Err(Stop::Failed(format!(
                    "{what} did not come within {seconds} s; before that came {last}"
                )));
            };
            match message {
                Some(Ok(Message::Text(text))) => {
                    if let Some(frame) = self.read(&text)? {
                        return Ok(Heard::Frame(frame));
                    }
                }
                Some(Ok(Message::Close(close))) => {
                    let code = close.map_or(1005, |close| close.code.into());
                    self.shared.notes.borrow_mut().closes.insert(code);
                    // The library answers while it reads on; what comes of it is no matter.
                    let _ = timeout(self.shared.patience, self.socket.next()).await;
                    return Ok(Heard::Closed(code));
                }
                Some(Ok(Message::Binary(_))) => {
                    let what = "a binary frame came".to_owned();
                    self.shared.notes.borrow_mut().breach(Rule::Schema, what);
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    return Err(Stop::Failed(format!(
                        "the connection broke while {what} was waited for: {error}"
                    )));
                }
                None => {
                    return Err(Stop::Failed(format!(
                        "the connection ended while {what} was waited for, without a close frame"
                    )));
                }
            }
        }
    }

    /// A frame that says something: no heartbeat, and nothing that a client ignores because it does not know it.
    fn read(&mut self, text: &str) -> Result<Option<Frame>, Stop> {
        let mut notes = self.shared.notes.borrow_mut();
        let frame = Frame::read(text).map_err(|fault| {
            notes.breach(Rule::Schema, format!("a frame {fault}"));
            Stop::Failed(format!("a frame {fault}"))
        })?;
        match self.shared.schema.judge(&frame) {
            Judgement::Valid => notes.look(Rule::Schema),
            Judgement::Invalid(faults) => notes.breach(Rule::Schema, format!("{faults} in {frame}")),
            Judgement::Unknown => {
                let name = format!("{} {}", frame.kind(), frame.event());
                notes.unknown.insert(name.trim_end().to_owned());
                return Ok(None);
            }
        }
        notes.errors.extend(frame.text("code").map(str::to_owned));
        self.witness.saw(&frame, &mut notes);
        if frame.is("notification", "welcome") {
            frame
                .text("session_id")
                .unwrap_or_default()
                .clone_into(&mut self.session);
        }
        if frame.is("status", "heartbeat") {
            return Ok(None);
        }
        self.heard.push(frame.clone());
        Ok(Some(frame))
    }

    /// Reads on until a frame is the one that is waited for.
    pub(super) async fn until(&mut self, what: &str, is_it: impl Fn(&Frame) -> bool) -> Result<Frame, Stop> {
        loop {
            match self.hear(what).await? {
                Heard::Frame(frame) if is_it(&frame) => return Ok(frame),
                Heard::Frame(_) => {}
                Heard::Closed(code) => {
                    return Err(Stop::Failed(format!(
                        "closed with {code} while {what} was waited for"
                    )));
                }
            }
        }
    }

    /// Reads on until the close, whose code is returned.
    pub(super) async fn closed(&mut self, what: &str) -> Result<u16, Stop> {
        loop {
            if let Heard::Closed(code) = self.hear(what).await? {
                return Ok(code);
            }
        }
    }

    /// Reads on until the close, which must have this code.
    pub(super) async fn closes_with(&mut self, code: u16) -> Result<(), Stop> {
        let came = self.closed(&format!("the close with {code}")).await?;
        super::must(came == code, || format!("closed with {came} instead of {code}"))
    }

    /// Waits until the catch-up is complete.
    pub(super) async fn live(&mut self) -> Result<Frame, Stop> {
        self.until("`live`", |frame| frame.is("status", "live")).await
    }

    /// A name that no frame of this connection had.
    pub(super) fn name(&mut self) -> String {
        self.sent += 1;
        format!("c{}-{}", self.sent, rand::random::<u32>())
    }

    /// Sends a frame, under a new `id` unless it has one, and waits for its answer.
    pub(super) async fn ask(&mut self, frame: Value) -> Result<Frame, Stop> {
        let mut frame = frame;
        if frame.get("id").is_none() {
            let name = self.name();
            if let Some(fields) = frame.as_object_mut() {
                fields.insert("id".to_owned(), json!(name));
            }
        }
        let id = frame
            .get("id")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        for _ in 0..MAX_REPEATS {
            self.send(&frame).await?;
            let what = format!("the answer to {frame:.200}");
            let answer = self.until(&what, |answer| answer.text("re") == Some(&id)).await?;
            if answer.text("code") != Some("rate_limited") {
                return Ok(answer);
            }
            self.wait_out(&answer).await?;
        }
        Err(Stop::Failed(format!(
            "refused by rate {MAX_REPEATS} times: {frame:.200}"
        )))
    }

    /// Waits as long as a refusal by rate asks for.
    async fn wait_out(&mut self, refusal: &Frame) -> Result<(), Stop> {
        self.shared.notes.borrow_mut().rate_limited = Some(refusal.to_string());
        let after = refusal.int("retry_after_ms").unwrap_or(1000);
        let after = Duration::from_millis(u64::try_from(after).unwrap_or_default());
        super::must(after <= MAX_WAIT, || {
            format!("it asks to wait too long: {refusal}")
        })?;
        sleep(after + Duration::from_millis(50)).await;
        Ok(())
    }

    /// Carries out a command; the answer must be its `status`.
    pub(super) async fn command(&mut self, name: &str, arguments: Value) -> Result<Frame, Stop> {
        let mut frame = json!({ "type": "command", "content": name });
        if let (Some(fields), Value::Object(_)) = (frame.as_object_mut(), &arguments) {
            fields.insert("args".to_owned(), arguments);
        }
        let answer = self.ask(frame).await?;
        super::must(answer.is("status", name), || {
            format!("the command `{name}` was answered by {answer}")
        })?;
        Ok(answer)
    }

    /// Reads what may still have come, up to the answer to a ping, so that the rules see what follows the last frame that was
    /// waited for.
    pub(super) async fn settle(&mut self) -> Result<(), Stop> {
        self.command("ping", Value::Null).await.map(|_| ())
    }

    /// Sends a frame that must be refused with this code.
    pub(super) async fn refused(&mut self, frame: Value, code: &str) -> Result<Frame, Stop> {
        let shown = format!("{frame:.200}");
        let answer = self.ask(frame).await?;
        super::must(answer.text("code") == Some(code), || {
            format!("{shown} was answered by {answer} instead of the error `{code}`")
        })?;
        Ok(answer)
    }

    /// Asks the agent; the answer must be `accepted`.
    pub(super) async fn query(&mut self, content: &str) -> Result<Frame, Stop> {
        self.query_with(json!({ "content": content })).await
    }

    /// Asks the agent with these fields.
    pub(super) async fn query_with(&mut self, fields: Value) -> Result<Frame, Stop> {
        let mut frame = json!({ "type": "query" });
        if let (Some(all), Value::Object(fields)) = (frame.as_object_mut(), fields) {
            all.extend(fields);
        }
        let answer = self.ask(frame).await?;
        super::must(answer.is("status", "accepted"), || {
            format!("a query was answered by {answer}")
        })?;
        Ok(answer)
    }

    /// Waits for the `response` of a run.
    pub(super) async fn response(&mut self, run: &str) -> Result<Frame, Stop> {
        let is_it = |frame: &Frame| frame.kind() == "response" && frame.text("run_id") == Some(run);
        if let Some(frame) = self.heard.iter().find(|frame| is_it(frame)) {
            return Ok(frame.clone());
        }
        self.until("the `response`", is_it).await
    }

    /// Waits for a delta of a run with which its text is at least so long, and returns the text.
    pub(super) async fn text(&mut self, run: &str, at_least: usize) -> Result<String, Stop> {
        let mut text: Vec<u16> = Vec::new();
        while text.len() < at_least {
            let what = "text as it is written (a `delta`)";
            let frame = self
                .until(what, |frame| {
                    matches!(frame.kind(), "delta" | "response") && frame.text("run_id") == Some(run)
                })
                .await?;
            if frame.kind() == "response" {
                return Err(Stop::Skipped(
                    "the answer was complete too soon: give a --long-question whose answer takes seconds"
                        .to_owned(),
                ));
            }
            let offset = usize::try_from(frame.int("offset").unwrap_or_default()).unwrap_or_default();
            text.truncate(offset);
            text.extend(frame.text("content").unwrap_or_default().encode_utf16());
        }
        Ok(String::from_utf16_lossy(&text))
    }

    /// Ends it as a network that goes away does, without a close frame.
    pub(super) fn cut(self) {
        drop(self);
    }

    /// Ends it in an orderly way.
    pub(super) async fn close(mut self) -> Result<(), Stop> {
        self.send_message(Message::Close(None)).await
    }
}
