//! Brings a fresh clone to the point where the Workers are built: checks the machine, installs, builds.

use std::{fs::File, path::Path};

use anyhow::Result;
use stack::layout;

use crate::{build, environment, npm, tools, tracker, ui};

/// Everything a stack needs. Quick when nothing changed.
pub fn prepare(root: &Path) -> Result<()> {
    environment::check_node()?;
    environment::check_room_to_run(root)?;
    let _lock = take_turns(root)?;
    npm::install(root)?;
    tracker::build(root)?;
    tools::install_target()?;
    let tools = tools::install(root)?;
    build::workers(root, &tools, &build::names(root)?)?;
    Ok(())
}

/// One of two commands at once installs and builds, the other then finds it done.
pub fn take_turns(root: &Path) -> Result<File> {
    layout::take_turns(root, || {
        ui::note("another cargo xtask installs or builds in this clone: waiting for it")
    })
}
