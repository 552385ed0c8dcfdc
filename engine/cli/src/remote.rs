//! Which engine a command speaks to, and what it hears.

use std::path::{Path, PathBuf};

use swath_ctl::{Client, ClientError, ServerUrl, Token, socket};

use crate::exit::Failure;
use crate::reload;

/// Which engine a command speaks to.
#[derive(Debug, Clone, clap::Args)]
pub struct SocketArgs {
    /// The socket of the engine; not needed if there is only one
    #[arg(long, value_name = "PATH", env = "SWATH_SOCKET", hide_env = true, global = true)]
    pub socket: Option<PathBuf>,
    /// The engine that is reached by TCP: `http://127.0.0.1:9475`
    #[arg(long, value_name = "URL", env = "SWATH_SERVER", hide_env = true, global = true)]
    pub server: Option<ServerUrl>,
    /// With `--server`: the file with the token that it wants
    #[arg(long, value_name = "FILE", env = "SWATH_TOKEN_FILE", hide_env = true, global = true)]
    pub token_file: Option<PathBuf>,
}

impl SocketArgs {
    /// Connects to it.
    ///
    /// # Errors
    /// There is none, or it is not clear which one is meant.
    pub fn connect(&self) -> Result<Client, Failure> {
        if let Some(server) = &self.server {
            return self.connect_to(server);
        }
        let found = match &self.socket {
            Some(path) => path.clone(),
            None => the_only_one(socket::living())?,
        };
        Client::connect(&found).map_err(|error| failure(&error))
    }

    fn connect_to(&self, server: &ServerUrl) -> Result<Client, Failure> {
        if self.socket.is_some() {
            return Err(Failure::usage("a socket or a server: not both `--socket` and `--server`"));
        }
        let needed = || Failure::usage(format!("{server} wants a token: `--token-file FILE`, or SWATH_TOKEN_FILE"));
        let token = token(self.token_file.as_deref().ok_or_else(needed)?)?;
        Client::connect_to(server, token).map_err(|error| failure(&error))
    }
}

/// The token in a file.
///
/// # Errors
/// There is none, or others may read it.
pub fn token(path: &Path) -> Result<Token, Failure> {
    Token::read(path).map_err(|error| Failure::other(format!("{}: {error}", path.display())))
}

fn the_only_one(mut living: Vec<PathBuf>) -> Result<PathBuf, Failure> {
    let lines = |paths: &[PathBuf]| paths.iter().map(|path| format!("\n  --socket {}", path.display())).collect::<String>();
    match living.len() {
        1 => Ok(living.remove(0)),
        0 => {
            let directories = socket::directories();
            let looked: Vec<String> = directories.iter().map(|directory| directory.display().to_string()).collect();
            let looked = looked.join(" and ");
            Err(Failure::other(format!("no engine runs: there is no socket in {looked}; `--socket PATH` names one elsewhere")))
        }
        _ => Err(Failure::usage(format!("several engines run, and one must be chosen:{}", lines(&living)))),
    }
}

/// What the client says, as a failure of the command.
pub fn failure(error: &ClientError) -> Failure {
    Failure::other(error.to_string())
}

/// As [`failure`], of what is about a graph: with the lines that are wrong.
pub fn graph_failure(error: &ClientError) -> Failure {
    match error {
        ClientError::Refused(problem) if matches!(&*problem.kind, "urn:swath:problem:graph" | "urn:swath:problem:restart") => {
            Failure::config(reload::problem(problem))
        }
        error => failure(error),
    }
}

/// A name in the path of a resource: what is not of the unreserved characters of RFC 3986 is escaped.
pub fn segment(name: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    name.bytes().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped() {
        assert_eq!(segment("lan-1/eth.in"), "lan-1%2Feth.in");
        assert_eq!(segment("ä %"), "%C3%A4%20%25");
    }

    #[test]
    fn of_several_engines_none_is_chosen() {
        assert_eq!(the_only_one(vec!["/run/swath/a.sock".into()]), Ok("/run/swath/a.sock".into()));
        let failure = the_only_one(vec!["/run/swath/a.sock".into(), "/run/swath/b.sock".into()]).unwrap_err();
        assert!(failure.to_string().ends_with("chosen:\n  --socket /run/swath/a.sock\n  --socket /run/swath/b.sock"), "{failure}");
        assert!(the_only_one(Vec::new()).unwrap_err().to_string().starts_with("no engine runs: "));
    }
}
