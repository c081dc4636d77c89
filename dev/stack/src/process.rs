//! One child process of a stack: started in its own process group, its output in a log file,
//! stopped with everything it started.

use std::{
    fs::File,
    os::unix::{
        fs::OpenOptionsExt,
        process::{CommandExt, ExitStatusExt},
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError, mpsc},
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};
use tokio::sync::watch;

use crate::account::Account;

/// The process groups that end with us even when we are in a hurry (a second Ctrl-C).
static REGISTERED: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// Keeps a child, the leader of its process group, in the list of [`kill_registered`] until dropped.
pub struct Registered(Pid);

impl Registered {
    pub fn new(child: &Child) -> Self {
        let pid = Pid::from_child(child);
        registered().push(pid);
        Self(pid)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        registered().retain(|pid| *pid != self.0);
    }
}

/// Ends every registered group now: a moment to end by itself, then the hard way.
pub fn kill_registered() {
    let groups = registered().clone();
    for (signal, pause) in [(Signal::TERM, Duration::from_millis(500)), (Signal::KILL, Duration::ZERO)] {
        for group in &groups {
            // The only error is that the group has ended.
            let _ = kill_process_group(*group, signal);
        }
        std::thread::sleep(pause);
    }
}

fn registered() -> MutexGuard<'static, Vec<Pid>> {
    REGISTERED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What to start.
#[derive(Clone)]
pub struct Spec {
    /// Names the log file and the process in messages.
    pub name: &'static str,
    pub program: PathBuf,
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
    pub dir: PathBuf,
    /// The signal that asks this program to stop.
    pub stop: Signal,
    /// Run as this account instead of our own.
    pub account: Option<Account>,
}

/// A running child. Dropping it stops it.
pub struct Process {
    name: &'static str,
    pid: Pid,
    stop: Signal,
    log: PathBuf,
    exited: watch::Receiver<Option<ExitStatus>>,
}

impl Process {
    /// Starts the program. `run_id` goes into its environment: what it starts inherits it, which is how a
    /// leftover of a killed run is known to be ours (see `leftovers`).
    pub fn spawn(spec: Spec, logs: &Path, run_id: &str) -> Result<Self> {
        let log = logs.join(format!("{}.log", spec.name));
        // Some programs print their settings, secrets included.
        let output = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = command_that_dies_with_us(&spec);
        command
            .args(&spec.args)
            .envs(spec.env)
            .env(crate::leftovers::RUN_VARIABLE, run_id)
            .current_dir(&spec.dir)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0);
        if let Some(account) = spec.account {
            command.uid(account.uid).gid(account.gid);
        }
        let child = spawn_on_lasting_thread(command).with_context(|| format!("cannot start {}", spec.program.display()))?;
        let pid = Pid::from_child(&child);
        Ok(Self {
            name: spec.name,
            pid,
            stop: spec.stop,
            log,
            exited: watch_exit(child, pid),
        })
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    pub fn has_exited(&self) -> bool {
        self.exited.borrow().is_some()
    }

    /// Returns when the process has ended, with the error that says so.
    pub async fn failure(&self) -> anyhow::Error {
        let status = wait(self.exited.clone()).await;
        self.ended(status)
    }

    /// An error about this process, with the last lines of its log.
    pub fn error(&self, what: &str) -> anyhow::Error {
        anyhow!("{what}\n{}", log_tail(&self.log))
    }

    fn ended(&self, status: Option<ExitStatus>) -> anyhow::Error {
        let how = match status.map(|status| (status.code(), status.signal())) {
            Some((Some(code), _)) => format!("ended with exit code {code}"),
            Some((None, Some(signal))) => format!("was ended by signal {signal}"),
            _ => "ended".to_owned(),
        };
        self.error(&format!("{} {how}", self.name))
    }

    /// Asks the process to stop and waits; whatever is left of its group after `patience` is killed.
    pub async fn stop(self, patience: Duration) {
        self.signal(self.stop);
        if tokio::time::timeout(patience, wait(self.exited.clone())).await.is_err() {
            self.kill_group();
            // The kernel ends it now; the wait is for the watcher to have reaped it.
            let _ = tokio::time::timeout(Duration::from_secs(2), wait(self.exited.clone())).await;
        }
    }

    /// Ends the process the hard way, and waits until it has ended with everything it started.
    pub async fn strike(self, signal: Signal) -> Result<()> {
        self.signal(signal);
        let ended = tokio::time::timeout(Duration::from_secs(10), wait(self.exited.clone())).await;
        ended
            .map(drop)
            .map_err(|_| self.error(&format!("{} does not end on its signal", self.name)))
    }

    fn signal(&self, signal: Signal) {
        if !self.has_exited() {
            // The only error is that it has just ended.
            let _ = kill_process(self.pid, signal);
        }
    }

    fn kill_group(&self) {
        if !self.has_exited() {
            let _ = kill_process_group(self.pid, Signal::KILL);
        }
    }
}

impl Drop for Process {
    /// The way out of a panic or an early return: the same as `stop`, without a runtime.
    fn drop(&mut self) {
        self.signal(self.stop);
        for _ in 0..100 {
            if self.has_exited() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        self.kill_group();
    }
}

async fn wait(mut exited: watch::Receiver<Option<ExitStatus>>) -> Option<ExitStatus> {
    exited.wait_for(Option::is_some).await.ok().and_then(|status| *status)
}

/// Waits for the child on a thread of its own. The group is killed while the child is still a zombie: until it
/// is reaped its number cannot be given to another group, so the signal can only reach what the child started.
fn watch_exit(mut child: Child, pid: Pid) -> watch::Receiver<Option<ExitStatus>> {
    let (sender, receiver) = watch::channel(None);
    let registered = Registered::new(&child);
    std::thread::spawn(move || {
        while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {}
        let _ = kill_process_group(pid, Signal::KILL);
        drop(registered);
        let status = child.wait().unwrap_or_else(|_| ExitStatus::from_raw(0));
        let _ = sender.send(Some(status));
    });
    receiver
}

/// The kernel's "parent died" signal follows the parent *thread*, so children are started by one that never ends.
fn spawn_on_lasting_thread(command: Command) -> std::io::Result<Child> {
    type Job = (Command, mpsc::Sender<std::io::Result<Child>>);
    static SPAWNER: OnceLock<mpsc::Sender<Job>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, jobs) = mpsc::channel::<Job>();
        std::thread::spawn(move || {
            for (mut command, answer) in jobs {
                let _ = answer.send(command.spawn());
            }
        });
        sender
    });
    let (answer, result) = mpsc::channel();
    let gone = |_| std::io::Error::other("the thread that starts processes has ended");
    spawner
        .send((command, answer))
        .map_err(|_| std::io::Error::other("the thread that starts processes has ended"))?;
    result.recv().map_err(gone)?
}

/// On Linux the child gets its stop signal from the kernel when we are killed (`kill -9`), through util-linux's
/// `setpriv`, which replaces itself with the program. Elsewhere the next start finds the leftover (`leftovers`).
fn command_that_dies_with_us(spec: &Spec) -> Command {
    static SETPRIV_WORKS: OnceLock<bool> = OnceLock::new();
    let works = *SETPRIV_WORKS.get_or_init(|| {
        let mut probe = Command::new("setpriv");
        probe
            .args(["--pdeathsig", "TERM", "--", "true"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    });
    if !works {
        return Command::new(&spec.program);
    }
    let mut command = Command::new("setpriv");
    // By name: it takes no numbers.
    let signal = if spec.stop == Signal::INT { "INT" } else { "TERM" };
    command.args(["--pdeathsig", signal, "--"]).arg(&spec.program);
    command
}

/// The last lines of a log, as an indented block for an error message.
pub fn log_tail(log: &Path) -> String {
    const LINES: usize = 20;
    let text = std::fs::read(log)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    if lines.is_empty() {
        return format!("    ({} is empty)", log.display());
    }
    let tail = lines[lines.len().saturating_sub(LINES)..]
        .iter()
        .map(|line| format!("    | {line}\n"));
    format!("    the last lines of {}:\n{}", log.display(), tail.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, name: &'static str) -> (Process, PathBuf) {
        let dir = std::env::temp_dir().join(format!("lonieve-process-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let spec = Spec {
            name,
            program: "sh".into(),
            args: vec!["-c".into(), script.into()],
            env: Vec::new(),
            dir: dir.clone(),
            stop: Signal::TERM,
            account: None,
        };
        (Process::spawn(spec, &dir, "test").unwrap(), dir)
    }

    fn alive(pid: u32) -> bool {
        crate::leftovers::started(pid).is_some()
    }

    #[tokio::test]
    async fn a_process_that_ends_by_itself_is_reported_with_its_last_words() {
        let (process, dir) = shell("echo the reason; exit 3", "ends");
        let error = process.failure().await.to_string();
        std::fs::remove_dir_all(dir).unwrap();
        assert!(
            error.contains("ended with exit code 3") && error.contains("| the reason"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn stopping_reaches_what_the_process_started_and_what_ignores_the_signal() {
        let (process, dir) = shell("trap '' TERM; sleep 100 & echo $!; wait; sleep 100", "stops");
        let log = dir.join("stops.log");
        let written = async {
            loop {
                if let Ok(pid) = std::fs::read_to_string(&log).unwrap().trim().parse::<u32>() {
                    return pid;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let grandchild = tokio::time::timeout(Duration::from_secs(5), written).await.unwrap();
        let pid = process.pid();
        assert!(alive(pid) && alive(grandchild));
        process.stop(Duration::from_millis(200)).await;
        std::fs::remove_dir_all(dir).unwrap();
        assert!(!alive(pid));
        // Init reaps the orphan; give it a moment.
        for _ in 0..100 {
            if !alive(grandchild) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("process {grandchild} outlived its parent's stop");
    }
}
