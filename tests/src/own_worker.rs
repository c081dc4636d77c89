//! One Worker of a test's own under `workerd serve`, for bindings that the shared stack does not have.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use stack::layout::workspace_root;
use tokio::process::{Child, Command};
use uuid::Uuid;

use crate::stack;

/// Runs until dropped. What Cloudflare says of a request (`request.cf`) is taken from the header `cf-blob`.
pub struct OwnWorker {
    pub url: String,
    _child: Child,
    config: PathBuf,
}

impl OwnWorker {
    /// Starts the built Worker of a function against the stack's database, with its own role's token and these further bindings.
    pub async fn start(function: &str, bindings: &[(&str, &str)]) -> Self {
        Self::run(function, bindings, "", "").await
    }

    /// The same with a queue that hands its messages to a server at this address.
    pub async fn with_queue(function: &str, binding: &str, address: &str) -> Self {
        let service = format!("(name = \"queue\", external = (address = \"{address}\", http = ())), ");
        Self::run(function, &[], &format!("(name = \"{binding}\", queue = \"queue\"), "), &service).await
    }

    /// `more_bindings` and `more_services` in the form of workerd's configuration.
    async fn run(function: &str, bindings: &[(&str, &str)], more_bindings: &str, more_services: &str) -> Self {
        let root = workspace_root().unwrap();
        let info = stack();
        let mut all = vec![
            ("POSTGREST_URL", info.proxy.as_str()),
            ("POSTGREST_TOKEN", &info.tokens[function]),
            ("POSTGREST_APIKEY", &info.apikey),
        ];
        all.extend(bindings);
        let bindings: String = all
            .iter()
            .map(|(name, value)| format!("(name = \"{name}\", text = {value:?}), "))
            .collect();
        let build = root.join("functions").join(function).join("build");
        let toml = std::fs::read_to_string(root.join("functions").join(function).join("wrangler.toml")).unwrap();
        let date = toml
            .lines()
            .find_map(|line| line.strip_prefix("compatibility_date = "))
            .expect("a compatibility date");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let text = format!(
            "using Workerd = import \"/workerd/workerd.capnp\";\n\
             const config :Workerd.Config = (\n  services = [{more_services}(name = \"it\", worker = .it),\n\
             \x20   (name = \"internet\", network = (allow = [\"public\", \"private\", \"local\"]))],\n\
             \x20 sockets = [(name = \"http\", address = \"127.0.0.1:{port}\", http = (cfBlobHeader = \"cf-blob\"), service = \"it\")]);\n\
             const it :Workerd.Worker = (modules = [(name = \"index.js\", esModule = embed \"index.js\"), (name = \"index_bg.wasm\", wasm = embed \"index_bg.wasm\")],\n\
             \x20 compatibilityDate = {date}, bindings = [{bindings}{more_bindings}]);\n"
        );
        // Beside the modules: embedded files are named relative to the configuration.
        let config = build.join(format!("test-{}.capnp", Uuid::new_v4().simple()));
        std::fs::write(&config, text).unwrap();
        let platform = match (std::env::consts::OS, std::env::consts::ARCH) {
            ("macos", "aarch64") => "darwin-arm64",
            ("macos", _) => "darwin-64",
            (_, "aarch64") => "linux-arm64",
            _ => "linux-64",
        };
        let program = root.join(format!("node_modules/@cloudflare/workerd-{platform}/bin/workerd"));
        let child = Command::new(program)
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let worker = Self {
            url: format!("http://127.0.0.1:{port}"),
            _child: child,
            config,
        };
        worker.ready().await;
        worker
    }

    /// Any answer will do: a Worker that refuses its configuration is up too.
    async fn ready(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while let Err(error) = reqwest::get(format!("{}/health", self.url)).await {
            assert!(Instant::now() < deadline, "the Worker does not answer: {error}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Drop for OwnWorker {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.config);
    }
}
