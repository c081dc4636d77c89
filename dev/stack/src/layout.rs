//! Where the files of one stack lie.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

/// The stack that `cargo xtask dev` starts when no name is given. Its files lie in `.local/` itself.
pub const DEFAULT: &str = "default";

/// Names that the default stack's own files use inside `.local/`, so no other stack may be called so.
const RESERVED: [&str; 7] = ["pg", "logs", "runtime", "lock", "home", "tmp", "run"];

/// Every throw-away stack is called so; what a killed run left of one may be removed.
pub const EPHEMERAL_PREFIX: &str = "e-";

#[derive(Clone, Debug)]
pub struct Layout {
    /// The root of the clone.
    pub root: PathBuf,
    /// The folder of this stack, inside `<root>/.local`.
    pub dir: PathBuf,
}

impl Layout {
    pub fn new(root: &Path, stack: &str) -> Result<Self> {
        check_name(stack)?;
        let local = root.join(".local");
        let dir = if stack == DEFAULT { local } else { local.join(stack) };
        Ok(Self {
            root: root.to_owned(),
            dir,
        })
    }

    /// Makes the stack's folders. Others may pass through them (the database may run under another account), but not list them.
    pub fn create(&self) -> Result<()> {
        create_dir(&self.root.join(".local"))?;
        create_dir(&self.dir)?;
        for path in [self.logs(), self.runtime()] {
            create_dir(&path)?;
        }
        Ok(())
    }

    pub fn stack_json(&self) -> PathBuf {
        self.dir.join("stack.json")
    }

    pub fn keys_json(&self) -> PathBuf {
        self.dir.join("keys.json")
    }

    /// The processes of the run under way, see `leftovers`.
    pub fn run_json(&self) -> PathBuf {
        self.dir.join("run.json")
    }

    pub fn lock(&self) -> PathBuf {
        self.dir.join("lock")
    }

    pub fn logs(&self) -> PathBuf {
        self.dir.join("logs")
    }

    /// Generated configuration of the Workers' runtime.
    pub fn runtime(&self) -> PathBuf {
        self.dir.join("runtime")
    }

    /// The module of one function, as this stack runs it.
    pub fn module(&self, function: &str) -> PathBuf {
        self.runtime().join("workers").join(function)
    }

    pub fn postgres_data(&self) -> PathBuf {
        self.dir.join("pg")
    }

    pub fn node_modules(&self) -> PathBuf {
        self.root.join("node_modules")
    }

    pub fn migrations(&self) -> PathBuf {
        self.root.join("migrations")
    }
}

/// The root of the clone: the folder above whose Cargo.toml holds the workspace.
/// Cargo names the running package's folder at run time, so a moved clone is no trouble.
pub fn workspace_root() -> Result<PathBuf> {
    let start = match std::env::var_os("CARGO_MANIFEST_DIR") {
        Some(dir) => PathBuf::from(dir),
        None => std::env::current_dir()?,
    };
    start
        .ancestors()
        .find(|dir| dir.join("migrations").is_dir() && dir.join("Cargo.toml").is_file() && dir.join("functions").is_dir())
        .map(Path::to_owned)
        .with_context(|| format!("{} is not inside a clone of this repository", start.display()))
}

/// Makes one folder (and its parents), whatever the umask says, so that the database's account can pass through it.
pub fn create_dir(path: &Path) -> Result<()> {
    if !path.is_dir() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o711)
            .create(path)
            .with_context(|| format!("cannot make the folder {}", path.display()))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o711))?;
    }
    Ok(())
}

/// Held while something is installed or built in the clone, or read from there: two commands at once take turns.
pub fn take_turns(root: &Path, waiting: impl FnOnce()) -> Result<File> {
    create_dir(&root.join(".local"))?;
    let path = root.join(".local/setup.lock");
    let lock = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    if lock.try_lock().is_err() {
        waiting();
        lock.lock()?;
    }
    Ok(lock)
}

/// Writes a file only its owner may read, by rename, so that no reader ever sees half of it.
pub fn write_private(path: &Path, text: &str) -> io::Result<()> {
    use io::Write;
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = PathBuf::from(name);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(text.as_bytes())?;
    fs::rename(&new, path)
}

fn check_name(name: &str) -> Result<()> {
    let plain = (1..=32).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !plain {
        bail!("a stack's name has 1 to 32 characters out of a-z, 0-9 and '-': {name:?} does not");
    }
    if RESERVED.contains(&name) {
        bail!("no stack can be called {name:?}: the default stack keeps files under that name");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_stack_lies_in_local_itself_and_others_in_a_folder_of_their_own() {
        let root = Path::new("/clone");
        assert_eq!(
            Layout::new(root, DEFAULT).unwrap().stack_json(),
            Path::new("/clone/.local/stack.json")
        );
        assert_eq!(
            Layout::new(root, "mine").unwrap().stack_json(),
            Path::new("/clone/.local/mine/stack.json")
        );
    }

    #[test]
    fn names_that_leave_the_folder_or_meet_the_default_stacks_files_are_refused() {
        for name in ["", "..", "a/b", "A", "pg", "logs", &"x".repeat(33)] {
            assert!(Layout::new(Path::new("/clone"), name).is_err(), "{name:?} was accepted");
        }
    }

    #[test]
    fn a_private_file_is_readable_by_its_owner_only() {
        let dir = std::env::temp_dir().join(format!("lonieve-layout-{}", std::process::id()));
        create_dir(&dir).unwrap();
        let path = dir.join("secret");
        write_private(&path, "x").unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(mode, 0o600);
    }
}
