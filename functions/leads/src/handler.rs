use http::Response;
use shared::edge::Incoming;
use shared::error::{ApiError, Code};

use crate::Config;

pub const MAX_BODY: usize = 64 * 1024;

pub async fn handle(_config: Config, _request: Incoming) -> Result<Response<String>, ApiError> {
    Err(Code::NotFound.into())
}
