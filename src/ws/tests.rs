//! The parts of `ws` that need no socket.

mod ai_sdk;
mod credentials;
mod keepalive;
mod partial;
