//! A decrypted push in XML, of a component and of an account: read, looked at, and turned to JSON.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use lingpai_wechat::{
    push::{
        component::ComponentPush,
        message::{MessagePush, to_json},
        publish_test,
    },
    xml::{MAX_DEPTH, Node},
};

fuzz_target!(|input: &[u8]| -> Corpus {
    if input.trim_ascii_start().starts_with(b"{") {
        return Corpus::Reject;
    }
    if let Ok(push) = ComponentPush::parse(input) {
        let _ = (push.info.name(), push.info.authorizer_appid());
    }
    if let Ok(push) = MessagePush::parse(input) {
        let _ = (push.dedupe_parts(), push.message_type(), push.heard(), push.revoked_openid());
        let _ =
            (publish_test::question(&push), push.expects_acknowledgement(), format!("{push:?}"));
        if let Some(openid) = push.openid() {
            assert!(openid.len() <= 64);
        }
        let json = to_json(input).expect("what is readable has a JSON form");
        // It reads as the same push, unless text stands beside elements, which JSON cannot have.
        if Node::parse(input).is_ok_and(|root| !is_mixed(&root)) {
            assert_eq!(MessagePush::parse(json.to_string().as_bytes()), Ok(push));
        }
    }
    if let Ok(root) = Node::parse(input) {
        assert!(depth(&root) <= MAX_DEPTH);
    }
    Corpus::Keep
});

fn depth(node: &Node<'_>) -> usize {
    1 + node.children().iter().map(depth).max().unwrap_or(0)
}

fn is_mixed(node: &Node<'_>) -> bool {
    let own = !node.text().is_empty() && !node.children().is_empty();
    own || node.children().iter().any(is_mixed)
}
