//! A shop with everything that makes figures and rows differ: refunds, reversed fees, money that cannot be added up, unknown costs, programs,
//! visits and orders at the edges of days, advertising without orders and orders without visits. Beside it another shop with the same customers,
//! sessions and channels, of which nothing may show.

use lonieve_tests::Shop;
use uuid::Uuid;

/// Twenty months of orders and 40 days of visits up to now, in a shop west of Greenwich, where a day of UTC is not a day.
pub async fn busy_shop() -> Shop {
    let (shop, other) = (Shop::new().await, Shop::new().await);
    for (shop, zone) in [(&shop, "America/New_York"), (&other, "Asia/Almaty")] {
        let sql = "update shop.tenants set time_zone = $2 where id = $1";
        shop.db.execute(sql, &[&shop.tenant, &zone]).await.unwrap();
        fill(shop).await;
    }
    shop
}

/// A second product, so that products can be told apart.
async fn second_product(shop: &Shop) -> Uuid {
    let id = Uuid::new_v4();
    let sql = "insert into shop.products (id, tenant_id, name, brand, region, nominals, base_price) values ($1, $2, 'Astra & Söhne', 'Astra', 'EUR', '[25]', 100)";
    shop.db.execute(sql, &[&id, &shop.tenant]).await.unwrap();
    id
}

async fn fill(shop: &Shop) {
    let astra = second_product(shop).await;
    let run = async |sql: &str| {
        shop.db
            .execute(sql, &[&shop.tenant])
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    };
    // Every fifth order came without a visit, every seventh names no session; costs are unknown for the newest two of one channel.
    run("insert into shop.orders (tenant_id, email, total_amount, total_cost, status, fulfilment, review_reason, paid_at, delivered_at, created_at, expires_at, \
           utm_source, utm_campaign, session_id) \
         select $1, case when i % 40 = 9 then 'once' || i when i in (50, 90) then 'twice' else 'c' || (i * i) % 23 end || '@example.com', 10 + (i * 37) % 90 + (i % 100) * 0.01, case when i not in (4, 12) then 5 + i % 40 end, \
           case when i in (4, 12) then 'manual_review' else 'paid' end, case when i in (4, 12) then 'waiting' else 'delivered' end, \
           case when i in (4, 12) then 'no_codes_available' end, at, case when i not in (4, 12) then at end, at - interval '3 minutes', at, \
           (array['google', 'facebook', null, 'google'])[1 + i % 4], (array['brand', 'winter', null, null])[1 + i % 4], \
           case when i % 7 > 0 then case when i % 5 = 0 then 'none-' || i else 'session-' || i end end \
         from generate_series(1, 160) i, lateral (select now() - interval '5 minutes' - i * interval '19 hours' * (1 + i / 40) as at) t")
    .await;
    run("insert into shop.orders (tenant_id, email, total_amount, fulfilment, created_at, expires_at, session_id) \
         select $1, 'unpaid' || i || '@example.com', 99, 'reserved', now() - i * interval '20 hours', now(), case when i % 2 = 0 then 'session-' || i end from generate_series(1, 12) i")
    .await;
    let items = "insert into shop.order_items (tenant_id, order_id, product_id, product_name, product_brand, nominal, price, quantity) \
                 select o.tenant_id, o.id, p.id, p.name, p.brand, 50, o.total_amount, 1 from shop.orders o \
                 join shop.products p on p.tenant_id = o.tenant_id and p.id = case when o.email < 'c2' then $2::uuid else $3::uuid end where o.tenant_id = $1";
    shop.db.execute(items, &[&shop.tenant, &astra, &shop.product]).await.unwrap();
    run("insert into shop.transaction_fees (tenant_id, order_id, fee_type, fee_amount, created_at) \
         select tenant_id, id, 'payment_gateway', round(total_amount * 0.029 + 0.30, 2), paid_at from shop.orders where tenant_id = $1 and paid_at is not null")
    .await;
    run(
        "insert into shop.transaction_fees (tenant_id, order_id, fee_type, fee_amount, reverses) \
         select f.tenant_id, f.order_id, f.fee_type, -0.10, f.id from shop.transaction_fees f join shop.orders o on o.id = f.order_id \
         where f.tenant_id = $1 and o.email like 'c1%'",
    )
    .await;
    // A fee in another currency is in no figure, and so it must be in no row.
    run("insert into shop.transaction_fees (tenant_id, order_id, fee_type, fee_amount, currency) \
         select tenant_id, id, 'currency_conversion', 7, 'EUR' from shop.orders where tenant_id = $1 and paid_at is not null and email like 'c2%'")
    .await;
    // Given back days later, in parts; one only asked for.
    run("insert into shop.refunds (tenant_id, order_id, refund_amount, refund_type, kind, status, requested_at, processed_at) \
         select o.tenant_id, o.id, round(o.total_amount / 2, 2), 'partial', case when o.email < 'c3' then 'chargeback' else 'refund' end, \
           case when o.email like 'c6%' then 'approved' else 'completed' end, o.paid_at + interval '30 hours', o.paid_at + interval '30 hours' \
         from shop.orders o where o.tenant_id = $1 and o.paid_at < now() - interval '2 days' and o.email in ('c1@example.com', 'c4@example.com', 'c6@example.com', 'c13@example.com')")
    .await;
    // Money that cannot be added up, and less than was asked.
    run("insert into shop.payments (tenant_id, order_id, bill_id, status, amount, received_amount, received_currency, processed_at) \
         select o.tenant_id, o.id, 'bill-' || o.id, 'paid', o.total_amount, case when o.email < 'c2' then 5 else null end, 'USD', o.paid_at \
         from shop.orders o where o.tenant_id = $1 and o.paid_at is not null and o.email in ('c2@example.com', 'c16@example.com')")
    .await;
    run("insert into analytics.ad_spend (tenant_id, date, utm_source, utm_campaign, utm_content, spend, clicks) \
         select $1, (now() at time zone 'UTC')::date - d, s.source, s.campaign, case when d % 3 = 0 then 'banner' end, 1.37 + d % 5, d \
         from generate_series(0, 50) d, (values ('google', 'brand'), ('facebook', 'winter'), ('tiktok', null::text)) s (source, campaign) where d % 2 = 0 or s.source <> 'tiktok'")
    .await;
    visits(shop).await;
}

/// 400 visits; the deeper the rarer. One in nine is a program's, some events lack a visit, and one visit crosses each midnight.
async fn visits(shop: &Shop) {
    let sql = "insert into analytics.events (event_id, tenant_id, created_at, event_type, session_id, visit_id, utm_source, utm_campaign, device_type, bot, data) \
         select gen_random_uuid(), $1::uuid, at + j * interval '4 minutes', (array['page_view', 'view_product', 'add_to_cart', 'checkout_start', 'x_page_leave'])[j], \
           'session-' || i, case when i % 31 > 0 then md5($1::text || i)::uuid end, \
           case when j >= 1 + i % 2 then (array['google', 'facebook', null, 'google'])[1 + i % 4] end, case when j >= 1 + i % 2 then (array['brand', 'winter', null, null])[1 + i % 4] end, \
           (array['mobile', 'desktop', 'tablet', null])[1 + i % 4], case when i % 9 = 0 then 'examplebot' end, '{}' \
         from generate_series(1, 400) i, generate_series(1, 5) j, lateral (select now() - interval '25 minutes' - abs(i - 4) * interval '137 minutes' as at) t \
         where j <= 1 + i % 5";
    shop.db.execute(sql, &[&shop.tenant]).await.unwrap();
    // What the order's own visit did before it, for some of the orders.
    let sql = "insert into analytics.events (event_id, tenant_id, created_at, event_type, session_id, visit_id) \
         select gen_random_uuid(), o.tenant_id, o.created_at - (5 - j) * interval '1 minute', (array['page_view', 'view_product', 'add_to_cart', 'checkout_start'])[j], \
           o.session_id, md5(o.id::text)::uuid from shop.orders o, generate_series(1, 4) j \
         where o.tenant_id = $1 and o.session_id like 'session-%' and o.paid_at > now() - interval '40 days'";
    shop.db.execute(sql, &[&shop.tenant]).await.unwrap();
    // Who paid first and looked around afterwards has not gone through the funnel to the payment.
    let sql = "insert into analytics.events (event_id, tenant_id, created_at, event_type, session_id, visit_id) \
         select gen_random_uuid(), o.tenant_id, o.paid_at + j * interval '1 minute', (array['page_view', 'view_product', 'add_to_cart', 'checkout_start'])[j], \
           o.session_id, md5('late' || o.id)::uuid from shop.orders o, generate_series(1, 4) j \
         where o.tenant_id = $1 and o.session_id like 'none-%' and o.paid_at > now() - interval '40 days'";
    shop.db.execute(sql, &[&shop.tenant]).await.unwrap();
    // The server's own events; every third names an order that is not this shop's.
    let sql = "insert into analytics.events (event_id, tenant_id, created_at, event_type, session_id, data) \
         select gen_random_uuid(), o.tenant_id, o.paid_at, 'payment_success', coalesce(o.session_id, 'order:' || o.id), \
           jsonb_build_object('order_id', case when o.email like 'c%3@%' then gen_random_uuid() else o.id end) from shop.orders o where o.tenant_id = $1 and o.paid_at is not null";
    shop.db.execute(sql, &[&shop.tenant]).await.unwrap();
}

/// A day of the shop, so many days from its today, as the API takes it.
pub async fn day(shop: &Shop, from_today: i32) -> String {
    let sql = "select ((now() at time zone time_zone)::date + $2::integer)::text from shop.tenants where id = $1";
    shop.db.query_one(sql, &[&shop.tenant, &from_today]).await.unwrap().get(0)
}

/// `start_date` and `end_date` of the days from `first` up to, not including, `last`, counted from today.
pub async fn days(shop: &Shop, first: i32, last: i32) -> String {
    format!("start_date={}&end_date={}", day(shop, first).await, day(shop, last).await)
}
