//! docs/supabase.md and deploy/supabase.sql, on a plain Postgres with Supabase's roles, claims and `auth.uid()` imitated.
//!
//! The schema's owner is no superuser, as in a project. Everything a user does goes the way of `PostgREST`: a login that inherits
//! nothing, a role and claims for one transaction.

use agent_websocket::postgres::{Cluster, Installation};
use agent_websocket::store::Store;
use sqlx::{Connection, PgConnection};

use super::{count, execute, forbidden};
use crate::support::database::environment;
use crate::tidy::blocks::run_by;
use crate::tidy::read;

const ALICE: &str = "7c9e6679-7425-40de-944b-e07fc1f90ae7";
const BOB: &str = "16fd2706-8baf-433b-82eb-8c7fada847da";

/// A project's database, migrated by its owner, with a session and a message of each of two users.
struct Project {
    cluster: Cluster,
}

impl Project {
    async fn start() -> Self {
        let installation = Installation::locate(&environment).unwrap();
        let cluster = Cluster::throw_away(&installation, "supabase").await.unwrap();
        let project = Self { cluster };
        let mut superuser = project.connect("agent").await;
        execute(&mut superuser, include_str!("supabase.sql")).await;
        let owner = "CREATE ROLE owner LOGIN CREATEROLE; GRANT CREATE ON DATABASE postgres TO owner";
        execute(&mut superuser, owner).await;
        let store = Store::connect(&project.url("owner"), 1).await.unwrap();
        store.migrate().await.unwrap();
        store.close().await;
        let mut owner = project.connect("owner").await;
        // As after an upgrade: once more.
        for _again in 0..2 {
            execute(&mut owner, &read("deploy/supabase.sql")).await;
        }
        for (user, session) in [(ALICE, 1), (BOB, 2)] {
            let session = format!("00000000-0000-7000-8000-00000000000{session}");
            let rows = format!(
                "INSERT INTO agent.sessions (user_id, session_id, last_seq) VALUES ('{user}', '{session}', 1);
                 INSERT INTO agent.messages (user_id, session_id, seq, message_id, role, content, created_at)
                 VALUES ('{user}', '{session}', 1, gen_random_uuid(), 'user', 'A question', now())"
            );
            execute(&mut owner, &rows).await;
        }
        project
    }

    fn url(&self, role: &str) -> String {
        self.cluster
            .url("postgres")
            .replacen("agent@", &format!("{role}@"), 1)
    }

    async fn connect(&self, role: &str) -> PgConnection {
        PgConnection::connect(&self.url(role)).await.unwrap()
    }

    /// A request as `PostgREST` carries it out: the transaction's role, and the claims of its token.
    async fn request(&self, role: &str, user: Option<&str>) -> PgConnection {
        let mut connection = self.connect("authenticator").await;
        let sub = user.map_or_else(String::new, |user| format!(r#""sub": "{user}", "#));
        let begin = format!(
            r#"BEGIN; SET LOCAL ROLE {role}; SET LOCAL request.jwt.claims = '{{{sub}"role": "{role}"}}'"#
        );
        execute(&mut connection, &begin).await;
        connection
    }
}

/// The page's blocks of SQL for a role.
fn documented(role: &str) -> Vec<String> {
    let page = run_by("tests/it/sql/supabase.rs", &["docs/supabase.md"]);
    let role = format!("as: {role}");
    let blocks: Vec<String> = page
        .into_iter()
        .filter(|block| block.options().any(|option| option == role))
        .map(|block| block.code)
        .collect();
    assert!(!blocks.is_empty(), "docs/supabase.md has nothing {role}");
    blocks
}

#[tokio::test]
async fn a_signed_in_user_reads_their_own_rows_and_no_others() {
    let project = Project::start().await;
    let mut alice = project.request("authenticated", Some(ALICE)).await;
    let messages = "SELECT count(*) FROM agent.transcript";
    assert_eq!(count(&mut alice, messages).await, 1);
    for block in documented("authenticated") {
        execute(&mut alice, &block).await;
    }
    let own = format!("SELECT count(*) FROM agent.sessions WHERE user_id = '{ALICE}'");
    assert_eq!(count(&mut alice, &own).await, 1);
    forbidden(&mut alice, "DELETE FROM agent.messages").await;
    forbidden(
        &mut alice,
        "INSERT INTO agent.notifications (user_id, content) VALUES ('x', 'y')",
    )
    .await;
    // What a careless function might set: the policy with auth.uid() holds all the same.
    execute(&mut alice, &format!("SET LOCAL agent.user_id = '{BOB}'")).await;
    assert_eq!(count(&mut alice, messages).await, 0);
    project.cluster.stop().await.unwrap();
}

#[tokio::test]
async fn nobody_signed_in_sees_nothing() {
    let project = Project::start().await;
    let mut anonymous = project.request("anon", None).await;
    forbidden(&mut anonymous, "SELECT * FROM agent.transcript").await;
    let mut nameless = project.request("authenticated", None).await;
    assert_eq!(
        count(&mut nameless, "SELECT count(*) FROM agent.messages").await,
        0
    );
    project.cluster.stop().await.unwrap();
}

#[tokio::test]
async fn the_service_role_notifies_and_reads_no_history() {
    let project = Project::start().await;
    let mut service = project.request("service_role", None).await;
    for block in documented("service_role") {
        execute(&mut service, &block).await;
    }
    execute(
        &mut service,
        &format!("SELECT agent.notify(user_id => '{ALICE}', content => 'Deployed')"),
    )
    .await;
    forbidden(&mut service, "SELECT * FROM agent.messages").await;
    execute(&mut service, "COMMIT").await;
    let mut alice = project.request("authenticated", Some(ALICE)).await;
    let pending = "SELECT count(*) FROM agent.pending_notifications";
    assert_eq!(count(&mut alice, pending).await, 2);
    let mut bob = project.request("authenticated", Some(BOB)).await;
    assert_eq!(count(&mut bob, pending).await, 0);
    project.cluster.stop().await.unwrap();
}

#[tokio::test]
async fn the_servers_own_login_and_an_erasure_are_as_documented() {
    let project = Project::start().await;
    let mut owner = project.connect("owner").await;
    for block in documented("owner") {
        execute(&mut owner, &block).await;
    }
    let left = format!("SELECT count(*) FROM agent.messages WHERE user_id = '{ALICE}'");
    assert_eq!(count(&mut owner, &left).await, 0);
    assert_eq!(count(&mut owner, "SELECT count(*) FROM agent.messages").await, 1);
    let mut server = project.connect("agent_server").await;
    execute(&mut server, "BEGIN").await;
    execute(&mut server, "DELETE FROM agent.sessions").await;
    forbidden(&mut server, "UPDATE agent.messages SET content = ''").await;
    project.cluster.stop().await.unwrap();
}
