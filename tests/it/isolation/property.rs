//! Nobody can tell somebody else's things from what is not there: whatever is asked, in whatever order.
//!
//! Two users do the same, word for word, one with the ids of what alice has, one with ids of nothing. All that the two are
//! told is written down without what is each one's own (ids, moments, names) and must be the same; alice hears nothing, and
//! her rows stay as they were.

use std::collections::HashMap;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::verbs::{ID, LAST, OWN, Offer, PLACE, TOKEN, VERBS, Verb, WORDS};
use super::{Treasure, treasure};
use crate::support::client::TestClient;
use crate::support::database::TestDatabase;
use crate::support::eventually;
use crate::support::http::{Api, Reply};
use crate::support::node::{TestNode, token};
use crate::support::provider::ScriptedProvider;

/// In everything that alice writes.
const MARK: &str = "marigold";

/// The orders in which it is tried.
const SEEDS: [u64; 3] = [1, 2, 3];

/// One thing to ask: a verb, which of the ids, and a place in a session.
#[derive(Clone, Copy, Debug)]
struct Step {
    verb: Verb,
    id: usize,
    place: i64,
}

/// Every verb with each of the ids, shuffled.
fn plan(seed: u64, n_ids: usize) -> Vec<Step> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut steps = Vec::new();
    for verb in VERBS {
        let ids = if verb.asks() { n_ids } else { 1 };
        for id in 0..ids {
            let place = random.random_range(-1..6);
            steps.push(Step { verb, id, place });
        }
    }
    steps.shuffle(&mut random);
    steps
}

/// A user who asks, and what this one was told.
struct Asker<'a> {
    node: &'a TestNode,
    user: String,
    ids: &'a [String],
    words: &'a str,
    client: TestClient,
    /// The answers in their order.
    answers: Vec<String>,
    /// Frames of sockets that are gone.
    frames: Vec<Value>,
}

impl<'a> Asker<'a> {
    async fn new(node: &'a TestNode, user: String, ids: &'a [String], words: &'a str) -> Self {
        let mut client = node.connect(&user).await;
        client.live().await;
        Self {
            node,
            user,
            ids,
            words,
            client,
            answers: Vec::new(),
            frames: Vec::new(),
        }
    }

    /// A verb's words with this asker's own in the places.
    fn fill(&self, text: &str, step: Step) -> String {
        text.replace(ID, &self.ids[step.id])
            .replace(WORDS, self.words)
            .replace(PLACE, &step.place.to_string())
            .replace(OWN, &self.client.session)
            .replace(TOKEN, &token(&self.user))
    }

    async fn ask(&mut self, step: Step) {
        let answer = match step.verb {
            Verb::Command(name, args) => {
                let args = self.fill(args, step);
                let frame = format!(r#"{{"type":"command","id":"probe","content":"{name}","args":{args}}}"#);
                self.on_socket(&frame, "probe").await
            }
            Verb::Frame(text) => {
                let frame = self.fill(text, step);
                let id: Value = serde_json::from_str(&frame).unwrap();
                self.on_socket(&frame, id["id"].as_str().unwrap()).await
            }
            Verb::Opening(args) => {
                let args = serde_json::from_str(&self.fill(args, step)).unwrap();
                self.opening(args).await
            }
            Verb::Upgrade(offer, query) => {
                let path = format!("/v1/ws{}", self.fill(query, step));
                self.upgrade(offer, &path).await
            }
            Verb::Http(method, route, query, headers, body) => {
                let path = self.fill(&format!("{}{query}", route.replace("{id}", ID)), step);
                let body = (!body.is_empty()).then(|| serde_json::from_str(&self.fill(body, step)).unwrap());
                let api = Api::new(&self.node.base, &token(&self.user));
                of_reply(&api.call_with(method, &path, headers, body).await)
            }
        };
        let unasked = answer.replace(&self.ids[step.id], "");
        assert!(!unasked.contains(MARK), "alice's words for {step:?}: {answer}");
        self.answers
            .push(format!("{:?}: {}", step.verb, self.masked(&answer)));
    }

    /// Has the asker forgotten, which ends all that went before.
    async fn erase(&mut self) {
        let Verb::Http(method, path, ..) = LAST else {
            panic!("the last verb is a request");
        };
        let api = Api::new(&self.node.base, &token(&self.user));
        let mut receipt = api.call(method, path, None).await.json();
        let removed = receipt["rows_removed"].as_object_mut().unwrap();
        // How many pieces of text and open sockets there just are is a matter of moments.
        removed.retain(|table, _| table != "chunks" && table != "connections");
        assert!(removed.len() > 3, "{receipt}");
        receipt["total"].take();
        self.answers.push(self.masked(&receipt.to_string()));
    }

    /// Says a frame on the asker's socket, and waits until all that it causes is over.
    async fn on_socket(&mut self, frame: &str, id: &str) -> String {
        let heard = self.client.frames.len();
        self.client.send_text(frame).await;
        let answer = self.client.until(|frame| frame["re"] == id).await;
        if answer["event"] == "rename" {
            let title = &answer["data"]["title"];
            let told = |frame: &Value| frame["event"] == "session" && frame["title"] == *title;
            if !self.client.frames[heard..].iter().any(told) {
                self.client.until(told).await;
            }
        }
        let run = answer.get("run_id").or(answer["data"].get("run_id")).cloned();
        let begins = answer["event"] == "accepted" && answer["duplicate"] == false
            || answer["event"] == "regenerate" && answer["data"]["duplicate"] == false;
        if begins {
            self.client
                .until(|frame| frame["type"] == "response" && Some(&frame["run_id"]) == run.as_ref())
                .await;
        }
        if answer["event"] == "new" || answer["event"] == "resume" {
            self.client.welcome().await;
            self.client.live().await;
        }
        answer.to_string()
    }

    async fn opening(&mut self, args: Value) -> String {
        let mut client = TestClient::open(&self.node.base, "/v1/ws", &[]).await.unwrap();
        let answer = client.command("auth", args).await;
        self.leave(client, answer["type"] == "error", &answer.to_string())
            .await
    }

    async fn upgrade(&mut self, offer: Offer, path: &str) -> String {
        let token = token(&self.user);
        let (name, value) = match offer {
            Offer::Program => ("authorization", format!("Bearer {token}")),
            Offer::Browser => (
                "sec-websocket-protocol",
                format!("agentws.v1, agentws.bearer.{token}"),
            ),
        };
        match TestClient::open(&self.node.base, path, &[(name, &value)]).await {
            Err(refused) => format!("{refused:?}"),
            Ok(mut client) => {
                let first = client.next().await.unwrap();
                self.leave(client, first["type"] == "error", "").await
            }
        }
    }

    /// Hears a further socket to its end, or to the end of its catch-up.
    async fn leave(&mut self, mut client: TestClient, refused: bool, answer: &str) -> String {
        let end = if refused {
            format!("{:?}", client.closed().await)
        } else {
            client.live().await.to_string()
        };
        self.frames.extend(client.cut());
        format!("{answer} {end}")
    }

    /// A text without what is this asker's own: each id and each moment looks like any other.
    fn masked(&self, text: &str) -> String {
        mask(&text.replace(&self.user, "ASKER").replace(self.words, WORDS))
    }

    /// Everything that this asker was told: the answers in their order, then the frames in any.
    fn told(mut self) -> Vec<String> {
        let frames: Vec<Value> = self
            .frames
            .drain(..)
            .chain(std::mem::take(&mut self.client.frames))
            .collect();
        let mut frames: Vec<String> = frames
            .iter()
            // How an answer is cut into pieces is a matter of moments; the whole of it comes with its response.
            .filter(|frame| frame["type"] != "delta")
            .map(|frame| self.masked(&frame.to_string()))
            .collect();
        assert!(frames.iter().all(|frame| !frame.contains(MARK)));
        frames.sort();
        self.answers.into_iter().chain(frames).collect()
    }
}

/// A response without its date.
fn of_reply(reply: &Reply) -> String {
    let mut headers: Vec<String> = reply
        .headers
        .iter()
        .filter(|(name, _)| *name != "date")
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    headers.sort();
    format!("{} {headers:?} {}", reply.status, reply.body)
}

/// Whether a text begins with this shape: `0` stands for a digit, `x` for one of sixteen, all else for itself.
fn has_shape(text: &[u8], shape: &[u8]) -> bool {
    text.len() >= shape.len()
        && shape.iter().zip(text).all(|(shape, byte)| match shape {
            b'0' => byte.is_ascii_digit(),
            b'x' => byte.is_ascii_hexdigit(),
            other => other == byte,
        })
}

/// A text with a word for each id, each hash and each moment in it.
fn mask(text: &str) -> String {
    let hash = [b'x'; 64];
    let shapes: [(&[u8], &str); 3] = [
        // Of a text in which an id stands.
        (&hash, "SOME_HASH"),
        (b"xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", "SOME_ID"),
        (b"0000-00-00T00:00:00.000Z", "SOME_TIME"),
    ];
    let mut masked = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let found = shapes.iter().find(|(shape, _)| has_shape(rest.as_bytes(), shape));
        let taken = found.map_or(first.len_utf8(), |(shape, _)| shape.len());
        match found {
            Some((_, word)) => masked.push_str(word),
            None => masked.push(first),
        }
        rest = &rest[taken..];
    }
    masked
}

/// All rows of alice's, by table.
async fn rows(database: &TestDatabase) -> HashMap<String, String> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT table_name::text FROM information_schema.columns AS c JOIN information_schema.tables AS t
             USING (table_schema, table_name)
         WHERE table_schema = 'agent' AND column_name = 'user_id' AND table_type = 'BASE TABLE'",
    )
    .fetch_all(&database.pool)
    .await
    .unwrap();
    let mut rows = HashMap::new();
    for table in tables {
        let sql = format!(
            "SELECT coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '') FROM agent.{table} AS t WHERE user_id = 'alice'"
        );
        let text: String = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .fetch_one(&database.pool)
            .await
            .unwrap();
        rows.insert(table, text);
    }
    rows
}

/// Puts the mark on what alice has, and waits until it is written everywhere.
async fn mark(node: &TestNode, alice: &mut TestClient, hers: &Treasure) {
    alice
        .command("rename", json!({ "title": format!("{MARK} talk") }))
        .await;
    let feedback = json!({ "type": "human_feedback", "id": "f", "message_id": hers.answer, "rating": 1,
        "content": format!("a {MARK}"), "tags": [MARK] });
    alice.send(&feedback).await;
    alice.until(|frame| frame["re"] == "f").await;
    let api = Api::new(&node.base, &token("alice"));
    let path = format!("/v1/sessions/{}", hers.session);
    let changes = json!({ "metadata": { MARK: MARK } });
    assert_eq!(api.call("PATCH", &path, Some(changes)).await.status, 200);
    // The server does so 15 seconds after a message.
    sqlx::query(
        "INSERT INTO agent.search_index (user_id, session_id, seq, created_at, words)
         SELECT user_id, session_id, seq, created_at,
                agent.words_of(content) || array_to_tsvector(ARRAY[agent.owner_word(user_id)])
         FROM agent.messages WHERE user_id = 'alice'",
    )
    .execute(&node.database.pool)
    .await
    .unwrap();
    for (what, sql, wanted) in [
        (
            "indexed",
            "SELECT count(*) FROM agent.search_index WHERE user_id = 'alice'",
            4,
        ),
        (
            "stored",
            // In how many pieces is a matter of time.
            "SELECT count(DISTINCT run_id) FROM agent.chunks WHERE user_id = 'alice'",
            1,
        ),
        (
            "seen",
            "SELECT count(*) FROM agent.connections WHERE user_id = 'alice'",
            1,
        ),
    ] {
        eventually(&format!("what is alice's is {what}"), || async {
            node.database.count(sql).await == wanted
        })
        .await;
    }
}

/// Two askers do the same; returns what each was told.
async fn both(node: &TestNode, seed: u64, hers: &[String]) -> [Vec<String>; 2] {
    let nobodys: Vec<String> = hers.iter().map(|_| uuid::Uuid::now_v7().to_string()).collect();
    let mut told = Vec::new();
    // Names of one length, since a length is told by a header.
    for (user, ids, words) in [("bob", hers, MARK), ("eve", &nobodys, "mistletoe")] {
        let mut asker = Asker::new(node, format!("{user}-{seed}"), ids, words).await;
        for step in plan(seed, ids.len()) {
            asker.ask(step).await;
        }
        asker.erase().await;
        told.push(asker.told());
    }
    told.try_into().unwrap()
}

#[tokio::test]
async fn two_who_do_the_same_are_told_the_same_whether_the_ids_are_somebodys_or_nobodys() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let (mut alice, hers) = treasure(&node, &provider).await;
    mark(&node, &mut alice, &hers).await;
    let before = rows(&node.database).await;
    alice.command("ping", json!({})).await;
    let heard = alice.frames.len();
    for seed in SEEDS {
        let [somebodys, nobodys] = both(&node, seed, &hers.ids()).await;
        assert!(somebodys.len() > 300, "{}", somebodys.len());
        for (somebodys, nobodys) in somebodys.iter().zip(&nobodys) {
            assert_eq!(somebodys, nobodys, "seed {seed}");
        }
        assert_eq!(somebodys.len(), nobodys.len(), "seed {seed}");
    }
    alice.command("ping", json!({})).await;
    assert_eq!(
        alice.frames.len(),
        heard + 1,
        "alice hears nothing: {:#?}",
        &alice.frames[heard..]
    );
    let after = rows(&node.database).await;
    assert!(before["messages"].contains(MARK) && before["feedback"].contains(MARK));
    for (table, rows) in &before {
        assert_eq!(*rows, after[table], "alice's rows of {table}");
    }
    super::assert_goes_on(&provider, &mut alice, &hers).await;
    node.shut_down().await;
}

#[test]
fn the_mask_hides_ids_and_moments_and_nothing_else() {
    let id = uuid::Uuid::now_v7();
    assert_eq!(
        mask(&format!("é {id}, 2026-11-20T22:43:38.888Z; {id}x 2026-11-20")),
        "é SOME_ID, SOME_TIME; SOME_IDx 2026-11-20"
    );
}
