//! Authorizers that are there from the start, as a day like all days finds them: their tokens are
//! of every age.

use std::{ops::Range, sync::Arc};

use anyhow::{Context as _, Result};
use chrono::Duration;
use lingpai_emulator::EmulatorConfig;
use lingpai_model::{
    Appid, Instant, Secret,
    authorizer::{Authorizer, AuthorizerState, Connection, Profile},
    clock::Entropy,
    component::{Component, Ticket},
    id::{AuthorizerId, ComponentId},
    token::{AccessToken, KeptToken, RefreshPolicy, TokenKey},
};
use lingpai_storage::{Arrival, Db, KeyRing, testing::add_authorizers};
use tokio::task::JoinSet;

/// How long WeChat's tokens live.
const LIFE: std::time::Duration = std::time::Duration::from_secs(7200);

/// How long a token is used before it is refreshed: the ages at the start are spread over this.
const USED_SECS: usize = 105 * 60;

/// How many authorizers go into one statement.
const TOGETHER: usize = 500;

/// How many statements run side by side, where the database lets them.
const HANDS: usize = 4;

/// The keys that everything is sealed with.
///
/// # Errors
/// When `master_key` is none.
pub(crate) fn keys(master_key: &str) -> Result<KeyRing> {
    KeyRing::parse(&Secret::from(master_key)).context("the master key")
}

/// A component with its first ticket, and `count` authorizers with living tokens.
///
/// # Errors
/// When the database refuses.
pub(crate) async fn seed(db: &Db, now: Instant, count: usize) -> Result<()> {
    let field = Arc::new(Field { component: component(now)?, now, count });
    let tx = db.begin().await?;
    tx.components().insert(&field.component).await?;
    tx.commit().await?;
    ticket(db, now).await?;
    let mut hands = JoinSet::new();
    for hand in 0..HANDS {
        let (db, field) = (db.clone(), Arc::clone(&field));
        hands.spawn(async move {
            let mut bed = hand * TOGETHER;
            while bed < count {
                field.sow(&db, bed..count.min(bed + TOGETHER)).await?;
                bed += HANDS * TOGETHER;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = hands.join_next().await {
        done??;
    }
    Ok(())
}

/// What all authorizers have in common.
struct Field {
    component: Component,
    now: Instant,
    count: usize,
}

impl Field {
    /// Stores the authorizers of these numbers.
    async fn sow(&self, db: &Db, numbers: Range<usize>) -> Result<()> {
        // Numbered, so that no two beds draw the same.
        let entropy = Entropy::seeded(u64::try_from(numbers.start)? + 1);
        let mut all = Vec::with_capacity(numbers.len());
        for number in numbers {
            let age = Duration::seconds(i64::try_from(number * USED_SECS / self.count)?);
            let authorizer = authorizer(&self.component, number, self.now - age, &entropy)?;
            let kept = kept(&authorizer, number, &entropy);
            all.push((authorizer, kept));
        }
        add_authorizers(db, &all).await;
        Ok(())
    }
}

/// WeChat pushes a ticket.
///
/// # Errors
/// When the database refuses.
pub(crate) async fn ticket(db: &Db, now: Instant) -> Result<()> {
    let appid = Appid::parse(&EmulatorConfig::default().component.appid)?;
    let component = db.components().find(&appid).await?.context("the component was registered")?;
    let value = Secret::new(format!("ticket@@@{}", now.timestamp()));
    let ticket = Ticket { component_id: component.id, value, issued_at: now, received_at: now };
    Ok(db.record_arrival(Arrival::Ticket(ticket)).await?)
}

fn component(now: Instant) -> Result<Component> {
    let config = EmulatorConfig::default().component;
    Ok(Component {
        id: ComponentId::new(now, &Entropy::seeded(0)),
        appid: Appid::parse(&config.appid)?,
        name: "simulation".to_owned(),
        appsecret: Secret::from(config.appsecret),
        push_token: Secret::from(config.push_token),
        encoding_aes_key: Secret::from(config.encoding_aes_key),
        previous_encoding_aes_key: None,
        encoding_aes_key_changed_at: None,
        previous_push_token: None,
        answers_publish_test: false,
        created_at: now,
        updated_at: now,
    })
}

fn authorizer(
    component: &Component,
    number: usize,
    at: Instant,
    entropy: &Entropy,
) -> Result<Authorizer> {
    let connection =
        Connection::Component { id: component.id.clone(), appid: component.appid.clone() };
    Ok(Authorizer {
        id: AuthorizerId::new(at, entropy),
        connection,
        tenant_id: None,
        appid: Appid::parse(&format!("wx{number:016x}"))?,
        state: AuthorizerState::Active,
        generation: 1,
        granted_at: at,
        profile: Profile::default(),
        func_info: vec![1, 2, 3],
        refused_at: None,
        released_at: None,
        created_at: at,
        updated_at: at,
    })
}

fn kept(authorizer: &Authorizer, number: usize, entropy: &Entropy) -> KeptToken {
    let key = TokenKey::Authorizer(authorizer.id.clone());
    let value = Secret::new(format!("{number:0136}"));
    let token = AccessToken::obtained(value, authorizer.granted_at, LIFE);
    let [chance] = entropy.bytes();
    KeptToken {
        due_at: Some(RefreshPolicy::default().due_at(&token, chance)),
        token: Some(token),
        refresh_token: Some(Secret::new(format!("refreshtoken@@@{number:036}"))),
        ..KeptToken::unknown(key, authorizer.generation)
    }
}
