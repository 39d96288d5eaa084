//! A client as the contract wants it: comes back with its cursor to whichever node lives, and sends again under the same id
//! what was not acknowledged. It checks every frame as it comes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;

use super::client::{TestClient, Transcript};
use super::ledger::{Extent, Ledger};
use super::node::token;

/// How long it waits before it tries the next node, and before it repeats what was refused for now.
const BACK_OFF: Duration = Duration::from_millis(40);

/// Where live nodes are; an empty place is a node that is down.
pub(crate) type Addresses = Arc<Mutex<Vec<Option<String>>>>;

/// What a device knows and has sent.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) transcript: Transcript,
    /// Its queries' content, by id.
    own: HashMap<String, String>,
    /// Queries that nobody acknowledged yet.
    waiting: BTreeMap<String, Value>,
    /// How often each was sent.
    sent: HashMap<String, u32>,
    /// How many copies of each were sent over this connection and not answered yet.
    unanswered: HashMap<String, u32>,
    /// Orders that were given and not begun.
    ordered: usize,
    /// Ids that were accepted.
    pub(crate) accepted: HashSet<String>,
    /// Ids that were refused for good, sent once only: nothing of them may be stored.
    pub(crate) refused: HashSet<String>,
    pub(crate) ledger: Ledger,
    /// When its connections were closed, and with which codes.
    pub(crate) closes: Vec<(Instant, u16)>,
    /// When it was told to leave, and the wait that it was told.
    pub(crate) drains: Vec<(Instant, Duration)>,
    pub(crate) connected: bool,
}

/// What the test tells a device to do.
#[derive(Debug)]
enum Order {
    Frame(Value),
    Cut,
    Sleep(Duration),
}

/// A device, seen from the test.
#[derive(Clone)]
pub(crate) struct Device {
    pub(crate) name: String,
    pub(crate) user: String,
    pub(crate) session: String,
    memory: Arc<Mutex<Memory>>,
    orders: mpsc::UnboundedSender<Order>,
}

impl Device {
    /// A device in a session; it connects to the node of its number, or the next that lives.
    pub(crate) fn start(
        name: &str,
        (user, session): (&str, &str),
        first_node: usize,
        addresses: &Addresses,
        tasks: &mut JoinSet<()>,
    ) -> Self {
        let (orders, received) = mpsc::unbounded_channel();
        let device = Self {
            name: name.to_owned(),
            user: user.to_owned(),
            session: session.to_owned(),
            memory: Arc::default(),
            orders,
        };
        tasks.spawn(live(device.clone(), Arc::clone(addresses), received, first_node));
        device
    }

    pub(crate) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a query, now or once it is connected, until it is acknowledged.
    pub(crate) fn ask(&self, id: &str, content: &str, on_busy: &str) {
        let frame = json!({ "type": "query", "id": id, "content": content, "on_busy": on_busy });
        let mut memory = self.memory();
        memory.own.insert(id.to_owned(), content.to_owned());
        memory.waiting.insert(id.to_owned(), frame.clone());
        drop(memory);
        self.order(Order::Frame(frame));
    }

    /// Sends one of its queries once more, as a client does that missed the acknowledgement.
    pub(crate) fn repeat(&self, id: &str) {
        let content = self.memory().own[id].clone();
        self.order(Order::Frame(
            json!({ "type": "query", "id": id, "content": content }),
        ));
    }

    pub(crate) fn cancel(&self) {
        self.order(Order::Frame(
            json!({ "type": "command", "content": "cancel", "args": {} }),
        ));
    }

    /// Acknowledges notifications that it holds, if it holds any.
    pub(crate) fn acknowledge(&self, extent: Extent) {
        let frame = self.memory().ledger.acknowledge(extent);
        if let Some(frame) = frame {
            self.order(Order::Frame(frame));
        }
    }

    fn order(&self, order: Order) {
        self.memory().ordered += 1;
        let _ = self.orders.send(order);
    }

    /// Loses its connection and comes back to another node.
    pub(crate) fn cut(&self) {
        self.order(Order::Cut);
    }

    /// Reads and sends nothing for a while.
    pub(crate) fn sleep(&self, time: Duration) {
        self.order(Order::Sleep(time));
    }

    /// Whether everything that it was told to send is sent, and every copy of it answered.
    pub(crate) fn is_settled(&self) -> bool {
        let memory = self.memory();
        memory.connected && memory.ordered == 0 && memory.waiting.is_empty() && memory.unanswered.is_empty()
    }

    /// Takes a frame. Returns what it sends because of it.
    fn apply(&self, frame: &Value) -> Option<Value> {
        let mut memory = self.memory();
        let Memory { transcript, own, .. } = &mut *memory;
        transcript.apply(std::slice::from_ref(frame), own);
        let re = frame["re"].as_str().unwrap_or_default();
        let (kind, event) = (
            frame["type"].as_str().unwrap(),
            frame["event"].as_str().unwrap_or_default(),
        );
        if kind == "error" || event == "accepted" {
            memory.on_answer(re);
        }
        match (kind, event) {
            ("status", "accepted") => {
                memory.waiting.remove(re);
                memory.accepted.insert(re.to_owned());
            }
            ("error", _) if memory.waiting.contains_key(re) => memory.on_refusal(re, frame),
            ("status", "draining") => {
                let wait_ms = frame["retry_after_ms"].as_u64().unwrap();
                memory
                    .drains
                    .push((Instant::now(), Duration::from_millis(wait_ms)));
            }
            ("response", _) => self.check_assembled(&memory, frame),
            _ => {}
        }
        memory.ledger.apply(frame)
    }

    /// A live answer that is complete is what the deltas before it said.
    fn check_assembled(&self, memory: &Memory, response: &Value) {
        if response["replay"] == true || response["state"] != "complete" {
            return;
        }
        let draft = memory
            .transcript
            .draft(response["message_id"].as_str().unwrap())
            .unwrap_or_default();
        assert_eq!(
            draft, response["content"],
            "{} assembled another text than was stored: {response}",
            self.name
        );
    }

    fn on_welcome(&self) {
        let mut memory = self.memory();
        memory.connected = true;
        memory.ledger.reconnected();
    }

    /// The connection is over: nothing more is answered on it.
    fn on_end(&self) {
        let mut memory = self.memory();
        memory.connected = false;
        memory.unanswered.clear();
    }

    /// What is to be sent again, each counted.
    fn unacknowledged(&self) -> Vec<Value> {
        let mut memory = self.memory();
        let frames: Vec<Value> = memory.waiting.values().cloned().collect();
        for frame in &frames {
            memory.count(frame);
        }
        frames
    }
}

impl Memory {
    /// An order is carried out.
    fn begin(&mut self, order: &Order) {
        self.ordered -= 1;
        if let Order::Frame(frame) = order {
            self.count(frame);
        }
    }

    /// Counts a query that goes out. One that is sent again may be accepted after all.
    fn count(&mut self, frame: &Value) {
        if frame["type"] == "query" {
            let id = frame["id"].as_str().unwrap();
            let sent = self.sent.entry(id.to_owned()).or_default();
            *sent += 1;
            if *sent > 1 {
                self.refused.remove(id);
            }
            *self.unanswered.entry(id.to_owned()).or_default() += 1;
        }
    }

    /// One copy of a query was answered.
    fn on_answer(&mut self, id: &str) {
        if let Some(copies) = self.unanswered.get_mut(id) {
            *copies -= 1;
            if *copies == 0 {
                self.unanswered.remove(id);
            }
        }
    }

    /// `busy` and `queue_full` are answers; anything else that is refused may be sent again.
    fn on_refusal(&mut self, id: &str, frame: &Value) {
        if frame["code"] == "busy" || frame["code"] == "queue_full" {
            self.waiting.remove(id);
            if self.sent.get(id) == Some(&1) {
                self.refused.insert(id.to_owned());
            }
        } else {
            assert_eq!(
                frame["retryable"], true,
                "a query was refused for a reason that will not pass: {frame}"
            );
        }
    }
}

async fn live(
    device: Device,
    addresses: Addresses,
    mut orders: mpsc::UnboundedReceiver<Order>,
    mut node: usize,
) {
    loop {
        if let Some(client) = connect(&device, &addresses, node).await {
            let over = attend(&device, client, &mut orders).await;
            device.on_end();
            if over {
                return;
            }
        }
        node += 1;
        tokio::time::sleep(BACK_OFF).await;
    }
}

/// Connects to a node with the device's cursor, if the node lives and lets it in.
async fn connect(device: &Device, addresses: &Addresses, node: usize) -> Option<TestClient> {
    let base = {
        let addresses = addresses.lock().unwrap_or_else(PoisonError::into_inner);
        addresses[node % addresses.len()].clone()?
    };
    let path = format!(
        "/v1/ws?session_id={}&after={}",
        device.session,
        device.memory().transcript.cursor
    );
    let authorization = format!("Bearer {}", token(&device.user));
    match TestClient::try_open(&base, &path, &[("authorization", &authorization)]).await {
        Ok(Ok(client)) => Some(client),
        Ok(Err(refused)) => {
            assert!(
                refused.status >= 429,
                "{} was turned away: {refused:?}",
                device.name
            );
            None
        }
        Err(_) => None,
    }
}

/// One connection's life. `true` when the test is over.
async fn attend(
    device: &Device,
    mut client: TestClient,
    orders: &mut mpsc::UnboundedReceiver<Order>,
) -> bool {
    let mut again = tokio::time::interval(BACK_OFF * 10);
    again.reset();
    loop {
        let frames = tokio::select! {
            order = orders.recv() => {
                let Some(order) = order else { return true };
                device.memory().begin(&order);
                match order {
                    Order::Cut => return false,
                    Order::Sleep(time) => {
                        tokio::time::sleep(time).await;
                        continue;
                    }
                    Order::Frame(frame) => vec![frame],
                }
            }
            message = client.socket.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    let frame: Value = serde_json::from_str(&text).unwrap();
                    let mut frames: Vec<Value> = device.apply(&frame).into_iter().collect();
                    if frame["event"] == "welcome" {
                        device.on_welcome();
                        frames = device.unacknowledged();
                    }
                    frames
                }
                Some(Ok(Message::Close(close))) => {
                    let code = close.map(|close| (Instant::now(), u16::from(close.code)));
                    device.memory().closes.extend(code);
                    return false;
                }
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return false,
            },
            _ = again.tick() => device.unacknowledged(),
        };
        for frame in frames {
            if client
                .socket
                .send(Message::text(frame.to_string()))
                .await
                .is_err()
            {
                return false;
            }
        }
    }
}
