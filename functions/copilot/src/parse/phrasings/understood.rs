//! Questions that have one meaning, and which.

use super::*;

/// The examples of the document (L-131), in both wordings it has.
#[test]
fn the_documents_examples() {
    for (question, plan) in [
        ("Show me revenue for last 7 days", revenue(days(7))),
        ("What's our profit this week?", profit(Period::ThisWeek)),
        ("Who are our best customers?", customers(10, WEEK)),
        ("Show top 10 products", products(10, WEEK)),
        ("What are the top performing channels?", channels(10, WEEK)),
        ("revenue for last 7 days", revenue(days(7))),
        ("profit this week", profit(Period::ThisWeek)),
        ("best customers", customers(10, WEEK)),
        ("top 10 products", products(10, WEEK)),
        ("top performing channels", channels(10, WEEK)),
    ] {
        assert_eq!(parse(question).map(|q| q.plan), Ok(plan), "{question}");
    }
}

#[test]
fn questions_in_english() {
    use Period::*;
    for (question, plan) in [
        ("revenue", revenue(WEEK)),
        ("Revenue?", revenue(WEEK)),
        ("REVENUE TODAY", revenue(Today)),
        ("What is the revenue today?", revenue(Today)),
        ("today's revenue", revenue(Today)),
        ("What’s today’s revenue?", revenue(Today)),
        ("how much revenue did we have yesterday?", revenue(Yesterday)),
        ("yesterday's total revenue please", revenue(Yesterday)),
        ("turnover this month", revenue(ThisMonth)),
        ("Can you show me our revenue for this month?", revenue(ThisMonth)),
        ("i want to know the revenue for last month", revenue(LastMonth)),
        ("last month's revenue", revenue(LastMonth)),
        ("revenue in the previous month", revenue(LastMonth)),
        ("revenue last week", revenue(LastWeek)),
        ("revenue for the previous week", revenue(LastWeek)),
        ("revenue current week", revenue(ThisWeek)),
        ("revenue over the past week", revenue(days(7))),
        ("revenue in the past month", revenue(months(1))),
        ("revenue for the last 30 days", revenue(days(30))),
        ("revenue during the last ten days", revenue(days(10))),
        ("revenue in the last two weeks", revenue(weeks(2))),
        ("revenue for the past three months", revenue(months(3))),
        ("the last 7 days revenue", revenue(days(7))),
        ("revenue for 14 days", revenue(days(14))),
        ("revenue on 2026-01-15", revenue(on(2026, 1, 15))),
        ("revenue 15.01.2026", revenue(on(2026, 1, 15))),
        ("revenue on January 15, 2026", revenue(on(2026, 1, 15))),
        ("revenue on 15 January 2026", revenue(on(2026, 1, 15))),
        ("revenue for Jan 15 2026", revenue(on(2026, 1, 15))),
        ("revenue from 2026-01-01 to 2026-01-31", revenue(january())),
        ("revenue between January 1, 2026 and January 31, 2026", revenue(january())),
        ("revenue from 1 January 2026 through 31 January 2026", revenue(january())),
        ("revenue 2026-01-01 - 2026-01-31", revenue(january())),
        ("revenue 2026-01-01..2026-01-31", revenue(january())),
        ("revenue in January 2026", revenue(january())),
        ("revenue on 29 February 2028", revenue(on(2028, 2, 29))),
        ("show us the profit", profit(WEEK)),
        ("how much profit this week", profit(ThisWeek)),
        ("profit for last 1 month", profit(months(1))),
        ("total profit for the last 90 days", profit(days(90))),
        ("profits for six months", profit(months(6))),
        ("orders today", orders(Today)),
        ("how many orders today?", orders(Today)),
        ("How many orders did we get yesterday?", orders(Yesterday)),
        ("number of orders last week", orders(LastWeek)),
        ("order count for this month", orders(ThisMonth)),
        ("paid orders in the last five days", orders(days(5))),
        ("how many paid orders", orders(WEEK)),
        ("how many sales this week", orders(ThisWeek)),
        ("number of sales today", orders(Today)),
        ("top products", products(10, WEEK)),
        ("top-5 products", products(5, WEEK)),
        ("top ten products this month", products(10, ThisMonth)),
        ("Which are our 3 best products?", products(3, WEEK)),
        ("best selling products last month", products(10, LastMonth)),
        ("top 7 best-selling products in the last 7 days", products(7, days(7))),
        ("most popular products", products(10, WEEK)),
        ("what are the most popular products this week", products(10, ThisWeek)),
        ("top products by revenue", products(10, WEEK)),
        ("top selling products", products(10, WEEK)),
        ("list of the top 20 products for the last 2 weeks", products(20, weeks(2))),
        ("top customers", customers(10, WEEK)),
        ("best customer", customers(10, WEEK)),
        ("Who were our top 3 clients last month?", customers(3, LastMonth)),
        ("top one buyer today", customers(1, Today)),
        ("four best buyers yesterday", customers(4, Yesterday)),
        ("channels", channels(10, WEEK)),
        ("marketing channels last month", channels(10, LastMonth)),
        ("top 3 channels", channels(3, WEEK)),
        ("top 3 performing channels today", channels(3, Today)),
        ("best channels by profit", channels(10, WEEK)),
        ("revenue by channel", channels(10, WEEK)),
        ("orders per channel this month", channels(10, ThisMonth)),
        ("profit by channels for the last 7 days", channels(10, days(7))),
        ("channel performance this week", channels(10, ThisWeek)),
        ("traffic sources yesterday", channels(10, Yesterday)),
        ("alerts", alerts(None)),
        ("any alerts?", alerts(None)),
        ("Are there any open alerts?", alerts(None)),
        ("how many active alerts do we have", alerts(None)),
        ("show current alerts", alerts(None)),
        ("alerts today", alerts(Some(Today))),
        ("notifications for the last 3 days", alerts(Some(days(3)))),
        ("unit economics", economics(WEEK)),
        ("unit-economics for the last 30 days", economics(days(30))),
        ("What are our unit economics this month?", economics(ThisMonth)),
        ("revenue revenue today", revenue(Today)),
        ("hello, revenue today", revenue(Today)),
    ] {
        assert_eq!(parse(question).map(|q| q.plan), Ok(plan), "{question}");
    }
}

#[test]
fn questions_in_russian() {
    use Period::*;
    for (question, plan) in [
        ("выручка", revenue(WEEK)),
        ("Какая выручка сегодня?", revenue(Today)),
        ("выручка за сегодня", revenue(Today)),
        ("выручка за сегодняшний день", revenue(Today)),
        ("сегодняшняя выручка", revenue(Today)),
        ("Сколько выручки за вчера?", revenue(Yesterday)),
        ("покажи вчерашнюю выручку", revenue(Yesterday)),
        ("Покажи выручку за последние 7 дней", revenue(days(7))),
        ("выручка за последние семь дней", revenue(days(7))),
        ("выручка за 7 дней", revenue(days(7))),
        ("выручка за неделю", revenue(days(7))),
        ("выручка за последнюю неделю", revenue(days(7))),
        ("выручка за месяц", revenue(months(1))),
        ("выручка за последний месяц", revenue(months(1))),
        ("выручка за три месяца", revenue(months(3))),
        ("выручка за последние две недели", revenue(weeks(2))),
        ("выручка за 7 последних дней", revenue(days(7))),
        ("выручка в течение последних десяти дней", revenue(days(10))),
        ("какой был оборот в этом месяце", revenue(ThisMonth)),
        ("выручка за текущий месяц", revenue(ThisMonth)),
        ("выручка на этой неделе", revenue(ThisWeek)),
        ("выручка за эту неделю", revenue(ThisWeek)),
        ("выручка на прошлой неделе", revenue(LastWeek)),
        ("выручка за прошлую неделю", revenue(LastWeek)),
        ("выручка за предыдущую неделю", revenue(LastWeek)),
        ("выручка за прошлый месяц", revenue(LastMonth)),
        ("общая выручка в прошлом месяце", revenue(LastMonth)),
        ("выручка за 15 января 2026", revenue(on(2026, 1, 15))),
        ("выручка 15 января 2026 года", revenue(on(2026, 1, 15))),
        ("выручка за 15.01.2026", revenue(on(2026, 1, 15))),
        ("выручка за 2026-01-15", revenue(on(2026, 1, 15))),
        ("выручка с 1 января 2026 по 31 января 2026", revenue(january())),
        ("выручка с 01.01.2026 по 31.01.2026", revenue(january())),
        ("выручка за период с 01.01.2026 по 31.01.2026", revenue(january())),
        ("выручка за 01.01.2026 - 31.01.2026", revenue(january())),
        ("выручка за 01.01.2026–31.01.2026", revenue(january())),
        ("выручка за январь 2026", revenue(january())),
        ("выручка в январе 2026 года", revenue(january())),
        ("сколько составила прибыль", profit(WEEK)),
        ("прибыль за эту неделю", profit(ThisWeek)),
        ("Какая у нас прибыль за последние 30 дней?", profit(days(30))),
        ("Какова наша прибыль за шесть месяцев", profit(months(6))),
        ("прибыль — сегодня", profit(Today)),
        ("заказы", orders(WEEK)),
        ("сколько заказов сегодня", orders(Today)),
        ("Сколько было заказов вчера?", orders(Yesterday)),
        ("количество заказов за прошлый месяц", orders(LastMonth)),
        ("число оплаченных заказов за 10 дней", orders(days(10))),
        ("сколько продаж за неделю", orders(days(7))),
        ("топ товаров", products(10, WEEK)),
        ("топ-10 товаров", products(10, WEEK)),
        ("топ 5 товаров за прошлый месяц", products(5, LastMonth)),
        ("топ пять товаров", products(5, WEEK)),
        ("покажи 3 лучших товара", products(3, WEEK)),
        ("три лучших товара за вчера", products(3, Yesterday)),
        ("лучшие товары по выручке", products(10, WEEK)),
        ("самые популярные товары", products(10, WEEK)),
        ("самые продаваемые продукты за эту неделю", products(10, ThisWeek)),
        ("топ 10 популярных товаров", products(10, WEEK)),
        ("лучшие клиенты", customers(10, WEEK)),
        ("Кто наши лучшие клиенты?", customers(10, WEEK)),
        ("топ десять покупателей за последние восемь недель", customers(10, weeks(8))),
        ("лучший покупатель за прошлую неделю", customers(10, LastWeek)),
        ("каналы", channels(10, WEEK)),
        ("рекламные каналы за прошлый месяц", channels(10, LastMonth)),
        ("лучшие каналы за последние четыре недели", channels(10, weeks(4))),
        ("топ 3 канала по прибыли", channels(3, WEEK)),
        ("выручка по каналам", channels(10, WEEK)),
        ("прибыль по каналам за вчера", channels(10, Yesterday)),
        ("источники трафика за неделю", channels(10, days(7))),
        ("алерты", alerts(None)),
        ("есть ли оповещения?", alerts(None)),
        ("покажи открытые оповещения", alerts(None)),
        ("сколько активных уведомлений", alerts(None)),
        ("алерты за последние 3 дня", alerts(Some(days(3)))),
        ("юнит-экономика", economics(WEEK)),
        ("покажи юнит экономику за последние 30 дней", economics(days(30))),
        ("какая юнит-экономика за этот месяц", economics(ThisMonth)),
        ("выручка за последние девять дней, пожалуйста", revenue(days(9))),
        ("Привет! Какая выручка за последний месяц?", revenue(months(1))),
        ("revenue за вчера", revenue(Yesterday)),
    ] {
        assert_eq!(parse(question).map(|q| q.plan), Ok(plan), "{question}");
    }
}

/// Numbers in words up to ten, in the forms that follow `last`.
#[test]
fn numbers_in_words() {
    let english = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
    let nominative = [
        "один",
        "два",
        "три",
        "четыре",
        "пять",
        "шесть",
        "семь",
        "восемь",
        "девять",
        "десять",
    ];
    let genitive = [
        "одного",
        "двух",
        "трех",
        "четырёх",
        "пяти",
        "шести",
        "семи",
        "восьми",
        "девяти",
        "десяти",
    ];
    for count in 1..=10 {
        let word = |words: [&'static str; 10]| words[count as usize - 1];
        for question in [
            format!("revenue for the last {} days", word(english)),
            format!("выручка за последние {} дней", word(nominative)),
            format!("выручка в течение последних {} дней", word(genitive)),
        ] {
            assert_eq!(parse(&question).map(|q| q.plan), Ok(revenue(days(count))), "{question}");
        }
    }
    for question in [
        "revenue for the last eleven days",
        "выручка за последние одиннадцать дней",
        "revenue for the last couple of weeks",
        "выручка за пару недель",
    ] {
        assert!(parse(question).is_err(), "{question}");
    }
}
