//! Languages by the name of a file: their comments, strings, and the way in which they give a name a value.

/// Form of the lines that name a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Assignments, pairs and arguments of a programming language, and JSON.
    Code,
    /// Words of a shell: `NAME=VALUE`, `--name VALUE`.
    Shell,
    /// `name = value` up to the end of the line.
    Ini,
    /// `name: value` up to the end of the line.
    Yaml,
    /// `NAME := value` up to the end of the line, and recipes of a shell.
    Make,
    /// `set(NAME value)`, `option(NAME "text" value)`.
    CMake,
}

/// Everything that the reader of a line must know of a language.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Syntax {
    /// Name of the language.
    pub name: &'static str,
    pub form: Form,
    /// Beginnings of comments that end with the line.
    pub comments: &'static [&'static str],
    /// True if such a comment needs white space before it.
    pub apart: bool,
    /// Comments over several lines.
    pub blocks: &'static [(&'static str, &'static str)],
    /// Strings over several lines.
    pub texts: &'static [(&'static str, &'static str)],
    pub quotes: &'static [char],
    /// True if `-` may stand within a name.
    pub dashes: bool,
    /// True if `name: value` is a pair where the name has no quotes.
    pub word_keys: bool,
    /// True if `key => value` is a pair.
    pub arrows: bool,
    /// True if a type stands between a name and `=`, as in Go.
    pub type_last: bool,
    /// True if `'` may stand between digits.
    pub tick_digits: bool,
    /// True if an integer may become a float when its value is fractional.
    pub loose_numbers: bool,
    /// True if the language is not known, so that a comment is taken for one by its `knob:`.
    pub unknown: bool,
}

const CODE: Syntax = Syntax {
    name: "",
    form: Form::Code,
    comments: &["//"],
    apart: false,
    blocks: &[("/*", "*/")],
    texts: &[],
    quotes: &['"', '\''],
    dashes: false,
    word_keys: true,
    arrows: false,
    type_last: false,
    tick_digits: false,
    loose_numbers: false,
    unknown: false,
};
const C: Syntax = Syntax { name: "C/C++", tick_digits: true, word_keys: false, ..CODE };
const CURLY: Syntax = Syntax { name: "another language with braces", texts: &[("\"\"\"", "\"\"\"")], ..CODE };
const GO: Syntax = Syntax { name: "Go", type_last: true, texts: &[("`", "`")], ..CODE };
const JAVASCRIPT: Syntax = Syntax { name: "JavaScript/TypeScript", texts: &[("`", "`")], loose_numbers: true, ..CODE };
const JSON: Syntax = Syntax { name: "JSON", loose_numbers: true, ..CODE };
const JULIA: Syntax = Syntax {
    name: "Julia",
    comments: &["#"],
    blocks: &[("#=", "=#")],
    texts: &[("\"\"\"", "\"\"\"")],
    quotes: &['"'],
    word_keys: false,
    arrows: true,
    loose_numbers: true,
    ..CODE
};
const LUA: Syntax = Syntax {
    name: "Lua",
    comments: &["--"],
    blocks: &[("--[[", "]]")],
    texts: &[("[[", "]]")],
    word_keys: false,
    loose_numbers: true,
    ..CODE
};
const PHP: Syntax = Syntax { name: "PHP", comments: &["//", "#"], arrows: true, loose_numbers: true, ..CODE };
const PYTHON: Syntax = Syntax {
    name: "Python",
    comments: &["#"],
    blocks: &[],
    texts: &[("\"\"\"", "\"\"\""), ("'''", "'''")],
    word_keys: false,
    loose_numbers: true,
    ..CODE
};
const R: Syntax = Syntax { name: "R", comments: &["#"], blocks: &[], word_keys: false, loose_numbers: true, ..CODE };
const RUBY: Syntax =
    Syntax { name: "Ruby", comments: &["#"], blocks: &[("=begin", "=end")], arrows: true, loose_numbers: true, ..CODE };
const RUST: Syntax = Syntax { name: "Rust", quotes: &['"'], ..CODE };
const DASHED: Syntax =
    Syntax { name: "a language with `--` comments", comments: &["--"], blocks: &[("{-", "-}")], ..CODE };
const PERCENT: Syntax = Syntax { name: "MATLAB", comments: &["%"], blocks: &[], loose_numbers: true, ..CODE };
const HASHED: Syntax =
    Syntax { name: "a language with `#` comments", comments: &["#"], apart: true, blocks: &[], ..RUBY };
const TOML: Syntax = Syntax {
    name: "TOML",
    comments: &["#"],
    blocks: &[],
    texts: &[("\"\"\"", "\"\"\""), ("'''", "'''")],
    dashes: true,
    word_keys: false,
    loose_numbers: true,
    ..CODE
};
const SHELL: Syntax = Syntax {
    name: "shell",
    form: Form::Shell,
    comments: &["#"],
    apart: true,
    blocks: &[],
    loose_numbers: true,
    ..CODE
};
const MAKE: Syntax = Syntax { name: "Make", form: Form::Make, ..SHELL };
const CMAKE: Syntax =
    Syntax { name: "CMake", form: Form::CMake, apart: false, blocks: &[("#[[", "]]")], quotes: &['"'], ..SHELL };
const INI: Syntax = Syntax { name: "INI", form: Form::Ini, comments: &["#", ";"], ..SHELL };
const YAML: Syntax = Syntax { name: "YAML", form: Form::Yaml, ..SHELL };
const UNKNOWN: Syntax = Syntax {
    name: "an unknown language",
    comments: &["#", "//"],
    apart: true,
    dashes: false,
    loose_numbers: true,
    unknown: true,
    ..CODE
};

impl Syntax {
    /// Returns the language of a file by its name, or by its first line where the name says nothing.
    pub fn of(path: &str, text: &str) -> Syntax {
        let name = path.rsplit('/').next().unwrap_or(path);
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension).to_ascii_lowercase();
        match name {
            "CMakeLists.txt" => return CMAKE,
            "Makefile" | "makefile" | "GNUmakefile" => return MAKE,
            "Dockerfile" | "Containerfile" => return SHELL,
            "Gemfile" | "Rakefile" => return RUBY,
            _ => {}
        }
        match extension.as_str() {
            "py" | "pyi" | "pyx" | "mojo" | "bzl" => PYTHON,
            "rs" => RUST,
            "c" | "h" | "cc" | "cpp" | "cxx" | "hh" | "hpp" | "hxx" | "cu" | "cuh" | "cl" | "metal" | "m" | "mm"
            | "glsl" | "comp" | "inl" | "ipp" => C,
            "go" => GO,
            "js" | "mjs" | "cjs" | "jsx" | "ts" | "mts" | "cts" | "tsx" | "vue" | "svelte" => JAVASCRIPT,
            "json" | "jsonc" | "json5" => JSON,
            "jl" => JULIA,
            "lua" | "luau" => LUA,
            "rb" | "rake" | "gemspec" => RUBY,
            "r" => R,
            "php" => PHP,
            "toml" => TOML,
            "yaml" | "yml" => YAML,
            "ini" | "cfg" | "conf" | "properties" | "desktop" => INI,
            "sh" | "bash" | "zsh" | "fish" | "ksh" | "env" | "sbatch" | "slurm" => SHELL,
            "mk" | "mak" => MAKE,
            "cmake" => CMAKE,
            "java" | "kt" | "kts" | "scala" | "swift" | "cs" | "d" | "dart" | "zig" | "groovy" | "gradle" | "proto"
            | "v" | "scss" | "odin" => CURLY,
            "hs" | "elm" | "sql" | "adb" | "ads" => DASHED,
            "mat" | "tex" | "erl" => PERCENT,
            "pl" | "pm" | "ex" | "exs" | "nim" | "tf" | "hcl" | "nix" | "cr" | "awk" | "tcl" => HASHED,
            _ => Syntax::of_first_line(text),
        }
    }

    fn of_first_line(text: &str) -> Syntax {
        let Some(line) = text.lines().next().and_then(|line| line.strip_prefix("#!")) else { return UNKNOWN };
        let has = |word: &str| line.contains(word);
        match () {
            () if has("python") || has("uv") => PYTHON,
            () if has("ruby") => RUBY,
            () if has("node") || has("deno") || has("bun") => JAVASCRIPT,
            () if has("lua") => LUA,
            () if has("julia") => JULIA,
            () if has("perl") => HASHED,
            () if has("sh") => SHELL,
            () => UNKNOWN,
        }
    }

    /// Returns true if pointers such as `/optimizer/lr` lead to values of the file.
    pub fn has_pointers(&self) -> bool {
        matches!(self.name, "JSON" | "TOML" | "YAML")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_follows_from_name_or_first_line() {
        for (path, text, name) in [
            ("a/train.py", "", "Python"),
            ("CMakeLists.txt", "", "CMake"),
            ("b/Makefile", "", "Make"),
            ("run", "#!/usr/bin/env python3\n", "Python"),
            ("run", "#!/bin/bash\n", "shell"),
            ("work.txt", "#!", "an unknown language"),
            ("conf.YAML", "", "YAML"),
        ] {
            assert_eq!(Syntax::of(path, text).name, name, "{path}");
        }
    }
}
