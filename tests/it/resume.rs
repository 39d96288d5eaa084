//! Resuming: wherever a connection is cut, the next one has what was missed, once, and in order.

use std::collections::HashMap;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::client::{TestClient, Transcript};
use crate::support::database::TestDatabase;
use crate::support::eventually;
use crate::support::node::{TestNode, token};
use crate::support::provider::{Script, ScriptedProvider};

/// The answer's tokens: characters of one, two, three and four bytes, some of them two UTF-16 code units.
const PIECES: [&str; 4] = ["Grüße ", "🌍🚀", "e\u{301}你", " 𝒳 end"];

/// Where the first connection is cut: after it has read this, and nothing after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    Welcome,
    Live,
    /// The query is on its way; its `accepted` is not read.
    Sent,
    Accepted,
    Thinking,
    /// This many deltas were read.
    Deltas(usize),
    Response,
}

const CUTS: [Cut; 10] = [
    Cut::Welcome,
    Cut::Live,
    Cut::Sent,
    Cut::Accepted,
    Cut::Thinking,
    Cut::Deltas(1),
    Cut::Deltas(2),
    Cut::Deltas(3),
    Cut::Deltas(4),
    Cut::Response,
];

/// What the second connection says that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cursor {
    Kept,
    Zero,
    Absent,
    BeyondTheHead,
    Latest,
}

impl Cut {
    /// How much of the answer was written when the connection was cut.
    fn text(self) -> String {
        match self {
            Self::Deltas(n) => PIECES[..n].concat(),
            Self::Response => PIECES.concat(),
            _ => String::new(),
        }
    }

    fn is_asked(self) -> bool {
        !matches!(self, Self::Welcome | Self::Live)
    }
}

/// One turn with a cut in it.
struct Turn<'a> {
    provider: &'a ScriptedProvider,
    user: String,
    question: String,
    cut: Cut,
    transcript: Transcript,
    own: HashMap<String, String>,
}

impl<'a> Turn<'a> {
    fn new(provider: &'a ScriptedProvider, name: &str, cut: Cut) -> Self {
        let user = format!("{name}-{cut:?}").replace(['(', ')'], "_");
        let question = format!("Tell [[{user}]] 🤔");
        let mut script = Script::new().head();
        for (index, piece) in PIECES.iter().enumerate() {
            script = script.wait_for(&format!("{user}/{index}")).text(piece);
        }
        script = script
            .wait_for(&format!("{user}/end"))
            .finish("stop")
            .usage(3, 4, 0.5)
            .done();
        provider.on(&format!("[[{user}]]"), script);
        let own = HashMap::from([("q".to_owned(), question.clone())]);
        Self {
            provider,
            user,
            question,
            cut,
            transcript: Transcript::default(),
            own,
        }
    }

    fn open(&self, gate: impl std::fmt::Display) {
        self.provider.open(&format!("{}/{gate}", self.user));
    }

    fn query(&self) -> Value {
        json!({ "type": "query", "id": "q", "content": self.question })
    }

    /// The first connection, up to its cut. Returns the session.
    async fn until_cut(&mut self, node: &TestNode) -> String {
        let mut client = node.connect(&self.user).await;
        let session = client.session.clone();
        if self.cut != Cut::Welcome {
            client.live().await;
        }
        if self.cut.is_asked() {
            client.send(&self.query()).await;
        }
        self.read_answer(&mut client).await;
        self.transcript.apply(&client.cut(), &self.own);
        session
    }

    async fn read_answer(&self, client: &mut TestClient) {
        if !self.cut.is_asked() || self.cut == Cut::Sent {
            return;
        }
        client.until(|frame| frame["event"] == "accepted").await;
        if self.cut == Cut::Accepted {
            return;
        }
        client.until(|frame| frame["event"] == "thinking").await;
        let n_deltas = match self.cut {
            Cut::Deltas(n) => n,
            Cut::Response => PIECES.len(),
            _ => 0,
        };
        let mut offset = 0;
        for (index, piece) in PIECES[..n_deltas].iter().enumerate() {
            self.open(index);
            let delta = client.until(|frame| frame["type"] == "delta").await;
            assert_eq!(delta["content"], *piece);
            assert_eq!(delta["offset"], offset, "offsets count UTF-16 code units");
            offset += piece.encode_utf16().count();
        }
        if self.cut == Cut::Response {
            self.open("end");
            client.until(|frame| frame["type"] == "response").await;
        }
    }

    /// The second connection, to the end of the answer; then everything is compared.
    async fn resume(&mut self, node: &TestNode, session: &str, cursor: Cursor) {
        let query = match cursor {
            Cursor::Kept => format!("?session_id={session}&after={}", self.transcript.cursor),
            Cursor::Zero => format!("?session_id={session}&after=0"),
            Cursor::Absent => format!("?session_id={session}"),
            Cursor::BeyondTheHead => format!("?session_id={session}&after=77"),
            Cursor::Latest => "?session_id=latest&after=1".to_owned(),
        };
        if cursor != Cursor::Kept {
            self.transcript = Transcript::default();
        }
        let cursor = self.transcript.cursor;
        let mut client = TestClient::connect(&node.base, &token(&self.user), &query).await;
        assert_eq!(client.session, session);
        let live = client.live().await;
        self.check_catch_up(&client.frames, &live, cursor);
        if !self.cut.is_asked() || self.cut == Cut::Sent {
            client.send(&self.query()).await;
            client.until(|frame| frame["event"] == "accepted").await;
        }
        for index in 0..PIECES.len() {
            self.open(index);
        }
        self.open("end");
        if !client.frames.iter().any(|frame| frame["type"] == "response") && cursor < 2 {
            client.until(|frame| frame["type"] == "response").await;
        }
        let after_live = client.frames.iter().skip_while(|frame| frame["event"] != "live");
        for frame in after_live {
            assert_eq!(frame.get("replay"), None, "a live frame is no replay: {frame}");
        }
        self.transcript.apply(&client.frames, &self.own);
    }

    /// The order and the contents of what comes before `live`.
    fn check_catch_up(&self, frames: &[Value], live: &Value, cursor: i64) {
        let cut = self.cut;
        let welcome = &frames[0];
        assert_eq!(welcome["event"], "welcome");
        assert_eq!(welcome["resumed"], true);
        assert_eq!(welcome["head"], live["head"]);
        assert_eq!(welcome.get("gap"), None);
        if cut == Cut::Sent {
            // Whether the query was stored by now is open; the end of the turn tells.
            return;
        }
        let head = match cut {
            Cut::Welcome | Cut::Live => 0,
            Cut::Response => 2,
            _ => 1,
        };
        assert_eq!(live["head"], head, "{cut:?}");
        let mut expected = Vec::new();
        if cursor < 1 && head >= 1 {
            expected.push("query");
        }
        if cursor < 2 && head >= 2 {
            expected.push("response");
        }
        if cut.is_asked() && cut != Cut::Response {
            expected.push("thinking");
            if !cut.text().is_empty() {
                expected.push("delta");
            }
        }
        expected.push("live");
        let kinds: Vec<&str> = frames[1..].iter().map(kind).collect();
        if cut == Cut::Accepted {
            // The run may begin a moment after its query is accepted: then `thinking` comes live.
            assert!(
                kinds == expected
                    || kinds
                        == expected
                            .iter()
                            .copied()
                            .filter(|k| *k != "thinking")
                            .collect::<Vec<_>>()
            );
        } else {
            assert_eq!(kinds, expected, "{cut:?}");
        }
        for frame in &frames[1..frames.len() - 1] {
            assert_eq!(frame["replay"], true, "{frame}");
        }
        if let Some(delta) = frames.iter().find(|frame| frame["type"] == "delta") {
            assert_eq!(delta["offset"], 0);
            assert_eq!(delta["content"], cut.text(), "all text so far in one delta");
        }
    }

    /// What was applied is what is stored: nothing lost, nothing doubled.
    async fn check_stored(&self, database: &TestDatabase, session: &str) {
        let stored = database.transcript(session).await;
        assert_eq!(stored[&2], ("assistant".to_owned(), PIECES.concat()));
        assert_eq!(stored.len(), 2);
        assert_eq!(self.transcript.messages, stored, "{:?}", self.cut);
    }
}

/// What a frame is: its event, or its type where it has none.
fn kind(frame: &Value) -> &str {
    frame.get("event").unwrap_or(&frame["type"]).as_str().unwrap()
}

async fn resumes_everywhere(
    first: &TestNode,
    second: &TestNode,
    provider: &ScriptedProvider,
    cursor: Cursor,
) {
    for cut in CUTS {
        let mut turn = Turn::new(provider, &format!("{cursor:?}"), cut);
        let session = turn.until_cut(first).await;
        if first.base != second.base {
            // Another node sees what was stored: text is written behind.
            wait_for_chunks(&first.database, &session, cut).await;
        }
        turn.resume(second, &session, cursor).await;
        turn.check_stored(&first.database, &session).await;
    }
    let calls: i64 = first.database.count("SELECT count(*) FROM agent.runs").await;
    assert_eq!(
        provider.calls(),
        usize::try_from(calls).unwrap(),
        "one call a run"
    );
}

async fn wait_for_chunks(database: &TestDatabase, session: &str, cut: Cut) {
    if !matches!(cut, Cut::Deltas(_)) {
        return;
    }
    let session: Uuid = session.parse().unwrap();
    eventually("the text is stored", || async {
        let stored: Option<String> = sqlx::query_scalar(
            "SELECT string_agg(content, '' ORDER BY start_at) FROM agent.chunks WHERE session_id = $1",
        )
        .bind(session)
        .fetch_one(&database.pool)
        .await
        .unwrap();
        stored.unwrap_or_default() == cut.text()
    })
    .await;
}

#[tokio::test]
async fn a_cut_at_every_frame_loses_and_doubles_nothing() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    resumes_everywhere(&node, &node, &provider, Cursor::Kept).await;
    node.shut_down().await;
}

#[tokio::test]
async fn a_cut_at_every_frame_may_be_resumed_on_another_node() {
    let provider = ScriptedProvider::start().await;
    let mut first = TestNode::start(&provider, &[]).await;
    let mut second = TestNode::start_on(first.database.clone(), &provider, &[]).await;
    second.listening().await;
    resumes_everywhere(&first, &second, &provider, Cursor::Kept).await;
    first.shut_down().await;
    second.shut_down().await;
}

#[tokio::test]
async fn a_client_without_a_usable_cursor_gets_the_session_from_its_start() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    for cursor in [
        Cursor::Zero,
        Cursor::Absent,
        Cursor::BeyondTheHead,
        Cursor::Latest,
    ] {
        resumes_everywhere(&node, &node, &provider, cursor).await;
    }
    node.shut_down().await;
}

#[tokio::test]
async fn a_resume_brings_messages_then_the_answer_so_far_then_notifications_then_live() {
    let provider = ScriptedProvider::start().await;
    provider.then(
        Script::new()
            .text("Half ")
            .wait_for("rest")
            .text("done")
            .finish("stop")
            .done(),
    );
    let mut node = TestNode::start(&provider, &[]).await;
    let mut first = node.connect("alice").await;
    first.query("q", "Go on").await;
    first.until(|frame| frame["type"] == "delta").await;
    sqlx::query("INSERT INTO agent.notifications (user_id, content) VALUES ('alice', 'Psst')")
        .execute(&node.database.pool)
        .await
        .unwrap();

    let mut second = node.resume("alice", &first.session, 0).await;
    second.live().await;

    let kinds: Vec<&str> = second.frames.iter().map(kind).collect();
    assert_eq!(
        kinds,
        ["welcome", "query", "thinking", "delta", "message", "live"]
    );
    provider.open("rest");
    let response = second.until(|frame| frame["type"] == "response").await;
    assert_eq!(response["content"], "Half done");
    let kinds: Vec<&str> = second.frames[6..].iter().map(kind).collect();
    assert_eq!(kinds, ["delta", "response"]);
    assert_eq!(second.frames[6]["offset"], 5);
    assert_eq!(second.frames[6]["content"], "done");
    node.shut_down().await;
}

/// A session with messages of a length, written past the server.
async fn seeded(database: &TestDatabase, user: &str, n_messages: i64, bytes: i32) -> String {
    let session = Uuid::now_v7();
    sqlx::query(
        "INSERT INTO agent.sessions (user_id, session_id, title, last_seq) VALUES ($1, $2, 'Seeded', $3)",
    )
    .bind(user)
    .bind(session)
    .bind(n_messages)
    .execute(&database.pool)
    .await
    .unwrap();
    sqlx::query(
        "INSERT INTO agent.messages (user_id, session_id, seq, message_id, role, content, created_at)
         SELECT $1, $2, n, gen_random_uuid(), 'user', rpad(n::text, $4, '.'), clock_timestamp()
         FROM generate_series(1, $3) AS n",
    )
    .bind(user)
    .bind(session)
    .bind(n_messages)
    .bind(bytes)
    .execute(&database.pool)
    .await
    .unwrap();
    session.to_string()
}

/// The `seq`s that a catch-up brought, and the gap that it named.
async fn caught_up(client: &mut TestClient) -> (Vec<i64>, Value) {
    let live = client.live().await;
    assert_eq!(live["head"], client.frames[0]["head"]);
    let seqs = client
        .frames
        .iter()
        .filter(|frame| frame["type"] == "query")
        .map(|frame| frame["seq"].as_i64().unwrap())
        .collect();
    (seqs, client.frames[0]["gap"].clone())
}

#[tokio::test]
async fn a_catch_up_of_more_than_a_thousand_messages_brings_the_newest_and_names_the_gap() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let session = seeded(&node.database, "alice", 1200, 10).await;
    let cases = [
        (0, 201, json!({ "from": 1, "to": 200 })),
        (199, 201, json!({ "from": 200, "to": 200 })),
        (200, 201, Value::Null),
        (1199, 1200, Value::Null),
    ];
    for (after, first, gap) in cases {
        let mut client = node.resume("alice", &session, after).await;
        let (seqs, named) = caught_up(&mut client).await;
        assert_eq!(seqs, (first..=1200).collect::<Vec<i64>>(), "after {after}");
        assert_eq!(named, gap, "after {after}");
    }
    let mut head = node.resume("alice", &session, 1200).await;
    assert_eq!(caught_up(&mut head).await, (vec![], Value::Null));
    let mut fresh = TestClient::connect(&node.base, &token("alice"), &format!("?session_id={session}")).await;
    assert_eq!(
        caught_up(&mut fresh).await,
        ((1151..=1200).collect(), Value::Null)
    );
    node.shut_down().await;
}

#[tokio::test]
async fn a_catch_up_of_more_than_eight_mebibytes_brings_the_newest_and_names_the_gap() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let session = seeded(&node.database, "alice", 20, 1024 * 1024).await;
    let mut client = node.resume("alice", &session, 2).await;
    let (seqs, gap) = caught_up(&mut client).await;
    assert_eq!(seqs, (13..=20).collect::<Vec<i64>>());
    assert_eq!(gap, json!({ "from": 3, "to": 12 }));
    node.shut_down().await;
}

#[tokio::test]
async fn frames_sent_during_the_catch_up_are_answered_after_live() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let session = seeded(&node.database, "alice", 900, 2000).await;
    let authorization = format!("Bearer {}", token("alice"));
    let path = format!("/v1/ws?session_id={session}&after=0");
    let mut client = TestClient::open(&node.base, &path, &[("authorization", &authorization)])
        .await
        .unwrap();
    client
        .send(&json!({ "type": "command", "content": "ping", "id": "early" }))
        .await;
    let response = client.ask("q", "Still there?").await;
    assert_eq!(response["seq"], 902);
    let kinds: Vec<&str> = client.frames.iter().map(kind).collect();
    let at = |wanted: &str| kinds.iter().position(|kind| *kind == wanted).unwrap();
    assert_eq!(at("welcome"), 0);
    assert_eq!(at("live"), 901, "all 900 come before");
    assert_eq!(at("ping"), 902);
    assert_eq!(at("accepted"), 903);
    let mut transcript = Transcript::default();
    transcript.apply(
        &client.frames,
        &HashMap::from([("q".to_owned(), "Still there?".to_owned())]),
    );
    assert_eq!(transcript.messages, node.database.transcript(&session).await);
    node.shut_down().await;
}
