//! No Node, no network, a taken port, a full disk.

use std::{ffi::OsString, fs, net::TcpListener, os::unix::fs::PermissionsExt, path::Path};

use crate::{Folder, Run, root};

const DEV: [&str; 4] = ["dev", "--ephemeral", "--runtime", "workerd"];

/// A copy of what the set-up needs of a fresh clone: nothing is installed or built in it.
fn fresh_clone() -> Folder {
    let folder = Folder::new();
    for name in ["Cargo.toml", "Cargo.lock", "package.json", "package-lock.json", ".npmrc"] {
        fs::copy(root().join(name), folder.0.join(name)).unwrap();
    }
    for name in ["functions", "migrations"] {
        fs::create_dir(folder.0.join(name)).unwrap();
    }
    folder
}

/// A port of this machine on which nobody listens.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The programs of the names, out of the PATH of this test, and no others.
fn path_with(folder: &Folder, programs: &[&str]) -> (&'static str, OsString) {
    for program in programs {
        let found = std::env::split_paths(&std::env::var_os("PATH").unwrap())
            .map(|dir| dir.join(program))
            .find(|path| path.is_file());
        std::os::unix::fs::symlink(found.unwrap(), folder.0.join(program)).unwrap();
    }
    ("PATH", folder.0.clone().into_os_string())
}

fn script(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn without_node_the_error_says_to_install_it() {
    let (clone, programs) = (fresh_clone(), Folder::new());
    let ended = Run::start(&clone.0, &DEV, &[path_with(&programs, &[])]).await.end().await;
    let error = ended.error();
    assert!(
        error.starts_with("Node.js is needed and there is no `node` in PATH: install the current LTS from https://nodejs.org"),
        "{error}"
    );
    assert!(!clone.0.join(".local").exists(), "nothing was begun");
}

#[tokio::test]
async fn with_an_old_node_the_error_names_both_versions() {
    let (clone, programs) = (fresh_clone(), Folder::new());
    script(&programs.0.join("node"), "echo v16.20.2");
    let ended = Run::start(&clone.0, &DEV, &[("PATH", programs.0.clone().into())]).await.end().await;
    assert!(
        ended
            .error()
            .starts_with("Node.js 18 or later is needed, this machine has v16.20.2: install"),
        "{}",
        ended.printed
    );
}

#[tokio::test]
async fn with_node_but_without_npm_the_error_says_so() {
    let (clone, programs) = (fresh_clone(), Folder::new());
    let ended = Run::start(&clone.0, &DEV, &[path_with(&programs, &["node"])]).await.end().await;
    assert!(
        ended.error().starts_with("npm is needed and there is no `npm` in PATH"),
        "{}",
        ended.printed
    );
    assert!(ended.error().contains("install the current LTS"), "{}", ended.printed);
}

#[tokio::test]
async fn without_a_network_the_install_of_the_packages_says_what_to_check() {
    let (clone, cache) = (fresh_clone(), Folder::new());
    let registry = format!("http://127.0.0.1:{}/", closed_port());
    // No retries: npm would wait half a minute for the network to come back.
    let variables = [
        ("npm_config_registry", registry.into()),
        ("npm_config_cache", cache.0.clone().into()),
        ("npm_config_fetch_retries", "0".into()),
    ];
    let ended = Run::start(&clone.0, &DEV, &variables).await.end().await;
    let error = ended.error();
    assert!(
        error
            .starts_with("Installing the npm packages failed because the package registry cannot be reached: check the network connection"),
        "{error}"
    );
    assert!(error.contains("HTTPS_PROXY") && error.ends_with("and run this again"), "{error}");
    assert!(
        ended.printed.contains("==> Installing the npm packages"),
        "the step is announced:\n{}",
        ended.printed
    );
    assert!(
        !clone.0.join("node_modules/.lonieve-stamp").exists(),
        "a failed install is tried again the next time"
    );
}

#[tokio::test]
async fn without_a_network_the_install_of_the_build_tools_says_what_to_check() {
    let cache = Folder::new();
    let proxy = format!("http://127.0.0.1:{}", closed_port());
    let variables = [
        ("LONIEVE_CACHE_DIR", cache.0.clone().into()),
        ("CARGO_HTTP_PROXY", proxy.clone().into()),
        ("HTTPS_PROXY", proxy.into()),
        ("NO_PROXY", "".into()),
        ("no_proxy", "".into()),
        ("CARGO_NET_RETRY", "0".into()),
    ];
    let ended = Run::start(&root(), &DEV, &variables).await.end().await;
    let error = ended.error();
    assert!(
        error.starts_with("Installing worker-build failed because the package registry cannot be reached: check the network connection"),
        "{error}"
    );
}

#[tokio::test]
async fn a_taken_port_is_named_with_its_holder_and_the_flag_that_takes_another() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut arguments = DEV.to_vec();
    let number = port.to_string();
    arguments.extend(["--port", &number]);
    let ended = Run::start(&root(), &arguments, &[]).await.end().await;
    let error = ended.error();
    assert!(error.starts_with(&format!("port {port} is taken: the gateway needs it")), "{error}");
    if cfg!(target_os = "linux") {
        assert!(error.contains(&format!("(pid {}) listens on it", std::process::id())), "{error}");
    }
    assert!(
        error.ends_with("Stop that program, or use other ports: cargo xtask dev --port 9000"),
        "{error}"
    );
}

#[tokio::test]
async fn a_taken_port_of_another_part_names_that_parts_flag() {
    // Below the ports that outgoing connections take, so that the nine ports after it are likely free.
    let (listener, base) = (30_000..32_000)
        .step_by(17)
        .find_map(|port| Some((TcpListener::bind(("127.0.0.1", port)).ok()?, port)))
        .unwrap();
    let mut arguments = DEV.to_vec();
    let number = base.to_string();
    arguments.extend(["--port-base", &number]);
    let ended = Run::start(&root(), &arguments, &[]).await.end().await;
    drop(listener);
    let error = ended.error();
    assert!(
        error.starts_with(&format!("port {base} is taken: Postgres needs it")) && error.contains("cargo xtask dev --port-base "),
        "{error}"
    );
}

#[tokio::test]
async fn a_full_disk_is_told_with_what_is_free_and_what_is_needed() {
    // Too little to run; and enough to run, but not to install.
    for (free, needed) in [
        ("100", "300 MB are needed for the database and the logs"),
        ("1000", "1500 MB are needed for installing and building"),
    ] {
        let clone = fresh_clone();
        let ended = Run::start(&clone.0, &DEV, &[("LONIEVE_PRETEND_FREE_MB", free.into())])
            .await
            .end()
            .await;
        let error = ended.error();
        assert!(
            error.starts_with(&format!("the disk is full: {free} MB are free where {} lies", clone.0.display())),
            "{error}"
        );
        assert!(
            error.contains(needed) && error.ends_with("free some space and run this again"),
            "{error}"
        );
        assert!(!clone.0.join("node_modules").exists(), "nothing was installed");
    }
}

#[tokio::test]
async fn a_disk_that_fills_up_during_the_install_is_told_as_that_and_not_as_a_failure_of_npm() {
    let (clone, programs) = (fresh_clone(), Folder::new());
    // What npm prints then; a disk that is really full takes a file system of its own, and thereby root.
    script(
        &programs.0.join("npm"),
        "test \"$1\" = ci || exec echo 11.0.0\necho 'npm error code ENOSPC' >&2\necho 'npm error nospc ENOSPC: no space left on device, write' >&2\nexit 228",
    );
    let path = std::env::join_paths(
        [programs.0.clone()]
            .into_iter()
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    )
    .unwrap();
    let ended = Run::start(&clone.0, &DEV, &[("PATH", path)]).await.end().await;
    let error = ended.error();
    assert!(
        error.starts_with("Installing the npm packages failed because the disk is full: free at least 2 GB"),
        "{error}"
    );
    assert!(
        ended.printed.contains("npm error code ENOSPC"),
        "the output of the program is shown:\n{}",
        ended.printed
    );
}
