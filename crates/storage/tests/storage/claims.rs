//! Authorizers as the operator sees them: owned, unclaimed and refused; and what tenants search by.

use lingpai_model::{
    Appid, Secret,
    authorizer::{Authorizer, AuthorizerState, Profile, ProfileKind},
    id::AuthorizerId,
    page::PageRequest,
    tenant::Tenant,
    token::{KeptToken, TokenKey},
};
use lingpai_storage::{
    AuthorizerFilter, Claim, Db, Error, SystemAuthorizerFilter, testing::on_each_database,
};

use crate::world::{World, all_at_once, app, at, kept, replace, scope};

async fn update(db: &Db, authorizer: &Authorizer) {
    let tx = db.begin().await.unwrap();
    tx.authorizers().system_update(authorizer).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn the_operator_finds_authorizers_by_tenant_claim_component_and_state() {
    on_each_database(|db| async move {
        let world = World::new();
        let [c, d] =
            [world.stored_component(&db, "wxC").await, world.stored_component(&db, "wxD").await];
        let tenant = world.stored_tenant(&db).await;
        world.stored_authorizer(&db, &c, Some(&tenant), "wxOwned").await;
        world.stored_authorizer(&db, &d, None, "wxFree").await;
        let refused = world.stored_authorizer(&db, &c, None, "wxRefused").await;
        update(&db, &Authorizer { refused_at: Some(at(3)), ..refused }).await;
        let withdrawn = world.stored_authorizer(&db, &d, None, "wxWithdrawn").await;
        let state = AuthorizerState::Revoked { at: at(4) };
        update(&db, &Authorizer { state: state.clone(), ..withdrawn }).await;
        let released = world.stored_account(&db, &tenant, "wxReleased").await;
        update(&db, &Authorizer { tenant_id: None, state, ..released }).await;

        let found = async |filter: SystemAuthorizerFilter| {
            let page = db.authorizers().system_page(&filter, &PageRequest::first()).await.unwrap();
            page.items.iter().map(|authorizer| authorizer.appid.to_string()).collect::<Vec<_>>()
        };
        let none = SystemAuthorizerFilter::default;
        let everything = found(none()).await;
        let oldest_first = ["wxOwned", "wxFree", "wxRefused", "wxWithdrawn", "wxReleased"];
        assert_eq!(everything, oldest_first);
        let claimed = async |claim| found(SystemAuthorizerFilter { claim, ..none() }).await;
        assert_eq!(claimed(Some(Claim::Owned)).await, ["wxOwned"]);
        assert_eq!(claimed(Some(Claim::Unclaimed)).await, ["wxFree"], "others cannot be assigned");
        assert_eq!(claimed(Some(Claim::Refused)).await, ["wxRefused"]);
        let of_tenant = SystemAuthorizerFilter { tenant_id: Some(tenant.id.clone()), ..none() };
        assert_eq!(found(of_tenant).await, ["wxOwned"]);
        let of_component = SystemAuthorizerFilter { component_appid: Some(app("wxC")), ..none() };
        assert_eq!(found(of_component.clone()).await, ["wxOwned", "wxRefused"]);
        let both = SystemAuthorizerFilter { claim: Some(Claim::Unclaimed), ..of_component };
        assert!(found(both).await.is_empty());
        let revoked = SystemAuthorizerFilter { state: Some("revoked"), ..none() };
        assert_eq!(found(revoked).await, ["wxWithdrawn", "wxReleased"]);

        let first = PageRequest::new(3, None).unwrap();
        let page = db.authorizers().system_page(&none(), &first).await.unwrap();
        let rest = first.following(page.next.expect("a fourth"));
        let rest = db.authorizers().system_page(&none(), &rest).await.unwrap();
        assert_eq!((rest.items.len(), rest.next), (2, None));
        let counts = db.authorizers().system_count_by_state().await.unwrap();
        assert_eq!(counts, [("active".to_owned(), 3), ("revoked".to_owned(), 2)]);
    })
    .await;
}

#[tokio::test]
async fn a_refusal_is_kept_until_it_is_taken_back() {
    on_each_database(|db| async move {
        let world = World::new();
        let component = world.stored_component(&db, "wxC").await;
        let free = world.stored_authorizer(&db, &component, None, "wxA").await;
        for refused_at in [Some(at(3)), None] {
            let changed = Authorizer { refused_at, ..free.clone() };
            update(&db, &changed).await;
            let read = db.authorizers().system_find(&component.id, &free.appid).await.unwrap();
            assert_eq!(read, Some(changed));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_that_assign_a_free_account_one_does() {
    on_each_database(|db| async move {
        let world = World::new();
        let component = world.stored_component(&db, "wxC").await;
        let id = world.stored_authorizer(&db, &component, None, "wxA").await.id;
        let mut tenants: Vec<Tenant> = Vec::new();
        for _ in 0..4 {
            tenants.push(world.stored_tenant(&db).await);
        }
        let assigning = tenants.into_iter().map(|tenant| {
            let (db, id) = (db.clone(), id.clone());
            async move {
                let tx = db.begin().await.unwrap();
                let locked = tx.authorizers().system_lock_by_id(&id).await.unwrap();
                let free = locked.expect("it is stored");
                if free.tenant_id.is_some() {
                    return false;
                }
                let owned = Authorizer { tenant_id: Some(tenant.id), ..free };
                tx.authorizers().system_update(&owned).await.unwrap();
                tx.commit().await.unwrap();
                true
            }
        });
        let assigned = all_at_once(assigning).await.into_iter().filter(|done| *done).count();
        assert_eq!(assigned, 1);
        let tx = db.begin().await.unwrap();
        let unknown = world.authorizer(&component, None, "wxU").id;
        assert_eq!(tx.authorizers().system_lock_by_id(&unknown).await.unwrap(), None);
    })
    .await;
}

async fn named(db: &Db, world: &World, tenant: &Tenant, appid: &str, profile: Profile) {
    let component = db.components().find(&app("wxC")).await.unwrap().unwrap();
    let stored = world.stored_authorizer(db, &component, Some(tenant), appid).await;
    update(db, &Authorizer { profile, ..stored }).await;
}

#[tokio::test]
async fn a_tenants_authorizers_are_found_by_connection_kind_and_name() {
    on_each_database(|db| async move {
        let world = World::new();
        world.stored_component(&db, "wxC").await;
        let [tenant, other] = [world.stored_tenant(&db).await, world.stored_tenant(&db).await];
        let profile = |kind, name: &str| Profile {
            kind: Some(kind),
            nick_name: Some(name.to_owned()),
            ..Profile::default()
        };
        let shop = profile(ProfileKind::OfficialAccount, "街角小店 🍜 100%_!\\");
        named(&db, &world, &tenant, "wxShop", shop.clone()).await;
        named(&db, &world, &tenant, "wxMini", profile(ProfileKind::MiniProgram, "小店 1000")).await;
        named(&db, &world, &tenant, "wxNul", profile(ProfileKind::MiniProgram, "nul \0")).await;
        named(&db, &world, &other, "wxOther", shop).await;
        world.stored_account(&db, &tenant, "wxOwn").await;

        let found = async |filter: AuthorizerFilter| {
            let all = PageRequest::first();
            let page = db.authorizers().list(&scope(&tenant), &filter, &all).await.unwrap();
            page.items.iter().map(|authorizer| authorizer.appid.clone()).collect::<Vec<_>>()
        };
        let none = AuthorizerFilter::default;
        let apps = |names: &[&str]| names.iter().map(|name| app(name)).collect::<Vec<Appid>>();
        let connected =
            async |way| found(AuthorizerFilter { connection: Some(way), ..none() }).await;
        assert_eq!(connected("secret").await, apps(&["wxOwn"]));
        assert_eq!(connected("component").await.len(), 3);
        let mini = AuthorizerFilter { kind: Some(ProfileKind::MiniProgram), ..none() };
        assert_eq!(found(mini.clone()).await, apps(&["wxMini", "wxNul"]));
        let by_name = async |name: &str| {
            found(AuthorizerFilter { name: Some(name.to_owned()), ..none() }).await
        };
        assert_eq!(by_name("小店").await, apps(&["wxShop", "wxMini"]));
        assert_eq!(by_name("🍜").await, apps(&["wxShop"]));
        for literal in ["100%", "%_", "_!", "!\\", "\\"] {
            assert_eq!(by_name(literal).await, apps(&["wxShop"]), "{literal} means itself");
        }
        assert!(by_name("店小").await.is_empty());
        assert_eq!(by_name("").await.len(), 3, "those that have a name");
        let both = AuthorizerFilter { name: Some("小店".to_owned()), ..mini };
        assert_eq!(found(both).await, apps(&["wxMini"]));
    })
    .await;
}

#[tokio::test]
async fn an_accounts_secret_is_erased_and_may_be_entered_anew() {
    on_each_database(|db| async move {
        let world = World::new();
        let tenant = world.stored_tenant(&db).await;
        let [account, other] = [
            world.stored_account(&db, &tenant, "wxOwn").await,
            world.stored_account(&db, &tenant, "wxOther").await,
        ];
        let tx = db.begin().await.unwrap();
        for account in [&account, &other] {
            tx.account_secrets().system_insert(&world.account_secret(account)).await.unwrap();
        }
        tx.commit().await.unwrap();
        assert!(db.cached_account_secret(&account.appid).await.unwrap().is_some());

        let tx = db.begin().await.unwrap();
        for _ in 0..2 {
            tx.account_secrets().system_erase(&account.id).await.unwrap();
        }
        tx.commit().await.unwrap();
        assert!(db.cached_account_secret(&account.appid).await.unwrap().is_none(), "forgotten");
        let gone = db.account_secrets().system_get(&account.id).await.unwrap_err();
        assert!(matches!(gone, Error::NotFound { .. }));
        assert!(db.account_secrets().system_get(&other.id).await.is_ok());
        let tx = db.begin().await.unwrap();
        let mut again = world.account_secret(&account);
        again.appsecret = Secret::from("another");
        tx.account_secrets().system_insert(&again).await.unwrap();
        tx.commit().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn overdue_tokens_that_workers_look_at_are_counted() {
    on_each_database(|db| async move {
        let world = World::new();
        let component = TokenKey::Component(world.component("wxC").id);
        let owner = AuthorizerId::parse(world.token_key().owner_id()).unwrap();
        let ticket = TokenKey::JsapiTicket(owner);
        for (key, due_at) in [
            (component, Some(at(1))),
            (ticket, Some(at(1))),
            (world.token_key(), Some(at(2))),
            (world.token_key(), Some(at(3))),
            (world.token_key(), None),
        ] {
            replace(&db, &KeptToken { due_at, ..kept(&key, "t") }).await.unwrap();
        }
        assert_eq!(db.tokens().count_overdue(at(3)).await.unwrap(), 2);
        assert_eq!(db.tokens().count_overdue(at(0)).await.unwrap(), 0);
    })
    .await;
}
