//! `cargo xtask`: set-up, the main job, the tests, and the evidence. It needs nothing but the standard library, because it
//! must run before libtorch exists.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod agents;
// The trainer's own file: both must find the same driver.
#[path = "../../autoresearch-llm/src/device/driver.rs"]
mod driver;
mod evidence;
mod figure;
mod gpu_bundle;
mod nanochat;
mod package;
mod places;
mod python_tools;
mod setup;
mod sh;
mod test;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask COMMAND

  setup [--cuda NAME] install libtorch 2.11 where the project finds it; does nothing when it is there
                      (NAME: cpu, cu126, cu128 or cu130; by default what the driver runs)
  nanochat [OPTIONS]  set-up, then the main job: a run of experiments on the GPT trainer; --strict trusts no candidate's number
                      (options go to `autoresearch run`, e.g. --experiments 8, --preset cpu|h100)
  agents              install the agents that the tests use into the target folder: Claude Code and Codex by npm, aider, uv and poetry by pip
  test [OPTIONS]      set-up and agents, then all tests (options go to `cargo test`); with --thorough the long ones too:
                      more random histories, a kill at every write boundary
  gpu-bundle          pack all that measures the trainer on a GPU into one file, for a machine without a network
                      (--out FILE, --data full|cut)
  package [OPTIONS]   pack and verify the crates that are published (options go to `cargo package`)
  public-api          write autoresearch-core/public-api.txt anew from the code
  evidence NAME       measure the figures of NAME (main-job, durable-core, trainer, choices, proposers, noise,
                      parallel, house, faults, any-repository, isolation, gpu);
                      --list names them, --only A,B picks some";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let mut rest: Vec<String> = arguments.collect();
    // `cargo xtask nanochat -- --experiments 8` and the same without `--` both work; for cargo's tests `--` has a meaning.
    if command != "test" && rest.first().is_some_and(|first| first == "--") {
        rest.remove(0);
    }
    let result = match command.as_str() {
        "setup" => setup::command(&rest),
        "agents" => agents::agents().and_then(|folder| {
            println!("{}", folder.display());
            let mut tools = python_tools::PYTHON_TOOLS.iter();
            tools.try_for_each(|tool| tool.install().map(|program| println!("{}", program.display())))
        }),
        "nanochat" => nanochat::nanochat(&rest),
        "test" => test::test(&rest),
        "gpu-bundle" => gpu_bundle::command(&rest),
        "package" => package::package(&rest),
        "public-api" => evidence::store_public_api(),
        "evidence" => evidence::evidence(&rest),
        "" | "help" | "--help" | "-h" => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        other => Err(format!("there is no command `{other}`\n\n{USAGE}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}
