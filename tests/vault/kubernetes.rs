//! The `kubernetes` login.
