//! `get_channel_stats_financial`.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use rust_decimal::Decimal;

use crate::reference::books::Takings;
use crate::reference::model::Channel;
use crate::reference::table::{percent, ratio};
use crate::reference::{Books, Cell, Period, Table};

#[derive(Default)]
struct Row {
    visits: usize,
    takings: Takings,
    spend: Decimal,
}

pub fn channel_stats(books: &Books, period: Period) -> Table {
    let mut channels: BTreeMap<Channel, Row> = BTreeMap::new();
    for visit in books.visits_of(period) {
        channels.entry(visit.channel).or_default().visits += 1;
    }
    for order in books.paid_in(period) {
        channels.entry(order.channel).or_default().takings.add(books.history, order);
    }
    for spend in books.history.spend.iter().filter(|spend| period.has_day(spend.day)) {
        channels.entry(spend.channel).or_default().spend += spend.amount;
    }
    let mut rows: Vec<(Channel, Row)> = channels.into_iter().collect();
    // None is the least option, so the reverse has it last; of channels, null comes first.
    rows.sort_by_key(|(channel, row)| {
        let by_money = (row.takings.profit(), row.takings.revenue, row.spend, row.visits);
        (Reverse(by_money), *channel)
    });
    let columns = &[
        "utm_source",
        "utm_campaign",
        "sessions",
        "orders",
        "revenue",
        "cost",
        "profit",
        "ad_spend",
        "roi_percentage",
        "mer",
        "conversion_rate",
    ];
    let cells = |((source, campaign), row): (Channel, Row)| {
        let Row { visits, takings, spend } = row;
        let conversion = percent(Decimal::from(takings.orders), Decimal::from(visits)).filter(|_| takings.orders <= visits);
        vec![
            Cell::text(source.unwrap_or("Direct")),
            Cell::text(campaign.unwrap_or("N/A")),
            Cell::count(visits),
            Cell::count(takings.orders),
            Cell::Number(takings.revenue),
            Cell::number(takings.cost),
            Cell::number(takings.profit()),
            Cell::Number(spend),
            Cell::cents(takings.profit().and_then(|profit| percent(profit - spend, spend))),
            Cell::cents(ratio(takings.revenue, spend)),
            Cell::cents(conversion),
        ]
    };
    Table::new(columns, rows.into_iter().map(cells).collect())
}
