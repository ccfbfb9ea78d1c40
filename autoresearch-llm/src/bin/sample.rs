//! Prints text that a trained model goes on with.

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use autoresearch_llm::Workload;
use autoresearch_llm::tokenizer::Tokenizer;
use clap::Parser;
use tch::{Device, Kind, Tensor, no_grad};

#[allow(dead_code, reason = "of the trainer, only the model is used here")]
#[path = "../../train.rs"]
mod train;

/// Print text from a checkpoint of the trainer (AUTORESEARCH_CHECKPOINT). It must fit the train.rs that this was built with.
#[derive(Parser)]
struct Arguments {
    /// The checkpoint, a safetensors file.
    checkpoint: PathBuf,
    /// The prepared data that it was trained on, for its tokenizer [default: AUTORESEARCH_DATA].
    #[arg(long)]
    data: Option<PathBuf>,
    /// The text to go on with.
    #[arg(long, default_value = "")]
    prompt: String,
    /// Number of tokens to print.
    #[arg(long, default_value_t = 200)]
    tokens: usize,
    /// 0 takes the likeliest token each time; higher is more varied.
    #[arg(long, default_value_t = 0.8)]
    temperature: f64,
    /// Seed of the choices: the same seed gives the same text.
    #[arg(long, default_value_t = 42)]
    seed: i64,
}

fn main() -> ExitCode {
    match no_grad(|| sample(&Arguments::parse())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn sample(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    if !(arguments.temperature >= 0.0 && arguments.temperature.is_finite()) {
        return Err(format!("the temperature is {}; give 0 or more", arguments.temperature).into());
    }
    let workload = match &arguments.data {
        Some(folder) => Workload::open(folder)?,
        None => Workload::from_env()?,
    };
    let tokenizer = Tokenizer::load(&workload.folder().join("tokenizer.json"))?;
    let model = train::Gpt::load(&arguments.checkpoint, Device::Cpu)?;
    tch::manual_seed(arguments.seed);

    let mut tokens = vec![tokenizer.bos()];
    tokens.extend(tokenizer.encode(&arguments.prompt)?);
    print!("{}", arguments.prompt);
    // A character may be several tokens: text is printed up to the last one that is complete.
    let (mut printed, first) = (String::new(), tokens.len());
    for _ in 0..arguments.tokens {
        let context = &tokens[tokens.len().saturating_sub(workload.fixed.max_seq_len)..];
        let ids: Vec<i64> = context.iter().map(|token| i64::from(*token)).collect();
        let logits = model.logits(&Tensor::from_slice(&ids).unsqueeze(0)).get(0).get(-1);
        let next = match arguments.temperature {
            0.0 => logits.argmax(0, false),
            temperature => (logits / temperature).softmax(0, Kind::Float).multinomial(1, false),
        };
        let next = u16::try_from(next.int64_value(if next.dim() == 0 { &[] } else { &[0] }))?;
        if next == tokenizer.bos() {
            break;
        }
        tokens.push(next);
        let text = tokenizer.decode(&tokens[first..])?;
        if !text.ends_with('\u{fffd}') {
            print!("{}", text.strip_prefix(&printed).unwrap_or_default());
            std::io::stdout().flush()?;
            printed = text;
        }
    }
    println!();
    Ok(())
}
