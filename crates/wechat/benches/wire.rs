//! Micro-benchmarks of the wire: what a push and a reply cost without storage and HTTP.

use divan::{Bencher, black_box, counter::BytesCount};
use lingpai_wechat::{
    crypt::{Crypt, EncodingAesKey, KeySlot, envelope_to_component},
    id::Appid,
    push::{Envelope, PushQuery, component::ComponentPush},
    secret::Secret,
};

const TICKET: &[u8] = include_bytes!("../testdata/pushes/component_verify_ticket.xml");
const AUTHORIZED: &[u8] = include_bytes!("../testdata/pushes/authorized.xml");

fn main() {
    divan::main();
}

/// A push as it arrives: raw query and body.
struct Push {
    crypt: Crypt,
    query: String,
    body: String,
}

impl Push {
    fn new(plaintext: &[u8]) -> Self {
        let appid = Appid::parse("wx7c6b2f0a91d3e845").expect("an appid");
        let key = EncodingAesKey::parse("jZ3mQ9vT5xB1nL7kR2wY8cH4gF6dS0aPeUiOoXyMtVb");
        let crypt =
            Crypt::new(Secret::from("projtoken2024"), appid.clone(), key.expect("a key"), None);
        let sealed = crypt.seal(plaintext, KeySlot::Current, 1_700_000_123, "415670741", [7; 16]);
        let query = format!(
            "signature=f464b24fc39322e44b38aa78f5edd27bd1441696&timestamp=1700000123\
             &nonce=415670741&encrypt_type=aes&msg_signature={}",
            sealed.msg_signature
        );
        Self { crypt, query, body: envelope_to_component(appid.as_str(), &sealed.encrypt) }
    }
}

#[divan::bench]
fn verify_and_decrypt(bencher: Bencher<'_, '_>) {
    let push = Push::new(TICKET);
    let query = PushQuery::parse(&push.query).expect("a query");
    let encrypt = Envelope::parse(push.body.as_bytes()).expect("an envelope").encrypt;
    bencher
        .counter(BytesCount::of_str(&encrypt))
        .bench(|| push.crypt.open(black_box(&query), black_box(&encrypt)));
}

#[divan::bench(args = [1, 16, 64])]
fn verify_and_decrypt_large(bencher: Bencher<'_, '_>, kib: usize) {
    let push = Push::new(&vec![b'x'; kib * 1024]);
    let query = PushQuery::parse(&push.query).expect("a query");
    let encrypt = Envelope::parse(push.body.as_bytes()).expect("an envelope").encrypt;
    bencher
        .counter(BytesCount::of_str(&encrypt))
        .bench(|| push.crypt.open(black_box(&query), black_box(&encrypt)));
}

#[divan::bench]
fn parse_envelope(bencher: Bencher<'_, '_>) {
    let push = Push::new(TICKET);
    bencher
        .counter(BytesCount::of_str(&push.body))
        .bench(|| Envelope::parse(black_box(push.body.as_bytes())));
}

#[divan::bench]
fn parse_query(bencher: Bencher<'_, '_>) {
    let push = Push::new(TICKET);
    bencher.bench(|| PushQuery::parse(black_box(&push.query)));
}

#[divan::bench(args = ["ticket", "authorized"])]
fn whole_push(bencher: Bencher<'_, '_>, name: &str) {
    let push = Push::new(if name == "ticket" { TICKET } else { AUTHORIZED });
    bencher.bench(|| {
        let query = PushQuery::parse(black_box(&push.query)).expect("a query");
        let envelope = Envelope::parse(black_box(push.body.as_bytes())).expect("an envelope");
        let opened = push.crypt.open(&query, &envelope.encrypt).expect("our own push");
        ComponentPush::parse(&opened.plaintext).expect("a push")
    });
}

#[divan::bench]
fn seal_reply(bencher: Bencher<'_, '_>) {
    let push = Push::new(TICKET);
    bencher.counter(BytesCount::of_slice(TICKET)).bench(|| {
        push.crypt.seal(
            black_box(TICKET),
            KeySlot::Current,
            1_700_000_123,
            black_box("415670741"),
            black_box([7; 16]),
        )
    });
}
