//! Everything that is kept of what happened, for tests that something is kept nowhere.

use std::path::PathBuf;

use futures::TryStreamExt;

use crate::Shop;

/// Everything the database holds, as COPY writes it.
pub async fn dump(shop: &Shop) -> Vec<(String, String)> {
    let tables = "select format('%I.%I', schemaname, tablename) from pg_catalog.pg_tables where schemaname in ('shop', 'analytics', 'crm', 'ai', 'ops', 'auth')";
    let mut dumps = Vec::new();
    for table in shop.db.query(tables, &[]).await.unwrap() {
        let table: String = table.get(0);
        let copy = shop.db.copy_out(&format!("copy {table} to stdout")).await.unwrap();
        let bytes: Vec<u8> = copy
            .try_fold(Vec::new(), |mut all, part| async move {
                all.extend_from_slice(&part);
                Ok(all)
            })
            .await
            .unwrap();
        dumps.push((table, String::from_utf8_lossy(&bytes).into_owned()));
    }
    dumps
}

/// What the processes of the stack printed so far.
pub fn logs() -> Vec<(PathBuf, String)> {
    let stack_json = PathBuf::from(std::env::var_os("LONIEVE_STACK").unwrap());
    let folder = stack_json.parent().unwrap().join("logs");
    let files = std::fs::read_dir(&folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.is_file());
    files
        .map(|path| (path.clone(), String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned()))
        .collect()
}
