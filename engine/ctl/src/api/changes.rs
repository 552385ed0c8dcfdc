//! Plans and changes of the graph that runs.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::de::DeserializeOwned;

use super::problem::{PROBLEM, Problem};
use super::types::{Applied, ApplyRequest, Confirmed, PlanRequest, Planned, RollbackRequest};
use super::{Allowed, Api, Text};
use crate::candidate::Candidate;
use crate::change::{By, Order};
use crate::peer::Peer;

/// The longest time that a graph may be on trial: a day.
const LONGEST_TRIAL: f64 = 86400.0;

fn request<T: DeserializeOwned>(Text(body): Text) -> Result<T, Problem> {
    serde_json::from_str(&body).map_err(|error| Problem::malformed(error.to_string()))
}

fn trial(seconds: Option<f64>) -> Result<Option<Duration>, Problem> {
    match seconds {
        Some(seconds) if !(1.0..=LONGEST_TRIAL).contains(&seconds) => {
            Err(Problem::malformed(format!("`confirm` is a number of seconds from 1 to {LONGEST_TRIAL}")))
        }
        seconds => Ok(seconds.map(Duration::from_secs_f64)),
    }
}

impl Api {
    /// Reads a graph on a thread of its own: what it may take is nobody else's.
    pub(super) async fn read(
        &self,
        read: impl FnOnce(&swath_core::Registry) -> Result<Candidate, Box<Problem>> + Send + 'static,
    ) -> Result<Candidate, Problem> {
        let registry = self.registry.clone();
        let read = tokio::task::spawn_blocking(move || read(&registry)).await;
        read.map_err(|_| Problem::from(crate::Gone::Panicked))?.map_err(|problem| *problem)
    }
}

/// Says what a graph would change. Variables have the values that they have for the engine.
#[utoipa::path(
    post,
    path = "/v1/plan",
    tag = "changes",
    request_body = PlanRequest,
    responses(
        (status = 200, body = Planned),
        (status = 400, body = Problem, content_type = PROBLEM),
        (status = 422, body = Problem, content_type = PROBLEM, description = "There are mistakes in the graph"),
        (status = 503, body = Problem, content_type = PROBLEM),
    )
)]
pub(super) async fn plan(State(api): State<Api>, body: Text) -> Result<Json<Planned>, Problem> {
    let PlanRequest { graph } = request(body)?;
    let candidate = api.read(|registry| Candidate::read(graph, registry)?.check()).await?;
    let planned = api.control.ask(move |desk| {
        let Candidate { files, mut plan, findings } = candidate;
        let (running, changes) = (&desk.running, desk.running.engine.plan_change(&mut plan));
        Planned {
            revision: running.revision(),
            graph: files.name().into(),
            equal: changes.is_empty(),
            restart: !changes.engine.is_empty(),
            changes,
            diagnostics: findings.list(),
        }
    });
    Ok(Json(planned.await?))
}

/// Has the engine go over to a graph: one transaction, which is carried out to its end even if the client goes away. Whoever comes second
/// of two finds the graph of the first. With `confirm`, the engine goes back by itself unless `/v1/confirm` comes in time.
#[utoipa::path(
    post,
    path = "/v1/apply",
    tag = "changes",
    params(("If-Match" = Option<String>, Header, description = "Only if this revision runs: the entity tag of `/v1/config`")),
    request_body = ApplyRequest,
    responses(
        (status = 200, body = Applied),
        (status = 400, body = Problem, content_type = PROBLEM),
        (status = 409, body = Problem, content_type = PROBLEM, description = "Not now, or not without a restart"),
        (status = 412, body = Problem, content_type = PROBLEM),
        (status = 422, body = Problem, content_type = PROBLEM, description = "There are mistakes in the graph"),
        (status = 503, body = Problem, content_type = PROBLEM),
    )
)]
pub(super) async fn apply(State(api): State<Api>, peer: Peer, allowed: Allowed, body: Text) -> Result<Json<Applied>, Problem> {
    let ApplyRequest { graph, confirm } = request(body)?;
    let order = Order { by: By::Apply, confirm: trial(confirm)? };
    let candidate = api.read(|registry| Candidate::read(graph, registry)).await?;
    let applied = api.control.ask(move |desk| {
        allowed.check(desk.running.revision())?;
        let Candidate { files, plan, mut findings } = candidate;
        let name = files.name().to_string();
        match desk.running.apply(plan, files, order, &mut findings.diagnostics) {
            Ok(applied) => {
                log(peer, "applied a graph", &applied);
                Ok(Applied { diagnostics: findings.list(), ..applied })
            }
            Err(refused) => Err(Problem::refused_graph(&refused, &name, &findings)),
        }
    });
    applied.await?.map(Json)
}

/// Says who has changed what, unless the same graph runs as before.
fn log(peer: Peer, what: &str, applied: &Applied) {
    if applied.report.is_some() {
        let Applied { revision, confirm_within, .. } = applied;
        tracing::info!(target: "swath::api", %peer, revision, confirm_within, "{what}");
    }
}

/// Keeps the graph that would be given up otherwise.
#[utoipa::path(
    post,
    path = "/v1/confirm",
    tag = "changes",
    params(("If-Match" = Option<String>, Header, description = "Only if this revision runs: the entity tag of `/v1/config`")),
    responses(
        (status = 200, body = Confirmed),
        (status = 409, body = Problem, content_type = PROBLEM, description = "There is nothing to confirm"),
        (status = 412, body = Problem, content_type = PROBLEM),
        (status = 503, body = Problem, content_type = PROBLEM),
    )
)]
pub(super) async fn confirm(State(api): State<Api>, peer: Peer, allowed: Allowed) -> Result<Json<Confirmed>, Problem> {
    let confirmed = api.control.ask(move |desk| {
        allowed.check(desk.running.revision())?;
        desk.running.confirm().inspect(|revision| tracing::info!(target: "swath::api", %peer, revision, "confirmed a graph"))
    });
    Ok(Json(Confirmed { revision: confirmed.await?? }))
}

/// Goes back to a revision, which becomes a new one. Without a number: to the one that was confirmed last, or if the one that runs was, to the
/// one before.
#[utoipa::path(
    post,
    path = "/v1/rollback",
    tag = "changes",
    params(("If-Match" = Option<String>, Header, description = "Only if this revision runs: the entity tag of `/v1/config`")),
    request_body = RollbackRequest,
    responses(
        (status = 200, body = Applied),
        (status = 400, body = Problem, content_type = PROBLEM),
        (status = 404, body = Problem, content_type = PROBLEM),
        (status = 409, body = Problem, content_type = PROBLEM, description = "Not now, or not without a restart"),
        (status = 412, body = Problem, content_type = PROBLEM),
        (status = 422, body = Problem, content_type = PROBLEM, description = "It cannot be had any more"),
        (status = 503, body = Problem, content_type = PROBLEM),
    )
)]
pub(super) async fn rollback(State(api): State<Api>, peer: Peer, allowed: Allowed, body: Text) -> Result<Json<Applied>, Problem> {
    let RollbackRequest { revision, confirm } = request(body)?;
    let order = Order { by: By::Rollback, confirm: trial(confirm)? };
    let applied = api.control.ask(move |desk| {
        allowed.check(desk.running.revision())?;
        let applied = desk.running.roll_back(revision, order).map_err(|problem| *problem);
        applied.inspect(|applied| log(peer, "went back to a graph", applied))
    });
    applied.await?.map(Json)
}
