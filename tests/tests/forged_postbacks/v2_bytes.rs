//! v2: a valid notice with one byte altered, at every place.

use futures::StreamExt;
use futures::stream::iter;
use lonieve_tests::{Placed, Shop};

use crate::attack::{counting, orders, settled, sold};
use crate::v2_wire::{FORMS, Form, genuine, json};

#[derive(Clone, Copy, PartialEq, Debug)]
enum Byte {
    /// Braces, colons, commas, quotes.
    Frame,
    /// Inside a text: a name or a value.
    Text,
    /// Of a number.
    Number,
}

/// What each byte of a notice is. Its texts hold no escapes.
fn anatomy(body: &str) -> Vec<Byte> {
    let mut inside = false;
    body.bytes()
        .map(|byte| match byte {
            b'"' => {
                inside = !inside;
                Byte::Frame
            }
            _ if inside => Byte::Text,
            b'0'..=b'9' | b'.' => Byte::Number,
            _ => Byte::Frame,
        })
        .collect()
}

/// What a notice must get whose byte of this kind has become `byte`.
fn expected(kind: Byte, byte: u8) -> u16 {
    match kind {
        _ if byte >= 0x80 => 400,
        Byte::Frame => 400,
        // A control character stands in no JSON text.
        Byte::Text if byte < 0x20 => 400,
        Byte::Number if !byte.is_ascii_digit() => 400,
        Byte::Text | Byte::Number => 401,
    }
}

#[tokio::test]
async fn no_flipped_byte_gives_a_code() {
    let shop = Shop::new().await;
    let placed = orders(&shop, FORMS.len()).await;
    for (form, order) in FORMS.into_iter().zip(placed) {
        let body = genuine(&shop, &order, form);
        let mut altered = Vec::new();
        for (index, kind) in anatomy(&body).into_iter().enumerate() {
            // The neighbour of a letter, its other case, and a byte of no ASCII.
            for mask in [0x01, 0x20, 0x80] {
                let mut bytes = body.clone().into_bytes();
                bytes[index] ^= mask;
                altered.push((expected(kind, bytes[index]), bytes));
            }
        }
        refuses(&shop, &order, form, altered).await;
    }
}

#[tokio::test]
async fn no_byte_less_and_no_byte_more_gives_a_code() {
    let shop = Shop::new().await;
    let placed = orders(&shop, FORMS.len()).await;
    for (form, order) in FORMS.into_iter().zip(placed) {
        let body = genuine(&shop, &order, form);
        let kinds = anatomy(&body);
        let mut altered = Vec::new();
        for (index, kind) in kinds.iter().enumerate() {
            let (before, after) = body.split_at(index);
            let less = format!("{before}{}", &after[1..]);
            // 37.50 without its last digit is the same sum, and one of the accepted forms.
            let same_sum = form.sent == "37.50" && before.ends_with("37.5") && after.starts_with("0,");
            if !same_sum {
                // A point with nothing behind it is no number.
                let broken = *kind == Byte::Frame || less.contains("37.,");
                altered.push((if broken { 400 } else { 401 }, less.into_bytes()));
            }
            // Before a byte of a text or the quote that ends it.
            if *kind == Byte::Text {
                altered.push((401, format!("{before}x{after}").into_bytes()));
                altered.push((401, format!("{before} {after}").into_bytes()));
            }
            if *kind == Byte::Number && after.starts_with(|c: char| c.is_ascii_digit()) {
                altered.push((401, format!("{before}1{after}").into_bytes()));
            }
        }
        refuses(&shop, &order, form, altered).await;
    }
}

/// Each of them gets its status; together they leave nothing but their count. The notice they were made of is accepted.
async fn refuses(shop: &Shop, order: &Placed, form: Form, altered: Vec<(u16, Vec<u8>)>) {
    let bad = altered.iter().filter(|(status, _)| *status == 401).count() as i64;
    let sale = sold(shop).await;
    let send = async {
        let sent = iter(altered).map(async |(status, bytes)| {
            let reply = json(bytes.clone()).post(shop).await;
            assert_eq!(reply.status, status, "{}: {}", String::from_utf8_lossy(&bytes), reply.text);
        });
        sent.buffer_unordered(8).collect::<()>().await;
    };
    shop.adds_nothing(counting(shop, order, bad, &format!("{form:?}"), send)).await;
    assert_eq!((sold(shop).await, shop.state(order.order_id).await.0.as_str()), (sale, "pending"));
    let twin = json(genuine(shop, order, form)).post(shop).await;
    assert_eq!(twin.expect(200)["outcome"], "fulfilled", "{form:?}");
    assert_eq!(sold(shop).await, sale + 1);
    // What the delivery leaves is not of the next form's notices.
    settled(shop).await;
}
