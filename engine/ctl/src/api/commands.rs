//! Commands and questions to tables.

use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde_json::value::RawValue;
use swath_core::spec::Code;

use super::problem::{PROBLEM, Problem};
use super::{Allowed, Api, Text};
use crate::control::Desk;
use crate::peer::Peer;

/// Commands that are carried out without others having their turn.
const SLICE: usize = 1024;
/// Characters of a command that are logged.
const SHOWN: usize = 200;

/// Sends a command to a table, or several in a list, which are carried out one after the other until one is refused. What commands a
/// table takes, its page in the catalogue of kinds says. They last until the engine ends, and the graph file stays as it is.
#[utoipa::path(
    post,
    path = "/v1/tables/{name}/commands",
    tag = "tables",
    params(
        ("name" = String, Path, description = "The table's name in the graph"),
        ("If-Match" = Option<String>, Header, description = "Only if this revision runs: the entity tag of `/v1/config`"),
    ),
    request_body(
        content = serde_json::Value,
        description = "A command such as `{\"show\": {}}`, or a list of them",
        content_type = "application/json"
    ),
    responses(
        (status = 200, body = serde_json::Value, description = "The table's answer; of several commands, a list of answers"),
        (status = 400, body = Problem, content_type = PROBLEM),
        (status = 404, body = Problem, content_type = PROBLEM),
        (status = 412, body = Problem, content_type = PROBLEM),
        (status = 422, body = Problem, content_type = PROBLEM, description = "A command was refused; `done` came before it"),
        (status = 503, body = Problem, content_type = PROBLEM),
    )
)]
pub(super) async fn commands(
    State(api): State<Api>,
    Path(table): Path<String>,
    peer: Peer,
    allowed: Allowed,
    Text(body): Text,
) -> Result<impl IntoResponse, Problem> {
    let json = [(CONTENT_TYPE, "application/json")];
    let malformed = |error: serde_json::Error| Problem::malformed(error.to_string());
    if !body.trim_start().starts_with('[') {
        let command: Box<RawValue> = serde_json::from_str(&body).map_err(malformed)?;
        let reply = api.control.ask(move |desk| {
            allowed.check(desk.running.revision())?;
            let reply = carry_out(desk, &table, command.get(), None);
            log(desk, peer, &table, std::slice::from_ref(&command), usize::from(reply.is_ok()));
            reply
        });
        return Ok((json, reply.await??));
    }
    let commands: Vec<Box<RawValue>> = serde_json::from_str(&body).map_err(malformed)?;
    drop(body);
    let count = commands.len();
    let (mut commands, mut done) = (commands.into_iter(), 0);
    let (mut text, mut allowed, mut table) = (String::from("["), allowed, table);
    // Once at least: a table that is not there is refused even if there is nothing to do.
    loop {
        let slice: Vec<Box<RawValue>> = commands.by_ref().take(SLICE).collect();
        let length = slice.len();
        let carried_out = api.control.ask(move |desk| {
            let replies = allowed.check(desk.running.revision()).and_then(|()| carry_out_all(desk, peer, &table, &slice, done));
            (replies, allowed, table)
        });
        let replies;
        (replies, allowed, table) = carried_out.await?;
        let replies = replies?;
        if done > 0 && length > 0 {
            text.push(',');
        }
        text += &replies;
        done += length;
        if done >= count {
            break;
        }
    }
    text.push(']');
    Ok((json, text))
}

/// The replies to commands of which the first is that at index `first` of all.
fn carry_out_all(
    desk: &mut Desk<'_>,
    peer: Peer,
    table: &str,
    commands: &[Box<RawValue>],
    first: usize,
) -> Result<String, Problem> {
    known(desk, table)?;
    let mut text = String::new();
    for (at, command) in commands.iter().enumerate() {
        let reply = carry_out(desk, table, command.get(), Some(first + at));
        if reply.is_err() {
            log(desk, peer, table, commands, at);
        }
        if at > 0 {
            text.push(',');
        }
        text += &reply?;
    }
    log(desk, peer, table, commands, commands.len());
    Ok(text)
}

/// Says who has changed what by the first `done` of these commands; of many, the first one stands for all.
fn log(desk: &Desk<'_>, peer: Peer, table: &str, commands: &[Box<RawValue>], done: usize) {
    let Some(known) = desk.running.engine.table(table) else { return };
    let reads = known.info().reads;
    let is_read = |command: &RawValue| reads.as_slice().iter().any(|read| name(command.get()) == Some(read.as_str()));
    let mut changes = commands[..done].iter().filter(|command| !is_read(command));
    if let Some(first) = changes.next() {
        let count = 1 + changes.count();
        let command: String = first.get().chars().take(SHOWN).collect();
        tracing::info!(target: "swath::api", %peer, table, count, command, "changed a table");
    }
}

/// The name of a command: the first string in it.
fn name(command: &str) -> Option<&str> {
    command.split('"').nth(1)
}

fn carry_out(desk: &mut Desk<'_>, table: &str, command: &str, at: Option<usize>) -> Result<String, Problem> {
    known(desk, table)?;
    let Desk { running, meanwhile } = desk;
    let answer = running.engine.ask_while(table, command, meanwhile);
    answer.map(|answer| answer.reply).map_err(|error| Problem::refused(&error, at))
}

fn known(desk: &Desk<'_>, table: &str) -> Result<(), Problem> {
    let engine = &desk.running.engine;
    if engine.table(table).is_some() {
        return Ok(());
    }
    let known: Vec<&str> = engine.plan().tables.iter().map(|table| table.spec.name.value.as_str()).collect();
    Err(Problem::unknown("table", table, &known, Code::UnknownTable))
}
