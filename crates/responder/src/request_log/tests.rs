//! Proves what the request log promises, on a disk that can be filled and cut: a planted address is nowhere in clear, a
//! segment is there until its time is over and gone then, key and file; holds outlive it and end; a full disk, a torn file or
//! a clock that was put back change none of this.

mod holds;
mod promises;
mod storms;
mod world;
