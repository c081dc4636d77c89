//! All that can be said of an order's state, its money and its codes, as text.

use lonieve_tests::interleaving::till::{Placed, Till};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// status, fulfilment, reason
    pub order: String,
    /// status, what came in, its currency
    pub payment: String,
    pub fees: String,
    /// The states of the codes that belong to the order.
    pub held: String,
    /// The steps that codes took for it.
    pub ledger: String,
    pub outbox: String,
    /// type, severity, open or closed
    pub alerts: String,
    /// kind, amount, type
    pub refunds: String,
    /// refund_amount, true_profit
    pub money: String,
}

/// A part that is not there is `-`.
pub const NONE: &str = "-";

const SQL: &str = "select
  concat_ws(' ', o.status, o.fulfilment, coalesce(o.review_reason, '-')),
  (select concat_ws(' ', y.status, coalesce(y.received_amount::text, '-'), coalesce(y.received_currency, '-')) from shop.payments y where y.order_id = o.id),
  coalesce((select string_agg(t.fee_amount::text, ' ' order by t.created_at) from shop.transaction_fees t where t.order_id = o.id), '-'),
  coalesce((select string_agg(g.status, ' ' order by g.status) from shop.gift_codes g join shop.order_items i on i.id = g.order_item_id where i.order_id = o.id), '-'),
  coalesce((select string_agg(l.entry, ' ' order by l.id) from shop.code_ledger l where l.order_id = o.id), '-'),
  coalesce((select string_agg(b.kind, ' ' order by b.seq) from ops.outbox b where b.aggregate_id = o.id), '-'),
  coalesce((select string_agg(n.type || ' ' || n.severity || case when n.is_resolved then ' closed' else ' open' end, ', ' order by n.type)
            from ops.system_notifications n where n.subject = 'order:' || o.id), '-'),
  coalesce((select string_agg(r.kind || ' ' || r.refund_amount || ' ' || r.refund_type, ', ' order by r.kind desc, r.refund_amount desc)
            from shop.refunds r where r.order_id = o.id and r.status = 'completed'), '-'),
  concat_ws(' ', o.refund_amount, coalesce(o.true_profit::text, '-'))
from shop.orders o where o.id = $1";

/// Rows per table of the tenant, but for the tables a snapshot shows row by row.
const OTHER_ROWS: &str = "select string_agg(t.name || ' ' || t.rows, ', ' order by t.name) from (
  select c.table_schema || '.' || c.table_name as name,
    (xpath('/row/n/text()', query_to_xml(format('select count(*) as n from %I.%I where tenant_id = %L', c.table_schema, c.table_name, $1::uuid), false, true, '')))[1]::text as rows
  from information_schema.columns c join pg_catalog.pg_tables p on p.schemaname = c.table_schema and p.tablename = c.table_name
  where c.column_name = 'tenant_id' and c.table_schema in ('shop', 'analytics', 'crm', 'ai', 'ops')
    and c.table_name not in ('code_ledger', 'transaction_fees', 'refunds', 'outbox', 'system_notifications', 'webhook_logs', 'system_health_metrics')) t
  where t.rows <> '0'";

pub async fn of(till: &Till, placed: &Placed) -> Snapshot {
    let row = till.ground.admin.query_one(SQL, &[&placed.id]).await.unwrap();
    let mut cells = (0..9).map(|at| row.get::<_, String>(at));
    let mut cell = || cells.next().unwrap();
    Snapshot {
        order: cell(),
        payment: cell(),
        fees: cell(),
        held: cell(),
        ledger: cell(),
        outbox: cell(),
        alerts: cell(),
        refunds: cell(),
        money: cell(),
    }
}

/// The other tables' rows, and how many calls were logged and measured.
pub async fn rows(till: &Till) -> (String, i64, i64) {
    let tenant = till.world.tenant;
    let logs = "select count(*) from ops.webhook_logs where tenant_id = $1";
    let metrics = "select count(*) from ops.system_health_metrics where tenant_id = $1";
    (
        till.ground.text(OTHER_ROWS, tenant).await,
        till.ground.count(logs, tenant).await,
        till.ground.count(metrics, tenant).await,
    )
}
