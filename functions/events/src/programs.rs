//! Which program sent an event, by its user agent. Events of programs are stored like all others, under the program's name; reports of
//! visits leave them out.
//!
//! The list is upstream's (`programs.txt`, written by `cargo xtask programs`), see docs/decisions/0041-programs-are-tagged.md. It is sorted and
//! no text is the beginning of another. So at any place of a user agent only one text can match, the greatest that is not greater
//! than what follows there: one binary search a place, nothing to build, no expressions to carry.

use std::sync::OnceLock;

/// Every browser names itself.
const NO_USER_AGENT: &str = "no_user_agent";
/// Longest name, as the table takes it.
const MAX_NAME: usize = 64;

/// The name of the program, `None` for a person's browser.
pub fn name_of(user_agent: Option<&str>) -> Option<&'static str> {
    static LIST: OnceLock<Vec<&'static str>> = OnceLock::new();
    let list = LIST.get_or_init(|| include_str!("programs.txt").lines().filter(|line| !line.starts_with('#')).collect());
    let Some(user_agent) = user_agent else { return Some(NO_USER_AGENT) };
    // Texts may hold to an end of the user agent.
    let marked = format!("^{user_agent}$");
    let found = marked.char_indices().find_map(|(place, _)| {
        let rest = &marked[place..];
        let next = list.partition_point(|text| *text <= rest);
        list[..next].last().filter(|text| rest.starts_with(**text))
    });
    found.map(|text| short(text))
}

/// The text without what is there only to match.
fn short(text: &'static str) -> &'static str {
    let name = text.trim_matches(['^', '$', ' ', '/', ';', '(', ')', '-']);
    name.get(..MAX_NAME).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_of_people_are_no_programs() {
        for agent in [
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
            "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
            "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
            "Mozilla/5.0 (Linux; Android 14; SM-S921B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/27.0 Chrome/125.0.0.0 Mobile Safari/537.36",
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 YaBrowser/25.10.0.0 Safari/537.36",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 OPR/124.0.0.0",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram 350.0.0.0",
            "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/130.0.0.0 Mobile Safari/537.36 [FB_IAB/FB4A;FBAV/490.0.0.0;]",
            "Mozilla/5.0 (iPad; CPU OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/120.0.0.0 Mobile/15E148 Safari/604.1",
        ] {
            assert_eq!(name_of(Some(agent)), None, "{agent}");
        }
    }

    #[test]
    fn programs_are_named() {
        for (agent, name) in [
            (
                "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
                "Googlebot",
            ),
            ("Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", "bingbot"),
            (
                "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
                "yandex.com/bots",
            ),
            (
                "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
                "GPTBot",
            ),
            (
                "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
                "facebookexternalhit",
            ),
            ("TelegramBot (like TwitterBot)", "TelegramBot"),
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/142.0.0.0 Safari/537.36",
                "HeadlessChrome",
            ),
            ("curl/8.5.0", "curl"),
            ("Wget/1.21", "Wget"),
            ("python-requests/2.32.3", "python-requests"),
            ("Go-http-client/2.0", "Go-http-client"),
            ("okhttp/4.12.0", "okhttp"),
        ] {
            assert_eq!(name_of(Some(agent)), Some(name), "{agent}");
        }
        assert_eq!(name_of(None), Some("no_user_agent"));
    }

    #[test]
    fn a_text_that_holds_to_the_beginning_is_found_there_only() {
        assert_eq!(name_of(Some("curl/8.5.0")), Some("curl"));
        assert_eq!(name_of(Some("Mozilla/5.0 (like curl)")), None);
        assert_eq!(name_of(Some("Mozilla/5.0 \u{fffd}é")), None);
    }

    /// The search relies on both.
    #[test]
    fn the_list_is_sorted_and_no_text_is_the_beginning_of_another() {
        let list: Vec<&str> = include_str!("programs.txt").lines().filter(|line| !line.starts_with('#')).collect();
        assert!(list.len() > 1000, "{}", list.len());
        for pair in list.windows(2) {
            assert!(pair[0] < pair[1] && !pair[1].starts_with(pair[0]), "{pair:?}");
        }
        for text in &list {
            assert!(
                text.len() >= 3 && !short(text).is_empty() && short(text).len() <= MAX_NAME,
                "{text:?}"
            );
            let agent = format!("x {} y", text.trim_matches(['^', '$']));
            let held = text.starts_with('^') || text.ends_with('$');
            assert!(held || name_of(Some(&agent)).is_some(), "{text:?}");
        }
    }
}
