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

/// What a mail is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    Codes,
    Gift,
    Receipt,
    ReplacedCodes,
    ReplacedGift,
}

impl Topic {
    pub fn of(kind: Kind, is_replacement: bool) -> Self {
        match (kind, is_replacement) {
            (Kind::Codes, false) => Self::Codes,
            (Kind::Codes, true) => Self::ReplacedCodes,
            (Kind::Gift, false) => Self::Gift,
            (Kind::Gift, true) => Self::ReplacedGift,
            (Kind::Receipt, _) => Self::Receipt,
        }
    }
}

pub fn words(topic: Topic, locale: Option<&str>) -> Words {
    match locale {
        Some("ru") => russian(topic),
        _ => english(topic),
    }
}

fn english(topic: Topic) -> Words {
    let (subject, title, intro) = match topic {
        Topic::Codes => (
            "Your Gift Cards Are Ready!",
            "Your gift cards are ready",
            "Thank you for your order. Here are your codes:",
        ),
        Topic::Gift => (
            "You have received a gift card!",
            "A gift for you",
            "Somebody has sent you a gift card. Here is your code:",
        ),
        Topic::Receipt => (
            "Your gift is on its way",
            "Your gift is on its way",
            "Thank you for your order. The codes went to the recipient; this is your receipt:",
        ),
        Topic::ReplacedCodes => (
            "Your replacement codes",
            "Your codes have been replaced",
            "A code of your order did not work, and we have replaced it. These are the codes that are valid now:",
        ),
        Topic::ReplacedGift => (
            "Your gift card has a new code",
            "Your gift has a new code",
            "A code of your gift card did not work, and it has been replaced. This is what is valid now:",
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

fn russian(topic: Topic) -> Words {
    let (subject, title, intro) = match topic {
        Topic::Codes => (
            "Ваши подарочные карты готовы!",
            "Ваши подарочные карты готовы",
            "Спасибо за заказ. Вот ваши коды:",
        ),
        Topic::Gift => (
            "Вам подарили подарочную карту!",
            "Подарок для вас",
            "Вам отправили подарочную карту. Вот ваш код:",
        ),
        Topic::Receipt => (
            "Ваш подарок уже в пути",
            "Ваш подарок уже в пути",
            "Спасибо за заказ. Коды отправлены получателю, а это ваш чек:",
        ),
        Topic::ReplacedCodes => (
            "Ваши новые коды",
            "Мы заменили ваши коды",
            "Один из кодов вашего заказа не сработал, и мы его заменили. Теперь действуют эти коды:",
        ),
        Topic::ReplacedGift => (
            "Новый код вашей подарочной карты",
            "У вашего подарка новый код",
            "Один из кодов вашей подарочной карты не сработал, и его заменили. Вот что действует теперь:",
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
