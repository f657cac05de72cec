//! Ceremonies whose keys never leave a token (SoftHSM).
