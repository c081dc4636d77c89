//! All Workers in one `wrangler dev` session: the first configuration (the gateway) listens, the others are reached
//! by service binding.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{
    functions::{Function, GATEWAY},
    layout::{Layout, create_dir, write_private},
    process::Spec,
};

pub type Vars = BTreeMap<&'static str, String>;

/// Writes the generated configurations and says how to start wrangler.
pub fn prepare(layout: &Layout, functions: &[(Function, Vars)], port: u16, events_queue: bool) -> Result<Spec> {
    let modules = layout.node_modules();
    // The program behind the `wrangler` command, without its wrapper process, and with the Node of the npm package:
    // wrangler wants a newer one than many machines have.
    let (node, script) = (modules.join(".bin/node"), modules.join("wrangler/wrangler-dist/cli.js"));
    for path in [&node, &script] {
        if !path.exists() {
            bail!("{} is missing: run `cargo xtask dev`, or `npm ci` in the clone", path.display());
        }
    }
    let mut args = vec!["--no-warnings".to_owned(), script.display().to_string(), "dev".to_owned()];
    for (function, vars) in functions {
        let path = layout.runtime().join(format!("{}.json", function.name));
        let mut config = config(function, vars, &layout.module(&function.name))?;
        if events_queue && function.name == "events" {
            config["queues"] = queues();
        }
        let text = serde_json::to_string_pretty(&config)?;
        write_private(&path, &text).with_context(|| format!("cannot write {}", path.display()))?;
        args.extend(["--config".to_owned(), path.display().to_string()]);
    }
    let home = layout.dir.join("home");
    create_dir(&home)?;
    let options = [
        ("--ip", "127.0.0.1".to_owned()),
        ("--port", port.to_string()),
        ("--inspector-port", "0".to_owned()),
        ("--persist-to", layout.runtime().join("state").display().to_string()),
        ("--show-interactive-dev-session", "false".to_owned()),
    ];
    args.extend(options.into_iter().flat_map(|(option, value)| [option.to_owned(), value]));
    Ok(Spec {
        name: "wrangler",
        program: node,
        args,
        env: environment(layout, &home),
        dir: layout.runtime(),
        stop: Signal::TERM,
        account: None,
    })
}

/// The function's checked-in configuration, with its paths made absolute, nothing to build, and the values of this stack.
fn config(function: &Function, vars: &Vars, module: &Path) -> Result<Value> {
    let mut config = serde_json::to_value(&function.config)?;
    let fields = config.as_object_mut().context("wrangler.toml is no table")?;
    for key in ["build", "triggers", "dev", "workers_dev", "routes", "env"] {
        fields.remove(key);
    }
    fields.insert("main".into(), json!(module.join("index.js")));
    // The script is bundled already (worker-build ran esbuild over it).
    fields.insert("no_bundle".into(), json!(true));
    fields.insert("rules".into(), json!([{ "type": "CompiledWasm", "globs": ["index_bg.wasm"] }]));
    match function.assets() {
        Some((_, folder)) => fields["assets"]["directory"] = json!(folder),
        None => drop(fields.remove("assets")),
    }
    fields.insert("vars".into(), json!(vars));
    Ok(config)
}

/// The queue of events and that of its dead letters, both consumed by the events Worker, as functions/events/wrangler.toml describes them for a
/// deployment. Short waits: here a message is given up after some seconds, not after half a day.
fn queues() -> Value {
    json!({
        "producers": [{ "binding": "EVENTS_QUEUE", "queue": "lonieve-events" }],
        "consumers": [
            { "queue": "lonieve-events", "max_batch_size": 20, "max_batch_timeout": 1, "max_retries": 3, "dead_letter_queue": "lonieve-events-dead" },
            { "queue": "lonieve-events-dead", "max_batch_size": 20, "max_batch_timeout": 1, "max_retries": 100 },
        ],
    })
}

/// Everything wrangler keeps lies in the stack's folder: two stacks must not find each other's Workers in a shared registry.
fn environment(layout: &Layout, home: &Path) -> Vec<(String, String)> {
    let mut path = vec![layout.node_modules().join(".bin")];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let path = std::env::join_paths(path).map(PathBuf::from).unwrap_or_default();
    let fixed = [
        ("PATH", path.display().to_string()),
        ("XDG_CONFIG_HOME", home.display().to_string()),
        ("WRANGLER_REGISTRY_PATH", layout.runtime().join("registry").display().to_string()),
        ("WRANGLER_LOG_PATH", layout.logs().join("wrangler-debug").display().to_string()),
        ("WRANGLER_SEND_METRICS", "false".to_owned()),
        ("WRANGLER_SEND_ERROR_REPORTS", "false".to_owned()),
        ("CLOUDFLARE_CF_FETCH_ENABLED", "false".to_owned()),
        ("CI", "true".to_owned()),
        ("NO_COLOR", "1".to_owned()),
    ];
    fixed.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Under wrangler every function is reached through the gateway.
pub fn health_path(function: &str) -> String {
    if function == GATEWAY {
        "/health".to_owned()
    } else {
        format!("/health/{function}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::tests::function;

    /// A message must not end in a queue that nobody reads.
    #[test]
    fn what_the_queue_gives_up_is_consumed_too() {
        let queues = queues();
        let consumed: Vec<&Value> = queues["consumers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|consumer| &consumer["queue"])
            .collect();
        assert!(consumed.contains(&&queues["producers"][0]["queue"]));
        assert!(consumed.contains(&&queues["consumers"][0]["dead_letter_queue"]));
    }

    #[test]
    fn a_generated_configuration_keeps_the_bindings_and_drops_what_only_a_deployment_needs() {
        let text = "name = \"lonieve-jobs\"\nmain = \"build/index.js\"\nworkers_dev = false\ncompatibility_date = \"2026-10-01\"\n\
            [build]\ncommand = \"x\"\n[triggers]\ncrons = [\"* * * * *\"]\n[[services]]\nbinding = \"A\"\nservice = \"lonieve-a\"\n";
        let config = config(
            &function("jobs", text),
            &Vars::from([("JOBS_SECRET", "s".to_owned())]),
            Path::new("/stack/jobs"),
        )
        .unwrap();
        assert_eq!(config["main"], "/stack/jobs/index.js");
        assert_eq!(config["services"][0]["service"], "lonieve-a");
        assert_eq!(config["vars"], json!({ "JOBS_SECRET": "s" }));
        assert_eq!(config["compatibility_date"], "2026-10-01");
        assert!(config.get("build").is_none() && config.get("triggers").is_none() && config.get("assets").is_none());
    }
}
