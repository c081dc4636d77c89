//! A database, and lines into it that behave like PostgREST's: a role, its limits, the claims of its token, one call a transaction.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use futures::stream::poll_fn;
use serde_json::{Value, json};
use stack::cluster::Cluster;
use stack::{Info, database, layout::workspace_root};
use tokio_postgres::{AsyncMessage, Client, NoTls, Statement};
use uuid::Uuid;

/// A migrated database to oneself: on the stack's server where `cargo xtask test` has started one, else on a server of its own.
pub struct Ground {
    url: String,
    pub admin: Client,
    limits: Arc<BTreeMap<String, Vec<String>>>,
    cluster: Option<Cluster>,
}

impl Ground {
    /// One for all tests of this program that ask: for those that call nothing that works for all shops at once.
    pub async fn shared() -> Self {
        static URL: tokio::sync::OnceCell<String> = tokio::sync::OnceCell::const_new();
        if std::env::var_os("LONIEVE_STACK").is_none() {
            return Self::new().await; // its server ends with it
        }
        let url = URL.get_or_init(async || Self::new().await.url).await;
        Self::at(url.clone(), None).await
    }

    pub async fn new() -> Self {
        let root = workspace_root().unwrap();
        let (server, cluster) = match std::env::var_os("LONIEVE_STACK") {
            Some(path) => (Info::load(&PathBuf::from(path)).unwrap().database_url, None),
            None => {
                let cluster = Cluster::start(&root).await.unwrap();
                (cluster.url().to_owned(), Some(cluster))
            }
        };
        let name = format!("t_{}", Uuid::new_v4().simple());
        let url = database::create_scratch(&server, &name, &root.join("migrations")).await.unwrap();
        Self::at(url, cluster).await
    }

    async fn at(url: String, cluster: Option<Cluster>) -> Self {
        let admin = database::connect(&url).await.unwrap();
        let roles = "select rolname::text, coalesce(rolconfig, '{}') from pg_catalog.pg_roles";
        let limits = admin.query(roles, &[]).await.unwrap();
        Self {
            url,
            admin,
            limits: Arc::new(limits.iter().map(|row| (row.get(0), row.get(1))).collect()),
            cluster,
        }
    }

    /// The superuser's address of the database.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Another connection.
    pub async fn line(&self) -> Line {
        let (db, mut connection) = tokio_postgres::connect(&self.url, NoTls).await.unwrap();
        let warnings = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&warnings);
        tokio::spawn(async move {
            let mut messages = poll_fn(move |context| connection.poll_message(context));
            while let Some(Ok(message)) = messages.next().await {
                if let AsyncMessage::Notice(notice) = message {
                    heard.lock().unwrap().push(notice.message().to_owned());
                }
            }
        });
        let backend = db.query_one("select pg_catalog.pg_backend_pid()", &[]).await.unwrap().get(0);
        Line {
            db,
            backend,
            limits: Arc::clone(&self.limits),
            warnings,
            prepared: tokio::sync::Mutex::default(),
        }
    }

    /// One number out of SQL; `$1` is an id.
    pub async fn count(&self, sql: &str, id: Uuid) -> i64 {
        let row = self.admin.query_one(sql, &[&id]).await;
        row.unwrap_or_else(|error| panic!("{sql}: {error}")).get(0)
    }

    /// One text out of SQL; `$1` is an id.
    pub async fn text(&self, sql: &str, id: Uuid) -> String {
        let row = self.admin.query_one(sql, &[&id]).await;
        row.unwrap_or_else(|error| panic!("{sql}: {error}")).get(0)
    }

    /// Is there a function of this name that takes `(jsonb)`? Steps of functions that other work adds join by themselves.
    pub async fn has_function(&self, name: &str) -> bool {
        let sql = "select pg_catalog.to_regprocedure($1) is not null";
        self.admin.query_one(sql, &[&format!("{name}(jsonb)")]).await.unwrap().get(0)
    }

    /// Puts a fault into a function of the database. Returns the right text, for [`Ground::restore`].
    pub async fn plant(&self, function: &str, right: &str, wrong: &str) -> String {
        let sql = "select pg_catalog.pg_get_functiondef(p.oid) from pg_catalog.pg_proc p \
                   join pg_catalog.pg_namespace n on n.oid = p.pronamespace where n.nspname || '.' || p.proname = $1";
        let text: String = self.admin.query_one(sql, &[&function]).await.unwrap().get(0);
        assert_eq!(
            text.matches(right).count(),
            1,
            "{function} has another text by now: plant this fault anew\n{text}"
        );
        self.restore(&text.replace(right, wrong)).await;
        text
    }

    pub async fn restore(&self, text: &str) {
        self.admin.batch_execute(text).await.unwrap();
    }

    /// Deadlocks that the server has broken in this database, also those whose error some block has caught.
    pub async fn deadlocks(&self) -> i64 {
        // The figures of a session reach the view a moment after its transaction, one second at most while it is busy.
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
        let sql = "select deadlocks from pg_catalog.pg_stat_database where datname = current_database()";
        self.admin.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// Waits until this backend stands at somebody's lock.
    pub async fn until_blocked(&self, backend: i32) {
        let sql = "select cardinality(pg_catalog.pg_blocking_pids($1)) > 0";
        for _ in 0..400 {
            if self.admin.query_one(sql, &[&backend]).await.unwrap().get(0) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        panic!("backend {backend} waits for nobody");
    }

    pub async fn stop(self) {
        if let Some(cluster) = self.cluster {
            drop(self.admin);
            cluster.stop().await.unwrap();
        }
    }
}

/// On whose behalf a call is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// A Worker, by its role.
    Worker(&'static str),
    /// A signed-in person.
    Person(Uuid),
}

pub const ORDERS: Who = Who::Worker("edge_orders");
pub const CARDLINK: Who = Who::Worker("edge_cardlink");
pub const JOBS: Who = Who::Worker("edge_jobs");

/// A call that ended in an error of the database.
#[derive(Debug, Clone)]
pub struct Refused {
    pub sqlstate: String,
    pub message: String,
}

impl From<tokio_postgres::Error> for Refused {
    fn from(error: tokio_postgres::Error) -> Self {
        Self {
            sqlstate: error.code().map_or_else(|| "lost".to_owned(), |code| code.code().to_owned()),
            message: error
                .as_db_error()
                .map_or_else(|| error.to_string(), |error| error.message().to_owned()),
        }
    }
}

/// A connection.
pub struct Line {
    db: Client,
    pub backend: i32,
    limits: Arc<BTreeMap<String, Vec<String>>>,
    warnings: Arc<Mutex<Vec<String>>>,
    prepared: tokio::sync::Mutex<HashMap<String, Statement>>,
}

impl Line {
    /// One call in a transaction of its own.
    pub async fn call(&self, who: Who, function: &str, p: &Value) -> Result<Value, Refused> {
        self.begin(who).await?;
        let answer = self.say(function, p).await;
        match answer {
            Ok(answer) => self.commit().await.map(|()| answer),
            Err(refused) => {
                self.db.batch_execute("rollback").await?;
                Err(refused)
            }
        }
    }

    /// Opens a transaction the way PostgREST does: role, the limits of that role, claims and headers.
    pub async fn begin(&self, who: Who) -> Result<(), Refused> {
        let (role, claims) = match who {
            Who::Worker(role) => (role, json!({"role": role})),
            Who::Person(id) => ("authenticated", json!({"role": "authenticated", "sub": id})),
        };
        let mut begin = format!(
            "begin isolation level read committed; select set_config('role', '{role}', true), set_config('request.jwt.claims', '{claims}', true), \
             set_config('request.headers', '{{}}', true)"
        );
        for limit in self.limits.get(role).into_iter().flatten() {
            let (name, value) = limit.split_once('=').unwrap();
            begin.push_str(&format!(", set_config('{name}', '{value}', true)"));
        }
        Ok(self.db.batch_execute(&begin).await?)
    }

    /// A call in the open transaction.
    pub async fn say(&self, function: &str, p: &Value) -> Result<Value, Refused> {
        let statement = {
            let mut prepared = self.prepared.lock().await;
            match prepared.get(function) {
                Some(statement) => statement.clone(),
                None => {
                    let statement = self.db.prepare(&format!("select api.{function}($1)")).await?;
                    prepared.insert(function.to_owned(), statement.clone());
                    statement
                }
            }
        };
        Ok(self.db.query_one(&statement, &[&p]).await?.get(0))
    }

    /// The rows of a report in a transaction of its own, each as `a | b | -` (null). `report` is a function of `api` with its arguments, as SQL.
    pub async fn rows(&self, who: Who, report: &str, columns: &[&str]) -> Result<Vec<String>, Refused> {
        self.begin(who).await?;
        let cells: Vec<String> = columns.iter().map(|column| format!("r.{column}::text")).collect();
        let sql = format!(
            "select array_to_string(array[{}], ' | ', '-') from api.{report} r",
            cells.join(", ")
        );
        let rows = self.db.query(&sql, &[]).await;
        match rows {
            Ok(rows) => self.commit().await.map(|()| rows.iter().map(|row| row.get(0)).collect()),
            Err(error) => {
                self.db.batch_execute("rollback").await?;
                Err(error.into())
            }
        }
    }

    pub async fn commit(&self) -> Result<(), Refused> {
        Ok(self.db.batch_execute("commit").await?)
    }

    /// A call whose answer must have this outcome.
    pub async fn outcome(&self, who: Who, function: &str, p: Value, outcome: &str) -> Value {
        let answer = self.call(who, function, &p).await;
        let answer = answer.unwrap_or_else(|refused| panic!("{function}({p}): {refused:?}"));
        assert_eq!(answer["outcome"], outcome, "{function}({p}): {answer}");
        answer
    }

    /// The warnings the server has sent since the last time: the batch jobs report there what their blocks have caught.
    pub fn warnings(&self) -> Vec<String> {
        std::mem::take(&mut self.warnings.lock().unwrap())
    }
}
