//! The agents: the command line of each, and the reading of its output.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;

use super::answer::{self, Answer};
use super::folder::Folder;
use super::proxy::{Auth, KeyProxy};
use crate::files::read_file;

/// Variable in which Codex finds its key. Codex keeps it from the commands that it runs.
const CODEX_KEY: &str = "AUTORESEARCH_AGENT_KEY";
/// Retries of an agent's request: by default some agents wait for many minutes.
const RETRIES: &str = "2";

/// An agent that edits files from the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Agent {
    /// Claude Code, by its program, usually `claude`.
    ClaudeCode(String),
    /// Codex, by its program, usually `codex`.
    Codex(String),
    /// Any other agent, by its program and arguments. `{prompt}` stands for the task, `{prompt_file}` for a file that holds
    /// it, `{dir}` for the folder to work in, `{repo}` for the root of the repository, and `{url}`, `{key}` and `{model}` for
    /// the proxy of the model's server, the key to it and the model. Its output is its message.
    Command(Vec<String>),
}

/// One task for an agent.
pub(super) struct Job<'a> {
    pub folder: &'a Folder,
    pub prompt: &'a str,
    pub model: Option<&'a str>,
    pub arguments: &'a [String],
    pub repository: Option<&'a Path>,
    pub proxy: Option<(&'a KeyProxy, Auth)>,
}

/// A command line with its variables.
pub(super) struct Call {
    pub argv: Vec<String>,
    pub environment: Vec<(String, OsString)>,
}

impl Agent {
    /// Returns Claude Code as found on PATH.
    pub fn claude_code() -> Agent {
        Agent::ClaudeCode("claude".into())
    }

    /// Returns Codex as found on PATH.
    pub fn codex() -> Agent {
        Agent::Codex("codex".into())
    }

    /// Returns its name, for messages.
    pub fn name(&self) -> &str {
        match self {
            Agent::ClaudeCode(_) => "Claude Code",
            Agent::Codex(_) => "Codex",
            Agent::Command(command) => command.first().map_or("the agent", String::as_str),
        }
    }

    /// Tells the next step where its program is missing.
    pub(super) fn how_to_install(&self) -> &'static str {
        match self {
            Agent::ClaudeCode(_) => "install Claude Code: npm install -g @anthropic-ai/claude-code",
            Agent::Codex(_) => "install Codex: npm install -g @openai/codex",
            Agent::Command(_) => "install it, or give the path to it",
        }
    }

    /// Returns its command line, and writes the files that it needs.
    pub(super) fn call(&self, job: &Job<'_>) -> io::Result<Call> {
        let (folder, prompt) = (job.folder, job.prompt.to_owned());
        let mut environment: Vec<(String, OsString)> = vec![
            ("TMPDIR".into(), folder.temporary().into()),
            // Results of the agent's own builds do not belong among the files.
            ("CARGO_TARGET_DIR".into(), folder.temporary().join("target").into()),
            ("PYTHONDONTWRITEBYTECODE".into(), "1".into()),
        ];
        let mut set = |name: &str, value: &str| environment.push((name.into(), value.into()));
        let mut argv = match self {
            Agent::ClaudeCode(program) => {
                set("DISABLE_AUTOUPDATER", "1");
                set("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1");
                set("CLAUDE_CODE_MAX_RETRIES", RETRIES);
                let flags = ["--output-format", "json", "--permission-mode", "acceptEdits", "--no-session-persistence"];
                let mut argv = vec![program.clone(), "-p".into(), prompt];
                argv.extend(flags.map(String::from));
                argv.extend(job.model.into_iter().flat_map(|model| ["--model".into(), model.to_owned()]));
                argv.extend_from_slice(job.arguments);
                argv
            }
            Agent::Codex(program) => {
                let flags = ["exec", "--json", "-s", "workspace-write", "--ephemeral", "--skip-git-repo-check", "-C"];
                let mut argv = vec![program.clone()];
                argv.extend(flags.map(String::from));
                argv.push(folder.work().to_string_lossy().into_owned());
                argv.extend(["-c", "shell_environment_policy.inherit=core", "-o"].map(String::from));
                argv.push(folder.beside("last.txt").to_string_lossy().into_owned());
                argv.extend(job.model.into_iter().flat_map(|model| ["-m".into(), model.to_owned()]));
                argv.extend_from_slice(job.arguments);
                argv.push(prompt);
                argv
            }
            Agent::Command(template) => {
                let file = folder.beside("prompt.md");
                fs::write(&file, job.prompt)?;
                let values = [
                    ("prompt", prompt),
                    ("prompt_file", file.to_string_lossy().into_owned()),
                    ("dir", folder.work().to_string_lossy().into_owned()),
                    ("repo", job.repository.map(|root| root.to_string_lossy().into_owned()).unwrap_or_default()),
                    ("url", job.proxy.map(|(proxy, _)| proxy.url()).unwrap_or_default()),
                    ("key", job.proxy.map(|(proxy, _)| proxy.token().to_owned()).unwrap_or_default()),
                    ("model", job.model.unwrap_or_default().to_owned()),
                ];
                template.iter().map(|part| fill(part, &values)).chain(job.arguments.iter().cloned()).collect()
            }
        };
        // The agent starts in its scratch copy, while a relative program is one of the repository.
        if let (Some(program), Some(root)) = (argv.first_mut(), job.repository)
            && program.contains('/')
            && Path::new(program).is_relative()
        {
            *program = root.join(&*program).to_string_lossy().into_owned();
        }
        if let Some((proxy, auth)) = job.proxy {
            self.point_to(proxy, auth, folder, &mut environment)?;
        }
        Ok(Call { argv, environment })
    }

    /// Points the agent to the proxy. It gets a home of its own, since the user's holds other keys and settings.
    fn point_to(
        &self,
        proxy: &KeyProxy,
        auth: Auth,
        folder: &Folder,
        environment: &mut Vec<(String, OsString)>,
    ) -> io::Result<()> {
        let mut set = |name: &str, value: String| environment.push((name.into(), value.into()));
        set("HOME", folder.home().to_string_lossy().into_owned());
        match (self, auth) {
            (Agent::Codex(_), _) => {
                let home = folder.home().join(".codex");
                fs::create_dir_all(&home)?;
                // No other way leads Codex to another server: it ignores OPENAI_BASE_URL.
                let config = format!(
                    "model_provider = \"autoresearch\"\n\n[model_providers.autoresearch]\nname = \"autoresearch\"\n\
                     base_url = \"{}/v1\"\nenv_key = \"{CODEX_KEY}\"\nwire_api = \"responses\"\n\
                     request_max_retries = {RETRIES}\nstream_max_retries = {RETRIES}\n",
                    proxy.url()
                );
                fs::write(home.join("config.toml"), config)?;
                set("CODEX_HOME", home.to_string_lossy().into_owned());
                set(CODEX_KEY, proxy.token().to_owned());
            }
            (Agent::ClaudeCode(_), _) | (Agent::Command(_), Auth::XApiKey) => {
                set("ANTHROPIC_BASE_URL", proxy.url());
                set("ANTHROPIC_API_KEY", proxy.token().to_owned());
            }
            (Agent::Command(_), Auth::Bearer) => {
                set("OPENAI_BASE_URL", format!("{}/v1", proxy.url()));
                // The older name, which LiteLLM and so aider read.
                set("OPENAI_API_BASE", format!("{}/v1", proxy.url()));
                set("OPENAI_API_KEY", proxy.token().to_owned());
            }
        }
        Ok(())
    }

    /// Reads its output.
    pub(super) fn read(&self, output: &str, folder: &Folder) -> Answer {
        match self {
            Agent::ClaudeCode(_) => answer::claude_code(output),
            Agent::Codex(_) => {
                let last =
                    read_file(&folder.beside("last.txt")).map(|text| String::from_utf8_lossy(&text).into_owned());
                answer::codex(output, last)
            }
            Agent::Command(_) => answer::plain(output),
        }
    }
}

/// Replaces the placeholders of one argument in a single pass: a value may look like a placeholder itself.
fn fill(template: &str, values: &[(&str, String)]) -> String {
    let mut filled = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        filled += before;
        let known = values.iter().find_map(|(name, value)| Some((value, after.strip_prefix(name)?.strip_prefix('}')?)));
        match known {
            Some((value, behind)) => {
                filled += value;
                rest = behind;
            }
            None => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_once() {
        let values = [("prompt", "say {dir}".to_owned()), ("prompt_file", "/p".to_owned()), ("dir", "/d".to_owned())];
        assert_eq!(fill("{prompt}", &values), "say {dir}");
        assert_eq!(fill("--file={prompt_file}:{dir}/x {other} {", &values), "--file=/p:/d/x {other} {");
    }
}
