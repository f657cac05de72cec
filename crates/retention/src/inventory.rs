//! Where everything that is kept has its class.
