//! Settings and commands, as an operator types them.

use anyhow::Result;
use lingpai_tests::processes::Start;
use tempfile::TempDir;

#[test]
fn every_fault_in_the_settings_is_told_at_once() -> Result<()> {
    let dir = TempDir::new()?;
    let emulator = "http://127.0.0.1:1/".parse()?;
    let wrong = [
        ("LINGPAI_SERVER__LISTEN", "somewhere"),
        ("LINGPAI_DATABASE__URL", "oracle://x:topsecret@y/z"),
        ("LINGPAI_SECRETS__MASTER_KEY", "dG9vIHNob3J0"),
        ("LINGPAI_SERVER__COLOUR", "red"),
    ];
    let start = Start::service(dir.path(), &emulator, &wrong)?;
    let said =
        start.command(&["config", "check"]).expect_err("these settings are wrong").to_string();
    for name in ["server.listen", "database.url", "secrets.master_key", "server.colour"] {
        assert!(said.contains(name), "{name} is not named in: {said}");
    }
    assert!(!said.contains("topsecret") && !said.contains("dG9vIHNob3J0"), "{said}");
    Ok(())
}

#[test]
fn an_operator_key_is_printed_alone() -> Result<()> {
    let dir = TempDir::new()?;
    let start = Start::service(dir.path(), &"http://127.0.0.1:1/".parse()?, &[])?;
    let printed = start.command(&["operator-key", "create", "alice"])?;
    assert!(printed.starts_with("lpo_") && printed.trim_end().lines().count() == 1, "{printed}");
    assert!(dir.path().join("master.key").is_file(), "a master key was made");
    Ok(())
}

#[test]
fn the_documents_are_printed_without_a_database() -> Result<()> {
    let dir = TempDir::new()?;
    let start = Start::service(dir.path(), &"http://127.0.0.1:1/".parse()?, &[])?;
    for name in ["tenant", "admin"] {
        let document: serde_json::Value =
            serde_json::from_str(&start.command(&["openapi", name])?)?;
        assert!(document["openapi"].is_string(), "{name}");
    }
    assert_eq!(std::fs::read_dir(dir.path())?.count(), 0, "nothing was created");
    Ok(())
}

#[test]
fn help_names_every_command() -> Result<()> {
    let dir = TempDir::new()?;
    let start = Start::service(dir.path(), &"http://127.0.0.1:1/".parse()?, &[])?;
    let help = start.command(&["--help"])?;
    let commands = ["serve", "worker", "migrate", "doctor", "openapi", "config", "operator-key"];
    for command in commands.into_iter().chain(["rehearse", "listen"]) {
        assert!(help.contains(command), "{command} is not in: {help}");
    }
    Ok(())
}
