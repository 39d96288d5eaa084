//! Ring (d) of delivery: seeded random plans of services that insert, devices that come and go and acknowledge, and nodes that
//! are killed and cut off, over real processes and sockets.
//!
//! At rest every row that is due and counts was seen by its user, and every device holds what is pending and nothing else;
//! once all is acknowledged, each row is so once, and each device was told of each once. What was rolled back, or is somebody
//! else's, nobody saw. A failing seed prints its plan and replays with `DELIVERY_SEED=<seed>`; `DELIVERY_SEEDS=<n>` runs seeds
//! 1 to n. Both print the summary with `--nocapture`.

mod plan;
mod stored;

use std::collections::HashSet;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::support::device::Device;
use crate::support::eventually;
use crate::support::fleet::Fleet;
use crate::support::ledger::Extent;
use crate::support::provider::ScriptedProvider;
use crate::support::seeds::{Blame, seeds};
use plan::{DEVICES, Deed, Ending, NODES, Op, Plan, SWEEPER, What};
use stored::{Row, rows};

/// The seeds of an ordinary test run.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=4;

/// What the plans of a run came to.
#[derive(Debug, Default)]
struct Summary {
    plans: usize,
    operations: usize,
    kills: usize,
    rolled_back: usize,
    late: usize,
    rows: usize,
    acknowledged: usize,
    cleared: usize,
}

/// A plan under way.
struct Drive<'a> {
    fleet: Fleet,
    /// Transactions that are open.
    open: JoinSet<()>,
    /// Statements and queries so far: each has texts of its own.
    texts: usize,
    summary: &'a mut Summary,
    /// Answers the queries.
    _provider: ScriptedProvider,
}

fn name(user: usize) -> String {
    format!("user-{user}")
}

/// The statement that inserts something; each row's text is its own.
fn statement(what: What, user: &str, session: &str, text: &str) -> String {
    let insert = "INSERT INTO agent.notifications (user_id, content";
    match what {
        What::Rows { n, priority } => format!(
            "{insert}, priority) SELECT '{user}', '{text}.' || n, '{priority}' FROM generate_series(1, {n}) AS n"
        ),
        What::Dedupe { key } => format!(
            "{insert}, dedupe_key) VALUES ('{user}', '{text}', 'key {key}')
             ON CONFLICT (user_id, dedupe_key) DO NOTHING"
        ),
        What::Function { key } => {
            format!(
                "SELECT agent.notify(user_id => '{user}', content => '{text}', dedupe_key => 'key {key}')"
            )
        }
        What::Collapse { key, n } => format!(
            "{insert}, collapse_key) SELECT '{user}', '{text}.' || n, 'key {key}' FROM generate_series(1, {n}) AS n"
        ),
        What::Soon { ms } => format!(
            "{insert}, deliver_after) VALUES ('{user}', '{text}', clock_timestamp() + {ms} * interval '1 ms')"
        ),
        What::Expires { ms } => format!(
            "{insert}, expires_at) VALUES ('{user}', '{text}', clock_timestamp() + {ms} * interval '1 ms')"
        ),
        What::InContext => {
            format!("{insert}, session_id, in_context) VALUES ('{user}', '{text}', '{session}', true)")
        }
    }
}

impl<'a> Drive<'a> {
    async fn start(summary: &'a mut Summary) -> Self {
        let provider = ScriptedProvider::start().await;
        let mut fleet = Fleet::start(NODES, &provider, &[]).await;
        let mut sessions = Vec::new();
        for user in 0..=SWEEPER {
            sessions.push(fleet.session(&name(user)).await);
        }
        for (n, user) in DEVICES.into_iter().enumerate() {
            fleet.device(&name(user), &sessions[user], n);
        }
        Self {
            fleet,
            open: JoinSet::new(),
            texts: 0,
            summary,
            _provider: provider,
        }
    }

    fn text(&mut self) -> String {
        self.texts += 1;
        format!("text {}", self.texts)
    }

    async fn carry_out(&mut self, op: Op) {
        match op {
            Op::Write { user, what, ending } => self.write(user, what, ending).await,
            Op::Acknowledge { device, extent } => self.fleet.devices[device].acknowledge(extent),
            Op::Eager { device, eager } => self.fleet.devices[device].memory().ledger.eager = eager,
            Op::Cut { device } => self.fleet.devices[device].cut(),
            Op::SlowRead { device, ms } => self.fleet.devices[device].sleep(Duration::from_millis(ms)),
            Op::Ask { device } => {
                let text = self.text();
                self.fleet.devices[device].ask(&text.replace(' ', "-"), &text, "enqueue");
            }
            Op::ListenersKilled => drop(self.fleet.database.kill_listeners().await),
            Op::Node { node, deed } => self.do_to(node, deed).await,
            Op::Pause { ms } => tokio::time::sleep(Duration::from_millis(ms)).await,
        }
        self.fleet.check_devices();
        while let Some(ended) = self.open.try_join_next() {
            ended.unwrap();
        }
    }

    async fn write(&mut self, user: usize, what: What, ending: Ending) {
        let text = self.text();
        let device = DEVICES.iter().position(|owner| *owner == user).unwrap();
        let sql = statement(what, &name(user), &self.fleet.devices[device].session, &text);
        let (after_ms, commits) = match ending {
            Ending::AtOnce => return self.fleet.database.execute(sql).await,
            Ending::Commit { after_ms } => (after_ms, true),
            Ending::RollBack { after_ms } => (after_ms, false),
        };
        if commits {
            self.summary.late += 1;
        } else {
            self.summary.rolled_back += 1;
        }
        let mut transaction = self.fleet.database.pool.begin().await.unwrap();
        sqlx::query(sqlx::AssertSqlSafe(sql))
            .execute(&mut *transaction)
            .await
            .unwrap();
        self.open.spawn(async move {
            tokio::time::sleep(Duration::from_millis(after_ms)).await;
            let ended = if commits {
                transaction.commit().await
            } else {
                transaction.rollback().await
            };
            ended.unwrap();
        });
    }

    async fn do_to(&mut self, node: usize, deed: Deed) {
        match deed {
            Deed::Kill9 => {
                self.fleet.take(node).process.kill9();
                self.summary.kills += 1;
            }
            Deed::Terminate => self.fleet.terminate(node),
            Deed::Start => self.fleet.start_node(node).await,
            Deed::PostgresCut => self.fleet.proxy(node).cut(),
            Deed::PostgresRefuses => self.fleet.proxy(node).refuse(),
            Deed::PostgresStalls => self.fleet.proxy(node).stall(),
            Deed::PostgresBack => self.fleet.proxy(node).restore(),
        }
    }

    /// Lets everything come to its end: no transaction is open, every row is due, what is for a conversation is in it.
    async fn rest(&mut self) {
        while let Some(ended) = self.open.join_next().await {
            ended.unwrap();
        }
        self.fleet.heal().await;
        let database = self.fleet.database.clone();
        eventually("every row is due, and in its conversation", || async {
            let waiting = "SELECT count(*) FROM agent.notifications
                           WHERE deliver_after > clock_timestamp() OR in_context AND message_id IS NULL
                              OR expires_at BETWEEN clock_timestamp() AND 'infinity'";
            database.count(waiting).await == 0
        })
        .await;
        for device in &self.fleet.devices {
            device.memory().ledger.eager = false;
        }
        self.fleet.rest().await;
    }

    /// Every device holds what is pending and counts; of the rest only what was pending when it came, and not ended since.
    async fn verify_pending(&mut self) {
        let devices = self.fleet.devices.clone();
        let database = self.fleet.database.clone();
        eventually("every device holds what is pending, and nothing else", || async {
            let rows = rows(&database.pool).await;
            devices.iter().all(|device| holds(device, &rows))
        })
        .await;
        self.fleet.check_devices();
    }

    /// Every row that counts was seen by its user; what was seen is the user's, and was not before its time.
    async fn verify_seen(&self) {
        for row in rows(&self.fleet.database.pool).await {
            let of_user = self.fleet.devices.iter().filter(|device| device.user == row.user);
            let sights: Vec<_> = of_user
                .filter_map(|device| device.memory().ledger.seen.get(&row.id).cloned())
                .collect();
            let swept = row.user == name(SWEEPER) && row.acknowledged;
            assert!(
                !sights.is_empty() || !row.counts || swept,
                "nobody of {} saw {row:?}",
                row.user
            );
            for sight in sights {
                assert_eq!(sight.content, row.content);
                assert!(!row.stillborn, "seen, and had expired before: {row:?}");
                let due = row.deliver_after.is_none_or(|due| due <= sight.at);
                assert!(due, "seen before its time, at {}: {row:?}", sight.at);
            }
        }
    }

    /// What was seen is there, and its user's: nothing that was rolled back, or is another's.
    async fn verify_sights(&self) {
        let rows = rows(&self.fleet.database.pool).await;
        for device in &self.fleet.devices {
            let own: HashSet<&str> = rows
                .iter()
                .filter(|row| row.user == device.user)
                .map(|row| row.id.as_str())
                .collect();
            for (id, sight) in &device.memory().ledger.seen {
                assert!(own.contains(id.as_str()), "{} saw {sight:?}", device.name);
            }
        }
    }

    /// Acknowledges what is left, some by its id, then all, from different devices; then each row is acknowledged, by one
    /// device of its user at most that was told so, and no device holds anything any more.
    async fn acknowledge_all(&mut self) {
        for (n, device) in self.fleet.devices.iter().enumerate() {
            device.acknowledge(Extent::Some(10 + n));
        }
        for device in &self.fleet.devices {
            device.acknowledge(Extent::All);
        }
        let devices = self.fleet.devices.clone();
        let database = self.fleet.database.clone();
        eventually("all is acknowledged, and every device knows", || async {
            let left = "SELECT count(*) FROM agent.notifications WHERE acknowledged_at IS NULL";
            let open = devices
                .iter()
                .any(|device| !device.memory().ledger.open.is_empty());
            !open && database.count(left).await == 0
        })
        .await;
        self.fleet.check_devices();
        let mut acknowledged = HashSet::new();
        for device in &self.fleet.devices {
            let memory = device.memory();
            for id in &memory.ledger.acknowledged {
                assert!(acknowledged.insert(id.clone()), "acknowledged twice: {id}");
            }
            self.summary.cleared += memory.ledger.cleared;
        }
        self.summary.acknowledged += acknowledged.len();
    }

    /// Rows for a conversation are in it, each once, with what they say; its `seq` and what devices hold is the fleet's to
    /// verify.
    async fn verify_conversations(&self) {
        let wrong = "SELECT count(*) FROM agent.notifications AS n WHERE n.in_context AND 1 <> (
                         SELECT count(*) FROM agent.messages AS m
                         WHERE m.notification_id = n.notification_id AND m.message_id = n.message_id
                           AND m.user_id = n.user_id AND m.session_id = n.session_id AND m.content = n.content)";
        assert_eq!(
            self.fleet.database.count(wrong).await,
            0,
            "not in their conversation once"
        );
        let strange =
            "SELECT count(*) FROM agent.messages AS m WHERE m.role = 'notification' AND NOT EXISTS (
                           SELECT 1 FROM agent.notifications AS n WHERE n.message_id = m.message_id)";
        assert_eq!(self.fleet.database.count(strange).await, 0, "messages of no row");
        self.fleet.verify().await;
    }
}

/// Whether a device holds every row of its user that is pending and counts, and none that is acknowledged.
fn holds(device: &Device, rows: &[Row]) -> bool {
    let memory = device.memory();
    let mut own = rows.iter().filter(|row| row.user == device.user);
    own.all(|row| {
        let open = memory.ledger.open.contains(&row.id);
        if row.acknowledged {
            !open
        } else {
            open || !row.counts
        }
    })
}

async fn drive(seed: u64, summary: &mut Summary) {
    let plan = Plan::of(seed);
    let _blame = Blame(&plan);
    let mut drive = Drive::start(summary).await;
    for op in &plan.ops {
        drive.carry_out(*op).await;
    }
    drive.rest().await;
    drive.verify_pending().await;
    drive.verify_seen().await;
    drive.acknowledge_all().await;
    drive.verify_sights().await;
    drive.verify_conversations().await;
    let rows = rows(&drive.fleet.database.pool).await.len();
    drive.summary.rows += rows;
    drive.summary.plans += 1;
    drive.summary.operations += plan.ops.len();
    drive.fleet.shut_down().await;
}

#[tokio::test]
async fn random_plans_deliver_every_row_and_end_it_once() {
    let mut summary = Summary::default();
    for seed in seeds("DELIVERY", SEEDS) {
        drive(seed, &mut summary).await;
    }
    println!(
        "delivery: {} plans, {} operations, {} kills, {} transactions late, {} rolled back, {} rows, \
         {} acknowledged by a device that was told, {} cleared; 0 lost, 0 doubled, 0 leaked",
        summary.plans,
        summary.operations,
        summary.kills,
        summary.late,
        summary.rolled_back,
        summary.rows,
        summary.acknowledged,
        summary.cleared
    );
    assert!(
        summary.rows > 0 && summary.acknowledged > 0,
        "the plans did something"
    );
}

#[test]
fn a_seed_names_one_plan_and_another_seed_another() {
    assert_eq!(Plan::of(7), Plan::of(7));
    assert_ne!(Plan::of(7).ops, Plan::of(8).ops);
}
