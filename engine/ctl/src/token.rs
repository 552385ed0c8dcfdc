//! A secret that clients of the control API show who come by TCP (RFC 6750).

use std::fmt;
use std::fs::File;
use std::hint::black_box;
use std::io::{self, Error, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::geteuid;

/// Characters of a token at least. 32 of base64 are 192 bits.
const SHORTEST: usize = 32;
/// And at most.
const LONGEST: u64 = 4096;

/// A bearer token.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The token in a file, which only its owner may read.
    ///
    /// # Errors
    /// It cannot be read; others may read it or own it; or what is in it is no token.
    pub fn read(path: &Path) -> io::Result<Token> {
        let file = File::open(path)?;
        let about = file.metadata()?;
        let refused = |why: String| Err(Error::new(ErrorKind::PermissionDenied, why));
        if !about.is_file() {
            return Err(Error::new(ErrorKind::InvalidInput, "it is no regular file"));
        }
        if about.mode() & 0o077 != 0 {
            return refused(format!("others may read it (mode {:04o}): `chmod 600` it", about.mode() & 0o7777));
        }
        if about.uid() != 0 && about.uid() != geteuid().as_raw() {
            return refused(format!("it belongs to somebody else (uid {})", about.uid()));
        }
        let mut text = String::new();
        file.take(LONGEST + 1).read_to_string(&mut text)?;
        Token::new(text.trim_end_matches(['\n', '\r']))
    }

    fn new(text: &str) -> io::Result<Token> {
        let wrong = |why: String| Err(Error::new(ErrorKind::InvalidData, why));
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        if text.len() as u64 > LONGEST || !text.bytes().all(is_allowed) {
            return wrong("a token is one line of letters, digits and `-._~+/=` (RFC 6750)".into());
        }
        if text.len() < SHORTEST {
            return wrong(format!(
                "a token has {SHORTEST} characters at least, and this one has {}: `openssl rand -base64 32` makes one",
                text.len()
            ));
        }
        Ok(Token(text.into()))
    }

    /// The value of `Authorization` with it.
    pub(crate) fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// Whether a value of `Authorization` has it. How long that takes says nothing of where they differ.
    pub(crate) fn is_in(&self, header: &[u8]) -> bool {
        let Some((scheme, token)) = header.split_at_checked(7) else { return false };
        scheme.eq_ignore_ascii_case(b"bearer ") && is_same(token, self.0.as_bytes())
    }
}

fn is_same(one: &[u8], other: &[u8]) -> bool {
    let difference = one.iter().zip(other).fold(0, |difference, (one, other)| black_box(difference | (one ^ other)));
    one.len() == other.len() && black_box(difference) == 0
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const TOKEN: &str = "c3dhdGgtc3dhdGgtc3dhdGgtc3dhdGgtc3dhdGg=";

    #[test]
    fn a_token_is_in_a_header_or_not() {
        let token = Token::new(TOKEN).unwrap();
        assert_eq!(token.header(), format!("Bearer {TOKEN}"));
        for (header, is_in) in [
            (token.header(), true),
            (format!("bearer {TOKEN}"), true),
            (format!("Bearer {TOKEN}="), false),
            (format!("Bearer {}", &TOKEN[1..]), false),
            (format!("Bearer {}", TOKEN.to_lowercase()), false),
            (format!("Basic {TOKEN}"), false),
            (TOKEN.into(), false),
            ("Bearer ".into(), false),
            (String::new(), false),
        ] {
            assert_eq!(token.is_in(header.as_bytes()), is_in, "{header}");
        }
        assert_eq!(format!("{token:?}"), "Token", "it is in no log");
    }

    #[test]
    fn a_file_that_others_may_read_holds_no_token() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("token");
        fs::write(&path, format!("{TOKEN}\n")).unwrap();
        for mode in [0o600, 0o400] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(Token::read(&path).unwrap(), Token(TOKEN.into()));
        }
        for mode in [0o644, 0o640, 0o604, 0o620] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let said = Token::read(&path).unwrap_err().to_string();
            assert!(said.contains(&format!("(mode {mode:04o})")), "{said}");
        }
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        for (text, why) in [
            (TOKEN.replace('t', " "), "one line of letters"),
            (format!("{TOKEN}\n{TOKEN}"), "one line of letters"),
            ("x".repeat(5000), "one line of letters"),
            ("short".into(), "32 characters at least, and this one has 5"),
            (String::new(), "this one has 0"),
        ] {
            fs::write(&path, &text).unwrap();
            let said = Token::read(&path).unwrap_err().to_string();
            assert!(said.contains(why), "{said}");
        }
        assert_eq!(Token::read(place.path()).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
