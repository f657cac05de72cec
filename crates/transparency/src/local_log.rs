//! A log for tests.
