//! The order of a start. The Workers need seconds to come up and nothing from the others until a request arrives, so
//! they start first and the database beside them.

use std::{collections::BTreeMap, net::Ipv4Addr, time::Duration};

use anyhow::{Context, Result, bail};
use tokio::net::TcpListener;

use crate::{
    Config, Info, Part, Progress, Running, Runtime, Stack, bindings, database,
    demo::{self, DemoInfo, DemoInput},
    functions::{self, Function, GATEWAY},
    info::{Cardlink, Mail, Tokens},
    keys::Keys,
    layout::{Layout, take_turns, write_private},
    leftovers::{self, Claim},
    migrate,
    ports::Ports,
    postgres, postgrest, proxy, ready, tick, workerd, wrangler,
};

/// Names a database that runs already, to use instead of the embedded one.
const DATABASE_VARIABLE: &str = "DATABASE_URL";
const ALLOW_REMOTE_VARIABLE: &str = "LONIEVE_ALLOW_REMOTE_DATABASE";

struct Starting {
    config: Config,
    progress: Progress,
    functions: Vec<Function>,
    ports: Ports,
    keys: Keys,
    tokens: Tokens,
    http: reqwest::Client,
}

pub async fn start(config: Config, progress: Progress) -> Result<Stack> {
    let layout = Layout::new(&config.root, &config.name)?;
    let functions = functions::all(&config.root)?;
    let swept = leftovers::sweep_ephemeral(&config.root);
    layout.create()?;
    let (claim, stopped) = Claim::take(&layout)?;
    if swept + stopped > 0 {
        progress(&format!(
            "stopped what an earlier, killed run had left (processes: {})",
            swept + stopped
        ));
    }
    copy_modules(&config, &layout, &functions)?;
    let mut running = Running::new(layout.clone(), config.ephemeral, config.durable || !config.ephemeral, claim);
    let names: Vec<String> = functions
        .iter()
        .map(|function| function.name.clone())
        .filter(|name| name != GATEWAY)
        .collect();
    let ports = Ports::choose(config.ports, &names)?;
    let keys = load_keys(&layout)?;
    let tokens = Tokens::mint(&keys)?;
    // Everything is on this machine: a proxy set in the environment must not be asked.
    let http = reqwest::Client::builder().no_proxy().build()?;
    let starting = Starting {
        config,
        progress,
        functions,
        ports,
        keys,
        tokens,
        http,
    };
    match starting.run(&mut running).await {
        Ok(info) => {
            let path = layout.stack_json();
            write_private(&path, &serde_json::to_string_pretty(&info)?).context("cannot write stack.json")?;
            let Starting { ports, http, .. } = starting;
            Ok(Stack {
                info,
                path,
                running,
                ports,
                http,
            })
        }
        Err(error) => {
            // The first error is the one to tell.
            let _ = running.stop().await;
            Err(error)
        }
    }
}

fn copy_modules(config: &Config, layout: &Layout, functions: &[Function]) -> Result<()> {
    let _turn = take_turns(&config.root, || {})?;
    for function in functions {
        function.check_built()?;
        function.copy_module(&layout.module(&function.name))?;
    }
    Ok(())
}

/// A data folder without its keys cannot be opened: its password is in them.
fn load_keys(layout: &Layout) -> Result<Keys> {
    let (keys, data) = (layout.keys_json(), layout.postgres_data());
    if !keys.exists() && data.exists() {
        bail!(
            "{} is gone, and with it the password of {}: remove that folder to start over",
            keys.display(),
            data.display()
        );
    }
    Keys::load_or_create(&keys)
}

impl Starting {
    async fn run(&self, running: &mut Running) -> Result<Info> {
        self.start_in_process(running).await?;
        self.start_workers(running)?;
        let url = self.start_database(running).await?;
        let demo = self.prepare_database(&url).await?;
        (self.progress)("starting PostgREST");
        let layout = running.layout.clone();
        let spec = postgrest::server(&layout, &self.ports, &self.keys, &url)?;
        let process = running.spawn_again(Part::Postgrest, spec)?;
        postgrest::wait(running.postgrest.insert(process), &self.ports, &self.http).await?;
        (self.progress)("waiting for the Workers");
        let functions = self.wait_for_workers(running).await?;
        if let Some(period) = self.config.tick {
            let ticking = tick::every(period, self.gateway(), self.keys.jobs_secret.clone(), self.http.clone());
            running.tasks.spawn(async {
                ticking.await;
                Ok(())
            });
        }
        Ok(self.info(url, functions, demo))
    }

    /// The sandbox and the proxy run inside this process.
    async fn start_in_process(&self, running: &mut Running) -> Result<()> {
        let sandbox = sandbox::Config {
            public_url: self.sandbox(),
            cardlink_token: self.keys.cardlink_token.clone(),
            cardlink_secret: self.keys.cardlink_secret.clone(),
            cardlink_shop_id: bindings::SHOP_ID.to_owned(),
            shop_url: self.gateway(),
            mail_api_key: self.keys.mail_api_key.clone(),
        };
        let listener = listen(self.ports.sandbox).await?;
        running
            .tasks
            .spawn(async move { sandbox::serve(listener, sandbox).await.context("the sandbox ended") });
        let (listener, upstream) = (listen(self.ports.proxy).await?, self.postgrest());
        running
            .tasks
            .spawn(async move { proxy::serve(listener, upstream).await.context("the proxy ended") });
        Ok(())
    }

    fn start_workers(&self, running: &mut Running) -> Result<()> {
        if self.config.events_queue && self.config.runtime != Runtime::Wrangler {
            bail!("there are queues under wrangler only");
        }
        (self.progress)(&format!("starting the Workers under {}", self.config.runtime.name()));
        let addresses = bindings::Addresses {
            proxy: local(self.ports.proxy),
            sandbox: self.sandbox(),
            cardlink: self.config.cardlink,
        };
        let mut bound = Vec::new();
        for function in &self.functions {
            let token = self.tokens.of(&function.name)?;
            let vars = bindings::of(
                &function.name,
                &self.keys,
                &addresses,
                token,
                self.tokens.apikey(),
                self.config.test_clock,
            );
            bound.push((function.clone(), vars));
        }
        let spec = match self.config.runtime {
            Runtime::Wrangler => wrangler::prepare(&running.layout, &bound, self.ports.gateway, self.config.events_queue)?,
            Runtime::Workerd => workerd::prepare(&running.layout, &bound, &self.ports)?,
        };
        running.workers = Some(running.spawn(spec)?);
        Ok(())
    }

    /// Returns the superuser's address of the stack's database.
    async fn start_database(&self, running: &mut Running) -> Result<String> {
        if let Ok(url) = std::env::var(DATABASE_VARIABLE) {
            return self.use_database(running, url).await;
        }
        (self.progress)("starting Postgres");
        postgres::start(running, self.ports.postgres, &self.keys.postgres_password).await
    }

    /// Somebody else's server. A throw-away stack makes a database of its own on it.
    async fn use_database(&self, running: &mut Running, url: String) -> Result<String> {
        // Demo data and a new password for PostgREST's login have no place in a hosted project.
        if !database::is_local(&url)? && std::env::var_os(ALLOW_REMOTE_VARIABLE).is_none() {
            bail!(
                "{DATABASE_VARIABLE} names a database on another machine: a local stack would load demo data into it and change the \
                 password of the role `authenticator`. To bring a hosted database up to date use `cargo xtask migrate`; if this one is \
                 meant to be used up, set {ALLOW_REMOTE_VARIABLE}=1"
            );
        }
        if !self.config.ephemeral {
            return Ok(url);
        }
        let name = format!("lonieve_{}", self.config.name.replace('-', "_"));
        database::create(&database::connect(&url).await?, &name).await?;
        running.scratch = Some((url.clone(), name.clone()));
        database::with_database(&url, &name)
    }

    /// Migrates, lets PostgREST in, loads the demo shop.
    async fn prepare_database(&self, url: &str) -> Result<DemoInfo> {
        let progress = self.progress.clone();
        progress("migrating the database");
        let report = migrate::run(url, &self.config.root.join("migrations"), &|_| {}).await?;
        if !report.applied.is_empty() {
            progress(&format!("applied {} migrations", report.applied.len()));
        }
        let mut client = database::connect(url).await?;
        // Hex: no quoting needed.
        let password = &self.keys.authenticator_password;
        client
            .batch_execute(&format!("alter role authenticator login password '{password}'"))
            .await?;
        let input = DemoInput {
            site_url: self.gateway(),
            code_keys: self.keys.code_keys_json(),
            code_active_kid: self.keys.code_active_kid.clone(),
            code_fingerprint_key: self.keys.code_fingerprint_key.clone(),
        };
        demo::load(&mut client, &input).await.context("cannot load the demo data")
    }

    /// Every function's health check; returns their addresses.
    async fn wait_for_workers(&self, running: &Running) -> Result<BTreeMap<String, String>> {
        let process = running.workers.as_ref().context("the Workers were not started")?;
        let mut addresses = BTreeMap::new();
        for Function { name, .. } in &self.functions {
            let (address, path) = match self.ports.functions.get(name) {
                Some(port) if self.config.runtime == Runtime::Workerd => (local(*port), "/health".to_owned()),
                _ => (self.gateway(), wrangler::health_path(name)),
            };
            let url = format!("{address}{path}");
            let what = format!("the function {name}");
            ready::wait_for(&what, Duration::from_secs(90), process, || ready::answers_ok(&self.http, &url)).await?;
            addresses.insert(name.clone(), address);
        }
        Ok(addresses)
    }

    fn info(&self, database_url: String, functions: BTreeMap<String, String>, demo: DemoInfo) -> Info {
        let (keys, tokens) = (self.keys.clone(), &self.tokens);
        Info {
            version: 1,
            ready: true,
            runtime: self.config.runtime.name().to_owned(),
            gateway: self.gateway(),
            postgrest: self.postgrest(),
            database_url,
            proxy: local(self.ports.proxy),
            sandbox: self.sandbox(),
            jwt_secret: keys.jwt_secret,
            apikey: tokens.apikey().to_owned(),
            tokens: tokens.by_function.clone(),
            admin_token: tokens.admin.clone(),
            viewer_token: tokens.viewer.clone(),
            customer_token: tokens.customer.clone(),
            jobs_secret: keys.jobs_secret,
            cardlink: Cardlink {
                api: self.config.cardlink.name().to_owned(),
                secret: keys.cardlink_secret,
                token: keys.cardlink_token,
                shop_id: bindings::SHOP_ID.to_owned(),
            },
            mail: Mail {
                api_key: keys.mail_api_key,
                webhook_secret: keys.mail_webhook_secret,
            },
            order_token_key: keys.order_token_key,
            code_keys: keys.code_keys,
            code_active_kid: keys.code_active_kid,
            code_fingerprint_key: keys.code_fingerprint_key,
            functions,
            demo,
        }
    }

    fn gateway(&self) -> String {
        local(self.ports.gateway)
    }

    fn postgrest(&self) -> String {
        local(self.ports.postgrest)
    }

    fn sandbox(&self) -> String {
        local(self.ports.sandbox)
    }
}

fn local(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

async fn listen(port: u16) -> Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .with_context(|| format!("cannot listen on port {port}"))
}
