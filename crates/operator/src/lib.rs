//! The operator's hand.

pub mod api;
