//! Everything that is kept of what happened, for tests that something is kept nowhere.

use std::collections::BTreeSet;
use std::path::PathBuf;

use aho_corasick::AhoCorasick;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use futures::TryStreamExt;

use crate::Shop;

/// Everything the database holds, as COPY writes it: each table and view of every schema but the server's own.
pub async fn dump(shop: &Shop) -> Vec<(String, String)> {
    let relations = "select format('%I.%I', n.nspname, c.relname) from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
                     where c.relkind in ('r', 'p', 'v', 'm', 'f') and n.nspname <> 'information_schema' and n.nspname !~ '^pg_' order by 1";
    let mut dumps = Vec::new();
    for relation in shop.db.query(relations, &[]).await.unwrap() {
        let relation: String = relation.get(0);
        let copy = shop
            .db
            .copy_out(&format!("copy (select * from {relation}) to stdout"))
            .await
            .unwrap();
        let bytes: Vec<u8> = copy
            .try_fold(Vec::new(), |mut all, part| async move {
                all.extend_from_slice(&part);
                Ok(all)
            })
            .await
            .unwrap();
        dumps.push((relation, String::from_utf8_lossy(&bytes).into_owned()));
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

/// Every way this code could stand in a text: as it is and in its normal form (without hyphens and blanks), in either letter case, in
/// clear, in hex, and in base64 wherever in a longer text it begins.
fn spellings(code: &str) -> Vec<String> {
    let normal: String = code.chars().filter(char::is_ascii_alphanumeric).collect();
    let spaced = code.replace('-', " ");
    let mut all = Vec::new();
    for text in [code, &normal, &spaced] {
        for text in [text.to_owned(), text.to_uppercase(), text.to_lowercase()] {
            all.push(hex::encode(&text));
            all.push(hex::encode_upper(&text));
            for alphabet in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
                all.extend((0..3).map(|offset| inside(alphabet, &text, offset)));
            }
            all.push(text);
        }
    }
    all.sort();
    all.dedup();
    all
}

/// Where one of these codes stands in one of these texts, in whatever spelling: the text's name and the number of the code.
pub fn places(texts: &[(String, String)], codes: &[String]) -> BTreeSet<(String, usize)> {
    let spelt: Vec<(usize, String)> = codes
        .iter()
        .enumerate()
        .flat_map(|(n, code)| spellings(code).into_iter().map(move |text| (n, text)))
        .collect();
    let search = AhoCorasick::new(spelt.iter().map(|(_, text)| text)).unwrap();
    let mut found = BTreeSet::new();
    for (name, text) in texts {
        found.extend(search.find_iter(text).map(|hit| (name.clone(), spelt[hit.pattern()].0)));
    }
    found
}

/// The characters of the base64 of `text` that are the same whatever stands before and after it, where it begins at this byte of three.
fn inside(alphabet: &impl Engine, text: &str, offset: usize) -> String {
    let bytes = [vec![0; offset], text.as_bytes().to_vec()].concat();
    let encoded = alphabet.encode(&bytes);
    // Six bits a character: those that hold bits of what stands before, and those that hold bits of what follows, fall away.
    let (first, last) = ((offset * 8).div_ceil(6), bytes.len() * 8 / 6);
    encoded[first..last].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_in_every_form_and_at_every_place() {
        use base64::engine::general_purpose::{STANDARD, URL_SAFE};
        let code = "ABCD-E?~1-WXYZ-0002";
        let found = |text: &str| !places(&[(String::new(), text.to_owned())], &[code.to_owned()]).is_empty();
        for before in ["", "x", "xy", "xyz"] {
            let text = format!("{before}{code} and more");
            for text in [
                STANDARD.encode(&text),
                URL_SAFE.encode(&text),
                STANDARD.encode(text.to_lowercase()),
                hex::encode(&text),
            ] {
                assert!(found(&text), "{before}: {text}");
            }
        }
        for text in [
            "abcd-e?~1-wxyz-0002",
            "say ABCDE1WXYZ0002.",
            "\\\\x414243442d453f7e312d5758595a2d30303032",
        ] {
            assert!(found(text), "{text}");
        }
        assert!(!found("ABCD-E?~1-WXYZ-0003 0002"));
    }
}
