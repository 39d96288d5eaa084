//! Searches: rare and common words, two words, a phrase, nothing; by the index, and by reading all that the user has. Both
//! must find the same. Called by `main`.

use std::time::Instant;

use anyhow::{Context, ensure};
use sqlx::{AssertSqlSafe, PgConnection, Row};
use uuid::Uuid;

use super::corpus::{BIG, Corpus, EARLY, Vocabulary};
use super::figures::{Times, ms};

/// What is looked for. Ranks are spread, so that no search finds what the one before it left in memory.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Rare,
    Common,
    TwoWords,
    Phrase,
    Nothing,
}

const KINDS: [Kind; 5] = [
    Kind::Rare,
    Kind::Common,
    Kind::TwoWords,
    Kind::Phrase,
    Kind::Nothing,
];

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Rare => "a rare word",
            Self::Common => "a common word",
            Self::TwoWords => "two words",
            Self::Phrase => "a phrase",
            Self::Nothing => "no hit",
        }
    }

    /// The words of the n-th search of this kind.
    fn words(self, vocabulary: &Vocabulary, n: usize) -> String {
        let word = |rank| vocabulary.of_rank(rank);
        match self {
            Self::Rare => word(20_000 + 97 * n).to_owned(),
            Self::Common => word(n % 10).to_owned(),
            Self::TwoWords => format!("{} {}", word(100 + n), word(200 + n)),
            Self::Phrase => format!("\"{} {}\"", word(20 + n % 50), word(10 + n % 30)),
            Self::Nothing => format!("{} quite-unheard-of-{n}", word(n)),
        }
    }
}

/// How searches are made.
#[derive(Clone, Copy)]
enum Way {
    Index,
    Reading,
}

impl Way {
    fn sql(self) -> &'static str {
        match self {
            Self::Index => "SELECT session_id, seq FROM agent.search($1, $2)",
            Self::Reading => {
                "SELECT m.session_id, m.seq FROM agent.messages AS m
                 WHERE m.user_id = $1
                   AND to_tsvector('pg_catalog.simple', m.content) @@ websearch_to_tsquery('pg_catalog.simple', $2)
                 ORDER BY m.created_at DESC, m.session_id DESC, m.seq DESC
                 LIMIT 20"
            }
        }
    }

    async fn search(
        self,
        connection: &mut PgConnection,
        user: &str,
        words: &str,
    ) -> sqlx::Result<Vec<(Uuid, i64)>> {
        sqlx::query_as(self.sql())
            .bind(user)
            .bind(words)
            .fetch_all(connection)
            .await
    }
}

type Found = Vec<Vec<(Uuid, i64)>>;

/// So many searches of a kind, one after the other.
async fn times(
    connection: &mut PgConnection,
    (way, user, kind): (Way, &str, Kind),
    (corpus, searches): (&Corpus, usize),
) -> sqlx::Result<(Times, Found)> {
    let mut took = Vec::with_capacity(searches);
    let mut found = Vec::with_capacity(searches);
    for n in 0..searches {
        let words = kind.words(&corpus.vocabulary, n);
        let began = Instant::now();
        found.push(way.search(connection, user, &words).await?);
        took.push(began.elapsed());
    }
    Ok((took.into_iter().collect(), found))
}

/// Every kind, for an ordinary user and the big one, by the index and without it.
pub(crate) async fn compare(connection: &mut PgConnection, corpus: &Corpus) -> anyhow::Result<()> {
    // Reading everything of the big one's takes seconds.
    for (user, searches, reads) in [(corpus.ordinary_user().as_str(), 300, 30), (BIG, 300, 3)] {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM agent.messages WHERE user_id = $1")
            .bind(user)
            .fetch_one(&mut *connection)
            .await?;
        println!("\nA search by a user with {count} messages, in ms");
        println!(
            "{:<16} {:>6} {:>9} {:>9} {:>9}   {:>14}",
            "", "hits", "p50", "p99", "max", "reading: p50"
        );
        for kind in KINDS {
            let (indexed, found) = times(connection, (Way::Index, user, kind), (corpus, searches)).await?;
            let (read, expected) = times(connection, (Way::Reading, user, kind), (corpus, reads)).await?;
            ensure!(
                found
                    .iter()
                    .zip(&expected)
                    .all(|(found, expected)| found == expected),
                "{} of {user}: the index finds something else than reading does",
                kind.name()
            );
            let hits = found.iter().map(Vec::len).max().unwrap_or_default();
            let [p50, p99, max] = [indexed.p50(), indexed.p99(), indexed.max()].map(ms);
            println!(
                "{:<16} {hits:>6} {p50:>9.2} {p99:>9.2} {max:>9.2}   {:>14.2}",
                kind.name(),
                ms(read.p50())
            );
        }
    }
    Ok(())
}

/// Fails unless searches in a long history go by the indexes that are meant for it, in plans for one user and in plans that
/// are kept. Prints the lines that say so.
pub(crate) async fn check_plans(connection: &mut PgConnection, corpus: &Corpus) -> anyhow::Result<()> {
    println!("\nHow a search for two words goes, by a user with a tenth of all");
    let words = Kind::TwoWords.words(&corpus.vocabulary, 0);
    for mode in ["force_custom_plan", "force_generic_plan"] {
        let plan = plan(connection, mode, &words).await?;
        println!("  {mode}");
        for index in ["search_index_newest", "search_index_words"] {
            let used = plan
                .iter()
                .find(|line| line.contains(&format!(" {index} ")) && !line.contains("never executed"))
                .with_context(|| format!("no search went by {index}:\n{}", plan.join("\n")))?;
            println!("    {}", used.trim_start_matches([' ', '-', '>']));
        }
    }
    Ok(())
}

async fn plan(connection: &mut PgConnection, mode: &str, words: &str) -> sqlx::Result<Vec<String>> {
    let prepare = format!(
        "SET plan_cache_mode = {mode}; PREPARE search (text, text) AS {}",
        Way::Index.sql()
    );
    sqlx::raw_sql(AssertSqlSafe(prepare))
        .execute(&mut *connection)
        .await?;
    let explain = format!("EXPLAIN (ANALYZE, COSTS OFF) EXECUTE search ('{BIG}', '{words}')");
    let lines = sqlx::raw_sql(AssertSqlSafe(explain))
        .fetch_all(&mut *connection)
        .await?;
    sqlx::raw_sql("DEALLOCATE search; RESET plan_cache_mode")
        .execute(connection)
        .await?;
    lines.iter().map(|line| line.try_get(0)).collect()
}

/// The user of the beginning, whose history does not grow with everybody's.
pub(crate) async fn of_the_early_user(
    connection: &mut PgConnection,
    corpus: &Corpus,
) -> anyhow::Result<Vec<(Kind, Times)>> {
    let mut all = Vec::new();
    for kind in KINDS {
        all.push((
            kind,
            times(connection, (Way::Index, EARLY, kind), (corpus, 500))
                .await?
                .0,
        ));
    }
    Ok(all)
}

/// What a hundred times as many messages of others make of one user's searches.
pub(crate) fn print_growth(corpus: &Corpus, before: &[(Kind, Times)], after: &[(Kind, Times)]) {
    println!(
        "\nA search by a user whose {} messages stay the same, p99 in ms",
        corpus.beginning() / 100
    );
    println!(
        "{:<16} {:>9} {:>9} {:>7}",
        "messages in all",
        corpus.beginning(),
        corpus.stored(),
        "ratio"
    );
    for ((kind, before), (_, after)) in before.iter().zip(after) {
        let [before, after] = [before.p99(), after.p99()].map(ms);
        println!(
            "{:<16} {before:>9.2} {after:>9.2} {:>7.2}",
            kind.name(),
            after / before
        );
    }
}
