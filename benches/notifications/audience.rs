//! A real node in this process and users who are connected to it by WebSocket. Each frame's arrival is noted before it is
//! looked at. Called by the other modules of this benchmark.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use agent_websocket::app::{Node, Parts};
use agent_websocket::auth::{MintRequest, mint};
use agent_websocket::clock::Clock;
use agent_websocket::config::{Mode, Settings};
use agent_websocket::http::listen;
use agent_websocket::ids::UserId;
use agent_websocket::llm::Provider;
use agent_websocket::secret::{DatabaseUrl, Secret};
use anyhow::{Context, anyhow, bail};
use futures_util::StreamExt;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::inserts;

/// How long anything that should happen may take.
const PATIENCE: Duration = Duration::from_secs(30);

const SECRET: &str = "a secret of the benchmarks, long enough to be one";

/// All users come from one address, at once.
const SETTINGS: [(&str, &str); 5] = [
    ("OPENROUTER_BASE_URL", "http://127.0.0.1:1/nobody-asks-it"),
    ("JWT_SECRET", SECRET),
    ("CONNECTIONS_PER_MINUTE_PER_ADDRESS", "0"),
    ("AUTH_FAILURES_PER_MINUTE_PER_ADDRESS", "0"),
    ("DRAIN_SECONDS", "1"),
];

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A notification that a user's device got.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// The number that its row had as its content.
    pub(crate) number: usize,
    /// When its frame was there.
    pub(crate) at: Instant,
}

/// What of a frame is looked at.
#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    event: Option<&'a str>,
    #[serde(borrow)]
    content: std::borrow::Cow<'a, str>,
}

/// A node, and its connected users with what they got.
pub(crate) struct Audience {
    node: Node,
    arrivals: mpsc::UnboundedReceiver<anyhow::Result<Arrival>>,
    users: JoinSet<()>,
}

impl Audience {
    /// Starts a node and connects the first `users` users to it.
    pub(crate) async fn gather(url: &str, users: usize) -> anyhow::Result<Self> {
        let node = start(url).await?;
        let (sender, arrivals) = mpsc::unbounded_channel();
        let mut audience = Self {
            node,
            arrivals,
            users: JoinSet::new(),
        };
        audience.until_it_listens().await?;
        for number in 0..users {
            let mut socket = connect(&audience.node, &inserts::user(number)).await?;
            until_live(&mut socket).await?;
            audience.users.spawn(read(socket, sender.clone()));
        }
        Ok(audience)
    }

    async fn until_it_listens(&self) -> anyhow::Result<()> {
        let listener = &self.node.service().listener;
        let listens = async {
            while !listener.is_listening() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, listens)
            .await
            .context("the node does not listen")
    }

    /// The next notification that any of the users gets.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Arrival> {
        timeout(PATIENCE, self.arrivals.recv())
            .await
            .context("a notification did not arrive")?
            .context("the users are gone")?
    }

    /// Waits until this many have arrived. Refuses any that comes twice or was never sent.
    pub(crate) async fn each_once(&mut self, rows: usize) -> anyhow::Result<Vec<Arrival>> {
        let mut seen = vec![false; rows];
        let mut arrivals = Vec::with_capacity(rows);
        while arrivals.len() < rows {
            let missing = rows - arrivals.len();
            let arrival = self
                .next()
                .await
                .with_context(|| format!("{missing} of {rows} rows are lost"))?;
            match seen.get_mut(arrival.number) {
                Some(seen) if !*seen => *seen = true,
                Some(_) => bail!("row {} came twice", arrival.number),
                None => bail!("row {} was never inserted", arrival.number),
            }
            arrivals.push(arrival);
        }
        Ok(arrivals)
    }

    /// Ends the users and the node. What arrived until then and was not asked for came twice.
    pub(crate) async fn leave(mut self) -> anyhow::Result<()> {
        let extra = self.arrivals.len();
        self.users.shutdown().await;
        self.node.shut_down().await;
        if extra > 0 {
            bail!("{extra} frames came that nobody waited for: rows that came twice");
        }
        Ok(())
    }
}

async fn start(url: &str) -> anyhow::Result<Node> {
    let mut values: HashMap<&str, &str> = SETTINGS.into();
    values.insert("DATABASE_URL", url);
    let settings = Settings::from_lookup(
        &|name| values.get(name).map(|value| (*value).to_owned()),
        Mode::Serve,
    )
    .map_err(|faults| {
        anyhow!(
            "settings: {}",
            faults.iter().map(ToString::to_string).collect::<String>()
        )
    })?;
    Node::start(Parts {
        settings,
        database_url: DatabaseUrl::new(url)?,
        listen_url: DatabaseUrl::new(url)?,
        provider: Provider::offline(),
        clock: Clock::system(),
        listener: listen::bind("127.0.0.1:0".parse()?)?,
        admin: None,
    })
    .await
}

async fn connect(node: &Node, user: &str) -> anyhow::Result<Socket> {
    let request = MintRequest {
        user_id: &UserId::new(user)?,
        ttl: Duration::from_hours(1),
        issuer: None,
        audience: None,
        authorized_party: None,
        scope: None,
        token_id: uuid::Uuid::new_v4(),
    };
    let token = mint(&Secret::new(SECRET), &request, Clock::system().now())?;
    let mut request = format!("ws://{}/v1/ws", node.address()).into_client_request()?;
    request
        .headers_mut()
        .insert("authorization", format!("Bearer {token}").parse()?);
    Ok(connect_async(request).await?.0)
}

async fn until_live(socket: &mut Socket) -> anyhow::Result<()> {
    loop {
        let message = timeout(PATIENCE, socket.next())
            .await?
            .context("the socket was closed")??;
        let Message::Text(text) = message else { continue };
        let frame: Frame<'_> = serde_json::from_str(&text)?;
        if frame.event == Some("live") {
            return Ok(());
        }
    }
}

/// Reads one user's frames until the benchmark ends; a socket that ends before is told too.
async fn read(mut socket: Socket, sender: mpsc::UnboundedSender<anyhow::Result<Arrival>>) {
    while let Some(Ok(message)) = socket.next().await {
        let at = Instant::now();
        let text = match message {
            Message::Text(text) => text,
            Message::Close(close) => {
                // Nobody hears it when the benchmark is over.
                drop(sender.send(Err(anyhow!("a socket was closed: {close:?}"))));
                return;
            }
            _ => continue,
        };
        if let Ok(frame) = serde_json::from_str::<Frame<'_>>(&text)
            && frame.kind == "notification"
            && let Ok(number) = frame.content.parse()
            && sender.send(Ok(Arrival { number, at })).is_err()
        {
            return;
        }
    }
}
