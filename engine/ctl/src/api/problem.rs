//! Refusals: problem details by RFC 9457, with the diagnostics that the command line shows.

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use swath_api::ConfigError;
use swath_core::run::Refusal;
use swath_core::spec::{self, Code, Diagnostics, SourceMap, suggestion};
use utoipa::ToSchema;

use crate::candidate::Findings;
use crate::change::Refused;
use crate::control::Gone;

/// The media type of problem details.
pub const PROBLEM: &str = "application/problem+json";

/// Why something was not done (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Problem {
    /// Which kind of problem: `urn:swath:problem:` and a word, or `about:blank` if the status says it all.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Of several commands: how many were carried out before the one that was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<usize>,
    /// What is wrong where, as `swath validate --format json` tells it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagnostics: Vec<Diagnostic>,
}

/// One mistake.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Diagnostic {
    /// What kind of mistake; `swath explain-error` says more.
    pub code: String,
    /// `error` or `warning`.
    pub severity: String,
    /// The mistake in a line.
    pub message: String,
    /// Where in a command or a setting, such as `add.via`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line in it, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The character in the line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u64>,
    /// The line where it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_line: Option<u64>,
    /// The character behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_column: Option<u64>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The places that it is about, that of the mistake first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Label>,
    /// In how many more instances of a template there is the same mistake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeated: Option<u64>,
    /// All of it for people, with the lines of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rendered: Option<String>,
}

/// A place that a diagnostic points at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Label {
    /// The file.
    #[serde(default)]
    pub file: String,
    /// The line in it, from 1.
    #[serde(default)]
    pub line: u64,
    /// The character in the line, from 1.
    #[serde(default)]
    pub column: u64,
    /// The line where it ends.
    #[serde(default)]
    pub end_line: u64,
    /// The character behind it.
    #[serde(default)]
    pub end_column: u64,
    /// What is to be said there.
    pub text: String,
    /// Whether it is the place of the mistake, or one that explains it.
    pub primary: bool,
}

impl Problem {
    /// A problem that its status describes.
    pub fn plain(status: StatusCode, detail: impl Into<String>) -> Problem {
        Problem {
            kind: "about:blank".into(),
            title: status.canonical_reason().unwrap_or_default().into(),
            status: status.as_u16(),
            detail: Some(detail.into()),
            done: None,
            diagnostics: Vec::new(),
        }
    }

    fn of_kind(word: &str, title: &str, status: StatusCode, detail: impl Into<String>) -> Problem {
        Problem { kind: format!("urn:swath:problem:{word}"), title: title.into(), ..Problem::plain(status, detail) }
    }

    /// There is no such thing; `known` are those that there are.
    pub fn unknown(what: &str, name: &str, known: &[&str], code: Code) -> Problem {
        let message = format!("there is no {what} `{name}`");
        let help = suggestion(name, "there are", known);
        let diagnostic = Diagnostic { help, ..Diagnostic::error(code, &message) };
        let problem = Problem::of_kind("unknown-name", "There is nothing of this name.", StatusCode::NOT_FOUND, message);
        Problem { diagnostics: vec![diagnostic], ..problem }
    }

    /// A command was refused: of several, that at index `at`.
    pub fn refused(error: &ConfigError, at: Option<usize>) -> Problem {
        let problem = Problem::of_kind("refused", "The command was refused.", StatusCode::UNPROCESSABLE_ENTITY, error.message());
        let path = match (at, error.path()) {
            (Some(at), "") => format!("[{at}]"),
            (Some(at), path) => format!("[{at}].{path}"),
            (None, path) => path.into(),
        };
        let path = Some(path).filter(|path| !path.is_empty());
        let diagnostic = Diagnostic { path, ..Diagnostic::error(Code::Refused, error.message()) };
        Problem { done: at, diagnostics: vec![diagnostic], ..problem }
    }

    /// The body of the request is not what it should be.
    pub fn malformed(detail: impl Into<String>) -> Problem {
        Problem::of_kind("malformed", "The request cannot be read.", StatusCode::BAD_REQUEST, detail)
    }

    /// There are mistakes in a graph.
    pub fn graph(name: &str, found: &Diagnostics, list: Vec<Diagnostic>) -> Problem {
        let count = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let mut detail = format!("{name}: {}", count(found.errors(), "error"));
        if found.warnings() > 0 {
            detail += &format!(", {}", count(found.warnings(), "warning"));
        }
        let problem = Problem::of_kind("graph", "The graph is refused.", StatusCode::UNPROCESSABLE_ENTITY, detail);
        Problem { diagnostics: list, ..problem }
    }

    /// A graph was not applied.
    pub fn refused_graph(refused: &Refused, name: &str, findings: &Findings) -> Problem {
        let conflict = |word, title| Problem::of_kind(word, title, StatusCode::CONFLICT, format!("{name}: {refused}"));
        match refused {
            Refused::Engine(Refusal::Graph) => findings.refusal(name),
            Refused::Engine(Refusal::Restart { .. }) => conflict("restart", "This cannot change while the engine runs."),
            Refused::Engine(Refusal::Incomplete { .. }) => conflict("incomplete", "The last change is not complete."),
            Refused::Unconfirmed { .. } => conflict("unconfirmed", "The graph that runs waits to be confirmed."),
        }
    }

    /// No graph is on trial.
    pub fn nothing_to_confirm(revision: u64) -> Problem {
        let detail = format!("revision {revision} runs, and does not wait to be confirmed");
        Problem::of_kind("nothing-to-confirm", "There is nothing to confirm.", StatusCode::CONFLICT, detail)
    }

    /// There is nothing to go back to.
    pub fn no_revision_before(revision: u64) -> Problem {
        let detail = format!("no revision is known from before revision {revision}");
        Problem::of_kind("unknown-revision", "There is no such revision.", StatusCode::NOT_FOUND, detail)
    }

    /// There is no such revision; `known` are those that there are.
    pub fn unknown_revision(number: u64, known: &[u64]) -> Problem {
        let known: Vec<String> = known.iter().map(u64::to_string).collect();
        let detail = format!("there is no revision {number}; there are {}", known.join(", "));
        Problem::of_kind("unknown-revision", "There is no such revision.", StatusCode::NOT_FOUND, detail)
    }

    /// Another graph runs than the one that the client has seen.
    pub fn changed(revision: u64) -> Problem {
        let detail = format!("revision {revision} runs, and `If-Match` asks for another");
        Problem::of_kind("other-revision", "Another graph runs.", StatusCode::PRECONDITION_FAILED, detail)
    }
}

impl Diagnostic {
    fn error(code: Code, message: &str) -> Diagnostic {
        Diagnostic { code: code.text().into(), severity: "error".into(), message: message.into(), ..Diagnostic::default() }
    }

    /// One that was found in a graph.
    pub fn of(found: &spec::Diagnostic, sources: &SourceMap) -> Diagnostic {
        let read = serde_json::from_value(found.to_json(sources));
        let read = read.unwrap_or_else(|_| Diagnostic::error(found.code, &found.message));
        Diagnostic { rendered: Some(found.render(sources, false)), ..read }
    }
}

impl From<Gone> for Problem {
    fn from(gone: Gone) -> Problem {
        match gone {
            Gone::Ended => Problem::plain(StatusCode::SERVICE_UNAVAILABLE, "the engine is ending"),
            Gone::Panicked => {
                Problem::plain(StatusCode::INTERNAL_SERVER_ERROR, "a defect of swath; its log has the message to report")
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, [(CONTENT_TYPE, PROBLEM)], serde_json::to_string(&self).unwrap_or_default()).into_response()
    }
}
