//! Four weeks of visits and advertising before today, so that the staff's charts have something to show on the first evening.
//!
//! Each start adds the days that have passed since, up to yesterday; what is there stays as it is. The same day has the same visits on every
//! machine: their number, ways and hours follow from hashes of the day. There are no orders among them. An order that nobody paid would be a
//! row of money without a bill at the provider, and the daily comparison of the books would say so.

use anyhow::Result;
use tokio_postgres::Transaction;

use super::TENANT_ID;

/// Days of history.
const DAYS: i32 = 28;

/// A visit: a page, perhaps a product, a card in the cart, the checkout; each step rarer than the one before.
const VISITS: &str = "
    insert into analytics.events (event_id, tenant_id, created_at, received_at, event_type, session_id, visit_id, visitor_id, url,
                                  utm_source, utm_medium, utm_campaign, device_type, country, page_duration, scroll_depth)
    select md5('demo event|' || v.name || '|' || s.step)::uuid, t.id, at, at, (array['page_view', 'view_product', 'add_to_cart', 'checkout_start'])[s.step],
      'demo-' || v.name, md5('demo visit|' || v.name)::uuid, 'demo-' || v.draw % 700, (array['/', '/product', '/product', '/checkout'])[s.step],
      (array['google', 'newsletter', 'instagram', null])[v.channel], (array['cpc', 'email', 'social', null])[v.channel],
      (array['brand', 'autumn', null, null])[v.channel], (array['mobile', 'mobile', 'desktop', 'tablet'])[1 + v.draw / 7 % 4],
      (array['US', 'GB', 'DE', 'KZ'])[1 + v.draw / 11 % 4], 8 + v.draw / 13 % 90, v.draw / 17 % 101
    from shop.tenants t,
      lateral (select (now() at time zone t.time_zone)::date - d as day from generate_series(1, $2::integer) d) days,
      lateral (select days.day || '-' || i as name, i, ('x' || left(md5('demo|' || days.day || '|' || i), 7))::bit(28)::integer as draw
               from generate_series(1, 18 + ('x' || left(md5('demo|' || days.day), 4))::bit(16)::integer % 22) i) n,
      lateral (select n.name, n.draw, 1 + n.draw % 4 as channel, case when n.draw / 100 % 100 < 40 then 1 when n.draw / 100 % 100 < 74 then 2
               when n.draw / 100 % 100 < 89 then 3 else 4 end as depth) v,
      generate_series(1, 4) as s (step),
      lateral (select (days.day + time '07:00')::timestamp at time zone t.time_zone + make_interval(secs => v.draw % 57600 + s.step * (25 + v.draw / 19 % 80)) as at) moment
    where t.id = $1 and s.step <= v.depth
    on conflict (event_id) do nothing";

const AD_SPEND: &str = "
    insert into analytics.ad_spend (tenant_id, date, utm_source, utm_campaign, spend, currency, clicks, notes)
    select t.id, (now() at time zone t.time_zone)::date - d, c.source, c.campaign, c.spend + d * 37 % 11 * 0.35, t.currency, 9 + d * 7 % 13, 'Demo'
    from shop.tenants t, generate_series(1, $2::integer) d, (values ('google', 'brand', 6.50), ('instagram', null, 3.20)) c (source, campaign, spend)
    where t.id = $1
    on conflict on constraint ad_spend_once do nothing";

pub async fn load(transaction: &Transaction<'_>) -> Result<()> {
    for statement in [VISITS, AD_SPEND] {
        transaction.execute(statement, &[&TENANT_ID, &DAYS]).await?;
    }
    Ok(())
}
