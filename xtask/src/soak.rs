//! The tests that take longer than the gate may: every test program `soak_*` of the end-to-end crate.

use std::{path::Path, process::ExitCode};

use anyhow::{Result, bail};

use crate::{command, gate, setup, tally::Tally, ui};

#[derive(clap::Args)]
pub struct Options {
    /// Run only the parts whose name contains this
    filter: Option<String>,
}

/// The parts start the stacks they need. One at a time: they load the machine on purpose.
pub fn run(root: &Path, options: &Options) -> Result<ExitCode> {
    let wanted = |name: &String| name.starts_with("soak_") && options.filter.as_ref().is_none_or(|filter| name.contains(filter));
    let parts: Vec<String> = gate::test_files(root)?.into_iter().filter(wanted).collect();
    if parts.is_empty() {
        bail!("no soak test fits: they are the files tests/tests/soak_*.rs");
    }
    setup::prepare(root)?;
    let mut total = Tally::default();
    for part in parts {
        ui::step(&part);
        let mut cargo = command::cargo(root);
        cargo.args(["test", "--release", "--package", "lonieve-tests", "--test", &part]);
        // The profile is the Workers', made for small modules; a test program shall be built soon.
        cargo.args([
            "--config",
            "profile.release.lto=false",
            "--config",
            "profile.release.codegen-units=16",
        ]);
        cargo.args(["--", "--include-ignored", "--nocapture", "--test-threads", "1"]);
        let finished = command::run(cargo)?;
        let tally = Tally::of_run(finished.lines.iter().map(String::as_str), finished.status.success());
        println!("{part}: {tally}");
        total += tally;
    }
    println!("{total}");
    Ok(if total.is_good(false) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
