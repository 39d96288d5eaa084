//! docs/sql.md: every statement on it is run, as the role that it is meant for, on data that it finds something in.
//!
//! A comment before a block says what is not the rule: `<!-- as: owner; returns nothing -->`.

use std::collections::BTreeSet;
use std::path::Path;

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::{execute, names, seeded};
use crate::support::database::TestDatabase;

/// Whoever made the schema; in the tests, the superuser.
const OWNER: &str = "owner";

/// A block of SQL to copy.
#[derive(Debug)]
struct Recipe {
    /// Where it begins.
    line: usize,
    /// Who runs it.
    role: String,
    /// Whether rows are found, inserted or changed.
    has_rows: bool,
    sql: String,
}

impl Recipe {
    fn new(line: usize, mark: &str) -> Self {
        let mut recipe = Self {
            line,
            role: "agent_reader".to_owned(),
            has_rows: true,
            sql: String::new(),
        };
        for word in mark.split(';').map(str::trim).filter(|word| !word.is_empty()) {
            match word.split_once(": ") {
                Some(("as", role)) => role.clone_into(&mut recipe.role),
                None if word == "returns nothing" => recipe.has_rows = false,
                _ => panic!("docs/sql.md:{line}: what is `{word}`?"),
            }
        }
        recipe
    }
}

fn document() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sql.md")).unwrap()
}

/// The blocks of SQL in a document.
fn recipes(text: &str) -> Vec<Recipe> {
    let mut found = Vec::new();
    let mut open: Option<Recipe> = None;
    let mut before = "";
    for (index, line) in text.lines().enumerate() {
        if line == "```sql" {
            let mark = before
                .strip_prefix("<!--")
                .and_then(|rest| rest.strip_suffix("-->"));
            open = Some(Recipe::new(index + 1, mark.unwrap_or_default()));
        } else if line == "```" {
            found.extend(open.take());
        } else if let Some(recipe) = &mut open {
            recipe.sql.push_str(line);
            recipe.sql.push('\n');
        }
        before = line;
    }
    assert!(open.is_none(), "a block does not end");
    found
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
async fn every_statement_of_the_cookbook_runs_and_finds_something() {
    let database = seeded().await;
    let recipes = recipes(&document());
    let mut faults = Vec::new();
    for recipe in &recipes {
        match run(&database, recipe).await {
            Ok(rows) if (rows > 0) == recipe.has_rows => {}
            Ok(rows) => faults.push(format!("docs/sql.md:{}: {rows} rows", recipe.line)),
            Err(error) => faults.push(format!("docs/sql.md:{}: {error}", recipe.line)),
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));

    let of_role = |role: &str| recipes.iter().filter(|recipe| recipe.role == role).count();
    assert!(of_role("agent_reader") >= 10, "the questions were not found");
    assert!(of_role("agent_notifier") >= 4 && of_role("agent_user") >= 2);
}

#[test]
fn the_cookbook_test_sees_what_a_mark_says() {
    let found = recipes(
        "<!-- as: owner; returns nothing -->\n```sql\nSELECT 1;\n```\ntext\n```sql\nSELECT 2;\n```\n",
    );
    let seen: Vec<_> = found
        .iter()
        .map(|recipe| {
            (
                recipe.line,
                recipe.role.as_str(),
                recipe.has_rows,
                recipe.sql.as_str(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            (2, OWNER, false, "SELECT 1;\n"),
            (6, "agent_reader", true, "SELECT 2;\n")
        ]
    );
}

#[tokio::test]
async fn the_cookbook_names_every_table_and_every_view() {
    let text = document();
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
