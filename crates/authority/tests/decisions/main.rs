//! The authority over a real store, a real signer and a scripted network, all in one process.
//!
//! What is proved, one file for each:
//! - `states`: every state of RFC 8555, section 7.1.6, that an order, an authorization or a challenge can come into.
//! - `issuance`: one order gives one certificate, whatever the signer does and however often it is asked for.
//! - `lease`: what is left when a lease runs out, before and after the signer was asked.
//! - `away`: a finalize that finds no signer waits for it, and is judged by what counts when it is back.
//! - `logged`: precertificate and certificate, whatever logs and signer do between them.
//! - `crash`: the power goes at every operation of every disk, and before and after each signature.
//! - `limits`: rate limits let through what they promise and no more, and zombies are paused.
//! - `restart`: a process that died is followed by one that goes on.
//! - `renewal`: when certificates should be renewed, and which orders take their place.
//! - `revocation`: who may revoke what, and what a compromised key may do afterwards.
//! - `operator_acts`: what operators do to certificates, keys, names, incidents and rights, and exactly what is on record.
//! - `operator_jobs`: many certificates are revoked at a rate, through holds, restarts and each other.
//! - `operator_finds`: what operators look for is found, each thing once, in pages of any length.
//! - `evidence`: everything that a certificate rests on is found again, and what is not there is said.
//! - `authorizations`: control that was shown is used again as far as it counts, and no further.
//! - `wishes`: what orders can wish for, and what profiles do not allow.
//! - `public`: rules with dates are held to the second, and records say who saw what.
//! - `checks`: keys on the operator's lists get nothing, and outside linters stop what they dislike.
//! - `rebuild`: the store made anew from the journal is the one that was there.
//! - `own`: the CA's own certificate goes the way of every other one.
//! - `external`: a key that operators gave out makes one account, which gets what the key permits.
//! - `restrictions`: which names and addresses get certificates at all, and with which words others are refused.
//! - `trials`: what would validate now is told, and nothing comes of it.
//! - `ml_dsa`: private profiles issue for ML-DSA keys in builds that verify them, and nobody else does.
//! - `contact`: contacts lie nowhere in the clear.
//!
//! Time stands still but for what a test adds to it, chance is seeded, nothing sleeps and nothing listens. What is not
//! a failure: a wait that gives up the processor until another thread has done its work, however long that takes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends by panicking"
)]

mod authorizations;
mod away;
mod checks;
mod contact;
mod crash;
mod evidence;
mod external;
mod issuance;
mod issuers;
mod lease;
mod limits;
mod logged;
mod ml_dsa;
mod operator_acts;
mod operator_finds;
mod operator_jobs;
mod own;
mod public;
mod rebuild;
mod regressions;
mod renewal;
mod restart;
mod restrictions;
mod revocation;
mod states;
mod trials;
mod wishes;
mod world;
