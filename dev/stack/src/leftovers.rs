//! What a killed run (`kill -9`, a crash) left behind: found at the next start and stopped.
//!
//! A run writes its own identity and that of every process it starts into `run.json`. A number alone proves
//! nothing (numbers are reused), so a process is ours only if it also started at the recorded moment, or, on
//! Linux, if it inherited this run's id in its environment.

use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use crate::layout::{EPHEMERAL_PREFIX, Layout, write_private};

/// The environment variable that holds the run's id in every process of a stack.
pub const RUN_VARIABLE: &str = "LONIEVE_RUN";

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Recorded {
    pub pid: u32,
    /// See [`started`].
    pub started: String,
    pub command: String,
}

/// The content of `run.json`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Run {
    pub id: String,
    pub owner: Recorded,
    pub processes: BTreeMap<String, Recorded>,
    /// Files and folders outside `.local` that belong to the run and go with it.
    #[serde(default)]
    pub outside: Vec<std::path::PathBuf>,
}

/// Holds a stack's name for one run; the lock goes with the process, however it ends.
pub struct Claim {
    _lock: File,
    pub run: Run,
    layout: Layout,
}

impl Claim {
    /// Takes the stack's name, and stops what an earlier run of it left. `Ok(n)` of `stopped`: how many processes.
    pub fn take(layout: &Layout) -> Result<(Self, usize)> {
        let lock = File::create(layout.lock()).with_context(|| format!("cannot write {}", layout.lock().display()))?;
        if let Err(TryLockError::WouldBlock) = lock.try_lock() {
            let owner = read(layout).map_or(String::new(), |run| format!(" (process {})", run.owner.pid));
            bail!(
                "this stack is already running{owner}: stop it with Ctrl-C where it was started, or start another beside it: \
                 cargo xtask dev --stack second"
            );
        }
        let stopped = stop_leftovers(layout);
        let run = Run {
            id: uuid::Uuid::new_v4().to_string(),
            owner: record(std::process::id()).context("cannot read our own process's start time")?,
            processes: BTreeMap::new(),
            outside: Vec::new(),
        };
        let claim = Self {
            _lock: lock,
            run,
            layout: layout.clone(),
        };
        claim.write()?;
        Ok((claim, stopped))
    }

    pub fn add(&mut self, name: &str, pid: u32) -> Result<()> {
        // A process that has already ended leaves nothing to record.
        if let Some(recorded) = record(pid) {
            self.run.processes.insert(name.to_owned(), recorded);
            self.write()?;
        }
        Ok(())
    }

    pub fn add_outside(&mut self, path: &Path) -> Result<()> {
        self.run.outside.push(path.to_owned());
        self.write()
    }

    /// The run is over and everything is stopped.
    pub fn release(self) {
        let _ = fs::remove_file(self.layout.run_json());
    }

    fn write(&self) -> Result<()> {
        write_private(&self.layout.run_json(), &serde_json::to_string_pretty(&self.run)?).context("cannot write run.json")
    }
}

/// Removes throw-away stacks whose run was killed. Returns how many processes were stopped.
pub fn sweep_ephemeral(root: &Path) -> usize {
    let Ok(entries) = fs::read_dir(root.join(".local")) else { return 0 };
    let mut stopped = 0;
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(layout) = Layout::new(root, &name) else { continue };
        if !name.starts_with(EPHEMERAL_PREFIX) {
            continue;
        }
        // A lock that can be taken has no living owner. A folder without run.json is one being made right now.
        let Ok(lock) = File::options().write(true).open(layout.lock()) else {
            continue;
        };
        if layout.run_json().exists() && lock.try_lock().is_ok() {
            stopped += stop_leftovers(&layout);
            let _ = fs::remove_dir_all(&layout.dir);
        }
    }
    stopped
}

fn read(layout: &Layout) -> Option<Run> {
    serde_json::from_str(&fs::read_to_string(layout.run_json()).ok()?).ok()
}

fn stop_leftovers(layout: &Layout) -> usize {
    let Some(run) = read(layout) else { return 0 };
    let ours = ours(&run);
    signal(&ours, Signal::TERM);
    // A postmaster takes INT as "stop now, cleanly"; TERM would wait for its clients.
    signal(&ours, Signal::INT);
    let deadline = Instant::now() + Duration::from_secs(5);
    while Instant::now() < deadline && ours.iter().any(is_alive) {
        std::thread::sleep(Duration::from_millis(50));
    }
    signal(&ours, Signal::KILL);
    if layout
        .dir
        .file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with(EPHEMERAL_PREFIX))
    {
        for path in &run.outside {
            let _ = fs::remove_dir_all(path);
        }
    }
    let _ = fs::remove_file(layout.run_json());
    let _ = fs::remove_file(layout.stack_json());
    ours.len()
}

/// The processes alive now that are proven to be of this run.
fn ours(run: &Run) -> Vec<Recorded> {
    let mut found: Vec<Recorded> = run.processes.values().filter(|recorded| is_alive(recorded)).cloned().collect();
    for pid in inheritors(&run.id) {
        if pid != std::process::id() && !found.iter().any(|recorded| recorded.pid == pid) {
            found.extend(record(pid));
        }
    }
    found
}

/// Linux: the processes whose environment holds this run's id.
fn inheritors(run_id: &str) -> Vec<u32> {
    let needle = format!("{RUN_VARIABLE}={run_id}");
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_string_lossy().parse::<u32>().ok());
    pids.filter(|pid| {
        fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(|entry| entry == needle.as_bytes()))
    })
    .collect()
}

fn signal(processes: &[Recorded], signal: Signal) {
    for recorded in processes.iter().filter(|recorded| is_alive(recorded)) {
        if let Some(pid) = i32::try_from(recorded.pid).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
    }
}

fn is_alive(recorded: &Recorded) -> bool {
    started(recorded.pid).is_some_and(|started| started == recorded.started)
}

fn record(pid: u32) -> Option<Recorded> {
    Some(Recorded {
        pid,
        started: started(pid)?,
        command: command(pid),
    })
}

/// When the process started, exact enough to tell it from a later one with the same number; `None` if there is
/// none (a zombie counts as none). Linux: boot id and clock ticks since boot. Elsewhere: what `ps` says.
pub fn started(pid: u32) -> Option<String> {
    if let Ok(boot) = fs::read_to_string("/proc/sys/kernel/random/boot_id") {
        return Some(format!(
            "{}:{}",
            boot.trim(),
            start_ticks(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?
        ));
    }
    let text = ps(pid, "lstart=")?;
    (!text.is_empty()).then_some(text)
}

/// Field 22 of /proc/<pid>/stat. The command's name (field 2) is in parentheses and may itself hold spaces and parentheses.
fn start_ticks(stat: &str) -> Option<&str> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)
}

fn command(pid: u32) -> String {
    match fs::read(format!("/proc/{pid}/cmdline")) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).replace('\0', " ").trim().to_owned(),
        Err(_) => ps(pid, "command=").unwrap_or_default(),
    }
}

fn ps(pid: u32, column: &str) -> Option<String> {
    let output = Command::new("ps").args(["-p", &pid.to_string(), "-o", column]).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(name: &str) -> Layout {
        let root = std::env::temp_dir().join(format!("lonieve-leftovers-{}-{name}", std::process::id()));
        let layout = Layout::new(&root, "one").unwrap();
        layout.create().unwrap();
        layout
    }

    #[test]
    fn the_start_time_is_read_after_a_name_with_spaces_and_parentheses() {
        let rest = (3..=30).map(|field| if field == 22 { "4711".to_owned() } else { field.to_string() });
        let rest = rest
            .map(|field| if field == "3" { "S".to_owned() } else { field })
            .collect::<Vec<_>>()
            .join(" ");
        assert_eq!(start_ticks(&format!("17 (a ) b) {rest}")), Some("4711"));
        assert_eq!(start_ticks(&format!("17 (x) {}", rest.replacen('S', "Z", 1))), None);
    }

    #[test]
    fn a_stack_can_be_claimed_once_at_a_time() {
        let layout = layout("claim");
        let (first, _) = Claim::take(&layout).unwrap();
        let error = Claim::take(&layout).map(|_| ()).unwrap_err().to_string();
        assert!(
            error.contains("already running") && error.contains(&std::process::id().to_string()),
            "{error}"
        );
        first.release();
        assert!(Claim::take(&layout).is_ok());
        fs::remove_dir_all(&layout.root).unwrap();
    }

    #[test]
    fn a_killed_runs_process_is_stopped_and_a_reused_number_is_left_alone() {
        let layout = layout("killed");
        let mut left = Command::new("sleep").arg("100").spawn().unwrap();
        let mut stranger = Command::new("sleep").arg("100").spawn().unwrap();
        let mut wrong = record(stranger.id()).unwrap();
        wrong.started = format!("{}0", wrong.started);
        let run = Run {
            id: "none-inherited-this".into(),
            owner: Recorded {
                pid: u32::MAX,
                started: "never".into(),
                command: String::new(),
            },
            processes: [("left".to_owned(), record(left.id()).unwrap()), ("reused".to_owned(), wrong)].into(),
            outside: Vec::new(),
        };
        write_private(&layout.run_json(), &serde_json::to_string(&run).unwrap()).unwrap();
        let (claim, stopped) = Claim::take(&layout).unwrap();
        assert_eq!(stopped, 1);
        assert!(!left.wait().unwrap().success());
        assert!(stranger.try_wait().unwrap().is_none(), "a process that is not ours was stopped");
        stranger.kill().unwrap();
        stranger.wait().unwrap();
        claim.release();
        fs::remove_dir_all(&layout.root).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_that_inherited_the_runs_id_is_found() {
        let id = uuid::Uuid::new_v4().to_string();
        let mut child = Command::new("sleep").arg("100").env(RUN_VARIABLE, &id).spawn().unwrap();
        let found = (0..100).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            inheritors(&id) == [child.id()]
        });
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(found);
    }
}
