//! What a device knows of its notifications, and what it may rely on: on one connection each comes once, and ends once, in
//! the answer to the device's own acknowledgement or by `cleared`.

use std::collections::{BTreeSet, HashMap};

use agent_websocket::clock::Clock;
use serde_json::{Value, json};
use time::OffsetDateTime;

/// The most ids in one acknowledgement.
const AT_ONCE: usize = 100;

/// What is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// So many of those that are open.
    Some(usize),
    /// Everything.
    All,
}

/// How a notification was seen for the first time.
#[derive(Clone, Debug)]
pub(crate) struct Sight {
    pub(crate) content: String,
    pub(crate) at: OffsetDateTime,
}

/// A device's notifications.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// All that it was ever sent, by id: a repeat is dropped here.
    pub(crate) seen: HashMap<String, Sight>,
    /// Sent on this connection and not ended.
    pub(crate) open: BTreeSet<String>,
    /// What answers said that this device was the first to acknowledge.
    pub(crate) acknowledged: Vec<String>,
    /// How many it was told of by `cleared`.
    pub(crate) cleared: usize,
    /// Acknowledges whatever comes at once.
    pub(crate) eager: bool,
}

impl Ledger {
    /// A new connection, which begins with all that is pending.
    pub(crate) fn reconnected(&mut self) {
        self.open.clear();
    }

    /// Takes a frame. Returns what the device sends because of it.
    ///
    /// # Panics
    /// When the frame breaks the contract.
    pub(crate) fn apply(&mut self, frame: &Value) -> Option<Value> {
        match (frame["type"].as_str()?, frame["event"].as_str()?) {
            ("notification", "message") => return self.message(frame),
            ("notification", "cleared") => {
                for id in ids(&frame["notification_ids"]) {
                    assert!(
                        self.open.remove(&id),
                        "cleared, and not open on this connection: {id}"
                    );
                    self.cleared += 1;
                }
            }
            ("status", "ack") => {
                for id in ids(&frame["data"]["notification_ids"]) {
                    self.open.remove(&id);
                    self.acknowledged.push(id);
                }
            }
            _ => {}
        }
        None
    }

    fn message(&mut self, frame: &Value) -> Option<Value> {
        let id = frame["notification_id"].as_str().unwrap().to_owned();
        let sight = Sight {
            content: frame["content"].as_str().unwrap().to_owned(),
            at: Clock::system().now(),
        };
        let first = self.seen.entry(id.clone()).or_insert_with(|| sight.clone());
        assert_eq!(first.content, sight.content, "the same id with another text");
        if frame["seq"].is_i64() {
            // Its place in the conversation: the transcript keeps it.
            return None;
        }
        assert!(self.open.insert(id.clone()), "twice on one connection: {frame}");
        self.eager.then(|| ack(json!({ "notification_ids": [id] })))
    }

    /// What the device sends to acknowledge something; `None` when there is nothing to.
    pub(crate) fn acknowledge(&self, extent: Extent) -> Option<Value> {
        match extent {
            Extent::All => Some(ack(json!({ "all": true }))),
            Extent::Some(_) if self.open.is_empty() => None,
            Extent::Some(n) => {
                let ids: Vec<&String> = self.open.iter().take(n.min(AT_ONCE)).collect();
                Some(ack(json!({ "notification_ids": ids })))
            }
        }
    }
}

fn ack(args: Value) -> Value {
    let mut frame = json!({ "type": "command", "content": "ack" });
    frame["args"] = args;
    frame
}

fn ids(list: &Value) -> Vec<String> {
    let ids = list.as_array().unwrap().iter();
    ids.map(|id| id.as_str().unwrap().to_owned()).collect()
}
