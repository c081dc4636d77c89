//! Writes a history into the tables, by COPY as superuser, in the order in which it happened.
//!
//! Triggers and constraints stay on: rows are put in as what they have become, which the state machine allows (it looks at changes), and
//! append-only tables are only appended to.

use std::io::Cursor;

use chrono::Duration;
use futures::{SinkExt, pin_mut};
use tokio_postgres::Client;
use uuid::Uuid;

use super::model::{History, Moment, Order};

const CHUNK: usize = 1 << 20;

type Fields<const N: usize> = [Option<String>; N];

/// The tenant with everything of it.
pub async fn load(db: &Client, history: &History) {
    let tenant = history.tenant;
    let host = format!("{tenant}.example");
    let sql = "insert into shop.tenants (id, name, primary_domain, currency, time_zone) values ($1, 'Reference', $2, $3, $4)";
    db.execute(sql, &[&tenant, &host, &history.currency, &history.zone.name()])
        .await
        .unwrap();
    for product in &history.products {
        let sql = "insert into shop.products (id, tenant_id, name, brand, region, nominals, base_price, currency) \
                   values ($1, $2, $3, $4, 'Global', '[50]', 100, $5)";
        db.execute(sql, &[&product.id, &tenant, &product.name, &product.brand, &history.currency])
            .await
            .unwrap();
    }
    load_orders(db, history).await;
    load_events(db, history).await;
    let spend = history.spend.iter().map(|spend| {
        [
            is(tenant),
            is(spend.day),
            word(spend.channel.0),
            word(spend.channel.1),
            word(spend.creative),
            is(spend.amount),
            is(history.currency),
        ]
    });
    let columns = "analytics.ad_spend (tenant_id, date, utm_source, utm_campaign, utm_content, spend, currency)";
    copy(db, columns, spend).await;
    let leads = history.leads.iter().map(|lead| {
        [
            is(tenant),
            is(&lead.email),
            is("Lead"),
            is("form"),
            lead.unsubscribed.and_then(time),
        ]
    });
    copy(db, "crm.landing_leads (tenant_id, email, name, source, unsubscribed_at)", leads).await;
    let samples = history
        .samples
        .iter()
        .map(|sample| [is(tenant), is(sample.kind), is(sample.value), time(sample.at)]);
    copy(
        db,
        "ops.system_health_metrics (tenant_id, metric_type, metric_value, recorded_at)",
        samples,
    )
    .await;
}

/// The jobs Worker has ticked at these moments.
pub async fn load_ticks(db: &Client, ticks: &[Moment]) {
    let rows = ticks.iter().map(|at| [is("uptime"), is(1), is(r#"{"source": "jobs"}"#), time(*at)]);
    copy(
        db,
        "ops.system_health_metrics (metric_type, metric_value, details, recorded_at)",
        rows,
    )
    .await;
}

async fn load_events(db: &Client, history: &History) {
    let rows = history.events.iter().map(|event| {
        [
            is(event.id),
            is(history.tenant),
            time(event.at),
            is(event.kind),
            is(&event.session),
            event.visit.and_then(is),
            word(event.channel.0),
            word(event.channel.1),
            event.data.as_ref().and_then(is),
            event.page_seconds.and_then(is),
            event.scroll.and_then(is),
            word(event.device),
            word(event.bot),
            is("/cards"),
        ]
    });
    let columns = "analytics.events (event_id, tenant_id, created_at, event_type, session_id, visit_id, utm_source, utm_campaign, data, \
                   page_duration, scroll_depth, device_type, bot, url)";
    copy(db, columns, rows).await;
}

async fn load_orders(db: &Client, history: &History) {
    let tenant = history.tenant;
    let rows = history.orders.iter().map(|order| {
        [
            is(order.id),
            is(tenant),
            is(&order.email),
            order.user.and_then(is),
            order.session.clone(),
            word(order.channel.0),
            word(order.channel.1),
            is(order.total),
            order.cost.and_then(is),
            is(history.currency),
            is(order.status),
            is(order.fulfilment),
            word(order.review_reason),
            time(order.created),
            order.paid.and_then(time),
            order.delivered.and_then(time),
            time(order.created + Duration::hours(1)),
        ]
    });
    let columns = "shop.orders (id, tenant_id, email, user_id, session_id, utm_source, utm_campaign, total_amount, total_cost, currency, \
                   status, fulfilment, review_reason, created_at, paid_at, delivered_at, expires_at)";
    copy(db, columns, rows).await;
    let items = of_orders(history, |order| &order.items).map(|(order, item)| {
        [
            is(tenant),
            is(order.id),
            is(item.product),
            is(&item.name),
            word(item.brand),
            is(50),
            is(item.price),
            is(item.quantity),
            is(history.currency),
            time(order.created),
        ]
    });
    let columns = "shop.order_items (tenant_id, order_id, product_id, product_name, product_brand, nominal, price, quantity, currency, \
                   created_at)";
    copy(db, columns, items).await;
    let payments = of_orders(history, |order| &order.payments).map(|(order, payment)| {
        let processed = order.paid.unwrap_or(order.created);
        [
            is(payment.id),
            is(tenant),
            is(order.id),
            is(payment.status),
            is(payment.amount),
            is(history.currency),
            payment.received.and_then(is),
            word(payment.received_currency),
            time(processed),
        ]
    });
    let columns = "shop.payments (id, tenant_id, order_id, status, amount, currency, received_amount, received_currency, processed_at)";
    copy(db, columns, payments).await;
    let fees = of_orders(history, |order| &order.fees).map(|(order, fee)| {
        [
            is(fee.id),
            is(tenant),
            is(order.id),
            is("payment_gateway"),
            is(fee.amount),
            is(fee.currency),
            fee.reverses.and_then(is),
        ]
    });
    let columns = "shop.transaction_fees (id, tenant_id, order_id, fee_type, fee_amount, currency, reverses)";
    copy(db, columns, fees).await;
    let refunds = of_orders(history, |order| &order.refunds).map(|(order, refund)| {
        [
            is(tenant),
            is(order.id),
            is(refund.kind),
            is(refund.amount),
            is(refund.status),
            time(refund.requested),
            refund.processed.and_then(time),
        ]
    });
    let columns = "shop.refunds (tenant_id, order_id, kind, refund_amount, status, requested_at, processed_at)";
    copy(db, columns, refunds).await;
}

fn of_orders<'a, T: 'a>(history: &'a History, of: impl Fn(&'a Order) -> &'a Vec<T>) -> impl Iterator<Item = (&'a Order, &'a T)> {
    history
        .orders
        .iter()
        .flat_map(move |order| of(order).iter().map(move |part| (order, part)))
}

async fn copy<const N: usize>(db: &Client, target: &str, rows: impl Iterator<Item = Fields<N>>) {
    let sink = db.copy_in(&format!("copy {target} from stdin")).await.unwrap();
    pin_mut!(sink);
    let mut buffer = Vec::with_capacity(CHUNK + 4096);
    for row in rows {
        for (index, field) in row.iter().enumerate() {
            if index > 0 {
                buffer.push(b'\t');
            }
            match field {
                None => buffer.extend_from_slice(b"\\N"),
                Some(text) => escape(text, &mut buffer),
            }
        }
        buffer.push(b'\n');
        if buffer.len() >= CHUNK {
            sink.send(Cursor::new(std::mem::take(&mut buffer))).await.unwrap();
        }
    }
    sink.send(Cursor::new(buffer)).await.unwrap();
    let _: u64 = sink.finish().await.unwrap_or_else(|error| panic!("{target}: {error:?}"));
}

fn escape(text: &str, buffer: &mut Vec<u8>) {
    for byte in text.bytes() {
        match byte {
            b'\\' => buffer.extend_from_slice(b"\\\\"),
            b'\t' => buffer.extend_from_slice(b"\\t"),
            b'\n' => buffer.extend_from_slice(b"\\n"),
            b'\r' => buffer.extend_from_slice(b"\\r"),
            _ => buffer.push(byte),
        }
    }
}

fn is(value: impl ToString) -> Option<String> {
    Some(value.to_string())
}

fn word(value: Option<&str>) -> Option<String> {
    value.map(str::to_owned)
}

fn time(moment: Moment) -> Option<String> {
    Some(moment.format("%Y-%m-%d %H:%M:%S%.6f+00").to_string())
}

/// A member of staff who may read reports.
pub async fn viewer(db: &Client, tenant: Uuid) -> Uuid {
    let id = Uuid::new_v4();
    let sql = "insert into shop.staff_members (user_id, tenant_id, role) values ($1, $2, 'viewer')";
    db.execute(sql, &[&id, &tenant]).await.unwrap();
    id
}
