//! `cargo xtask dev` where something of the machine is missing or in the way: the real program, and the sentence it must end with.
//! And what it leaves behind when it is stopped, interrupted or killed: nothing.
//!
//! Nothing here needs the running stack of the other tests.
#![expect(clippy::unwrap_used, reason = "a test: a failed step is a failed test")]

mod machine;
mod stopping;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use stack::layout;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::{OnceCell, mpsc},
};

/// The program behind `cargo xtask`, built once. Started directly, because `cargo` itself would not start without a PATH.
async fn xtask() -> &'static Path {
    static BUILT: OnceCell<PathBuf> = OnceCell::const_new();
    BUILT.get_or_init(build).await
}

async fn build() -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--quiet", "--bin", "xtask", "--message-format", "json"])
        .current_dir(root())
        .stdin(Stdio::null());
    let output = cargo.stderr(Stdio::inherit()).output().await.unwrap();
    assert!(output.status.success(), "xtask does not build");
    let messages = String::from_utf8(output.stdout).unwrap();
    let executables = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut executables = executables.filter_map(|message| message["executable"].as_str().map(PathBuf::from));
    executables
        .find(|path| path.file_stem().is_some_and(|name| name == "xtask"))
        .expect("cargo names the program it built")
}

fn root() -> PathBuf {
    layout::workspace_root().unwrap()
}

/// A folder of its own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("lonieve-environment-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// One start of the program. Everything it prints is read; dropping it kills it.
struct Run {
    child: Child,
    lines: mpsc::UnboundedReceiver<String>,
    printed: String,
}

/// How a run ended.
struct Ended {
    code: Option<i32>,
    printed: String,
}

impl Ended {
    /// The last sentence on the screen, after checking that the command failed with one.
    #[track_caller]
    fn error(&self) -> &str {
        assert_eq!(self.code, Some(1), "{}", self.printed);
        assert!(!self.printed.contains("panicked"), "{}", self.printed);
        self.printed
            .split("\nerror: ")
            .nth(1)
            .unwrap_or_else(|| panic!("no error was told:\n{}", self.printed))
            .trim()
    }
}

impl Run {
    /// `cargo xtask <arguments>` in the clone at `root`, with these variables added to the environment.
    async fn start(root: &Path, arguments: &[&str], variables: &[(&str, OsString)]) -> Self {
        let mut command = Command::new(xtask().await);
        // Cargo sets the folder of the program's manifest; it is how the program finds its clone.
        command
            .args(arguments)
            .current_dir(root)
            .env("CARGO_MANIFEST_DIR", root.join("xtask"))
            .env("CARGO", env!("CARGO"));
        for inherited in ["DATABASE_URL", "POSTGREST_BIN", "LONIEVE_STACK", "CARGO_TARGET_DIR"] {
            command.env_remove(inherited);
        }
        command
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = mpsc::unbounded_channel();
        forward(child.stdout.take().unwrap(), sender.clone());
        forward(child.stderr.take().unwrap(), sender);
        Self {
            child,
            lines,
            printed: String::new(),
        }
    }

    fn pid(&self) -> u32 {
        self.child.id().expect("it has not ended")
    }

    /// Reads on until a line has this text, and returns the line.
    async fn line(&mut self, text: &str) -> String {
        // Generous: where the Workers are not built yet, the first start builds them.
        let deadline = Instant::now() + Duration::from_secs(300);
        loop {
            let line = tokio::time::timeout_at(deadline.into(), self.lines.recv()).await;
            let line = line.unwrap_or_else(|_| panic!("no line with {text:?} after 300 s:\n{}", self.printed));
            let line = line.unwrap_or_else(|| panic!("it ended without a line with {text:?}:\n{}", self.printed));
            self.printed += &format!("{line}\n");
            if line.contains(text) {
                return line;
            }
        }
    }

    /// The path of stack.json, once everything is up.
    async fn ready(&mut self) -> PathBuf {
        let line = self.line("stack.json").await;
        line.split_whitespace().find(|word| word.ends_with("stack.json")).unwrap().into()
    }

    fn signal(&self, name: &str) {
        send(name, self.pid());
    }

    async fn end(mut self) -> Ended {
        let code = tokio::time::timeout(Duration::from_secs(180), self.child.wait()).await;
        let code = code
            .unwrap_or_else(|_| panic!("it does not end:\n{}", self.printed))
            .unwrap()
            .code();
        while let Some(line) = self.lines.recv().await {
            self.printed += &format!("{line}\n");
        }
        Ended {
            code,
            printed: self.printed,
        }
    }
}

fn forward(stream: impl AsyncRead + Unpin + Send + 'static, sender: mpsc::UnboundedSender<String>) {
    let mut lines = BufReader::new(stream).lines();
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            let _ = sender.send(line);
        }
    });
}

fn send(signal: &str, pid: u32) {
    let status = std::process::Command::new("kill")
        .args([format!("-{signal}"), pid.to_string()])
        .status()
        .unwrap();
    assert!(status.success(), "kill -{signal} {pid}");
}

/// Process number -> when it started: together they name one process for good.
type Processes = BTreeMap<u32, String>;

/// Which of these processes run. A number that was given to another process meanwhile is not one of them.
fn alive(processes: &Processes) -> Processes {
    let runs = |(pid, started): &(&u32, &String)| stack::leftovers::started(**pid).as_ref() == Some(*started);
    processes
        .iter()
        .filter(runs)
        .map(|(pid, started)| (*pid, started.clone()))
        .collect()
}

/// Waits a moment for the processes to end and returns those that did not.
async fn outliving(processes: &Processes) -> Processes {
    for _ in 0..100 {
        if alive(processes).is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    alive(processes)
}
