//! Starts `tests/browser/run.mjs`, after bringing in what it needs, and reads its reports.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

/// All cases together; each has a shorter limit of its own.
const LONGEST: Duration = Duration::from_secs(900);
const HEADLESS_SHELL: &str = "/usr/bin/chromium-headless-shell";
/// The first is Chromium without what only a screen needs: the same pages for less than half the work.
const BROWSERS: [&str; 6] = [
    HEADLESS_SHELL,
    "/usr/bin/chromium",
    "/usr/bin/chromium-browser",
    "/usr/bin/google-chrome",
    "/usr/bin/google-chrome-stable",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

#[derive(Debug)]
pub enum Status {
    Passed,
    Failed(String),
    Skipped(String),
}

/// What became of one case; `facts` name the rows it left.
#[derive(Debug)]
pub struct Report {
    pub name: String,
    pub status: Status,
    pub facts: Value,
}

impl Report {
    pub fn failed(name: &str, reason: &str) -> Self {
        Self {
            name: name.to_owned(),
            status: Status::Failed(reason.to_owned()),
            facts: Value::Null,
        }
    }

    fn skipped(name: &str, reason: &str) -> Self {
        Self {
            name: name.to_owned(),
            status: Status::Skipped(reason.to_owned()),
            facts: Value::Null,
        }
    }

    fn parse(line: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(line).with_context(|| format!("not a report: {line}"))?;
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let status = match value["status"].as_str() {
            Some("passed") => Status::Passed,
            Some("skipped") => Status::Skipped(text("reason")),
            _ => Status::Failed(text("reason")),
        };
        Ok(Self {
            name: text("case"),
            status,
            facts: value["facts"].clone(),
        })
    }
}

/// What the cases run against.
pub struct Run {
    /// Path of the stack's stack.json.
    pub stack: PathBuf,
    /// How many pages the case about closing pages closes; a share that fits into the gate when not given.
    pub closes: Option<u32>,
}

/// Runs the cases; each report goes through `judge` as soon as it is there.
pub async fn run<J: Future<Output = Report>>(run: Run, wanted: &[&str], judge: impl Fn(Report) -> J) -> Result<Vec<Report>> {
    let mut reports = Vec::new();
    let Some(chromium) = chromium().await? else {
        let reason = "there is no Chromium: install it, or name one in CHROMIUM";
        for name in wanted {
            reports.push(judge(Report::skipped(name, reason)).await);
        }
        return Ok(reports);
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser");
    install(&folder).await?;
    let mut node = Command::new("node")
        .args(["run.mjs", "--judged"])
        .arg(run.stack)
        .args(wanted)
        .current_dir(&folder)
        .env("CHROMIUM", chromium)
        .envs(run.closes.map(|count| ("TRACKER_CLOSES", count.to_string())))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("cannot start node")?;
    let mut lines = BufReader::new(node.stdout.take().context("node has no output")?).lines();
    let mut verdicts = node.stdin.take().context("node has no input")?;
    let deadline = tokio::time::Instant::now() + LONGEST + Duration::from_secs(2) * run.closes.unwrap_or(0);
    while let Some(line) = tokio::time::timeout_at(deadline, lines.next_line())
        .await
        .context("the cases take too long")??
    {
        reports.push(judge(Report::parse(&line)?).await);
        // A program that has ended says so below.
        let _ = verdicts.write_all(b"\n").await;
    }
    let ended = node.wait().await?;
    let seen: BTreeSet<String> = reports.iter().map(|report| report.name.clone()).collect();
    for name in wanted.iter().filter(|name| !seen.contains(**name)) {
        reports.push(
            judge(Report::failed(
                name,
                &format!("no report; the browser's program ended with {ended}"),
            ))
            .await,
        );
    }
    Ok(reports)
}

/// Where Chromium is. Root on Debian or its relatives gets it installed; anybody else is asked to.
async fn chromium() -> Result<Option<PathBuf>> {
    if let Some(named) = std::env::var_os("CHROMIUM") {
        ensure!(Path::new(&named).is_file(), "CHROMIUM names no file");
        return Ok(Some(named.into()));
    }
    let found = || BROWSERS.into_iter().map(PathBuf::from).find(|path| path.is_file());
    let before = found();
    if before.as_deref() == Some(Path::new(HEADLESS_SHELL)) {
        return Ok(before);
    }
    let id = Command::new("id").arg("-u").output().await;
    let is_root = id.is_ok_and(|id| id.stdout.trim_ascii() == b"0");
    if !is_root || !Path::new("/usr/bin/apt-get").is_file() {
        return Ok(before);
    }
    println!("installing Chromium");
    // Not every release has the package of the first browser.
    for package in ["chromium-headless-shell", "chromium"] {
        let installed = apt_get(package).await;
        if let Some(path) = found() {
            return Ok(Some(path));
        }
        installed?;
    }
    Ok(found())
}

async fn apt_get(package: &str) -> Result<()> {
    for arguments in [
        &["update", "-qq"][..],
        &["install", "-y", "-qq", "--no-install-recommends", package],
    ] {
        must_succeed(Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive")).await?;
    }
    Ok(())
}

/// `npm ci`, unless what is installed is as new as the lock file.
async fn install(folder: &Path) -> Result<()> {
    let changed = |path: PathBuf| path.metadata().and_then(|data| data.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    if changed(folder.join("node_modules/.package-lock.json")) >= changed(folder.join("package-lock.json")) {
        return Ok(());
    }
    must_succeed(
        Command::new("npm")
            .args(["ci", "--ignore-scripts", "--loglevel=error"])
            .current_dir(folder),
    )
    .await
}

async fn must_succeed(command: &mut Command) -> Result<()> {
    let shown = format!("{:?}", command.as_std());
    let output = command
        .stdin(Stdio::null())
        .output()
        .await
        .with_context(|| format!("cannot run {shown}"))?;
    if !output.status.success() {
        bail!("{shown} ended with {}:\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
