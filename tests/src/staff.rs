//! A shop's staff: people, tokens, and requests to the admin Worker.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use stack::jwt::{Claims, Signer};
use uuid::Uuid;

use crate::{Placed, Reply, Shop};

impl Shop {
    /// A token of a person who may be staff of this shop; `role` None: of nobody's.
    pub async fn person(&self, role: Option<&str>) -> (Uuid, String) {
        let id = Uuid::new_v4();
        if let Some(role) = role {
            let insert = "insert into shop.staff_members (user_id, tenant_id, role) values ($1, $2, $3)";
            self.db.execute(insert, &[&id, &self.tenant, &role]).await.unwrap();
        }
        (id, self.token_of(id, 3600))
    }

    /// A person's token that ends in so many seconds (or did, if negative: PostgREST forgives half a minute).
    pub fn token_of(&self, id: Uuid, seconds: i64) -> String {
        let mut claims = Claims::new("authenticated", 0).for_person(&id.to_string());
        claims.exp = claims.iat.saturating_add_signed(seconds);
        let signer = Signer::Hs256 {
            secret: self.info.jwt_secret.clone(),
        };
        signer.mint(&claims).unwrap()
    }

    /// A request to the admin Worker with this token; `path` is what follows `/api/admin/`.
    pub fn admin(&self, token: &str, method: Method, path: &str) -> RequestBuilder {
        self.request(method, "admin", &format!("/api/admin/{path}")).bearer_auth(token)
    }

    pub async fn admin_get(&self, token: &str, path: &str) -> Reply {
        Reply::of(self.admin(token, Method::GET, path)).await
    }

    pub async fn admin_post(&self, token: &str, path: &str, body: &Value) -> Reply {
        Reply::of(self.admin(token, Method::POST, path).json(body)).await
    }

    /// Uploads a sheet of codes.
    pub async fn import(&self, token: &str, csv: String) -> Reply {
        Reply::of(
            self.admin(token, Method::POST, "codes/import")
                .header("content-type", "text/csv")
                .body(csv),
        )
        .await
    }

    /// Action, subject and details of this tenant's audit rows, oldest first.
    pub async fn audit(&self) -> Vec<(String, String, Value)> {
        let sql = "select action, subject, details from ops.audit_log where tenant_id = $1 order by id";
        let rows = self.db.query(sql, &[&self.tenant]).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
    }

    /// An order whose payment is not the amount asked for: under review, its code still reserved. What follows in the outbox is done.
    pub async fn mismatched(&self) -> Placed {
        let order = self.place(&self.cart()).await;
        let paid = self.notice(&order.bill_id, "PAID", "40.00", "USD").await.expect(200);
        assert_eq!(paid["outcome"], "manual_review");
        let review = ("manual_review".into(), "reserved".into(), Some("amount_mismatch".into()));
        assert_eq!(self.state(order.order_id).await, review);
        self.outbox_done().await;
        order
    }

    /// Runs the outbox until nothing of this shop waits in it.
    pub async fn outbox_done(&self) {
        for _ in 0..100 {
            if self
                .count("select count(*) from ops.outbox where tenant_id = $1 and status = 'pending'")
                .await
                == 0
            {
                return;
            }
            self.job("outbox", None).await.expect(200);
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("the outbox does not become empty: {:?}", self.outbox().await)
    }
}

/// The body of `POST /api/admin/products`: face values 20 and 100 at 18.00 and 81.00.
pub fn new_product() -> Value {
    json!({
        "name": "Stratus Card", "brand": "Stratus", "region": "Global", "category": "Gaming", "nominals": ["20", 100], "basePrice": "90",
        "discountPercentage": "10", "features": ["Instant"], "imageUrl": "https://img.example/stratus.png",
    })
}
