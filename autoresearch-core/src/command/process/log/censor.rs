//! Hides secrets in a stream of bytes, also those that arrive in pieces.

/// Replaces secrets in a stream. What may be the beginning of one is held back until the bytes after it are known.
pub(super) struct Censor {
    /// The secrets with what stands in their place, the longest first.
    secrets: Vec<(Vec<u8>, Vec<u8>)>,
    /// Tells for each byte whether a secret begins with it.
    first: [bool; 256],
    held: Vec<u8>,
}

impl Censor {
    /// Hides these values; each comes with the name of its variable.
    pub(super) fn new(secrets: impl IntoIterator<Item = (String, Vec<u8>)>) -> Censor {
        let shown = |name: String| format!("[{name} is hidden]").into_bytes();
        let mut secrets: Vec<_> = secrets.into_iter().map(|(name, value)| (value, shown(name))).collect();
        secrets.retain(|(value, _)| !value.is_empty());
        secrets.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        let mut first = [false; 256];
        for (value, _) in &secrets {
            value.first().into_iter().for_each(|byte| first[usize::from(*byte)] = true);
        }
        Censor { secrets, first, held: Vec::new() }
    }

    /// Takes the next bytes, and returns those that are sure to hold no secret.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.pass_on(bytes, false)
    }

    /// Returns what was held back, at the end of the stream.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        self.pass_on(&[], true)
    }

    fn pass_on(&mut self, bytes: &[u8], is_end: bool) -> Vec<u8> {
        if self.secrets.is_empty() {
            return bytes.to_vec();
        }
        let mut text = std::mem::take(&mut self.held);
        text.extend_from_slice(bytes);
        let mut passed = Vec::with_capacity(text.len());
        let mut left = text.as_slice();
        while let Some((byte, rest)) = left.split_first() {
            if !self.first[usize::from(*byte)] {
                passed.push(*byte);
                left = rest;
                continue;
            }
            // The longest comes first: a longer one that may still be coming goes before a shorter one that is there.
            let found = self.secrets.iter().find_map(|(value, shown)| match left.strip_prefix(value.as_slice()) {
                Some(after) => Some(Some((shown, after))),
                None if !is_end && value.starts_with(left) => Some(None),
                None => None,
            });
            match found {
                Some(Some((shown, after))) => {
                    passed.extend_from_slice(shown);
                    left = after;
                }
                Some(None) => {
                    self.held = left.to_vec();
                    break;
                }
                None => {
                    passed.push(*byte);
                    left = rest;
                }
            }
        }
        passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn censor() -> Censor {
        let secrets = [("A_KEY", "sk-abcabcabd"), ("B_KEY", "sk-abcabcabdef"), ("C_KEY", "abcabcabc")];
        Censor::new(secrets.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())))
    }

    fn censored<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> String {
        let mut censor = censor();
        let mut all = Vec::new();
        chunks.into_iter().for_each(|chunk| all.extend(censor.push(chunk)));
        all.extend(censor.finish());
        String::from_utf8(all).unwrap()
    }

    #[test]
    fn a_secret_in_pieces_is_hidden() {
        let text = b"x sk-abcabcabd! sk-abcabcabdef, sk-abcabcab abcabcabcabc\nsk-abcabcabde";
        let hidden = "x [A_KEY is hidden]! [B_KEY is hidden], sk-abcabcab [C_KEY is hidden]abc\n[A_KEY is hidden]e";
        assert_eq!(censored([text.as_slice()]), hidden);
        assert_eq!(censored(text.chunks(1)), hidden, "byte by byte");
        assert_eq!(censored([]), "");
    }

    #[test]
    fn only_what_may_become_a_secret_is_held_back() {
        let mut censor = censor();
        assert_eq!(censor.push(b"step 1\nsk-abc"), b"step 1\n");
        assert_eq!(censor.push(b"x\n"), b"sk-abcx\n");
        let mut nothing = Censor::new([]);
        assert_eq!((nothing.push(b"sk-"), nothing.finish()), (b"sk-".to_vec(), vec![]));
    }

    proptest! {
        #[test]
        fn the_places_of_the_cuts_do_not_matter(
            parts in prop::collection::vec(prop::sample::select(vec!["sk-", "abc", "abd", "ef", "a", "\n"]), 0..40),
            size in 1usize..9,
        ) {
            let text = parts.concat();
            let whole = censored([text.as_bytes()]);
            prop_assert_eq!(&censored(text.as_bytes().chunks(size)), &whole);
            prop_assert!(!whole.contains("sk-abcabcabd") && !whole.contains("abcabcabc"));
        }
    }
}
