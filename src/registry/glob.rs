//! Glob: `*` within one label of a host.

/// `*` stands for one or more characters. Every state is kept at once: a text made to fool a search that goes back
/// and forth costs no more than any other.
pub(super) fn glob_matches(glob: &[u8], text: &[u8]) -> bool {
    let mut reached = vec![false; glob.len() + 1];
    reached[0] = true;
    for c in text {
        let mut next = vec![false; glob.len() + 1];
        for (at, want) in glob.iter().enumerate().filter(|(at, _)| reached[*at]) {
            next[at] |= *want == b'*';
            next[at + 1] |= *want == b'*' || want == c;
        }
        reached = next;
    }
    reached[glob.len()]
}

/// Whether some text is matched by both: both take its characters one by one, each in all its states at once.
pub(super) fn globs_meet(one: &[u8], two: &[u8]) -> bool {
    let mut reached = vec![vec![false; two.len() + 1]; one.len() + 1];
    reached[0][0] = true;
    for i in 0..one.len() {
        for j in 0..two.len() {
            if !reached[i][j] || (one[i] != b'*' && two[j] != b'*' && one[i] != two[j]) {
                continue;
            }
            // A `*` may take the next character too; what has taken one may go on.
            reached[i + 1][j + 1] = true;
            reached[i][j + 1] |= one[i] == b'*';
            reached[i + 1][j] |= two[j] == b'*';
        }
    }
    reached[one.len()][two.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_one_or_more_characters() {
        for (glob, text, expected) in [
            ("*", "a", true),
            ("*", "", false),
            ("a*", "a", false),
            ("a*c", "abbc", true),
            ("*a*", "bab", true),
            ("*a*", "ab", false),
            ("**", "a", false),
            ("**", "ab", true),
        ] {
            assert_eq!(glob_matches(glob.as_bytes(), text.as_bytes()), expected, "{glob} {text}");
        }
        let many = "*a".repeat(30);
        assert!(!glob_matches(many.as_bytes(), "a".repeat(60).as_bytes().split_last().unwrap().1));
    }

    #[test]
    fn globs_meet_where_a_text_is_matched_by_both() {
        for (one, two, expected) in [
            ("a*", "*b", true),
            ("a*", "b*", false),
            ("a*b", "a*c", false),
            ("*", "abc", true),
            ("*a", "a", false),
            ("a*", "ab*", true),
            ("*ab", "a*", true),
            ("ab", "ab", true),
        ] {
            assert_eq!(globs_meet(one.as_bytes(), two.as_bytes()), expected, "{one} {two}");
            assert_eq!(globs_meet(two.as_bytes(), one.as_bytes()), expected, "{two} {one}");
        }
    }
}
