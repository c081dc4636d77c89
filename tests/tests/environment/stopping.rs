//! Whatever ends a run, its processes end with it, at the latest when the stack is started again.

use std::{collections::BTreeMap, ffi::OsString, fs, path::Path, time::Duration};

use stack::{Info, layout::Layout, leftovers::Run as Recorded};

use crate::{Folder, Processes, Run, alive, outliving, root, send};

/// A named stack, removed with its data at the end.
struct Named {
    name: String,
    layout: Layout,
}

impl Named {
    fn new() -> Self {
        let name = format!("test-{}", &uuid::Uuid::new_v4().simple().to_string()[..8]);
        let layout = Layout::new(&root(), &name).unwrap();
        Self { name, layout }
    }

    async fn start(&self) -> Run {
        self.start_with(&[]).await
    }

    async fn start_with(&self, variables: &[(&str, OsString)]) -> Run {
        Run::start(&root(), &["dev", "--stack", &self.name, "--runtime", "workerd"], variables).await
    }

    fn recorded(&self) -> Recorded {
        serde_json::from_str(&fs::read_to_string(self.layout.run_json()).unwrap()).unwrap()
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        // Only where a test has failed half way.
        if let Some(run) = fs::read_to_string(self.layout.run_json())
            .ok()
            .and_then(|text| serde_json::from_str(&text).ok())
        {
            alive(&processes_of(&run)).into_keys().for_each(|pid| send("KILL", pid));
            remove_outside(&run);
        }
        let _ = fs::remove_dir_all(&self.layout.dir);
    }
}

/// Everything the run has started: what it has written down and, on Linux, what inherited the run's id from that.
fn processes_of(recorded: &Recorded) -> Processes {
    let written = recorded.processes.values().map(|process| (process.pid, process.started.clone()));
    let needle = format!("{}={}", stack::leftovers::RUN_VARIABLE, recorded.id);
    let pids = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let inherited = pids.filter(|pid| {
        fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(|one| one == needle.as_bytes()))
    });
    written
        .chain(inherited.filter_map(|pid| Some((pid, stack::leftovers::started(pid)?))))
        .collect()
}

/// A PATH with every program but this one.
fn path_without(program: &str, folder: &Folder) -> (&'static str, OsString) {
    for dir in std::env::split_paths(&std::env::var_os("PATH").unwrap()) {
        for entry in fs::read_dir(dir)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.file_name() != program)
        {
            // The first of a name wins, as in any PATH.
            let _ = std::os::unix::fs::symlink(entry.path(), folder.0.join(entry.file_name()));
        }
    }
    ("PATH", folder.0.clone().into())
}

async fn products(info: &Info) -> usize {
    let listed = reqwest::get(format!("{}/api/products", info.gateway)).await.unwrap();
    let listed: serde_json::Value = listed.json().await.unwrap();
    listed["products"].as_array().unwrap_or_else(|| panic!("{listed}")).len()
}

/// The state files that exist only while a stack runs.
fn marks(layout: &Layout) -> Vec<&'static str> {
    let files = BTreeMap::from([("stack.json", layout.stack_json()), ("run.json", layout.run_json())]);
    files.into_iter().filter(|(_, path)| path.exists()).map(|(name, _)| name).collect()
}

#[tokio::test]
async fn a_killed_run_is_swept_up_by_the_next_one_and_sigterm_leaves_nothing() {
    // On Linux the kernel ends the processes of a killed run, by way of util-linux's setpriv. Without it they live on, as on other systems.
    let (named, programs) = (Named::new(), Folder::new());
    let mut first = named.start_with(&[path_without("setpriv", &programs)]).await;
    let path = first.ready().await;
    assert_eq!(path, named.layout.stack_json());
    assert_eq!(products(&Info::load(&path).unwrap()).await, 6);
    let recorded = named.recorded();
    assert_eq!(recorded.owner.pid, first.pid());
    for part in ["postgres", "postgrest", "workerd"] {
        assert!(
            recorded.processes.contains_key(part),
            "{part} is not written down: {:?}",
            recorded.processes.keys()
        );
    }

    // While it runs, the same stack cannot be started twice.
    let twice = named.start().await.end().await;
    assert!(
        twice
            .error()
            .starts_with(&format!("this stack is already running (process {})", first.pid())),
        "{}",
        twice.printed
    );
    assert!(
        twice.error().contains("Ctrl-C") && twice.error().contains("--stack second"),
        "{}",
        twice.printed
    );

    let old = processes_of(&recorded);
    assert!(old.len() >= 3);
    first.signal("KILL");
    assert_eq!(first.end().await.code, None, "it was killed");
    tokio::time::sleep(Duration::from_millis(500)).await;
    for (part, process) in &recorded.processes {
        assert!(
            alive(&old).contains_key(&process.pid),
            "{part} is no leftover: this test shows nothing"
        );
    }
    assert_eq!(marks(&named.layout), ["run.json", "stack.json"]);

    let mut second = named.start().await;
    let said = second.line("stopped").await;
    assert!(said.contains("what an earlier, killed run had left"), "{said}");
    let info = Info::load(&second.ready().await).unwrap();
    assert_eq!(
        outliving(&old).await,
        Processes::new(),
        "processes of the killed run are still there"
    );
    assert_eq!(products(&info).await, 6, "the data is still there");

    let processes = processes_of(&named.recorded());
    second.signal("TERM");
    let ended = second.end().await;
    assert_eq!(ended.code, Some(0), "{}", ended.printed);
    assert_eq!(alive(&processes), Processes::new(), "no process is left when the command has ended");
    assert_eq!(marks(&named.layout), Vec::<&str>::new());
    assert!(reqwest::get(&info.gateway).await.is_err(), "nobody listens any more");
    remove_outside(&recorded);
}

/// Data that had to leave the clone, because the database's account cannot reach it.
fn remove_outside(recorded: &Recorded) {
    for path in &recorded.outside {
        let _ = fs::remove_dir_all(path);
    }
}

/// Whether the folder of a throw-away stack is.
fn is_gone(path: &Path) -> bool {
    !path.parent().unwrap().exists()
}

#[tokio::test]
async fn the_kernel_ends_the_processes_of_a_killed_run_where_it_can() {
    let named = Named::new();
    let mut run = named.start().await;
    run.ready().await;
    let recorded = named.recorded();
    let processes = processes_of(&recorded);
    run.signal("KILL");
    run.end().await;
    if cfg!(target_os = "linux") {
        assert_eq!(outliving(&processes).await, Processes::new());
    }
}

#[tokio::test]
async fn ctrl_c_ends_a_throw_away_stack_with_its_data() {
    let mut run = Run::start(&root(), &["dev", "--ephemeral", "--runtime", "workerd"], &[]).await;
    let path = run.ready().await;
    let recorded: Recorded = serde_json::from_str(&fs::read_to_string(path.with_file_name("run.json")).unwrap()).unwrap();
    let processes = processes_of(&recorded);
    assert_eq!(alive(&processes), processes);
    run.signal("INT");
    let ended = run.end().await;
    assert_eq!(ended.code, Some(0), "{}", ended.printed);
    assert_eq!(alive(&processes), Processes::new());
    assert!(is_gone(&path), "{} is still there", path.display());
    assert!(recorded.outside.iter().all(|path| !path.exists()), "{:?}", recorded.outside);
}

#[tokio::test]
async fn sigterm_in_the_middle_of_a_start_ends_what_was_started() {
    let named = Named::new();
    let mut run = named.start().await;
    run.line("migrating the database").await;
    let recorded = named.recorded();
    let processes = processes_of(&recorded);
    assert!(recorded.processes.contains_key("postgres") && !alive(&processes).is_empty());
    run.signal("TERM");
    let ended = run.end().await;
    assert_eq!(ended.code, Some(143), "{}", ended.printed);
    assert_eq!(alive(&processes), Processes::new());
    assert_eq!(marks(&named.layout), Vec::<&str>::new());
    remove_outside(&recorded);
}

#[tokio::test]
async fn when_a_part_ends_by_itself_the_run_ends_and_names_it() {
    let mut run = Run::start(&root(), &["dev", "--ephemeral", "--runtime", "workerd"], &[]).await;
    let path = run.ready().await;
    let recorded: Recorded = serde_json::from_str(&fs::read_to_string(path.with_file_name("run.json")).unwrap()).unwrap();
    let processes = processes_of(&recorded);
    send("KILL", recorded.processes["postgrest"].pid);
    let ended = run.end().await;
    assert!(ended.error().starts_with("postgrest was ended by signal 9"), "{}", ended.printed);
    assert_eq!(alive(&processes), Processes::new());
    assert!(is_gone(&path));
}
