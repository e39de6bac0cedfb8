//! What the settings accept, refuse and show.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use lingpai_server::settings::{self, LogFormat, MasterKeySource, Settings, Sources};

fn environment(pairs: &[(&str, &str)]) -> Sources {
    let environment = pairs.iter().map(|(k, v)| (OsString::from(k), OsString::from(v))).collect();
    Sources { file: None, environment }
}

/// A file in a folder that lives as long as the first of the two.
fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("settings");
    std::fs::write(&path, text).expect("a file");
    (folder, path)
}

fn faults(sources: &Sources) -> Vec<String> {
    let faults = Settings::load(sources).expect_err("these settings are wrong");
    faults.iter().map(ToString::to_string).collect()
}

#[test]
fn nothing_given_means_the_documented_defaults() {
    let settings = Settings::load(&Sources::default()).expect("the defaults are fine");
    assert_eq!(settings.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.server.header_timeout, Duration::from_secs(5));
    assert_eq!(settings.server.idle_timeout, Duration::from_secs(60));
    assert_eq!(settings.database.url.expose(), "sqlite://./data/lingpai.db");
    assert_eq!(settings.database.folder(), Some(PathBuf::from("./data")));
    assert!(settings.database.auto_migrate);
    assert!(matches!(settings.secrets.master_key, MasterKeySource::Made));
    assert_eq!(settings.wechat.api_url.as_str(), "https://api.weixin.qq.com/");
    assert_eq!(settings.metrics.listen, None);
    assert_eq!(settings.log.format, LogFormat::Json);
    let limits = settings.limits.defaults;
    assert_eq!((limits.concurrent_requests, limits.changes_per_minute.get()), (128, 600));
}

#[test]
fn deliveries_reach_public_addresses_only_unless_told_otherwise() {
    let defaults = Settings::load(&Sources::default()).expect("the defaults are fine");
    assert!(defaults.webhook.allow_private.is_empty());
    assert_eq!(defaults.webhook.ports, [80, 443, 8080, 8443]);
    assert_eq!(defaults.events.retention, Duration::from_secs(30 * 24 * 60 * 60));
    let told = faults(&environment(&[
        ("LINGPAI_WEBHOOK__ALLOW_PRIVATE", "10.0.0.0/8, everything"),
        ("LINGPAI_WEBHOOK__PORTS", "443, 0"),
        // Shorter than deliveries are tried.
        ("LINGPAI_EVENTS__RETENTION_DAYS", "3"),
    ]));
    assert_eq!(told.len(), 3, "{told:?}");
}

#[test]
fn a_listener_names_a_key_for_what_it_encrypts_and_shows_no_secret() {
    let told = faults(&environment(&[("LINGPAI_LISTEN__MODE", "secure")]));
    assert_eq!(told.len(), 1, "{told:?}");
    let told = faults(&environment(&[("LINGPAI_LISTEN__ENCODING_AES_KEY", "canary")]));
    assert!(told.len() == 1 && !told[0].contains("canary"), "{told:?}");
    let secrets = environment(&[
        ("LINGPAI_LISTEN__KEY", "canary-key"),
        ("LINGPAI_LISTEN__TOKEN", "canary-token"),
    ]);
    let settings = Settings::load(&secrets).expect("both are fine");
    assert_eq!(settings.listen.server, settings.server.public_url);
    let printed = settings::print(&secrets).expect("it can be printed");
    assert!(!printed.contains("canary"), "{printed}");
}

#[test]
fn no_setting_gives_one_tenant_all_there_is() {
    let told = faults(&environment(&[
        ("LINGPAI_LIMITS__CONCURRENT_REQUESTS", "257"),
        ("LINGPAI_LIMITS__CHANGES_PER_MINUTE", "0"),
    ]));
    assert_eq!(told.len(), 2, "{told:?}");
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_defaults() {
    let (_folder, path) = file(
        "[server]\nlisten = \"127.0.0.1:1111\"\nidle_timeout_secs = 75\n[log]\nlevel = \"debug\"",
    );
    let mut sources = environment(&[("LINGPAI_SERVER__LISTEN", "127.0.0.1:2222")]);
    sources.file = Some(path);
    let settings = Settings::load(&sources).expect("all is fine");
    assert_eq!(settings.server.listen.port(), 2222);
    assert_eq!(settings.server.idle_timeout, Duration::from_secs(75));
    assert_eq!(settings.log.level, tracing::Level::DEBUG);
    assert_eq!(settings.server.body_timeout, Duration::from_secs(10));
}

#[test]
fn every_fault_is_told_at_once() {
    let told = faults(&environment(&[
        ("LINGPAI_SERVER__LISTEN", "here"),
        ("LINGPAI_SERVER__PUBLIC_URL", "https://lingpai.example/path"),
        ("LINGPAI_SERVER__MAX_CONNECTIONS", "many"),
        ("LINGPAI_SERVER__HEADER_TIMEOUT_SECS", "0"),
        ("LINGPAI_DATABASE__URL", "oracle://db"),
        ("LINGPAI_DATABASE__AUTO_MIGRATE", "perhaps"),
        ("LINGPAI_WECHAT__API_URL", "ftp://api"),
        ("LINGPAI_METRICS__LISTEN", "9090"),
        ("LINGPAI_LOG__FORMAT", "xml"),
        ("LINGPAI_LOG__LEVEL", "3"),
        ("LINGPAI_SERVER__COLOUR", "red"),
        ("LINGPAI_WEBHOK__LISTEN", "x"),
        ("LINGPAI_SERVER_LISTEN", "127.0.0.1:1"),
    ]));
    for key in [
        "server.listen",
        "server.public_url",
        "server.max_connections",
        "server.header_timeout_secs",
        "database.url",
        "database.auto_migrate",
        "wechat.api_url",
        "metrics.listen",
        "log.format",
        "log.level",
        "server.colour",
        "webhok.listen",
        "LINGPAI_SERVER_LISTEN",
    ] {
        let about = told.iter().filter(|fault| fault.starts_with(&format!("{key}: "))).count();
        assert_eq!(about, 1, "one fault about {key} in {told:#?}");
    }
    assert_eq!(told.len(), 13, "{told:#?}");
    let listen = told.iter().find(|fault| fault.starts_with("server.listen")).expect("asserted");
    assert!(
        listen.contains("found \"here\" (environment), wanted an address and port"),
        "{listen}"
    );
}

#[test]
fn an_unknown_key_names_the_known_ones() {
    let (_folder, path) = file("[log]\nlevle = \"debug\"");
    let told = faults(&Sources { file: Some(path), environment: Vec::new() });
    assert_eq!(
        told,
        ["log.levle: found an unknown key (--config), wanted one of the keys format, level"]
    );
}

#[test]
fn variables_of_others_are_left_alone() {
    let sources = environment(&[
        ("LINGPAI_PORT", "tcp://10.0.0.1:80"),
        ("LINGPAI_SERVICE_HOST", "10.0.0.1"),
        ("LINGPAI_TEST_POSTGRES_URL", "postgres://localhost"),
        ("SERVER__LISTEN", "nonsense"),
    ]);
    assert!(Settings::load(&sources).is_ok());
}

#[test]
fn a_master_key_that_is_none_is_a_fault_and_not_shown() {
    let (_folder, path) = file("canary");
    let path = path.to_str().expect("UTF-8");
    for (key, value) in
        [("MASTER_KEY", "canary"), ("MASTER_KEY_FILE", path), ("MASTER_KEY_FILE", "/nowhere")]
    {
        let told = faults(&environment(&[(&format!("LINGPAI_SECRETS__{key}"), value)]));
        assert!(told[0].starts_with(&format!("secrets.{}: ", key.to_lowercase())), "{told:?}");
        assert!(!told[0].contains("canary"), "{told:?}");
    }
    let key = format!("{}=", "0".repeat(43));
    let settings = Settings::load(&environment(&[("LINGPAI_SECRETS__MASTER_KEY", &key)]));
    let source = settings.expect("32 bytes").secrets.master_key;
    assert!(matches!(source, MasterKeySource::Text(_)));
}

#[test]
fn a_secret_comes_from_a_file_or_inline_but_not_from_both() {
    let (_folder, path) = file("postgres://lingpai:canary@db/lingpai\n");
    let path = path.to_str().expect("UTF-8");
    let sources = environment(&[("LINGPAI_DATABASE__URL_FILE", path)]);
    let settings = Settings::load(&sources).expect("the file holds a URL");
    assert_eq!(settings.database.url.expose(), "postgres://lingpai:canary@db/lingpai");
    assert_eq!(settings.database.masked_url(), "postgres://lingpai:***@db/lingpai");
    assert_eq!(settings.database.folder(), None);

    let told = faults(&environment(&[
        ("LINGPAI_DATABASE__URL_FILE", path),
        ("LINGPAI_DATABASE__URL", "sqlite://x.db"),
        ("LINGPAI_SECRETS__MASTER_KEY_FILE", path),
        ("LINGPAI_SECRETS__MASTER_KEY", "canary"),
    ]));
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(!told.concat().contains("canary"));
    let told = faults(&environment(&[("LINGPAI_DATABASE__URL_FILE", "/nowhere")]));
    assert!(told[0].starts_with("database.url_file: found /nowhere"), "{told:#?}");
}

#[test]
fn secret_values_are_shown_nowhere() {
    let (_folder, path) = file(
        "[secrets]\nmaster_key = \"canary\"\nmasterkey = \"canary\"\n[database]\npassword = \"canary\"",
    );
    let mut sources =
        environment(&[("LINGPAI_DATABASE__URL", "postgres://u:canary@db/x?password=canary")]);
    sources.file = Some(path);
    let printed = settings::print(&sources).expect("it can be layered");
    assert!(!printed.contains("canary"), "{printed}");
    assert!(printed.contains("url = \"postgres://u:***@db/x?***\" # environment"), "{printed}");
    assert!(!faults(&sources).concat().contains("canary"));
    let bad = environment(&[("LINGPAI_DATABASE__URL", "canary://u:canary@db")]);
    assert!(!faults(&bad).concat().contains("u:canary"));

    let (_folder, path) = file("[secrets]\nmaster_key = canary");
    let told = faults(&Sources { file: Some(path), environment: Vec::new() });
    assert!(told[0].contains("line 2") && !told[0].contains("canary"), "{told:?}");
}

#[test]
fn what_is_printed_can_be_read_again() {
    let sources = environment(&[("LINGPAI_SERVER__LISTEN", "127.0.0.1:2222")]);
    let (_folder, path) = file(&settings::print(&sources).expect("it can be layered"));
    let again = Settings::load(&Sources { file: Some(path), environment: Vec::new() });
    assert_eq!(again.expect("it was fine before").server.listen.port(), 2222);
}

#[test]
fn plain_http_to_wechat_stays_on_this_machine() {
    let api = |url: &str, more: &[(&str, &str)]| {
        let mut pairs = vec![("LINGPAI_WECHAT__API_URL", url)];
        pairs.extend_from_slice(more);
        Settings::load(&environment(&pairs)).is_ok()
    };
    let switch = ("LINGPAI_WECHAT__ALLOW_INSECURE", "true");
    for local in ["http://127.0.0.1:9000", "http://localhost:9000", "http://[::1]:9000"] {
        assert!(api(local, &[]), "{local}");
    }
    assert!(!api("http://emulator:9000", &[]));
    assert!(api("http://emulator:9000", &[switch]));
    assert!(
        !api(
            "http://emulator:9000",
            &[switch, ("LINGPAI_SERVER__PUBLIC_URL", "https://a.example")]
        ),
        "the switch is refused in production"
    );
}

#[test]
fn a_database_in_memory_is_refused() {
    for url in ["sqlite://:memory:", "sqlite://", "sqlite://x?mode=memory", "sqlite::memory:"] {
        let told = faults(&environment(&[("LINGPAI_DATABASE__URL", url)]));
        assert!(told[0].starts_with("database.url: "), "{told:?}");
    }
}
