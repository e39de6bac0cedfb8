//! The trail: an act and its entry come about together or not at all.

use lingpai_model::{
    api_key::ApiKey,
    audit::{Act, Action, Actor},
    caller::Caller,
    file::{FileContent, FileName},
    operator::Operator,
    page::PageRequest,
    tenant::Tenant,
};
use lingpai_tenant::{ApiKeyChange, AuditFilter, Error, Result, TenantChange};
use sea_orm::{ConnectionTrait as _, Database};

use crate::world::{World, from, new_key, new_tenant, secs};

const URI: &str = "https://shop.example/done";
const OTHER_URI: &str = "https://shop.example/other";

fn name(text: &str) -> FileName {
    FileName::parse(text).unwrap()
}

fn content() -> FileContent {
    FileContent::parse("1").unwrap()
}

/// Something to act on.
struct Things {
    tenant: Tenant,
    key: ApiKey,
    operator: Operator,
    caller: Caller,
}

impl Things {
    async fn made(world: &World) -> Self {
        let tenant = world.tenant("小店").await;
        let (key, _) = world.any_key(&tenant).await;
        let made = world.operators().create(&Act::of_lingpai(), "Grace".to_owned()).await;
        let caller = world.caller(&tenant).await;
        world.redirect_uris().register(&caller, URI).await.unwrap();
        let files = world.files();
        files.upload(&caller, name("MP_verify_1.txt"), content()).await.unwrap();
        files
            .upload_for_operator(&world.operator, name("MP_verify_2.txt"), content())
            .await
            .unwrap();
        Self { tenant, key, operator: made.unwrap().0, caller }
    }

    /// What an operator can do, once each.
    async fn acts_of_operator(&self, world: &World) -> Vec<(Action, Result<()>)> {
        let (by, files, keys) = (&world.operator, world.files(), &world.api_keys);
        let (tenant, key) = (&self.tenant.id, &self.key.id);
        let renamed = TenantChange { name: Some("大店".to_owned()), ..TenantChange::default() };
        let bounded = ApiKeyChange { name: Some("new".to_owned()), ..ApiKeyChange::default() };
        let (old, new) = (name("MP_verify_2.txt"), name("MP_verify_4.txt"));
        let operators = world.operators();
        let tenants = world.tenants();
        vec![
            (Action::TenantCreated, tenants.create(by, new_tenant("新店")).await.map(drop)),
            (Action::TenantChanged, tenants.change(by, tenant, renamed).await.map(drop)),
            (Action::ApiKeyCreated, keys.create(by, tenant, new_key()).await.map(drop)),
            (Action::ApiKeyChanged, keys.change(by, tenant, key, bounded).await.map(drop)),
            (Action::ApiKeyRotated, keys.rotate(by, tenant, key, secs(60)).await.map(drop)),
            (Action::ApiKeyRevoked, keys.revoke(by, tenant, key).await),
            (Action::OperatorCreated, operators.create(&by.act(), "Joan".into()).await.map(drop)),
            (Action::OperatorRevoked, operators.revoke(by, &self.operator.id).await),
            (Action::FileUploaded, files.upload_for_operator(by, new, content()).await.map(drop)),
            (Action::FileRemoved, files.remove_for_operator(by, &old).await),
        ]
    }

    /// What a tenant's program can do, once each.
    async fn acts_of_caller(&self, world: &World) -> Vec<(Action, Result<()>)> {
        let (caller, uris, files) = (&self.caller, world.redirect_uris(), world.files());
        let (old, new) = (name("MP_verify_1.txt"), name("MP_verify_3.txt"));
        vec![
            (Action::RedirectUriRegistered, uris.register(caller, OTHER_URI).await),
            (Action::RedirectUriRemoved, uris.remove(caller, URI).await),
            (Action::FileUploaded, files.upload(caller, new, content()).await.map(drop)),
            (Action::FileRemoved, files.remove(caller, &old).await),
        ]
    }

    /// Everything that an act could change.
    async fn state(&self, world: &World) -> String {
        let page = PageRequest::first();
        let scope = &self.caller.scope;
        let tenants = world.tenants().list(&page).await.unwrap();
        let keys = world.api_keys.list(&self.tenant.id, &page).await.unwrap();
        let operators = world.operators().list(&page).await.unwrap();
        let uris = world.redirect_uris().list(scope).await.unwrap();
        let files = world.files().list(scope).await.unwrap();
        let ours = world.files().list_of_operator().await.unwrap();
        format!("{tenants:?} {keys:?} {operators:?} {uris:?} {files:?} {ours:?}")
    }
}

#[tokio::test]
async fn every_act_leaves_one_entry() {
    let world = World::start().await;
    let things = Things::made(&world).await;
    let before = world.entries().await.len();
    world.advance(secs(1));
    let mut expected = Vec::new();
    let by_operator = things.acts_of_operator(&world).await;
    let by_caller = things.acts_of_caller(&world).await;
    let actors =
        [Actor::Operator(world.operator.id.clone()), Actor::ApiKey(things.caller.key_id.clone())];
    for (actor, acts) in actors.iter().zip([by_operator, by_caller]) {
        for (action, outcome) in acts {
            outcome.unwrap();
            expected.push(format!("{actor:?} {}", action.as_str()));
        }
    }
    let entries = world.entries().await;
    let fresh = &entries[..entries.len() - before];
    let mut told: Vec<_> =
        fresh.iter().map(|entry| format!("{:?} {}", entry.actor, entry.action.as_str())).collect();
    expected.sort();
    told.sort();
    assert_eq!(told, expected);
    for entry in fresh {
        assert_eq!((entry.at, entry.request_id.as_deref()), (world.now(), Some("req_1")));
        assert_eq!(
            entry.peer,
            match entry.actor {
                Actor::Operator(_) => from("192.0.2.1").peer,
                Actor::ApiKey(_) => from("192.0.2.2").peer,
                Actor::Lingpai => None,
            }
        );
    }
}

#[tokio::test]
async fn an_act_that_cannot_be_told_does_not_happen() {
    let world = World::start().await;
    let things = Things::made(&world).await;
    let before = things.state(&world).await;
    forbid_entries(&world).await;
    let mut acts = things.acts_of_operator(&world).await;
    acts.extend(things.acts_of_caller(&world).await);
    for (action, outcome) in acts {
        assert!(matches!(outcome, Err(Error::Storage(_))), "{}: {outcome:?}", action.as_str());
    }
    assert_eq!(things.state(&world).await, before);
}

/// From now on nothing can be written into the trail.
#[expect(clippy::disallowed_methods, reason = "to break what the store never would")]
async fn forbid_entries(world: &World) {
    let raw = Database::connect(&world.database.config.url).await.unwrap();
    let trigger = "CREATE TRIGGER full BEFORE INSERT ON audit_entries \
                   BEGIN SELECT RAISE(ABORT, 'the trail is full'); END";
    raw.execute_unprepared(trigger).await.unwrap();
    raw.close().await.unwrap();
}

#[tokio::test]
async fn an_act_that_fails_leaves_no_entry() {
    let world = World::start().await;
    let things = Things::made(&world).await;
    let stranger = world.any_caller().await;
    let entries = world.entries().await;
    let nobody = stranger.scope.tenant_id();
    let (by, keys) = (&world.operator, &world.api_keys);
    let failed = [
        keys.rotate(by, nobody, &things.key.id, secs(0)).await.map(drop),
        keys.revoke(by, nobody, &things.key.id).await,
        world.redirect_uris().remove(&stranger, URI).await,
        world.redirect_uris().register(&stranger, "http://shop.example/").await,
        world.files().upload(&stranger, name("MP_verify_1.txt"), content()).await.map(drop),
        world.files().remove(&stranger, &name("MP_verify_1.txt")).await,
    ];
    for outcome in failed {
        assert!(outcome.is_err());
    }
    assert_eq!(world.entries().await, entries);
}

#[tokio::test]
async fn a_tenant_reads_what_it_did_and_what_was_done_to_it() {
    let world = World::start().await;
    let things = Things::made(&world).await;
    let stranger = world.any_caller().await;
    world.redirect_uris().register(&stranger, URI).await.unwrap();
    let audit = world.audit();
    let own = audit.own(&things.caller.scope, &PageRequest::first()).await.unwrap().items;
    let mut told: Vec<_> = own.iter().map(|entry| entry.action.as_str()).collect();
    told.sort_unstable();
    let expected = [
        "api_key.created",
        "api_key.created",
        "file.uploaded",
        "redirect_uri.registered",
        "tenant.created",
    ];
    assert_eq!(told, expected);
    for entry in &own {
        assert_eq!(entry.tenant_id.as_ref(), Some(&things.tenant.id));
    }
    let filter =
        AuditFilter { tenant_id: Some(things.tenant.id.clone()), ..AuditFilter::default() };
    assert_eq!(audit.all(&filter, &PageRequest::first()).await.unwrap().items, own);
}

#[tokio::test]
async fn the_trail_is_read_from_its_end() {
    let world = World::start().await;
    let caller = world.any_caller().await;
    let before = world.entries().await.len();
    for uri in [URI, OTHER_URI] {
        world.advance(secs(1));
        world.redirect_uris().register(&caller, uri).await.unwrap();
    }
    let entries = world.entries().await;
    let subjects: Vec<_> = entries.iter().map(|entry| entry.subject.as_str()).collect();
    assert_eq!(subjects[..2], [OTHER_URI, URI]);
    assert_eq!(entries.len(), before + 2);
    let one = PageRequest::new(1, None).unwrap();
    let first = world.audit().own(&caller.scope, &one).await.unwrap();
    assert_eq!(first.items, entries[..1]);
    let second = one.following(first.next.unwrap());
    let second = world.audit().own(&caller.scope, &second).await.unwrap();
    assert_eq!(second.items, entries[1..2]);
}
