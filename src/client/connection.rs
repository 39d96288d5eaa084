//! A connection that comes back: carries out what [`super::replica`] and [`super::comeback`] decide.
//!
//! Owns the socket, the timers and the token. Refuses to start tasks: [`Client::next`] does all the work while it is awaited,
//! and can be dropped at any await without losing anything.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Message;

use super::address::Address;
use super::comeback::{self, Comeback};
use super::frames::{self, Frame, Reconnect};
use super::news::{News, Start, Then};
use super::replica::Replica;
use super::says::{self, Outgoing};
use super::{OutboxFull, Refused, Socket, dial};
use crate::ids::SessionId;
use crate::secret::Secret;

/// How long a write may take.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);

/// How long the server may be silent before it has said so itself: the contract's default, twice.
const FIRST_SILENCE: Duration = Duration::from_secs(50);

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Where tokens come from.
pub enum Token {
    /// Always the same one.
    Fixed(Secret),
    /// Asked before each connect, and when the server warns that the token ends.
    Asked(Box<dyn Fn() -> Work<Result<Secret, String>> + Send>),
}

impl Token {
    /// A token to use now.
    pub fn get(&self) -> Work<Result<Secret, String>> {
        match self {
            Self::Fixed(token) => Box::pin(std::future::ready(Ok(token.clone()))),
            Self::Asked(ask) => ask(),
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// How to connect.
#[derive(Debug)]
pub struct Options {
    /// Where.
    pub address: Address,
    /// As whom.
    pub token: Token,
    /// In which session, at first.
    pub start: Start,
}

/// What a client tells its user.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A frame's meaning.
    News(News),
    /// The connection has ended, or could not be opened; it will be tried again.
    Down {
        /// Why.
        why: String,
        /// In how long; `None`: when something is to be sent.
        again: Option<Duration>,
    },
}

struct Open {
    sink: SplitSink<Socket, Message>,
    stream: SplitStream<Socket>,
    /// Whether something may wait in the sink.
    unflushed: bool,
    /// When silence has lasted too long.
    dead_at: Instant,
    silence: Duration,
    /// A new token, being fetched.
    renewal: Option<Work<Result<Secret, String>>>,
}

enum State {
    Waiting(Instant),
    Dialing(Work<Result<Socket, Refused>>),
    Open(Box<Open>),
    /// Until something is to be sent.
    Asleep,
    Ended(String),
}

/// A client of one session at a time.
pub struct Client {
    options: Options,
    replica: Replica,
    state: State,
    events: VecDeque<Event>,
    reconnect: Reconnect,
    /// Tries since the last connection that became live.
    failed: u32,
    /// The server asked not to come back before.
    not_before: Option<Instant>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("replica", &self.replica)
            .finish_non_exhaustive()
    }
}

/// What woke an open connection.
enum Woke {
    Message(Option<Result<Message, tokio_tungstenite::tungstenite::Error>>),
    Flushed(bool),
    Silent,
    Renewed(Result<Secret, String>),
}

impl Client {
    /// A client that connects when it is first awaited.
    pub fn new(options: Options) -> Self {
        Self {
            replica: Replica::new(options.start),
            options,
            state: State::Waiting(Instant::now()),
            events: VecDeque::new(),
            reconnect: comeback::DEFAULT,
            failed: 0,
            not_before: None,
        }
    }

    /// The session, once it is known.
    pub fn session(&self) -> Option<SessionId> {
        self.replica.session()
    }

    /// Takes a frame for sending, now or when there is a connection; it is sent again until it is answered.
    ///
    /// # Errors
    /// When too many wait already.
    pub fn send(&mut self, frame: Outgoing) -> Result<(), OutboxFull> {
        if matches!(self.state, State::Asleep) {
            self.state = State::Waiting(Instant::now());
        }
        self.replica.submit(frame)
    }

    /// Cuts the connection without a goodbye, as a network does, and comes back.
    pub fn cut(&mut self) {
        self.lost(1006, "cut");
    }

    /// Closes the connection, if there is one, and lets the server know.
    pub async fn close(mut self) {
        if let State::Open(open) = &mut self.state {
            let _ = timeout(WRITE_PATIENCE, open.sink.send(Message::Close(None))).await;
        }
    }

    /// What happens next. Pends while there is nothing to tell.
    ///
    /// # Errors
    /// Why there is no coming back.
    pub async fn next(&mut self) -> Result<Event, String> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            match &mut self.state {
                State::Ended(why) => return Err(why.clone()),
                State::Asleep => std::future::pending().await,
                State::Waiting(until) => {
                    sleep_until(*until).await;
                    self.state = State::Dialing(self.opening());
                }
                State::Dialing(opening) => match opening.await {
                    Ok(socket) => self.state = State::Open(Box::new(Open::new(socket))),
                    Err(refused) => self.refused(&refused),
                },
                State::Open(_) => self.work().await,
            }
        }
    }

    fn opening(&self) -> Work<Result<Socket, Refused>> {
        let (address, query) = (self.options.address.clone(), self.replica.resume_from());
        let token = self.options.token.get();
        Box::pin(async move {
            let token = token.await.map_err(Refused::Token)?;
            dial(&address, &query, &token).await
        })
    }

    /// One step of an open connection.
    async fn work(&mut self) {
        let State::Open(open) = &mut self.state else {
            return;
        };
        while let Some(frame) = self.replica.unsent() {
            if !open.feed(&frame.text).await {
                return self.lost(1006, "nothing could be sent");
            }
            self.replica.mark_sent();
        }
        match open.wake().await {
            Woke::Message(Some(Ok(message))) => self.received(message),
            Woke::Message(Some(Err(error))) => self.lost(1006, &error.to_string()),
            Woke::Message(None) | Woke::Flushed(false) => self.lost(1006, "the connection was cut"),
            Woke::Silent => self.lost(1006, "the server has gone silent"),
            // Without a new token the server will close with 4401, and by then there may be one.
            Woke::Flushed(true) | Woke::Renewed(Err(_)) => {}
            Woke::Renewed(Ok(token)) => {
                let frame = says::command("auth", &json!({ "token": token.expose() }));
                if !open.feed(&frame.text).await {
                    self.lost(1006, "nothing could be sent");
                }
            }
        }
    }

    fn received(&mut self, message: Message) {
        if let State::Open(open) = &mut self.state {
            open.dead_at = Instant::now() + open.silence;
        }
        match message {
            Message::Text(text) => match frames::read(&text) {
                Ok(frame) => self.apply(frame),
                Err(error) => self.end(format!("the other end is no server of this contract: {error}")),
            },
            Message::Close(close) => {
                let (code, reason) = close.map_or((1005, String::new()), |close| {
                    (close.code.into(), close.reason.to_string())
                });
                self.lost(code, &reason);
            }
            // A pong goes out with the next flush.
            Message::Ping(_) => {
                if let State::Open(open) = &mut self.state {
                    open.unflushed = true;
                }
            }
            _ => {}
        }
    }

    fn apply(&mut self, frame: Frame) {
        if let (Frame::Welcome(welcome), State::Open(open)) = (&frame, &mut self.state) {
            self.reconnect = welcome.reconnect.unwrap_or(self.reconnect);
            if let Some(heartbeat_ms) = welcome.heartbeat_ms {
                open.silence =
                    Duration::from_millis(heartbeat_ms.saturating_mul(2)).max(Duration::from_secs(1));
            }
        }
        let (news, then) = self.replica.apply(frame);
        if news.contains(&News::Live) {
            self.failed = 0;
        }
        self.events.extend(news.into_iter().map(Event::News));
        match then {
            Then::Continue => {}
            Then::Resume => self.lost(1006, "something was missed"),
            Then::Leave(after_ms) => self.not_before = Some(Instant::now() + Duration::from_millis(after_ms)),
            Then::Renew => {
                let renewal = match &self.options.token {
                    Token::Fixed(_) => None,
                    asked @ Token::Asked(_) => Some(asked.get()),
                };
                if let State::Open(open) = &mut self.state {
                    open.renewal = renewal;
                }
            }
        }
    }

    fn refused(&mut self, refused: &Refused) {
        let (comeback, retry_after) = match refused {
            Refused::Status {
                status, retry_after, ..
            } => (comeback::after_status(*status), *retry_after),
            Refused::Unreachable(_) => (Comeback::BackOff, None),
            Refused::Tls(_) | Refused::Token(_) => (Comeback::Stop, None),
        };
        self.not_before = retry_after.map(|after| Instant::now() + after);
        self.come_back(comeback, refused.to_string());
    }

    fn lost(&mut self, code: u16, reason: &str) {
        let why = match (code, reason) {
            (1006, reason) => reason.to_owned(),
            (code, "") => format!("closed with {code}"),
            (code, reason) => format!("{reason} ({code})"),
        };
        self.come_back(comeback::after_close(code), why);
    }

    fn come_back(&mut self, comeback: Comeback, why: String) {
        self.replica.disconnected();
        let fixed = matches!(self.options.token, Token::Fixed(_));
        let again = match comeback {
            Comeback::NewToken if fixed => return self.end(format!("{why}; a new one is needed")),
            Comeback::Stop => return self.end(why),
            Comeback::Asleep => {
                self.state = State::Asleep;
                self.events.push_back(Event::Down { why, again: None });
                return;
            }
            Comeback::NewToken | Comeback::Soon | Comeback::BackOff => comeback::wait(
                self.reconnect,
                self.failed,
                self.not_before
                    .take()
                    .map(|moment| moment.saturating_duration_since(Instant::now())),
                rand::random(),
            ),
        };
        self.failed = self.failed.saturating_add(1);
        self.state = State::Waiting(Instant::now() + again);
        let again = Some(again);
        self.events.push_back(Event::Down { why, again });
    }

    fn end(&mut self, why: String) {
        self.state = State::Ended(why);
    }
}

impl Open {
    fn new(socket: Socket) -> Self {
        let (sink, stream) = socket.split();
        Self {
            sink,
            stream,
            unflushed: false,
            dead_at: Instant::now() + FIRST_SILENCE,
            silence: FIRST_SILENCE,
            renewal: None,
        }
    }

    /// Hands a frame to the socket; whether it took it.
    async fn feed(&mut self, text: &str) -> bool {
        self.unflushed = true;
        let fed = timeout(WRITE_PATIENCE, self.sink.feed(Message::text(text))).await;
        matches!(fed, Ok(Ok(())))
    }

    async fn wake(&mut self) -> Woke {
        tokio::select! {
            biased;
            flushed = self.sink.flush(), if self.unflushed => {
                self.unflushed = false;
                Woke::Flushed(flushed.is_ok())
            }
            message = self.stream.next() => Woke::Message(message),
            () = sleep_until(self.dead_at) => Woke::Silent,
            token = fetched(&mut self.renewal) => {
                self.renewal = None;
                Woke::Renewed(token)
            }
        }
    }
}

/// What becomes of a token that is being fetched; pends where none is.
async fn fetched(renewal: &mut Option<Work<Result<Secret, String>>>) -> Result<Secret, String> {
    match renewal {
        Some(token) => token.await,
        None => std::future::pending().await,
    }
}
