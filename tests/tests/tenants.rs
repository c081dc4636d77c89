//! Which shop a request is for, and what a shop looks like (L-114 to L-116), asked of the database: the Workers pass host and origin on as they
//! came.
#![expect(clippy::unwrap_used, reason = "a test: a failed step is a failed test")]

use lonieve_tests::interleaving::ground::{Ground, Line, ORDERS};
use serde_json::{Value, json};
use uuid::Uuid;

struct Tenants {
    ground: Ground,
    line: Line,
    one: Uuid,
    two: Uuid,
    /// Part of every host, so that runs on one database keep apart.
    mark: String,
}

impl Tenants {
    /// Two shops with a primary domain and a second one each.
    async fn new() -> Self {
        let ground = Ground::shared().await;
        let (one, two, mark) = (Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4().simple().to_string());
        for (id, name) in [(one, "one"), (two, "two")] {
            let host = format!("{name}-{mark}.test");
            let sql = "insert into shop.tenants (id, name, primary_domain) values ($1, 'A shop', $2)";
            ground.admin.execute(sql, &[&id, &host]).await.unwrap();
            let sql = "insert into shop.domains (domain, tenant_id, is_primary) values ($1, $3, true), ($2, $3, false)";
            ground.admin.execute(sql, &[&host, &format!("www.{host}"), &id]).await.unwrap();
        }
        let line = ground.line().await;
        Self {
            ground,
            line,
            one,
            two,
            mark,
        }
    }

    fn host(&self, name: &str) -> String {
        format!("{name}-{}.test", self.mark)
    }

    async fn set(&self, sql: &str) {
        assert!(self.ground.admin.execute(sql, &[]).await.unwrap() > 0, "{sql}");
    }

    async fn resolve(&self, p: Value) -> Option<Uuid> {
        let row = self.ground.admin.query_one("select ops.resolve_tenant($1)", &[&p]).await;
        row.unwrap().get(0)
    }

    /// The sentence of the constraint that stops this statement.
    async fn stopped(&self, sql: &str) -> String {
        let error = self.ground.admin.execute(sql, &[]).await.unwrap_err();
        error.as_db_error().unwrap().constraint().unwrap_or_default().to_owned()
    }
}

#[tokio::test]
async fn every_active_domain_of_a_shop_is_the_shop_and_case_does_not_matter() {
    let t = Tenants::new().await;
    for (host, tenant) in [("one", t.one), ("www.one", t.one), ("two", t.two), ("www.two", t.two)] {
        assert_eq!(t.resolve(json!({"host": t.host(host)})).await, Some(tenant), "{host}");
        assert_eq!(
            t.resolve(json!({"host": t.host(host).to_uppercase()})).await,
            Some(tenant),
            "{host}"
        );
    }
    for host in ["three", "one.evil", "xone"] {
        assert_eq!(t.resolve(json!({"host": t.host(host)})).await, None, "{host}");
    }
    // A host that is known decides; Origin speaks for one that is not (beacons), and the default for neither.
    let p = |host: &str, origin: &str| json!({"host": t.host(host), "origin_host": t.host(origin), "default_tenant": t.two});
    assert_eq!(t.resolve(p("one", "two")).await, Some(t.one));
    assert_eq!(t.resolve(p("nobody", "one")).await, Some(t.one));
    assert_eq!(t.resolve(p("nobody", "nobody")).await, Some(t.two));
    let page = t
        .line
        .outcome(ORDERS, "list_products", json!({"host": t.host("www.one")}), "ok")
        .await;
    assert_eq!(page["products"], json!([]));
    t.ground.stop().await;
}

#[tokio::test]
async fn a_domain_out_of_service_and_a_suspended_shop_are_nobodys_also_where_there_is_a_default() {
    let t = Tenants::new().await;
    let asked = async |host: &str, origin: &str| {
        let p = json!({"host": t.host(host), "origin_host": t.host(origin), "default_tenant": t.two});
        t.resolve(p).await
    };
    t.set(&format!(
        "update shop.domains set status = 'inactive' where domain = '{}'",
        t.host("www.one")
    ))
    .await;
    assert_eq!(
        asked("www.one", "nobody").await,
        None,
        "not the default shop under this shop's name"
    );
    assert_eq!(asked("www.one", "two").await, None);
    assert_eq!(asked("nobody", "www.one").await, None);
    assert_eq!(asked("one", "www.one").await, Some(t.one), "the shop's other domains go on");
    t.line
        .outcome(
            ORDERS,
            "list_products",
            json!({"host": t.host("www.one"), "default_tenant": t.two}),
            "unknown_tenant",
        )
        .await;

    t.set(&format!("update shop.tenants set status = 'suspended' where id = '{}'", t.one))
        .await;
    assert_eq!((asked("one", "two").await, asked("nobody", "one").await), (None, None));
    t.set(&format!("update shop.tenants set status = 'suspended' where id = '{}'", t.two))
        .await;
    assert_eq!(asked("nobody", "nobody").await, None, "the default is suspended too");

    t.set(&format!("update shop.tenants set status = 'active' where id = '{}'", t.one))
        .await;
    t.set(&format!(
        "update shop.domains set status = 'active' where domain = '{}'",
        t.host("www.one")
    ))
    .await;
    assert_eq!(asked("www.one", "nobody").await, Some(t.one));
    t.ground.stop().await;
}

#[tokio::test]
async fn a_domain_belongs_to_one_shop_and_a_shop_has_one_primary_domain() {
    let t = Tenants::new().await;
    let (one, mark) = (t.host("one"), &t.mark);
    let insert = |domain: &str, primary: bool| {
        format!(
            "insert into shop.domains (domain, tenant_id, is_primary) values ('{domain}', '{}', {primary})",
            t.two
        )
    };
    assert_eq!(t.stopped(&insert(&one, false)).await, "domains_domain_key");
    assert_eq!(t.stopped(&insert(&format!("new-{mark}.test"), true)).await, "domains_one_primary");
    assert_eq!(t.stopped(&insert(&format!("New-{mark}.test"), false)).await, "domains_domain_lower");
    assert_eq!(
        t.stopped(&insert(&format!("new-{mark}.test:8080"), false)).await,
        "domains_domain_lower"
    );
    let twice = format!("update shop.tenants set primary_domain = '{one}' where id = '{}'", t.two);
    assert_eq!(t.stopped(&twice).await, "tenants_primary_domain_key");
    let defaults = format!(
        "select is_primary, ssl_enabled, status from shop.domains where domain = '{}'",
        t.host("www.two")
    );
    let row = t.ground.admin.query_one(&defaults, &[]).await.unwrap();
    assert_eq!(
        (row.get(0), row.get(1), row.get::<_, String>(2)),
        (false, true, "active".to_owned())
    );
    t.ground.stop().await;
}

#[tokio::test]
async fn a_theme_fills_in_the_default_colours_and_one_that_cannot_be_used_is_not_stored() {
    let t = Tenants::new().await;
    let theme = async |id: Uuid| {
        let row = t.ground.admin.query_one("select ops.tenant_theme($1)", &[&id]).await;
        row.unwrap().get::<_, Value>(0)
    };
    let set = |theme: &str| format!("update shop.tenants set theme_overrides = '{theme}' where id = '{}'", t.one);
    let defaults = json!({"primary": "#D4AF37", "background": "#0A0A0A"});
    assert_eq!(theme(t.one).await, json!({"colors": defaults}));
    t.set(&set(
        r##"{"colors": {"primary": "#112233"}, "logo": "/logo.png", "texts": {"hero_title": "Hi"}, "own": 1}"##,
    ))
    .await;
    assert_eq!(
        theme(t.one).await,
        json!({"colors": {"primary": "#112233", "background": "#0A0A0A"}, "logo": "/logo.png", "texts": {"hero_title": "Hi"}, "own": 1})
    );
    assert_eq!(theme(t.two).await, json!({"colors": defaults}), "the other shop keeps its own");
    for wrong in [
        r#"[]"#,
        r#"{"colors": {"primary": "gold"}}"#,
        r#"{"colors": {"primary": "red;}</style>"}}"#,
        r#"{"colors": {"primary": 5}}"#,
        r#"{"colors": "red"}"#,
        r#"{"logo": "javascript:alert(1)"}"#,
        r#"{"logo": "//evil.example/x.png"}"#,
        r#"{"logo": "http://shop.example/x.png"}"#,
        r#"{"texts": {"hero_title": ["x"]}}"#,
    ] {
        assert_eq!(t.stopped(&set(wrong)).await, "tenants_theme_overrides_valid", "{wrong}");
    }
    for right in [r#"{"logo": "https://cdn.example/x.png"}"#, r#"{"colors": {}}"#, r#"{"logo": "/"}"#] {
        t.set(&set(right)).await;
    }
    t.ground.stop().await;
}

#[tokio::test]
async fn a_time_zone_that_is_none_is_refused() {
    let tenants = Tenants::new().await;
    let set = |zone: &str| format!("update shop.tenants set time_zone = '{zone}' where id = '{}'", tenants.one);
    assert_eq!(tenants.stopped(&set("Mars/Olympus")).await, "tenants_time_zone_known");
    tenants.set(&set("Asia/Bangkok")).await;
}
