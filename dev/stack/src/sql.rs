//! Splits a script into statements: for migrations that run outside a transaction.

/// The statements of a script, without the semicolons between them. Knows quotes, quoted names, dollar quotes and
/// both kinds of comments, so a semicolon inside one of them splits nothing.
pub fn statements(script: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let (mut start, mut at) = (0, 0);
    while at < script.len() {
        let rest = &script[at..];
        if rest.starts_with(';') {
            found.push(&script[start..at]);
            at += 1;
            start = at;
        } else {
            at += token_length(rest);
        }
    }
    found.push(&script[start..]);
    found.retain(|statement| !is_blank(statement));
    found.iter().map(|statement| statement.trim()).collect()
}

/// The length of the quoted text, comment or single character the text starts with.
fn token_length(text: &str) -> usize {
    let until = |open: usize, close: &str| text[open..].find(close).map_or(text.len(), |at| open + at + close.len());
    match text.as_bytes() {
        [b'\'', ..] => until(1, "'"), // '' inside is two quoted texts side by side: the same length
        [b'"', ..] => until(1, "\""),
        [b'-', b'-', ..] => until(2, "\n"),
        [b'/', b'*', ..] => block_comment(text),
        [b'$', ..] => dollar_tag(text).map_or(1, |tag| until(tag.len(), tag)),
        _ => text.chars().next().map_or(1, char::len_utf8),
    }
}

/// Comments of this kind nest.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// `$$` or `$name$` at the start of the text.
fn dollar_tag(text: &str) -> Option<&str> {
    let end = text[1..].find('$')? + 1;
    let name = &text[1..end];
    let plain = name.chars().all(|c| c.is_alphanumeric() || c == '_') && !name.starts_with(|c: char| c.is_ascii_digit());
    plain.then(|| &text[..=end])
}

fn is_blank(statement: &str) -> bool {
    let mut rest = statement.trim_start();
    while rest.starts_with("--") || rest.starts_with("/*") {
        rest = rest[token_length(rest)..].trim_start();
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn semicolons_split_statements() {
        assert_eq!(statements("select 1; select 2;\n"), ["select 1", "select 2"]);
    }

    #[test]
    fn semicolons_inside_quotes_and_comments_do_not() {
        for one in [
            "select 'a;''b;'",
            "select \"a;b\"",
            "select 1 -- a; b\n + 1",
            "select /* a; /* b; */ c; */ 1",
            "do $$ begin perform 1; end $$",
            "do $body$ begin perform $$a;$$; end $body$",
            "select $1, 'ю;' from t where a$b = 1",
        ] {
            assert_eq!(statements(&format!("{one};")), [one]);
        }
    }

    #[test]
    fn what_holds_comments_only_is_no_statement() {
        assert_eq!(statements("-- no-transaction\n;\n/* x */ -- y"), Vec::<&str>::new());
    }
}
