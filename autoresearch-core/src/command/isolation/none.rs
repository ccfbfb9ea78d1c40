//! Systems whose protections are not used yet.

use super::allowed::Allowed;
use super::enforcement::{Protection, protection};
use super::hosts::Network;
use super::layer::Layer;
use super::settings::Isolation;

/// Nothing that holds a command back.
#[derive(Debug)]
pub(crate) struct Walls;

impl Walls {
    pub(crate) fn new(_: &Isolation, _: &Allowed) -> std::io::Result<Walls> {
        Ok(Walls)
    }

    pub(crate) fn take_entrance(&mut self) -> Option<Entrance> {
        None
    }

    pub(crate) fn failed(_: &std::io::Error) -> bool {
        false
    }
}

/// No command has a network of its own.
pub(crate) enum Entrance {}

impl Entrance {
    pub(crate) fn variables(&self) -> std::iter::Empty<(&'static str, String)> {
        std::iter::empty()
    }

    pub(crate) fn serve(self) -> std::io::Result<Box<dyn std::any::Any + Send>> {
        match self {}
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
    let network = (isolation.network != Network::Machine).then_some("network");
    let hosts = matches!(isolation.network, Network::Hosts(_)).then_some("hosts");
    let names = always.into_iter().chain(pristine).chain(network).chain(hosts).chain(["user"]);
    names.map(|name| protection(name, Err(format!("not on {}", std::env::consts::OS)))).collect()
}
