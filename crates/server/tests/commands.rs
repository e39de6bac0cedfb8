//! The binary as an operator meets it.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use tempfile::TempDir;

/// `lingpai` in an empty folder and an empty environment, so that everything has its default.
fn lingpai(folder: &Path, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lingpai"));
    command.args(arguments.split_whitespace()).current_dir(folder).env_clear();
    command
}

fn output(command: &mut Command) -> (Output, String, String) {
    let output = command.output().expect("the binary runs");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    (output, out, err)
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

#[test]
fn wrong_settings_are_all_named_and_exit_as_usage() {
    let folder = folder();
    for arguments in ["config check", "serve", "migrate", "doctor", "operator-key create me"] {
        let mut command = lingpai(folder.path(), arguments);
        command.env("LINGPAI_SERVER__LISTEN", "x").env("LINGPAI_LOG__FORMAT", "y");
        let (output, out, err) = output(&mut command);
        assert_eq!(output.status.code(), Some(2), "{arguments}");
        assert_eq!(out, "", "{arguments}");
        assert!(err.contains("server.listen: ") && err.contains("log.format: "), "{err}");
    }
    assert!(folder.path().read_dir().expect("a folder").next().is_none(), "nothing was touched");
}

#[test]
fn an_operator_key_stands_alone_on_standard_output() {
    let folder = folder();
    let (first, key, err) = output(&mut lingpai(folder.path(), "operator-key create me"));
    assert!(first.status.success(), "{err}");
    let key = key.strip_suffix('\n').expect("one line");
    assert!(key.starts_with("lpo_") && key.bytes().all(|b| b.is_ascii_graphic()), "{key}");
    assert!(!err.contains(key));
    assert!(folder.path().join("data/master.key").exists());
    let (_, second, _) = output(&mut lingpai(folder.path(), "operator-key create me"));
    assert_ne!(second.trim_end(), key);
}

#[test]
fn a_schema_that_is_behind_is_brought_up_to_date_only_when_that_is_wanted() {
    let folder = folder();
    let by_hand = |arguments: &str| {
        let mut command = lingpai(folder.path(), arguments);
        output(command.env("LINGPAI_DATABASE__AUTO_MIGRATE", "false"))
    };
    let (refused, _, err) = by_hand("operator-key create me");
    assert_eq!(refused.status.code(), Some(1));
    assert!(err.contains("run `lingpai migrate`"), "{err}");
    let (_, out, _) = by_hand("doctor");
    assert!(out.contains("FAIL  schema: "), "{out}");
    let (migrated, out, err) = by_hand("migrate");
    assert!(migrated.status.success(), "{err}");
    assert!(out.contains("up to date now"), "{out}");
    assert!(by_hand("operator-key create me").0.status.success());
    assert_eq!(by_hand("migrate").1, "the schema was up to date\n");
}

#[test]
fn another_master_key_is_refused_and_not_left_behind() {
    let folder = folder();
    assert!(output(&mut lingpai(folder.path(), "migrate")).0.status.success());
    let key = folder.path().join("data/master.key");
    let kept = folder.path().join("kept");
    std::fs::rename(&key, &kept).expect("it is there");
    let (refused, out, err) = output(&mut lingpai(folder.path(), "operator-key create me"));
    assert_eq!((refused.status.code(), out.as_str()), (Some(1), ""));
    assert!(err.contains("sealed with another master key"), "{err}");
    assert!(!key.exists(), "a key that opens nothing would only be mistaken for the right one");
    std::fs::rename(&kept, &key).expect("it is there");
    assert!(output(&mut lingpai(folder.path(), "operator-key create me")).0.status.success());
}

#[test]
fn the_doctor_says_what_is_wrong_and_what_to_do() {
    let folder = folder();
    let mut command = lingpai(folder.path(), "doctor");
    // A port of this machine on which nobody listens.
    command.env("LINGPAI_WECHAT__API_URL", "http://127.0.0.1:1");
    let (examined, out, _) = output(&mut command);
    assert_eq!(examined.status.code(), Some(1), "{out}");
    for well in ["settings", "master key", "database", "schema", "sealing", "clock"] {
        assert!(out.contains(&format!("ok    {well}: ")), "{well} in {out}");
    }
    assert!(out.contains("warn  public URL: http://127.0.0.1:8080/ is this machine"), "{out}");
    assert!(out.contains("FAIL  WeChat: 127.0.0.1:1"), "{out}");
    assert!(out.contains("      next: "), "{out}");
}

#[test]
fn documents_go_to_standard_output_or_into_a_folder() {
    let folder = folder();
    let (_, tenant, _) = output(&mut lingpai(folder.path(), "openapi tenant"));
    assert!(tenant.contains("/authorizations"), "{tenant}");
    let written = output(&mut lingpai(folder.path(), "openapi --out ."));
    assert!(written.0.status.success(), "{}", written.2);
    let file = std::fs::read_to_string(folder.path().join("tenant.json"));
    assert_eq!(file.expect("it was written"), tenant);
    assert!(folder.path().join("admin.json").exists());
}

#[test]
fn printed_settings_name_their_layer() {
    let folder = folder();
    let mut command = lingpai(folder.path(), "config print");
    let (_, out, _) = output(command.env("LINGPAI_SECRETS__MASTER_KEY", "canary"));
    assert!(out.contains("listen = \"127.0.0.1:8080\" # default"), "{out}");
    assert!(out.contains("master_key = \"***\" # environment"), "{out}");
}

/// Ends the process also when a test fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_signal_ends_serving_in_order_and_the_log_is_json() {
    let folder = folder();
    let mut command = lingpai(folder.path(), "serve");
    command.env("LINGPAI_SERVER__LISTEN", "127.0.0.1:0").stderr(Stdio::piped());
    let mut running = Running(command.spawn().expect("the binary runs"));
    let mut log = BufReader::new(running.0.stderr.take().expect("piped"));
    let mut line = String::new();
    while !line.contains("listening on ") {
        line.clear();
        assert!(log.read_line(&mut line).expect("UTF-8") > 0, "it ended before it listened");
    }
    let pid = running.0.id().to_string();
    assert!(Command::new("kill").arg(&pid).status().expect("kill is everywhere").success());
    let status = running.0.wait().expect("it ends");
    let mut rest = String::new();
    log.read_to_string(&mut rest).expect("UTF-8");
    assert!(status.success(), "{rest}");
    assert!(rest.contains("SIGTERM") && rest.contains("\"message\":\"stopped\""), "{rest}");
    for line in rest.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
    }
}
