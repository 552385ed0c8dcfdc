//! What the scanner's messages mean, in words that help.

use crate::spec::code::Code;
use crate::spec::diagnostic::Diagnostic;
use crate::spec::source::{Source, Span};

/// The collection around the place of a mistake: where it starts, and whether it is one in brackets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around {
    pub(super) start: Span,
    pub(super) is_flow: bool,
    pub(super) is_seq: bool,
}

/// The diagnostic for an error of the scanner at a byte of the text.
pub(super) fn diagnose(source: &Source, info: &str, at: usize, around: Option<Around>) -> Diagnostic {
    let text = source.text();
    let at = text.floor_char_boundary(at);
    let behind = text[at..].chars().next();
    let place = source.span(at..at + behind.filter(|c| !c.is_whitespace()).map_or(0, char::len_utf8));
    let error = |message: &str, label: &str| Diagnostic::error(Code::Syntax, message).primary(place, label);
    let has = |words: &str| info.contains(words);

    if has("recursion limit") {
        return Diagnostic::error(Code::TooDeep, "values are nested too deep")
            .primary(place, "one too deep")
            .help("look for a bracket that is never closed");
    }
    if let Some(nul) = text.find('\0') {
        return Diagnostic::error(Code::Syntax, "a control character stands in the text")
            .primary(source.span(nul..nul + 1), "the character U+0000")
            .help("remove it, or write it as `\\0` in double quotes");
    }
    let is_tab = |at: usize| text.as_bytes().get(at) == Some(&b'\t');
    let tab = [at, at.wrapping_sub(1)].into_iter().find(|&at| is_tab(at));
    if let Some(tab) = tab.filter(|_| has("tab") || has("whitespace") || has("indicator")) {
        return Diagnostic::error(Code::Syntax, "a tab is used for indentation")
            .primary(source.span(tab..tab + 1), "this is a tab")
            .help("YAML is indented with spaces: replace the tab");
    }
    if has("unknown anchor") {
        let name = word(text, at + 1);
        return Diagnostic::error(Code::UnknownAnchor, format!("no anchor `&{name}` stands before this alias"))
            .primary(source.span(at..at + 1 + name.len()), "unknown")
            .help("a text that starts with `*` needs quotes");
    }
    if has("simple key") {
        // The scanner notices behind the line that lacks the colon.
        let before = text[..at].trim_end();
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = start + before[start..].len() - before[start..].trim_start().len()..before.len();
        return Diagnostic::error(Code::Syntax, "expected `key: value`")
            .primary(source.span(line), "there is no `:` behind a key here")
            .help("a key is followed by a colon and a space");
    }
    if has("mapping values are not allowed") || has("illegal placement of ':'") {
        let diagnostic = error("a `:` stands where no key can end", "unexpected");
        return match around.filter(|around| around.is_flow) {
            Some(around) => diagnostic
                .secondary(around.start, "the bracket around it opens here")
                .help("close the bracket, or put a value that contains `: ` in quotes"),
            None => diagnostic.help("put a value that contains `: ` in quotes, or mend the indentation"),
        };
    }
    if has("block sequence entries are not allowed") || has("plain scalar cannot start with '-'") {
        return error("a list entry `- ` stands where none can start", "unexpected")
            .help("start each entry on a line of its own, or write `[a, b]`");
    }
    if has("quoted scalar") && !has("escape") && !has("hexadecimal") && !has("trailing") {
        return error("a quoted text is never closed", "the quote opens here").help("add the closing quote");
    }
    if has("trailing content after double-quoted") {
        return error("a text goes on behind its closing quote", "unexpected")
            .help("within single quotes write `''` for a quote, within double quotes `\\\"`");
    }
    if has("escape") || has("hexadecimal") {
        return error("an escape in a text in double quotes is not known", "the text starts here")
            .help("write `\\\\` for a backslash, or use single quotes, which take everything literally");
    }
    if has("block scalar") {
        return error("a text of several lines does not start like this", "unexpected")
            .help("`|` and `>` stand alone on their line, with the text indented below; otherwise use quotes");
    }
    if has("unexpected character") || has("%") || has("directive") || has("anchor or alias") {
        return error("a text cannot start with this character", "unexpected").help("put the text in quotes");
    }
    if has("misplaced bracket") {
        return error("a closing bracket matches no opening one", "unexpected").help("remove it, or put the text in quotes");
    }
    if let Some(around) = around.filter(|around| around.is_flow) {
        return in_brackets(source, place, around);
    }
    if let Some(around) = around.filter(|_| has("block mapping") || has("block collection") || has("invalid indentation")) {
        return in_block(source, place, around);
    }
    error("the text cannot be read as YAML here", info)
}

fn in_brackets(source: &Source, place: Span, around: Around) -> Diagnostic {
    let (what, close) = if around.is_seq { ("list", ']') } else { ("mapping", '}') };
    // At the end of the file the bracket itself is the better place.
    let at_end = source.text()[place.start as usize..].trim().is_empty();
    if at_end {
        return Diagnostic::error(Code::Syntax, format!("a {what} in brackets is never closed"))
            .primary(around.start, "the bracket opens here")
            .help(format!("add the closing `{close}`"));
    }
    if let Some(reference) = reference_around(source, place) {
        let text = source.slice(reference);
        return Diagnostic::error(Code::Syntax, format!("`{text}` needs quotes inside of brackets"))
            .primary(reference, "its braces are read as a mapping")
            .secondary(around.start, format!("the {what} starts here"))
            .help(format!("put the whole value in quotes, as in `\"{text}\"`: what is a number then is still one"));
    }
    Diagnostic::error(Code::Syntax, format!("expected `,` or `{close}` in a {what} in brackets"))
        .primary(place, "unexpected")
        .secondary(around.start, format!("the {what} starts here"))
        .help(format!("separate entries by `,` and close the {what} with `{close}`"))
}

/// The reference `${...}` in or directly behind which a place lies.
fn reference_around(source: &Source, place: Span) -> Option<Span> {
    let line = source.line(source.position(place.start as usize).line);
    let text = &source.text()[line.clone()];
    let starts = text.match_indices("${").map(|(at, _)| line.start + at);
    let references = starts.map(|start| (start, source.text()[start..line.end].find('}').map_or(line.end, |end| start + end + 1)));
    let around = |(start, end): &(usize, usize)| (*start..=*end).contains(&(place.start as usize));
    references.into_iter().find(around).map(|(start, end)| source.span(start..end))
}

fn in_block(source: &Source, place: Span, around: Around) -> Diagnostic {
    let text = source.text();
    let before = text[..place.start as usize].trim_end();
    let before = source.line(source.position(before.len()).line).start;
    let before = before + text[before..].len() - text[before..].trim_start().len();
    let above = source.span(before..before + 1);
    let column = |span: Span| source.position(span.start as usize).column;
    let (here, there) = (column(place), column(around.start));
    if here != there {
        return Diagnostic::error(Code::Syntax, "the indentation fits no line above")
            .primary(place, format!("starts in column {here}"))
            .secondary(above, format!("starts in column {}", column(above)))
            .help("lines that belong together start in the same column");
    }
    let (what, entry) = if around.is_seq { ("list", "`- `") } else { ("mapping", "`key: value`") };
    Diagnostic::error(Code::Syntax, format!("expected {entry}, as above"))
        .primary(place, format!("no entry of the {what}"))
        .secondary(around.start, format!("the {what} starts here"))
        .help(format!("a {what} cannot go on as something else: look at the indentation"))
}

/// The name of the anchor or alias that starts at a byte.
pub(super) fn word(text: &str, at: usize) -> &str {
    let text = text.get(at..).unwrap_or("");
    let ends = |c: char| c.is_whitespace() || matches!(c, ',' | '[' | ']' | '{' | '}');
    &text[..text.find(ends).unwrap_or(text.len())]
}
