//! The modules of a crate, with the names that each declares, imports and uses. Code under `cfg(test)` is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::tokens::{Kind, Token, tokens};

/// The names from the crate's root to a module or an item.
pub type Names = Vec<String>;

/// One module of a crate: a file, or an inline `mod` within one.
#[derive(Debug, Default)]
pub struct Module {
    /// The file that holds it.
    pub file: PathBuf,
    /// Names of the modules that it declares.
    pub children: BTreeSet<String>,
    /// Names of the items that it defines.
    pub items: BTreeSet<String>,
    /// Its `use` declarations, one for each name.
    pub imports: Vec<Import>,
    /// The paths in its code, those of its `use` declarations left out.
    pub mentions: Vec<Mention>,
}

/// One name that a `use` declaration brings into scope.
#[derive(Debug, Clone, PartialEq)]
pub struct Import {
    /// The path as written.
    pub path: Names,
    /// The name in this module, `*` for all names of the path.
    pub name: String,
    /// True for `pub use` with any restriction.
    pub public: bool,
    pub line: usize,
}

/// A path in code, e.g. `super::next::measured` or `Lab`.
#[derive(Debug, Clone, PartialEq)]
pub struct Mention {
    pub path: Names,
    pub line: usize,
}

/// The modules of one crate by their names from the root. The root's own names are empty.
pub type Modules = BTreeMap<Names, Module>;

/// Reads the crate whose root is this file.
pub fn read_crate(root: &Path) -> Result<Modules, String> {
    let mut modules = Modules::new();
    let folder = root.parent().unwrap_or(Path::new(""));
    read_file(root, folder, Names::new(), &mut modules)?;
    Ok(modules)
}

/// Reads the module of one file, and those in files below it. `folder` is where the files of its own modules lie.
fn read_file(file: &Path, folder: &Path, names: Names, modules: &mut Modules) -> Result<(), String> {
    let source = fs::read_to_string(file).map_err(|e| format!("cannot read {}: {e}", file.display()))?;
    let tokens = tokens(&source);
    let mut scan = Scan { tokens: &tokens, at: 0, file, declared: Vec::new(), modules };
    scan.module(names.clone());
    let beside = file.parent().unwrap_or(Path::new(""));
    for (child, path) in std::mem::take(&mut scan.declared) {
        // An inline module between the file and its child is a folder too.
        let below = folder.join(child[names.len()..].join("/"));
        let (own, below) = match path {
            Some(path) => (beside.join(path), beside.to_owned()),
            None if below.with_extension("rs").exists() => (below.with_extension("rs"), below),
            None => (below.join("mod.rs"), below),
        };
        read_file(&own, &below, child, modules)?;
    }
    Ok(())
}

struct Scan<'a> {
    tokens: &'a [Token],
    at: usize,
    file: &'a Path,
    /// Modules in files of their own, with the path of a `#[path]` attribute.
    declared: Vec<(Names, Option<String>)>,
    modules: &'a mut Modules,
}

/// Keywords before the name of an item.
const ITEMS: &[&str] = &["fn", "struct", "enum", "trait", "type", "const", "static", "union"];

impl Scan<'_> {
    /// Reads the module from here to the brace that closes it, or to the end of the file.
    fn module(&mut self, names: Names) {
        let mut module = Module { file: self.file.to_owned(), ..Module::default() };
        let (mut depth, mut path) = (0, None);
        while let Some(token) = self.tokens.get(self.at) {
            let next = self.tokens.get(self.at + 1).and_then(Token::word);
            match &token.kind {
                Kind::Mark('{') => depth += 1,
                Kind::Mark('}') if depth == 0 => break,
                Kind::Mark('}') => depth -= 1,
                Kind::Mark('#') => {
                    let attribute = self.attribute();
                    match attribute {
                        Attribute::Test { inner: true } => self.at = self.tokens.len(),
                        Attribute::Test { inner: false } => self.skip_item(),
                        Attribute::Path(given) => path = Some(given),
                        Attribute::Other => {}
                    }
                    continue;
                }
                Kind::Word(word) if word == "use" && next != Some("{") => {
                    self.import(&mut module);
                    continue;
                }
                Kind::Word(word) if word == "mod" && next.is_some() => {
                    let child = [&names[..], &[next.unwrap_or_default().to_owned()]].concat();
                    module.children.insert(next.unwrap_or_default().to_owned());
                    self.at += 2;
                    if self.tokens.get(self.at).is_some_and(|token| token.is_mark('{')) {
                        self.at += 1;
                        self.module(child);
                    } else {
                        self.declared.push((child, path.take()));
                    }
                }
                Kind::Word(word) if word == "macro_rules" => {
                    let name = self.tokens.get(self.at + 2).and_then(Token::word);
                    module.items.extend(name.map(str::to_owned));
                    self.at += 2;
                }
                // `const fn name`: the name follows the second keyword.
                Kind::Word(word)
                    if ITEMS.contains(&word.as_str()) && next.is_some_and(|next| ITEMS.contains(&next)) => {}
                Kind::Word(word) if ITEMS.contains(&word.as_str()) && next.is_some() => {
                    // The items of functions and implementations are no names of the module.
                    if depth == 0 {
                        module.items.insert(next.unwrap_or_default().to_owned());
                    }
                    self.at += 1;
                }
                Kind::Word(_) | Kind::Path => {
                    self.mention(&mut module);
                    continue;
                }
                _ => {}
            }
            self.at += 1;
        }
        self.modules.insert(names, module);
    }

    /// Reads an attribute and moves behind it.
    fn attribute(&mut self) -> Attribute {
        self.at += 1;
        let inner = self.tokens.get(self.at).is_some_and(|token| token.is_mark('!'));
        self.at += usize::from(inner);
        if !self.tokens.get(self.at).is_some_and(|token| token.is_mark('[')) {
            return Attribute::Other;
        }
        let began = self.at + 1;
        self.at = closing(self.tokens, self.at) + 1;
        let within = self.tokens.get(began..self.at - 1).unwrap_or_default();
        match within {
            [cfg, _, test, _] if cfg.is_word("cfg") && test.is_word("test") => Attribute::Test { inner },
            [cfg, _, all, _, rest @ ..] if cfg.is_word("cfg") && all.is_word("all") => {
                if rest.iter().any(|token| token.is_word("test")) {
                    Attribute::Test { inner }
                } else {
                    Attribute::Other
                }
            }
            [test] if test.is_word("test") => Attribute::Test { inner },
            [path, _, Token { kind: Kind::Text(text), .. }] if path.is_word("path") => Attribute::Path(text.clone()),
            _ => Attribute::Other,
        }
    }

    /// Moves behind the item, field, arm or statement that begins here.
    fn skip_item(&mut self) {
        let mut first_words = Vec::new();
        while let Some(token) = self.tokens.get(self.at) {
            let item = first_words.iter().any(|word| ITEMS.contains(word) || ["impl", "mod"].contains(word));
            match &token.kind {
                Kind::Mark('#') => {
                    self.attribute();
                    continue;
                }
                Kind::Mark(';') => break,
                Kind::Mark(',') if !item => break,
                // The field, arm or statement was the last one of its block.
                Kind::Mark('}' | ')' | ']') => return,
                Kind::Mark('{') => {
                    self.at = closing(self.tokens, self.at);
                    // `use a::{b};` goes on behind its braces.
                    if !first_words.contains(&"use") {
                        break;
                    }
                }
                Kind::Mark('(' | '[') => self.at = closing(self.tokens, self.at),
                Kind::Word(word) => first_words.push(word.as_str()),
                _ => {}
            }
            self.at += 1;
        }
        self.at += 1;
    }

    /// Reads a `use` declaration and moves behind it.
    fn import(&mut self, module: &mut Module) {
        let before = |n: usize| self.at.checked_sub(n).and_then(|at| self.tokens.get(at));
        let restricted = before(1).is_some_and(|token| token.is_mark(')'))
            && (2..8).any(|n| before(n).is_some_and(|token| token.is_word("pub")));
        let public = restricted || before(1).is_some_and(|token| token.is_word("pub"));
        self.at += 1;
        self.tree(&mut Names::new(), public, module);
        self.at += 1;
    }

    /// Reads one tree of a `use` declaration, to the comma, brace or semicolon behind it.
    fn tree(&mut self, prefix: &mut Names, public: bool, module: &mut Module) {
        let (depth, mut path) = (prefix.len(), prefix.clone());
        while let Some(token) = self.tokens.get(self.at) {
            let line = token.line;
            match &token.kind {
                Kind::Word(word) if word == "as" => {
                    let name = self.tokens.get(self.at + 1).and_then(Token::word).unwrap_or("_").to_owned();
                    self.at += 2;
                    module.imports.push(Import { path, name, public, line });
                    return;
                }
                Kind::Word(word) if word == "self" && path.len() == depth && depth > 0 => {}
                Kind::Word(word) => path.push(word.clone()),
                Kind::Mark('*') => {
                    self.at += 1;
                    module.imports.push(Import { path, name: "*".into(), public, line });
                    return;
                }
                Kind::Mark('{') => {
                    self.at += 1;
                    while self.tokens.get(self.at).is_some_and(|token| !token.is_mark('}')) {
                        self.tree(&mut path, public, module);
                        if self.tokens.get(self.at).is_some_and(|token| token.is_mark(',')) {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    return;
                }
                Kind::Path => {}
                _ => break,
            }
            self.at += 1;
        }
        if let Some(name) = path.last().cloned() {
            let line = self.tokens.get(self.at.saturating_sub(1)).map_or(0, |token| token.line);
            module.imports.push(Import { path, name, public, line });
        }
    }

    /// Reads a path in code and moves behind it.
    fn mention(&mut self, module: &mut Module) {
        let began = self.at;
        let field = began > 0 && self.tokens[began - 1].is_mark('.');
        let (mut path, line) = (Names::new(), self.tokens[began].line);
        while let Some(token) = self.tokens.get(self.at) {
            match &token.kind {
                Kind::Word(word) if path.is_empty() || self.tokens[self.at - 1].kind == Kind::Path => {
                    path.push(word.clone());
                }
                Kind::Path if self.at == began || self.tokens[self.at - 1].word().is_some() => {}
                _ => break,
            }
            self.at += 1;
        }
        // `::serde` is another crate, `.name` a field or a method.
        let outside = self.tokens[began].kind == Kind::Path;
        let called = self.tokens.get(self.at).is_some_and(|token| token.is_mark('(') || token.is_mark('!'));
        let named = path.first().is_some_and(|name| name.starts_with(char::is_uppercase));
        if !outside && !field && (path.len() > 1 || called || named) {
            module.mentions.push(Mention { path, line });
        }
    }
}

enum Attribute {
    /// Everything that it belongs to is code of tests; the whole file when it is an inner one.
    Test {
        inner: bool,
    },
    /// `#[path = "…"]`.
    Path(String),
    Other,
}

/// The index of the bracket that closes the one at `open`.
fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.kind {
            Kind::Mark('(' | '[' | '{') => depth += 1,
            Kind::Mark(')' | ']' | '}') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    tokens.len()
}
