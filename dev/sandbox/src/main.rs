//! Runs the sandbox by hand: `cargo run -p lonieve-sandbox -- --port 9300`. `cargo xtask dev` runs it as a part of the stack.

use clap::Parser;
use rand::Rng;
use rand::distr::Alphanumeric;
use sandbox::Config;

/// Stand-ins for Cardlink (v1 and v2) and the mail provider.
#[derive(Parser)]
#[command(about)]
struct Arguments {
    /// Port on 127.0.0.1.
    #[arg(long, default_value_t = 9300)]
    port: u16,
    /// Bearer token of the Cardlink API; made up and printed when absent.
    #[arg(long, env = "CARDLINK_TOKEN", hide_env_values = true)]
    cardlink_token: Option<String>,
    /// Secret of the webhook signature; made up and printed when absent.
    #[arg(long, env = "CARDLINK_SECRET", hide_env_values = true)]
    cardlink_secret: Option<String>,
    /// The shop's id at Cardlink v1.
    #[arg(long, default_value = "demo-shop")]
    shop_id: String,
    /// Where the shop is: v1 notices go to addresses below it.
    #[arg(long, default_value = "http://127.0.0.1:8787")]
    shop_url: String,
    /// Bearer token of the mail API; made up and printed when absent.
    #[arg(long, env = "MAIL_API_KEY", hide_env_values = true)]
    mail_api_key: Option<String>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", arguments.port)).await?;
    let public_url = format!("http://{}", listener.local_addr()?);
    println!("sandbox on {public_url}");
    let config = Config {
        public_url,
        cardlink_token: given_or_made_up("CARDLINK_TOKEN", arguments.cardlink_token),
        cardlink_secret: given_or_made_up("CARDLINK_SECRET", arguments.cardlink_secret),
        cardlink_shop_id: arguments.shop_id,
        shop_url: arguments.shop_url,
        mail_api_key: given_or_made_up("MAIL_API_KEY", arguments.mail_api_key),
    };
    tokio::select! {
        served = sandbox::serve(listener, config) => served,
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
    }
}

/// A literal default would end up in somebody's production.
fn given_or_made_up(name: &str, given: Option<String>) -> String {
    given.unwrap_or_else(|| {
        let made_up: String = rand::rng().sample_iter(Alphanumeric).take(32).map(char::from).collect();
        println!("{name}={made_up}");
        made_up
    })
}
