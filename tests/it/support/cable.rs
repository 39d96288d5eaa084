//! A way to a node that can be cut: a TCP proxy that carries bytes until the test pulls the plug.

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The cable; dropping it cuts everything for good.
pub(crate) struct Cable {
    /// Where clients connect.
    pub(crate) base: String,
    cuts: watch::Sender<u64>,
    node: watch::Sender<String>,
    _serving: JoinSet<()>,
}

impl Cable {
    pub(crate) async fn to(node: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = listener.local_addr().unwrap().to_string();
        let (cuts, seen) = watch::channel(0);
        let (node, leads_to) = watch::channel(node.to_owned());
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, leads_to, seen));
        Self {
            base,
            cuts,
            node,
            _serving: serving,
        }
    }

    /// Cuts every connection, without a goodbye; new ones are carried.
    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Carries new connections to another node, as a load balancer does.
    pub(crate) fn lead_to(&self, node: &str) {
        self.node.send_replace(node.to_owned());
    }
}

async fn serve(listener: TcpListener, node: watch::Receiver<String>, cuts: watch::Receiver<u64>) {
    let mut carried = JoinSet::new();
    while let Ok((mut client, _)) = listener.accept().await {
        let (node, mut cuts) = (node.borrow().clone(), cuts.clone());
        cuts.mark_unchanged();
        carried.spawn(async move {
            let Ok(mut server) = TcpStream::connect(&node).await else {
                return;
            };
            tokio::select! {
                _ = copy_bidirectional(&mut client, &mut server) => {}
                _ = cuts.changed() => {}
            }
        });
    }
}
