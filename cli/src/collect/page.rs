//! The page: its files, which are in this binary, and the answers to its questions. It never changes anything; whoever looks at a payload
//! is written down before he sees it.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use hyper::StatusCode;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::answer::{Answer, Refused};
use super::commit::Committer;
use super::flush::FlushStats;
use super::journal::Journal;
use super::lake::Lake;
use super::line::{Row, RowId, Table};
use super::payloads;
use super::rollup::load::Shared;
use super::rollup::query::{By, Query};
use super::rollup::{DAY, HOUR};
use super::rows::{Micros, now};

/// The longest span that can be asked for: what the sums keep.
const LONGEST: Micros = 93 * DAY;
/// Days of the totals by day.
const DAYS: i64 = 14;

/// What the page looks at.
pub struct View {
    pub shared: Shared,
    pub journal: Journal,
    pub lake: Lake,
    pub flush: Arc<FlushStats>,
}

/// A file of the page by its path.
pub fn asset(path: &str) -> Option<Answer> {
    let (kind, text): (_, &'static str) = match path {
        "/" => ("text/html; charset=utf-8", include_str!("page/index.html")),
        "/page.css" => ("text/css; charset=utf-8", include_str!("page/page.css")),
        "/page.js" => ("text/javascript; charset=utf-8", include_str!("page/page.js")),
        "/chart.js" => ("text/javascript; charset=utf-8", include_str!("page/chart.js")),
        "/icon.svg" => ("image/svg+xml", include_str!("page/icon.svg")),
        _ => return None,
    };
    Some(Answer::Text(kind, Bytes::from_static(text.as_bytes())))
}

impl View {
    /// `from`, `to` (microseconds since the epoch; the last hour where they are absent), `by`, `endpoint`, `entity`, `user`.
    pub async fn summary(&self, query: &str) -> Result<Answer, Refused> {
        let (query, _) = read(query)?;
        let shared = self.shared.clone();
        let lag = self.lag_ms();
        let answer = move || {
            let loaded = shared.is_loaded();
            shared.with(|rollup| {
                let days = rollup.days(now(), DAYS).into_iter().map(|(day, sums)| {
                    json!({"day": day, "requests": sums.requests, "refused": sums.refused,
                        "tokens": sums.input_tokens.saturating_add(sums.output_tokens), "cost_usd": sums.cost_usd})
                });
                let days: Vec<Value> = days.collect();
                json!({"now": now(), "loaded": loaded, "lag_ms": lag, "rows": rollup.rows, "days": days,
                    "answer": rollup.answer(&query)})
            })
        };
        blocking(answer).await.map(Answer::Json)
    }

    /// The last requests: the same filters, `refused=true` for those alone that got an error, `most` (100).
    pub async fn requests(&self, query: &str) -> Result<Answer, Refused> {
        let (query, others) = read(query)?;
        let refused = others.iter().any(|(name, value)| name == "refused" && value == "true");
        let most = others.iter().find(|(name, _)| name == "most").and_then(|(_, value)| value.parse().ok());
        let shared = self.shared.clone();
        let answer = move || {
            shared.with(|rollup| json!({"requests": rollup.last(&query, refused, most.unwrap_or(100).min(1000))}))
        };
        blocking(answer).await.map(Answer::Json)
    }

    /// A request's payload; `date` (as in `2026-01-31`) says where to look.
    pub async fn payload(
        &self,
        committer: &Committer,
        id: &str,
        query: &str,
        (who, peer): (String, SocketAddr),
    ) -> Result<Answer, Refused> {
        let date = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "date");
        let Some((_, date)) = date else {
            return Err(bad("date: expected the request's day (UTC), as in 2026-01-31, found none"));
        };
        self.note(committer, id, &who, peer).await?;
        let (lake, id, date) = (self.lake.clone(), id.to_owned(), date.into_owned());
        match blocking(move || payloads::find(&lake, &id, &date)).await? {
            Ok(Some(found)) => Ok(Answer::Json(found)),
            Ok(None) => Err(Refused(StatusCode::NOT_FOUND, "no payload of that request on that day".to_owned())),
            Err(failure) => Err(Refused(StatusCode::SERVICE_UNAVAILABLE, failure.to_string())),
        }
    }

    /// Writes down who is about to look at what; he sees nothing if that fails.
    async fn note(&self, committer: &Committer, id: &str, who: &str, peer: SocketAddr) -> Result<(), Refused> {
        let micros = now();
        let at = std::time::UNIX_EPOCH + std::time::Duration::from_micros(u64::try_from(micros).unwrap_or_default());
        let time = humantime::format_rfc3339_micros(at).to_string();
        let peer = peer.ip().to_string();
        let line = json!({"table": Table::PayloadAccess.name(), "schema_version": 1, "row": {
            "access_time": time, "who": who, "peer": peer, "databricks_request_id": id}});
        super::log(&format!("payload of {} shown to {who} at {peer}", id.escape_debug()));
        let table = Table::PayloadAccess;
        let row = Row { table, id: RowId::new(table, &[&time, who, &peer, id]), line: line.to_string().into() };
        let noted = committer.commit(vec![Ok(row)]).await;
        noted.map(drop).map_err(|why| Refused(StatusCode::SERVICE_UNAVAILABLE, why))
    }

    /// How long the oldest row has been waiting for its table, ms.
    pub fn lag_ms(&self) -> u64 {
        let since = self.journal.backlog().since.and_then(|since| since.elapsed().ok());
        since.map_or(0, |waited| u64::try_from(waited.as_millis()).unwrap_or(u64::MAX))
    }
}

type Pairs = Vec<(String, String)>;

fn read(query: &str) -> Result<(Query, Pairs), Refused> {
    let pairs: Pairs = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let text = |name: &str| pairs.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone());
    let time = |name: &str| {
        text(name).map(|value| value.parse::<Micros>().map_err(|_| bad(&format!("{name}: expected microseconds"))))
    };
    let to = time("to").transpose()?.unwrap_or_else(now).max(1);
    let from = time("from").transpose()?.unwrap_or_else(|| to.saturating_sub(HOUR));
    let by = match text("by").as_deref() {
        None | Some("endpoint") => By::Endpoint,
        Some("entity") => By::Entity,
        Some("user") => By::User,
        Some(_) => return Err(bad("by: expected endpoint, entity or user")),
    };
    if from >= to || to.saturating_sub(from) > LONGEST {
        return Err(bad("from, to: expected a span of at most 93 days"));
    }
    Ok((Query { from, to, by, endpoint: text("endpoint"), entity: text("entity"), user: text("user") }, pairs))
}

fn bad(why: &str) -> Refused {
    Refused(StatusCode::BAD_REQUEST, why.to_owned())
}

/// On a thread of its own: summing up and reading files would hold up all posts.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refused> {
    let failed = |error: tokio::task::JoinError| Refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
    tokio::task::spawn_blocking(work).await.map_err(failed)
}
