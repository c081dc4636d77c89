//! What the runner does with a database and a folder of files.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Mutex,
};

use stack::{database, migrate};

use crate::{Scratch, migrations};

/// A copy of the repository's migrations that a test may change.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("lonieve-migrations-{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir(&path).unwrap();
        for file in migrate::read(&migrations()).unwrap() {
            fs::write(path.join(file.name), file.text).unwrap();
        }
        Self(path)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn run(url: &str, folder: &Path) -> anyhow::Result<migrate::Report> {
    migrate::run(url, folder, &|_| {}).await
}

/// The names the database has recorded.
async fn recorded(url: &str) -> Vec<String> {
    let db = database::connect(url).await.unwrap();
    db.query("select file from ops.schema_migrations order by file", &[])
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect()
}

async fn exists(url: &str, relation: &str) -> bool {
    let db = database::connect(url).await.unwrap();
    db.query_one("select to_regclass($1) is not null", &[&relation])
        .await
        .unwrap()
        .get(0)
}

#[tokio::test]
async fn a_second_run_applies_nothing_and_a_new_file_alone_is_applied() {
    let (scratch, folder) = (Scratch::new().await, Folder::new());
    let files: Vec<String> = migrate::read(&folder.0).unwrap().into_iter().map(|file| file.name).collect();
    let first = run(&scratch.url, &folder.0).await.unwrap();
    assert_eq!((&first.applied, first.already_there), (&files, 0));
    assert_eq!(recorded(&scratch.url).await, files);

    let second = run(&scratch.url, &folder.0).await.unwrap();
    assert_eq!((second.applied, second.already_there), (Vec::new(), files.len()));

    folder.write(
        "9000_create_note.sql",
        "-- no-transaction\ncreate table shop.note (id int);\ncreate index concurrently note_id on shop.note (id);\n",
    );
    let third = run(&scratch.url, &folder.0).await.unwrap();
    assert_eq!(
        (third.applied, third.already_there),
        (vec!["9000_create_note.sql".to_owned()], files.len())
    );
    assert!(exists(&scratch.url, "shop.note_id").await);
    scratch.remove().await;
}

#[tokio::test]
async fn a_file_changed_after_it_was_applied_stops_the_run_before_anything_is_applied() {
    let (scratch, folder) = (Scratch::new().await, Folder::new());
    run(&scratch.url, &folder.0).await.unwrap();
    let before = recorded(&scratch.url).await;
    folder.write("0005_create_tenants.sql", "select 1;");
    folder.write("9000_create_note.sql", "create table shop.note (id int);");
    let error = run(&scratch.url, &folder.0).await.unwrap_err().to_string();
    assert!(
        error.starts_with("migrations/0005_create_tenants.sql was changed after it was applied"),
        "{error}"
    );
    assert!(
        error.contains("restore the file and put the change into a new migration"),
        "{error}"
    );
    assert_eq!(recorded(&scratch.url).await, before);
    assert!(!exists(&scratch.url, "shop.note").await, "the new file was applied all the same");
    scratch.remove().await;
}

#[tokio::test]
async fn an_older_checkout_and_a_file_that_comes_too_late_are_refused() {
    let (scratch, folder) = (Scratch::new().await, Folder::new());
    folder.write("9001_create_note.sql", "create table shop.note (id int);");
    run(&scratch.url, &folder.0).await.unwrap();
    folder.write("9000_create_late.sql", "create table shop.late (id int);");
    let late = run(&scratch.url, &folder.0).await.unwrap_err().to_string();
    assert!(
        late.contains("9000_create_late.sql comes before 9001_create_note.sql") && late.contains("give it the next free number"),
        "{late}"
    );
    let older = run(&scratch.url, &migrations()).await.unwrap_err().to_string();
    assert!(
        older.contains("this database has 9001_create_note.sql") && older.contains("update yours"),
        "{older}"
    );
    assert!(!exists(&scratch.url, "shop.late").await);
    scratch.remove().await;
}

#[tokio::test]
async fn a_file_that_fails_leaves_no_trace_and_names_its_line_and_the_files_before_it_stay() {
    let (scratch, folder) = (Scratch::new().await, Folder::new());
    folder.write("9000_create_note.sql", "create table shop.note (id int);");
    folder.write("9001_create_half.sql", "create table shop.half (id int);\n\nselect nonsense;\n");
    folder.write("9002_create_rest.sql", "create table shop.rest (id int);");
    let error = run(&scratch.url, &folder.0).await.unwrap_err().to_string();
    assert!(
        error.starts_with("migrations/9001_create_half.sql:3: ") && error.contains("SQLSTATE 42703"),
        "{error}"
    );
    assert!(exists(&scratch.url, "shop.note").await);
    assert!(!exists(&scratch.url, "shop.half").await && !exists(&scratch.url, "shop.rest").await);
    assert_eq!(recorded(&scratch.url).await.last().unwrap(), "9000_create_note.sql");

    folder.write("9001_create_half.sql", "create table shop.half (id int);");
    assert_eq!(
        run(&scratch.url, &folder.0).await.unwrap().applied,
        ["9001_create_half.sql", "9002_create_rest.sql"]
    );
    scratch.remove().await;
}

#[tokio::test]
async fn of_two_runs_at_once_one_waits_and_both_succeed() {
    let scratch = Scratch::new().await;
    let said = Mutex::new(Vec::new());
    let progress = |line: &str| said.lock().unwrap().push(line.to_owned());
    let folder = migrations();
    let (one, two) = tokio::join!(
        migrate::run(&scratch.url, &folder, &progress),
        migrate::run(&scratch.url, &folder, &progress)
    );
    let files = migrate::read(&folder).unwrap().len();
    let mut applied = [one.unwrap().applied.len(), two.unwrap().applied.len()];
    applied.sort_unstable();
    assert_eq!(applied, [0, files]);
    let waits = said
        .lock()
        .unwrap()
        .iter()
        .filter(|line| line.contains("another migration is running"))
        .count();
    assert_eq!(waits, 1, "one of them waited, and said so");
    scratch.remove().await;
}
