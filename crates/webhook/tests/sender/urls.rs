//! Every class of address that is not public, in every spelling that a URL allows.

use std::sync::Arc;

use lingpai_webhook::sender::{
    AddressClass::{
        self, Benchmarking, Documentation, LinkLocal, Loopback, Mapped, Multicast, Nat64, Private,
        Reserved, SharedSpace, SixToFour, Teredo, UniqueLocal, Unspecified,
    },
    MAX_URL_BYTES, Refusal, SendError, SenderPolicy, SystemNames,
};

use crate::peer::{Script, policy, post, sender_with};

/// Addresses as anybody would write them.
const ADDRESSES: &[(AddressClass, &[&str])] = &[
    (Unspecified, &["0.0.0.0", "0.1.2.3", "::"]),
    (Loopback, &["127.0.0.1", "127.255.255.254", "::1"]),
    (
        Private,
        &[
            "10.0.0.1",
            "10.255.255.255",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.1",
            "192.168.255.255",
        ],
    ),
    // The second one is where a cloud tells its machines their secrets.
    (SharedSpace, &["100.64.0.1", "100.100.100.200", "100.127.255.255"]),
    (LinkLocal, &["169.254.0.1", "169.254.169.254", "fe80::1", "febf::1", "fe80::a9fe:a9fe"]),
    // The second one is where a cloud tells its machines their secrets.
    (UniqueLocal, &["fc00::1", "fd00:ec2::254", "fdff::1"]),
    (Multicast, &["224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"]),
    (Documentation, &["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"]),
    (Benchmarking, &["198.18.0.1", "198.19.255.255", "2001:2::1"]),
    (
        Mapped,
        &[
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:7f00:1",
            "::ffff:1.1.1.1",
            "::127.0.0.1",
            "::7f00:1",
            "::ffff:0:127.0.0.1",
        ],
    ),
    (
        Nat64,
        &["64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b::1.1.1.1", "64:ff9b:1::10.0.0.1"],
    ),
    (SixToFour, &["2002:7f00:1::", "2002:a00:1::1", "2002:101:101::1", "192.88.99.1"]),
    (Teredo, &["2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"]),
    (
        Reserved,
        &[
            "192.0.0.1",
            "192.0.0.170",
            "240.0.0.1",
            "255.255.255.254",
            "255.255.255.255",
            "100::1",
            "2001:10::1",
            "2001:20::1",
            "2001:1ff::1",
            "4000::1",
            "5f00::1",
            "fec0::1",
        ],
    ),
];

/// Hosts that mean such an address without looking like it.
const SPELLINGS: &[(AddressClass, &[&str])] = &[
    (Unspecified, &["0", "0x0", "00000000", "0.0", "[0:0:0:0:0:0:0:0]", "[0::0.0.0.0]", "%30"]),
    (
        Loopback,
        &[
            "127.1",
            "127.0.1",
            "2130706433",
            "0x7f000001",
            "0x7F.0.0.1",
            "0x7f.1",
            "0177.0.0.1",
            "017700000001",
            "00000177.0x0.0.01",
            "127.0.0.1.",
            "127.1.",
            "%31%32%37.0.0.1",
            "127%2e0%2e0%2e1",
            "１２７.０.０.１",
            "127。0。0。1",
            "127．0．0．1",
            "①②⑦.⓪.⓪.①",
            "[0:0:0:0:0:0:0:1]",
            "[0000:0000::0001]",
            "[::0.0.0.1]",
            "localhost",
            "LOCALHOST",
            "localhost.",
            "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ",
            "a.localhost",
            "a.b.LocalHost.",
            "%6cocalhost",
        ],
    ),
    (Private, &["10.1", "0xa000001", "012.0.0.1", "167772161", "3232235521", "192.168.257"]),
    (SharedSpace, &["1684301000", "0x646464c8", "0144.0144.0144.0310"]),
    (LinkLocal, &["2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518", "[FE80::1]"]),
    (Mapped, &["[0:0:0:0:0:FFFF:127.0.0.1]", "[::FFFF:7F00:0001]", "[0::ffff:169.254.169.254]"]),
    (Nat64, &["[0064:FF9B::7f00:1]", "[64:ff9b:0:0:0:0:127.0.0.1]"]),
    (SixToFour, &["[2002:7F00:0001:0:0:0:0:0]"]),
    (Reserved, &["4294967295", "0xffffffff", "037777777777"]),
];

fn host(address: &str) -> String {
    if address.contains(':') { format!("[{address}]") } else { address.to_owned() }
}

#[tokio::test]
async fn no_address_that_is_not_public_is_taken_in_any_spelling() {
    let sender = sender_with(SenderPolicy::default(), Arc::new(SystemNames::default()));
    let plain = ADDRESSES.iter().map(|(class, addresses)| {
        (*class, addresses.iter().map(|address| host(address)).collect::<Vec<_>>())
    });
    let spelled = SPELLINGS
        .iter()
        .map(|(class, hosts)| (*class, hosts.iter().map(|host| (*host).to_owned()).collect()));
    for (class, hosts) in plain.chain(spelled) {
        for host in hosts {
            for url in [
                format!("http://{host}/"),
                format!("https://{host}/hook?a=b"),
                format!("HTTP://{host}:80/"),
                format!("http://{host}:8080/"),
                format!("http:////{host}/"),
            ] {
                assert_eq!(sender.judge(&url), Err(Refusal::NotPublic(class)), "{url}");
            }
        }
    }
}

#[tokio::test]
async fn no_name_leads_to_an_address_that_is_not_public() {
    for (class, addresses) in ADDRESSES {
        for address in *addresses {
            let beside_a_public_one = format!("1.1.1.1 {address} 2606:4700::1111");
            for answer in [*address, &*beside_a_public_one] {
                let names = Script::of(&[("rebound.example", &[answer])]);
                let sender = sender_with(SenderPolicy::default(), names.clone());
                let result = post(&sender, "http://rebound.example/").await;
                let refused = SendError::Refused(Refusal::NotPublic(*class));
                assert_eq!(result.err(), Some(refused), "{answer}");
                assert_eq!(names.asked(), ["rebound.example"]);
            }
        }
    }
}

#[tokio::test]
async fn public_hosts_are_taken() {
    let sender = sender_with(SenderPolicy::default(), Arc::new(SystemNames::default()));
    for url in [
        "http://example.com",
        "https://example.com/hook",
        "HTTPS://EXAMPLE.COM:443/hook?a=b&c",
        "http://example.com:80/",
        "https://例え.jp/フック",
        "http://1.1.1.1/",
        "http://16843009/",
        "https://[2606:4700::1111]/",
        "https://localhost.example.com/",
        "https://notlocalhost/",
        "https://127.0.0.1.example.com/",
    ] {
        assert!(sender.judge(url).is_ok(), "{url}");
    }
}

/// What is no plain address of the web, and why.
const REFUSED: &[(Refusal, &[&str])] = &[
    (
        Refusal::Scheme,
        &[
            "ftp://example.com/",
            "file:///etc/passwd",
            "gopher://example.com/",
            "data:,a",
            "javascript:alert(1)",
            "ws://example.com/",
            "unix:/run/a.sock",
            "http+unix://a/",
            "localhost:80",
        ],
    ),
    (
        Refusal::Credentials,
        &["http://a@example.com/", "http://a:b@example.com/", "http://:b@example.com/"],
    ),
    (Refusal::Fragment, &["https://example.com/#", "https://example.com/a?b#c"]),
    (
        Refusal::Port,
        &[
            "http://example.com:22/",
            "http://example.com:8081/",
            "https://example.com:6379/",
            "http://1.1.1.1:25/",
            "http://[2606:4700::1111]:8444/",
        ],
    ),
    (
        Refusal::Malformed,
        &[
            "",
            "/",
            "example.com",
            "//example.com/",
            "https:example.com",
            "https:/example.com",
            "http://",
            "https:///",
            "http://:80/",
            "http://example.com:0/",
            "http://example.com:65536/",
            "http://example.com:a/",
            "http://1.2.3.4.5/",
            "http://256.0.0.1/",
            "http://1.1.1.0x/a b",
            "http://0x100000000/",
            "http://08.0.0.1/",
            "http://[::1/",
            "http://::1/",
            "http://[fe80::1%25eth0]/",
            "http://[v1.a]/",
            "http://a b/",
            "http://a<b/",
            "http://a|b/",
            "http://a%00b/",
            "http://a^b/",
            " http://example.com/",
            "http://example.com/ ",
            "http://example.com/\n",
            "http://exam\tple.com/",
            "ht\ntp://example.com/",
            "http://example.com/\u{a0}",
            "http:\\\\example.com\\",
            "http://1.1.1.1\\@127.0.0.1/",
            "http://example.com/\0",
            "http://example.com/\u{85}",
        ],
    ),
];

#[tokio::test]
async fn what_is_no_plain_web_address_is_refused() {
    let sender = sender_with(SenderPolicy::default(), Arc::new(SystemNames::default()));
    let long = format!("https://example.com/{}", "a".repeat(MAX_URL_BYTES));
    assert_eq!(sender.judge(&long), Err(Refusal::TooLong));
    for (refusal, urls) in REFUSED {
        for url in *urls {
            assert_eq!(sender.judge(url), Err(*refusal), "{url:?}");
        }
    }
}

#[tokio::test]
async fn what_the_operator_allows_may_be_reached_on_any_port_and_in_its_own_form_only() {
    let sender =
        sender_with(policy(&["127.0.0.0/8", "fd00::/8"]), Arc::new(SystemNames::default()));
    for url in [
        "http://127.0.0.1:12345/",
        "http://127.1/",
        "http://localhost:3000/",
        "http://[fd00::1]:1/",
    ] {
        assert!(sender.judge(url).is_ok(), "{url}");
    }
    for (url, class) in [
        ("http://[::ffff:127.0.0.1]/", Mapped),
        ("http://[::127.0.0.1]/", Mapped),
        ("http://[::1]/", Loopback),
        ("http://10.0.0.1/", Private),
        ("http://0.0.0.0/", Unspecified),
        ("http://[fc00::1]/", UniqueLocal),
    ] {
        assert_eq!(sender.judge(url), Err(Refusal::NotPublic(class)), "{url}");
    }
    assert_eq!(sender.judge("http://1.1.1.1:12345/"), Err(Refusal::Port));
}

#[tokio::test]
async fn who_may_go_anywhere_goes_to_his_own_machine() {
    let sender = sender_with(SenderPolicy::anywhere(), Arc::new(SystemNames::default()));
    for url in
        ["http://127.0.0.1:3000/", "http://localhost:1/", "http://[::1]:9/", "http://10.0.0.1/"]
    {
        assert!(sender.judge(url).is_ok(), "{url}");
    }
    assert_eq!(sender.judge("ftp://127.0.0.1/"), Err(Refusal::Scheme));
}

#[tokio::test]
async fn ports_of_public_addresses_are_those_that_the_operator_lists() {
    let listed = SenderPolicy { ports: vec![443, 8443], ..policy(&[]) };
    let sender = sender_with(listed, Arc::new(SystemNames::default()));
    assert!(sender.judge("https://example.com/").is_ok());
    assert!(sender.judge("https://example.com:8443/").is_ok());
    for url in ["http://example.com/", "http://1.1.1.1/", "https://1.1.1.1:80/"] {
        assert_eq!(sender.judge(url), Err(Refusal::Port), "{url}");
    }
}

#[tokio::test]
async fn we_do_not_send_to_ourselves() {
    for listener in ["127.0.0.1:8080", "0.0.0.0:8080", "[::]:8080", "[::ffff:127.0.0.1]:8080"] {
        let own = SenderPolicy {
            own_listeners: vec![listener.parse().expect("an address")],
            ports: vec![80, 8080],
            ..policy(&["0.0.0.0/0", "::/0"])
        };
        let names = Script::of(&[("us.example", &["127.0.0.1"]), ("you.example", &["1.1.1.1"])]);
        let sender = sender_with(own, names);
        for url in ["http://127.0.0.1:8080/", "http://localhost:8080/a", "http://127.1:8080/"] {
            assert_eq!(sender.judge(url), Err(Refusal::OwnListener), "{listener}: {url}");
        }
        let by_name = post(&sender, "http://us.example:8080/").await;
        assert_eq!(by_name.err(), Some(SendError::Refused(Refusal::OwnListener)), "{listener}");
        for url in ["http://127.0.0.1:8081/", "http://1.1.1.1:8080/", "http://you.example:8080/"] {
            assert!(sender.judge(url).is_ok(), "{listener}: {url}");
        }
    }
}

#[tokio::test]
async fn a_listener_on_all_addresses_is_known_by_each_of_them() {
    let own = |listener: &str| SenderPolicy {
        own_listeners: vec![listener.parse().expect("an address")],
        ..policy(&["127.0.0.0/8"])
    };
    let everywhere = sender_with(own("0.0.0.0:8080"), Arc::new(SystemNames::default()));
    assert_eq!(everywhere.judge("http://127.9.9.9:8080/"), Err(Refusal::OwnListener));
    let somewhere = sender_with(own("127.0.0.1:8080"), Arc::new(SystemNames::default()));
    assert!(somewhere.judge("http://127.9.9.9:8080/").is_ok());
}
