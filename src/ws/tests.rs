//! The parts of `ws` that need no socket.

mod credentials;
mod keepalive;
mod partial;
