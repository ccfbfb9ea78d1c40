//! The memory of the host and CUDA's settings, as far as a machine without a GPU shows them. libtorch decides them once for a
//! process, so that each case has one of its own.

#![allow(clippy::unwrap_used)]

use std::process::Command;

use autoresearch_llm::device::{self, driver::Driver};
use autoresearch_llm::ops::memory;
use tch::{Device, Tensor};

const CASE: &str = "AUTORESEARCH_TEST_CASE";

/// Returns the two outputs of [`a_case`].
fn said(case: &str, variables: &[(&str, &str)]) -> [String; 2] {
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", "--nocapture", "host::a_case"]).env(CASE, case);
    for name in ["PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"] {
        again.env_remove(name);
    }
    let output = again.envs(variables.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap())
}

/// Plays the process of the other tests.
#[test]
#[expect(clippy::disallowed_methods, reason = "the control")]
fn a_case() {
    match std::env::var(CASE).as_deref() {
        Ok("segments") => println!("expanded {:?}", memory::expand_segments().map_err(|_| ())),
        Ok("pin") => println!("pinned {}", memory::pinned(&Tensor::from(1.0)).is_ok()),
        Ok("pin with the device") => drop(Tensor::from(1.0).f_pin_memory(Device::Cuda(0))),
        Ok("open") => println!("device {}", device::name(device::open().unwrap())),
        _ => {}
    }
}

#[test]
fn segments_grow_unless_the_environment_says_otherwise() {
    for (variables, expanded) in [
        (vec![], "Ok(true)"),
        (vec![("PYTORCH_ALLOC_CONF", "expandable_segments:False")], "Ok(false)"),
        (vec![("PYTORCH_ALLOC_CONF", "max_split_size_mb:512")], "Ok(false)"),
        (vec![("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")], "Ok(true)"),
    ] {
        let [out, _] = said("segments", &variables);
        assert!(out.contains(&format!("expanded {expanded}\n")), "{variables:?}: {out}");
    }
}

#[test]
fn memory_is_pinned_without_the_argument_that_libtorch_warns_of() {
    let [out, err] = said("pin", &[]);
    // Without an accelerator there is nothing to pin it for.
    assert!(out.contains("pinned ") && !err.contains("deprecated"), "{out} {err}");
    let [_, err] = said("pin with the device", &[]);
    assert!(err.contains("deprecated"), "the warning that is avoided is still one: {err}");
}

#[test]
fn opening_a_device_says_nothing_where_there_is_no_driver() {
    let [out, err] = said("open", &[("AUTORESEARCH_DEVICE", "auto")]);
    match Driver::here() {
        None => assert!(out.contains("device cpu\n") && !err.contains("warning"), "{out} {err}"),
        Some(_) => assert!(out.contains("device cuda:0\n") || err.contains("warning: the CPU is used"), "{out} {err}"),
    }
}
