//! `cargo xtask keys`: what a deployment needs once. Prints; writes nothing to disk.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use shared::codes::CodeKeys;
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
    /// Only a new key for the gift codes beside those of CODE_KEYS (the variable, not an argument), and the steps of the rotation
    #[arg(long, conflicts_with = "tokens_only")]
    rotate_codes: bool,
    /// The present value of the binding CODE_KEYS, for --rotate-codes
    #[arg(long, env = "CODE_KEYS", hide_env_values = true, hide = true)]
    code_keys: Option<String>,
}

/// The Workers that hold CODE_KEYS.
const CODE_KEY_HOLDERS: [&str; 3] = ["orders", "jobs", "admin"];

pub fn run(root: &Path, options: &Options) -> Result<ExitCode> {
    if options.rotate_codes {
        let present = options.code_keys.as_ref();
        let present = present.context("say what the keys are now: CODE_KEYS='{\"k1\": \"...\"}' cargo xtask keys --rotate-codes")?;
        print!("{}", rotation(present, keys::random_key())?);
        return Ok(ExitCode::SUCCESS);
    }
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
        ("CODE_KEYS", code_keys, CODE_KEY_HOLDERS.as_slice()),
        ("CODE_FINGERPRINT_KEY", keys::random_key(), &["admin"]),
        ("ORDER_TOKEN_KEY", keys::random_key(), &["orders", "jobs"]),
        ("JOBS_SECRET", keys::random_text(), &["jobs", "cardlink", "admin"]),
    ] {
        for function in functions {
            text += &secret(name, function, &value);
        }
    }
    text += "\n# A variable of lonieve-admin and lonieve-jobs: the key of CODE_KEYS that codes are sealed with\nCODE_ACTIVE_KID=k1\n";
    print!("{text}");
    Ok(ExitCode::SUCCESS)
}

/// The steps from the present keys to `new` alone; docs/operations.md says the same in words.
fn rotation(present: &str, new: String) -> Result<String> {
    // Without the parser's own words: they may quote the key.
    let Ok(mut all) = serde_json::from_str::<BTreeMap<String, String>>(present) else {
        bail!("CODE_KEYS is not {{\"kid\": \"<base64 of 32 bytes>\"}}")
    };
    let number = |kid: &String| kid.strip_prefix('k').and_then(|number| number.parse::<u32>().ok());
    // The next number, also where keys of other names stand beside.
    let kid = format!("k{}", all.keys().filter_map(number).max().unwrap_or(0) + 1);
    all.insert(kid.clone(), new.clone());
    let (all, alone) = (serde_json::json!(all).to_string(), serde_json::json!({ &kid: new }).to_string());
    // As the Workers will read it.
    CodeKeys::parse(&all, Some(&kid)).context("CODE_KEYS is not usable")?;
    let put = |keys: &str| CODE_KEY_HOLDERS.map(|function| secret("CODE_KEYS", function, keys)).concat();
    Ok(format!(
        "# A new key, made now and kept nowhere: store it in your password manager before you go on.\n\
         # The old ones open every code that is not sealed anew yet: keep them until step 4 is done, and as long as you keep backups.\n\n\
         # 1. All who read get the new key beside the old ones.\n{}\n\
         # 2. Seal with it: a variable of lonieve-admin and lonieve-jobs, then deploy the two.\nCODE_ACTIVE_KID={kid}\n\n\
         # 3. Seal all codes anew: again until it answers \"kid\": \"{kid}\" and \"left\": 0.\n\
         curl -X POST https://<your-domain>/api/jobs/run/reseal_codes -H 'Authorization: Bearer <JOBS_SECRET>'\n\n\
         # 4. The new key alone.\n{}",
        put(&all),
        put(&alone)
    ))
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
            rotate_codes: false,
            code_keys: None,
        }
    }

    #[test]
    fn a_rotation_adds_the_next_key_and_ends_with_it_alone() {
        let (old, new) = (keys::random_key(), keys::random_key());
        let text = rotation(&serde_json::json!({"k1": old, "k9": old, "spare": old}).to_string(), new.clone()).unwrap();
        let sets: Vec<BTreeMap<String, String>> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        assert_eq!(sets.len(), 6, "three Workers, twice: {text}");
        for set in &sets[..3] {
            assert_eq!(set.keys().collect::<Vec<_>>(), ["k1", "k10", "k9", "spare"]);
            assert_eq!((&set["k1"], &set["k10"]), (&old, &new));
        }
        assert!(
            sets[3..].iter().all(|set| *set == [("k10".to_owned(), new.clone())].into()),
            "{text}"
        );
        assert!(text.contains("\nCODE_ACTIVE_KID=k10\n"), "{text}");
        for holder in CODE_KEY_HOLDERS {
            let line = format!("npx wrangler secret put CODE_KEYS --name lonieve-{holder}\n");
            assert_eq!(text.matches(&line).count(), 2, "{holder}");
        }
    }

    #[test]
    fn a_key_set_that_is_none_is_refused_and_not_repeated() {
        for wrong in ["", "k1:abc", r#"{"k1": "c2hvcnQ="}"#, r#"["c2VjcmV0"]"#, r#""c2VjcmV0""#] {
            let error = format!("{:#}", rotation(wrong, keys::random_key()).unwrap_err());
            assert!(error.contains("CODE_KEYS") && !error.contains("c2"), "{error}");
        }
    }

    #[test]
    fn without_a_way_to_sign_and_with_a_short_secret_the_answer_says_what_to_give() {
        assert!(signer(&options(None)).err().unwrap().to_string().contains("--private-key"));
        assert!(signer(&options(Some("short"))).err().unwrap().to_string().contains("32 characters"));
        assert!(signer(&options(Some(&"s".repeat(32)))).is_ok());
    }
}
