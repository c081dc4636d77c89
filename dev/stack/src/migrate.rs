//! Runs the files of `migrations/` against a database, each once and in order.
//!
//! One session holds an advisory lock, so two runs at once take turns. Every file runs in a transaction of its own
//! together with its row in `ops.schema_migrations`; a file whose first line is `-- no-transaction` runs statement
//! by statement (`create index concurrently` refuses a transaction).

use std::{fs, path::Path, time::Instant};

use anyhow::{Context, Result, anyhow, bail};
use sha2::{Digest, Sha256};
use tokio_postgres::Client;

use crate::{database, sql};

/// Any fixed number: the advisory lock's key ("lonieve" in ASCII).
const LOCK: i64 = 0x6c_6f6e_6965_7665;
const NO_TRANSACTION: &str = "-- no-transaction";

#[derive(Debug, Clone, PartialEq)]
pub struct Migration {
    pub name: String,
    pub text: String,
    pub checksum: String,
}

impl Migration {
    fn new(name: String, text: String) -> Self {
        // A checkout with other line ends is the same migration.
        let text = text.replace("\r\n", "\n");
        let checksum = hex::encode(Sha256::digest(&text));
        Self { name, text, checksum }
    }

    fn in_transaction(&self) -> bool {
        self.text.lines().next().is_none_or(|line| line.trim() != NO_TRANSACTION)
    }
}

/// What a run did.
#[derive(Debug, Default)]
pub struct Report {
    pub applied: Vec<String>,
    pub already_there: usize,
}

/// Applies what is missing. `url` must reach a session of its own: a pooler in transaction mode loses the lock.
pub async fn run(url: &str, dir: &Path, progress: &(dyn Fn(&str) + Sync)) -> Result<Report> {
    let files = read(dir)?;
    let mut client = database::connect(url).await?;
    lock(&client, progress).await?;
    let result = apply(&mut client, &files, progress).await;
    // Best effort: the lock goes with the session anyway.
    let _ = client.execute("select pg_catalog.pg_advisory_unlock($1)", &[&LOCK]).await;
    result
}

async fn lock(client: &Client, progress: &(dyn Fn(&str) + Sync)) -> Result<()> {
    let row = client.query_one("select pg_catalog.pg_try_advisory_lock($1)", &[&LOCK]).await?;
    if !row.get::<_, bool>(0) {
        progress("another migration is running on this database: waiting for it");
        client.execute("select pg_catalog.pg_advisory_lock($1)", &[&LOCK]).await?;
    }
    Ok(())
}

async fn apply(client: &mut Client, files: &[Migration], progress: &(dyn Fn(&str) + Sync)) -> Result<Report> {
    prepare(client).await?;
    let rows = client
        .query("select file, checksum from ops.schema_migrations order by file", &[])
        .await?;
    let applied: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let missing = plan(files, &applied)?;
    let mut report = Report {
        already_there: applied.len(),
        ..Report::default()
    };
    for migration in missing {
        progress(&migration.name);
        apply_one(client, migration).await?;
        report.applied.push(migration.name.clone());
    }
    if !report.applied.is_empty() {
        finish(client).await?;
    }
    Ok(report)
}

/// The runner's own table. The schema is checked for first: `create schema if not exists` asks for the right to
/// create one even when it is there.
async fn prepare(client: &Client) -> Result<()> {
    let sql = "
        do $$ begin
            if to_regnamespace('ops') is null then create schema ops; end if;
            if to_regclass('ops.schema_migrations') is null then
                create table ops.schema_migrations (
                    file text primary key,
                    checksum text not null,
                    applied_at timestamptz not null default now(),
                    duration_ms integer not null
                );
                alter table ops.schema_migrations enable row level security;
                comment on table ops.schema_migrations is
                    'One row per applied file of migrations/; written by xtask migrate only.';
            end if;
        end $$";
    client
        .batch_execute(sql)
        .await
        .context("cannot make the table ops.schema_migrations")
}

async fn apply_one(client: &mut Client, migration: &Migration) -> Result<()> {
    let insert = "insert into ops.schema_migrations (file, checksum, duration_ms) values ($1, $2, $3)";
    let start = Instant::now();
    let millis = || i32::try_from(start.elapsed().as_millis()).unwrap_or(i32::MAX);
    if migration.in_transaction() {
        let transaction = client.transaction().await?;
        transaction
            .batch_execute(&migration.text)
            .await
            .map_err(|error| explain(migration, &migration.text, &error))?;
        // The files become lonieve_owner for their own statements.
        transaction.batch_execute("reset role").await?;
        transaction
            .execute(insert, &[&migration.name, &migration.checksum, &millis()])
            .await?;
        transaction
            .commit()
            .await
            .map_err(|error| explain(migration, &migration.text, &error))?;
    } else {
        for statement in sql::statements(&migration.text) {
            client
                .batch_execute(statement)
                .await
                .map_err(|error| explain(migration, statement, &error))?;
        }
        client.batch_execute("reset role").await?;
        client.execute(insert, &[&migration.name, &migration.checksum, &millis()]).await?;
    }
    Ok(())
}

/// PostgREST reads the schema and the roles' settings again.
async fn finish(client: &Client) -> Result<()> {
    let sql = "notify pgrst, 'reload schema'; notify pgrst, 'reload config';";
    client
        .batch_execute(sql)
        .await
        .context("the migrations are applied, but PostgREST could not be told")
}

/// The files of the folder, in order.
pub fn read(dir: &Path) -> Result<Vec<Migration>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.ends_with(".sql") {
            check_name(&name)?;
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            found.push(Migration::new(name, text));
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(pair) = found.windows(2).find(|pair| pair[0].name[..4] == pair[1].name[..4]) {
        bail!(
            "{} and {} have the same number: give the later one the next free number",
            pair[0].name,
            pair[1].name
        );
    }
    Ok(found)
}

fn check_name(name: &str) -> Result<()> {
    let numbered = name.len() > 5 && name.as_bytes()[..4].iter().all(u8::is_ascii_digit) && name.as_bytes()[4] == b'_';
    if !numbered {
        bail!("migrations/{name} is not called NNNN_verb_object.sql");
    }
    Ok(())
}

/// What is to be applied; an error when the files and the database's history do not belong together.
fn plan<'a>(files: &'a [Migration], applied: &[(String, String)]) -> Result<Vec<&'a Migration>> {
    for (name, checksum) in applied {
        let Some(file) = files.iter().find(|file| file.name == *name) else {
            bail!("this database has {name}, which is not in migrations/: it was migrated from a newer checkout; update yours");
        };
        if file.checksum != *checksum {
            bail!(
                "migrations/{name} was changed after it was applied to this database: restore the file and put the change \
                 into a new migration (a local stack that holds nothing of value can start over: stop it and remove .local)"
            );
        }
    }
    let newest = applied.iter().map(|(name, _)| name).max();
    let missing: Vec<&Migration> = files
        .iter()
        .filter(|file| applied.iter().all(|(name, _)| *name != file.name))
        .collect();
    if let (Some(newest), Some(late)) = (newest, missing.first())
        && late.name < *newest
    {
        bail!(
            "migrations/{} comes before {newest}, which is applied already: give it the next free number",
            late.name
        );
    }
    Ok(missing)
}

/// Postgres's message with the file and the line it is about.
fn explain(migration: &Migration, sent: &str, error: &tokio_postgres::Error) -> anyhow::Error {
    use tokio_postgres::error::ErrorPosition;
    let Some(db) = error.as_db_error() else {
        return anyhow!("migrations/{}: {error}", migration.name);
    };
    let place = match db.position() {
        Some(ErrorPosition::Original(position)) => {
            let before: usize = sent.chars().take(*position as usize).map(char::len_utf8).sum();
            let offset = migration.text.find(sent).unwrap_or(0) + before;
            format!(":{}", migration.text[..offset.min(migration.text.len())].matches('\n').count() + 1)
        }
        _ => String::new(),
    };
    let more = [("detail", db.detail()), ("hint", db.hint()), ("where", db.where_())];
    let more: String = more
        .iter()
        .filter_map(|(key, text)| text.map(|text| format!("\n    {key}: {text}")))
        .collect();
    anyhow!(
        "migrations/{}{place}: {} (SQLSTATE {}){more}",
        migration.name,
        db.message(),
        db.code().code()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> Migration {
        Migration::new(name.into(), format!("select '{name}';"))
    }

    fn row(migration: &Migration) -> (String, String) {
        (migration.name.clone(), migration.checksum.clone())
    }

    #[test]
    fn what_is_not_applied_yet_is_planned_in_order() {
        let files = [file("0001_a.sql"), file("0002_b.sql"), file("0003_c.sql")];
        let names: Vec<&str> = plan(&files, &[row(&files[0])])
            .unwrap()
            .iter()
            .map(|file| file.name.as_str())
            .collect();
        assert_eq!(names, ["0002_b.sql", "0003_c.sql"]);
    }

    #[test]
    fn a_changed_file_a_vanished_file_and_a_late_file_are_refused_with_what_to_do() {
        let files = [file("0001_a.sql"), file("0003_c.sql")];
        let changed = plan(&files, &[("0001_a.sql".into(), "other".into())]).unwrap_err().to_string();
        assert!(changed.contains("put the change into a new migration"), "{changed}");
        let vanished = plan(&files, &[("0009_z.sql".into(), String::new())]).unwrap_err().to_string();
        assert!(vanished.contains("newer checkout"), "{vanished}");
        let late = plan(&files, &[row(&files[1])]).unwrap_err().to_string();
        assert!(late.contains("0001_a.sql comes before 0003_c.sql"), "{late}");
    }

    #[test]
    fn line_ends_do_not_change_the_checksum() {
        let unix = Migration::new("0001_a.sql".into(), "a\nb\n".into());
        assert_eq!(Migration::new("0001_a.sql".into(), "a\r\nb\r\n".into()), unix);
    }

    #[test]
    fn only_the_first_line_takes_a_file_out_of_its_transaction() {
        assert!(!Migration::new("0001_a.sql".into(), "-- no-transaction\nselect 1".into()).in_transaction());
        assert!(Migration::new("0001_a.sql".into(), "select 1;\n-- no-transaction".into()).in_transaction());
    }

    #[test]
    fn file_names_carry_a_number() {
        assert!(check_name("0001_create_roles.sql").is_ok());
        assert!(check_name("1_create_roles.sql").is_err());
        assert!(check_name("create.sql").is_err());
    }
}
