//! What the demo shop sells. All names are invented.

use uuid::Uuid;

/// A face value and how many codes of it are made for the first start.
pub struct Nominal {
    pub value: u32,
    pub codes: usize,
}

pub struct Product {
    /// Last part of the product's id.
    pub number: u128,
    pub name: &'static str,
    pub brand: &'static str,
    pub region: &'static str,
    pub category: &'static str,
    pub description: &'static str,
    /// Price per 100 of face value, before the discount.
    pub base_price: &'static str,
    /// Percent.
    pub discount: &'static str,
    /// What the shop itself paid, percent of the face value.
    pub cost_percent: u32,
    pub features: &'static [&'static str],
    pub terms: &'static str,
    pub nominals: &'static [Nominal],
}

/// The product ids are fixed, so that links and scripts survive a fresh database.
const PRODUCT_BASE: u128 = 0x00000000_0000_4000_8000_000000000100;

impl Product {
    pub fn id(&self) -> Uuid {
        Uuid::from_u128(PRODUCT_BASE + self.number)
    }
}

const fn of(value: u32, codes: usize) -> Nominal {
    Nominal { value, codes }
}

/// Enough for a load test to buy from, on a few nominals only: every code is sealed at the first start.
const PLENTY: usize = 240;
const SOME: usize = 30;
/// The nominal that runs out while somebody watches.
const FEW: usize = 5;

pub const PRODUCTS: [Product; 6] = [
    Product {
        number: 1,
        name: "Nimbus Games Card",
        brand: "Nimbus Games",
        region: "USA",
        category: "Gaming",
        description: "Credit for every game, season pass and add-on in the Nimbus Games store.",
        base_price: "100.00",
        discount: "25",
        cost_percent: 66,
        features: &[
            "Delivered by e-mail within a minute",
            "Never expires once redeemed",
            "Works on every console and PC",
        ],
        terms: "Redeemable in the USA store only. Cannot be exchanged for cash.",
        nominals: &[of(25, SOME), of(50, PLENTY), of(100, PLENTY), of(200, SOME)],
    },
    Product {
        number: 2,
        name: "Emberquest Wallet",
        brand: "Emberquest",
        region: "EUR",
        category: "Gaming",
        description: "Top up an Emberquest wallet and buy gems, maps and skins.",
        base_price: "100.00",
        discount: "10",
        cost_percent: 81,
        features: &["Delivered by e-mail within a minute", "Several cards add up in one wallet"],
        terms: "Redeemable by accounts registered in the European region.",
        nominals: &[of(10, PLENTY), of(20, SOME), of(50, SOME), of(100, SOME)],
    },
    Product {
        number: 3,
        name: "Larkmart Shopping Card",
        brand: "Larkmart",
        region: "USA",
        category: "Shopping",
        description: "Groceries, household and garden, online and at the till.",
        base_price: "99.50",
        discount: "7.25",
        cost_percent: 84,
        features: &["Valid online and in store", "Balance can be used in parts"],
        terms: "Not valid for tobacco, fuel or other gift cards.",
        nominals: &[of(25, SOME), of(50, SOME), of(100, SOME), of(500, SOME)],
    },
    Product {
        number: 4,
        name: "Fernway Fashion Card",
        brand: "Fernway",
        region: "Global",
        category: "Shopping",
        description: "Clothes and shoes from 300 small makers, sent worldwide.",
        base_price: "100.00",
        discount: "15",
        cost_percent: 76,
        features: &["Accepted worldwide", "A gift for somebody whose size you do not know"],
        terms: "Valid for two years from the day of purchase.",
        nominals: &[of(25, SOME), of(50, SOME), of(75, SOME), of(150, SOME)],
    },
    Product {
        number: 5,
        name: "Moonreel Cinema Pass",
        brand: "Moonreel",
        region: "EUR",
        category: "Entertainment",
        description: "Films at home or a seat in any Moonreel cinema.",
        base_price: "100.00",
        discount: "0",
        cost_percent: 90,
        features: &["For streaming and for cinema seats", "No subscription"],
        terms: "Seats are subject to availability.",
        nominals: &[of(15, SOME), of(30, SOME), of(60, SOME)],
    },
    Product {
        number: 6,
        name: "Quillsong Music & Audiobooks",
        brand: "Quillsong",
        region: "Global",
        category: "Entertainment",
        description: "Months of music and audiobooks, without a card on file.",
        base_price: "100.00",
        discount: "20",
        cost_percent: 71,
        features: &["Extends a running subscription", "Can be given as a gift"],
        terms: "One card per account and month.",
        nominals: &[of(30, SOME), of(60, FEW), of(120, 0)],
    },
];
