//! Amounts as people read them. Works on the text of the database; no amount is ever turned into a float, and none is computed.

use crate::wire::Locale;

/// `-1650.00` and `USD` -> `-$1,650.00`; in Russian `-1 650,00 $`. A text of another form is shown as it is.
pub fn money(amount: &str, currency: &str, locale: Locale) -> String {
    let (sign, plain) = match amount.strip_prefix('-') {
        Some(plain) => ("-", plain),
        None => ("", amount),
    };
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let Some((whole, cents)) = plain.split_once('.').filter(|(whole, cents)| is_digits(whole) && is_digits(cents)) else {
        return format!("{amount} {currency}");
    };
    let symbol = match currency {
        "USD" => Some("$"),
        "EUR" => Some("€"),
        "GBP" => Some("£"),
        "RUB" => Some("₽"),
        "KZT" => Some("₸"),
        _ => None,
    };
    match (locale, symbol) {
        (Locale::En, Some(symbol @ ("$" | "€" | "£"))) => format!("{sign}{symbol}{}.{cents}", grouped(whole, ',')),
        (Locale::En, _) => format!("{sign}{}.{cents} {currency}", grouped(whole, ',')),
        (Locale::Ru, _) => format!("{sign}{},{cents}\u{a0}{}", grouped(whole, '\u{a0}'), symbol.unwrap_or(currency)),
    }
}

fn grouped(digits: &str, separator: char) -> String {
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(separator);
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_grouped_and_carry_their_currency() {
        for (amount, currency, english, russian) in [
            ("15234.50", "USD", "$15,234.50", "15\u{a0}234,50\u{a0}$"),
            ("0.00", "USD", "$0.00", "0,00\u{a0}$"),
            ("999.99", "EUR", "€999.99", "999,99\u{a0}€"),
            ("-1650.00", "USD", "-$1,650.00", "-1\u{a0}650,00\u{a0}$"),
            (
                "9999999999.99",
                "KZT",
                "9,999,999,999.99 KZT",
                "9\u{a0}999\u{a0}999\u{a0}999,99\u{a0}₸",
            ),
            ("12.00", "CHF", "12.00 CHF", "12,00\u{a0}CHF"),
            ("odd", "USD", "odd USD", "odd USD"),
        ] {
            assert_eq!(money(amount, currency, Locale::En), english);
            assert_eq!(money(amount, currency, Locale::Ru), russian);
        }
    }
}
