//! The functions of docs/analytics.md against numbers worked out by hand: every function, every defect of the documents' own SQL, who may call.
//!
//! In scope: the SQL, in the role `authenticated` with a token's claims, and, where the clock matters, the functions of schema `analytics` that
//! take it. Each test has a tenant of its own. Out of scope: the pages, and the same functions against a generated shop.
#![expect(clippy::unwrap_used, reason = "tests: a failed step is a failed test")]

mod access;
mod by_hand;
mod customers;
mod insights;
mod outreach;
mod quality;
mod refresh;
mod samples;
mod support;
mod twenty;
mod windows;
