//! Builds the Workers with worker-build, each only when something it is made of changed.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::Mutex,
};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use stack::functions::{self, Function};

use crate::{command, environment, npm, setup, tools, tools::Tools, tracker, ui};

#[derive(clap::Args)]
pub struct Options {
    /// The functions to build, e.g. events; all when none is named
    functions: Vec<String>,
}

/// `cargo xtask build`, also the build command of every wrangler.toml.
pub fn run(root: &Path, options: &Options) -> Result<ExitCode> {
    let known = names(root)?;
    if let Some(unknown) = options.functions.iter().find(|name| !known.contains(name)) {
        bail!("there is no function {unknown}: the functions are {}", known.join(", "));
    }
    let wanted = if options.functions.is_empty() { &known } else { &options.functions };
    environment::check_node()?;
    let _lock = setup::take_turns(root)?;
    npm::install(root)?;
    tools::install_target()?;
    if wanted.iter().any(|name| name == "gateway") {
        tracker::build(root)?;
    }
    workers(root, &tools::install(root)?, wanted)?;
    print!("{}", table(root, wanted)?);
    Ok(ExitCode::SUCCESS)
}

/// Every function of the repository.
pub fn names(root: &Path) -> Result<Vec<String>> {
    Ok(functions::all(root)?.into_iter().map(|function| function.name).collect())
}

/// Builds what is not up to date, two at a time: cargo takes turns, but optimising one module overlaps with compiling the next.
pub fn workers(root: &Path, tools: &Tools, wanted: &[String]) -> Result<()> {
    let mut stale = Vec::new();
    for function in functions::all(root)?.into_iter().filter(|function| wanted.contains(&function.name)) {
        let fingerprint = fingerprint(root, &function)?;
        if function.check_built().is_err() || fs::read_to_string(stamp(&function)).ok().as_ref() != Some(&fingerprint) {
            stale.push((function, fingerprint));
        }
    }
    if stale.is_empty() {
        return Ok(());
    }
    environment::check_room_to_install(root)?;
    let names: Vec<&str> = stale.iter().map(|(function, _)| function.name.as_str()).collect();
    command::timed(&format!("Building the Workers: {}", names.join(", ")), || {
        let _alive = ui::Heartbeat::start("still building");
        let queue = Mutex::new(stale.iter());
        let next = || queue.lock().map_or(None, |mut queue| queue.next());
        let work = || -> Result<()> {
            while let Some((function, fingerprint)) = next() {
                build_one(root, tools, function)?;
                fs::write(stamp(function), fingerprint)?;
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let second = scope.spawn(work);
            let first = work();
            let second = second.join().unwrap_or_else(|_| bail!("a build thread panicked"));
            first.and(second)
        })
    })
}

fn build_one(root: &Path, tools: &Tools, function: &Function) -> Result<()> {
    let bin = root.join("node_modules/.bin");
    // A failed build must not leave an old module that looks like a new one.
    let _ = fs::remove_file(stamp(function));
    let mut command = Command::new(&tools.worker_build);
    command.arg("--release").arg(&function.dir).arg("--");
    // All of them each time: cargo then compiles two side by side, and what they share once, not once for each set of features that one of them
    // asks for. All but the first find their module compiled.
    for name in names(root)? {
        command.arg("--package").arg(format!("lonieve-{name}"));
    }
    command
        .current_dir(root)
        .env("WASM_BINDGEN_BIN", &tools.wasm_bindgen)
        .env("WASM_OPT_BIN", bin.join("wasm-opt"))
        .env("ESBUILD_BIN", bin.join("esbuild"))
        // wasm-opt is a Node program: the Node of the npm package runs it.
        .env("PATH", with_path(&bin)?);
    command::must_succeed(&format!("Building the function {}", function.name), command)
}

pub fn with_path(first: &Path) -> Result<std::ffi::OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    Ok(std::env::join_paths(
        std::iter::once(first.to_owned()).chain(std::env::split_paths(&path)),
    )?)
}

fn stamp(function: &Function) -> PathBuf {
    function.dir.join("build/.lonieve-stamp")
}

/// A hash of everything a Worker's module is made of.
fn fingerprint(root: &Path, function: &Function) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(command::answer("rustc", &["-vV"]).unwrap_or_default());
    for file in ["Cargo.toml", "Cargo.lock", ".cargo/config.toml", "package-lock.json"] {
        add_file(&mut hash, root, &root.join(file))?;
    }
    for folder in [root.join("shared"), function.dir.clone()] {
        add_folder(&mut hash, root, &folder)?;
    }
    Ok(hex::encode(hash.finalize()))
}

fn add_folder(hash: &mut Sha256, root: &Path, folder: &Path) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default();
        // Output, files that are served as they are, and what is about the Worker but not in it.
        let skipped = [
            "build",
            "assets",
            "target",
            "node_modules",
            ".wrangler",
            "wrangler.toml",
            "README.md",
        ];
        if skipped.iter().any(|skipped| name == *skipped) {
            continue;
        }
        if path.is_dir() {
            add_folder(hash, root, &path)?;
        } else {
            add_file(hash, root, &path)?;
        }
    }
    Ok(())
}

fn add_file(hash: &mut Sha256, root: &Path, path: &Path) -> Result<()> {
    let content = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let name = path.strip_prefix(root).unwrap_or(path).as_os_str().as_encoded_bytes();
    // Lengths keep a name and its content apart from the next ones.
    for part in [name, &content] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    Ok(())
}

fn table(root: &Path, wanted: &[String]) -> Result<String> {
    let mut text = format!("{:<12} {:>12} {:>12}\n", "function", "wasm", "gzip");
    for function in functions::all(root)?.iter().filter(|function| wanted.contains(&function.name)) {
        let wasm = fs::read(function.wasm())?;
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(&wasm)?;
        let (raw, packed) = (kilobytes(wasm.len()), kilobytes(gzip.finish()?.len()));
        text += &format!("{:<12} {raw:>12} {packed:>12}\n", function.name);
    }
    Ok(text)
}

fn kilobytes(bytes: usize) -> String {
    format!("{} KB", bytes.div_ceil(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_changes_with_a_file_its_name_and_a_new_file_but_not_with_output() {
        let root = std::env::temp_dir().join(format!("lonieve-build-{}", std::process::id()));
        fs::create_dir_all(root.join("f/src")).unwrap();
        fs::create_dir_all(root.join("f/build")).unwrap();
        fs::write(root.join("f/src/lib.rs"), "a").unwrap();
        let hash = || {
            let mut hash = Sha256::new();
            add_folder(&mut hash, &root, &root.join("f")).unwrap();
            hex::encode(hash.finalize())
        };
        let first = hash();
        fs::write(root.join("f/build/index.js"), "x").unwrap();
        assert_eq!(hash(), first);
        fs::write(root.join("f/src/lib.rs"), "b").unwrap();
        let second = hash();
        fs::rename(root.join("f/src/lib.rs"), root.join("f/src/main.rs")).unwrap();
        let third = hash();
        fs::remove_dir_all(&root).unwrap();
        assert!(first != second && second != third && first != third);
    }
}
