//! Refusals: problem details by RFC 9457, with the diagnostics that the command line shows.

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use swath_api::ConfigError;
use swath_core::spec::{Code, suggestion};
use utoipa::ToSchema;

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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
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

    /// Another graph runs than the one that the client has seen.
    pub fn changed(revision: u64) -> Problem {
        let detail = format!("revision {revision} runs, and `If-Match` asks for another");
        Problem::of_kind("other-revision", "Another graph runs.", StatusCode::PRECONDITION_FAILED, detail)
    }
}

impl Diagnostic {
    fn error(code: Code, message: &str) -> Diagnostic {
        Diagnostic {
            code: code.text().into(),
            severity: "error".into(),
            message: message.into(),
            path: None,
            file: None,
            line: None,
            column: None,
            help: None,
        }
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
