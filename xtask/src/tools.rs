//! The pinned build tools `worker-build` and `wasm-bindgen`, installed once into a cache all clones share.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::{command, environment, ui};

/// Goes with the `worker` crate's version in Cargo.toml.
const WORKER_BUILD: &str = "0.8.7";
const TARGET: &str = "wasm32-unknown-unknown";

/// Where the two programs are.
pub struct Tools {
    pub worker_build: PathBuf,
    pub wasm_bindgen: PathBuf,
}

/// Installs what is missing or has another version.
pub fn install(root: &Path) -> Result<Tools> {
    let wasm_bindgen = locked_version(
        &fs::read_to_string(root.join("Cargo.lock")).context("cannot read Cargo.lock")?,
        "wasm-bindgen",
    )
    .context("Cargo.lock names no wasm-bindgen")?
    .to_owned();
    let cache = cache_dir()?;
    let tools = cache.join("tools");
    fs::create_dir_all(&tools).with_context(|| format!("cannot make the folder {}", tools.display()))?;
    // Two clones may start at the same time.
    let lock = File::create(tools.join("lock"))?;
    if lock.try_lock().is_err() {
        ui::note("another cargo xtask installs the build tools: waiting for it");
        lock.lock()?;
    }
    let found = Tools {
        worker_build: tools.join("bin/worker-build"),
        wasm_bindgen: tools.join("bin/wasm-bindgen"),
    };
    // One target folder for both: they share most of their dependencies.
    let target = cache.join("tools-target");
    let mut installed = false;
    for (path, name, version) in [
        (&found.worker_build, "worker-build", WORKER_BUILD),
        (&found.wasm_bindgen, "wasm-bindgen-cli", wasm_bindgen.as_str()),
    ] {
        if version_of(path).as_deref() != Some(version) {
            install_one(name, version, &tools, &target)?;
            installed = true;
        }
    }
    if installed {
        // About a gigabyte that is not needed again.
        let _ = fs::remove_dir_all(&target);
    }
    Ok(found)
}

fn install_one(name: &str, version: &str, tools: &Path, target: &Path) -> Result<()> {
    environment::check_room_to_install(tools)?;
    command::timed(
        &format!("Installing {name} {version} (once per machine, two to four minutes)"),
        || {
            // Not in the clone: its .cargo/config.toml and toolchain file are not meant for these.
            let mut cargo = command::cargo(tools);
            cargo
                .args(["install", name, "--version", version, "--force", "--root"])
                .arg(tools)
                .env("CARGO_TARGET_DIR", target)
                // They mostly start other programs: half the time to build them is worth more than their speed.
                .envs([
                    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1"),
                    ("CARGO_PROFILE_RELEASE_LTO", "off"),
                    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
                ]);
            if name == "worker-build" {
                // wasm-bindgen-cli does not install from its own lock file.
                cargo.arg("--locked");
            }
            command::must_succeed(&format!("Installing {name}"), cargo)
        },
    )
}

/// "wasm-bindgen 0.2.130" or "0.8.7" -> the version
fn version_of(program: &Path) -> Option<String> {
    let text = command::answer(program.to_str()?, &["--version"])?;
    text.split_whitespace().last().map(str::to_owned)
}

/// $LONIEVE_CACHE_DIR, else the user's cache folder.
fn cache_dir() -> Result<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(dir) = variable("LONIEVE_CACHE_DIR") {
        return Ok(dir);
    }
    let base = variable("XDG_CACHE_HOME").or_else(|| variable("HOME").map(|home| home.join(".cache")));
    base.map(|dir| dir.join("lonieve-edge"))
        .context("there is no home folder: set LONIEVE_CACHE_DIR to a folder for the build tools")
}

/// The version Cargo.lock has for a package.
fn locked_version<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines();
    lines.find(|line| line.trim() == name)?;
    lines.next()?.strip_prefix("version = \"")?.strip_suffix('"')
}

/// The standard library for wasm32, through rustup where there is one.
pub fn install_target() -> Result<()> {
    let Some(sysroot) = command::answer("rustc", &["--print", "sysroot"]) else {
        bail!("rustc does not answer: install Rust with rustup (https://rustup.rs)");
    };
    let library = Path::new(&sysroot).join("lib/rustlib").join(TARGET).join("lib");
    if library.is_dir() {
        return Ok(());
    }
    if command::answer("rustup", &["--version"]).is_none() {
        bail!(missing_target_sentence());
    }
    command::timed(&format!("Adding the Rust target {TARGET}"), || {
        let mut rustup = std::process::Command::new("rustup");
        rustup.args(["target", "add", TARGET]);
        command::must_succeed(&format!("Adding the Rust target {TARGET} (rustup target add {TARGET})"), rustup)
    })
}

fn missing_target_sentence() -> String {
    format!(
        "Rust's standard library for {TARGET} is missing and there is no rustup to add it: install rustup (https://rustup.rs), or the package \
         of your system that holds it (Debian: libstd-rust-dev-wasm32, Fedora: rust-std-static-{TARGET})"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str =
        "[[package]]\nname = \"wasm-bindgen\"\nversion = \"0.2.130\"\n\n[[package]]\nname = \"wasm-bindgen-macro\"\nversion = \"9\"\n";

    #[test]
    fn the_tools_version_is_the_one_in_the_lock_file() {
        assert_eq!(locked_version(LOCK, "wasm-bindgen"), Some("0.2.130"));
        assert_eq!(locked_version(LOCK, "wasm"), None);
    }

    #[test]
    fn worker_build_goes_with_the_worker_crate() {
        let root = stack::layout::workspace_root().unwrap();
        let lock = fs::read_to_string(root.join("Cargo.lock")).unwrap();
        assert_eq!(locked_version(&lock, "worker"), Some(WORKER_BUILD));
    }

    #[test]
    fn a_missing_target_without_rustup_names_a_way() {
        assert!(missing_target_sentence().contains("rustup") && missing_target_sentence().contains("Debian"));
    }
}
