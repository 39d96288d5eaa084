//! The wire, frame by frame: what clients may say, what the server says, and the words of both.

mod ai_sdk;
mod client;
mod commands;
mod server;
mod vocabulary;
