//! All Workers in one plain `workerd serve`: faster than `wrangler dev`, and what self-hosting runs. Every function
//! also has a socket of its own.

use std::{fmt::Write, path::PathBuf};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use crate::{
    functions::{Function, GATEWAY},
    layout::{Layout, write_private},
    ports::Ports,
    process::Spec,
    wrangler::Vars,
};

/// Writes the generated configuration and says how to start workerd.
pub fn prepare(layout: &Layout, functions: &[(Function, Vars)], ports: &Ports) -> Result<Spec> {
    let program = binary(layout)?;
    let path = layout.runtime().join("workerd.capnp");
    let text = config(functions, ports)?;
    write_private(&path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(Spec {
        name: "workerd",
        program,
        args: vec!["serve".to_owned(), path.display().to_string()],
        env: Vec::new(),
        dir: layout.runtime(),
        stop: Signal::TERM,
        account: None,
    })
}

/// The program itself; `node_modules/.bin/workerd` may be a Node script around it.
fn binary(layout: &Layout) -> Result<PathBuf> {
    let package = match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => "workerd-linux-64",
        ("linux", "aarch64") => "workerd-linux-arm64",
        ("macos", "x86_64") => "workerd-darwin-64",
        ("macos", "aarch64") => "workerd-darwin-arm64",
        (os, arch) => bail!("there is no workerd for {os} on {arch}"),
    };
    let path = layout.node_modules().join("@cloudflare").join(package).join("bin/workerd");
    if !path.is_file() {
        bail!("the npm package @cloudflare/{package} is not installed: run `cargo xtask dev`, or `npm ci` in the clone");
    }
    Ok(path)
}

fn config(functions: &[(Function, Vars)], ports: &Ports) -> Result<String> {
    let (mut services, mut sockets, mut workers) = (String::new(), String::new(), String::new());
    for (function, vars) in functions {
        let name = &function.name;
        let port = if name == GATEWAY {
            Some(&ports.gateway)
        } else {
            ports.functions.get(name)
        };
        let port = port.with_context(|| format!("no port for the function {name}"))?;
        writeln!(services, "    (name = \"{name}\", worker = .{}),", identifier(name))?;
        writeln!(
            sockets,
            "    (name = \"{name}\", address = \"127.0.0.1:{port}\", http = (), service = \"{name}\"),"
        )?;
        if let Some((_, folder)) = function.assets() {
            writeln!(
                services,
                "    (name = \"{name}-assets\", disk = (path = {})),",
                text(&folder.display().to_string())
            )?;
        }
        workers += &worker(function, vars)?;
    }
    Ok(format!(
        "# Generated; every start writes it anew.\n\
         using Workerd = import \"/workerd/workerd.capnp\";\n\n\
         const config :Workerd.Config = (\n  services = [\n{services}\
         \x20   # The Workers' fetch(): the proxy and the sandbox are on this machine.\n\
         \x20   (name = \"internet\", network = (allow = [\"public\", \"private\", \"local\"], tlsOptions = (trustBrowserCas = true))),\n\
         \x20 ],\n  sockets = [\n{sockets}  ],\n);\n{workers}"
    ))
}

fn worker(function: &Function, vars: &Vars) -> Result<String> {
    let date = function
        .text("compatibility_date")
        .with_context(|| format!("{}: no compatibility_date", function.name))?;
    let mut bindings = String::new();
    for (name, value) in vars {
        writeln!(bindings, "    (name = \"{name}\", text = {}),", text(value))?;
    }
    for (binding, target) in function.services() {
        writeln!(bindings, "    (name = \"{binding}\", service = \"{target}\"),")?;
    }
    if let Some((binding, _)) = function.assets() {
        writeln!(bindings, "    (name = \"{binding}\", service = \"{}-assets\"),", function.name)?;
    }
    Ok(format!(
        "\nconst {} :Workerd.Worker = (\n  modules = [\n\
         \x20   (name = \"index.js\", esModule = embed {}),\n\
         \x20   (name = \"index_bg.wasm\", wasm = embed {}),\n\
         \x20 ],\n  compatibilityDate = {},\n  bindings = [\n{bindings}  ],\n);\n",
        identifier(&function.name),
        // Relative to the configuration, which lies beside the folder `workers`.
        text(&format!("workers/{}/index.js", function.name)),
        text(&format!("workers/{}/index_bg.wasm", function.name)),
        text(date),
    ))
}

/// A string literal of the Cap'n Proto language.
fn text(value: &str) -> String {
    let mut literal = String::from("\"");
    for c in value.chars() {
        match c {
            '"' | '\\' => literal.extend(['\\', c]),
            '\n' => literal.push_str("\\n"),
            c => literal.push(c),
        }
    }
    literal + "\""
}

/// Names in the configuration are camel case: `ad-hoc` -> `adHocWorker`.
fn identifier(name: &str) -> String {
    let mut upper = false;
    let mut found = String::new();
    for c in name.chars() {
        match c {
            '-' | '_' => upper = true,
            c => found.push(if std::mem::take(&mut upper) { c.to_ascii_uppercase() } else { c }),
        }
    }
    found + "Worker"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{functions::tests::function, ports::Wanted};

    fn ports() -> Ports {
        let jobs = ["jobs".to_owned()];
        let wanted = Wanted {
            any_free: true,
            ..Wanted::default()
        };
        Ports::choose(wanted, &jobs).unwrap()
    }

    #[test]
    fn every_function_has_its_modules_its_bindings_and_a_socket() {
        let gateway = "compatibility_date = \"2026-10-01\"\n[[services]]\nbinding = \"JOBS\"\nservice = \"lonieve-jobs\"\n";
        let functions = [
            (function(GATEWAY, gateway), Vars::new()),
            (
                function("jobs", "compatibility_date = \"2026-10-01\""),
                Vars::from([("CODE_KEYS", "{\"k1\":\"a\\\\b\"}".to_owned())]),
            ),
        ];
        let ports = ports();
        let config = config(&functions, &ports).unwrap();
        for line in [
            &format!(
                "(name = \"gateway\", address = \"127.0.0.1:{}\", http = (), service = \"gateway\"),",
                ports.gateway
            ),
            &format!(
                "(name = \"jobs\", address = \"127.0.0.1:{}\", http = (), service = \"jobs\"),",
                ports.functions["jobs"]
            ),
            "(name = \"index.js\", esModule = embed \"workers/jobs/index.js\"),",
            "(name = \"JOBS\", service = \"jobs\"),",
            "(name = \"CODE_KEYS\", text = \"{\\\"k1\\\":\\\"a\\\\\\\\b\\\"}\"),",
            "compatibilityDate = \"2026-10-01\",",
        ] {
            assert!(config.contains(line), "{line} is missing in\n{config}");
        }
    }

    #[test]
    fn a_function_without_a_port_is_an_error() {
        let functions = [(function("events", "compatibility_date = \"2026-10-01\""), Vars::new())];
        assert!(config(&functions, &ports()).is_err());
    }

    #[test]
    fn names_become_identifiers() {
        assert_eq!(identifier("ad-hoc"), "adHocWorker");
    }
}
