//! Lists the public items of a crate, or those of them that lack documentation, from rustdoc's JSON.
//!
//! It is a crate of its own because it needs a well-kept reader of that format, and `xtask` needs nothing but the standard
//! library.

mod prelude;
mod undocumented;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "usage: public-items list|undocumented|distinct RUSTDOC.json";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let printed = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["list", json] => list(json.as_ref()),
        ["undocumented", json] => undocumented::undocumented(json.as_ref()),
        ["distinct", json] => undocumented::distinct(json.as_ref()),
        _ => Err(USAGE.into()),
    };
    match printed {
        Ok(lines) => {
            lines.iter().for_each(|line| println!("{line}"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Lists the public items one a line. Implementations that every type gets, or that are derived, say nothing about the API and
/// are left out. The prelude's names have one line each: what they stand for is listed where it is defined.
fn list(json: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let (names, rest) = prelude::taken_out(&std::fs::read_to_string(json)?)?;
    let without = json.with_extension("without-prelude.json");
    std::fs::write(&without, rest)?;
    let api = public_api::Builder::from_rustdoc_json(&without)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build();
    std::fs::remove_file(&without)?;
    Ok(api?.items().map(ToString::to_string).chain(names).collect())
}
