//! The operator's hand.

pub mod api;
pub mod client;
pub mod command;
