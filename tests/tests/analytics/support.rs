//! A tenant with a viewer, and rows as they could stand in its tables.

use std::sync::Arc;

use lonieve_tests::interleaving::ground::{Ground, Line, Refused, Who};
use uuid::Uuid;

/// 10 November 2026, noon in Berlin.
pub const NOW: &str = "2026-11-10 11:00Z";

pub struct Shop {
    pub ground: Arc<Ground>,
    pub line: Line,
    pub tenant: Uuid,
    pub viewer: Uuid,
    pub product: Uuid,
}

/// An order; what a test does not name is harmless. Times are SQL's, with a zone: `2026-10-25 00:30Z`.
#[derive(Clone, Copy)]
pub struct Sale<'a> {
    pub email: &'a str,
    /// Created five minutes before it; `None`: never paid.
    pub paid_at: Option<&'a str>,
    pub created_at: Option<&'a str>,
    pub total: &'a str,
    pub cost: Option<&'a str>,
    pub fee: Option<&'a str>,
    /// What the provider says came in, and its currency; `None`: an order brought in from another system, without a payment.
    pub received: Option<(&'a str, &'a str)>,
    pub status: &'a str,
    pub source: Option<&'a str>,
    pub campaign: Option<&'a str>,
    pub session: Option<&'a str>,
    pub user: Option<Uuid>,
    pub brand: Option<&'a str>,
    pub quantity: i32,
}

/// A paid order of 100.00 that cost 70.00 and came from nowhere.
pub const SALE: Sale = Sale {
    email: "ann@example.com",
    paid_at: None,
    created_at: None,
    total: "100.00",
    cost: Some("70.00"),
    fee: None,
    received: None,
    status: "paid",
    source: None,
    campaign: None,
    session: None,
    user: None,
    brand: Some("Nimbus"),
    quantity: 1,
};

/// A visitor's event; the visit is named by a text. Of one session and visit each unless said otherwise.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    pub session: &'a str,
    /// `None`: without a visit.
    pub visit: Option<&'a str>,
    pub kind: &'a str,
    pub at: &'a str,
    pub source: Option<&'a str>,
    pub campaign: Option<&'a str>,
    pub device: Option<&'a str>,
    pub page_duration: Option<i32>,
    pub scroll: Option<i32>,
    pub bot: Option<&'a str>,
    /// JSON.
    pub data: Option<&'a str>,
}

pub const SEEN: Seen = Seen {
    session: "s",
    visit: Some("v"),
    kind: "page_view",
    at: NOW,
    source: None,
    campaign: None,
    device: None,
    page_duration: None,
    scroll: None,
    bot: None,
    data: None,
};

impl Shop {
    pub async fn new(zone: &str) -> Self {
        Self::on(Arc::new(Ground::shared().await), zone).await
    }

    /// In a database of its own, for what belongs to no tenant.
    pub async fn alone(zone: &str) -> Self {
        Self::on(Arc::new(Ground::new().await), zone).await
    }

    /// A tenant in this database.
    pub async fn on(ground: Arc<Ground>, zone: &str) -> Self {
        let [tenant, viewer, product] = [(); 3].map(|()| Uuid::new_v4());
        let host = format!("{}.test", tenant.simple());
        let sql = "insert into shop.tenants (id, name, primary_domain, time_zone) values ($1, 'Shop', $2, $3)";
        ground.admin.execute(sql, &[&tenant, &host, &zone]).await.unwrap();
        let sql = "insert into shop.staff_members (user_id, tenant_id, role) values ($1, $2, 'viewer')";
        ground.admin.execute(sql, &[&viewer, &tenant]).await.unwrap();
        let sql = "insert into shop.products (id, tenant_id, name, brand, region, nominals, base_price) values ($1, $2, 'Nimbus Card', 'Nimbus', 'EUR', '[50]', 75)";
        ground.admin.execute(sql, &[&product, &tenant]).await.unwrap();
        let line = ground.line().await;
        Self {
            ground,
            line,
            tenant,
            viewer,
            product,
        }
    }

    /// Rows of a function of `api`, as the viewer of this shop.
    pub async fn api(&self, report: &str, columns: &str) -> Vec<String> {
        self.as_person(self.viewer, report, columns).await.unwrap()
    }

    pub async fn as_person(&self, person: Uuid, report: &str, columns: &str) -> Result<Vec<String>, Refused> {
        let columns: Vec<&str> = columns.split(", ").collect();
        self.line.rows(Who::Person(person), report, &columns).await
    }

    /// Rows of a query over functions of `analytics`; `$1` is the tenant. Cells as in [`Self::api`].
    pub async fn sql(&self, from: &str, columns: &str) -> Vec<String> {
        self.try_sql(from, columns).await.unwrap()
    }

    pub async fn try_sql(&self, from: &str, columns: &str) -> Result<Vec<String>, Refused> {
        let cells: Vec<String> = columns.split(", ").map(|column| format!("r.{column}::text")).collect();
        let sql = format!("select array_to_string(array[{}], ' | ', '-') from {from} r", cells.join(", "));
        let rows = self.ground.admin.query(&sql, &[&self.tenant]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    pub async fn execute(&self, sql: &str, texts: &[Option<&str>]) {
        let mut values: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> = vec![&self.tenant];
        values.extend(texts.iter().map(|text| text as &(dyn tokio_postgres::types::ToSql + Sync)));
        self.ground
            .admin
            .execute(sql, &values)
            .await
            .unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    }

    pub async fn sale(&self, sale: Sale<'_>) -> Uuid {
        let id = Uuid::new_v4();
        let paid = sale.paid_at.is_some();
        let delivered = sale.paid_at.filter(|_| sale.cost.is_some());
        let status = if paid { sale.status } else { "pending" };
        let created = sale.created_at.or(sale.paid_at).unwrap();
        let sql = "insert into shop.orders (id, tenant_id, email, total_amount, total_cost, status, fulfilment, review_reason, session_id, user_id, \
                     utm_source, utm_campaign, created_at, paid_at, delivered_at, expires_at) \
                   select $2, $1, $3, $4::text::numeric, $5::text::numeric, $6, case when $6 = 'pending' then 'reserved' when $6 = 'manual_review' then 'waiting' when $10::text is null then 'none' \
                     when $6 in ('refunded', 'chargeback') then 'revoked' else 'delivered' end, \
                     case when $6 = 'manual_review' then 'no_codes_available' end, $7, $8, $11, $12, \
                     $9::text::timestamptz - case when $13 then interval '0' else interval '5 minutes' end, \
                     $14::text::timestamptz, $10::text::timestamptz, $9::text::timestamptz + interval '1 hour'";
        let given = sale.created_at.is_some() || !paid;
        self.ground
            .admin
            .execute(
                sql,
                &[
                    &self.tenant,
                    &id,
                    &sale.email,
                    &sale.total,
                    &sale.cost,
                    &status,
                    &sale.session,
                    &sale.user,
                    &created,
                    &delivered,
                    &sale.source,
                    &sale.campaign,
                    &given,
                    &sale.paid_at,
                ],
            )
            .await
            .unwrap();
        let sql = "insert into shop.order_items (tenant_id, order_id, product_id, product_name, product_brand, nominal, price, quantity) \
                   values ($1, $2, $3, 'Nimbus Card', $4, 50, $5::text::numeric / $6::integer, $6)";
        self.ground
            .admin
            .execute(sql, &[&self.tenant, &id, &self.product, &sale.brand, &sale.total, &sale.quantity])
            .await
            .unwrap();
        if let Some((amount, currency)) = sale.received {
            let sql = "insert into shop.payments (tenant_id, order_id, bill_id, status, amount, received_amount, received_currency, processed_at) \
                       values ($1, $2, $2::uuid::text, 'paid', $3::text::numeric, $4::text::numeric, $5, $6::text::timestamptz)";
            self.ground
                .admin
                .execute(sql, &[&self.tenant, &id, &sale.total, &amount, &currency, &sale.paid_at])
                .await
                .unwrap();
        }
        if let Some(fee) = sale.fee {
            let sql = "insert into shop.transaction_fees (tenant_id, order_id, fee_type, fee_amount) values ($1, $2, 'payment_gateway', $3::text::numeric)";
            self.ground.admin.execute(sql, &[&self.tenant, &id, &fee]).await.unwrap();
        }
        id
    }

    pub async fn refund(&self, order: Uuid, amount: &str, status: &str, at: &str) {
        let sql = "insert into shop.refunds (tenant_id, order_id, payment_id, refund_amount, status, requested_at, processed_at) \
                   values ($1, $2, (select id from shop.payments where order_id = $2), $3::text::numeric, $4, $5::text::timestamptz, $5::text::timestamptz)";
        self.ground
            .admin
            .execute(sql, &[&self.tenant, &order, &amount, &status, &at])
            .await
            .unwrap();
    }

    pub async fn seen(&self, seen: Seen<'_>) {
        let sql = "insert into analytics.events (event_id, tenant_id, created_at, event_type, session_id, visit_id, utm_source, utm_campaign, \
                     device_type, page_duration, scroll_depth, bot, data) \
                   values (gen_random_uuid(), $1, $2::text::timestamptz, $3, $4, md5($1::uuid::text || $5)::uuid, $6, $7, $8, $9, $10, $11, $12::text::jsonb)";
        self.ground
            .admin
            .execute(
                sql,
                &[
                    &self.tenant,
                    &seen.at,
                    &seen.kind,
                    &seen.session,
                    &seen.visit,
                    &seen.source,
                    &seen.campaign,
                    &seen.device,
                    &seen.page_duration,
                    &seen.scroll,
                    &seen.bot,
                    &seen.data,
                ],
            )
            .await
            .unwrap();
    }

    /// So many sessions with an event each of these types, a second apart from `at` on.
    pub async fn crowd(&self, name: &str, count: i32, kinds: &[&str], at: &str) {
        let kinds: Vec<String> = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        let sql = "insert into analytics.events (event_id, tenant_id, created_at, event_type, session_id, visit_id) \
                   select gen_random_uuid(), $1, $5::text::timestamptz + make_interval(secs => k.ordinality), k.kind, $2 || n, md5($1::uuid::text || $2 || n)::uuid \
                   from generate_series(1, $3::integer) n, unnest($4::text[]) with ordinality k (kind)";
        self.ground
            .admin
            .execute(sql, &[&self.tenant, &name, &count, &kinds, &at])
            .await
            .unwrap();
    }

    pub async fn spend(&self, date: &str, source: Option<&str>, campaign: Option<&str>, amount: &str) {
        let sql = "insert into analytics.ad_spend (tenant_id, date, utm_source, utm_campaign, spend) values ($1, $2::text::date, $3, $4, $5::text::numeric)";
        self.execute(sql, &[Some(date), source, campaign, Some(amount)]).await;
    }

    pub async fn lead(&self, email: &str, unsubscribed_at: Option<&str>) {
        let sql = "insert into crm.landing_leads (tenant_id, email, name, source, unsubscribed_at) values ($1, $2, 'Lead', 'form', $3::text::timestamptz)";
        self.execute(sql, &[Some(email), unsubscribed_at]).await;
    }
}
