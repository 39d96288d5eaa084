//! The client's decisions: every row of the tables, cuts at every frame, and the contract's own examples.

mod comebacks;
mod conversation;
mod reading;
