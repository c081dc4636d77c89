//! What a machine must have before anything is installed: each check ends in one sentence that says what to do.

use std::path::Path;

use anyhow::{Result, bail};

use crate::command::answer;

const OLDEST_NODE: u32 = 18;
/// The npm packages, the tools and the build take this much together.
const ROOM_TO_INSTALL: u64 = 1_500 * MB;
/// The database and the logs of a stack that is installed and built.
const ROOM_TO_RUN: u64 = 300 * MB;
const MB: u64 = 1_000_000;
/// Pretends that so many megabytes are free: lets a test see the message.
const FREE_VARIABLE: &str = "LONIEVE_PRETEND_FREE_MB";

/// Node and npm, which are needed to fetch everything else.
pub fn check_node() -> Result<()> {
    node_sentence(answer("node", &["--version"]).as_deref(), answer("npm", &["--version"]).as_deref())
        .map_or(Ok(()), |sentence| bail!(sentence))
}

fn node_sentence(node: Option<&str>, npm: Option<&str>) -> Option<String> {
    let how = "install the current LTS from https://nodejs.org or with the system's package manager, then run this again";
    let Some(node) = node else {
        return Some(format!("Node.js is needed and there is no `node` in PATH: {how}"));
    };
    if major(node).is_none_or(|major| major < OLDEST_NODE) {
        return Some(format!("Node.js {OLDEST_NODE} or later is needed, this machine has {node}: {how}"));
    }
    npm.is_none()
        .then(|| format!("npm is needed and there is no `npm` in PATH (some systems package it apart from Node.js): {how}"))
}

/// "v20.20.2" -> 20
fn major(version: &str) -> Option<u32> {
    version.trim().trim_start_matches('v').split('.').next()?.parse().ok()
}

pub fn check_room_to_install(path: &Path) -> Result<()> {
    check_room(path, ROOM_TO_INSTALL, "installing and building")
}

pub fn check_room_to_run(path: &Path) -> Result<()> {
    check_room(path, ROOM_TO_RUN, "the database and the logs")
}

fn check_room(path: &Path, needed: u64, what: &str) -> Result<()> {
    let free = match std::env::var(FREE_VARIABLE).ok().and_then(|text| text.parse::<u64>().ok()) {
        Some(megabytes) => megabytes * MB,
        None => match rustix::fs::statvfs(path) {
            Ok(found) => found.f_bavail * found.f_frsize,
            // A system that cannot tell is no reason to stop.
            Err(_) => return Ok(()),
        },
    };
    room_sentence(path, free, needed, what).map_or(Ok(()), |sentence| bail!(sentence))
}

fn room_sentence(path: &Path, free: u64, needed: u64, what: &str) -> Option<String> {
    (free < needed).then(|| {
        format!(
            "the disk is full: {} MB are free where {} lies, and {} MB are needed for {what}: free some space and run this again",
            free / MB,
            path.display(),
            needed / MB,
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_node_or_npm_or_with_an_old_node_is_told_what_to_install() {
        assert!(node_sentence(None, None).unwrap().contains("no `node` in PATH"));
        assert!(
            node_sentence(Some("v16.20.0"), Some("8.19.4"))
                .unwrap()
                .contains("18 or later is needed, this machine has v16.20.0")
        );
        assert!(node_sentence(Some("v20.1.0"), None).unwrap().contains("no `npm` in PATH"));
        assert_eq!(node_sentence(Some("v18.0.0"), Some("9.0.0")), None);
    }

    #[test]
    fn too_little_room_is_told_with_both_numbers() {
        let sentence = room_sentence(Path::new("/clone"), 200 * MB, ROOM_TO_INSTALL, "installing").unwrap();
        assert!(sentence.contains("200 MB are free") && sentence.contains("1500 MB"), "{sentence}");
        assert_eq!(
            room_sentence(Path::new("/clone"), ROOM_TO_INSTALL, ROOM_TO_INSTALL, "installing"),
            None
        );
    }
}
