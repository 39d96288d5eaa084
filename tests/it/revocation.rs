//! Revocation: what an operator revokes is shut out on every node within a second, and nothing else is.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::chaos::ChaosProxy;
use crate::support::client::TestClient;
use crate::support::database::TestDatabase;
use crate::support::eventually;
use crate::support::http::{Api, request};
use crate::support::node::{TestNode, token, token_issued};
use crate::support::process::program;
use crate::support::provider::{Script, ScriptedProvider};

/// What the contract gives a revocation.
const A_SECOND: Duration = Duration::from_secs(1);

async fn run(pool: &PgPool, sql: &'static str) {
    sqlx::raw_sql(sql).execute(pool).await.unwrap();
}

async fn revoke_user(pool: &PgPool, user: &str) {
    sqlx::query("SELECT agent.revoke(user_id => $1)")
        .bind(user)
        .execute(pool)
        .await
        .unwrap();
}

async fn revoke_token(pool: &PgPool, id: Uuid) {
    sqlx::query("SELECT agent.revoke(token_id => $1)")
        .bind(id.to_string())
        .execute(pool)
        .await
        .unwrap();
}

/// A client that speaks the contract, live.
async fn connected(node: &TestNode, token: &str) -> TestClient {
    let mut client = TestClient::connect(&node.base, token, "").await;
    client.live().await;
    client
}

/// Checks that a socket is told and closed as a revoked one.
async fn assert_shut_out(client: &mut TestClient) {
    assert_eq!(
        client.closed().await,
        (4503, "Identity changed or revoked".to_owned())
    );
    let last = client.frames.last().unwrap();
    assert_eq!(
        (&last["type"], &last["code"]),
        (&json!("error"), &json!("unauthorized")),
        "{last}"
    );
}

/// Checks that a token opens nothing on a node.
async fn assert_refused(node: &TestNode, token: &str) {
    let reply = Api::new(&node.base, token)
        .call("GET", "/v1/sessions", None)
        .await;
    reply.problem(401, "unauthorized");
    let authorization = format!("Bearer {token}");
    let refused = TestClient::open(&node.base, "/v1/ws", &[("authorization", &authorization)]).await;
    assert_eq!(refused.err().map(|refused| refused.status), Some(401));
    let offered = format!("agentws.v1, agentws.bearer.{token}");
    let mut client = TestClient::open(&node.base, "/v1/ws", &[("sec-websocket-protocol", &offered)])
        .await
        .unwrap();
    assert_eq!(client.closed().await.0, 4501);
}

async fn is_refused(node: &TestNode, token: &str) -> bool {
    Api::new(&node.base, token)
        .call("GET", "/v1/sessions", None)
        .await
        .status
        == 401
}

/// Two nodes on one database, that hear NOTIFY or cannot.
async fn two_nodes(provider: &ScriptedProvider, listen: &str) -> (TestNode, TestNode) {
    let database = TestDatabase::new().await;
    let url = if listen.is_empty() {
        database.url.clone()
    } else {
        listen.to_owned()
    };
    let one = TestNode::start_with(database.clone(), url.clone(), provider, &[]).await;
    let two = TestNode::start_with(database, url, provider, &[]).await;
    if listen.is_empty() {
        one.listening().await;
        two.listening().await;
    }
    (one, two)
}

/// Everybody of alice is out on both nodes within a second, and bob is not.
async fn a_user_is_shut_out_everywhere(listen: &str) {
    let provider = ScriptedProvider::start().await;
    let (mut one, mut two) = two_nodes(&provider, listen).await;
    let (first, second) = (token("alice"), token("alice"));
    let mut phone = connected(&one, &first).await;
    let mut laptop = connected(&two, &second).await;
    let mut bob = connected(&two, &token("bob")).await;
    let revoked = Instant::now();
    revoke_user(&one.database.pool, "alice").await;
    assert_shut_out(&mut phone).await;
    assert_shut_out(&mut laptop).await;
    let took = revoked.elapsed();
    assert!(took < A_SECOND, "{took:?}");
    for node in [&one, &two] {
        assert_refused(node, &first).await;
        assert_refused(node, &second).await;
    }
    // Who signs in again is welcome: issued since.
    connected(&one, &token_issued("alice", Uuid::new_v4(), 2)).await;
    assert_eq!(bob.command("ping", json!({})).await["event"], "ping");
    bob.ask("q1", "Hello?").await;
    println!(
        "revocation{}: sockets on two nodes closed after {took:?}",
        if listen.is_empty() { "" } else { ", polled" }
    );
    two.shut_down().await;
    one.shut_down().await;
}

#[tokio::test]
async fn t5_a_revoked_user_is_shut_out_on_every_node_within_a_second() {
    Box::pin(a_user_is_shut_out_everywhere("")).await;
}

#[tokio::test]
async fn t5_a_revocation_takes_no_longer_than_a_second_where_nothing_is_heard() {
    Box::pin(a_user_is_shut_out_everywhere(
        "postgres://nobody@127.0.0.1:1/nothing",
    ))
    .await;
}

#[tokio::test]
async fn t5_a_revoked_token_ends_its_own_sockets_and_stops_no_answer() {
    let provider = ScriptedProvider::start().await;
    provider.on(
        "slow",
        Script::new()
            .text("Hel")
            .wait_for("more")
            .text("lo")
            .finish("stop")
            .done(),
    );
    let mut node = TestNode::start(&provider, &[]).await;
    node.listening().await;
    let id = Uuid::new_v4();
    let lost = token_issued("alice", id, 0);
    let mut stolen = connected(&node, &lost).await;
    let mut own = node.resume("alice", &stolen.session, 0).await;
    own.live().await;
    stolen.query("q1", "slow").await;
    own.until(|frame| frame["type"] == "delta").await;
    revoke_token(&node.database.pool, id).await;
    assert_shut_out(&mut stolen).await;
    assert_refused(&node, &lost).await;
    provider.open("more");
    let response = own.until(|frame| frame["type"] == "response").await;
    assert_eq!(
        (&response["state"], &response["content"]),
        (&json!("complete"), &json!("Hello"))
    );
    node.shut_down().await;
}

#[tokio::test]
async fn t5_answers_of_a_revoked_user_stop_wherever_they_run_or_wait() {
    let provider = ScriptedProvider::start().await;
    for word in ["slow", "other"] {
        provider.on(
            word,
            Script::new().text(word).wait_for("never").finish("stop").done(),
        );
    }
    let (mut one, mut two) = two_nodes(&provider, "").await;
    let mut clients = Vec::new();
    for node in [&one, &two] {
        let mut client = connected(node, &token("alice")).await;
        client.query("q1", "slow").await;
        client.until(|frame| frame["type"] == "delta").await;
        client.query("q2", "waits").await;
        clients.push(client);
    }
    let mut bob = connected(&one, &token("bob")).await;
    bob.query("q1", "other").await;
    bob.until(|frame| frame["type"] == "delta").await;
    revoke_user(&one.database.pool, "alice").await;
    for client in &mut clients {
        assert_shut_out(client).await;
    }
    let pool = &one.database.pool;
    eventually("her answers have ended", || async {
        let open: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM agent.runs WHERE user_id = 'alice' AND state IN ('queued', 'running')",
        )
        .fetch_one(pool)
        .await
        .unwrap();
        open == 0
    })
    .await;
    let ends: Vec<(String, String)> = sqlx::query_as(
        "SELECT state, content FROM agent.messages WHERE user_id = 'alice' AND role = 'assistant' ORDER BY content",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let end = |content: &str| ("cancelled".to_owned(), content.to_owned());
    assert_eq!(
        ends,
        [end(""), end(""), end("slow"), end("slow")],
        "each has its one message, with the text so far"
    );
    let running = "SELECT count(*) FROM agent.runs WHERE user_id = 'bob' AND state = 'running'";
    assert_eq!(one.database.count(running).await, 1, "nobody else's stops");
    two.shut_down().await;
    one.shut_down().await;
}

#[tokio::test]
async fn an_answer_that_was_asked_for_while_the_revocation_spread_stops_too() {
    let provider = ScriptedProvider::start().await;
    provider.on(
        "slow",
        Script::new().text("slow").wait_for("never").finish("stop").done(),
    );
    let mut node = TestNode::start(&provider, &[]).await;
    node.listening().await;
    let mut client = connected(&node, &token("alice")).await;
    client.query("q1", "slow").await;
    client.until(|frame| frame["type"] == "delta").await;
    // As if it had been asked half a second after a revocation that is a quarter of a second old.
    run(
        &node.database.pool,
        "UPDATE agent.runs SET queued_at = clock_timestamp() + interval '250 milliseconds'; SELECT agent.revoke(user_id => 'alice')",
    )
    .await;
    assert_shut_out(&mut client).await;
    let cancelled = "SELECT count(*) FROM agent.runs WHERE state = 'cancelled'";
    eventually("it has ended", || async {
        node.database.count(cancelled).await == 1
    })
    .await;

    // And one that was asked for with a later token goes on.
    let mut again = connected(&node, &token_issued("alice", Uuid::new_v4(), 2)).await;
    provider.pause(Duration::from_millis(1_100)).await;
    again.query("q1", "slow").await;
    again.until(|frame| frame["type"] == "delta").await;
    revoke_token(&node.database.pool, Uuid::new_v4()).await;
    provider.pause(A_SECOND).await;
    assert_eq!(
        node.database
            .count("SELECT count(*) FROM agent.runs WHERE state = 'running'")
            .await,
        1
    );
    node.shut_down().await;
}

#[tokio::test]
async fn t5_everything_that_was_issued_before_a_moment_is_revoked_at_once() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    node.listening().await;
    let old = token_issued("alice", Uuid::new_v4(), -120);
    let new = token_issued("alice", Uuid::new_v4(), -10);
    let (mut early, mut late) = (connected(&node, &old).await, connected(&node, &new).await);
    let mut bob = connected(&node, &token_issued("bob", Uuid::new_v4(), -120)).await;
    run(
        &node.database.pool,
        "SELECT agent.revoke(issued_before => clock_timestamp() - interval '1 minute')",
    )
    .await;
    assert_shut_out(&mut early).await;
    assert_shut_out(&mut bob).await;
    assert_refused(&node, &old).await;
    assert_eq!(late.command("ping", json!({})).await["event"], "ping");
    connected(&node, &new).await;

    // The same for one user.
    let oldest = token_issued("alice", Uuid::new_v4(), -30);
    let mut client = connected(&node, &oldest).await;
    run(
        &node.database.pool,
        "SELECT agent.revoke(user_id => 'alice', issued_before => clock_timestamp() - interval '20 seconds')",
    )
    .await;
    assert_shut_out(&mut client).await;
    assert_eq!(late.command("ping", json!({})).await["event"], "ping");

    // And for good: what will be issued, too.
    run(
        &node.database.pool,
        "SELECT agent.revoke(user_id => 'alice', issued_before => 'infinity')",
    )
    .await;
    assert_shut_out(&mut late).await;
    assert_refused(&node, &token_issued("alice", Uuid::new_v4(), 20)).await;
    assert_eq!(
        node.database
            .count("SELECT count(*) FROM agent.revocations WHERE expires_at = 'infinity'")
            .await,
        1
    );
    node.shut_down().await;
}

#[tokio::test]
async fn t5_a_renewal_with_a_revoked_token_is_refused_and_a_renewed_socket_outlives_the_first() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    node.listening().await;
    let ids = [Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4()];
    let tokens = ids.map(|id| token_issued("alice", id, 0));
    let mut client = connected(&node, &tokens[0]).await;
    revoke_token(&node.database.pool, ids[1]).await;
    eventually("it is known", || is_refused(&node, &tokens[1])).await;
    let refused = client.command("auth", json!({ "token": tokens[1] })).await;
    assert_eq!(refused["code"], "unauthorized");
    assert_eq!(
        client.command("auth", json!({ "token": tokens[2] })).await["event"],
        "auth"
    );
    revoke_token(&node.database.pool, ids[0]).await;
    eventually("it is known", || is_refused(&node, &tokens[0])).await;
    assert_eq!(
        client.command("ping", json!({})).await["event"],
        "ping",
        "it lives by another by now"
    );
    revoke_token(&node.database.pool, ids[2]).await;
    assert_shut_out(&mut client).await;
    node.shut_down().await;
}

#[tokio::test]
async fn a_node_knows_from_its_start_what_was_revoked_and_stops_what_was_left() {
    let provider = ScriptedProvider::start().await;
    let database = TestDatabase::new().await;
    let mut first = TestNode::start_on(database.clone(), &provider, &[]).await;
    let old = token("alice");
    let mut client = connected(&first, &old).await;
    client.ask("q1", "Hello?").await;
    first.shut_down().await;
    // Left by a node that died: it waits, nobody is there, and it would never end by itself.
    provider.on(
        "Hello?",
        Script::new().text("x").wait_for("never").finish("stop").done(),
    );
    run(
        &database.pool,
        "UPDATE agent.runs SET state = 'queued', ended_at = NULL;
         DELETE FROM agent.messages WHERE role = 'assistant';
         SELECT agent.revoke(user_id => 'alice')",
    )
    .await;
    let mut second = TestNode::start_on(database.clone(), &provider, &[]).await;
    assert_refused(&second, &old).await;
    eventually("its run has been stopped", || async {
        database
            .count("SELECT count(*) FROM agent.runs WHERE state = 'cancelled'")
            .await
            == 1
    })
    .await;
    second.shut_down().await;
}

#[tokio::test]
async fn a_revocation_outlives_its_user() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let id = Uuid::new_v4();
    let stolen = token_issued("alice", id, 0);
    sqlx::query("SELECT agent.revoke(user_id => 'alice', token_id => $1)")
        .bind(id.to_string())
        .execute(&node.database.pool)
        .await
        .unwrap();
    let reply = Api::new(&node.base, &token("alice"))
        .call("DELETE", "/v1/users/me", None)
        .await;
    assert_eq!(reply.status, 200);
    let mut other = TestNode::start_on(node.database.clone(), &provider, &[]).await;
    for node in [&node, &other] {
        eventually("the stolen token is refused", || is_refused(node, &stolen)).await;
    }
    assert!(
        !is_refused(&other, &token_issued("bob", id, 0)).await,
        "the same jti of somebody else"
    );
    other.shut_down().await;
    node.shut_down().await;
}

#[tokio::test]
async fn a_revocation_that_is_deleted_is_lifted() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    let token = token("alice");
    revoke_user(&node.database.pool, "alice").await;
    eventually("it is refused", || is_refused(&node, &token)).await;
    run(&node.database.pool, "DELETE FROM agent.revocations").await;
    eventually("it is accepted again", || async {
        !is_refused(&node, &token).await
    })
    .await;
    node.shut_down().await;
}

#[tokio::test]
async fn revocations_end_when_their_tokens_have() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    revoke_user(&node.database.pool, "alice").await;
    revoke_user(&node.database.pool, "bob").await;
    run(
        &node.database.pool,
        "UPDATE agent.revocations SET expires_at = clock_timestamp() WHERE subject = 'alice'",
    )
    .await;
    let mut other = TestNode::start_on(node.database.clone(), &provider, &[]).await;
    assert!(!is_refused(&other, &token("alice")).await, "it has ended");
    node.node().service().store.sweep_revocations().await.unwrap();
    assert_eq!(
        node.database
            .count("SELECT count(*) FROM agent.revocations")
            .await,
        1
    );
    other.shut_down().await;
    node.shut_down().await;
}

/// What a metric says.
async fn metric(node: &TestNode, name: &str) -> String {
    let text = request(&node.admin, "GET", "/metrics", &[], None).await.body;
    let line = text
        .lines()
        .find(|line| line.starts_with(&format!("{name} ")))
        .unwrap();
    line.rsplit_once(' ').unwrap().1.to_owned()
}

#[tokio::test]
async fn without_the_database_what_is_known_goes_on_to_count_and_the_metric_says_so() {
    let provider = ScriptedProvider::start().await;
    let database = TestDatabase::new().await;
    let proxy = ChaosProxy::start(&database.server_url);
    let behind = TestDatabase {
        server_url: proxy.url.clone(),
        ..database.clone()
    };
    let mut node = TestNode::start_on(behind, &provider, &[]).await;
    let (revoked, good) = (token("alice"), token("bob"));
    let mut bob = connected(&node, &good).await;
    revoke_user(&database.pool, "alice").await;
    eventually("it is known", || is_refused(&node, &revoked)).await;
    let fresh = "agent_websocket_revocations_fresh";
    assert_eq!(metric(&node, fresh).await, "1");

    proxy.stall();
    eventually("the metric says so", || async {
        metric(&node, fresh).await == "0"
    })
    .await;
    assert!(is_refused(&node, &revoked).await, "what is known counts");
    let asked = Instant::now();
    assert_eq!(
        bob.command("auth", json!({ "token": good })).await["event"],
        "auth",
        "and others are served"
    );
    assert!(
        asked.elapsed() < A_SECOND,
        "a token is checked without the database"
    );
    revoke_user(&database.pool, "bob").await;
    proxy.restore();
    assert_shut_out(&mut bob).await;
    eventually("it is known again", || async {
        metric(&node, fresh).await == "1"
    })
    .await;
    node.shut_down().await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_the_database() {
    let database = TestDatabase::new().await;
    for (sql, words) in [
        ("SELECT agent.revoke()", "say what to revoke"),
        (
            "SELECT agent.revoke(issued_before => clock_timestamp() + interval '1 hour')",
            "nobody could connect any more",
        ),
        (
            "SELECT agent.revoke(issued_before => 'infinity')",
            "nobody could connect any more",
        ),
        (
            "SELECT agent.revoke(token_id => 't', issued_before => now())",
            "name token_id or issued_before",
        ),
        (
            "SELECT agent.revoke(user_id => 'u', expires_at => now() - interval '1 second')",
            "expires_at is over",
        ),
        ("SELECT agent.revoke(user_id => '')", "check constraint"),
        ("SELECT agent.revoke(token_id => '')", "check constraint"),
    ] {
        let error = sqlx::query(sql)
            .execute(&database.pool)
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains(words), "{sql}: {error}");
    }
    assert_eq!(database.count("SELECT count(*) FROM agent.revocations").await, 0);
}

#[tokio::test]
async fn only_the_servers_role_and_the_owner_may_revoke() {
    let database = TestDatabase::new().await;
    for (role, may) in [
        ("agent_app", true),
        ("agent_reader", false),
        ("agent_notifier", false),
        ("agent_user", false),
    ] {
        let mut transaction = database.pool.begin().await.unwrap();
        sqlx::query(sqlx::AssertSqlSafe(format!("SET LOCAL ROLE {role}")))
            .execute(&mut *transaction)
            .await
            .unwrap();
        let revoked = sqlx::query("SELECT agent.revoke(user_id => 'alice')")
            .execute(&mut *transaction)
            .await;
        assert_eq!(revoked.is_ok(), may, "{role}: {revoked:?}");
    }
}

#[tokio::test]
async fn the_command_revokes_and_prints_which() {
    let provider = ScriptedProvider::start().await;
    let mut node = TestNode::start(&provider, &[]).await;
    node.listening().await;
    let mut client = connected(&node, &token("alice")).await;
    let url = node.database.url.clone();
    let done = program(&url, &["revoke", "--user", "alice"]).await;
    assert!(done.status.success(), "{done:?}");
    let id: Uuid = String::from_utf8(done.stdout).unwrap().trim().parse().unwrap();
    assert_shut_out(&mut client).await;
    let (subject,): (String,) =
        sqlx::query_as("SELECT subject FROM agent.revocations WHERE revocation_id = $1")
            .bind(id)
            .fetch_one(&node.database.pool)
            .await
            .unwrap();
    assert_eq!(subject, "alice");
    for arguments in [
        vec!["revoke", "--token-id", "t1", "--user", "alice"],
        vec![
            "revoke",
            "--issued-before",
            "2026-01-01T00:00:00Z",
            "--expires-at",
            "2099-01-01T00:00:00Z",
        ],
    ] {
        let done = program(&url, &arguments).await;
        assert!(done.status.success(), "{arguments:?}: {done:?}");
    }
    let rows: Value = sqlx::query_scalar(
        "SELECT jsonb_agg(jsonb_build_array(subject, token_id) ORDER BY revoked_at) FROM agent.revocations",
    )
    .fetch_one(&node.database.pool)
    .await
    .unwrap();
    assert_eq!(rows, json!([["alice", null], ["alice", "t1"], [null, null]]));
    for bad in [
        vec!["revoke"],
        vec![
            "revoke",
            "--token-id",
            "t",
            "--issued-before",
            "2026-01-01T00:00:00Z",
        ],
    ] {
        assert!(!program(&url, &bad).await.status.success(), "{bad:?}");
    }
    node.shut_down().await;
}
