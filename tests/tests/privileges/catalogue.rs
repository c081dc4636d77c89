//! The same questions put to the database itself: `set role`, and what the catalogue says.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::{Client, error::SqlState};

use crate::{CLOSED_SCHEMAS, GRANTS, ROLES, superuser};

/// A table, view or sequence, and statements that read or write it without changing a row where they are wrongly allowed.
struct Relation {
    name: String,
    statements: Vec<String>,
}

async fn relations(db: &Client) -> Vec<Relation> {
    let sql = "select format('%I.%I', n.nspname, c.relname), c.relkind = 'S', c.relkind = 'm', \
                      (select format('%I', a.attname) from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped \
                       and a.attidentity = '' and a.attgenerated = '' order by a.attnum limit 1) \
               from pg_class c join pg_namespace n on n.oid = c.relnamespace \
               where n.nspname = any($1) and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') order by 1";
    let rows = db.query(sql, &[&CLOSED_SCHEMAS.as_slice()]).await.unwrap();
    let statements = |name: &str, sequence: bool, materialized: bool, column: Option<String>| match column {
        _ if sequence => vec![
            format!("select * from {name}"),
            format!("select nextval('{name}')"),
            format!("select setval('{name}', 1)"),
        ],
        Some(column) if !materialized => vec![
            format!("select * from {name} where false"),
            format!("insert into {name} default values"),
            format!("update {name} set {column} = {column} where false"),
            format!("delete from {name} where false"),
        ],
        _ => vec![format!("select * from {name} where false")],
    };
    let relation = |row: &tokio_postgres::Row| {
        let name: String = row.get(0);
        let statements = statements(&name, row.get(1), row.get(2), row.get(3));
        Relation { name, statements }
    };
    rows.iter().map(relation).collect()
}

/// Tries every statement as the role and returns those that were not refused with 42501. `prepare` runs first, as superuser;
/// everything is rolled back.
async fn not_refused(db: &mut Client, role: &str, relations: &[Relation], prepare: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let transaction = db.transaction().await.unwrap();
    transaction
        .batch_execute(&format!("{prepare}; set local role {role}"))
        .await
        .unwrap();
    for statement in relations.iter().flat_map(|relation| &relation.statements) {
        transaction.batch_execute("savepoint one").await.unwrap();
        match transaction.batch_execute(statement).await {
            Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {}
            Err(error) => wrong.push(format!("{role}: {statement}: {error:?}")),
            Ok(()) => wrong.push(format!("{role}: {statement}: allowed")),
        }
        transaction.batch_execute("rollback to savepoint one").await.unwrap();
    }
    transaction.rollback().await.unwrap();
    wrong
}

#[tokio::test]
async fn every_table_view_and_sequence_is_refused_to_every_role() {
    let mut db = superuser().await;
    let relations = relations(&db).await;
    for known in [
        "shop.gift_codes",
        "shop.orders",
        "analytics.events",
        "ops.outbox",
        "ops.schema_migrations",
        "shop.code_ledger_id_seq",
    ] {
        assert!(
            relations.iter().any(|relation| relation.name == known),
            "{known} is not among the relations tried"
        );
    }
    // The schemas are closed, which hides what the tables' own rights are; so once more with the schemas open.
    let opened = CLOSED_SCHEMAS
        .map(|schema| format!("grant usage on schema {schema} to public"))
        .join("; ");
    let mut wrong = Vec::new();
    for role in ROLES {
        wrong.extend(not_refused(&mut db, role, &relations, "select").await);
        wrong.extend(not_refused(&mut db, role, &relations, &opened).await);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The rows of one text column.
async fn list(sql: &str) -> Vec<String> {
    superuser()
        .await
        .query(sql, &[])
        .await
        .unwrap_or_else(|e| panic!("{sql}: {e:?}"))
        .iter()
        .map(|row| row.get(0))
        .collect()
}

/// SQL for "this namespace is ours".
const OURS: &str = "n.nspname in ('shop', 'analytics', 'crm', 'ai', 'ops', 'api')";

#[tokio::test]
async fn nobody_but_the_owner_has_any_right_on_a_relation_a_column_or_a_closed_schema() {
    // truncate, references and trigger too, and grants to roles nobody thought of.
    let relations = format!(
        "select format('%I.%I: %s to %s', n.nspname, c.relname, a.privilege_type, a.grantee::regrole) \
         from pg_class c join pg_namespace n on n.oid = c.relnamespace cross join aclexplode(c.relacl) a where {OURS} and a.grantee <> c.relowner"
    );
    assert_eq!(list(&relations).await, Vec::<String>::new());
    let columns = format!(
        "select format('%I.%I.%I', n.nspname, c.relname, t.attname) from pg_attribute t join pg_class c on c.oid = t.attrelid \
         join pg_namespace n on n.oid = c.relnamespace where {OURS} and t.attacl is not null"
    );
    assert_eq!(list(&columns).await, Vec::<String>::new());
    let schemas = format!(
        "select format('%s on %I to %s', a.privilege_type, n.nspname, a.grantee::regrole) from pg_namespace n cross join aclexplode(n.nspacl) a \
         where {OURS} and a.grantee <> n.nspowner and not (n.nspname = 'api' and a.privilege_type = 'USAGE' and a.grantee <> 0)"
    );
    assert_eq!(list(&schemas).await, Vec::<String>::new());
    let door = "select a.grantee::regrole::text from pg_namespace n cross join aclexplode(n.nspacl) a \
                where n.nspname = 'api' and a.privilege_type = 'USAGE' and a.grantee <> n.nspowner order by 1";
    let mut expected: Vec<&str> = ROLES.into_iter().filter(|role| *role != "anon").collect();
    expected.sort_unstable();
    assert_eq!(list(door).await, expected, "who may use the schema api");
}

/// Function of `api` -> who but the owner may execute it, out of the catalogue.
async fn granted() -> BTreeMap<String, BTreeSet<String>> {
    let sql = "select p.proname, coalesce(array_agg(case when a.grantee = 0 then 'public' else a.grantee::regrole::text end) \
                      filter (where a.grantee is not null), '{}') \
               from pg_proc p join pg_namespace n on n.oid = p.pronamespace \
               left join lateral (select * from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) x where x.grantee <> p.proowner) a on true \
               where n.nspname = 'api' group by p.oid, p.proname";
    let rows = superuser().await.query(sql, &[]).await.unwrap();
    let granted: BTreeMap<String, BTreeSet<String>> = rows
        .iter()
        .map(|row| (row.get(0), row.get::<_, Vec<String>>(1).into_iter().collect()))
        .collect();
    assert_eq!(
        granted.len(),
        rows.len(),
        "a function of api is overloaded: PostgREST cannot tell them apart"
    );
    granted
}

fn listed() -> BTreeMap<String, BTreeSet<String>> {
    GRANTS
        .iter()
        .map(|(function, roles)| ((*function).to_owned(), roles.iter().map(|role| (*role).to_owned()).collect()))
        .collect()
}

#[tokio::test]
async fn each_function_of_api_is_granted_to_the_roles_listed_here_and_to_no_other() {
    assert_eq!(
        granted().await,
        listed(),
        "left: the database; right: GRANTS in this test. A new function needs a line there and in docs/security.md"
    );
}

#[test]
fn the_table_of_grants_in_the_security_document_is_the_list_of_this_test() {
    let root = stack::layout::workspace_root().unwrap();
    let text = std::fs::read_to_string(root.join("docs/security.md")).unwrap();
    let mut documented: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut roles = BTreeSet::new();
    // | `edge_orders` | orders | `api.health`, `api.list_products`, ... |
    for cells in text
        .lines()
        .map(|line| line.split('|').map(str::trim).collect::<Vec<_>>())
        .filter(|cells| cells.len() == 5)
    {
        let in_row = quoted(cells[1]).into_iter().filter(|name| ROLES.contains(name)).collect::<Vec<_>>();
        roles.extend(in_row.iter().copied());
        for function in quoted(cells[3]).iter().filter_map(|name| name.strip_prefix("api.")) {
            documented
                .entry(function.to_owned())
                .or_default()
                .extend(in_row.iter().map(|role| (*role).to_owned()));
        }
    }
    assert_eq!(roles, ROLES.into_iter().collect(), "every role has a row");
    assert_eq!(documented, listed());
}

/// The texts between backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[tokio::test]
async fn every_function_of_api_runs_as_the_owner_with_an_empty_search_path() {
    let sql = "select p.proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace \
               where n.nspname = 'api' and not (p.prosecdef and p.proconfig @> array['search_path=\"\"'] and p.proowner = 'lonieve_owner'::regrole)";
    assert_eq!(list(sql).await, Vec::<String>::new());
    let helpers = format!(
        "select p.oid::regprocedure::text from pg_proc p join pg_namespace n on n.oid = p.pronamespace \
         where {OURS} and (p.proconfig is null or not p.proconfig @> array['search_path=\"\"'])"
    );
    assert_eq!(
        list(&helpers).await,
        Vec::<String>::new(),
        "helpers run with the rights of their caller, which is the owner: the path matters there too"
    );
}

#[tokio::test]
async fn no_function_is_open_to_public_and_helpers_and_triggers_are_open_to_nobody() {
    let sql = format!(
        "select p.oid::regprocedure || ' to ' || a.grantee::regrole from pg_proc p join pg_namespace n on n.oid = p.pronamespace \
         cross join aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a \
         where {OURS} and a.grantee <> p.proowner and (a.grantee = 0 or n.nspname <> 'api')"
    );
    assert_eq!(list(&sql).await, Vec::<String>::new());
}

#[tokio::test]
async fn row_security_is_on_for_every_table_and_no_policy_opens_one() {
    let sql = format!(
        "select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace \
         where {OURS} and c.relkind in ('r', 'p') and not c.relrowsecurity"
    );
    assert_eq!(list(&sql).await, Vec::<String>::new());
    let policies = format!(
        "select p.polname::text from pg_policy p join pg_class c on c.oid = p.polrelid join pg_namespace n on n.oid = c.relnamespace where {OURS}"
    );
    assert_eq!(list(&policies).await, Vec::<String>::new());
    assert_eq!(
        list("select c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'api'").await,
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn the_owner_owns_everything_and_is_nobody_who_could_log_in() {
    let owner = "select concat_ws(' ', case when rolsuper then 'superuser' end, case when rolcanlogin then 'login' end, \
                 case when rolbypassrls then 'bypassrls' end, case when rolcreaterole then 'createrole' end, case when rolcreatedb then 'createdb' end) \
                 from pg_roles where rolname = 'lonieve_owner'";
    assert_eq!(list(owner).await, [""]);
    let others = format!(
        "select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace where {OURS} and c.relowner <> 'lonieve_owner'::regrole \
         union all select p.oid::regprocedure::text from pg_proc p join pg_namespace n on n.oid = p.pronamespace where {OURS} and p.proowner <> 'lonieve_owner'::regrole \
         union all select n.nspname::text from pg_namespace n where {OURS} and n.nspowner <> 'lonieve_owner'::regrole"
    );
    assert_eq!(list(&others).await, Vec::<String>::new());
    let roles = ROLES.map(|role| format!("'{role}'")).join(", ");
    let members = format!(
        "select m.member::regrole || ' in ' || m.roleid::regrole from pg_auth_members m where m.member in (select oid from pg_roles where rolname in ({roles})) \
         or (m.member = 'authenticator'::regrole and m.roleid not in (select oid from pg_roles where rolname in ({roles})))"
    );
    assert_eq!(
        list(&members).await,
        Vec::<String>::new(),
        "no role becomes another, and PostgREST's login becomes only these"
    );
}

#[tokio::test]
async fn each_worker_has_its_own_limits_on_time_and_on_waiting_for_locks() {
    let sql = "select rolname || ' ' || array_to_string(array(select unnest(rolconfig) order by 1), ' ') from pg_roles where rolname like 'edge\\_%' order by rolname";
    let expected: Vec<String> = ["admin", "cardlink", "copilot", "events", "jobs", "leads", "orders"]
        .iter()
        .map(|name| {
            // Below the Workers' own limit of 10 s: a call that nobody waits for any more must not commit.
            format!("edge_{name} lock_timeout=2s statement_timeout=8s")
        })
        .collect();
    assert_eq!(list(sql).await, expected);
    assert_eq!(
        list("select rolname::text from pg_roles where rolname like 'edge\\_%' and (rolcanlogin or rolsuper or rolbypassrls)").await,
        Vec::<String>::new()
    );
}
