//! The life of runs, checked exhaustively for small bounds against the SQL that carries it.
//!
//! Every transition is one transaction that takes the session's lock first, so an interleaving of processes is a sequence
//! of transitions; here all sequences of a bounded length are tried: two processes, two clients, one process that loses its
//! lease and goes on writing as a zombie. An own enumeration rather than a model checker such as stateright, because what
//! must be right is the SQL itself, not a model of it: the search runs in one transaction of the real database and steps
//! back by savepoints. States that were seen before with as many steps left are not searched again.
//!
//! It is searched twice: two processes of this version, and one of the version before beside one of this, as while nodes are
//! replaced one by one.

use std::collections::HashMap;

use sqlx::{AssertSqlSafe, PgConnection, Row};
use uuid::Uuid;

use crate::support::database::{TestDatabase, environment};

const USER: &str = "u";
const SESSION: Uuid = Uuid::from_u128(1);

/// How many transitions are tried in a row, unless `LIFECYCLE_DEPTH` says otherwise. At 7 (6,834 states, 17,767 transitions)
/// nothing more was found, in twelve times the time.
const DEPTH: usize = 5;

/// Queries in one search.
const MAX_ASKS: u128 = 3;

/// A claim that a process believes to hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    run: Uuid,
    fence: i64,
}

/// What the processes know; the rest is in the database.
#[derive(Clone, Debug, Default)]
struct World {
    asks: u128,
    claims: [Vec<Claim>; 2],
    expired: bool,
}

/// A transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Ask(usize, &'static str),
    Repeat(usize),
    Finish(usize, usize),
    Release(usize, usize),
    Claim(usize),
    Expire,
    TakeOver,
    Cancel,
    Unqueue,
}

const STEPS: [Step; 15] = [
    Step::Ask(0, "enqueue"),
    Step::Ask(1, "enqueue"),
    Step::Ask(1, "interrupt"),
    Step::Ask(1, "reject"),
    Step::Repeat(1),
    Step::Finish(0, 0),
    Step::Finish(0, 1),
    Step::Finish(1, 0),
    Step::Finish(1, 1),
    Step::Release(0, 0),
    Step::Release(1, 0),
    Step::Claim(1),
    Step::Expire,
    Step::TakeOver,
    Step::Cancel,
];

fn node(process: usize) -> i32 {
    i32::try_from(process).unwrap() + 1
}

/// How a process of this version appends.
const NOW: &str = "agent.append_batch";

/// How one of the version before does; what it calls differently is given the names of this one.
const BEFORE: &str =
    "(SELECT *, coalesce(next_run_id, CASE WHEN fence IS NOT NULL THEN run_id END) AS start_run_id,
                              coalesce(next_fence, fence) AS start_fence
                       FROM agent.append";

/// One search: the connection, and the states that were seen with the steps that were left.
struct Search {
    connection: PgConnection,
    /// How each process appends.
    appends: [&'static str; 2],
    seen: HashMap<String, usize>,
    tried: usize,
    depth: usize,
}

impl Search {
    async fn execute(&mut self, sql: String) {
        sqlx::query(AssertSqlSafe(sql))
            .execute(&mut self.connection)
            .await
            .unwrap();
    }

    /// Whether the step was possible.
    async fn take(&mut self, world: &mut World, step: Step) -> bool {
        match step {
            Step::Ask(process, on_busy) if world.asks < MAX_ASKS => self.ask(world, process, on_busy).await,
            Step::Repeat(process) if world.asks > 0 => self.repeat(process).await,
            Step::Finish(process, held) if held < world.claims[process].len() => {
                self.finish(world, process, held).await;
            }
            Step::Release(process, held) if held < world.claims[process].len() => {
                let claim = world.claims[process].remove(held);
                self.execute(format!(
                    "SELECT agent.release_run('{USER}', '{SESSION}', '{}', {})",
                    claim.run, claim.fence
                ))
                .await;
            }
            Step::Claim(process) => return self.claim(world, process).await,
            Step::Expire if !world.expired => {
                world.expired = true;
                self.execute("UPDATE agent.nodes SET lease_until = '-infinity' WHERE node_id = 1".to_owned())
                    .await;
            }
            Step::TakeOver if world.expired => return self.take_over(world).await,
            Step::Cancel => {
                self.execute(format!(
                    "UPDATE agent.runs SET cancel_requested_at = coalesce(cancel_requested_at, 'epoch')
                     WHERE user_id = '{USER}' AND state = 'running'"
                ))
                .await;
            }
            Step::Unqueue => return self.unqueue().await,
            _ => return false,
        }
        true
    }

    async fn append(
        &mut self,
        process: usize,
        query: Option<(u128, &str)>,
        answer: Option<&Claim>,
    ) -> sqlx::postgres::PgRow {
        let empty = |count: usize| vec!["'{}'"; count].join(", ");
        let queries = query.map_or_else(
            || empty(13),
            |(n, on_busy)| {
                // A client that sends again knows its own id only: the server makes another message of it.
                let kinds = if on_busy == "repeat" { 100 } else { 0 };
                let id = |kind: u128| Uuid::from_u128((kinds + kind) * 1000 + n);
                format!(
                    "ARRAY['{USER}'], ARRAY['{SESSION}']::uuid[], ARRAY['{}']::uuid[], ARRAY['client-{n}'], ARRAY['question {n}'],
                     ARRAY[NULL]::jsonb[], ARRAY['title'], ARRAY['{}']::uuid[], ARRAY['{}']::uuid[], ARRAY[NULL]::text[],
                     ARRAY[2]::smallint[], ARRAY['{on_busy}'], ARRAY[true]",
                    id(10),
                    id(20),
                    id(30)
                )
            },
        );
        let answers = answer.map_or_else(
            || empty(17),
            |claim| {
                format!(
                    "ARRAY['{USER}'], ARRAY['{SESSION}']::uuid[], ARRAY['{}']::uuid[], ARRAY[{}]::bigint[], ARRAY['answer'],
                     ARRAY['complete'], ARRAY['m'], ARRAY['stop'], ARRAY[NULL]::text[], ARRAY[NULL]::text[],
                     ARRAY[1]::bigint[], ARRAY[1]::bigint[], ARRAY[0]::float8[], ARRAY['{{}}'], ARRAY[1], ARRAY[now()],
                     ARRAY[true]",
                    claim.run, claim.fence
                )
            },
        );
        let append = self.appends[process];
        let end = if append == BEFORE { ") AS x" } else { "" };
        let sql = format!(
            "SELECT * FROM {append}({}, 0, 0, false, {queries}, {answers}){end}",
            node(process)
        );
        sqlx::query(AssertSqlSafe(sql))
            .fetch_one(&mut self.connection)
            .await
            .unwrap()
    }

    async fn ask(&mut self, world: &mut World, process: usize, on_busy: &str) {
        world.asks += 1;
        let row = self.append(process, Some((world.asks, on_busy)), None).await;
        if let Some(run) = row.get::<Option<Uuid>, _>("start_run_id") {
            world.claims[process].push(Claim {
                run,
                fence: row.get("start_fence"),
            });
        }
    }

    async fn repeat(&mut self, process: usize) {
        let row = self.append(process, Some((1, "repeat")), None).await;
        assert_eq!(
            row.get::<&str, _>("outcome"),
            "duplicate",
            "the first query is always stored"
        );
        assert_eq!(row.get::<i64, _>("seq"), 1);
    }

    async fn finish(&mut self, world: &mut World, process: usize, held: usize) {
        let claim = world.claims[process].remove(held);
        let row = self.append(process, None, Some(&claim)).await;
        if row.get::<&str, _>("outcome") == "appended"
            && let Some(run) = row.get::<Option<Uuid>, _>("start_run_id")
        {
            world.claims[process].push(Claim {
                run,
                fence: row.get("start_fence"),
            });
        }
    }

    async fn claim(&mut self, world: &mut World, process: usize) -> bool {
        let sql = format!(
            "SELECT run_id, fence FROM agent.claim_runs({}, 1, 0)",
            node(process)
        );
        let row = sqlx::query(AssertSqlSafe(sql))
            .fetch_optional(&mut self.connection)
            .await
            .unwrap();
        let claimed = row.map(|row| Claim {
            run: row.get("run_id"),
            fence: row.get("fence"),
        });
        world.claims[process].extend(claimed.clone());
        claimed.is_some()
    }

    /// The second process takes over what the first, whose lease ran out, has in the database. The first may go on.
    async fn take_over(&mut self, world: &mut World) -> bool {
        let orphan =
            sqlx::query("SELECT run_id, fence FROM agent.runs WHERE state = 'running' AND node_id = 1")
                .fetch_optional(&mut self.connection)
                .await
                .unwrap();
        let Some(orphan) = orphan else { return false };
        let (run, fence): (Uuid, i64) = (orphan.get("run_id"), orphan.get("fence"));
        let sql =
            format!("SELECT fence FROM agent.take_over_run(2, '{USER}', '{SESSION}', '{run}', {fence})");
        let row = sqlx::query(AssertSqlSafe(sql))
            .fetch_one(&mut self.connection)
            .await
            .unwrap();
        world.claims[1].push(Claim {
            run,
            fence: row.get("fence"),
        });
        true
    }

    async fn unqueue(&mut self) -> bool {
        let run: Option<Uuid> = sqlx::query_scalar(
            "SELECT run_id FROM agent.runs WHERE state = 'queued' ORDER BY query_seq LIMIT 1",
        )
        .fetch_optional(&mut self.connection)
        .await
        .unwrap();
        if let Some(run) = run {
            self.execute(format!(
                "SELECT agent.unqueue_run('{USER}', '{SESSION}', '{run}')"
            ))
            .await;
        }
        run.is_some()
    }

    /// What must hold after every transition.
    async fn check(&mut self, path: &[Step]) {
        let row = sqlx::query(
            "SELECT
                (SELECT count(*) FROM agent.runs WHERE state = 'running') AS running,
                (SELECT count(*) FROM agent.runs AS r JOIN agent.sessions AS s ON s.active_run_id = r.run_id
                 WHERE r.state = 'running' AND r.fence = s.fence) AS active,
                (SELECT count(*) FROM agent.sessions WHERE active_run_id IS NOT NULL) AS marked,
                (SELECT coalesce(max(seq), 0) FROM agent.messages) AS top,
                (SELECT count(*) FROM agent.messages) AS messages,
                (SELECT last_seq FROM agent.sessions) AS last_seq,
                (SELECT count(*) FROM agent.runs AS r
                 WHERE (r.state NOT IN ('queued', 'running')) <> (1 = (
                     SELECT count(*) FROM agent.messages AS m WHERE m.run_id = r.run_id AND m.role = 'assistant')))
                    AS ends_without_their_message,
                (SELECT count(*) FROM agent.messages AS m WHERE m.role = 'user' AND 1 <> (
                     SELECT count(*) FROM agent.runs AS r WHERE r.query_message_id = m.message_id)) AS queries_without_run",
        )
        .fetch_one(&mut self.connection)
        .await
        .unwrap();
        let value = |name: &str| row.get::<i64, _>(name);
        assert!(value("running") <= 1, "two runs at once after {path:?}");
        assert_eq!(
            value("running"),
            value("active"),
            "the session names its run, under its fence, after {path:?}"
        );
        assert_eq!(
            value("running"),
            value("marked"),
            "the session names a run that does not run after {path:?}"
        );
        assert_eq!(value("top"), value("messages"), "a gap in seq after {path:?}");
        assert_eq!(
            value("top"),
            value("last_seq"),
            "last_seq is not the last after {path:?}"
        );
        assert_eq!(
            value("ends_without_their_message"),
            0,
            "a run and its message differ after {path:?}"
        );
        assert_eq!(
            value("queries_without_run"),
            0,
            "a query without a run after {path:?}"
        );
    }

    /// The state as text, equal for equal states.
    async fn state(&mut self, world: &World) -> String {
        let stored: String = sqlx::query_scalar(
            "SELECT concat_ws('|',
                (SELECT string_agg(concat_ws(',', query_seq, state, attempt, fence, node_id, priority, queue_order,
                                             cancel_requested_at IS NULL), ';' ORDER BY query_seq) FROM agent.runs),
                (SELECT concat_ws(',', last_seq, fence, active_run_id) FROM agent.sessions),
                (SELECT string_agg(concat_ws(',', role, state, run_id), ';' ORDER BY seq) FROM agent.messages))",
        )
        .fetch_one(&mut self.connection)
        .await
        .unwrap();
        format!("{stored}|{world:?}")
    }

    /// From any state, the process that lives can bring everything to its end.
    async fn check_end(&mut self, mut world: World, path: &[Step]) {
        self.execute("SAVEPOINT the_end".to_owned()).await;
        self.take(&mut world, Step::Expire).await;
        while self.take(&mut world, Step::TakeOver).await || self.take(&mut world, Step::Claim(1)).await || {
            let held = !world.claims[1].is_empty();
            self.take(&mut world, Step::Finish(1, 0)).await;
            held
        } {}
        // What the zombie still has to say changes nothing.
        while self.take(&mut world, Step::Finish(0, 0)).await {}
        self.check(path).await;
        let open: i64 =
            sqlx::query_scalar("SELECT count(*) FROM agent.runs WHERE state IN ('queued', 'running')")
                .fetch_one(&mut self.connection)
                .await
                .unwrap();
        assert_eq!(open, 0, "something never ends after {path:?}");
        self.execute("ROLLBACK TO SAVEPOINT the_end".to_owned()).await;
    }

    async fn explore(&mut self, world: World, path: &mut Vec<Step>) {
        let state = self.state(&world).await;
        let left = self.depth - path.len();
        if self.seen.get(&state).is_some_and(|before| *before >= left) {
            return;
        }
        self.seen.insert(state, left);
        self.check_end(world.clone(), path).await;
        if left == 0 {
            return;
        }
        for step in STEPS.into_iter().chain([Step::Unqueue]) {
            let savepoint = format!("depth_{}", path.len());
            self.execute(format!("SAVEPOINT {savepoint}")).await;
            let mut next = world.clone();
            if self.take(&mut next, step).await {
                self.tried += 1;
                path.push(step);
                self.check(path).await;
                Box::pin(self.explore(next, path)).await;
                path.pop();
            }
            self.execute(format!("ROLLBACK TO SAVEPOINT {savepoint}")).await;
        }
    }
}

async fn search(appends: [&'static str; 2]) {
    let database = TestDatabase::new().await;
    let mut connection = database.pool.acquire().await.unwrap().detach();
    let setup = format!(
        "BEGIN;
         INSERT INTO agent.nodes (lease_until, version) VALUES ('infinity', 'one'), ('infinity', 'two');
         INSERT INTO agent.sessions (user_id, session_id) VALUES ('{USER}', '{SESSION}')"
    );
    sqlx::raw_sql(AssertSqlSafe(setup))
        .execute(&mut connection)
        .await
        .unwrap();
    let depth = environment("LIFECYCLE_DEPTH").map_or(DEPTH, |text| text.parse().unwrap());
    let mut search = Search {
        connection,
        appends,
        seen: HashMap::new(),
        tried: 0,
        depth,
    };
    search.explore(World::default(), &mut Vec::new()).await;
    assert!(
        search.seen.len() > 100 * depth,
        "the search covers little: {} states",
        search.seen.len()
    );
    println!("{} states, {} transitions", search.seen.len(), search.tried);
}

#[tokio::test]
async fn no_sequence_of_transitions_breaks_a_run() {
    search([NOW, NOW]).await;
}

#[tokio::test]
async fn no_sequence_of_transitions_breaks_a_run_while_a_node_of_the_version_before_still_serves() {
    search([BEFORE, NOW]).await;
}
