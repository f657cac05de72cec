//! open-mpic-core, on either side.
