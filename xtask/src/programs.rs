//! `cargo xtask programs <crawler-user-agents.json>`: renews the list of programs that the events Worker tags
//! (`functions/events/src/programs.txt`) from the file of that name in the npm package `crawler-user-agents`.
//!
//! Upstream keeps a regular expression for each program; nearly all of them are plain texts. A Worker carries no regular expressions: each one
//! becomes the texts it stands for, or the longest text that every match of it contains. `^` and `$` at an end of a text are the
//! ends of the user agent.

use std::{collections::BTreeSet, path::Path, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, bail, ensure};
use regex_syntax::hir::{Class, Hir, HirKind, Look};
use serde::Deserialize;

/// Shorter texts would be found in people's browsers too.
const SHORTEST: usize = 3;
/// Most texts one expression may stand for.
const MOST: usize = 64;

#[derive(clap::Args)]
pub struct Options {
    /// crawler-user-agents.json of the unpacked package; its package.json lies beside it
    list: PathBuf,
}

#[derive(Deserialize)]
struct Entry {
    pattern: String,
    #[serde(default)]
    instances: Vec<String>,
}

#[derive(Deserialize)]
struct Package {
    version: String,
}

pub fn run(root: &Path, options: &Options) -> Result<ExitCode> {
    let read = |path: &Path| std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
    let entries: Vec<Entry> = serde_json::from_str(&read(&options.list)?).context("the list is not as expected")?;
    let package: Package = serde_json::from_str(&read(&options.list.with_file_name("package.json"))?).context("package.json")?;
    let mut texts = BTreeSet::new();
    for entry in &entries {
        texts.extend(texts_of(&entry.pattern).with_context(|| format!("the expression {}", entry.pattern))?);
    }
    let texts = without_prefixed(texts);
    let missed: Vec<&String> = entries
        .iter()
        .flat_map(|entry| &entry.instances)
        .filter(|agent| !texts.iter().any(|text| format!("^{agent}$").contains(text)))
        .collect();
    ensure!(
        missed.is_empty(),
        "{} of upstream's examples are not found, such as {}",
        missed.len(),
        missed[0]
    );
    let file = root.join("functions/events/src/programs.txt");
    let head = format!(
        "# Programs by their user agents, from crawler-user-agents {} (MIT licence, Copyright (c) 2017 Martin Monperrus).\n\
         # Written by `cargo xtask programs`: sorted, none is the beginning of another. Do not edit.\n",
        package.version
    );
    std::fs::write(&file, head + &texts.join("\n") + "\n").with_context(|| format!("cannot write {}", file.display()))?;
    let examples: usize = entries.iter().map(|entry| entry.instances.len()).sum();
    println!(
        "{} expressions became {} texts; all {examples} examples are found",
        entries.len(),
        texts.len()
    );
    Ok(ExitCode::SUCCESS)
}

/// A text that begins with another one of the list finds nothing that the other does not.
fn without_prefixed(texts: BTreeSet<String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for text in texts {
        if !kept.last().is_some_and(|last| text.starts_with(last.as_str())) {
            kept.push(text);
        }
    }
    kept
}

fn texts_of(pattern: &str) -> Result<Vec<String>> {
    let hir = regex_syntax::parse(pattern)?;
    let texts: Vec<String> = expand(&hir).into_iter().map(|sequence| longest(&sequence)).collect();
    if let Some(short) = texts
        .iter()
        .find(|text| text.trim_matches(['^', '$']).len() < SHORTEST && !text.starts_with('^'))
    {
        bail!("comes down to {short:?}, which is too short");
    }
    Ok(texts)
}

#[derive(Clone)]
enum Piece {
    Text(String),
    /// Something that no one text stands for.
    Gap,
}

/// The sequences an expression stands for.
fn expand(hir: &Hir) -> Vec<Vec<Piece>> {
    let text = |text: &str| vec![vec![Piece::Text(text.to_owned())]];
    let gap = || vec![vec![Piece::Gap]];
    match hir.kind() {
        HirKind::Empty => vec![Vec::new()],
        HirKind::Literal(literal) => std::str::from_utf8(&literal.0).map_or_else(|_| gap(), text),
        HirKind::Look(Look::Start) => text("^"),
        HirKind::Look(Look::End) => text("$"),
        HirKind::Look(_) => vec![Vec::new()],
        HirKind::Class(Class::Unicode(class)) => {
            let chars: Vec<char> = class.iter().flat_map(|range| range.start()..=range.end()).take(5).collect();
            if chars.len() > 4 {
                return gap();
            }
            chars.into_iter().map(|char| vec![Piece::Text(char.to_string())]).collect()
        }
        HirKind::Class(Class::Bytes(_)) | HirKind::Repetition(_) => gap(),
        HirKind::Capture(capture) => expand(&capture.sub),
        HirKind::Alternation(parts) => parts.iter().flat_map(expand).collect(),
        HirKind::Concat(parts) => parts.iter().fold(vec![Vec::new()], |begun, part| {
            let ends = expand(part);
            if begun.len() * ends.len() > MOST {
                return begun.into_iter().map(|sequence| [sequence, vec![Piece::Gap]].concat()).collect();
            }
            begun
                .iter()
                .flat_map(|start| ends.iter().map(move |end| [start.clone(), end.clone()].concat()))
                .collect()
        }),
    }
}

/// The longest text that a sequence holds in one piece.
fn longest(sequence: &[Piece]) -> String {
    let runs = sequence.split(|piece| matches!(piece, Piece::Gap)).map(|run| {
        run.iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.as_str(),
                Piece::Gap => "",
            })
            .collect::<String>()
    });
    runs.max_by_key(String::len).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_becomes_the_texts_it_stands_for() {
        for (pattern, texts) in [
            (r"Googlebot\/", &["Googlebot/"][..]),
            ("[wW]get", &["Wget", "wget"]),
            ("^curl", &["^curl"]),
            (r"(^| )sentry\/", &["^sentry/", " sentry/"]),
            ("Ahrefs(Bot|SiteAudit)", &["AhrefsBot", "AhrefsSiteAudit"]),
            (r"Current[\s\S]*RSS Reader", &["RSS Reader"]),
            (r"BlogTraffic\/\d\.\d+ Feed-Fetcher", &[" Feed-Fetcher"]),
            ("SSL Labs$", &["SSL Labs$"]),
        ] {
            assert_eq!(texts_of(pattern).unwrap(), texts, "{pattern}");
        }
        assert!(texts_of("ab[cd]?").is_err(), "two letters would be found everywhere");
    }

    #[test]
    fn what_another_text_finds_already_is_left_out() {
        let texts = ["AdsBot-Google", "AdsBot-Google$", "AdsBot-Google-Mobile", "AdsBot"].map(str::to_owned);
        assert_eq!(without_prefixed(texts.into()), ["AdsBot"]);
    }
}
