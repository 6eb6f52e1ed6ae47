//! secrets_manager
