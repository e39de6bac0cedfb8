//! What accounts answer by themselves.

use lingpai_model::{
    Appid,
    audit::Action,
    auto_reply::{AutoReplies, AutoReply, MAX_RULES, Reply, Trigger},
};
use lingpai_webhook::{AutoReplyRules, Error};

use crate::world::World;

fn rule(trigger: Trigger, content: &str) -> AutoReply {
    AutoReply { trigger, reply: Reply::Text { content: content.to_owned() } }
}

fn replies(rules: Vec<AutoReply>) -> AutoReplies {
    AutoReplies { rules }
}

#[tokio::test]
async fn rules_are_set_read_and_removed() {
    let world = World::start().await;
    let service = AutoReplyRules::new(world.base());
    let (caller, appid) = (&world.caller, &world.authorizer.appid);
    assert_eq!(service.get(&caller.scope, appid).await.unwrap(), AutoReplies::default());
    let set = replies(vec![rule(Trigger::Subscribe, "欢迎"), rule(Trigger::AnyMessage, "?")]);
    service.put(caller, appid, set.clone()).await.unwrap();
    assert_eq!(service.get(&caller.scope, appid).await.unwrap(), set);
    let cached = world.db().cached_auto_replies(&world.authorizer.id).await.unwrap();
    assert_eq!(*cached, set);
    service.remove(caller, appid).await.unwrap();
    assert_eq!(service.get(&caller.scope, appid).await.unwrap(), AutoReplies::default());
    let trail = world.trail().await;
    let changes = trail.iter().filter(|(action, _)| *action == Action::AutoRepliesChanged);
    assert_eq!(changes.count(), 2);
}

#[tokio::test]
async fn rules_that_never_fit_or_wechat_would_refuse_are_refused() {
    let world = World::start().await;
    let service = AutoReplyRules::new(world.base());
    let (caller, appid) = (&world.caller, &world.authorizer.appid);
    let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
    let bad_triggers = [
        Trigger::Keyword { words: Vec::new() },
        Trigger::Keyword { words: words(&[" price "]) },
        Trigger::Containing { words: words(&[""]) },
        Trigger::Containing { words: words(&["x"; 51]) },
        Trigger::MenuClick { key: "x".repeat(129) },
    ];
    for trigger in bad_triggers {
        let told = format!("{trigger:?}");
        let refused = service.put(caller, appid, replies(vec![rule(trigger, "x")])).await;
        assert!(matches!(refused, Err(Error::BadTrigger { .. })), "{told}: {refused:?}");
    }
    let many = replies(vec![rule(Trigger::AnyMessage, "x"); MAX_RULES + 1]);
    let refused = service.put(caller, appid, many).await;
    assert!(matches!(refused, Err(Error::BadTrigger { .. })), "{refused:?}");
    let long = replies(vec![rule(Trigger::AnyMessage, &"微".repeat(1000))]);
    let refused = service.put(caller, appid, long).await;
    assert!(matches!(refused, Err(Error::BadRule(_))), "{refused:?}");
}

#[tokio::test]
async fn rules_are_for_ones_own_accounts() {
    let world = World::start().await;
    let (service, stranger) = (AutoReplyRules::new(world.base()), world.stranger().await);
    let appid = &world.authorizer.appid;
    let set = replies(vec![rule(Trigger::Subscribe, "x")]);
    let refused = service.put(&stranger, appid, set).await;
    assert!(matches!(refused, Err(Error::AuthorizerUnknown { .. })), "{refused:?}");
    let refused = service.get(&stranger.scope, appid).await;
    assert!(matches!(refused, Err(Error::AuthorizerUnknown { .. })), "{refused:?}");
    let nowhere = Appid::parse("wx00000000000000ff").unwrap();
    let refused = service.remove(&world.caller, &nowhere).await;
    assert!(matches!(refused, Err(Error::AuthorizerUnknown { .. })), "{refused:?}");
}
