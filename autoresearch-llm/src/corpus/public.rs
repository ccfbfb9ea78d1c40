//! Public data sets, downloaded from where they are published.

use std::path::{Path, PathBuf};

use super::{Goes, Part, Source};
use crate::download::{Download, download_all};
use crate::error::DataError;

/// A public data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Public {
    /// karpathy's shuffled ClimbMix, 6543 parquet shards; the last one is the pinned validation split.
    Climbmix,
    /// A sample of ten billion tokens of FineWeb-Edu, 14 parquet shards; the last one is the validation split here.
    FinewebEdu,
    /// Short stories for small models, with their published validation split.
    TinyStories,
    /// Shakespeare, one megabyte of text.
    TinyShakespeare,
}

const HUGGING_FACE: &str = "https://huggingface.co/datasets";
const GITHUB: &str = "https://raw.githubusercontent.com";

impl Public {
    /// By its name on the command line.
    pub fn named(name: &str) -> Option<Public> {
        match name {
            "climbmix" => Some(Public::Climbmix),
            "fineweb-edu" => Some(Public::FinewebEdu),
            "tinystories" => Some(Public::TinyStories),
            "tinyshakespeare" => Some(Public::TinyShakespeare),
            _ => None,
        }
    }

    /// The files, training ones first, with the split that each goes to.
    fn files(self, shards: usize) -> Vec<(String, Goes)> {
        let numbered = |count: usize, val: usize, name: &dyn Fn(usize) -> String| {
            let train = (0..shards.clamp(1, count)).map(|i| (name(i), Goes::Train));
            train.chain([(name(val), Goes::Val)]).collect()
        };
        match self {
            Public::Climbmix => {
                let name = |i| format!("karpathy/climbmix-400b-shuffle/resolve/main/shard_{i:05}.parquet");
                numbered(6542, 6542, &name)
            }
            Public::FinewebEdu => {
                let name = |i| format!("HuggingFaceFW/fineweb-edu/resolve/main/sample/10BT/{i:03}_00000.parquet");
                numbered(13, 13, &name)
            }
            Public::TinyStories => [("train", Goes::Train), ("valid", Goes::Val)]
                .map(|(name, goes)| (format!("roneneldan/TinyStories/resolve/main/TinyStories-{name}.txt"), goes))
                .into(),
            Public::TinyShakespeare => {
                vec![("karpathy/char-rnn/master/data/tinyshakespeare/input.txt".into(), Goes::ByContent)]
            }
        }
    }

    /// Downloads what is missing into `folder`: the first `shards` training shards, and the validation split. `base`
    /// replaces the public server, for mirrors.
    pub fn parts(self, folder: &Path, shards: usize, base: Option<&str>) -> Result<Vec<Part>, DataError> {
        let public = if self == Public::TinyShakespeare { GITHUB } else { HUGGING_FACE };
        let base = base.unwrap_or(public).trim_end_matches('/');
        let files = self.files(shards);
        let target = |file: &str| -> PathBuf { folder.join(file.replace('/', "_")) };
        let downloads: Vec<Download> =
            files.iter().map(|(file, _)| Download { url: format!("{base}/{file}"), path: target(file) }).collect();
        download_all(&downloads)?;
        let part = |(index, (file, goes)): (usize, &(String, Goes))| {
            let path = target(file);
            let parquet = file.ends_with(".parquet");
            let source = if parquet { Source::Parquet(path) } else { Source::Text(path) };
            Part { name: format!("shard-{index:05}"), goes: *goes, source }
        };
        Ok(files.iter().enumerate().map(part).collect())
    }
}
