//! Systems whose protections are not used yet.

use super::allowed::Allowed;
use super::enforcement::{Protection, protection};
use super::layer::Layer;
use super::settings::Isolation;

/// Nothing that holds a command back.
#[derive(Debug)]
pub(crate) struct Walls;

impl Walls {
    pub(crate) fn new(_: &Isolation, _: &Allowed) -> std::io::Result<Walls> {
        Ok(Walls)
    }

    pub(crate) fn failed(_: &std::io::Error) -> bool {
        false
    }
}

pub(super) fn prepare(_: &Layer) -> std::io::Result<()> {
    Ok(())
}

/// The protections that Linux has, none of which holds here.
pub(super) fn protections(isolation: &Isolation) -> Vec<Protection> {
    let always = [
        "files",
        "other processes",
        "what can be seen",
        "process namespace",
        "system calls",
        "capabilities",
        "descriptors",
        "environment",
    ];
    let pristine = (!isolation.pristine.is_empty()).then_some("pristine");
    let network = (!isolation.network).then_some("network");
    let names = always.into_iter().chain(pristine).chain(network).chain(["user"]);
    names.map(|name| protection(name, Err(format!("not on {}", std::env::consts::OS)))).collect()
}
