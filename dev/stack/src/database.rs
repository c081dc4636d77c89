//! Connections to Postgres, with TLS for hosted databases, and databases made for a stack or a test.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use tokio_postgres::{Client, Config, NoTls, error::SqlState};

use crate::tls::{self, Address};

/// Connects with the address's `sslmode` (`disable`, `prefer`, `require`, `verify-ca`, `verify-full`; see `tls`).
/// The connection is driven by a task that ends with the client.
pub async fn connect(url: &str) -> Result<Client> {
    let address = Address::parse(url)?;
    let mut config: Config = address.url.parse().context("this is not the address of a Postgres database")?;
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(Duration::from_secs(10));
    }
    let name = name_without_password(&config);
    let failed = || format!("cannot connect to {name}");
    match tls::connector(&address)? {
        Some(tls) => {
            let (client, connection) = config.connect(tls).await.with_context(failed)?;
            tokio::spawn(connection);
            Ok(client)
        }
        None => {
            let (client, connection) = config.connect(NoTls).await.with_context(failed)?;
            tokio::spawn(connection);
            Ok(client)
        }
    }
}

/// Whether the server answered and refused the user or the password.
pub fn is_login_refused(error: &anyhow::Error) -> bool {
    let code = error.downcast_ref::<tokio_postgres::Error>().and_then(tokio_postgres::Error::code);
    matches!(
        code,
        Some(&SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
    )
}

/// "postgres@127.0.0.1:5432/lonieve", for messages.
fn name_without_password(config: &Config) -> String {
    use tokio_postgres::config::Host;
    let host = config.get_hosts().first().map_or("localhost".to_owned(), |host| match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(path) => path.display().to_string(),
    });
    let port = config.get_ports().first().copied().unwrap_or(5432);
    format!(
        "{}@{host}:{port}/{}",
        config.get_user().unwrap_or("?"),
        config.get_dbname().unwrap_or("?")
    )
}

/// Whether every host of the address is this machine.
pub fn is_local(url: &str) -> Result<bool> {
    use tokio_postgres::config::Host;
    let config: Config = Address::parse(url)?
        .url
        .parse()
        .context("this is not the address of a Postgres database")?;
    Ok(config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => matches!(name.as_str(), "localhost" | "127.0.0.1" | "::1"),
        Host::Unix(_) => true,
    }))
}

/// Whether the address leads to another machine whose identity is not checked: worth a line on the screen.
pub fn is_unchecked_remote(url: &str) -> Result<bool> {
    Ok(Address::parse(url)?.is_unchecked() && !is_local(url)?)
}

/// Creates the database unless there is one of that name.
pub async fn create(client: &Client, name: &str) -> Result<()> {
    if client
        .query_opt("select from pg_catalog.pg_database where datname = $1", &[&name])
        .await?
        .is_none()
    {
        client.batch_execute(&format!("create database {}", quoted(name)?)).await?;
    }
    Ok(())
}

/// A new, migrated database beside the one at `url` (a superuser's address): for tests that need one to themselves.
/// Returns its address; [`drop_database`] removes it.
pub async fn create_scratch(url: &str, name: &str, migrations: &Path) -> Result<String> {
    create(&connect(url).await?, name).await?;
    let own = with_database(url, name)?;
    crate::migrate::run(&own, migrations, &|_| {}).await?;
    Ok(own)
}

pub async fn drop_database(url: &str, name: &str) -> Result<()> {
    let sql = format!("drop database if exists {} with (force)", quoted(name)?);
    Ok(connect(url).await?.batch_execute(&sql).await?)
}

/// The same address with another database.
pub fn with_database(url: &str, name: &str) -> Result<String> {
    let mut url = url::Url::parse(url).context("this is not the address of a Postgres database")?;
    url.set_path(name);
    Ok(url.to_string())
}

/// The same address with another user and password.
pub fn with_login(url: &str, user: &str, password: &str) -> Result<String> {
    let mut url = url::Url::parse(url).context("this is not the address of a Postgres database")?;
    if url.set_username(user).is_err() || url.set_password(Some(password)).is_err() {
        bail!("the database's address names no host");
    }
    Ok(url.to_string())
}

/// A plain identifier in quotes. Names come from this crate and from tests, so anything unusual is a mistake.
fn quoted(name: &str) -> Result<String> {
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
        bail!("not a plain name for a database: {name:?}");
    }
    Ok(format!("\"{name}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_hosts_and_sockets_are_local() {
        assert!(is_local("postgres://u:p@127.0.0.1:5432/d").unwrap());
        assert!(is_local("postgres://u@localhost/d?sslmode=disable").unwrap());
        assert!(!is_local("postgres://u:p@db.example.com/d?sslmode=require").unwrap());
        assert!(!is_local("postgres://u:p@localhost,db.example.com/d").unwrap());
    }

    #[test]
    fn an_address_is_changed_in_one_part_only() {
        let url = "postgres://a:b@127.0.0.1:5/d?sslmode=require";
        assert_eq!(with_database(url, "e").unwrap(), "postgres://a:b@127.0.0.1:5/e?sslmode=require");
        assert_eq!(with_login(url, "x", "y").unwrap(), "postgres://x:y@127.0.0.1:5/d?sslmode=require");
    }

    #[test]
    fn odd_database_names_are_refused() {
        assert!(quoted("a\"; drop database x").is_err());
        assert_eq!(quoted("test-1_a").unwrap(), "\"test-1_a\"");
    }
}
