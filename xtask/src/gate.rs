//! The gate, `cargo xtask test`: everything that must hold before a change is merged.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use futures::future::{join_all, select_all};
use stack::{CardlinkApi, Config, Runtime, Stack};

use crate::{
    check,
    command::{self, Finished},
    setup,
    shutdown::Signals,
    tally::Tally,
    tools, tracker, trouble, ui,
};

const PACKAGE: &str = "lonieve-tests";
/// The path of stack.json, for the end-to-end tests.
const STACK_VARIABLE: &str = "LONIEVE_STACK";
/// The same of the stack whose Workers speak Cardlink v1.
const V1_STACK_VARIABLE: &str = "LONIEVE_STACK_V1";

#[derive(clap::Args)]
pub struct Options {
    /// Run only the tests whose name contains this, and no lints
    filter: Option<String>,
    /// Run only this file of tests/tests, and neither lints nor unit tests; may be given several times
    #[arg(long = "file", value_name = "NAME")]
    files: Vec<String>,
}

/// The end-to-end crate's own unit tests.
const LIBRARY: &str = "--lib";
/// Test programs run in two lanes with stacks of their own, each in the order of their names, so that every run meets the same leftovers. In the second
/// lane: those that mostly wait (for time limits, for what was killed, for a browser) or start what they need.
const BESIDE: [&str; 8] = [
    "environment",
    "events_queue",
    "faults",
    "interleavings",
    "migrations",
    "pages",
    "reference",
    "walk",
];

/// The phases so far: their names, times and tests.
#[derive(Default)]
struct Report {
    phases: Vec<(String, Duration, Option<String>)>,
    total: Tally,
}

pub async fn run(root: PathBuf, options: Options) -> Result<ExitCode> {
    let mut signals = Signals::listen()?;
    let mut report = Report::default();
    let code = tokio::select! {
        () = phases(root, options, &mut report) => None,
        code = signals.next() => Some(code),
    };
    if let Some(code) = code {
        stack::process::kill_registered();
        std::process::exit(i32::from(code));
    }
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    report.print(ci);
    Ok(if report.total.is_good(ci) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Every phase runs, whatever became of the one before, as long as it can.
async fn phases(root: PathBuf, Options { filter, files }: Options, report: &mut Report) {
    if !report.check("Setting up", blocking(root.clone(), |root| tools_only(&root)).await) {
        return;
    }
    if filter.is_none() && files.is_empty() {
        match check::lints(&root) {
            Ok(lints) => {
                for (name, command) in lints {
                    report.phase(&name, move || command::must_succeed("The check", command)).await;
                }
            }
            Err(error) => report.fail("Linting", &error),
        }
        let tracker_root = root.clone();
        report.phase(check::TRACKER, move || tracker::check(&tracker_root)).await;
    }
    if files.is_empty() {
        let mut unit = command::cargo(&root);
        unit.args(["test", "--workspace", "--exclude", PACKAGE, "--no-fail-fast"])
            .args(&filter);
        report.tests("Unit tests", async { vec![tests(unit, "    ").await] }).await;
    }
    let begun = Instant::now();
    if !report.check("Building the Workers", blocking(root.clone(), |root| setup::prepare(&root)).await) {
        return;
    }
    report.phases.push(("Building the Workers".to_owned(), begun.elapsed(), None));
    match targets(&root, &files) {
        Ok(targets) => end_to_end(root, filter, targets, report).await,
        Err(error) => report.fail("End-to-end tests", &error),
    }
}

/// One lane of test programs: two throw-away stacks, one for each of Cardlink's contracts. Programs that need another runtime or an own database start it
/// themselves.
struct Lane {
    name: String,
    v2: Stack,
    v1: Stack,
}

impl Lane {
    async fn start(root: &Path, number: usize) -> Result<Self> {
        let start = async |cardlink: CardlinkApi| {
            let config = Config {
                test_clock: true,
                cardlink,
                ..Config::ephemeral(root.to_owned(), Runtime::Workerd)
            };
            ui::note(&format!("lane {number}, Cardlink {}", cardlink.name()));
            Stack::start(config, Arc::new(ui::note)).await
        };
        // One after the other: both look for free ports.
        Ok(Self {
            name: format!("lane-{number}"),
            v2: start(CardlinkApi::V2).await?,
            v1: start(CardlinkApi::V1).await?,
        })
    }

    /// The environment of test programs that use this lane's stacks.
    fn variables(&self) -> [(&'static str, PathBuf); 2] {
        [
            (STACK_VARIABLE, self.v2.path().to_owned()),
            (V1_STACK_VARIABLE, self.v1.path().to_owned()),
        ]
    }
}

/// A built test program.
struct Program {
    name: String,
    path: PathBuf,
}

/// Where cargo has put the test programs it has just built, by name.
fn programs(mut build: Command) -> Result<Vec<Program>> {
    build.args(["--quiet", "--message-format=json"]).stderr(Stdio::inherit());
    let output = build.output().context("cannot start cargo")?;
    let artifacts = String::from_utf8_lossy(&output.stdout);
    let mut programs: Vec<Program> = artifacts
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|artifact| artifact["profile"]["test"] == true)
        .filter_map(|artifact| {
            Some(Program {
                name: artifact["target"]["name"].as_str()?.to_owned(),
                path: artifact["executable"].as_str()?.into(),
            })
        })
        .collect();
    if programs.is_empty() {
        bail!("cargo names no test program");
    }
    programs.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(programs)
}

/// Runs programs one after the other, as `cargo test` would.
async fn run_lane(
    root: &Path,
    mark: &'static str,
    variables: [(&'static str, PathBuf); 2],
    filter: Option<&String>,
    programs: Vec<Program>,
) -> Vec<Result<Finished>> {
    let mut finished = Vec::new();
    for program in programs {
        eprintln!("{mark}==> {}", program.name);
        let mut command = Command::new(program.path);
        command.current_dir(root.join("tests")).envs(variables.clone()).args(filter);
        finished.push(tests(command, mark).await);
    }
    finished
}

async fn tests(command: Command, mark: &'static str) -> Result<Finished> {
    join(tokio::task::spawn_blocking(move || command::run_beside(command, mark))).await
}

fn cargo_test(root: &Path, targets: &[String]) -> Command {
    let mut tests = command::cargo(root);
    tests.args(["test", "--package", PACKAGE, "--no-fail-fast"]);
    for target in targets {
        match target.as_str() {
            LIBRARY => tests.arg(LIBRARY),
            name => tests.args(["--test", name]),
        };
    }
    tests
}

async fn end_to_end(root: PathBuf, filter: Option<String>, targets: Vec<String>, report: &mut Report) {
    let build = || {
        let mut build = cargo_test(&root, &targets);
        build.arg("--no-run");
        build
    };
    let (name, command) = ("Building the end-to-end tests", build());
    report.phase(name, || command::must_succeed("Building the tests", command)).await;
    let programs = match programs(build()) {
        Ok(programs) => programs,
        Err(error) => return report.fail(name, &error),
    };

    let (begun, name) = (Instant::now(), "Starting the stacks");
    ui::step(name);
    let (beside, rest): (Vec<_>, Vec<_>) = programs.into_iter().partition(|program| BESIDE.contains(&program.name.as_str()));
    let (mut lanes, mut queues) = (Vec::new(), Vec::new());
    for (mark, programs) in [("    ", rest), ("  | ", beside)] {
        if !programs.is_empty() {
            match Lane::start(&root, lanes.len() + 1).await {
                Ok(lane) => lanes.push(lane),
                Err(error) => return report.fail(name, &error),
            }
            queues.push((mark, programs));
        }
    }
    report.phases.push((name.to_owned(), begun.elapsed(), None));

    let before = report.total.failed;
    let runs: Vec<_> = lanes
        .iter()
        .zip(queues)
        .map(|(lane, (mark, programs))| run_lane(&root, mark, lane.variables(), filter.as_ref(), programs))
        .collect();
    let all = async { join_all(runs).await.into_iter().flatten().collect() };
    let stacks = lanes.iter_mut().flat_map(|lane| [&mut lane.v2, &mut lane.v1]);
    let failures: Vec<_> = stacks.map(|stack| Box::pin(stack.failure())).collect();
    let ended = tokio::select! {
        () = report.tests("End-to-end tests", all) => None,
        (error, ..) = select_all(failures) => Some(error),
    };
    if let Some(error) = ended {
        stack::process::kill_registered();
        report.fail("The stack ended during the tests", &error);
    }
    if report.total.failed > before {
        keep_logs(&root, &lanes);
    }
    for stack in lanes.into_iter().flat_map(|lane| [lane.v2, lane.v1]) {
        if let Err(error) = stack.stop().await {
            report.fail("Stopping the stack", &error);
        }
    }
}

/// The targets of the end-to-end crate: those named, else all without the soak tests, which `cargo xtask soak` runs.
fn targets(root: &Path, wanted: &[String]) -> Result<Vec<String>> {
    let known = test_files(root)?;
    if let Some(unknown) = wanted.iter().find(|name| !known.contains(name)) {
        bail!("there is no file {unknown} in tests/tests: there are {}", known.join(", "));
    }
    if !wanted.is_empty() {
        return Ok(wanted.to_vec());
    }
    let mut targets = vec![LIBRARY.to_owned()];
    targets.extend(known.into_iter().filter(|name| !name.starts_with("soak_")));
    Ok(targets)
}

/// The test programs of the end-to-end crate, by name.
pub fn test_files(root: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root.join("tests/tests"))? {
        let path = entry?.path();
        let is_test = path.extension().is_some_and(|extension| extension == "rs") || path.join("main.rs").is_file();
        if let (true, Some(name)) = (is_test, path.file_stem()) {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// A stack's folder goes away with it; what its processes printed stays.
fn keep_logs(root: &Path, lanes: &[Lane]) {
    let kept = root.join("target/last-test-logs");
    let copied = (|| {
        let _ = fs::remove_dir_all(&kept);
        for (lane, contract, logs) in lanes
            .iter()
            .flat_map(|lane| [(&lane.name, "v2", lane.v2.logs()), (&lane.name, "v1", lane.v1.logs())])
        {
            let folder = kept.join(format!("{lane}-{contract}"));
            fs::create_dir_all(&folder)?;
            for entry in fs::read_dir(logs)?.flatten().filter(|entry| entry.path().is_file()) {
                fs::copy(entry.path(), folder.join(entry.file_name()))?;
            }
        }
        std::io::Result::Ok(())
    })();
    if copied.is_ok() {
        ui::note("what the stacks' processes printed is in target/last-test-logs");
    }
}

/// What the lints and unit tests need; the Workers are built later.
fn tools_only(root: &Path) -> Result<()> {
    crate::environment::check_node()?;
    crate::environment::check_room_to_run(root)?;
    tools::install_target()
}

impl Report {
    /// Runs a phase that is good or bad.
    async fn phase(&mut self, name: &str, work: impl FnOnce() -> Result<()> + Send + 'static) {
        ui::step(name);
        let begun = Instant::now();
        if self.check(name, join(tokio::task::spawn_blocking(work)).await) {
            self.phases.push((name.to_owned(), begun.elapsed(), None));
        }
    }

    /// Runs a phase made of tests.
    async fn tests(&mut self, name: &str, programs: impl Future<Output = Vec<Result<Finished>>>) {
        ui::step(name);
        let begun = Instant::now();
        let mut tally = Tally::default();
        for finished in programs.await {
            match finished {
                Ok(finished) => tally += Tally::of_run(finished.lines.iter().map(String::as_str), finished.status.success()),
                Err(error) => self.fail(name, &error),
            }
        }
        self.phases.push((name.to_owned(), begun.elapsed(), Some(tally.to_string())));
        self.total += tally;
    }

    fn check(&mut self, name: &str, result: Result<()>) -> bool {
        result.map_err(|error| self.fail(name, &error)).is_ok()
    }

    /// A phase that broke counts as one failure.
    fn fail(&mut self, name: &str, error: &anyhow::Error) {
        match trouble::in_error(error) {
            Some(trouble) => ui::error(&anyhow::anyhow!(trouble.sentence(name))),
            None => ui::error(error),
        }
        self.phases.push((name.to_owned(), Duration::ZERO, Some("FAILED".to_owned())));
        self.total.failed += 1;
    }

    fn print(&self, ci: bool) {
        println!();
        for (name, time, result) in &self.phases {
            println!(
                "{:>8}  {name}{}",
                ui::seconds(*time),
                result.as_ref().map_or(String::new(), |text| format!(": {text}"))
            );
        }
        if ci && self.total.skipped > 0 {
            println!("          a skipped test fails the gate when CI=true");
        }
        println!("{}", self.total);
    }
}

async fn blocking(root: PathBuf, work: impl FnOnce(PathBuf) -> Result<()> + Send + 'static) -> Result<()> {
    join(tokio::task::spawn_blocking(move || work(root))).await
}

async fn join<T>(task: tokio::task::JoinHandle<Result<T>>) -> Result<T> {
    match task.await {
        Ok(result) => result,
        Err(error) => bail!("a phase of the gate panicked: {error}"),
    }
}
