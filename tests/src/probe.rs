//! For tests of refusals: requests no polite client sends, what they write, and faults of the parts behind.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::{Body, Method};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::{Reply, Shop};

impl Shop {
    /// A request whose body and content type are as given.
    pub async fn send(&self, method: Method, function: &str, path: &str, content_type: Option<&str>, body: impl Into<Body>) -> Reply {
        let mut request = self.request(method, function, path).body(body);
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        Reply::of(request).await
    }

    /// A body with spaces after it, so that it has this many bytes.
    pub fn padded(mut body: String, bytes: usize) -> String {
        body.push_str(&" ".repeat(bytes - body.len()));
        body
    }

    /// A POST in one chunk, without a declared length. `headers` are lines without line breaks at their ends.
    pub async fn post_chunked(&self, function: &str, path: &str, headers: &[&str], body: &[u8]) -> Reply {
        let mut stream = TcpStream::connect(self.info.function(function).trim_start_matches("http://"))
            .await
            .unwrap();
        let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{lines}transfer-encoding: chunked\r\n\r\n",
            self.host
        );
        let request = [head.as_bytes(), format!("{:x}\r\n", body.len()).as_bytes(), body, b"\r\n0\r\n\r\n"].concat();
        // A server that refuses may stop reading before it has everything.
        let _ = stream.write_all(&request).await;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        Reply::parse(&String::from_utf8(answer).unwrap())
    }

    /// A sheet of this size is 413. Announces it and reads the answer without sending it: a refused upload is not read to its end, and a client
    /// that goes on sending may lose the answer with the connection.
    pub async fn announces_too_much(&self, path: &str, size: usize) {
        let address = self.info.function("admin").strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST /api/admin/{path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: text/csv\r\nContent-Length: {size}\r\n\r\n",
            self.host, self.staff_token
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let ended = timeout(Duration::from_secs(10), async {
            while !answer.contains("body_too_large") {
                let mut part = [0; 1024];
                let count = stream.read(&mut part).await.unwrap();
                assert!(count > 0, "{answer}");
                answer.push_str(&String::from_utf8_lossy(&part[..count]));
            }
        });
        assert!(ended.await.is_ok(), "{answer}");
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    }

    /// Asserts that `work` adds exactly these rows to this tenant's, and none to any other table.
    pub async fn adds<T>(&self, expected: &[(&str, i64)], work: impl Future<Output = T>) -> T {
        self.until_sent().await;
        let before = self.rows().await;
        let result = work.await;
        let mut added = self.rows().await;
        for (table, count) in before {
            *added.entry(table).or_default() -= count;
        }
        added.retain(|_, count| *count != 0);
        let expected = expected
            .iter()
            .map(|(table, count)| ((*table).to_owned(), *count))
            .collect::<BTreeMap<_, _>>();
        assert_eq!(added, expected, "rows added");
        result
    }

    /// What earlier steps have put into the outbox is on its way by itself; its rows are not those of the next step. Gives up after some seconds: some
    /// tests keep it from being sent.
    async fn until_sent(&self) {
        let due = "select count(*) from ops.outbox where tenant_id = $1 and status = 'pending' and (lease_id is not null or next_attempt_at <= now())";
        for _ in 0..50 {
            if self.count(due).await == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub async fn adds_nothing<T>(&self, work: impl Future<Output = T>) -> T {
        self.adds(&[], work).await
    }

    /// Runs `work` under fault rules of `board`: the sandbox's or the proxy's address. The rules replace all others, so this goes
    /// one at a time; other tests go on meanwhile, so each rule should `match` something that only this test sends.
    pub async fn under_faults<T>(&self, board: &str, rules: Value, work: impl Future<Output = T>) -> T {
        self.under_rules(&[(board, rules)], work).await
    }

    /// The same with rules of both boards.
    pub async fn under_rules<T>(&self, boards: &[(&str, Value)], work: impl Future<Output = T>) -> T {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());
        let _turn = ONE_AT_A_TIME.lock().await;
        for (board, rules) in boards {
            Reply::of(self.http.put(format!("{board}/faults")).json(&json!({"rules": rules})))
                .await
                .expect(200);
        }
        let result = work.await;
        for (board, _) in boards {
            Reply::of(self.http.delete(format!("{board}/faults"))).await.expect(200);
        }
        result
    }

    /// How often each rule in force has applied.
    pub async fn fault_hits(&self, board: &str) -> Vec<i64> {
        let shown = Reply::of(self.http.get(format!("{board}/faults"))).await.expect(200);
        shown["rules"]
            .as_array()
            .unwrap()
            .iter()
            .map(|rule| rule["hits"].as_i64().unwrap())
            .collect()
    }
}
