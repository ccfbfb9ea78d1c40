//! The program of these tests as the server of a bigram model: honest, or with a trick that its model's file names.

use std::error::Error;

use autoresearch_llm::strict::memory::Shape;
use autoresearch_llm::strict::serve::Requests;

use super::{attempts, models};

/// Variable that lets the program try something without walls: the process of the evaluation, the attempt and its argument.
pub const ATTEMPT: &str = "AUTORESEARCH_TEST_ATTEMPT";
/// The exit status of an attempt that worked.
pub const WORKED: i32 = 77;

/// Runs before the program's main function, which runs tests.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = serve_if_asked;

extern "C" fn serve_if_asked() {
    if let Ok(attempt) = std::env::var(ATTEMPT) {
        let words: Vec<&str> = attempt.split_whitespace().collect();
        let worked = attempts::works(words[1], words[2], words[0].parse().unwrap());
        std::process::exit(if worked { WORKED } else { 0 });
    }
    match Requests::asked() {
        Ok(None) => {}
        Ok(Some(requests)) => {
            if let Err(error) = serve(requests) {
                eprintln!("error: {error}");
                std::process::exit(1);
            }
            std::process::exit(0);
        }
        Err(error) => panic!("{error}"),
    }
}

fn serve(requests: Requests) -> Result<(), Box<dyn Error>> {
    let text = std::fs::read_to_string(requests.model())?;
    let mut words = text.split_whitespace();
    let (name, argument) = (words.next().unwrap_or("honest"), words.next().unwrap_or_default());
    match name {
        "exits" => return Err("the weights are of another model".into()),
        "aborts" => std::process::abort(),
        "hangs" => std::thread::sleep(std::time::Duration::from_secs(600)),
        "attempts" => {
            // SAFETY: asks for a number.
            let evaluation = unsafe { libc::getppid() };
            if attempts::works(argument, words.next().unwrap_or_default(), evaluation) {
                std::process::exit(WORKED);
            }
        }
        _ => {}
    }
    let Shape { seq_len, vocab_size, .. } = requests.shape();
    let mut model = models::Model::new(name, vocab_size);
    requests.answer(|tokens, logits| model.answer(tokens, logits, seq_len))
}
