//! Our own loop over HTTP/1, driven without a socket: what is answered, what is refused, what goes to hyper, and when a
//! connection has waited for too long.

mod driver;
mod limits;
mod proxies;
mod signing;
mod traps;

pub(crate) use driver::{by_hyper, by_wire};
