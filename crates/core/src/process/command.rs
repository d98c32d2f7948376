//! Arguments and environment of the CLI. Pure, so that tests can check every decision.

use crate::limits;
use crate::options::{CallerEnv, RunOptions, SessionOptions, variable_name};
use clearctx_proctree::{INSTANCE_VARIABLE, InstanceId};
use std::collections::BTreeMap;

/// Variables of an outer Claude Code session, and one that makes the CLI write log text between the JSON lines.
const REMOVED_VARIABLES: [&str; 4] = [
    "CLAUDECODE",
    "CLAUDE_CODE_SESSION_ID",
    "CLAUDE_CODE_CHILD_SESSION",
    "ANTHROPIC_LOG",
];

/// The environment of a child: the caller's, without the variables of an outer session, and with those of the options.
#[must_use]
pub(crate) fn environment(
    run: &RunOptions,
    caller: &CallerEnv,
    instance: &InstanceId,
) -> BTreeMap<String, String> {
    let mut env = caller.env.clone();
    for name in REMOVED_VARIABLES {
        env.remove(name);
    }
    for (name, value) in &run.env {
        match value {
            Some(value) => env.insert(variable_name(name), value.clone()),
            None => env.remove(&variable_name(name)),
        };
    }
    env.insert(INSTANCE_VARIABLE.to_owned(), instance.to_string());
    env
}

/// Whether a text is too long for one argument and must go through a file.
#[must_use]
pub(crate) fn needs_file(text: &str) -> bool {
    text.len() >= limits::ARGUMENT_BYTES
}

/// Arguments of a session's process. `prompt_file` contains the system prompt if that [`needs_file`].
#[must_use]
pub(crate) fn session_arguments(options: &SessionOptions, prompt_file: Option<&str>) -> Vec<String> {
    let mut arguments = strings(&[
        "-p",
        "--input-format",
        "stream-json",
        "--output-format",
        "stream-json",
        "--verbose",
    ]);
    arguments.extend(pair("--model", &options.model));
    push_settings(&mut arguments, options, prompt_file);
    if let Some(id) = options.session_id.as_deref().filter(|id| !id.is_empty()) {
        arguments.extend(resume(id));
        return arguments;
    }
    if let Some(source) = &options.fork_of {
        arguments.extend(resume(source));
        arguments.push("--fork-session".to_owned());
    }
    if let Some(id) = &options.new_session_id {
        arguments.extend(pair("--session-id", id));
    }
    arguments
}

fn push_settings(arguments: &mut Vec<String>, options: &SessionOptions, prompt_file: Option<&str>) {
    // `default` is passed too: without the option the settings of a project decide, or the version's own default.
    if let Some(mode) = options.asked_mode() {
        arguments.extend(pair("--permission-mode", mode));
    }
    if options.live.asks_permission {
        arguments.extend(pair("--permission-prompt-tool", "stdio"));
    }
    if options.live.partial_messages {
        arguments.push("--include-partial-messages".to_owned());
    }
    if !options.allowed_tools.is_empty() {
        // The option takes arguments until one looks like an option. One joined argument is always taken whole, even
        // if it begins like an option; the CLI splits it at commas outside parentheses (measured).
        arguments.extend(pair("--allowedTools", &options.allowed_tools.join(",")));
    }
    if let Some(file) = prompt_file {
        arguments.extend(pair("--append-system-prompt-file", file));
    } else if !options.system_prompt.is_empty() {
        arguments.extend(pair("--append-system-prompt", &options.system_prompt));
    }
    if let Some(usd) = options.max_budget {
        arguments.extend(pair("--max-budget-usd", &usd.to_string()));
    }
    if let Some(agent) = options.agent.as_deref().filter(|agent| !agent.is_empty()) {
        arguments.extend(pair("--agent", agent));
    }
}

/// `--resume` has an optional value, so an id that looks like an option must be tied to it.
fn resume(id: &str) -> Vec<String> {
    if id.starts_with('-') {
        vec![format!("--resume={id}")]
    } else {
        pair("--resume", id).to_vec()
    }
}

fn pair(option: &str, value: &str) -> [String; 2] {
    [option.to_owned(), value.to_owned()]
}

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(extra: &str) -> SessionOptions {
        let json = format!(r#"{{"name":"a","model":"sonnet","workDir":"/"{extra}}}"#);
        serde_json::from_str(&json).expect("test options are complete")
    }

    #[test]
    fn only_what_is_set_is_passed_on() {
        let base = "-p --input-format stream-json --output-format stream-json --verbose --model sonnet";
        assert_eq!(
            session_arguments(&options(r#","permissionMode":"inherit""#), None).join(" "),
            base
        );
        let all = options(
            r#","permissionMode":"plan","allowedTools":["Bash(a b)","--x"],"systemPrompt":"-s","maxBudget":1.5,
                "agent":"g","sessionId":"id""#,
        );
        let rest = &session_arguments(&all, None)[8..];
        assert_eq!(
            rest,
            [
                "--permission-mode",
                "plan",
                "--allowedTools",
                "Bash(a b),--x",
                "--append-system-prompt",
                "-s",
                "--max-budget-usd",
                "1.5",
                "--agent",
                "g",
                "--resume",
                "id"
            ]
        );
    }

    #[test]
    fn every_process_is_given_its_permission_mode() {
        for (given, passed) in [
            ("", Some("default")),
            (r#","permissionMode":"""#, Some("default")),
            (r#","permissionMode":"default""#, Some("default")),
            (r#","permissionMode":"plan""#, Some("plan")),
            (r#","permissionMode":"inherit""#, None),
        ] {
            let options = options(given);
            let arguments = session_arguments(&options, None);
            let at = arguments
                .iter()
                .position(|argument| argument == "--permission-mode");
            let mode = at.map(|at| arguments[at + 1].as_str());
            assert_eq!(mode, passed, "{given}: {arguments:?}");
        }
    }

    #[test]
    fn a_fork_resumes_its_source_once_and_from_then_on_itself() {
        let mut forked = options(r#","permissionMode":"inherit","forkOf":"-x","newSessionId":"new""#);
        let last = |options: &SessionOptions| session_arguments(options, None)[8..].join(" ");
        assert_eq!(last(&forked), "--resume=-x --fork-session --session-id new");
        forked.session_id = Some("new".to_owned());
        assert_eq!(last(&forked), "--resume new");
    }

    #[test]
    fn a_long_system_prompt_goes_through_a_file() {
        let long = options(&format!(
            r#","permissionMode":"inherit","systemPrompt":"{}""#,
            "x".repeat(limits::ARGUMENT_BYTES)
        ));
        assert!(needs_file(&long.system_prompt));
        let arguments = session_arguments(&long, Some("/f"));
        assert_eq!(arguments[8..], ["--append-system-prompt-file", "/f"]);
    }

    #[test]
    fn marks_of_an_outer_session_are_removed_unless_the_caller_sets_them() {
        let env = ["CLAUDECODE", "ANTHROPIC_LOG", "KEPT", "GONE"]
            .map(|name| (name.to_owned(), "1".to_owned()))
            .into();
        let caller = CallerEnv { env, cwd: "/".into() };
        let mut run = RunOptions::default();
        run.env.insert("ANTHROPIC_LOG".into(), Some("info".into()));
        run.env.insert("GONE".into(), None);
        let names: Vec<String> = environment(&run, &caller, &"id".into()).into_keys().collect();
        assert_eq!(names, ["ANTHROPIC_LOG", INSTANCE_VARIABLE, "KEPT"]);
    }
}
