//! Files and modules that a program looked for in vain, and why its candidate lacks them: read from its output.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use autoresearch_core::internal::git::{FileMode, Lineage, Listing};

use crate::session::Session;

/// Most remedies that are told.
const MOST: usize = 4;

/// Most folders of the working tree that are searched for a module.
const FOLDERS: usize = 500;

/// Something that a program looked for and did not find.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Missing {
    /// A file or folder, as the program wrote its path.
    Path(String),
    /// A module of Python, Ruby or JavaScript.
    Module(String),
    /// A git repository around the candidate.
    Repository,
}

/// A remedy for something that a candidate lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// A path of the working tree to share, and the reason why candidates lack it.
    Share { path: String, why: &'static str },
    /// Anything else, in words.
    Words(String),
}

/// Formats the remedies for what an output says is missing, each in a line of its own; empty if nothing is.
pub fn remedies(session: &Session, output: &str) -> String {
    let found = session.lineage().and_then(|lineage| {
        let files = lineage.tree(&lineage.head()?)?;
        Ok(find(session, &session.slots(), &lineage, &files, output))
    });
    let mut text = String::new();
    let (mut shared, mut reasons) = (session.config.workspace.share.clone(), Vec::new());
    for remedy in found.unwrap_or_default().into_iter().take(MOST) {
        match remedy {
            Remedy::Share { path, why } => {
                reasons.push(format!("{path} ({why})"));
                shared.push(path);
            }
            Remedy::Words(words) => {
                let _ = write!(text, "\nhint: {words}");
            }
        }
    }
    if !reasons.is_empty() {
        let _ = write!(
            text,
            "\nhint: candidates have the files of the commit alone, and these are not in it: {}; add to the configuration:\n  \
             [workspace]\n  share = {shared:?}",
            reasons.join(", ")
        );
    }
    text
}

/// Finds what the output of a candidate says is missing, and the remedy for each. `slots` is the folder of the slot it ran in.
pub fn find(session: &Session, slots: &Path, lineage: &Lineage, files: &Listing, output: &str) -> Vec<Remedy> {
    let tree = WorkingTree { root: &session.repository.root, slots, lineage, files };
    let mut remedies: Vec<Remedy> = Vec::new();
    for missing in parse(output) {
        let remedy = match missing {
            Missing::Path(path) => tree.path(&path),
            Missing::Module(name) => Some(tree.module(&name)),
            Missing::Repository => Some(Remedy::Words(
                "a candidate's folder is no git repository; the variable AUTORESEARCH_COMMIT holds the candidate's commit, and \
                 [workspace] git = true makes it one"
                    .into(),
            )),
        };
        remedies.extend(remedy.filter(|remedy| !remedies.contains(remedy)));
    }
    remedies
}

/// Reads what is missing from an output: the messages of Python, Ruby, Node, Go, Rust, C, shells and git.
fn parse(output: &str) -> Vec<Missing> {
    const PATHS: [&str; 6] =
        ["no such file", "can't open file", "cannot open", "couldn't read", "file not found", "does not exist"];
    let mut found = Vec::new();
    for line in output.lines() {
        let lower = line.to_ascii_lowercase();
        if let Some(name) = module(line) {
            found.push(Missing::Module(name));
        } else if lower.contains("not a git repository") {
            found.push(Missing::Repository);
        } else if PATHS.iter().any(|words| lower.contains(words)) {
            found.extend(paths(line).into_iter().map(Missing::Path));
        }
    }
    found
}

/// The module that a line says is missing.
fn module(line: &str) -> Option<String> {
    const BEFORE: [&str; 6] = [
        "No module named ",
        "Cannot find module ",
        "Cannot find package ",
        "cannot load such file -- ",
        "Could not find gem ",
        "Cannot find native binding ",
    ];
    let rest = BEFORE.iter().find_map(|before| line.split_once(before)).map(|(_, rest)| rest)?;
    let name = match rest.chars().next()? {
        quote @ ('\'' | '"') => rest[1..].split(quote).next()?,
        _ => rest.split([' ', '(', ',', ';']).next()?,
    };
    (!name.is_empty()).then(|| name.to_owned())
}

/// The texts of a line that may be paths: those that stand in quotation marks, else all words with the look of one.
fn paths(line: &str) -> Vec<String> {
    let mut quoted = Vec::new();
    for quote in ['\'', '"', '`'] {
        quoted.extend(line.split(quote).skip(1).step_by(2).map(str::to_owned));
    }
    quoted.retain(|text| !text.is_empty() && !text.contains('\n'));
    let words = line.split([' ', ':', ',', '(', ')']).map(|word| word.trim_matches(['\'', '"', '`']));
    let words = words.filter(|word| word.contains(['/', '.'])).map(str::to_owned);
    quoted.extend(words);
    quoted
}

/// The user's working tree, beside the commit that candidates are made from.
struct WorkingTree<'a> {
    root: &'a Path,
    /// The folder of the run's slots.
    slots: &'a Path,
    lineage: &'a Lineage,
    files: &'a Listing,
}

impl WorkingTree<'_> {
    /// The remedy for a path, if the working tree has it and the commit has not.
    fn path(&self, written: &str) -> Option<Remedy> {
        let relative = self.relative(written)?;
        let path = relative.to_str()?;
        if let Some(submodule) = self.submodule(&relative) {
            return Some(Remedy::Share { path: submodule, why: "a submodule, whose files are not the commit's" });
        }
        if self.is_committed(path) || !self.root.join(&relative).exists() {
            return None;
        }
        Some(self.left_out(path))
    }

    /// A path of the working tree that the commit lacks: shared if git ignores it, else to be committed.
    fn left_out(&self, path: &str) -> Remedy {
        match self.lineage.is_ignored(path).unwrap_or(false) {
            true => Remedy::Share { path: self.top(path), why: "git ignores it" },
            false => {
                Remedy::Words(format!("{path} is in the working tree and not committed: git add {path} && git commit"))
            }
        }
    }

    /// The uppermost folder above a path, or the path itself, of which the commit has nothing.
    fn top(&self, path: &str) -> String {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        let mut prefixes = ends.filter_map(|end| path.get(..end));
        prefixes.find(|prefix| !self.is_committed(prefix)).unwrap_or(path).to_owned()
    }

    fn is_committed(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        self.files.contains_key(path)
            || self.files.range(folder.clone()..).next().is_some_and(|(file, _)| file.starts_with(&folder))
    }

    fn submodule(&self, path: &Path) -> Option<String> {
        let mut above = path.ancestors().filter_map(Path::to_str);
        above
            .find(|above| self.files.get(*above).is_some_and(|file| file.mode == FileMode::Submodule))
            .map(str::to_owned)
    }

    /// A path as it stands below the root. An absolute one lies in a slot, or in the working tree itself.
    fn relative(&self, written: &str) -> Option<PathBuf> {
        let path = Path::new(written);
        let below = match path.is_absolute() {
            false => path.to_owned(),
            true => match (path.strip_prefix(self.slots), path.strip_prefix(self.root)) {
                // The first part is the slot's number.
                (Ok(below), _) => below.components().skip(1).collect(),
                (_, Ok(below)) => below.to_owned(),
                _ => return None,
            },
        };
        let parts: PathBuf = below.components().filter(|part| *part != std::path::Component::CurDir).collect();
        let is_plain = parts.components().all(|part| matches!(part, std::path::Component::Normal(_)));
        (is_plain && parts.components().next().is_some()).then_some(parts)
    }

    /// The remedy for a module: a file that is not committed, a package of an environment in the repository, or none of them.
    fn module(&self, name: &str) -> Remedy {
        let relative = name.trim_start_matches("./").trim_start_matches("../");
        let first = relative.split(['.', '/']).next().unwrap_or(relative);
        let candidates = [".py", ".rb", ".js", ".mjs", ".ts", ".so", ""].map(|end| format!("{first}{end}"));
        let exact = [relative.to_owned(), format!("{relative}.js"), format!("{relative}.rb")];
        if let Some(Remedy::Share { path, why }) = exact.iter().find_map(|path| self.path(path)) {
            return Remedy::Share { path, why };
        }
        let own = self.folders().into_iter().find_map(|folder| {
            candidates.iter().map(|name| folder.join(name)).find(|path| {
                let is_package = self.root.join(path).is_file() || self.root.join(path).join("__init__.py").is_file();
                is_package && !path.to_str().is_some_and(|path| self.is_committed(path))
            })
        });
        if let Some(path) = own.as_deref().and_then(Path::to_str) {
            return self.left_out(path);
        }
        // A package below the root, as a benchmark often is, has packages of its own.
        let installed = self.folders().into_iter().map(|folder| folder.join("node_modules"));
        let mut installed = installed.filter(|modules| self.root.join(modules).join(name).exists());
        if let Some(modules) = installed.find_map(|modules| modules.to_str().map(str::to_owned))
            && !self.is_committed(&modules)
        {
            return Remedy::Share { path: modules, why: "git ignores it" };
        }
        for environment in [".venv", "venv", "env"].map(|name| self.root.join(name)) {
            if !environment.join("pyvenv.cfg").is_file() {
                continue;
            }
            let versions = std::fs::read_dir(environment.join("lib")).into_iter().flatten().flatten();
            let mut packages = versions.map(|version| version.path().join("site-packages"));
            if packages.any(|packages| candidates.iter().any(|name| packages.join(name).exists())) {
                let folder = environment.file_name().unwrap_or_default().to_string_lossy();
                return Remedy::Words(format!(
                    "the module {first} is installed in {folder}, and the run starts another Python; give [workspace] share = \
                     [{folder:?}] and [run] command = [\"{folder}/bin/python\", …]"
                ));
            }
        }
        Remedy::Words(format!(
            "the module {first} is neither in the repository nor where the run's command looks; install it there, or start the \
             interpreter that has it"
        ))
    }

    /// The first folders of the working tree, relative to its root, without those that hold packages of others.
    fn folders(&self) -> Vec<PathBuf> {
        const OTHERS: [&str; 7] = [".git", ".autoresearch", ".venv", "venv", "env", "node_modules", "target"];
        let mut folders = vec![PathBuf::new()];
        let mut next = 0;
        while next < folders.len() && folders.len() < FOLDERS {
            let folder = folders[next].clone();
            next += 1;
            let entries = std::fs::read_dir(self.root.join(&folder)).into_iter().flatten().flatten();
            let below = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            let names = below.map(|entry| entry.file_name()).filter(|name| !OTHERS.iter().any(|other| name == *other));
            let mut below: Vec<PathBuf> = names.map(|name| folder.join(name)).collect();
            below.sort();
            folders.extend(below);
        }
        folders
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_read_from_the_messages_of_many_programs() {
        for (output, path) in [
            ("FileNotFoundError: [Errno 2] No such file or directory: 'data/train.bin'", "data/train.bin"),
            ("cat: data/x: No such file or directory", "data/x"),
            ("open data/x.json: no such file or directory", "data/x.json"),
            ("Error: ENOENT: no such file or directory, open '/slots/t/0/data/x'", "/slots/t/0/data/x"),
            ("No such file or directory @ rb_sysopen - data/x.yml (Errno::ENOENT)", "data/x.yml"),
            ("python3: can't open file '/slots/t/0/run.py': [Errno 2] No such file", "/slots/t/0/run.py"),
            ("a.c:1:10: fatal error: gen/config.h: No such file or directory", "gen/config.h"),
            ("error: couldn't read `src/words.txt`: No such file or directory (os error 2)", "src/words.txt"),
            ("Error in file(file, \"rt\") : cannot open the connection: 'data/a.csv'", "data/a.csv"),
        ] {
            assert!(parse(output).contains(&Missing::Path(path.into())), "{output}: {:?}", parse(output));
        }
        for (output, name) in [
            ("ModuleNotFoundError: No module named 'helper.deep'", "helper.deep"),
            ("Error: Cannot find module './helper'", "./helper"),
            ("Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'left-pad' imported from /x/a.mjs", "left-pad"),
            ("'require': cannot load such file -- nokogiri (LoadError)", "nokogiri"),
            ("/usr/bin/python3: No module named pytest", "pytest"),
        ] {
            assert_eq!(parse(output), [Missing::Module(name.into())], "{output}");
        }
        assert_eq!(
            parse("fatal: not a git repository (or any of the parent directories): .git"),
            [Missing::Repository]
        );
        assert_eq!(parse("score: 3\nall files were found\n"), []);
    }
}
