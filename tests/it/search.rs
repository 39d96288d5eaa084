//! Full-text search: the index, what is not in it yet, and nobody else's words.

use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::database::TestDatabase;
use crate::support::eventually;
use crate::support::http::Api;
use crate::support::node::{TestNode, token};
use crate::support::provider::ScriptedProvider;

/// A session of a user with these messages, the oldest first, the newest so many seconds old.
async fn session(pool: &PgPool, user: &str, age_seconds: f64, contents: &[&str]) -> Uuid {
    let session = Uuid::now_v7();
    sqlx::query(
        "WITH made AS (
             INSERT INTO agent.sessions (user_id, session_id, last_seq, last_activity_at)
             VALUES ($1, $2, cardinality($4), clock_timestamp() - make_interval(secs => $3)))
         INSERT INTO agent.messages (user_id, session_id, seq, message_id, role, content, created_at)
         SELECT $1, $2, n, gen_random_uuid(), 'user', content,
                clock_timestamp() - make_interval(secs => $3 + cardinality($4) - n)
         FROM unnest($4) WITH ORDINALITY AS m (content, n)",
    )
    .bind(user)
    .bind(session)
    .bind(age_seconds)
    .bind(contents)
    .execute(pool)
    .await
    .unwrap();
    session
}

/// Brings the index as far as it may go.
async fn index(pool: &PgPool) -> i64 {
    sqlx::query_scalar("SELECT agent.index_messages(1000)")
        .fetch_one(pool)
        .await
        .unwrap()
}

async fn search(pool: &PgPool, user: &str, words: &str) -> Vec<String> {
    sqlx::query_scalar("SELECT content FROM agent.search($1, $2, 100)")
        .bind(user)
        .bind(words)
        .fetch_all(pool)
        .await
        .unwrap()
}

/// The same without the index.
async fn scan(pool: &PgPool, user: &str, words: &str) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT content FROM agent.messages
         WHERE user_id = $1 AND to_tsvector('simple', content) @@ websearch_to_tsquery('simple', $2)
         ORDER BY created_at DESC, session_id DESC, seq DESC",
    )
    .bind(user)
    .bind(words)
    .fetch_all(pool)
    .await
    .unwrap()
}

/// Odd names: those that a query's quoting could stumble over, and one that begins another.
const USERS: [&str; 5] = ["u", "u1", "o'hara", r"back\slash", "sp ace & | ! ( ) :* \"q\""];

const QUERIES: [&str; 9] = [
    "zebra",
    "zebra crosses",
    "\"a zebra\"",
    "zebra or lion",
    "lion -zebra",
    "-lion",
    "ÜBER",
    "u1",
    "nothing at all",
];

#[tokio::test]
async fn a_search_finds_the_same_before_while_and_after_the_index_is_written() {
    finds_the_same(TestDatabase::new().await).await;
}

/// What a search finds is what reading every message finds.
pub(crate) async fn finds_the_same(database: TestDatabase) {
    let pool = &database.pool;
    let old = ["a zebra crosses", "the lion sleeps", "über lion and zebra"];
    for user in USERS {
        session(pool, user, 60.0, &old).await;
    }
    let same = async |when: &str| {
        for user in USERS {
            for words in QUERIES {
                let found = search(pool, user, words).await;
                assert_eq!(found, scan(pool, user, words).await, "{when}: {user} {words}");
            }
        }
    };
    same("before").await;
    assert_eq!(index(pool).await, 15);
    same("indexed").await;
    // Too young for the index, in a session that has indexed messages and in a new one.
    for user in USERS {
        session(pool, user, 0.0, &["zebra again", "nothing at all"]).await;
    }
    assert_eq!(index(pool).await, 0);
    same("some in the index, some not").await;
    assert_eq!(search(pool, "u", "zebra").await.len(), 3);
    assert_eq!(search(pool, "nobody", "zebra").await, [""; 0]);
}

/// More than a search goes through before it looks words up.
#[tokio::test]
async fn a_long_history_is_searched_to_its_beginning() {
    searched_to_its_beginning(TestDatabase::new().await).await;
}

/// A history longer than that.
pub(crate) async fn searched_to_its_beginning(database: TestDatabase) {
    let pool = &database.pool;
    let contents: Vec<String> = (0..1500)
        .map(|n| match n {
            7 => "a zebra, once".to_owned(),
            n if n % 50 == 0 => format!("lion number {n}"),
            n => format!("nothing of note, number {n}"),
        })
        .collect();
    let contents: Vec<&str> = contents.iter().map(String::as_str).collect();
    for user in ["u", "other"] {
        session(pool, user, 60.0, &contents).await;
    }
    for part in [1000, 1000, 1000, 0] {
        assert_eq!(index(pool).await, part);
    }
    for words in [
        "zebra",
        "lion",
        "number",
        "\"lion number\"",
        "zebra or lion",
        "number -nothing",
        "unheard",
    ] {
        let mut expected = scan(pool, "u", words).await;
        expected.truncate(100);
        assert_eq!(search(pool, "u", words).await, expected, "{words}");
    }
    assert_eq!(search(pool, "u", "zebra").await, ["a zebra, once"]);
}

#[tokio::test]
async fn a_burst_after_a_quiet_time_is_indexed_in_parts_of_the_size_asked_for() {
    let database = TestDatabase::new().await;
    let pool = &database.pool;
    let burst: Vec<&str> = vec!["a zebra crosses"; 2500];
    session(pool, "u", 1_000_000.0, &["long ago"]).await;
    session(pool, "u", 60.0, &burst).await;
    assert_eq!(index(pool).await, 1000);
    assert_eq!(index(pool).await, 1000);
    assert_eq!(index(pool).await, 501);
    assert_eq!(index(pool).await, 0);
    assert_eq!(
        database.count("SELECT count(*) FROM agent.search_index").await,
        2501
    );
}

#[tokio::test]
async fn the_index_is_written_behind_by_the_server() {
    let provider = ScriptedProvider::start().await;
    let database = TestDatabase::new().await;
    session(&database.pool, "u", 60.0, &["a zebra crosses"]).await;
    let mut node = TestNode::start_on(database, &provider, &[]).await;
    eventually("the message is in the index", || async {
        node.database
            .count("SELECT count(*) FROM agent.search_index")
            .await
            == 1
    })
    .await;
    node.shut_down().await;
}

#[tokio::test]
async fn the_longest_answer_made_of_other_words_only_can_be_indexed_and_found() {
    let database = TestDatabase::new().await;
    // 512 KiB of words that all differ: what takes most room as words.
    let words: String = (0..)
        .map(|n| format!("{n:x} "))
        .scan(0, |bytes, word| {
            *bytes += word.len();
            (*bytes <= 512 * 1024).then_some(word)
        })
        .collect();
    session(&database.pool, "u", 60.0, &[&words]).await;
    assert_eq!(index(&database.pool).await, 1);
    assert_eq!(search(&database.pool, "u", "abc").await.len(), 1);
}

#[tokio::test]
async fn a_search_over_http_is_the_sockets() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let mut client = node.connect("u").await;
    client.ask("q1", "a zebra crosses").await;
    client.ask("q2", "another zebra").await;
    let api = Api::new(&node.base, &token("u"));
    let over_http = api.call("GET", "/v1/search?q=zebra", None).await.json();
    let on_the_socket = client.command("search", json!({ "q": "zebra" })).await;
    assert_eq!(over_http["matches"], on_the_socket["data"]["matches"]);
    let contents: Vec<&Value> = over_http["matches"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|found| found["role"] == "user")
        .map(|found| &found["content"])
        .collect();
    assert_eq!(contents, ["another zebra", "a zebra crosses"], "newest first");
    let one = api.call("GET", "/v1/search?q=zebra&limit=1", None).await.json();
    assert_eq!(one["matches"].as_array().unwrap().len(), 1);
    for bad in [
        "",
        "?q=",
        "?q=a&limit=0",
        "?q=a&limit=many",
        "?words=a",
        &format!("?q={}", "x".repeat(501)),
    ] {
        let reply = api.call("GET", &format!("/v1/search{bad}"), None).await;
        reply.problem(400, "invalid_message");
    }
    node.shut_down().await;
}
