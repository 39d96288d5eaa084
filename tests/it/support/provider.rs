//! A model provider that does what a test says, byte by byte.
//!
//! [`ScriptedProvider`] serves OpenRouter's streaming endpoint over real TCP. Which [`Script`] answers a request:
//! the one whose cue is in the last user message, else the next in the queue, else an echo of the request. It counts
//! the calls, keeps what was sent, and notices a client that hangs up early.
//!
//! ```ignore
//! let provider = ScriptedProvider::start().await;
//! provider.then(Script::new().text("Hel").wait_for("more").text("lo").finish("stop").done());
//! provider.on("[[busy]]", Script::status(429, r#"{"error":{"code":429}}"#).header("retry-after", "1"));
//! // ... the code under test calls `provider.base_url()` ...
//! provider.open("more");
//! provider.wait_for(|tally| tally.aborted == 1).await;
//! ```

use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

mod exchange;
mod script;

pub(crate) use exchange::Recorded;
pub(crate) use script::Script;

/// The provider; dropping it closes its port and every connection.
pub(crate) struct ScriptedProvider {
    address: SocketAddr,
    desk: Arc<Desk>,
    accepting: JoinHandle<()>,
}

/// What became of the calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Requests that arrived in full.
    pub(crate) calls: usize,
    /// Scripts played to their end.
    pub(crate) played: usize,
    /// Clients that hung up before the end of their script.
    pub(crate) aborted: usize,
}

/// What the provider and its connections share.
#[derive(Default)]
struct Desk {
    queue: Mutex<VecDeque<Script>>,
    cues: Mutex<Vec<(String, Script)>>,
    requests: Mutex<Vec<Recorded>>,
    open_gates: watch::Sender<HashSet<String>>,
    tally: watch::Sender<Tally>,
}

impl ScriptedProvider {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let desk = Arc::new(Desk::default());
        let accepting = spawn(accept(listener, Arc::clone(&desk)));
        Self {
            address,
            desk,
            accepting,
        }
    }

    /// What to set as the provider's base URL.
    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/api/v1", self.address)
    }

    /// Answers the next request without a cue in this way; called again, the one after it.
    pub(crate) fn then(&self, script: Script) {
        self.desk.queue.lock().unwrap().push_back(script);
    }

    /// Answers each request whose last user message contains `cue` in this way.
    pub(crate) fn on(&self, cue: &str, script: Script) {
        self.desk.cues.lock().unwrap().push((cue.to_owned(), script));
    }

    /// Lets every script that waits for `gate` go on, now and later.
    pub(crate) fn open(&self, gate: &str) {
        self.desk.open_gates.send_modify(|open| {
            open.insert(gate.to_owned());
        });
    }

    pub(crate) fn calls(&self) -> usize {
        self.desk.tally.borrow().calls
    }

    /// The requests so far, oldest first.
    pub(crate) fn requests(&self) -> Vec<Recorded> {
        self.desk.requests.lock().unwrap().clone()
    }

    /// Waits until the tally satisfies `condition`; panics if it doesn't in ten seconds.
    pub(crate) async fn wait_for(&self, condition: impl Fn(&Tally) -> bool) -> Tally {
        let mut tally = self.desk.tally.subscribe();
        let Ok(tally) = tokio::time::timeout(Duration::from_secs(10), tally.wait_for(condition)).await else {
            panic!("the provider waits in vain at {:?}", *self.desk.tally.borrow());
        };
        *tally.expect("the desk holds the sender")
    }

    /// Lets time pass where time itself is what is tested; readiness is to be waited for, not slept for.
    pub(crate) async fn pause(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

impl Drop for ScriptedProvider {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Desk {
    fn choose(&self, request: &Recorded) -> Script {
        let question = request.last_question();
        let cued = self
            .cues
            .lock()
            .unwrap()
            .iter()
            .find(|(cue, _)| question.contains(cue))
            .cloned();
        cued.map(|(_, script)| script)
            .or_else(|| self.queue.lock().unwrap().pop_front())
            .unwrap_or_else(|| Script::answer(&request.echo()))
    }

    /// Notes the request and says the how-manieth it is.
    fn record(&self, request: &Recorded) -> usize {
        let mut requests = self.requests.lock().unwrap();
        requests.push(request.clone());
        self.count(|tally| tally.calls += 1);
        requests.len()
    }

    fn count(&self, change: impl FnOnce(&mut Tally)) {
        self.tally.send_modify(change);
    }
}

/// Connections are kept in a set that ends with this task, so that none outlives its test.
async fn accept(listener: TcpListener, desk: Arc<Desk>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((connection, _)) = listener.accept().await {
        connections.spawn(serve(connection, Arc::clone(&desk)));
        while connections.try_join_next().is_some() {}
    }
}

/// Answers the one request of a connection.
async fn serve(mut connection: TcpStream, desk: Arc<Desk>) {
    // Without it the kernel may hold back a token until the one before it is acknowledged.
    let _ = connection.set_nodelay(true);
    let Some(request) = exchange::read_request(&mut connection).await else {
        return;
    };
    let script = desk.choose(&request);
    let call = desk.record(&request);
    let (mut reader, mut writer) = connection.split();
    let stage = script::Stage {
        call,
        model: request.model().to_owned(),
        open_gates: desk.open_gates.subscribe(),
    };
    let ending = tokio::select! {
        ending = script::play(&script, stage, &mut writer) => ending.ok(),
        () = exchange::hung_up(&mut reader) => None,
    };
    desk.count(|tally| match ending {
        Some(_) => tally.played += 1,
        None => tally.aborted += 1,
    });
    if let Some(ending) = ending {
        script::end(ending, &mut writer).await;
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the handle is kept, and aborts the task when it is dropped"
)]
fn spawn(task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(task)
}
