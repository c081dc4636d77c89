//! The whole job under real `wrangler dev`, from the developer's one command: event, order, pay page, webhook, code by mail and by token.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use lonieve_tests::Reply;
use reqwest::Client;
use serde_json::{Value, json};
use stack::Info;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// `cargo xtask dev --ephemeral` under wrangler, running until dropped or stopped.
struct Dev {
    child: Child,
    info: Info,
    printed: String,
}

impl Dev {
    async fn start() -> Self {
        let root = stack::layout::workspace_root().unwrap();
        let mut child = Command::new(env!("CARGO"))
            .args(["xtask", "dev", "--ephemeral", "--runtime", "wrangler"])
            .current_dir(&root)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut printed = String::new();
        let deadline = Instant::now() + Duration::from_secs(300);
        let path = loop {
            let line = tokio::time::timeout_at(deadline.into(), lines.next_line()).await;
            let line = line.unwrap_or_else(|_| panic!("not ready after 300 s:\n{printed}")).unwrap();
            let line = line.unwrap_or_else(|| panic!("xtask dev ended:\n{printed}"));
            printed.push_str(&line);
            printed.push('\n');
            if let Some(path) = line.split_whitespace().find(|word| word.ends_with("stack.json")) {
                break PathBuf::from(path);
            }
        };
        // The path stands in the table of addresses, which is printed when everything is ready. The rest is read on, so that the pipe never fills.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let path = if path.is_absolute() { path } else { root.join(path) };
        Self {
            child,
            info: Info::load(&path).unwrap(),
            printed,
        }
    }

    /// SIGTERM, as a service manager would.
    async fn stop(mut self) {
        let pid = self.child.id().unwrap();
        let kill = Command::new("kill").args(["-TERM", &pid.to_string()]).status().await.unwrap();
        assert!(kill.success());
        tokio::time::timeout(Duration::from_secs(40), self.child.wait())
            .await
            .expect("xtask dev does not end on SIGTERM")
            .unwrap();
    }
}

async fn get(http: &Client, url: String) -> Reply {
    Reply::of(http.get(url).header("accept", "application/json")).await
}

#[tokio::test]
async fn from_the_one_command_to_a_code_in_the_mailbox() {
    let dev = Dev::start().await;
    assert_eq!(dev.info.runtime, "wrangler");
    let (http, gateway) = (
        Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap(),
        dev.info.gateway.clone(),
    );
    assert!(dev.printed.contains(&gateway), "the table names the gateway:\n{}", dev.printed);

    // A visit.
    let event = json!({"event_type": "page_view", "session_id": "walk-1", "url": "/", "utm_source": "Newsletter"});
    let stored = Reply::of(http.post(format!("{gateway}/api/events")).json(&event)).await.expect(200);
    assert_eq!(stored["success"], true, "{stored}");

    // A product with something in stock.
    let listed = get(&http, format!("{gateway}/api/products")).await.expect(200);
    let products = listed["products"].as_array().unwrap();
    assert_eq!(products.len(), 6);
    let (product, nominal) = products
        .iter()
        .flat_map(|p| p["nominals"].as_array().unwrap().iter().map(move |n| (p, n)))
        .find(|(_, n)| n["inStock"] == true)
        .expect("something is in stock");

    // An order for it, at the price shown.
    let cart = json!({
        "productId": product["id"], "nominal": nominal["nominal"], "price": nominal["price"], "email": "walk@example.com", "firstName": "Sam",
        "deliveryType": "myself", "sessionId": "walk-1", "utm": {"utm_source": "Newsletter"},
    });
    let order = Reply::of(http.post(format!("{gateway}/api/orders/create")).json(&cart))
        .await
        .expect(200);
    assert_eq!(order["amount"], nominal["price"]);
    let (id, token) = (order["orderId"].as_str().unwrap(), order["orderToken"].as_str().unwrap());
    let status = |token: &str| Reply::of(http.get(format!("{gateway}/api/orders/{id}")).bearer_auth(token));
    assert_eq!(status(token).await.expect(200)["status"], "pending");

    // The provider's pay page, and a press on Pay: the browser is sent back to the shop.
    let page = get(&http, order["paymentUrl"].as_str().unwrap().to_owned()).await;
    assert_eq!(page.status, 200);
    let pay = format!("{}/pay/{}/pay", dev.info.sandbox, order["billId"].as_str().unwrap());
    let back = Reply::of(http.post(pay)).await;
    assert_eq!(back.status, 303, "{}", back.text);
    let back = Reply::of(http.get(back.header("location").unwrap())).await;
    assert_eq!(
        (back.status, back.header("location")),
        (303, Some(format!("/pending?orderId={id}").as_str()))
    );
    let pending = get(&http, format!("{gateway}/pending?orderId={id}")).await;
    assert_eq!(
        (pending.status, pending.header("content-type")),
        (200, Some("text/html; charset=utf-8"))
    );

    // The webhook came, the order is paid, the code is there for the token's holder and nobody else.
    let mut view = Value::Null;
    for _ in 0..100 {
        view = status(token).await.expect(200);
        if view["fulfilment"] == "delivered" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(
        (&view["status"], &view["fulfilment"]),
        (&json!("paid"), &json!("delivered")),
        "{view}"
    );
    let code = view["codes"][0]["code"].as_str().unwrap().to_owned();
    status("wrong").await.refused(404, "order_not_found");

    // And in the mailbox: the webhook woke jobs, no tick was needed.
    let mut mails = json!([]);
    for _ in 0..200 {
        mails = get(&http, format!("{}/mailbox?to=walk@example.com", dev.info.sandbox))
            .await
            .expect(200);
        if !mails.as_array().unwrap().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(mails.as_array().unwrap().len(), 1, "{mails}");
    for part in ["text", "html"] {
        assert!(mails[0][part].as_str().unwrap().contains(&code), "{part}: {mails}");
    }
    assert_eq!(mails[0]["subject"], "Your Gift Cards Are Ready!");

    let stack_json = dev
        .printed
        .split_whitespace()
        .find(|word| word.ends_with("stack.json"))
        .unwrap()
        .to_owned();
    dev.stop().await;
    assert!(!std::path::Path::new(&stack_json).exists(), "stack.json is removed on stop");
}
