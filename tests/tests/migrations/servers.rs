//! Other servers and other owners: what a hosted project and the oldest supported Postgres look like to the migrations.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use lonieve_tests::stack;
use stack::{cluster::Cluster, database, layout, migrate};
use tokio::process::Command;
use tokio_postgres::Client;

use crate::{migrations, sale};

/// A database whose owner may create roles but is no superuser, with a schema `auth` of somebody else's.
struct Foreign {
    /// The superuser's address of the database.
    admin: String,
    /// The owner's address of it.
    owner: String,
    names: [String; 3],
}

impl Foreign {
    async fn new(server: &str) -> Self {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let names = ["t", "owner", "auth_admin"].map(|kind| format!("{kind}_{id}"));
        let [name, owner, auth_admin] = &names;
        let superuser = database::connect(server).await.unwrap();
        let roles = format!("create role {owner} login createrole password 'secret'; create role {auth_admin} nologin");
        superuser.batch_execute(&roles).await.unwrap();
        superuser
            .batch_execute(&format!("create database {name} owner {owner}"))
            .await
            .unwrap();
        let admin = database::with_database(server, name).unwrap();
        let auth = format!(
            "create schema auth authorization {auth_admin}; set role {auth_admin}; \
             create table auth.users (id uuid primary key, email varchar(255), raw_user_meta_data jsonb); \
             create function auth.uid() returns uuid language sql stable as 'select null::uuid'; reset role"
        );
        database::connect(&admin).await.unwrap().batch_execute(&auth).await.unwrap();
        let owner = database::with_login(&admin, owner, "secret").unwrap();
        Self { admin, owner, names }
    }

    async fn admin(&self) -> Client {
        database::connect(&self.admin).await.unwrap()
    }

    async fn migrate(&self) -> anyhow::Result<migrate::Report> {
        migrate::run(&self.owner, &migrations(), &|_| {}).await
    }

    /// Everything about the schema `auth` that a migration could have changed.
    async fn auth(&self) -> Vec<String> {
        let sql = "select format('%s %s %s %s %s %s %s', c.oid, c.relname, c.relowner, c.relacl, c.relrowsecurity, n.nspowner, n.nspacl) \
                     from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'auth' \
                   union all select format('%s %s %s', a.attrelid, a.attname, a.atttypid::regtype) from pg_attribute a where a.attrelid = 'auth.users'::regclass \
                   union all select format('%s %s %s %s', p.oid, p.proname, p.proowner, p.proacl) from pg_proc p where p.pronamespace = 'auth'::regnamespace \
                   union all select format('%s %s', t.oid, t.tgname) from pg_trigger t where t.tgrelid = 'auth.users'::regclass \
                   order by 1";
        self.admin()
            .await
            .query(sql, &[])
            .await
            .unwrap()
            .iter()
            .map(|row| row.get(0))
            .collect()
    }

    /// Applies everything as the owner and checks what came of it.
    async fn migrates(&self) {
        let before = self.auth().await;
        let files = migrate::read(&migrations()).unwrap().len();
        assert_eq!(self.migrate().await.unwrap().applied.len(), files);
        assert_eq!(self.migrate().await.unwrap().applied.len(), 0, "the second run applies nothing");
        assert_eq!(self.auth().await, before, "the schema auth was touched");

        let db = self.admin().await;
        let others = "select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace \
                        where n.nspname in ('shop', 'analytics', 'crm', 'ai', 'ops', 'api') and c.relowner <> 'lonieve_owner'::regrole \
                      union all select p.oid::regprocedure::text from pg_proc p join pg_namespace n on n.oid = p.pronamespace \
                        where n.nspname in ('shop', 'analytics', 'crm', 'ai', 'ops', 'api') and p.proowner <> 'lonieve_owner'::regrole \
                      union all select 'extension ' || extname from pg_extension where extname <> 'plpgsql'";
        let others: Vec<String> = db.query(others, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
        assert_eq!(others, Vec::<String>::new(), "not the owner's, or an extension");
        sale::works(&db).await;
    }

    async fn remove(self) {
        let server = database::with_database(&self.admin, "postgres").unwrap();
        let [name, owner, auth_admin] = &self.names;
        database::drop_database(&server, name).await.unwrap();
        database::connect(&server)
            .await
            .unwrap()
            .batch_execute(&format!("drop role {owner}; drop role {auth_admin}"))
            .await
            .unwrap();
    }
}

/// What hosted Supabase brings: the three roles PostgREST needs, made by somebody else.
const HOSTED_ROLES: &str = "create role anon nologin; create role authenticated nologin; create role authenticator login noinherit; \
                            grant anon, authenticated to authenticator";

async fn major(url: &str) -> String {
    let row = database::connect(url)
        .await
        .unwrap()
        .query_one("show server_version", &[])
        .await
        .unwrap();
    row.get::<_, String>(0).split('.').next().unwrap().to_owned()
}

/// Both kinds of cluster: a plain one, and one that has the hosted roles already.
async fn owners_without_superuser_rights_migrate(root: &Path, version: &str) {
    for prepared in ["select", HOSTED_ROLES] {
        let cluster = Cluster::start(root).await.unwrap();
        assert_eq!(major(cluster.url()).await, version);
        database::connect(cluster.url())
            .await
            .unwrap()
            .batch_execute(prepared)
            .await
            .unwrap();
        let foreign = Foreign::new(cluster.url()).await;
        foreign.migrates().await;
        cluster.stop().await.unwrap();
    }
}

#[tokio::test]
async fn an_owner_without_superuser_rights_migrates_a_database_with_a_foreign_auth_schema() {
    owners_without_superuser_rights_migrate(&layout::workspace_root().unwrap(), "17").await;
}

#[tokio::test]
async fn the_same_on_postgres_15() {
    owners_without_superuser_rights_migrate(&postgres_15().await, "15").await;
}

#[tokio::test]
async fn the_superuser_of_a_plain_postgres_15_migrates_too() {
    let cluster = Cluster::start(&postgres_15().await).await.unwrap();
    let applied = migrate::run(cluster.url(), &migrations(), &|_| {}).await.unwrap().applied;
    assert_eq!(applied.len(), migrate::read(&migrations()).unwrap().len());
    sale::works(&database::connect(cluster.url()).await.unwrap()).await;
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn where_others_made_the_roles_before_the_owner_is_told_what_a_superuser_must_grant() {
    // The running stack's own cluster: its superuser made every role.
    let foreign = Foreign::new(&stack().database_url).await;
    let error = foreign.migrate().await.unwrap_err().to_string();
    let owner = &foreign.names[1];
    assert!(error.starts_with("migrations/0001_create_roles.sql"), "{error}");
    assert!(
        error.contains(&format!("{owner} may not set up the roles")) && error.contains(&format!("grant lonieve_owner to {owner}")),
        "{error}"
    );
    let applied: i64 = foreign
        .admin()
        .await
        .query_one("select count(*) from ops.schema_migrations", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(applied, 0);

    foreign
        .admin()
        .await
        .batch_execute(&format!("grant lonieve_owner to {owner}"))
        .await
        .unwrap();
    foreign.migrates().await;
    foreign.remove().await;
}

/// The folder with the Postgres 15 of tests/pg15, installed on first use.
async fn postgres_15() -> PathBuf {
    static INSTALLED: tokio::sync::OnceCell<PathBuf> = tokio::sync::OnceCell::const_new();
    INSTALLED.get_or_init(install_postgres_15).await.clone()
}

async fn install_postgres_15() -> PathBuf {
    let root = layout::workspace_root().unwrap().join("tests/pg15");
    let (lock, stamp) = (
        std::fs::read(root.join("package-lock.json")).unwrap(),
        root.join("node_modules/.lonieve-stamp"),
    );
    if !std::fs::read(&stamp).is_ok_and(|installed| installed == lock) {
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund", "--loglevel=error"])
            .current_dir(&root)
            .stdin(Stdio::null());
        let output = npm.output().await.expect("npm is needed for the Postgres 15 of tests/pg15");
        assert!(
            output.status.success(),
            "npm ci in tests/pg15 failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        std::fs::write(stamp, lock).unwrap();
    }
    root
}
