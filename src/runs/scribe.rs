//! Writes text behind: what every run of this process has written since the last tick, in one insert.
//!
//! The first token never waits for the database: runs leave their text on the desk and go on. A growing row is never
//! rewritten; each tick adds one piece a run. A run that ends before its first tick leaves no piece at all, since its
//! message holds the text.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::{Runs, Stop};
use crate::ids::SessionKey;
use crate::log::{Claim, Claimed};
use crate::store::StoreError;
use crate::store::chunks::{ChunkWriter, NewChunk, PromptRecord};

/// The longest time between two tries at what could not be stored.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Page {
    key: SessionKey,
    attempt: u32,
    /// Bytes stored before `text`.
    stored: usize,
    text: String,
    prompt: Option<PromptRecord>,
    generation_id: Option<String>,
}

impl Page {
    fn is_blank(&self) -> bool {
        self.text.is_empty() && self.generation_id.is_none()
    }
}

#[derive(Debug, Default)]
struct Pages {
    pages: Mutex<HashMap<Claim, Page>>,
    bell: Notify,
}

/// Where runs leave their text.
#[derive(Clone, Debug)]
pub(super) struct Desk(Arc<Pages>);

/// The other end of a [`Desk`].
#[derive(Debug)]
pub(super) struct Receiver(Arc<Pages>);

pub(super) fn desk() -> (Desk, Receiver) {
    let pages = Arc::new(Pages::default());
    (Desk(Arc::clone(&pages)), Receiver(pages))
}

impl Pages {
    fn lock(&self) -> MutexGuard<'_, HashMap<Claim, Page>> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Desk {
    /// A run begins.
    pub(super) fn begin(&self, run: &Claimed, prompt: PromptRecord) {
        let page = Page {
            key: run.key.clone(),
            attempt: run.attempt,
            stored: 0,
            text: String::new(),
            prompt: Some(prompt),
            generation_id: None,
        };
        self.0.lock().insert(run.claim(), page);
    }

    /// More text of a run.
    pub(super) fn write(&self, run: &Claimed, text: &str) {
        let mut pages = self.0.lock();
        if let Some(page) = pages.get_mut(&run.claim()) {
            let was_blank = page.is_blank();
            page.text.push_str(text);
            if was_blank {
                self.0.bell.notify_one();
            }
        }
    }

    /// The provider's handle on a run's generation: stored as soon as it is known, since only it tells the cost later.
    pub(super) fn generation(&self, run: &Claimed, id: &str) {
        if let Some(page) = self.0.lock().get_mut(&run.claim()) {
            page.generation_id = Some(id.to_owned());
            self.0.bell.notify_one();
        }
    }

    /// A run is over; what is still on the desk is in its message.
    pub(super) fn end(&self, run: &Claimed) {
        self.0.lock().remove(&run.claim());
    }
}

/// The task that stores the text.
#[derive(Debug)]
pub struct Scribe {
    runs: Arc<Runs>,
    desk: Receiver,
    writer: ChunkWriter,
}

impl Scribe {
    pub(super) fn new(runs: Arc<Runs>, desk: Receiver) -> Self {
        let writer = runs.context.store.chunk_writer();
        Self { runs, desk, writer }
    }

    /// Stores text, a tick after the first of it came, until the task is dropped.
    pub async fn run(mut self) {
        loop {
            self.desk.0.bell.notified().await;
            loop {
                tokio::time::sleep(self.runs.policy.chunk_flush).await;
                let chunks = self.take();
                if chunks.is_empty() {
                    break;
                }
                self.store_at_last(chunks).await;
            }
        }
    }

    /// Tries the same pieces until they are stored, since only they can tell whether the database has them already. Those whose
    /// answer is whole by then are dropped: nobody needs them, and one that the database refuses holds up the others no longer.
    async fn store_at_last(&mut self, mut chunks: Vec<NewChunk>) {
        let flush = self.runs.policy.chunk_flush;
        let mut pause = flush;
        while let Err(error) = self.store(&chunks).await {
            tracing::warn!(error = %error, pieces = chunks.len(), "text could not be stored; trying again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(flush.max(LONGEST_PAUSE));
            chunks.retain(|chunk| self.is_written(chunk));
            if chunks.is_empty() {
                return;
            }
        }
    }

    fn take(&self) -> Vec<NewChunk> {
        let mut pages = self.desk.0.lock();
        let mut chunks = Vec::new();
        for (claim, page) in pages.iter_mut().filter(|(_, page)| !page.is_blank()) {
            let content = std::mem::take(&mut page.text);
            let start_at = page.stored;
            page.stored += content.len();
            chunks.push(NewChunk {
                key: page.key.clone(),
                claim: *claim,
                attempt: page.attempt,
                start_at,
                content,
                prompt: page.prompt.take(),
                generation_id: page.generation_id.take(),
            });
        }
        chunks
    }

    /// Whether the answer of a piece is still being written here, under the same claim.
    fn is_written(&self, chunk: &NewChunk) -> bool {
        self.desk.0.lock().contains_key(&chunk.claim)
    }

    async fn store(&mut self, chunks: &[NewChunk]) -> Result<(), StoreError> {
        let stored = self.writer.write(chunks).await?;
        let mut found = HashMap::new();
        for status in stored {
            found.insert(status.run_id, status);
        }
        for chunk in chunks {
            match found.get(&chunk.claim.run_id) {
                // Its end may have been stored meanwhile; if not, it is another process's and must not go on here.
                None => self.runs.stop_claim(chunk.claim, Stop::Lost),
                Some(status) => {
                    self.runs
                        .context
                        .feed
                        .tell(chunk.key.session_id, &status.watchers);
                    if status.cancel_requested {
                        self.runs.stop_claim(chunk.claim, Stop::Cancelled);
                    }
                }
            }
        }
        Ok(())
    }
}
