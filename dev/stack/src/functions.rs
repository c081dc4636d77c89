//! The functions of the repository, as their checked-in wrangler.toml files describe them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use toml::{Table, Value};

use crate::layout::create_dir;

pub const GATEWAY: &str = "gateway";

/// One Worker: its wrangler.toml is the one place that says what it is bound to.
#[derive(Clone, Debug)]
pub struct Function {
    /// "events": the folder under functions/, and the Worker `lonieve-events`.
    pub name: String,
    /// functions/<name>
    pub dir: PathBuf,
    /// The folder that paths in the configuration are relative to.
    base: PathBuf,
    pub config: Table,
}

impl Function {
    fn read(root: &Path, name: &str) -> Result<Self> {
        let dir = root.join("functions").join(name);
        // The gateway's lies in the root of the clone, where `wrangler deploy` and `wrangler dev` look for it.
        let base = if name == GATEWAY { root.to_owned() } else { dir.clone() };
        let path = base.join("wrangler.toml");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let config = text.parse().with_context(|| format!("{} is not valid TOML", path.display()))?;
        Ok(Self {
            name: name.to_owned(),
            dir,
            base,
            config,
        })
    }

    pub fn script(&self) -> PathBuf {
        self.dir.join("build/index.js")
    }

    pub fn wasm(&self) -> PathBuf {
        self.dir.join("build/index_bg.wasm")
    }

    pub fn check_built(&self) -> Result<()> {
        if self.script().is_file() && self.wasm().is_file() {
            return Ok(());
        }
        bail!("the function {0} is not built: run `cargo xtask build {0}`", self.name)
    }

    /// Copies the built module to a folder of the stack, so that a build beside a running stack does not reach into it
    /// (wrangler watches the files it runs and gives up on a half-written one).
    pub fn copy_module(&self, folder: &Path) -> Result<()> {
        create_dir(folder)?;
        for from in [self.script(), self.wasm()] {
            let to = folder.join(from.file_name().unwrap_or_default());
            fs::copy(&from, &to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
        }
        Ok(())
    }

    pub fn text(&self, key: &str) -> Option<&str> {
        self.config.get(key).and_then(Value::as_str)
    }

    /// Service bindings: (binding, function).
    pub fn services(&self) -> Vec<(String, String)> {
        let services = self.config.get("services").and_then(Value::as_array).cloned().unwrap_or_default();
        let field = |service: &Value, key| service.get(key).and_then(Value::as_str).map(str::to_owned);
        services
            .iter()
            .filter_map(|service| {
                let target = field(service, "service")?;
                Some((field(service, "binding")?, target.strip_prefix("lonieve-")?.to_owned()))
            })
            .collect()
    }

    /// Static files: (binding, folder), where the folder exists.
    pub fn assets(&self) -> Option<(String, PathBuf)> {
        let assets = self.config.get("assets")?;
        let folder = self.base.join(assets.get("directory")?.as_str()?);
        folder
            .is_dir()
            .then(|| (assets.get("binding").and_then(Value::as_str).unwrap_or("ASSETS").to_owned(), folder))
    }
}

/// Every function that has a wrangler.toml; the gateway first, the others by name.
pub fn all(root: &Path) -> Result<Vec<Function>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root.join("functions")).context("cannot read functions/")? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name != GATEWAY && entry.path().join("wrangler.toml").is_file() {
            names.push(name);
        }
    }
    names.sort();
    names.insert(0, GATEWAY.to_owned());
    names.iter().map(|name| Function::read(root, name)).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn function(name: &str, config: &str) -> Function {
        let dir = Path::new("/clone/functions").join(name);
        Function {
            name: name.into(),
            base: dir.clone(),
            dir,
            config: config.parse().unwrap(),
        }
    }

    #[test]
    fn service_bindings_are_read_with_the_functions_own_name() {
        let config = "[[services]]\nbinding = \"JOBS\"\nservice = \"lonieve-jobs\"\n";
        assert_eq!(function("cardlink", config).services(), [("JOBS".to_owned(), "jobs".to_owned())]);
        assert_eq!(function("events", "").services(), []);
    }

    /// The checked-in files: what a deployment and a local stack rely on.
    #[test]
    fn the_checked_in_files_agree_with_each_other() {
        let functions = all(&crate::layout::workspace_root().unwrap()).unwrap();
        let date = functions[0].text("compatibility_date").unwrap().to_owned();
        let known: Vec<&str> = functions.iter().map(|function| function.name.as_str()).collect();
        for function in &functions {
            let Function { name, config, .. } = function;
            assert_eq!(function.text("name"), Some(format!("lonieve-{name}").as_str()));
            assert_eq!(function.text("compatibility_date"), Some(date.as_str()), "{name}: one date for all");
            assert_eq!(
                config.get("workers_dev").and_then(Value::as_bool),
                Some(name == GATEWAY),
                "{name}: workers_dev"
            );
            assert_eq!(
                config["build"]["command"].as_str(),
                Some(format!("cargo xtask build {name}").as_str())
            );
            assert_eq!(
                function.base.join(function.text("main").unwrap()),
                function.script(),
                "{name}: main"
            );
            for (binding, target) in function.services() {
                assert!(
                    known.contains(&target.as_str()),
                    "{name}: {binding} names {target}, which is no function"
                );
            }
            let vars = config.get("vars").map(Value::to_string).unwrap_or_default();
            assert!(!vars.contains("TEST_CLOCK"), "{name}: TEST_CLOCK must not be in a checked-in file");
        }
    }
}
