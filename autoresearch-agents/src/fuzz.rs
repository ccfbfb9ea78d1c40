//! Fuzzing of everything that reads what a server, a model or an agent says.
//!
//! The corpus is a folder of inputs for each reader, `tests/corpus/<reader>`. Every test runs its reader over all of them
//! as they are, and over mutations of them: a few by default, `AUTORESEARCH_FUZZ_CASES` for more. The mutations follow from
//! a seed, 1 unless `AUTORESEARCH_FUZZ_SEED` says otherwise.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::http::sse::{Event, Reader};
use crate::model::reading::Reading;
use crate::model::{Price, ReplyBuilder};

mod knobs;
mod patches;

/// The longest mutation.
const LONGEST: usize = 16 << 10;

/// A property that must hold for every input; the error describes the violation.
type Check = fn(&[u8]) -> Result<(), String>;

/// Runs a check over the corpus of `reader` and its mutations, and prints the input that fails.
pub fn fuzz(reader: &str, check: Check) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(reader);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let corpus: Vec<Vec<u8>> = files.iter().map(|path| std::fs::read(path).unwrap()).collect();
    assert!(corpus.len() > 3, "{} holds too little", folder.display());
    for (path, input) in files.iter().zip(&corpus) {
        run(check, input, &path.display().to_string());
    }
    let seed = std::env::var("AUTORESEARCH_FUZZ_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let cases = crate::testing::fuzz_cases();
    for case in 0..cases {
        let input = mutated(&corpus, &mut rng);
        run(check, &input, &format!("mutation {case} of seed {seed}"));
    }
    println!("evidence fuzz-{reader} inputs {cases} corpus {} seed {seed}", corpus.len());
}

fn run(check: Check, input: &[u8], which: &str) {
    let why = match catch_unwind(AssertUnwindSafe(|| check(input))) {
        Ok(Ok(())) => return,
        Ok(Err(why)) => why,
        Err(_) => "it panicked".to_owned(),
    };
    panic!("{which}: {why}\nfor the corpus: printf '%b' '{}'", for_printf(input));
}

/// An input as `printf '%b'` of every shell writes it.
fn for_printf(input: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'\'') || *byte == b' ';
    input
        .iter()
        .map(|byte| if plain(byte) { char::from(*byte).to_string() } else { format!("\\0{byte:03o}") })
        .collect()
}

#[test]
fn an_input_that_fails_is_printed_for_the_corpus() {
    let input = b"a \\n'\r\n\x00\xff%d";
    let checks: [(Check, &str); 2] = [(|_| Err("wrong".into()), "wrong"), (|_| panic!(), "it panicked")];
    for (check, why) in checks {
        let words = catch_unwind(|| run(check, input, "mutation 7")).unwrap_err().downcast::<String>().unwrap();
        let (head, command) = words.split_once("\nfor the corpus: ").unwrap();
        assert_eq!(head, format!("mutation 7: {why}"));
        let written = std::process::Command::new("sh").args(["-c", command]).output().unwrap();
        assert_eq!(written.stdout, input);
    }
}

/// Words at which readers decide something.
const WORDS: [&str; 32] = [
    "\n",
    "\r\n",
    "\r",
    "\n\n",
    "data: ",
    "event: ",
    ":",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\\",
    ",",
    "null",
    "true",
    "=== ",
    "@@",
    "--- ",
    "+++ ",
    "/dev/null",
    "\\ No newline",
    " ",
    "\t",
    "\u{feff}",
    "\u{0}",
    "\u{e9}",
    "\u{1f600}",
    "[DONE]",
    "```",
    "-",
    "+",
];
const NUMBERS: [&str; 8] =
    ["0", "-1", "1e400", "0.5", "18446744073709551615", "18446744073709551616", "99999999999", "NaN"];

/// One input of the corpus after a few random changes.
fn mutated(corpus: &[Vec<u8>], rng: &mut ChaCha8Rng) -> Vec<u8> {
    let pick = |rng: &mut ChaCha8Rng| corpus.choose(rng).map(Vec::as_slice).unwrap_or_default();
    let range = |rng: &mut ChaCha8Rng, length: usize| {
        let from = rng.random_range(0..=length);
        // Mostly short: what is left of the input should still make some sense.
        let most = if rng.random_bool(0.7) { 12 } else { length };
        from..rng.random_range(from..=(from + most).min(length))
    };
    let mut input = pick(rng).to_vec();
    for _ in 0..rng.random_range(1..=5) {
        let place = range(rng, input.len());
        match rng.random_range(0..11) {
            0 => drop(input.drain(place)),
            1 => {
                let copy = input[place.clone()].to_vec();
                input.splice(place.end..place.end, copy);
            }
            2 => {
                let other = pick(rng);
                let part = range(rng, other.len());
                input.splice(place, other[part].iter().copied());
            }
            3 => {
                let at = place.start;
                let word = WORDS.choose(rng).copied().unwrap_or_default();
                input.splice(at..at, word.bytes());
            }
            4 => drop(input.splice(place, NUMBERS.choose(rng).copied().unwrap_or_default().bytes())),
            5 => input.truncate(place.start),
            6 => place.for_each(|at| input[at] ^= 1 << rng.random_range(0..8)),
            7 => drop(input.splice(place, rng.random::<[u8; 3]>())),
            // All line ends at once.
            8 => {
                let crlf = input.windows(2).any(|pair| pair == b"\r\n");
                let (from, to): (&[u8], &[u8]) = if crlf { (b"\r\n", b"\n") } else { (b"\n", b"\r\n") };
                input = replaced(&input, from, to);
            }
            // A line twice, or a line somewhere else.
            9 => {
                let mut lines: Vec<&[u8]> = input.split_inclusive(|byte| *byte == b'\n').collect();
                if let Some(line) = lines.choose(rng).copied() {
                    lines.insert(rng.random_range(0..=lines.len()), line);
                }
                input = lines.concat();
            }
            // White space at the end of a line.
            _ => {
                let ends: Vec<usize> = (0..input.len()).filter(|at| input[*at] == b'\n').collect();
                if let Some(at) = ends.choose(rng).copied() {
                    input.splice(at..at, *b"  ");
                }
            }
        }
    }
    input.truncate(LONGEST);
    input
}

fn replaced(input: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    let mut rest = input;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        all.extend_from_slice(&rest[..at]);
        all.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    all.extend_from_slice(rest);
    all
}

/// The events of a stream that comes in pieces of so many bytes.
fn events(input: &[u8], piece: usize) -> Vec<Event> {
    let mut reader = Reader::default();
    input.chunks(piece).flat_map(|piece| reader.push(piece).unwrap()).collect()
}

#[test]
fn fuzz_of_streams() {
    fuzz("sse", |input| {
        let whole = events(input, input.len().max(1));
        let lines = input.split(|byte| matches!(byte, b'\n' | b'\r')).count();
        if whole.len() > lines || whole.iter().any(|event| event.name.contains(['\n', '\r'])) {
            return Err(format!("{} events out of {lines} lines: {whole:?}", whole.len()));
        }
        let piece = 1 + input.len() % 7;
        let cut = events(input, piece);
        if cut == whole { Ok(()) } else { Err(format!("in pieces of {piece} bytes it is {cut:?}, else {whole:?}")) }
    });
}

/// Checks that a response gives the same reply however it is cut, with a finite bill.
pub fn same_reply_however_cut(make: fn() -> Box<dyn ReplyBuilder>, input: &[u8]) -> Result<(), String> {
    let read = |piece: usize| {
        let (mut builder, mut reading) = (make(), Reading::default());
        let mut pieces = input.chunks(piece);
        let pushed =
            pieces.try_fold(false, |done, piece| if done { Ok(true) } else { reading.push(piece, &mut *builder) });
        let ended = pushed.and_then(|done| if done { Ok(()) } else { reading.end(&mut *builder) });
        let bill = builder.usage().map(|usage| Price { input: 2.0, output: 10.0, ..Price::NOTHING }.cost(usage));
        (ended.and_then(|()| builder.finish()), bill)
    };
    let (whole, bill) = read(input.len().max(1));
    if bill.is_some_and(|bill| !bill.dollars.is_finite() || bill.dollars < 0.0) {
        return Err(format!("its bill is {bill:?}"));
    }
    let piece = 1 + input.len() % 7;
    let cut = read(piece);
    let (whole, cut) = (format!("{:?}", (whole, bill)), format!("{cut:?}"));
    if cut == whole { Ok(()) } else { Err(format!("in pieces of {piece} bytes it is {cut}, else {whole}")) }
}
