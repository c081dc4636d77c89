//! docs/state-machine.md, read as tables.

use shared::cardlink::BillStatus;
use stack::layout::workspace_root;

pub fn text() -> String {
    std::fs::read_to_string(workspace_root().unwrap().join("docs/state-machine.md")).unwrap()
}

/// The rows of the table whose header has these cells, without the header.
pub fn table(header: &[&str]) -> Vec<Vec<String>> {
    let cells = |line: &str| -> Vec<String> {
        let line = line.trim().trim_start_matches('|').trim_end_matches('|');
        line.split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let text = text();
    let mut lines = text.lines().skip_while(|line| !(line.starts_with('|') && cells(line) == header));
    assert!(lines.next().is_some(), "the document has no table {header:?}");
    lines.skip(1).take_while(|line| line.starts_with('|')).map(cells).collect()
}

/// What stands in backticks.
pub fn words(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The arrows of the diagram of orders.
pub fn arrows() -> Vec<(String, String)> {
    let text = text();
    let diagram = text.split("```mermaid").nth(1).unwrap().split("```").next().unwrap();
    let arrow = |line: &str| {
        let (from, rest) = line.trim().split_once(" --> ")?;
        let to = rest.split(':').next()?;
        (from != "[*]").then(|| (from.to_owned(), to.to_owned()))
    };
    diagram.lines().filter_map(arrow).collect()
}

#[test]
fn each_word_of_the_provider_means_what_the_document_says() {
    let rows = table(&["v2 says", "v1 says", "here"]);
    assert_eq!(rows.len(), 6);
    for row in rows {
        let name = |status: BillStatus| serde_json::to_value(status).unwrap();
        for word in words(&row[0]) {
            assert_eq!(name(BillStatus::from_v2(&word)), row[2].as_str(), "v2 {word}");
        }
        for word in words(&row[1]) {
            assert_eq!(name(BillStatus::from_v1(&word)), row[2].as_str(), "v1 {word}");
        }
    }
    assert_eq!(
        (BillStatus::from_v2("SUCCESS"), BillStatus::from_v1("PAID")),
        (BillStatus::Pending, BillStatus::Pending)
    );
}
