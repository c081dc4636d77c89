//! The tracker: TypeScript in `tracker/`, bundled into the file the gateway serves. The bundle is in the repository, so that a clone without
//! Node has it; [`check`] refuses one that its source does not give.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::{build, command, npm, setup};

/// Minified for what the shop's pages need anyway (`||=` and `??=`).
const BUNDLE: [&str; 5] = ["tracker/src/main.ts", "--bundle", "--minify", "--format=iife", "--target=es2021"];

fn served(root: &Path) -> PathBuf {
    root.join("functions/gateway/assets/lv.js")
}

/// Writes the bundle where it differs. The npm packages are there.
pub fn build(root: &Path) -> Result<()> {
    let (path, bundle) = (served(root), bundle(root)?);
    if fs::read(&path).ok().as_ref() != Some(&bundle) {
        fs::write(&path, bundle).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// The types hold, and what is served is what the source gives.
pub fn check(root: &Path) -> Result<()> {
    {
        let _lock = setup::take_turns(root)?;
        npm::install(root)?;
    }
    let mut types = program(root, "tsc")?;
    types.args(["--project", "tracker"]);
    command::must_succeed("The check of the tracker's types", types)?;
    if fs::read(served(root))? != bundle(root)? {
        bail!("functions/gateway/assets/lv.js is not what tracker/src gives: run `cargo xtask build gateway` and commit it");
    }
    Ok(())
}

fn bundle(root: &Path) -> Result<Vec<u8>> {
    let output = program(root, "esbuild")?
        .args(BUNDLE)
        .stdin(Stdio::null())
        .output()
        .context("cannot start esbuild")?;
    if !output.status.success() {
        bail!("the tracker could not be bundled:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(output.stdout)
}

/// A program of the npm packages, under their Node.
fn program(root: &Path, name: &str) -> Result<Command> {
    let bin = root.join("node_modules/.bin");
    let mut command = Command::new(bin.join(name));
    command.current_dir(root).env("PATH", build::with_path(&bin)?);
    Ok(command)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_tracker_is_three_kilobytes_at_most() {
        let root = stack::layout::workspace_root().unwrap();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(&fs::read(served(&root)).unwrap()).unwrap();
        let bytes = gzip.finish().unwrap().len();
        assert!(bytes <= 3072, "lv.js has {bytes} bytes in gzip");
    }
}
