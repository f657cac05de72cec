//! What ceremonies made becomes a CA.
