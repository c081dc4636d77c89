//! The sentences of the order mails, English and Russian.

use super::row::Kind;

/// Every text of one mail in one language.
pub struct Words {
    pub lang: &'static str,
    pub subject: &'static str,
    pub title: &'static str,
    pub greeting: &'static str,
    pub intro: &'static str,
    pub message_label: &'static str,
    pub code_label: &'static str,
    pub value_label: &'static str,
    pub redeem_title: &'static str,
    pub redeem: [&'static str; 3],
    pub order_label: &'static str,
    pub date_label: &'static str,
    pub total_label: &'static str,
    pub open_order: &'static str,
    pub support: &'static str,
}

pub fn words(kind: Kind, locale: Option<&str>) -> Words {
    match locale {
        Some("ru") => russian(kind),
        _ => english(kind),
    }
}

fn english(kind: Kind) -> Words {
    let (subject, title, intro) = match kind {
        Kind::Codes => (
            "Your Gift Cards Are Ready!",
            "Your gift cards are ready",
            "Thank you for your order. Here are your codes:",
        ),
        Kind::Gift => (
            "You have received a gift card!",
            "A gift for you",
            "Somebody has sent you a gift card. Here is your code:",
        ),
        Kind::Receipt => (
            "Your gift is on its way",
            "Your gift is on its way",
            "Thank you for your order. The codes went to the recipient; this is your receipt:",
        ),
    };
    Words {
        lang: "en",
        subject,
        title,
        greeting: "Hello",
        intro,
        message_label: "Message",
        code_label: "Code",
        value_label: "Value",
        redeem_title: "How to redeem",
        redeem: [
            "Open the store's website or app and sign in.",
            "Find the page to redeem a gift card.",
            "Enter the code exactly as it is written here.",
        ],
        order_label: "Order",
        date_label: "Date",
        total_label: "Total",
        open_order: "Open the order page",
        support: "Questions? Write to",
    }
}

fn russian(kind: Kind) -> Words {
    let (subject, title, intro) = match kind {
        Kind::Codes => (
            "Ваши подарочные карты готовы!",
            "Ваши подарочные карты готовы",
            "Спасибо за заказ. Вот ваши коды:",
        ),
        Kind::Gift => (
            "Вам подарили подарочную карту!",
            "Подарок для вас",
            "Вам отправили подарочную карту. Вот ваш код:",
        ),
        Kind::Receipt => (
            "Ваш подарок уже в пути",
            "Ваш подарок уже в пути",
            "Спасибо за заказ. Коды отправлены получателю, а это ваш чек:",
        ),
    };
    Words {
        lang: "ru",
        subject,
        title,
        greeting: "Здравствуйте",
        intro,
        message_label: "Сообщение",
        code_label: "Код",
        value_label: "Номинал",
        redeem_title: "Как активировать",
        redeem: [
            "Откройте сайт или приложение магазина и войдите в аккаунт.",
            "Найдите раздел активации подарочной карты.",
            "Введите код в точности так, как он указан в письме.",
        ],
        order_label: "Заказ",
        date_label: "Дата",
        total_label: "Итого",
        open_order: "Открыть страницу заказа",
        support: "Есть вопросы? Напишите нам:",
    }
}
