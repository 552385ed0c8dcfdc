//! "Did you mean": the word that somebody probably wanted to write.

/// Longer words are not compared: edit distance costs the product of both lengths.
const LONGEST: usize = 80;

/// The candidate that is nearest to a word, if one is near enough to be meant: at most a third of
/// the word's letters differ, at least one may.
#[must_use]
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LONGEST {
        return None;
    }
    let lower = word.to_lowercase();
    let allowed = (lower.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= LONGEST)
        .map(|candidate| {
            let distance = strsim::damerau_levenshtein(&lower, &candidate.to_lowercase());
            (distance, candidate)
        })
        .filter(|&(distance, candidate)| distance <= allowed && distance < candidate.len())
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// The help for a word that is not known: the one that was probably meant, or all of them.
#[must_use]
pub fn suggestion(word: &str, what: &str, known: &[&str]) -> Option<String> {
    // `{ mtu:1500 }` is a mapping with the one key `mtu:1500` in YAML.
    if let Some((key, rest)) = word.split_once(':')
        && known.contains(&key)
    {
        return Some(format!("write a space after the colon: `{key}: {rest}`"));
    }
    if let Some(near) = did_you_mean(word, known.iter().copied()) {
        return Some(format!("did you mean `{near}`?"));
    }
    let known: Vec<_> = known.iter().map(|word| format!("`{word}`")).collect();
    (!known.is_empty()).then(|| format!("{what}: {}", known.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let known = ["engine", "interfaces", "tables", "nodes"];
        let nearest = |word| did_you_mean(word, known);
        assert_eq!(nearest("interface"), Some("interfaces"));
        assert_eq!(nearest("Nodes"), Some("nodes"));
        assert_eq!(nearest("ndoes"), Some("nodes"));
        assert_eq!(nearest("tabels"), Some("tables"));
        assert_eq!(nearest("templates"), None);
        assert_eq!(nearest(""), None);
        assert_eq!(did_you_mean("a", ["b"]), None);
        assert_eq!(nearest(&"nodes".repeat(100)), None);
    }

    #[test]
    fn without_a_near_word_all_are_listed() {
        let known = ["ok", "ttl-expired"];
        let help = |word| suggestion(word, "known edges", &known).unwrap();
        assert_eq!(help("ttl_expired"), "did you mean `ttl-expired`?");
        assert_eq!(help("drop"), "known edges: `ok`, `ttl-expired`");
        assert_eq!(help("ok:tx"), "write a space after the colon: `ok: tx`");
        assert_eq!(suggestion("x", "known edges", &[]), None);
    }
}
