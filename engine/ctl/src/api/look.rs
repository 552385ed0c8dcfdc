//! Packets that pass, as lines of JSON, for as long as somebody reads them: taps, drops and paths.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use hyper::body::{Body, Bytes, Frame};
use swath_api::filter::{Filter, FilterError};
use swath_core::run::{Engine, Fate, Order, Place, Sightings, What};
use swath_core::spec::did_you_mean;
use tokio::time::{Interval, MissedTickBehavior};

use super::problem::{Diagnostic, PROBLEM, Problem};
use super::seen::{Becomes, ExplainOrder, Explained, Look, LookLine, Seen, TraceOrder, from_hex, to_hex};
use super::{Api, Text};
use crate::peer::Peer;

/// How often workers are asked what they have seen.
const TICK: Duration = Duration::from_millis(20);
/// Packets that are told at once, of each worker.
const BATCH: usize = 512;
/// Bytes of a packet that are told if nobody says how many.
const SNAP: usize = 262_144;
/// How long the end of a path is waited for when all packets were chosen: one that waits for an ARP reply takes seconds.
const PATIENCE: Duration = Duration::from_secs(5);
/// The media type of lines of JSON.
const LINES: &str = "application/x-ndjson";

/// What is answered where packets are told line by line.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "it is only described")]
enum InLines {
    /// The lines.
    #[response(status = 200, content_type = "application/x-ndjson")]
    Lines(LookLine),
    /// What is asked for cannot be read.
    #[response(status = 400, content_type = "application/problem+json")]
    Malformed(Problem),
    /// There is nothing of this name, or there are too many who look.
    #[response(status = 422, content_type = "application/problem+json")]
    Refused(Problem),
    /// The engine does not answer.
    #[response(status = 503, content_type = "application/problem+json")]
    Away(Problem),
}

/// Packets as they leave nodes, each as a line of JSON, until as many have come as were asked for, or the client goes away. It sees
/// what is reloaded meanwhile. If it reads slower than packets come, packets are missed, and it is told how many.
#[utoipa::path(
    post,
    path = "/v1/tap",
    tag = "look",
    request_body = Look,
    responses(InLines)
)]
pub(super) async fn tap(State(api): State<Api>, peer: Peer, Text(body): Text) -> Result<Response, Problem> {
    let look: Look = read(&body)?;
    if look.at.is_empty() {
        return Err(Problem::malformed("`at` is empty: it names what to look at, such as `lookup` or `lookup.no-route`"));
    }
    let order = order(&look, What::Edges)?;
    start(api, peer, "tap", order).await
}

/// Packets that are dropped, as `/v1/tap`.
#[utoipa::path(
    post,
    path = "/v1/drops/packets",
    tag = "look",
    request_body = Look,
    responses(InLines)
)]
pub(super) async fn dropped(State(api): State<Api>, peer: Peer, Text(body): Text) -> Result<Response, Problem> {
    let look: Look = read(&body)?;
    let order = order(&look, What::Drops)?;
    start(api, peer, "drops", order).await
}

/// The paths of packets that come in: a line for each node that a packet leaves. It ends when as many as were asked for have come to an
/// end, or the client goes away.
#[utoipa::path(
    post,
    path = "/v1/trace",
    tag = "look",
    request_body = TraceOrder,
    responses(InLines)
)]
pub(super) async fn trace(State(api): State<Api>, peer: Peer, Text(body): Text) -> Result<Response, Problem> {
    let trace: TraceOrder = read(&body)?;
    let order = Order { what: What::Trace(trace.interface), filter: filter(&trace.filter)?, count: trace.count, snap: 0 };
    start(api, peer, "trace", order).await
}

/// What would become of a packet: what each node would do with it, while nothing is done, counted or sent. It ends where the packet would,
/// or at a node that cannot say without doing it.
#[utoipa::path(
    post,
    path = "/v1/explain",
    tag = "look",
    request_body = ExplainOrder,
    responses(
        (status = 200, body = Explained),
        (status = 400, body = Problem, content_type = PROBLEM),
        (status = 422, body = Problem, content_type = PROBLEM, description = "There is no such interface, or no buffer is free"),
        (status = 503, body = Problem, content_type = PROBLEM),
    )
)]
pub(super) async fn explain(State(api): State<Api>, Text(body): Text) -> Result<Json<Explained>, Problem> {
    let ExplainOrder { interface, frame } = read(&body)?;
    let frame = from_hex(&frame).ok_or_else(|| Problem::malformed("`frame` is not hexadecimal"))?;
    let explained = api.control.ask(move |desk| {
        let engine = &desk.running.engine;
        let began = SystemTime::now() - Duration::from_nanos(engine.clock());
        engine.explain(&interface, &frame).map(|steps| (steps, began))
    });
    let (steps, began) = explained.await?.map_err(|error| Problem::refused(&error, None))?;
    Ok(Json(Explained { steps: steps.into_iter().map(|seen| Seen::new(seen, began)).collect() }))
}

fn read<T: serde::de::DeserializeOwned>(body: &str) -> Result<T, Problem> {
    serde_json::from_str(body).map_err(|error| Problem::malformed(error.to_string()))
}

fn order(look: &Look, what: fn(Vec<Place>) -> What) -> Result<Order, Problem> {
    let places: Result<Vec<Place>, _> = look.at.iter().map(|text| Place::new(text)).collect();
    let places = places.map_err(|error| Problem::malformed(error.to_string()))?;
    Ok(Order { what: what(places), filter: filter(&look.filter)?, count: look.count, snap: look.snap.unwrap_or(SNAP) })
}

fn filter(text: &Option<String>) -> Result<Option<Filter>, Problem> {
    let read = |text: &String| Filter::new(text, true).map_err(|error| wrong_filter(text, &error));
    text.as_ref().map(read).transpose()
}

/// A filter that is refused, with its place in the text.
fn wrong_filter(text: &str, error: &FilterError) -> Problem {
    let at = error.at();
    let column = |byte: usize| Some(text[..byte].chars().count() as u64 + 1);
    let help = did_you_mean(&text[at.clone()], error.words().iter().copied()).map(|word| format!("did you mean `{word}`?"));
    let diagnostic = Diagnostic {
        severity: "error".into(),
        message: error.to_string(),
        path: Some("filter".into()),
        line: Some(1),
        column: column(at.start),
        end_line: Some(1),
        end_column: column(at.end),
        help,
        ..Diagnostic::default()
    };
    Problem { diagnostics: vec![diagnostic], ..Problem::malformed(error.to_string()) }
}

async fn start(api: Api, peer: Peer, what: &'static str, order: Order) -> Result<Response, Problem> {
    let is_trace = matches!(order.what, What::Trace(_));
    let begin = move |engine: &mut Engine| {
        let began = SystemTime::now() - Duration::from_nanos(engine.clock());
        engine.probe(order).map(|sightings| (sightings, began))
    };
    let begun = api.control.ask(move |desk| begin(&mut desk.running.engine)).await?;
    let (sightings, began) = begun.map_err(|error| Problem::refused(&error, None))?;
    tracing::info!(target: "swath::api", %peer, probe = sightings.id(), "{what} begins");
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let lines = Lines { sightings, began, tick, paths: is_trace.then(BTreeSet::new), missed: 0, stage: Stage::Begins };
    Ok(([(CONTENT_TYPE, LINES)], axum::body::Body::new(lines)).into_response())
}

/// What is told, as it comes.
struct Lines {
    sightings: Sightings,
    /// When the engine's clock began.
    began: SystemTime,
    tick: Interval,
    /// Of a trace: the packets that are on their way.
    paths: Option<BTreeSet<u32>>,
    missed: u64,
    stage: Stage,
}

/// How far it has come.
enum Stage {
    Begins,
    Goes,
    /// As many were chosen as were wanted, and something was last heard of them then.
    Full(Instant),
    Ended,
}

impl Lines {
    /// What there is to tell now; nothing, if there is nothing.
    fn next(&mut self) -> String {
        let mut text = String::new();
        let mut tell = |line: &LookLine| {
            text += &serde_json::to_string(line).unwrap_or_default();
            text.push('\n');
        };
        if let Stage::Begins = self.stage {
            tell(&LookLine::Begins);
            self.stage = Stage::Goes;
        }
        // First, so that what was chosen before is taken behind it.
        let is_full = self.sightings.is_full();
        let seen = self.sightings.take(BATCH);
        let silent = seen.is_empty();
        if let Some(paths) = &mut self.paths {
            // Workers are read one after the other: what counts is the last that is known of each packet.
            let mut last: BTreeMap<u32, (u32, bool)> = BTreeMap::new();
            for seen in &seen {
                let goes_on = matches!(seen.fate, Fate::Goes | Fate::Held);
                let known = last.entry(seen.packet).or_default();
                *known = (*known).max((seen.hop, goes_on));
            }
            for (packet, (_, goes_on)) in last {
                if goes_on {
                    paths.insert(packet)
                } else {
                    paths.remove(&packet)
                };
            }
        }
        for seen in seen {
            tell(&LookLine::Seen(Box::new(Seen::new(seen, self.began))));
        }
        let missed = self.sightings.missed();
        if missed > self.missed {
            tell(&LookLine::Missed(missed - self.missed));
            self.missed = missed;
        }
        if is_full {
            let heard = match self.stage {
                Stage::Full(heard) if silent => heard,
                _ => Instant::now(),
            };
            let on_their_way = self.paths.as_ref().is_some_and(|paths| !paths.is_empty());
            let is_over = silent && (!on_their_way || heard.elapsed() > PATIENCE);
            self.stage = if is_over { Stage::Ended } else { Stage::Full(heard) };
        }
        text
    }
}

impl Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let lines = self.get_mut();
        loop {
            if let Stage::Ended = lines.stage {
                return Poll::Ready(None);
            }
            if lines.tick.poll_tick(cx).is_pending() {
                return Poll::Pending;
            }
            let text = lines.next();
            if !text.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(text.into()))));
            }
        }
    }
}

impl Seen {
    /// Of what was seen by an engine whose clock began then.
    pub fn new(seen: swath_core::run::Seen, began: SystemTime) -> Seen {
        Seen {
            time: time(seen.at, began),
            worker: seen.worker,
            node: seen.node,
            kind: seen.kind.into(),
            edge: seen.edge,
            becomes: match seen.fate {
                Fate::Goes => Becomes::Goes,
                Fate::Sent => Becomes::Sent,
                Fate::Dropped => Becomes::Dropped,
                Fate::Held => Becomes::Held,
                Fate::Consumed => Becomes::Consumed,
                Fate::NotSimulated => Becomes::NotSimulated,
            },
            to: seen.to,
            meaning: (seen.fate == Fate::Dropped).then(|| words(seen.meaning)),
            why: Some(seen.note).filter(|note| !note.is_empty()),
            received: seen.received,
            leaves: seen.leaves,
            packet: Some(seen.packet).filter(|packet| *packet > 0),
            hop: Some(seen.hop).filter(|_| seen.packet > 0),
            layer: seen.layer.into(),
            length: seen.length,
            bytes: to_hex(&seen.bytes),
        }
    }
}

/// A time of the engine's clock, which began then: RFC 3339 in UTC.
pub(super) fn time(at: u64, began: SystemTime) -> String {
    humantime::format_rfc3339_nanos(began + Duration::from_nanos(at)).to_string()
}

/// A text without the line breaks of the source.
pub(super) fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
