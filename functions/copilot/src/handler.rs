//! `POST /api/ai/copilot`
//!
//! 1. Another method: 405. No bearer token, or one that cannot be a token: 401 `unauthorized`.
//! 2. Not `application/json`: 415. Not JSON: 400 `invalid_json`. Wrong fields (a question of more than 500 characters, or with control
//!    characters): 400 `invalid_request`, each named. Nothing written so far.
//! 3. The question becomes a plan or a doubt ([`crate::parse`]). Its text goes no further than the log.
//! 4. A plan: its one function is called in the caller's name and reads. Bad or expired token: 401; not staff: 403 `forbidden`; a caller with
//!    several shops and no `X-Tenant`: 400; database away: 503. Nothing written, unless the call failed on our side: then the log.
//! 5. The question is logged in the caller's name. For a doubt this is also where the caller is checked, with the answers of 4. For a
//!    plan the answer is given even if the log cannot be written; then a line of the Worker's log says so.
//! 6. 200: the figure with its period and evidence, or `unknown` with what can be asked.

use http::{Method, Response, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};
use shared::client_info::{bearer, header_text};
use shared::edge::{self, Incoming, LogLine};
use shared::error::{ApiError, Code, Level};
use shared::postgrest::{Db, DbError, Rpc};
use uuid::Uuid;

use crate::Config;
use crate::answer::{answer, unclear};
use crate::parse::{Doubt, Question, Reason, parse};
use crate::plan::{Intent, Plan};
use crate::wire::{Answer, Ask, Asked, Evidence, Shown};

pub const MAX_BODY: usize = 16 * 1024;

// Not repeated: each call is another row.
const LOG_AI_QUERY: Rpc = Rpc::once("log_ai_query");

/// What a question came to.
struct Outcome {
    intent: Intent,
    shown: Shown,
    plan: Option<Plan>,
    evidence: Option<Evidence>,
}

pub async fn handle(config: Config, request: Incoming) -> Result<Response<String>, ApiError> {
    if request.path != "/api/ai/copilot" {
        return Err(Code::NotFound.into());
    }
    if request.method != Method::POST {
        return Err(ApiError::method_not_allowed("POST"));
    }
    let db = caller(&config, &request)?;
    request.expect_content_type(&["application/json"])?;
    let ask = Ask::read(&request.body)?;
    let conversation_id = ask.conversation_id.unwrap_or_else(edge::random_uuid);

    let outcome = match parse(&ask.query) {
        Ok(question) => match find(&db, &question, &ask).await {
            Ok(outcome) => outcome,
            Err(error) => {
                note_failure(&db, &request, &ask, question.plan, conversation_id, &error).await;
                return Err(error.into());
            }
        },
        Err(doubt) => doubtful(&doubt, &ask),
    };
    let response_time = (edge::now() - request.now).num_milliseconds();
    let logged: Result<Value, DbError> = db
        .call(LOG_AI_QUERY, &log_row(&ask, &outcome, conversation_id, response_time))
        .await;
    if let Err(error) = logged {
        if outcome.evidence.is_none() {
            return Err(error.into());
        }
        report_unlogged(&request, error);
    }
    let Outcome {
        intent,
        shown,
        plan,
        evidence,
    } = outcome;
    edge::json(
        StatusCode::OK,
        &Answer {
            query: &ask.query,
            intent,
            result: shown,
            plan,
            evidence,
            conversation_id,
            response_time,
        },
    )
}

/// The database in the caller's name.
fn caller(config: &Config, request: &Incoming) -> Result<Db, ApiError> {
    let token = bearer(&request.headers).ok_or(Code::Unauthorized)?;
    let db = config.db.for_caller(token).ok_or(Code::Unauthorized)?;
    match header_text(&request.headers, "x-tenant", 100) {
        None => Ok(db),
        Some(tenant) => {
            let tenant: Uuid = tenant
                .parse()
                .map_err(|_| ApiError::new(Code::InvalidRequest).field("X-Tenant", "must be a UUID"))?;
            Ok(db.in_tenant(tenant))
        }
    }
}

/// Asks the one function of the plan.
async fn find(db: &Db, question: &Question, ask: &Ask) -> Result<Outcome, DbError> {
    let plan = question.plan;
    let evidence = |rows| Evidence {
        function: format!("api.{}", plan.function()),
        parameters: plan.parameters(),
        rows,
    };
    match db.call(Rpc::idempotent(plan.function()), &plan.parameters()).await? {
        Asked::Ok(report) => {
            let shown = answer(question, &report, ask.locale).map_err(|error| DbError::Failed(error.detail.unwrap_or_default()))?;
            Ok(Outcome {
                intent: plan.intent(),
                shown,
                plan: Some(plan),
                evidence: Some(evidence(report.rows)),
            })
        }
        Asked::PeriodInFuture => Ok(doubtful(
            &Doubt {
                reason: Reason::PeriodInFuture,
                words: vec![],
            },
            ask,
        )),
    }
}

fn doubtful(doubt: &Doubt, ask: &Ask) -> Outcome {
    Outcome {
        intent: Intent::Unknown,
        shown: unclear(doubt, ask.locale),
        plan: None,
        evidence: None,
    }
}

/// A row of `ai.ai_queries`. The answer goes in without its rows: those of customers are addresses.
#[derive(Serialize)]
struct LogRow<'a> {
    query: &'a str,
    intent: Intent,
    function: Option<&'static str>,
    parameters: Option<Value>,
    response: Value,
    response_time_ms: i64,
    conversation_id: Uuid,
}

fn log_row<'a>(ask: &'a Ask, outcome: &Outcome, conversation_id: Uuid, response_time_ms: i64) -> LogRow<'a> {
    let response = Shown {
        rows: None,
        columns: vec![],
        ..outcome.shown.clone()
    };
    LogRow {
        query: &ask.query,
        intent: outcome.intent,
        function: outcome.plan.map(Plan::function),
        parameters: outcome.plan.map(Plan::parameters),
        response: json!(response),
        response_time_ms,
        conversation_id,
    }
}

/// A question that failed on our side is logged as well, if that is possible. Who may not ask leaves nothing.
async fn note_failure(db: &Db, request: &Incoming, ask: &Ask, plan: Plan, conversation_id: Uuid, error: &DbError) {
    if !matches!(error, DbError::Unavailable(_) | DbError::Failed(_)) {
        return;
    }
    let code = ApiError::from(error.clone()).code.name();
    let row = LogRow {
        query: &ask.query,
        intent: plan.intent(),
        function: Some(plan.function()),
        parameters: Some(plan.parameters()),
        response: json!({"error": code}),
        response_time_ms: (edge::now() - request.now).num_milliseconds(),
        conversation_id,
    };
    let logged: Result<Value, DbError> = db.call(LOG_AI_QUERY, &row).await;
    if let Err(error) = logged {
        report_unlogged(request, error);
    }
}

fn report_unlogged(request: &Incoming, error: DbError) {
    let error = ApiError::from(error);
    edge::log(&LogLine {
        level: Level::Warn,
        function: "copilot",
        request_id: &request.request_id,
        method: "POST",
        route: "/api/ai/copilot",
        status: 200,
        code: Some("question_not_logged"),
        detail: error.detail.as_deref(),
        ms: (edge::now() - request.now).num_milliseconds(),
    });
}
