//! Bundles taken apart and put together again, as somebody does who knows their form.

use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// The members of a bundle, the list included and the digest left out.
pub struct Members(pub Vec<(String, Vec<u8>)>);

impl Members {
    pub fn read(path: &Path) -> Members {
        let mut archive = tar::Archive::new(std::fs::File::open(path).unwrap());
        let mut members = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let (name, mut content) = (entry.path().unwrap().display().to_string(), Vec::new());
            entry.read_to_end(&mut content).unwrap();
            members.push((name, content));
        }
        assert_eq!(members.pop().unwrap().0, "digest.txt");
        Members(members)
    }

    /// The content of a member.
    pub fn of(&mut self, name: &str) -> &mut Vec<u8> {
        &mut self.0.iter_mut().find(|(member, _)| member == name).unwrap().1
    }

    /// A member's text, changed.
    pub fn edit(&mut self, name: &str, change: impl Fn(String) -> String) {
        let content = self.of(name);
        *content = change(String::from_utf8(content.clone()).unwrap()).into_bytes();
    }

    /// Makes the list anew, so that it fits the members, and changes it.
    pub fn list(&mut self, change: impl Fn(&mut Value)) {
        let mut list: Value = serde_json::from_slice(&self.0[0].1).unwrap();
        let member = |(name, content): &(String, Vec<u8>)| json!({ "name": name, "bytes": content.len(), "blake3": blake3::hash(content).to_hex().as_str() });
        list["members"] = self.0[1..].iter().map(member).collect();
        change(&mut list);
        self.0[0].1 = serde_json::to_vec(&list).unwrap();
    }

    /// Writes them with the checksum of the whole that they have now.
    pub fn write(&self, path: &Path) -> PathBuf {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, content) in &self.0 {
            add(&mut archive, name, content);
        }
        let digest = format!("blake3:{}\n", blake3::hash(archive.get_ref()).to_hex());
        add(&mut archive, "digest.txt", digest.as_bytes());
        std::fs::write(path, archive.into_inner().unwrap()).unwrap();
        path.to_owned()
    }
}

fn add(archive: &mut tar::Builder<Vec<u8>>, name: &str, content: &[u8]) {
    let mut header = tar::Header::new_ustar();
    header.as_ustar_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    archive.append(&header, Cursor::new(content)).unwrap();
}

/// A line of a journal with the checksum of its body as it is now.
pub fn with_checksum(line: &str) -> String {
    let body = line.split_once("\"body\":").unwrap().1.strip_suffix('}').unwrap();
    format!("{{\"crc\":\"{:08x}\",\"body\":{body}}}", crc32c(body.as_bytes()))
}

fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
    !bytes.iter().fold(!0u32, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}
