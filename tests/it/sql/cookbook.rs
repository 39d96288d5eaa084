//! The SQL that documents say to paste: every statement is run, as the role that it is meant for, on data that it finds something in.
//!
//! The mark above a block says what is not the rule: `as: owner`; `returns nothing`, or `returns what there is` where other tests decide that.

use std::collections::BTreeSet;

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::{execute, names, seeded};
use crate::support::database::TestDatabase;
use crate::tidy::blocks::{Block, run_by};
use crate::tidy::read;

/// Documents with blocks for this test.
const DOCUMENTS: [&str; 8] = [
    "README.md",
    "PROTOCOL.md",
    "docs/concepts.md",
    "docs/operations.md",
    "docs/sql.md",
    "docs/tokens.md",
    "docs/troubleshooting.md",
    "examples/notify/README.md",
];

/// Whoever made the schema; in the tests, the superuser.
const OWNER: &str = "owner";

/// A block of SQL to paste.
#[derive(Debug)]
struct Recipe {
    /// Where it is.
    place: String,
    /// Who runs it.
    role: String,
    /// Whether rows are found, inserted or changed; `None`: that depends.
    has_rows: Option<bool>,
    sql: String,
}

impl From<Block> for Recipe {
    fn from(block: Block) -> Self {
        let mut recipe = Self {
            place: block.place(),
            role: "agent_reader".to_owned(),
            has_rows: Some(true),
            sql: block.code.clone(),
        };
        assert_eq!(block.language, "sql", "{}", recipe.place);
        for option in block.options() {
            match option.split_once(": ") {
                Some(("as", role)) => role.clone_into(&mut recipe.role),
                None if option == "returns nothing" => recipe.has_rows = Some(false),
                None if option == "returns what there is" => recipe.has_rows = None,
                _ => panic!("{}: what is `{option}`?", recipe.place),
            }
        }
        recipe
    }
}

/// Runs a recipe as its role and takes it back; how many rows it found or wrote.
async fn run(database: &TestDatabase, recipe: &Recipe) -> Result<u64, sqlx::Error> {
    let mut connection = PgConnection::connect(&database.url).await?;
    execute(&mut connection, "BEGIN").await;
    if recipe.role != OWNER {
        execute(&mut connection, &format!("SET LOCAL ROLE {}", recipe.role)).await;
    }
    let sql = AssertSqlSafe(recipe.sql.as_str());
    let done = sqlx::raw_sql(sql).execute(&mut connection).await?;
    execute(&mut connection, "ROLLBACK").await;
    Ok(done.rows_affected())
}

#[tokio::test]
async fn every_statement_to_paste_runs_and_finds_something() {
    let database = seeded().await;
    let recipes: Vec<Recipe> = run_by("tests/it/sql/cookbook.rs", &DOCUMENTS)
        .into_iter()
        .map(Recipe::from)
        .collect();
    let mut faults = Vec::new();
    for recipe in &recipes {
        match run(&database, recipe).await {
            Ok(rows) if recipe.has_rows.is_none_or(|has_rows| has_rows == (rows > 0)) => {}
            Ok(rows) => faults.push(format!("{}: {rows} rows", recipe.place)),
            Err(error) => faults.push(format!("{}: {error}", recipe.place)),
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));

    let of_role = |role: &str| recipes.iter().filter(|recipe| recipe.role == role).count();
    assert!(of_role("agent_reader") >= 10, "the questions were not found");
    assert!(of_role("agent_notifier") >= 4 && of_role("agent_user") >= 2);
}

#[tokio::test]
async fn the_cookbook_names_every_table_and_every_view() {
    let text = read("docs/sql.md");
    let section = text
        .split("\n## ")
        .find(|section| section.starts_with("What is there"));
    let named: BTreeSet<String> = section
        .unwrap()
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" | ").next())
        .flat_map(|cell| cell.split('`').filter_map(|word| word.strip_prefix("agent.")))
        .map(str::to_owned)
        .collect();
    let database = TestDatabase::new().await;
    let mut connection = database.pool.acquire().await.unwrap();
    let there = names(
        &mut connection,
        "SELECT relname::text FROM pg_class
         WHERE relnamespace = 'agent'::regnamespace AND relkind IN ('r', 'p', 'v', 'm') AND NOT relispartition",
    )
    .await;
    assert_eq!(named, there.into_iter().collect());
}
