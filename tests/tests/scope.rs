//! docs/scope.md says of every requirement what became of it; here it is held to that.
#![expect(clippy::unwrap_used, reason = "a test: a failed step is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// The source documents' requirements: letter and last number. 367 together.
const SOURCES: [(char, u32); 5] = [('L', 171), ('O', 71), ('A', 67), ('B', 22), ('M', 36)];

/// What "unit tests of the ..." in a row means.
const UNIT_TESTS: [(&str, &str); 1] = [("signature", "functions/cardlink/src/v2.rs")];

fn root() -> PathBuf {
    stack::layout::workspace_root().unwrap()
}

fn document(name: &str) -> String {
    std::fs::read_to_string(root().join("docs").join(name)).unwrap()
}

struct Row {
    id: String,
    requirement: String,
    state: String,
    shown_by: String,
}

/// `L-45` and the like.
fn is_id(text: &str) -> bool {
    text.split_once('-').is_some_and(|(letter, number)| {
        letter.len() == 1
            && letter.starts_with(|c: char| c.is_ascii_uppercase())
            && !number.is_empty()
            && number.bytes().all(|b| b.is_ascii_digit())
    })
}

/// The cells of a table's row, without the empty ones outside the bars.
fn cells(line: &str) -> Option<Vec<&str>> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    Some(inner.split('|').map(str::trim).collect())
}

fn rows() -> Vec<Row> {
    let text = document("scope.md");
    let mut rows = Vec::new();
    for cells in text.lines().filter_map(cells).filter(|cells| is_id(cells[0])) {
        let [id, requirement, state, shown_by] = cells[..] else {
            panic!("four columns are needed: {cells:?}")
        };
        rows.push(Row {
            id: id.into(),
            requirement: requirement.into(),
            state: state.into(),
            shown_by: shown_by.into(),
        });
    }
    rows
}

#[test]
fn every_requirement_stands_in_the_scope_document_once_and_no_other() {
    let expected: BTreeSet<String> = SOURCES
        .iter()
        .flat_map(|(letter, last)| (1..=*last).map(move |number| format!("{letter}-{number}")))
        .collect();
    assert_eq!(expected.len(), 367);
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for row in rows() {
        *found.entry(row.id).or_default() += 1;
    }
    let missing: Vec<_> = expected.iter().filter(|id| !found.contains_key(*id)).collect();
    let unknown: Vec<_> = found.keys().filter(|id| !expected.contains(*id)).collect();
    let repeated: Vec<_> = found.iter().filter(|(_, count)| **count > 1).collect();
    assert!(
        missing.is_empty() && unknown.is_empty() && repeated.is_empty(),
        "missing {missing:?}, unknown {unknown:?}, more than once {repeated:?}"
    );
}

#[test]
fn every_row_has_a_requirement_a_known_state_and_what_that_state_must_say() {
    for Row {
        id,
        requirement,
        state,
        shown_by,
    } in rows()
    {
        assert!(!requirement.is_empty(), "{id} says nothing");
        match state.as_str() {
            // works: shown where; partly: what is missing; planned: in which piece of work.
            "works" | "partly" | "planned" => assert!(
                !shown_by.is_empty() && shown_by != "-",
                "{id} is {state}, and its last column is empty"
            ),
            _ => {
                let reason = state
                    .strip_prefix("not planned: ")
                    .unwrap_or_else(|| panic!("{id} has the unknown state {state:?}"));
                assert!(reason.len() >= 10, "{id} is not planned, without a reason: {reason:?}");
            }
        }
    }
}

/// Topic of tests -> the files docs/testing.md names for it.
fn topics() -> BTreeMap<String, Vec<String>> {
    let text = document("testing.md");
    let section = text
        .split("\n## ")
        .find(|section| section.starts_with("Topics"))
        .expect("docs/testing.md has no section Topics");
    let table = section.lines().filter_map(cells).skip(2);
    table
        .map(|cells| {
            (
                cells[0].to_owned(),
                quoted(cells[cells.len() - 1]).into_iter().map(str::to_owned).collect(),
            )
        })
        .collect()
}

/// The texts between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The parts of a last column, without what stands in parentheses: "refusals; unit tests of the signature" -> two.
fn named(shown_by: &str) -> Vec<String> {
    let mut depth = 0_u32;
    let mut plain = String::new();
    for c in shown_by.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ if depth == 0 => plain.push(c),
            _ => {}
        }
    }
    plain
        .split([',', ';'])
        .map(|part| part.trim().to_owned())
        .filter(|part| !part.is_empty())
        .collect()
}

/// Whether the file, or a file under the folder, has a test in it; a test program without cargo's harness lists its cases.
fn has_test(path: &std::path::Path) -> bool {
    if path.is_dir() {
        return std::fs::read_dir(path).unwrap().any(|entry| has_test(&entry.unwrap().path()));
    }
    path.extension().is_some_and(|extension| extension == "rs")
        && std::fs::read_to_string(path).is_ok_and(|text| {
            ["#[test]", "#[tokio::test", "const CASES: &[&str]"]
                .iter()
                .any(|sign| text.contains(sign))
        })
}

#[test]
fn every_topic_of_tests_names_files_that_have_tests() {
    for (topic, files) in topics() {
        assert!(!files.is_empty(), "docs/testing.md names no file for {topic}");
        for file in files {
            assert!(
                !matches!(file.trim_end_matches('/'), "tests" | "tests/tests"),
                "{topic}: {file} is every test there is; name the file"
            );
            let path = root().join(&file);
            assert!(path.exists() && has_test(&path), "{topic}: there is no test in {file}");
        }
    }
}

#[test]
fn what_works_is_shown_by_a_test_or_a_document_that_exists() {
    let topics = topics();
    let headings: Vec<String> = document("../README.md")
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches('#').trim().to_owned())
        .collect();
    for row in rows().into_iter().filter(|row| row.state == "works") {
        let mut parts = named(&row.shown_by).into_iter().peekable();
        while let Some(part) = parts.next() {
            // "README, Deploy": a document and its section.
            let section = if part == "README" {
                parts.next_if(|next| !topics.contains_key(next))
            } else {
                None
            };
            let there = topics.contains_key(&part)
                || part.strip_prefix("unit tests of the ").is_some_and(|subject| {
                    UNIT_TESTS
                        .iter()
                        .any(|(name, file)| *name == subject && has_test(&root().join(file)))
                })
                || (part.starts_with("docs/") && root().join(&part).is_file())
                || (part == "README"
                    && section
                        .as_ref()
                        .is_none_or(|section| headings.iter().any(|heading| heading.contains(section.as_str()))));
            assert!(
                there,
                "{} works, shown by {part:?} {section:?}: no topic of docs/testing.md and no document",
                row.id
            );
        }
    }
}
