//! Programs that Windows does not start by itself: the `.cmd` shims that npm makes, and scripts with a `#!` line.
//!
//! A shim runs through `cmd.exe`, which parses the arguments again, ends at the first line break and asks "Terminate
//! batch job?". So the program that the shim would run is run directly. Any other batch file is left to the standard
//! library, which quotes for `cmd.exe` and refuses arguments that cannot be quoted. Parsing is pure and tested on all
//! systems; only [`direct`] reads the disk.

use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes at the beginning of a file that are examined; shims have less than 1 KiB.
const LOOKED_AT_BYTES: u64 = 16 * 1024;

/// The interpreter of a script, by name, with its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interpreter {
    /// Name without folder, such as `node`.
    pub name: String,
    /// Arguments before the script's path.
    pub options: Vec<String>,
}

/// The program that a shim of npm runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shim {
    /// `None` if the target is a program itself.
    pub interpreter: Option<Interpreter>,
    /// The program or script, relative to the shim's folder, with `\` between its parts.
    pub target: String,
}

/// A program and the arguments that come before all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Direct {
    /// Absolute path.
    pub program: PathBuf,
    /// Options of an interpreter, and the script.
    pub arguments: Vec<String>,
}

/// Parses a shim that npm, pnpm or yarn writes: its last command that passes on all arguments (`%*`). `None` if the text
/// is anything else.
///
/// ```text
/// "%_prog%"  "%dp0%\node_modules\@anthropic-ai\claude-code\cli.js" %*
/// "%dp0%\node_modules\@anthropic-ai\claude-code\bin\claude.exe"   %*
/// ```
#[must_use]
pub(crate) fn read_shim(text: &str) -> Option<Shim> {
    let line = text.lines().rev().find(|line| line.contains("%*"))?;
    let before_arguments = line.split("%*").next()?.trim_end();
    let (start, target) = last_quoted(before_arguments)?;
    let target = in_own_folder(target)?.to_owned();
    // The command may follow others on its line: `... & "%_prog%" ...`.
    let command = start.rsplit(['&', '(']).next()?.trim().trim_start_matches('@');
    if command.is_empty() {
        return Some(Shim {
            interpreter: None,
            target,
        });
    }
    let (program, options) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
    let program = program.trim_matches('"');
    let name = if program == "%_prog%" {
        program_variable(text)?
    } else {
        program
    };
    let name = in_own_folder(name).unwrap_or(name).trim_end_matches(".exe");
    let options: Vec<String> = options.split_whitespace().map(ToOwned::to_owned).collect();
    let is_plain = |word: &str| {
        !word.is_empty()
            && word
                .chars()
                .all(|char| char.is_ascii_alphanumeric() || "-_=.".contains(char))
    };
    let understood = is_plain(name) && options.iter().all(|option| is_plain(option));
    understood.then(|| Shim {
        interpreter: Some(Interpreter {
            name: name.to_owned(),
            options,
        }),
        target,
    })
}

/// The quoted part at the end of a line, and the text before it.
fn last_quoted(line: &str) -> Option<(&str, &str)> {
    line.strip_suffix('"')?.rsplit_once('"')
}

/// The path after the variable that names the shim's own folder.
fn in_own_folder(path: &str) -> Option<&str> {
    path.strip_prefix(r"%dp0%\")
        .or_else(|| path.strip_prefix(r"%~dp0\"))
        .or_else(|| path.strip_prefix("%~dp0"))
}

/// The interpreter of a shim that prefers one in its own folder: `SET "_prog=node"`.
fn program_variable(text: &str) -> Option<&str> {
    let settings = text.lines().filter_map(|line| line.trim().split_once("_prog="));
    settings
        .map(|(_, value)| value.trim_end_matches('"'))
        .find(|value| in_own_folder(value).is_none())
}

/// Parses a `#!` line. The interpreter's folder belongs to another system and is dropped.
#[must_use]
pub(crate) fn read_interpreter(text: &str) -> Option<Interpreter> {
    let mut words = text.lines().next()?.strip_prefix("#!")?.split_whitespace();
    let mut program = words.next()?;
    if program.ends_with("/env") {
        program = words.find(|word| *word != "-S")?;
    }
    Some(Interpreter {
        name: program.rsplit('/').next()?.to_owned(),
        options: words.map(ToOwned::to_owned).collect(),
    })
}

/// The program to run in the place of `program`, an existing file. Interpreters are looked up in `path` (in the form of
/// PATH) from `folder`. Returns the program itself if it can be run as it is or cannot be parsed.
#[must_use]
pub(crate) fn direct(program: &Path, path: Option<&str>, folder: &Path) -> Direct {
    let as_it_is = || Direct {
        program: program.to_owned(),
        arguments: Vec::new(),
    };
    let find = |name: &str| which::which_in(name, path, folder).ok();
    let extension = program
        .extension()
        .map(|extension| extension.to_string_lossy().to_lowercase());
    let found = match extension.as_deref() {
        Some("exe" | "com") => None,
        Some("cmd" | "bat") => beginning(program).and_then(|text| {
            let shim = read_shim(&text)?;
            let home = program.parent()?;
            let target = home.join(&shim.target);
            let Some(interpreter) = shim.interpreter else {
                return Some((target, Vec::new()));
            };
            let beside = home.join(format!("{}.exe", interpreter.name));
            let runner = if beside.is_file() {
                beside
            } else {
                find(&interpreter.name)?
            };
            Some((runner, before(interpreter, &target)))
        }),
        _ => beginning(program).and_then(|text| {
            let interpreter = read_interpreter(&text)?;
            Some((find(&interpreter.name)?, before(interpreter, program)))
        }),
    };
    found
        .filter(|(program, _)| program.is_file())
        .map_or_else(as_it_is, |(program, arguments)| Direct { program, arguments })
}

/// The interpreter's options and the script.
fn before(interpreter: Interpreter, script: &Path) -> Vec<String> {
    let mut arguments = interpreter.options;
    arguments.push(script.to_string_lossy().into_owned());
    arguments
}

fn beginning(file: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).ok()?;
    opened.take(LOOKED_AT_BYTES).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NPM: &str = "@ECHO off\r\nGOTO start\r\n:find_dp0\r\nSET dp0=%~dp0\r\nEXIT /b\r\n:start\r\nSETLOCAL\r\nCALL \
        :find_dp0\r\n\r\nIF EXIST \"%dp0%\\node.exe\" (\r\n  SET \"_prog=%dp0%\\node.exe\"\r\n) ELSE (\r\n  SET \
        \"_prog=node\"\r\n  SET PATHEXT=%PATHEXT:;.JS;=;%\r\n)\r\n\r\nendLocal & goto #_undefined_# 2>NUL || title \
        %COMSPEC% & \"%_prog%\"  --no-warnings \"%dp0%\\node_modules\\@anthropic-ai\\claude-code\\cli.js\" %*\r\n";
    const NPM_PROGRAM: &str = "@ECHO off\r\nGOTO start\r\n:find_dp0\r\nSET dp0=%~dp0\r\nEXIT \
        /b\r\n:start\r\nSETLOCAL\r\nCALL :find_dp0\r\n\"%dp0%\\node_modules\\claude code\\claude.exe\"   %*\r\n";
    const PNPM: &str = "@SETLOCAL\r\n@IF EXIST \"%~dp0\\node.exe\" (\r\n  \"%~dp0\\node.exe\"  \
        \"%~dp0\\..\\claude\\cli.js\" %*\r\n) ELSE (\r\n  @SET PATHEXT=%PATHEXT:;.JS;=;%\r\n  node  \
        \"%~dp0\\..\\claude\\cli.js\" %*\r\n)\r\n";
    const YARN: &str = "@node \"%~dp0cli.js\" %*\r\n";

    fn node(options: &[&str], target: &str) -> Shim {
        Shim {
            interpreter: Some(Interpreter {
                name: "node".to_owned(),
                options: options.iter().map(ToString::to_string).collect(),
            }),
            target: target.to_owned(),
        }
    }

    #[test]
    fn the_shims_of_package_managers_are_understood() {
        let cli = r"node_modules\@anthropic-ai\claude-code\cli.js";
        assert_eq!(read_shim(NPM), Some(node(&["--no-warnings"], cli)));
        assert_eq!(read_shim(PNPM), Some(node(&[], r"..\claude\cli.js")));
        assert_eq!(read_shim(YARN), Some(node(&[], "cli.js")));
        let target = r"node_modules\claude code\claude.exe".to_owned();
        assert_eq!(
            read_shim(NPM_PROGRAM),
            Some(Shim {
                interpreter: None,
                target
            })
        );
    }

    #[test]
    fn any_other_batch_file_is_not() {
        let others = [
            "",
            "@echo off\r\necho hello %*\r\n",
            "\"C:\\Program Files\\claude\\claude.exe\" %*\r\n",
            "\"%dp0%\\claude.exe\"\r\n",
            "set X=1 & call \"%X%\" \"%dp0%\\a.js\" %*\r\n",
            "\"%_prog%\" \"%dp0%\\a.js\" %*\r\n",
            "node \"%dp0%\\a.js\" %* | more\r\nnode %SECRET% \"%dp0%\\a.js\" %*\r\n",
        ];
        for text in others {
            assert_eq!(read_shim(text), None, "{text}");
        }
    }

    #[test]
    fn a_first_line_names_the_interpreter() {
        let read = |text| read_interpreter(text).map(|found| (found.name, found.options.join(" ")));
        let some = |name: &str, options: &str| Some((name.to_owned(), options.to_owned()));
        assert_eq!(read("#!/usr/bin/env node\n'use strict'"), some("node", ""));
        assert_eq!(
            read("#!/usr/bin/env -S node --a --b\r\n"),
            some("node", "--a --b")
        );
        assert_eq!(read("#! /usr/local/bin/node --a"), some("node", "--a"));
        for other in ["", "#!", "#!/usr/bin/env", "MZ", "\n#!/bin/sh"] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn what_the_system_starts_by_itself_is_left_alone() {
        let dir = tempfile::tempdir().expect("temporary directory");
        for name in ["claude.exe", "claude.cmd", "claude"] {
            let program = dir.path().join(name);
            std::fs::write(&program, "no script at all %*").expect("file");
            let found = direct(&program, Some(""), dir.path());
            assert_eq!((found.program, found.arguments), (program, Vec::new()), "{name}");
        }
    }
}

/// With what only Windows has: `\` in paths, `PATHEXT`, and programs that really run.
#[cfg(all(test, windows))]
mod windows_tests {
    use super::*;

    /// Blanks, and letters beyond ASCII, as in the names of users.
    fn folder() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("temporary directory");
        let home = dir.path().join("J\u{fc}rgen M\u{fc}ller \u{8a66}\u{9a13}");
        std::fs::create_dir_all(home.join(r"node_modules\claude")).expect("folder");
        (dir, home)
    }

    fn file(path: &Path, text: &str) -> PathBuf {
        std::fs::write(path, text).expect("file");
        path.to_owned()
    }

    #[test]
    fn a_shim_is_resolved_to_what_it_runs() {
        let (_dir, home) = folder();
        let shim = file(
            &home.join("claude.cmd"),
            "\"%_prog%\" \"%dp0%\\node_modules\\claude\\cli.js\" %*\r\nSET \"_prog=node\"\r\n",
        );
        let script = home.join(r"node_modules\claude\cli.js");
        let bin = home.join("bin");
        std::fs::create_dir(&bin).expect("folder");
        let node = file(&bin.join("node.exe"), "");
        let path = bin.to_str().expect("UTF-8");
        let expected = vec![script.to_string_lossy().into_owned()];
        let found = direct(&shim, Some(path), &home);
        assert_eq!((found.program, &found.arguments), (node, &expected));
        // One beside the shim comes first.
        let own = file(&home.join("node.exe"), "");
        assert_eq!(direct(&shim, Some(path), &home).program, own);
        // Without any, the shim itself.
        std::fs::remove_file(&own).expect("file");
        assert_eq!(direct(&shim, Some(""), &home).program, shim);
    }

    #[test]
    fn a_shim_of_a_program_is_resolved_to_it() {
        let (_dir, home) = folder();
        let text = "\"%dp0%\\node_modules\\claude\\claude.exe\"   %*\r\n";
        let shim = file(&home.join("claude.cmd"), text);
        assert_eq!(
            direct(&shim, None, &home).program,
            shim,
            "what is not there cannot be run"
        );
        let program = file(&home.join(r"node_modules\claude\claude.exe"), "");
        assert_eq!(direct(&shim, None, &home).program, program);
    }
}
