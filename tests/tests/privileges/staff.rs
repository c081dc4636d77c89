//! Staff functions: the token only says who somebody is; what he may do stands in `shop.staff_members`.

use lonieve_tests::{Reply, Shop, stack};
use serde_json::{Value, json};
use stack::jwt::{Claims, Signer};
use uuid::Uuid;

use crate::{error_of, new_code};

/// A batch with one good code for this shop.
fn batch(shop: &Shop) -> Value {
    json!({"rows": [shop.sealed_row(1, "50.00", &new_code())]})
}

#[track_caller]
fn refused(reply: &Reply, status: u16, code: &str, message: &str) {
    assert_eq!((reply.status, error_of(reply)), (status, (code.to_owned(), message.to_owned())));
}

/// Imports as this person, working for the named tenant.
async fn import_for(shop: &Shop, token: &str, tenant: Uuid) -> Reply {
    let url = format!("{}/rpc/import_codes", stack().postgrest);
    let request = shop
        .http
        .post(url)
        .bearer_auth(token)
        .header("content-profile", "api")
        .header("x-tenant", tenant.to_string());
    Reply::of(request.json(&json!({"p": batch(shop)}))).await
}

#[tokio::test]
async fn who_is_not_staff_with_enough_rights_imports_nothing() {
    let shop = Shop::new().await;
    let before = shop.rows().await;
    let info = stack();
    let import = |token: &'static str| shop.rpc(token, "import_codes", batch(&shop));
    refused(&import(&info.customer_token).await, 403, "42501", "not_staff");
    refused(&import(&info.viewer_token).await, 403, "42501", "role_too_low");
    refused(
        &shop.rpc(&shop.viewer_token, "import_codes", batch(&shop)).await,
        403,
        "42501",
        "role_too_low",
    );
    refused(
        &import(&info.tokens["anon"]).await,
        401,
        "42501",
        "permission denied for schema api",
    );
    refused(
        &import(&info.tokens["admin"]).await,
        403,
        "42501",
        "permission denied for function import_codes",
    );
    let nobody = Signer::Hs256 {
        secret: info.jwt_secret.clone(),
    }
    .mint(&Claims::new("authenticated", 1))
    .unwrap();
    refused(&shop.rpc(&nobody, "import_codes", batch(&shop)).await, 403, "42501", "not_staff");
    assert_eq!(shop.rows().await, before, "nothing was written");

    let imported = shop.rpc(&shop.staff_token, "import_codes", batch(&shop)).await.expect(200);
    assert_eq!(imported["imported"], 1, "the same batch of a manager is good: {imported}");
}

#[tokio::test]
async fn the_staff_of_another_shop_does_not_find_this_shops_product() {
    let (shop, other) = (Shop::new().await, Shop::new().await);
    let (before, mut other_before) = (shop.rows().await, other.rows().await);
    let reply = shop.rpc(&other.staff_token, "import_codes", batch(&shop)).await.expect(200);
    assert_eq!((&reply["imported"], &reply["skipped"]), (&json!(0), &json!(1)), "{reply}");
    assert_eq!(reply["errors"][0]["reason"], "product_not_found", "{reply}");
    // That it was tried stands in the audit of who tried: an import could be used to ask whether a code is in stock.
    other_before.insert("ops.audit_log".into(), 1);
    assert_eq!(
        (shop.rows().await, other.rows().await),
        (before, other_before),
        "nothing else was written"
    );
}

#[tokio::test]
async fn naming_a_tenant_one_does_not_work_for_gives_no_right_on_it() {
    let (shop, other) = (Shop::new().await, Shop::new().await);
    let before = shop.rows().await;
    refused(&import_for(&shop, &other.staff_token, shop.tenant).await, 403, "42501", "not_staff");
    assert_eq!(shop.rows().await, before);
    assert_eq!(import_for(&shop, &shop.staff_token, shop.tenant).await.expect(200)["imported"], 1);
}

#[tokio::test]
async fn who_works_for_two_shops_must_name_one_and_has_the_rights_of_that_one() {
    let (shop, other) = (Shop::new().await, Shop::new().await);
    let person = Uuid::new_v4();
    let sql = "insert into shop.staff_members (user_id, tenant_id, role) values ($1, $2, 'admin'), ($1, $3, 'viewer')";
    shop.db.execute(sql, &[&person, &shop.tenant, &other.tenant]).await.unwrap();
    let claims = Claims::new("authenticated", 1).for_person(&person.to_string());
    let token = Signer::Hs256 {
        secret: stack().jwt_secret.clone(),
    }
    .mint(&claims)
    .unwrap();
    let before = other.rows().await;
    refused(
        &shop.rpc(&token, "import_codes", batch(&shop)).await,
        400,
        "LV002",
        "tenant_required",
    );
    refused(&import_for(&other, &token, other.tenant).await, 403, "42501", "role_too_low");
    assert_eq!(other.rows().await, before);
    assert_eq!(import_for(&shop, &token, shop.tenant).await.expect(200)["imported"], 1);
}

#[tokio::test]
async fn the_staff_of_a_suspended_shop_and_dismissed_staff_lose_their_rights_at_once() {
    let shop = Shop::new().await;
    let before = shop.rows().await;
    shop.db
        .execute("update shop.tenants set status = 'suspended' where id = $1", &[&shop.tenant])
        .await
        .unwrap();
    refused(
        &shop.rpc(&shop.staff_token, "import_codes", batch(&shop)).await,
        403,
        "42501",
        "not_staff",
    );
    assert_eq!(shop.rows().await, before);
    shop.db
        .execute("update shop.tenants set status = 'active' where id = $1", &[&shop.tenant])
        .await
        .unwrap();
    shop.db
        .execute("delete from shop.staff_members where tenant_id = $1", &[&shop.tenant])
        .await
        .unwrap();
    refused(
        &shop.rpc(&shop.staff_token, "import_codes", batch(&shop)).await,
        403,
        "42501",
        "not_staff",
    );
    assert!(!shop.rows().await.contains_key("shop.gift_codes"));
}
