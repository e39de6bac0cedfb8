//! The OpenAPI documents as others read them: schemathesis makes requests of them and compares the
//! answers, openapi-python-client makes a client.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use lingpai_emulator::EmulatorConfig;
use lingpai_tests::{
    needs,
    people::Program,
    world::{SHOP, World},
};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Requests that schemathesis makes of each operation by chance, beside those at every boundary.
const EXAMPLES: &str = "20";

/// What has to hold of every answer. That what is wrong is refused, and what is right accepted, is
/// not among it: appids that nobody has are well formed.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_schema_conformance";

/// Here it is about answers, not about how many there are.
const NO_LIMIT: [(&str, &str); 2] = [
    ("LINGPAI_LIMITS__REQUESTS_PER_SECOND", "0"),
    ("LINGPAI_LIMITS__CHANGES_PER_MINUTE", "1000000"),
];

/// What schemathesis is told beside its command line.
const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/schemathesis.toml");

/// An API of a running world.
struct Api<'a> {
    world: &'a World,
    program: &'a Program,
    document: &'a str,
    mounted: &'a str,
    /// Operations after which less can be reached, or something that WeChat knows nothing of.
    ending: &'a [&'a str],
}

/// Runs a command to its end in a folder of its own, away from the surroundings' proxies.
async fn run(mut command: Command, folder: &Path) -> Result<Output> {
    command.current_dir(folder).stdin(Stdio::null());
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    Ok(tokio::task::spawn_blocking(move || command.output()).await??)
}

fn said(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    format!("{out}\n{err}")
}

/// Stores the document of an API as it is served; gives its path.
async fn served_document(program: &Program, name: &str, folder: &Path) -> Result<String> {
    let document = program.get(&format!("/openapi/{name}")).await?.expect(StatusCode::OK)?;
    let path = folder.join(name);
    fs::write(&path, document.text)?;
    Ok(path.display().to_string())
}

/// Has schemathesis call every operation of an API, with a key that may do everything: first those
/// that leave the world as it is to the others, then those that may end the account or the key itself,
/// or make up components and their secrets, which WeChat refuses: that is a 502, and no fault.
async fn holds(api: &Api<'_>) -> Result<()> {
    let Some(python) = needs("LINGPAI_TEST_PYTHON") else { return Ok(()) };
    let folder = TempDir::new()?;
    let path = served_document(api.program, api.document, folder.path()).await?;
    let url = format!("{}{}", api.world.base, api.mounted);
    let key = format!("Authorization: Bearer {}", api.program.key());
    for choice in ["--exclude-operation-id", "--include-operation-id"] {
        let mut command = Command::new(&python);
        command
            .args(["-m", "schemathesis.cli", "--config-file", CONFIG])
            .args(["run", &path, "--url", &url, "--header", &key, "--checks", CHECKS])
            .args(["--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES])
            // The same requests in every run.
            .args(["--generation-deterministic", "--no-shrink", "--suppress-health-check", "all"])
            .args(["--continue-on-failure", "--request-timeout", "30", "--no-color"])
            .args(api.ending.iter().flat_map(|operation| [choice, *operation]));
        let output = run(command, folder.path()).await?;
        let said = said(&output);
        ensure!(output.status.success(), "{} does not tell the truth:\n{said}", api.document);
    }
    Ok(())
}

/// A world with a tenant that 令牌小店 has authorized, without limits.
async fn unlimited() -> Result<(World, Program)> {
    let world = World::start_set(EmulatorConfig::for_tests(), None, &NO_LIMIT).await?;
    world.push_ticket().await?;
    let (_, tenant) = world.authorized().await?;
    Ok((world, tenant))
}

#[tokio::test]
async fn the_tenant_api_is_as_its_document_says() -> Result<()> {
    let (world, tenant) = unlimited().await?;
    holds(&Api {
        world: &world,
        program: &tenant,
        document: "tenant.json",
        mounted: "v1",
        ending: &["release_authorizer"],
    })
    .await?;
    world.end().await
}

#[tokio::test]
async fn the_admin_api_is_as_its_document_says() -> Result<()> {
    let (world, _) = unlimited().await?;
    holds(&Api {
        world: &world,
        program: &world.operator,
        document: "admin.json",
        mounted: "admin/v1",
        ending: &["change_component", "create_component", "release_authorizer", "revoke_operator"],
    })
    .await?;
    world.end().await
}

/// What openapi-python-client complains of, a line each.
fn complaints(said: &str) -> Vec<&str> {
    said.lines()
        .filter(|line| ["WARNING", "Unable", "Error"].iter().any(|one| line.starts_with(one)))
        .collect()
}

#[tokio::test]
async fn a_client_that_is_generated_works() -> Result<()> {
    let Some(python) = needs("LINGPAI_TEST_PYTHON") else { return Ok(()) };
    let (world, tenant) = World::with_authorizer().await?;
    let folder = TempDir::new()?;
    let document = served_document(&tenant, "tenant.json", folder.path()).await?;
    fs::write(folder.path().join("how.yaml"), "post_hooks: []\n")?;
    let mut generator = Command::new(&python);
    generator.args(["-m", "openapi_python_client", "generate", "--path", &document]).args([
        "--config",
        "how.yaml",
        "--meta",
        "none",
        "--output-path",
        "lingpai_tenant",
    ]);
    let output = run(generator, folder.path()).await?;
    let said_of_it = said(&output);
    ensure!(output.status.success(), "no client was made: {said_of_it}");
    // WeChat's answers are of no type at all, and clients of a type leave them out.
    let unexpected: Vec<&str> =
        complaints(&said_of_it).into_iter().filter(|line| !line.contains("/proxy/")).collect();
    assert!(unexpected.is_empty(), "{said_of_it}");

    let base = world.base.as_str().trim_end_matches('/');
    let asked = json!({
        "folder": folder.path(),
        "base": base,
        "key": tenant.key(),
        "component": world.component.appid,
    });
    let mut client = Command::new(&python);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/e2e/generated_client.py");
    client.arg(script).arg(asked.to_string());
    let output = run(client, folder.path()).await?;
    ensure!(output.status.success(), "the client failed: {}", said(&output));
    let told: Value = serde_json::from_slice(&output.stdout).context("it speaks JSON")?;
    let expected = json!({
        "authorizers": [SHOP],
        "state": "active",
        "granted": true,
        "started": true,
        "read": ["pending", "给粉丝发消息"],
        "problems": [[404, "authorization_not_found"], [422, "invalid_field"]],
    });
    assert_eq!(told, expected);
    world.end().await
}
