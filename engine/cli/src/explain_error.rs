//! `swath explain-error`: what a code such as `SW0204` means, and what to do.

use swath_core::spec::{Code, suggestion};

use crate::exit::{Exit, Failure};
use crate::schema::one_line;
use crate::table::wrap;
use crate::terminal::Terminal;

/// Arguments of `explain-error`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Every mistake in a graph is reported with a code, which never changes.

Examples:
  swath explain-error
  swath explain-error SW0205")]
pub struct ExplainErrorArgs {
    /// The code; without it, all codes are listed
    pub code: Option<String>,
}

/// Explains a code, or lists all of them.
///
/// # Errors
/// There is no such code.
pub fn explain_error(args: &ExplainErrorArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let text = match &args.code {
        None => Code::ALL.iter().map(|code| format!("{}  {}\n", code.text(), code.title())).collect(),
        Some(asked) => {
            let code = Code::ALL.iter().find(|code| code.text().eq_ignore_ascii_case(asked)).ok_or_else(|| unknown(asked))?;
            format!("{}: {}\n\n{}", code.text(), code.title(), wrap(&one_line(code.explanation()), 0))
        }
    };
    terminal.data(&text)?;
    Ok(Exit::Ok)
}

fn unknown(asked: &str) -> Failure {
    let known: Vec<&str> = Code::ALL.iter().map(|code| code.text()).collect();
    let near = suggestion(&asked.to_uppercase(), "the codes are", &known).unwrap_or_default();
    Failure::usage(format!("there is no error code `{asked}`; {near}"))
}
