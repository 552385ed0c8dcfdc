//! The graphs that ran.

use axum::Json;
use axum::extract::{Path, State};
use swath_core::plan::Plan;

use super::Api;
use super::problem::{PROBLEM, Problem};
use super::types::{RevisionChanges, RevisionInfo};
use crate::candidate::Candidate;
use crate::revisions::Revision;

/// The graphs that ran, the last first.
#[utoipa::path(
    get,
    path = "/v1/revisions",
    tag = "revisions",
    responses((status = 200, body = Vec<RevisionInfo>), (status = 503, body = Problem, content_type = PROBLEM))
)]
pub(super) async fn list(State(api): State<Api>) -> Result<Json<Vec<RevisionInfo>>, Problem> {
    Ok(Json(api.control.ask(|desk| desk.running.revisions.list()).await?))
}

/// A graph that ran, with its files.
#[utoipa::path(
    get,
    path = "/v1/revisions/{number}",
    tag = "revisions",
    params(("number" = u64, Path, description = "Its number")),
    responses(
        (status = 200, body = Revision),
        (status = 404, body = Problem, content_type = PROBLEM),
        (status = 503, body = Problem, content_type = PROBLEM),
    )
)]
pub(super) async fn one(State(api): State<Api>, Path(number): Path<String>) -> Result<Json<Revision>, Problem> {
    api.revision(&number).await.map(Json)
}

/// What would change from one to another.
#[utoipa::path(
    get,
    path = "/v1/revisions/{from}/changes/{to}",
    tag = "revisions",
    params(
        ("from" = u64, Path, description = "The number of the one that is changed"),
        ("to" = u64, Path, description = "The number of the one that it is changed to")
    ),
    responses(
        (status = 200, body = RevisionChanges),
        (status = 404, body = Problem, content_type = PROBLEM),
        (status = 422, body = Problem, content_type = PROBLEM, description = "One of them cannot be had any more"),
        (status = 503, body = Problem, content_type = PROBLEM),
    )
)]
pub(super) async fn changes(
    State(api): State<Api>,
    Path((from, to)): Path<(String, String)>,
) -> Result<Json<RevisionChanges>, Problem> {
    let (from, to) = (api.revision(&from).await?, api.revision(&to).await?);
    let numbers = (from.number, to.number);
    let old = api.read(|registry| Candidate::read(from.files, registry)).await?;
    let new = api.read(|registry| Candidate::read(to.files, registry)).await?;
    let changes = Plan::diff(&old.plan, &new.plan);
    Ok(Json(RevisionChanges { from: numbers.0, to: numbers.1, equal: changes.is_empty(), changes }))
}

impl Api {
    async fn revision(&self, number: &str) -> Result<Revision, Problem> {
        let number = number.parse().map_err(|_| Problem::malformed(format!("`{number}` is not the number of a revision")))?;
        let found = self.control.ask(move |desk| {
            let revisions = &desk.running.revisions;
            revisions.get(number).ok_or_else(|| Problem::unknown_revision(number, &revisions.numbers()))
        });
        found.await?
    }
}
