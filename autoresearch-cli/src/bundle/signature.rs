//! Signatures of a bundle with an SSH key, made and checked by `ssh-keygen`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::error::BundleError;

/// The purpose that the key signs for: a signature for another one, such as a commit, does not count.
const NAMESPACE: &str = "autoresearch-bundle";

/// The path of a bundle's signature.
pub fn signature_of(bundle: &Path) -> PathBuf {
    let mut path = bundle.as_os_str().to_owned();
    path.push(".sig");
    path.into()
}

/// Signs a bundle with a private key, or with a public one whose private key the agent has. Returns the path of the signature.
pub fn sign(bundle: &Path, key: &Path) -> Result<PathBuf, BundleError> {
    let mut command = keygen("sign");
    let output = output(command.arg("-f").arg(key).arg(bundle))?;
    match output.status.success() {
        true => Ok(signature_of(bundle)),
        false => Err(failure(format!("{} was not signed with {}", bundle.display(), key.display()), &output)),
    }
}

/// Checks the signature of a bundle against a file of allowed signers, as `ssh-keygen` has it. Returns the signer.
pub fn verify_signature(bundle: &Path, signature: &Path, signers: &Path) -> Result<String, BundleError> {
    for path in [signature, signers] {
        File::open(path).map_err(|error| BundleError::io(path, error))?;
    }
    let mut command = keygen("find-principals");
    let found = output(command.arg("-s").arg(signature).arg("-f").arg(signers))?;
    if !found.status.success() {
        let (signature, signers) = (signature.display(), signers.display());
        let what = format!(
            "{signature} is by no key of {signers}; do not trust the file, or add the signer's public key there"
        );
        return Err(failure(what, &found));
    }
    let names = String::from_utf8_lossy(&found.stdout).into_owned();
    let mut last = None;
    for name in names.split([',', '\n']).map(str::trim).filter(|name| !name.is_empty()) {
        let file = File::open(bundle).map_err(|error| BundleError::io(bundle, error))?;
        let mut command = keygen("verify");
        command.arg("-f").arg(signers).args(["-I", name]).arg("-s").arg(signature).stdin(file);
        let checked = output(&mut command)?;
        if checked.status.success() {
            return Ok(name.to_owned());
        }
        last = Some(checked);
    }
    let what = format!(
        "{} does not fit {}: the file was changed after it was signed, or signed for something else; get both again",
        signature.display(),
        bundle.display()
    );
    Err(last.map_or(BundleError::Signature(what.clone()), |last| failure(what, &last)))
}

fn keygen(action: &str) -> Command {
    let mut command = Command::new("ssh-keygen");
    command.args(["-Y", action, "-n", NAMESPACE]).stdin(Stdio::null());
    command
}

fn output(command: &mut Command) -> Result<Output, BundleError> {
    command.output().map_err(|error| {
        BundleError::Signature(format!("cannot start ssh-keygen: {error}; install OpenSSH, or leave the signature out"))
    })
}

/// An error with the words of `ssh-keygen`.
fn failure(what: String, output: &Output) -> BundleError {
    let said = [&output.stderr, &output.stdout].map(|bytes| String::from_utf8_lossy(bytes).trim().replace('\n', "; "));
    let said = said.into_iter().find(|said| !said.is_empty()).unwrap_or_else(|| output.status.to_string());
    BundleError::Signature(format!("{what} (ssh-keygen: {said})"))
}
