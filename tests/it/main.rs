//! The integration tests: one binary, so that it links once.
//!
//! Each module stands under `cfg(test)`, which always holds here: it is how clippy knows its helpers for test code.

#[cfg(test)]
mod ai_sdk;
#[cfg(test)]
mod bench;
#[cfg(test)]
mod chaos;
#[cfg(test)]
mod chat;
#[cfg(test)]
mod check;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod connect;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod delivery;
#[cfg(test)]
mod devices;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod export;
#[cfg(test)]
mod frames;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod http_api;
#[cfg(test)]
mod inbox;
#[cfg(test)]
mod inspector;
#[cfg(test)]
mod isolation;
#[cfg(test)]
mod leaks;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod nodes;
#[cfg(test)]
mod operations;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod parts;
#[cfg(test)]
mod postgres;
#[cfg(test)]
mod presence;
#[cfg(test)]
mod provider;
#[cfg(test)]
mod quota;
#[cfg(test)]
mod reliability;
#[cfg(test)]
mod removal;
#[cfg(test)]
mod resume;
#[cfg(test)]
mod revocation;
#[cfg(test)]
mod runs;
#[cfg(test)]
mod search;
#[cfg(test)]
mod sql;
#[cfg(test)]
mod steering;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tickets;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod traces;
#[cfg(test)]
mod turn;
#[cfg(test)]
mod upgrade;
#[cfg(test)]
mod usage;
#[cfg(test)]
mod version;
