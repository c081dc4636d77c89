//! Formatting, lints, and the rules for dependencies.

use std::{
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::{Result, bail};

use crate::{build, command, tools, tracker, ui};

/// A phase of the gate too, by [`tracker::check`].
pub const TRACKER: &str = "Checking the tracker (tsc, and whether lv.js is what its source gives)";

pub fn run(root: &Path) -> Result<ExitCode> {
    tools::install_target()?;
    for (name, command) in lints(root)? {
        command::timed(&name, || command::must_succeed(&name, command))?;
    }
    command::timed(TRACKER, || tracker::check(root))?;
    dependencies(root)?;
    Ok(ExitCode::SUCCESS)
}

/// The phases the gate runs too: (name, command).
pub fn lints(root: &Path) -> Result<Vec<(String, Command)>> {
    let mut format = command::cargo(root);
    format.args(["fmt", "--all", "--check"]);
    let mut native = command::cargo(root);
    native.args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    // What is compiled for wasm32 only is seen only there.
    let mut wasm = command::cargo(root);
    wasm.args(["clippy", "--target", "wasm32-unknown-unknown"]);
    for name in build::names(root)? {
        wasm.arg("--package").arg(format!("lonieve-{name}"));
    }
    wasm.args(["--", "-D", "warnings"]);
    Ok(vec![
        ("Checking the formatting (cargo fmt)".to_owned(), format),
        ("Linting (clippy)".to_owned(), native),
        ("Linting the Workers (clippy, wasm32)".to_owned(), wasm),
    ])
}

fn dependencies(root: &Path) -> Result<()> {
    const HOW: &str = "cargo-deny is not installed, so the rules of deny.toml were not checked: cargo install --locked cargo-deny";
    if command::answer("cargo-deny", &["--version"]).is_none() {
        ui::step(HOW);
        return Ok(());
    }
    command::timed("Checking the dependencies (cargo deny)", || {
        let mut deny = command::cargo(root);
        // `--offline`: these three need the manifests only, no advisory database.
        deny.args(["deny", "--offline", "check", "bans", "licenses", "sources"]);
        let finished = command::run(deny)?;
        if !finished.status.success() {
            bail!("a dependency breaks a rule of deny.toml; the output above says which");
        }
        Ok(())
    })
}
