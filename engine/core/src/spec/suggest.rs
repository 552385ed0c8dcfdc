//! "Did you mean": the word that somebody probably wanted to write.

/// Longer words are not compared: edit distance costs the product of both lengths.
const LONGEST: usize = 80;
/// Edits between a word and what was meant, at most: who writes more wrongly has another word in mind.
const MOST_EDITS: usize = 5;
/// Words that are listed where none is near.
const LISTED: usize = 40;

/// The candidate that is nearest to a word, if one is near enough to be meant: at most a third of
/// the word's letters differ, at least one may.
#[must_use]
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LONGEST {
        return None;
    }
    let lower: Vec<char> = word.to_lowercase().chars().collect();
    let mut allowed = (lower.len() / 3).clamp(1, MOST_EDITS);
    let mut nearest = None;
    let mut other = Vec::new();
    for candidate in candidates.into_iter().filter(|candidate| candidate.len() <= LONGEST) {
        other.clear();
        other.extend(candidate.chars().flat_map(char::to_lowercase));
        let Some(distance) = distance(&lower, &other, allowed).filter(|distance| *distance < candidate.len()) else { continue };
        nearest = Some(candidate);
        // Of two that are equally near the first is meant.
        let Some(nearer) = distance.checked_sub(1) else { break };
        allowed = nearer;
    }
    nearest
}

/// How many letters are wrong, missing, superfluous or swapped with their neighbour (optimal string alignment), if no more than `limit`.
fn distance(a: &[char], b: &[char], limit: usize) -> Option<usize> {
    if a.len().abs_diff(b.len()) > limit || a.len().max(b.len()) > LONGEST {
        return None;
    }
    // Rows of the table of distances between beginnings; cells further from the diagonal than the limit are beyond it.
    const FAR: usize = usize::MAX / 2;
    let mut before = [FAR; LONGEST + 1];
    let mut last: [usize; LONGEST + 1] = std::array::from_fn(|column| column);
    let mut row = [FAR; LONGEST + 1];
    for (i, letter) in (1usize..).zip(a) {
        let (from, to) = (i.saturating_sub(limit).max(1), (i + limit).min(b.len()));
        row[from - 1] = if from == 1 { i } else { FAR };
        let mut least = row[from - 1];
        for j in from..=to {
            let other = b[j - 1];
            let mut cell = (last[j - 1] + usize::from(*letter != other)).min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && *letter == b[j - 2] && a[i - 2] == other {
                cell = cell.min(before[j - 2] + 1);
            }
            row[j] = cell;
            least = least.min(cell);
        }
        if to < b.len() {
            row[to + 1] = FAR;
        }
        if least > limit {
            return None;
        }
        (before, last, row) = (last, row, before);
    }
    Some(last[b.len()]).filter(|distance| *distance <= limit)
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
    let listed: Vec<_> = known.iter().take(LISTED).map(|word| format!("`{word}`")).collect();
    let more = match known.len() - listed.len() {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    (!known.is_empty()).then(|| format!("{what}: {}{more}", listed.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
    fn of_several_the_nearest_is_meant_and_of_equals_the_first() {
        assert_eq!(did_you_mean("lam", ["lab", "lan", "LAM"]), Some("LAM"));
        assert_eq!(did_you_mean("lam", ["lab", "lan"]), Some("lab"));
        assert_eq!(did_you_mean("lookpu", ["lookups", "lookup"]), Some("lookup"));
    }

    #[test]
    fn without_a_near_word_all_are_listed() {
        let known = ["ok", "ttl-expired"];
        let help = |word| suggestion(word, "known edges", &known).unwrap();
        assert_eq!(help("ttl_expired"), "did you mean `ttl-expired`?");
        assert_eq!(help("drop"), "known edges: `ok`, `ttl-expired`");
        assert_eq!(help("ok:tx"), "write a space after the colon: `ok: tx`");
        assert_eq!(suggestion("x", "known edges", &[]), None);
        let many: Vec<String> = (0..50).map(|at| format!("node{at}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(suggestion("x", "a node is one of", &many).unwrap().ends_with("`node39`, and 10 more"));
    }

    proptest! {
        #[test]
        fn distances_are_those_of_strsim(a in "[abcé]{0,12}", b in "[abcé]{0,12}", limit in 0usize..7) {
            let (letters, others): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
            let known = strsim::osa_distance(&a, &b);
            prop_assert_eq!(distance(&letters, &others, limit), (known <= limit).then_some(known));
        }
    }
}
