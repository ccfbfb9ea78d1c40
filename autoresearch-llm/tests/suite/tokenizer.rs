//! The tokenizer gives back every text, and never a special token.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::{LazyLock, Mutex};

use autoresearch_llm::tokenizer::{BOS, SPECIAL_TOKENS, Tokenizer};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

const TEXTS: &[&str] = &[
    include_str!("tokenizer.rs"),
    include_str!("../../train.rs"),
    "Don't you'll we've 12345 kings' \u{4f60}\u{597d} na\u{ef}ve \u{1f980}\u{1f980} tabs\t\tand   spaces \r\n\r\n  end",
];

fn trained(vocab: usize) -> Tokenizer {
    Tokenizer::train(TEXTS.iter().copied(), vocab).unwrap()
}

static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(|| trained(700));

#[test]
fn any_text_survives_a_round_trip() {
    let cases = Mutex::new((0u32, 0u32));
    let mut runner = TestRunner::new(ProptestConfig::with_cases(4000));
    // Any Unicode, text like the one it was trained on, and arbitrary bytes taken as text.
    let bytes = prop::collection::vec(any::<u8>(), 0..200);
    let text = prop_oneof![
        any::<String>(),
        "([a-zA-Z']{0,8}[ \t\r\n]{0,3}[0-9]{0,4}[^a-z]{0,3}){0,12}",
        bytes.clone().prop_map(|bytes| bytes.into_iter().map(char::from).collect::<String>()),
        bytes.prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
    ];
    let result = runner.run(&text, |text| {
        let tokens = TOKENIZER.encode(&text).unwrap();
        let whole = TOKENIZER.decode(&tokens).unwrap() == text;
        let mut cases = cases.lock().unwrap();
        cases.0 += 1;
        cases.1 += u32::from(!whole);
        prop_assert!(whole, "{:?}", text);
        Ok(())
    });
    let (count, failures) = *cases.lock().unwrap();
    println!("evidence tokenizer cases {count} failures {failures}");
    result.unwrap();
}

#[test]
fn a_text_that_quotes_a_special_token_is_text() {
    for name in SPECIAL_TOKENS {
        let text = format!("a {name} b");
        let tokens = TOKENIZER.encode(&text).unwrap();
        assert!(tokens.iter().all(|token| *token >= SPECIAL_TOKENS.len() as u16), "{tokens:?}");
        assert_eq!(TOKENIZER.decode(&tokens).unwrap(), text);
    }
}

#[test]
fn documents_begin_with_bos() {
    let documents = TOKENIZER.encode_documents(&["one", "", "two"]).unwrap();
    assert_eq!(documents.len(), 3);
    assert!(documents.iter().all(|d| d[0] == TOKENIZER.bos()));
    assert_eq!(documents[1].len(), 1);
    assert_eq!(TOKENIZER.decode(&documents[0]).unwrap(), format!("{BOS}one"));
}

#[test]
fn numbers_are_cut_after_two_digits_and_words_keep_their_space() {
    // Enough merges that only the split pattern keeps these apart.
    let text = "1234 1234 1234 the the the ".repeat(50);
    let tokenizer = Tokenizer::train(std::iter::once(text.as_str()), 270).unwrap();
    let pieces =
        |text| tokenizer.encode(text).unwrap().iter().map(|t| tokenizer.decode(&[*t]).unwrap()).collect::<Vec<_>>();
    assert_eq!(pieces("1234 the"), ["12", "34", " the"]);
}

#[test]
fn training_is_reproducible() {
    assert_eq!(trained(600).to_json().unwrap(), trained(600).to_json().unwrap());
}

#[test]
fn special_tokens_have_no_bytes_and_others_those_of_their_text() {
    let bytes = TOKENIZER.token_bytes().unwrap();
    assert_eq!(bytes.len(), TOKENIZER.vocab_size());
    for (token, bytes) in bytes.iter().enumerate() {
        let text = TOKENIZER.decode(&[token as u16]).unwrap();
        let special = SPECIAL_TOKENS.contains(&text.as_str());
        assert_eq!(*bytes as usize, if special { 0 } else { text.len() }, "{text:?}");
    }
}
