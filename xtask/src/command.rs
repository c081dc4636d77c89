//! Runs a program of the set-up or the gate: its lines go to the screen as they come, and are kept to explain a failure.

use std::{
    io::{BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, ExitStatus, Stdio},
    sync::mpsc,
};

use anyhow::{Context, Result, bail};

use crate::{trouble::Trouble, ui};

/// What a program printed, standard output and standard error in the order of arrival.
pub struct Finished {
    pub status: ExitStatus,
    pub lines: Vec<String>,
}

/// Runs to the end, whatever the end is.
pub fn run(command: Command) -> Result<Finished> {
    run_beside(command, "    ")
}

/// The same for one of several that run at once: `mark` stands before each of its lines. The program gets a process group of its own and is registered, so that a
/// signal to us stops it with everything it started.
pub fn run_beside(mut command: Command, mark: &str) -> Result<Finished> {
    let program = command.get_program().to_string_lossy().into_owned();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let mut child = command.spawn().with_context(|| format!("cannot start {program}"))?;
    let _registered = stack::process::Registered::new(&child);
    let (sender, receiver) = mpsc::channel();
    forward(child.stdout.take(), sender.clone());
    forward(child.stderr.take(), sender);
    let mut lines = Vec::new();
    for line in receiver {
        eprintln!("{mark}{line}");
        lines.push(line);
    }
    Ok(Finished {
        status: child.wait()?,
        lines,
    })
}

/// Runs a program that must succeed. `what` names the step in the error: "Installing the npm packages".
pub fn must_succeed(what: &str, command: Command) -> Result<()> {
    let finished = run(command)?;
    if finished.status.success() {
        return Ok(());
    }
    let output = finished.lines.join("\n");
    match Trouble::find(&output) {
        Some(trouble) => bail!(trouble.sentence(what)),
        None => bail!("{what} failed ({}); its output is above", finished.status),
    }
}

/// Standard output of a short program, `None` when it is missing or fails.
pub fn answer(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The cargo that runs us, in a folder.
pub fn cargo(folder: &Path) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(folder);
    cargo
}

/// Runs a step and prints how long it took.
pub fn timed<T>(what: &str, step: impl FnOnce() -> Result<T>) -> Result<T> {
    ui::step(what);
    let begun = std::time::Instant::now();
    let result = step()?;
    ui::note(&format!("done in {}", ui::seconds(begun.elapsed())));
    Ok(result)
}

fn forward(stream: Option<impl Read + Send + 'static>, sender: mpsc::Sender<String>) {
    let Some(stream) = stream else { return };
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        while matches!(reader.read_until(b'\n', &mut line), Ok(count) if count > 0) {
            let _ = sender.send(String::from_utf8_lossy(&line).trim_end().to_owned());
            line.clear();
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn both_streams_are_kept_and_the_exit_code_is_told() {
        let finished = run(shell("echo out; echo err >&2; exit 3")).unwrap();
        let mut lines = finished.lines;
        lines.sort();
        assert_eq!((lines, finished.status.code()), (vec!["err".to_owned(), "out".to_owned()], Some(3)));
    }

    #[test]
    fn a_failure_with_a_known_cause_says_what_to_do_and_another_points_to_the_output() {
        let error = must_succeed("Installing", shell("echo npm error code ENOTFOUND >&2; exit 1"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("check the network connection"), "{error}");
        let error = must_succeed("Building", shell("echo mismatched types; exit 1"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("Building failed") && error.contains("above"), "{error}");
    }

    #[test]
    fn a_program_that_does_not_exist_is_named() {
        let error = run(Command::new("no-such-program-xyz")).err().unwrap().to_string();
        assert!(error.contains("no-such-program-xyz"), "{error}");
    }
}
