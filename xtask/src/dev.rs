//! `cargo xtask dev`: the whole system on localhost, from a fresh clone to a shop that sells.

use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Result, bail};
use stack::{CardlinkApi, Config, Info, Runtime, Stack, layout, ports::Wanted};

use crate::{
    setup,
    shutdown::{self, Signals},
    trouble, ui,
};

/// How often the jobs run; in production Cloudflare's cron does it each minute.
const TICK: Duration = Duration::from_secs(10);

#[derive(clap::Args)]
pub struct Options {
    /// Start a second system beside the first, with data of its own (a-z, 0-9 and -); it takes free ports
    #[arg(long, value_name = "NAME", default_value = layout::DEFAULT)]
    stack: String,
    /// What runs the Workers: `wrangler` as in production's own tool, `workerd` is faster
    #[arg(long, value_enum, default_value = "wrangler")]
    runtime: RuntimeName,
    /// Which of Cardlink's contracts is spoken: `v1` is the provider's public API, `v2` that of the product documents
    #[arg(long, value_enum, default_value = "v2")]
    cardlink: Contract,
    /// Let events go through a queue, as a deployment with the binding EVENTS_QUEUE does (wrangler only)
    #[arg(long)]
    events_queue: bool,
    /// Own name, free ports, data that is thrown away at the end
    #[arg(long, conflicts_with = "stack")]
    ephemeral: bool,
    /// The gateway's port [default: 8787]
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// The first port of everything else [default: 54329, and 8790 for the sandbox]
    #[arg(long, value_name = "PORT")]
    port_base: Option<u16>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum RuntimeName {
    Wrangler,
    Workerd,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Contract {
    V1,
    V2,
}

impl Options {
    fn config(&self, root: PathBuf) -> Config {
        let runtime = match self.runtime {
            RuntimeName::Wrangler => Runtime::Wrangler,
            RuntimeName::Workerd => Runtime::Workerd,
        };
        let mut config = Config::ephemeral(root, runtime);
        config.tick = Some(TICK);
        config.events_queue = self.events_queue;
        config.cardlink = match self.cardlink {
            Contract::V1 => CardlinkApi::V1,
            Contract::V2 => CardlinkApi::V2,
        };
        if !self.ephemeral {
            config.name.clone_from(&self.stack);
            config.ephemeral = false;
        }
        let any_free = self.ephemeral || self.stack != layout::DEFAULT;
        config.ports = Wanted {
            any_free,
            gateway: self.port,
            base: self.port_base,
        };
        config
    }
}

pub async fn run(root: PathBuf, options: Options) -> Result<ExitCode> {
    let config = options.config(root.clone());
    shutdown::guarded(move || setup::prepare(&root)).await.map_err(explain)?;
    let mut signals = Signals::listen()?;
    let begun = std::time::Instant::now();
    ui::step(&format!("Starting the stack {}", config.name));
    let mut stack = tokio::select! {
        started = Stack::start(config, Arc::new(ui::note)) => started.map_err(explain)?,
        // Dropping the start stops what it has started.
        code = signals.next() => return Ok(shutdown::exit_code(code)),
    };
    ui::note(&format!("ready in {}", ui::seconds(begun.elapsed())));
    println!(
        "{}",
        welcome(
            stack.info(),
            &stack.path().display().to_string(),
            &stack.logs().display().to_string()
        )
    );
    let failure = tokio::select! {
        _ = signals.next() => None,
        error = stack.failure() => Some(error),
    };
    eprintln!();
    ui::step("Stopping (press Ctrl-C again to stop at once)");
    // Pinned outside: `select!` drops what it owns before the other branch runs, and dropping a stack waits for its processes.
    let mut stop = std::pin::pin!(stack.stop());
    tokio::select! {
        stopped = &mut stop => stopped?,
        code = signals.next() => {
            stack::process::kill_registered();
            std::process::exit(i32::from(code));
        }
    }
    match failure {
        Some(error) => bail!(explain(error)),
        None => Ok(ExitCode::SUCCESS),
    }
}

/// A full disk shows up as an error of whatever wrote last.
fn explain(error: anyhow::Error) -> anyhow::Error {
    match trouble::in_error(&error) {
        Some(trouble @ trouble::Trouble::DiskFull) => error.context(trouble.sentence("Starting the stack")),
        _ => error,
    }
}

fn welcome(info: &Info, stack_json: &str, logs: &str) -> String {
    let Info { gateway, sandbox, .. } = info;
    let rows = [
        ("Shop and API", gateway.clone()),
        // A link to press: the token behind the # opens the staff page and is sent to no server.
        ("Staff", format!("{gateway}/staff#token={}", info.admin_token)),
        ("Mailbox", format!("{sandbox}/mailbox")),
        ("PostgREST", info.postgrest.clone()),
        ("Counting proxy", format!("{}/counts", info.proxy)),
        ("Postgres", database_without_password(&info.database_url)),
        ("Keys, tokens", stack_json.to_owned()),
        ("Logs", logs.to_owned()),
    ];
    let table: String = rows.iter().map(|(name, address)| format!("  {name:<16}{address}\n")).collect();
    let order = info.demo.products.first().map_or(String::new(), |product| {
        let nominal = product.nominals.first().map_or("50.00", String::as_str);
        format!(
            "\nOr order one without the pages: open the paymentUrl of the answer, press Pay, and find the code in the mailbox.\n\n  \
             curl {gateway}/api/orders/create -H 'content-type: application/json' \\\n    \
             -d '{{\"productId\":\"{}\",\"nominal\":\"{nominal}\",\"email\":\"you@example.com\",\"deliveryType\":\"myself\"}}'\n",
            product.id
        )
    });
    format!("\n{table}\nOpen the shop in a browser and buy a card.\n{order}\nCtrl-C stops everything.\n")
}

/// The password is in stack.json, whose mode keeps it private; a screen is shared more easily.
fn database_without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return String::new();
    };
    match rest.rsplit_once('@') {
        Some((login, place)) => format!("{scheme}://{}@{place}", login.split(':').next().unwrap_or_default()),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }

    fn config(args: &[&str]) -> Config {
        Cli::parse_from(["dev"].iter().chain(args)).options.config("/clone".into())
    }

    #[test]
    fn the_default_stack_keeps_its_data_and_has_fixed_ports() {
        let config = config(&[]);
        assert_eq!(
            (config.name.as_str(), config.ephemeral, config.ports),
            (layout::DEFAULT, false, Wanted::default())
        );
        assert_eq!((config.runtime, config.cardlink), (Runtime::Wrangler, CardlinkApi::V2));
    }

    #[test]
    fn a_named_stack_keeps_its_data_on_free_ports_and_a_throw_away_one_does_not() {
        let named = config(&["--stack", "second", "--port", "9000"]);
        assert!(!named.ephemeral && named.ports.any_free && named.ports.gateway == Some(9000));
        let thrown = config(&["--ephemeral", "--runtime", "workerd"]);
        assert!(thrown.ephemeral && thrown.ports.any_free && thrown.runtime == Runtime::Workerd);
        assert!(thrown.name.starts_with(layout::EPHEMERAL_PREFIX));
    }

    #[test]
    fn the_contract_can_be_chosen() {
        assert_eq!(config(&["--cardlink", "v1"]).cardlink, CardlinkApi::V1);
        assert!(Cli::try_parse_from(["dev", "--cardlink", "v3"]).is_err());
    }

    #[test]
    fn events_go_through_a_queue_where_it_is_asked_for() {
        assert!(!config(&[]).events_queue && config(&["--events-queue"]).events_queue);
    }

    #[test]
    fn the_screen_shows_no_password() {
        assert_eq!(
            database_without_password("postgres://postgres:secret@127.0.0.1:5/lonieve"),
            "postgres://postgres@127.0.0.1:5/lonieve"
        );
    }
}
