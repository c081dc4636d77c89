//! `cargo xtask keys`: what a deployment needs once. Prints; writes nothing to disk.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use stack::{
    functions::GATEWAY,
    jwt::{Claims, MAX_DAYS, Signer},
    keys,
};

use crate::build;

#[derive(clap::Args)]
pub struct Options {
    /// Sign with this shared secret (HS256): PostgREST's jwt-secret. Better through the variable than in the shell's history
    #[arg(long, env = "JWT_SECRET", hide_env_values = true, conflicts_with = "private_key")]
    jwt_secret: Option<String>,
    /// Sign with this private P-256 key in PEM (ES256), whose public half is imported into the hosted project
    #[arg(long, requires = "kid")]
    private_key: Option<PathBuf>,
    /// The id the hosted project gave the key
    #[arg(long)]
    kid: Option<String>,
    /// How long the tokens are valid; at most a year
    #[arg(long, default_value_t = MAX_DAYS, value_parser = clap::value_parser!(u64).range(1..=MAX_DAYS))]
    days: u64,
    /// Only the database tokens: to renew them without making new keys
    #[arg(long)]
    tokens_only: bool,
}

pub fn run(root: &Path, options: &Options) -> Result<ExitCode> {
    let signer = signer(options)?;
    let mut text = String::from("# Database tokens, one per Worker. Run each line and paste the value when wrangler asks.\n");
    for function in build::names(root)?.iter().filter(|name| *name != GATEWAY) {
        let token = signer.mint(&Claims::new(&format!("edge_{function}"), options.days))?;
        text += &secret("POSTGREST_TOKEN", function, &token);
    }
    if options.tokens_only {
        print!("{text}");
        return Ok(ExitCode::SUCCESS);
    }
    text += "\n# Random keys, made now and kept nowhere: store them in your password manager. Losing CODE_KEYS loses every unsold code.\n";
    let code_keys = serde_json::json!({ "k1": keys::random_key() }).to_string();
    for (name, value, functions) in [
        ("CODE_KEYS", code_keys, ["orders", "jobs", "admin"].as_slice()),
        ("CODE_FINGERPRINT_KEY", keys::random_key(), &["admin"]),
        ("ORDER_TOKEN_KEY", keys::random_key(), &["orders", "jobs"]),
        ("JOBS_SECRET", keys::random_text(), &["jobs", "cardlink", "admin"]),
    ] {
        for function in functions {
            text += &secret(name, function, &value);
        }
    }
    text += "\n# A variable of lonieve-admin: the key of CODE_KEYS that new codes are sealed with\nCODE_ACTIVE_KID=k1\n";
    print!("{text}");
    Ok(ExitCode::SUCCESS)
}

/// The command takes the value from standard input, so it lands in no shell history and no process list.
fn secret(name: &str, function: &str, value: &str) -> String {
    format!("npx wrangler secret put {name} --name lonieve-{function}\n    {value}\n")
}

fn signer(options: &Options) -> Result<Signer> {
    match (&options.jwt_secret, &options.private_key, &options.kid) {
        (Some(secret), None, _) => {
            if secret.len() < 32 {
                bail!(
                    "PostgREST refuses a secret of fewer than 32 characters: this one has {}",
                    secret.len()
                );
            }
            Ok(Signer::Hs256 { secret: secret.clone() })
        }
        (None, Some(path), Some(kid)) => {
            let pem = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            Ok(Signer::Es256 { pem, kid: kid.clone() })
        }
        _ => bail!(
            "say how to sign: JWT_SECRET=<PostgREST's jwt-secret> cargo xtask keys, or for a hosted project \
             cargo xtask keys --private-key key.pem --kid <key id>"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(secret: Option<&str>) -> Options {
        Options {
            jwt_secret: secret.map(str::to_owned),
            private_key: None,
            kid: None,
            days: 1,
            tokens_only: false,
        }
    }

    #[test]
    fn without_a_way_to_sign_and_with_a_short_secret_the_answer_says_what_to_give() {
        assert!(signer(&options(None)).err().unwrap().to_string().contains("--private-key"));
        assert!(signer(&options(Some("short"))).err().unwrap().to_string().contains("32 characters"));
        assert!(signer(&options(Some(&"s".repeat(32)))).is_ok());
    }
}
