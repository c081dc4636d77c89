//! Names and comments.

use stack::{database, migrate};

use crate::migrations;

#[test]
fn files_are_numbered_without_gaps_and_named_by_verb_and_object() {
    const VERBS: [&str; 12] = [
        "add", "allow", "alter", "create", "drop", "fix", "grant", "move", "provide", "rename", "replace", "revoke",
    ];
    let files = migrate::read(&migrations()).unwrap();
    assert!(files.len() > 30);
    for (index, file) in files.iter().enumerate() {
        let stem = file.name.strip_suffix(".sql").unwrap();
        let words: Vec<&str> = stem.split('_').collect();
        assert_eq!(words[0], format!("{:04}", index + 1), "{}: numbers run without gaps", file.name);
        assert!(
            words.len() >= 3 && VERBS.contains(&words[1]),
            "{}: NNNN_verb_object.sql, with a verb of {VERBS:?}",
            file.name
        );
        assert!(
            words[2..]
                .iter()
                .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())),
            "{}",
            file.name
        );
    }
}

#[test]
fn every_file_begins_by_saying_what_it_is() {
    for file in migrate::read(&migrations()).unwrap() {
        let comment = file.text.lines().take_while(|line| line.starts_with("--")).count();
        assert!(comment >= 3, "{} has no introduction", file.name);
    }
}

#[tokio::test]
async fn every_schema_table_view_and_function_has_a_comment() {
    let sql = "with ours as (select oid, nspname from pg_namespace where nspname in ('shop', 'analytics', 'crm', 'ai', 'ops', 'api')) \
               select 'schema ' || nspname from ours where obj_description(oid, 'pg_namespace') is null \
               union all select c.oid::regclass::text from pg_class c join ours on ours.oid = c.relnamespace \
                 where c.relkind in ('r', 'p', 'v', 'm') and obj_description(c.oid, 'pg_class') is null \
               union all select p.oid::regprocedure::text from pg_proc p join ours on ours.oid = p.pronamespace where obj_description(p.oid, 'pg_proc') is null";
    let db = database::connect(&lonieve_tests::stack().database_url).await.unwrap();
    let without: Vec<String> = db.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(without, Vec::<String>::new());
}
