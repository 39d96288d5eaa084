//! Messages to search: words as unevenly used as a language's, and users of whom one has a tenth of everything. Stored
//! straight into the tables, at times that are past. Called by the other modules of this benchmark.

use std::fmt::Write;
use std::time::{Duration, Instant};

use agent_websocket::clock::Clock;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sqlx::PgConnection;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

/// Has a tenth of all messages.
pub(crate) const BIG: &str = "big";
/// Has a hundredth of the beginning, and nothing after it.
pub(crate) const EARLY: &str = "early";

const VOCABULARY: usize = 50_000;
const BYTES: usize = 200;
const MESSAGES_PER_USER: usize = 100;
const SESSION: usize = 30;
const BIG_SESSION: usize = 1000;
const SPAN: Duration = Duration::from_hours(30 * 24);

/// Words by rank: the one of rank r is used in proportion to 1 / (r + 1).
pub(crate) struct Vocabulary {
    words: Vec<String>,
    cumulative: Vec<f64>,
    random: StdRng,
}

impl Vocabulary {
    /// The same words, and the same draws, each time.
    pub(crate) fn new() -> Self {
        let mut sum = 0.0;
        let cumulative = (1..=VOCABULARY)
            .map(|rank| {
                sum += 1.0 / rank as f64;
                sum
            })
            .collect();
        Self {
            words: (0..VOCABULARY).map(word).collect(),
            cumulative,
            random: StdRng::seed_from_u64(1),
        }
    }

    /// The word of a rank: 0 is in nearly every message, the last in one of ten thousand.
    pub(crate) fn of_rank(&self, rank: usize) -> &str {
        self.words.get(rank % VOCABULARY).map_or("", String::as_str)
    }

    fn draw(&mut self) -> &str {
        let all = self.cumulative.last().copied().unwrap_or_default();
        let drawn = self.random.random::<f64>() * all;
        let rank = self.cumulative.partition_point(|sum| *sum < drawn);
        self.of_rank(rank)
    }

    /// Appends a message's text.
    pub(crate) fn speak(&mut self, text: &mut String) {
        let end = text.len() + BYTES;
        while text.len() < end {
            let word = self.draw();
            text.push_str(word);
            text.push(' ');
        }
        text.pop();
    }
}

/// Syllables, the fewer the more often it is used.
fn word(rank: usize) -> String {
    let mut word = String::new();
    let mut rest = rank + 1;
    while rest > 0 {
        for letter in
            [b"bdfgklmnprstvz".as_slice(), b"aeiou"].map(|letters| letters.get(rest % letters.len()))
        {
            word.extend(letter.map(|letter| char::from(*letter)));
        }
        rest /= 70;
    }
    word
}

/// All messages of this benchmark, of which the older ones are stored.
pub(crate) struct Corpus {
    pub(crate) vocabulary: Vocabulary,
    messages: usize,
    stored: usize,
    /// How many messages the big user, the early one and all others have.
    said: [usize; 3],
    start: OffsetDateTime,
}

/// Whose a message is, and where in whose history it stands.
struct Place {
    user: String,
    session: Uuid,
    seq: usize,
}

impl Corpus {
    pub(crate) fn new(messages: usize) -> Self {
        Self {
            vocabulary: Vocabulary::new(),
            messages,
            stored: 0,
            said: [0; 3],
            start: Clock::system().now() - SPAN - Duration::from_hours(1),
        }
    }

    /// How many are stored.
    pub(crate) fn stored(&self) -> usize {
        self.stored
    }

    /// So many count as the beginning.
    pub(crate) fn beginning(&self) -> usize {
        self.messages / 100
    }

    /// Somebody with an ordinary history.
    pub(crate) fn ordinary_user(&self) -> String {
        format!("user-{}", self.users() / 2)
    }

    fn users(&self) -> usize {
        (self.messages / MESSAGES_PER_USER).max(1)
    }

    /// Stores the messages up to this many, and their sessions.
    pub(crate) async fn store(&mut self, connection: &mut PgConnection, upto: usize) -> anyhow::Result<()> {
        let began = Instant::now();
        let first = self.stored;
        let mut copy = connection
            .copy_in_raw(
                "COPY agent.messages (user_id, session_id, seq, message_id, role, content, created_at) FROM STDIN",
            )
            .await?;
        while self.stored < upto {
            let mut rows = String::new();
            for _ in 0..1000.min(upto - self.stored) {
                self.write(&mut rows)?;
            }
            copy.send(rows.into_bytes()).await?;
        }
        copy.finish().await?;
        self.note_sessions(connection).await?;
        println!(
            "\nstored {} messages in {:.0} s, {upto} in all; {} users, one of them has a tenth",
            upto - first,
            began.elapsed().as_secs_f64(),
            self.users()
        );
        Ok(())
    }

    /// The next message, as COPY reads it.
    fn write(&mut self, rows: &mut String) -> anyhow::Result<()> {
        let number = self.stored;
        let share = u32::try_from(number)?;
        let at = self.start + SPAN / u32::try_from(self.messages)? * share;
        let Place { user, session, seq } = self.place(number);
        let role = if seq % 2 == 1 { "user" } else { "assistant" };
        write!(
            rows,
            "{user}\t{session}\t{seq}\t{}\t{role}\t",
            Uuid::from_u128(number as u128)
        )?;
        self.vocabulary.speak(rows);
        writeln!(rows, "\t{}", at.format(&Rfc3339)?)?;
        self.stored += 1;
        Ok(())
    }

    /// A tenth is the big user's, of the beginning a hundredth the early one's, the rest everybody's in turn.
    fn place(&mut self, number: usize) -> Place {
        let users = self.users();
        let [big, early, others] = &mut self.said;
        let (user, own, session, index) = if number.is_multiple_of(10) {
            *big += 1;
            (BIG.to_owned(), *big - 1, BIG_SESSION, 0)
        } else if number % 100 == 1 && number < self.messages / 100 {
            *early += 1;
            (EARLY.to_owned(), *early - 1, SESSION, 1)
        } else {
            *others += 1;
            let user = (*others - 1) % users;
            (format!("user-{user}"), (*others - 1) / users, SESSION, user + 2)
        };
        let id = (index as u128) << 64 | (own / session) as u128;
        Place {
            user,
            session: Uuid::from_u128(id),
            seq: own % session + 1,
        }
    }

    async fn note_sessions(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        sqlx::raw_sql(
            "TRUNCATE agent.sessions;
             INSERT INTO agent.sessions (user_id, session_id, last_seq, created_at, last_activity_at)
             SELECT user_id, session_id, max(seq), min(created_at), max(created_at)
             FROM agent.messages GROUP BY user_id, session_id;
             ANALYZE agent.messages, agent.sessions",
        )
        .execute(connection)
        .await?;
        Ok(())
    }
}
