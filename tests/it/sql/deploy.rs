//! A database whose owner may not create roles: it is migrated, served and dumped by them, and deploy/roles.sql makes the
//! roles later, or before.

use std::process::Command;

use agent_websocket::postgres::{Cluster, Installation};
use agent_websocket::store::Store;
use sqlx::{Connection, PgConnection};

use super::{count, execute, forbidden, names};
use crate::support::database::environment;

const ROLES: &str = include_str!("../../../deploy/roles.sql");
const PARTITION: &str = include_str!("../../../deploy/partition.sql");
const MISSING: &str = "SELECT unnest(agent.grant_access())";
const MESSAGES: &str = "SELECT count(*) FROM agent.messages";
const A_CONVERSATION: &str = "
    INSERT INTO agent.sessions (user_id, session_id, last_seq) VALUES ('u_42', '00000000-0000-7000-8000-000000000001', 1);
    INSERT INTO agent.messages (user_id, session_id, seq, message_id, role, content, created_at)
    VALUES ('u_42', '00000000-0000-7000-8000-000000000001', 1, gen_random_uuid(), 'user', 'A durable question', now())";

/// A server of the test's own, on which `plain` owns databases and may create no roles.
struct Server {
    installation: Installation,
    cluster: Cluster,
}

impl Server {
    async fn start() -> Self {
        let installation = Installation::locate(&environment).unwrap();
        let cluster = Cluster::throw_away(&installation, "deploy").await.unwrap();
        let server = Self {
            installation,
            cluster,
        };
        execute(&mut server.superuser("postgres").await, "CREATE ROLE plain LOGIN").await;
        server
    }

    async fn superuser(&self, database: &str) -> PgConnection {
        PgConnection::connect(&self.cluster.url(database)).await.unwrap()
    }

    fn url_of_owner(&self, database: &str) -> String {
        self.cluster.url(database).replacen("agent@", "plain@", 1)
    }

    /// A database of `plain`'s, migrated by them.
    async fn migrated(&self, database: &str) -> PgConnection {
        let mut superuser = self.superuser("postgres").await;
        execute(&mut superuser, &format!("CREATE DATABASE {database} OWNER plain")).await;
        let url = self.url_of_owner(database);
        let store = Store::connect(&url, 1).await.unwrap();
        store.migrate().await.unwrap();
        assert!(store.is_migrated().await.unwrap());
        store.close().await;
        PgConnection::connect(&url).await.unwrap()
    }

    /// What `pg_dump` says of a database to its owner.
    fn dump(&self, database: &str, options: &[&str]) -> String {
        let output = Command::new(self.installation.bin_dir().join("pg_dump"))
            .args(options)
            .arg(self.url_of_owner(database))
            .output()
            .unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }
}

/// Tries one thing of each role's work, and one that is none of it.
async fn roles_have_their_rights(superuser: &mut PgConnection) {
    for (role, work, other) in [
        (
            "agent_app",
            "DELETE FROM agent.feedback",
            "UPDATE agent.messages SET content = ''",
        ),
        (
            "agent_reader",
            "SELECT * FROM agent.transcript",
            "DELETE FROM agent.feedback",
        ),
        (
            "agent_notifier",
            "SELECT agent.notify(user_id => 'u_42', content => 'x')",
            "SELECT * FROM agent.transcript",
        ),
        (
            "agent_user",
            "SELECT * FROM agent.transcript",
            "SELECT * FROM agent.chunks",
        ),
    ] {
        execute(superuser, &format!("BEGIN; SET LOCAL ROLE {role}")).await;
        execute(superuser, work).await;
        forbidden(superuser, other).await;
        execute(superuser, "ROLLBACK").await;
    }
}

#[tokio::test]
async fn an_owner_who_may_not_create_roles_migrates_and_a_superuser_adds_them_later() {
    let server = Server::start().await;
    let mut owner = server.migrated("later").await;
    let four = ["agent_app", "agent_reader", "agent_notifier", "agent_user"];
    assert_eq!(names(&mut owner, MISSING).await, four);
    execute(&mut owner, A_CONVERSATION).await;
    assert_eq!(count(&mut owner, MESSAGES).await, 1, "the owner has a policy");

    let mut superuser = server.superuser("later").await;
    for _again in 0..2 {
        execute(&mut superuser, ROLES).await;
    }
    assert_eq!(names(&mut owner, MISSING).await, [""; 0]);
    roles_have_their_rights(&mut superuser).await;

    execute(&mut superuser, "SET ROLE agent_reader").await;
    assert_eq!(count(&mut superuser, MESSAGES).await, 1);
    execute(&mut superuser, "SET ROLE agent_user").await;
    assert_eq!(count(&mut superuser, MESSAGES).await, 0);
    execute(&mut superuser, "SET agent.user_id = 'u_42'").await;
    assert_eq!(count(&mut superuser, MESSAGES).await, 1);
    server.cluster.stop().await.unwrap();
}

#[tokio::test]
async fn roles_that_were_made_before_get_their_rights_from_the_migration() {
    let server = Server::start().await;
    let mut superuser = server.superuser("postgres").await;
    execute(&mut superuser, ROLES).await;
    let mut owner = server.migrated("before").await;
    assert_eq!(names(&mut owner, MISSING).await, [""; 0]);
    roles_have_their_rights(&mut server.superuser("before").await).await;
    server.cluster.stop().await.unwrap();
}

#[tokio::test]
async fn an_owner_dumps_everything_if_they_say_that_policies_may_apply() {
    let server = Server::start().await;
    let mut owner = server.migrated("dumped").await;
    execute(&mut owner, A_CONVERSATION).await;
    let refused = server.dump("dumped", &[]);
    assert!(refused.contains("row-level security"), "{refused}");
    let dump = server.dump("dumped", &["--enable-row-security"]);
    assert!(dump.contains("A durable question"), "{dump}");
    server.cluster.stop().await.unwrap();
}

#[tokio::test]
async fn an_owner_who_may_create_roles_needs_nobody() {
    let server = Server::start().await;
    execute(
        &mut server.superuser("postgres").await,
        "ALTER ROLE plain CREATEROLE",
    )
    .await;
    let mut owner = server.migrated("alone").await;
    assert_eq!(names(&mut owner, MISSING).await, [""; 0]);
    execute(&mut owner, ROLES).await;
    // They may also cut the tables of the log.
    execute(&mut owner, A_CONVERSATION).await;
    execute(&mut owner, PARTITION).await;
    assert_eq!(count(&mut owner, MESSAGES).await, 1);
    let dump = server.dump("alone", &["--enable-row-security"]);
    assert!(dump.contains("A durable question"), "{dump}");
    roles_have_their_rights(&mut server.superuser("alone").await).await;
    server.cluster.stop().await.unwrap();
}
