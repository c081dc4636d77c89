//! `crm.normalize_phone`: vectors beside libphonenumber's own examples.

use lonieve_tests::Shop;

#[tokio::test]
async fn phone_numbers_of_a_lead_have_one_form() {
    let shop = Shop::new().await;
    let kz = "+77771234567";
    for (country, text, expected) in [
        ("KZ", "+7 (777) 123-45-67", Some(kz)),
        ("KZ", "8 (777) 123-45-67", Some(kz)),
        ("KZ", "8-777-123-45-67", Some(kz)),
        ("KZ", "77771234567", Some(kz)),
        ("KZ", "7771234567", Some(kz)),
        ("KZ", "007 777 1234567", Some(kz)),
        ("KZ", "8 10 7 777 123 45 67", Some(kz)),
        ("KZ", "+7 8 777 123 45 67", Some(kz)),
        ("KZ", "＋７７７７１２３４５６７", Some(kz)),
        ("KZ", "٨٧٧٧١٢٣٤٥٦٧", Some(kz)),
        ("KZ", "\u{202a}+77771234567\u{202c}", Some(kz)),
        ("KZ", "8.777.123.45.67", Some(kz)),
        ("KZ", "8 800 555 35 35", Some("+78005553535")),
        ("KZ", "998901234567", Some("+998901234567")),
        ("KZ", "+998 90 123-45-67", Some("+998901234567")),
        ("GB", "020 7946 0018", Some("+442079460018")),
        ("GB", "+44 (0)20 7946 0018", Some("+442079460018")),
        ("GB", "44 7700 900123", Some("+447700900123")),
        ("DE", "030/123456", Some("+4930123456")),
        ("DE", "4930123456", Some("+4930123456")),
        ("IT", "06 1234 5678", Some("+390612345678")),
        ("IT", "39 333 123 4567", Some("+393331234567")),
        ("US", "(212) 555-2368", Some("+12125552368")),
        ("US", "1-212-555-2368", Some("+12125552368")),
        ("US", "011 44 20 7946 0018", Some("+442079460018")),
        ("BY", "8 029 123-45-67", Some("+375291234567")),
        ("HU", "06 30 123 4567", Some("+36301234567")),
        ("DK", "45 34 41 23 45", Some("+4534412345")),
        ("DK", "34 41 23 45", Some("+4534412345")),
        ("XX", "+77771234567", Some(kz)),
        ("XX", "8 777 123 45 67", None),
        ("KZ", "+7 777 123 45", None),
        ("KZ", "+7 777 123 45 67 8", None),
        ("KZ", "+999 123 456 789", None),
        ("KZ", "+7 777 123 45 67 ext 5", None),
        ("KZ", "8777123456", Some("+78777123456")),
        ("KZ", "877712345", None),
        ("KZ", "0", None),
        ("KZ", "", None),
        ("KZ", "+", None),
        ("KZ", "7+7771234567", None),
    ] {
        let found: Option<String> = shop
            .db
            .query_one("select crm.normalize_phone($1, $2)", &[&text, &country])
            .await
            .unwrap()
            .get(0);
        assert_eq!(found.as_deref(), expected, "{country}: {text}");
    }
}

#[tokio::test]
async fn a_leads_phone_that_has_its_form_keeps_it_whatever_the_country() {
    let shop = Shop::new().await;
    // A number of each plan's shortest and longest length, in E.164, read in every country.
    let sql = "
        with numbers as (
          select distinct '+' || calling_code || rpad('2', length, '345678923456789') as number
          from crm.phone_plans, lateral (values (min_length), (max_length)) l (length)
          where length(calling_code) + length between 7 and 15)
        select number || ' in ' || c.country from numbers, crm.phone_plans c
        where crm.normalize_phone(number, c.country) is distinct from number limit 5";
    let wrong: Vec<String> = shop.db.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(wrong, Vec::<String>::new());
    // Calling codes are prefix-free, which the look-up relies on.
    let sql = "select count(*) from crm.phone_plans a join crm.phone_plans b on a.calling_code <> b.calling_code and starts_with(b.calling_code, a.calling_code)";
    let overlaps: i64 = shop.db.query_one(sql, &[]).await.unwrap().get(0);
    assert_eq!(overlaps, 0);
}
