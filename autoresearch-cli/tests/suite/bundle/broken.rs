//! Bundles that are not what was written: damaged, cut, forged, or signed by somebody else.

use std::path::Path;
use std::process::Command;

use super::repacked::{Members, with_checksum};
use super::{bundle, sound, unsound};
use crate::fixture::Repository;
use crate::reading::finished;

#[test]
fn each_broken_form_has_its_words() {
    let repository = finished("3");
    let file = bundle(&repository);
    let whole = std::fs::read(&file).unwrap();
    let other = repository.root().join("other.tar");
    let said = |bytes: &[u8]| {
        std::fs::write(&other, bytes).unwrap();
        unsound(&other, &[])
    };
    let at = |what: &[u8]| whole.windows(what.len()).position(|part| part == what).unwrap();
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let has = |said: String, words: &str| assert!(said.contains(words), "{words}: {said}");

    has(said(b"hello"), "other.tar is no bundle: it does not begin as one");
    has(said(b""), "is no bundle");
    let mut newer = whole.clone();
    newer[b"autoresearch-bundle-".len()] = b'2';
    has(said(&newer), "is a bundle of version 2, and this program reads version 1");
    has(said(&whole[..300]), "is truncated: it ends in its first member");
    has(said(&whole[..whole.len() / 2]), "is truncated: it ends in journal.jsonl");
    has(said(&whole[..whole.len() - 512]), "is truncated: it ends in its last blocks");
    has(said(&[&whole[..], b"x"].concat()), "goes on after its end");
    has(said(&flipped(at(b"journal.jsonl\0") + 100)), "the header of journal.jsonl is changed");
    has(said(&flipped(at(b"{\"crc\"") + 30)), "the member journal.jsonl is changed: its checksum does not fit");
    has(said(&flipped(at(b"# v2 git bundle") + 100)), "the member repository.bundle is changed");
    has(said(&flipped(at(b"blake3:") + 10)), "the checksum of the whole file does not fit");
    has(said(&flipped(at(b"\"program\"") + 15)), "the checksum of the whole file does not fit");
    has(said(&flipped(at(b"\"program\""))), "the list of its members is damaged");

    let repacked = |change: &dyn Fn(&mut Members)| {
        let mut members = Members::read(&file);
        change(&mut members);
        unsound(&members.write(&other), &[])
    };
    has(repacked(&|members| members.0.retain(|(name, _)| name != "results.tsv")), "the member results.tsv is missing");
    let gone = |members: &mut Members| {
        members.0.retain(|(name, _)| name != "repository.bundle");
        members.list(|_| {});
    };
    has(repacked(&gone), "the member repository.bundle is missing");
    let outside = |members: &mut Members| {
        members.0.push(("../outside".into(), b"x".to_vec()));
        members.list(|_| {});
    };
    has(repacked(&outside), "\"../outside\" is no member, or not in its place");
    has(repacked(&|members| members.list(|list| list["members"][0]["bytes"] = (1u64 << 50).into())), "is the most");
    has(repacked(&|members| members.list(|list| list["version"] = 7.into())), "is a bundle of version 7");
    let bomb = |members: &mut Members| {
        let content = members.of("repository.bundle");
        let pack = content.windows(4).position(|part| part == b"PACK").unwrap();
        content[pack + 8] = 0xff;
        members.list(|_| {});
    };
    has(repacked(&bomb), "repository.bundle holds 42");
    sound(&file, &[]);
}

#[test]
fn a_forged_run_with_right_checksums_is_noticed() {
    let repository = finished("6");
    let file = bundle(&repository);
    let other = repository.root().join("other.tar");
    let forged = |change: &dyn Fn(&mut Members)| {
        let mut members = Members::read(&file);
        change(&mut members);
        members.list(|_| {});
        unsound(&members.write(&other), &[])
    };
    // The score of a discarded experiment, in the journal and in the table: only judging it again tells.
    let row = repository.rows().into_iter().find(|row| row.contains("discard")).unwrap();
    let score = row.split('\t').next().unwrap().to_owned();
    let shown = score.trim_end_matches('0').to_owned();
    let better = format!("1{}", &shown[1..]);
    let said = forged(&|members| {
        members.edit("journal.jsonl", |text| {
            let line = |line: &str| match line.contains("\"type\":\"trial_measured\"") && line.contains(&shown) {
                true => with_checksum(&line.replace(&shown, &better)) + "\n",
                false => format!("{line}\n"),
            };
            text.lines().map(line).collect()
        });
        members.edit("results.tsv", |text| text.replace(&score, &format!("1{}", &score[1..])));
    });
    assert!(said.contains(" was discarded; the rule says: ") && said.ends_with("\n1 violation\n"), "{said}");

    let said = forged(&|members| members.edit("configuration.toml", |text| text.replace("strict", "noise-aware")));
    assert!(said.contains("configuration: it is not the one that the run was made with: ratchet.rule"), "{said}");
    let said = forged(&|members| members.edit("configuration.toml", |text| text.replace("sh'", "bash'")));
    assert!(said.contains("it is not the one that the run was made with: run.command"), "{said}");
    let said = forged(&|members| members.edit("results.tsv", |text| text.replace("50.500000", "90.500000")));
    assert!(said.contains("results.tsv: line 2 is `"), "{said}");

    let said = forged(&|members| {
        members.of("journal.jsonl").clear();
        members.of("results.tsv").clear();
    });
    assert!(said.contains("the journal has no measured baseline, so there is nothing to check"), "{said}");
    repository.write("mine.tsv", "aaaaaaa\t5\t1\tkeep\tas it is\n");
    repository.succeeds(&["import", "mine.tsv", "--direction", "minimise"]);
    let said = forged(&|members| {
        let journal = repository.of_run("mine", "journal.jsonl").replacen("\"tag\":\"mine\"", "\"tag\":\"t\"", 1);
        let journal: String = journal.lines().map(|line| with_checksum(line) + "\n").collect();
        *members.of("journal.jsonl") = journal.into_bytes();
        *members.of("results.tsv") = repository.of_run("mine", "results.tsv").into_bytes();
    });
    assert!(said.contains("configuration: it is not the one that the run was made with"), "{said}");
    let said = forged(&|members| {
        members.edit("journal.jsonl", |text| {
            let line = |line: &str| {
                with_checksum(&line.replacen(":\"minimise\",\"policy", ":\"maximise\",\"policy", 1)) + "\n"
            };
            text.lines().map(line).collect()
        });
    });
    assert!(said.contains("it is not the one that the run was made with: direction"), "{said}");

    // The commits of another run under the same name.
    let stranger = finished("5");
    stranger.git(&["commit", "-q", "--allow-empty", "-m", "another base"]);
    let commits = Members::read(&bundle(&stranger)).of("repository.bundle").clone();
    let said = forged(&|members| *members.of("repository.bundle") = commits.clone());
    assert!(said.contains("but the journal says") && said.contains("violation"), "{said}");
    let said = forged(&|members| {
        let text = String::from_utf8_lossy(members.of("repository.bundle")).into_owned();
        let end = text.find("PACK").unwrap();
        let head = text[..end].replace("refs/heads/autoresearch/t", "refs/heads/main");
        let rest = members.of("repository.bundle")[end..].to_vec();
        *members.of("repository.bundle") = [head.into_bytes(), rest].concat();
    });
    assert!(said.contains("is no ref of the run t"), "{said}");
}

/// Makes a key, and returns the line of it for a file of allowed signers.
fn key(path: &Path, name: &str) -> String {
    let keygen = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path).status();
    assert!(keygen.unwrap().success());
    let public = std::fs::read_to_string(path.with_extension("pub")).unwrap();
    format!("{name} {public}")
}

#[test]
fn a_signature_tells_who_made_the_file() {
    let repository: Repository = finished("2");
    let (root, file) = (repository.root(), repository.root().join("t.bundle.tar"));
    let (own, stranger) = (key(&root.join("own"), "ada@example.org"), key(&root.join("stranger"), "eve@example.org"));
    let (signers, others) = (root.join("signers"), root.join("others"));
    std::fs::write(&signers, own).unwrap();
    std::fs::write(&others, stranger).unwrap();
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let (key, output) = (path(&root.join("own")), path(&file));
    let said = repository.succeeds(&["bundle", "t", "--output", &output, "--sign", &key]);
    assert!(said.contains("signed: ") && root.join("t.bundle.tar.sig").is_file(), "{said}");

    let good = sound(&file, &["--signers", &path(&signers)]);
    assert!(good.starts_with("signature: good, by ada@example.org\n"), "{good}");
    let said = unsound(&file, &["--signers", &path(&others)]);
    assert!(said.contains("is by no key of") && said.contains("do not trust the file"), "{said}");
    // A whole bundle, and another one than was signed.
    let changed = root.join("changed.tar");
    let mut members = Members::read(&file);
    members.edit("machine.json", |text| text.replace("machine", "engine"));
    members.list(|_| {});
    members.write(&changed);
    let signature = path(&root.join("t.bundle.tar.sig"));
    let said = unsound(&changed, &["--signature", &signature, "--signers", &path(&signers)]);
    assert!(said.contains("the file was changed after it was signed"), "{said}");
    let said = unsound(&changed, &["--signers", &path(&signers)]);
    assert!(said.contains("changed.tar.sig: No such file"), "{said}");
}
