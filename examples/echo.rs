//! Serves `ws::echo`: the real accept loop and the real socket, which say back what they hear.
//!
//! `scripts/autobahn` runs it under Autobahn's fuzzing client. Without limits of rate: that suite sends 16 MiB at once.
//!
//! ```text
//! echo <ip:port>   prints ECHO <ip:port> and serves until it is killed or its input ends
//! ```

use std::sync::Arc;

use agent_websocket::http::listen::{self, Peers};
use agent_websocket::shutdown::Tasks;
use agent_websocket::ws::echo;
use tokio::task::spawn_blocking;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let listener = listen::bind(address.parse()?)?;
    println!("ECHO {}", listener.local_addr()?);
    let peers = Peers {
        trusted: Arc::from([]),
        inbound: None,
    };
    tokio::select! {
        () = listen::serve(listener, echo::router(), peers, Tasks::new()) => {}
        // Until the starter kills us, or is dead itself.
        _ = spawn_blocking(|| std::io::stdin().read_line(&mut String::new())) => {}
    }
    Ok(())
}
