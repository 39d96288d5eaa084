//! Ring (d): seeded random plans against real processes, real sockets, a proxy before Postgres and a scripted provider.
//!
//! At rest nothing accepted is lost or doubled, every run has one end, every device holds what the table holds, and each
//! answer is what the provider said, or a beginning of it that says so. A failing seed prints its plan and replays with
//! `CHAOS_SEED=<seed>`; `CHAOS_SEEDS=<n>` runs seeds 1 to n. Both print the summary with `--nocapture`.

mod plan;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::support::eventually;
use crate::support::fleet::{Fleet, Verdict};
use crate::support::provider::{Script, ScriptedProvider};
use crate::support::seeds::{Blame, seeds};
use plan::{DEVICES, Manner, NODES, Op, Plan, USERS};

/// The seeds of an ordinary test run.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=5;

/// Between two words of a slow answer.
const WORD: Duration = Duration::from_millis(15);

/// What the plans of a run came to.
#[derive(Debug, Default)]
struct Summary {
    plans: usize,
    operations: usize,
    kills: usize,
    verdict: Verdict,
    longest_recovery: Duration,
}

/// A plan under way.
struct Drive {
    provider: ScriptedProvider,
    fleet: Fleet,
    /// What the provider says to each query, by its id.
    answers: BTreeMap<String, String>,
    /// The ids that each device has used.
    asked: HashMap<usize, Vec<String>>,
    notified: HashMap<String, usize>,
    /// Runs that a killed node was writing, and when it was killed, by the database's clock in seconds.
    orphans: Vec<(uuid::Uuid, f64)>,
    /// Stalls so far: each has a gate of its own.
    stalls: usize,
    kills: usize,
}

impl Drive {
    async fn start() -> Self {
        let provider = ScriptedProvider::start().await;
        let mut fleet = Fleet::start(NODES, &provider, &[("MAX_RUNS_PER_USER", "1")]).await;
        for user in 0..USERS {
            let user = format!("user-{user}");
            let session = fleet.session(&user).await;
            for node in 0..DEVICES / USERS {
                fleet.device(&user, &session, node);
            }
        }
        Self {
            provider,
            fleet,
            answers: BTreeMap::new(),
            asked: HashMap::new(),
            notified: HashMap::new(),
            orphans: Vec::new(),
            stalls: 0,
            kills: 0,
        }
    }

    async fn carry_out(&mut self, op: Op) {
        let devices = &self.fleet.devices;
        match op {
            Op::Ask {
                device,
                manner,
                words,
                on_busy,
            } => self.ask(device, manner, words, on_busy),
            Op::Repeat { device } => {
                if let Some(id) = self.asked.get(&device).and_then(|ids| ids.last()) {
                    devices[device].repeat(id);
                }
            }
            Op::Cancel { device } => devices[device].cancel(),
            Op::Cut { device } => devices[device].cut(),
            Op::SlowRead { device, ms } => devices[device].sleep(Duration::from_millis(ms)),
            Op::Notify { user } => self.notify(user).await,
            Op::Kill9 { node } => self.kill9(node).await,
            Op::Terminate { node } => self.fleet.terminate(node),
            Op::Start { node } => self.fleet.start_node(node).await,
            Op::PostgresCut { node } => self.fleet.proxy(node).cut(),
            Op::PostgresRefuses { node } => self.fleet.proxy(node).refuse(),
            Op::PostgresStalls { node } => self.fleet.proxy(node).stall(),
            Op::PostgresBack { node } => self.fleet.proxy(node).restore(),
            Op::Unstall => self.unstall(),
            Op::Pause { ms } => tokio::time::sleep(Duration::from_millis(ms)).await,
        }
        self.fleet.check_devices();
    }

    fn ask(&mut self, device: usize, manner: Manner, words: usize, on_busy: &str) {
        let id = format!("q{}", self.answers.len());
        let words: Vec<String> = (0..words).map(|n| format!("{id}-wörd-{n} ")).collect();
        let gate = format!("stall-{}", self.stalls);
        let (before, after) = match manner {
            Manner::Silent => words.split_at(0),
            _ => words.split_at(words.len() / 2),
        };
        let say = |script: Script, words: &[String]| {
            words.iter().fold(script, |script, word| {
                let script = script.text(word);
                if manner == Manner::Slow {
                    script.delay(WORD)
                } else {
                    script
                }
            })
        };
        let mut script = say(Script::new().head(), before);
        if matches!(manner, Manner::Stalls | Manner::Silent) {
            script = script.wait_for(&gate);
        }
        let script = say(script, after).finish("stop").usage(10, 10, 0.001).done();
        let question = format!("<{id}> please");
        self.provider.on(&format!("<{id}>"), script);
        self.fleet.devices[device].ask(&id, &question, on_busy);
        self.asked.entry(device).or_default().push(id.clone());
        self.answers.insert(id, words.concat());
    }

    fn unstall(&mut self) {
        self.provider.open(&format!("stall-{}", self.stalls));
        self.stalls += 1;
    }

    async fn notify(&mut self, user: usize) {
        let user = format!("user-{user}");
        self.fleet.database.notify(&user, "Look").await;
        *self.notified.entry(user).or_default() += 1;
    }

    async fn kill9(&mut self, node: usize) {
        let mut killed = self.fleet.take(node);
        killed.process.kill9();
        self.kills += 1;
        let orphans: Vec<(uuid::Uuid, f64)> = sqlx::query_as(
            "SELECT run_id, extract(epoch FROM clock_timestamp())::double precision
             FROM agent.runs WHERE state = 'running' AND node_id = $1",
        )
        .bind(killed.node_id)
        .fetch_all(&self.fleet.database.pool)
        .await
        .unwrap();
        self.orphans.extend(orphans);
    }

    /// Lets everything come to its end.
    async fn rest(&mut self) {
        self.unstall();
        self.fleet.heal().await;
        self.fleet.rest().await;
    }

    /// Whether every device has received every notification of its user, and no other.
    fn are_all_notified(&self) -> bool {
        self.fleet.devices.iter().all(|device| {
            let n = self.notified.get(&device.user).copied().unwrap_or_default();
            device.memory().ledger.seen.len() == n
        })
    }

    async fn verify(&self) -> Verdict {
        eventually("every device is notified", || {
            std::future::ready(self.are_all_notified())
        })
        .await;
        self.verify_texts().await;
        self.fleet.verify().await
    }

    /// Each answer is what the provider said, or a beginning of it that does not claim to be more.
    async fn verify_texts(&self) {
        let answers: Vec<(String, String, String, i32)> = sqlx::query_as(
            "SELECT q.client_id, a.state, a.content, r.attempt
             FROM agent.runs AS r
             JOIN agent.messages AS q ON q.message_id = r.query_message_id
             JOIN agent.messages AS a ON a.message_id = r.answer_message_id",
        )
        .fetch_all(&self.fleet.database.pool)
        .await
        .unwrap();
        for (id, state, content, attempt) in answers {
            let said = &self.answers[&id];
            match state.as_str() {
                "complete" => assert_eq!(&content, said, "{id}"),
                "failed" => assert_eq!(content, "", "{id}"),
                "incomplete" => assert!(
                    !content.is_empty() && said.starts_with(&content),
                    "{id}: {content}"
                ),
                _ => assert!(said.starts_with(&content), "{id}: {content}"),
            }
            assert!(attempt <= 3, "{id} was tried {attempt} times");
        }
    }

    /// From each kill to the moment at which its runs had ended or begun again.
    async fn longest_recovery(&self) -> Duration {
        let mut longest = Duration::ZERO;
        for (run, killed_at) in &self.orphans {
            let seconds: f64 = sqlx::query_scalar(
                "SELECT CASE WHEN extract(epoch FROM started_at) > $2 THEN extract(epoch FROM started_at) - $2
                        ELSE extract(epoch FROM ended_at) - $2 END::double precision
                 FROM agent.runs WHERE run_id = $1",
            )
            .bind(run)
            .bind(killed_at)
            .fetch_one(&self.fleet.database.pool)
            .await
            .unwrap();
            longest = longest.max(Duration::from_secs_f64(seconds.max(0.0)));
        }
        longest
    }
}

async fn drive(seed: u64, summary: &mut Summary) {
    let plan = Plan::of(seed);
    let _blame = Blame(&plan);
    let mut drive = Drive::start().await;
    for op in &plan.ops {
        drive.carry_out(*op).await;
    }
    drive.rest().await;
    let verdict = drive.verify().await;
    summary.plans += 1;
    summary.operations += plan.ops.len();
    summary.kills += drive.kills;
    summary.verdict.accepted += verdict.accepted;
    summary.verdict.lost += verdict.lost;
    summary.verdict.doubled += verdict.doubled;
    summary.longest_recovery = summary.longest_recovery.max(drive.longest_recovery().await);
    drive.fleet.shut_down().await;
}

#[tokio::test]
async fn random_plans_lose_and_double_nothing() {
    let mut summary = Summary::default();
    for seed in seeds("CHAOS", SEEDS) {
        drive(seed, &mut summary).await;
    }
    let Summary {
        plans,
        operations,
        kills,
        verdict,
        longest_recovery,
    } = summary;
    println!(
        "chaos: {plans} plans, {operations} operations, {kills} kills, {} accepted, {} lost, {} doubled, longest recovery {} ms",
        verdict.accepted,
        verdict.lost,
        verdict.doubled,
        longest_recovery.as_millis()
    );
    assert!(kills > 0 && verdict.accepted > 0, "the plans did something");
}

#[test]
fn a_seed_names_one_plan_and_another_seed_another() {
    assert_eq!(Plan::of(7), Plan::of(7));
    assert_ne!(Plan::of(7).ops, Plan::of(8).ops);
}
