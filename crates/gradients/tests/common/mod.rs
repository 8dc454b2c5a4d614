//! What several tests share.

#![allow(dead_code, reason = "each test takes what it needs")]

pub(crate) mod batch;
pub(crate) mod fixture;
pub(crate) mod numbers;
pub(crate) mod random;
