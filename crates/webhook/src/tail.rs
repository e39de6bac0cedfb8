//! Follows a tenant's stream while it grows.
//!
//! Ids sort by the time at which an event was received, and events are committed a little later, in
//! another order: behind the last id seen, an older one may still appear. So the last
//! [`LATEST_COMMIT`] of the stream is read again and again, and what was given out is remembered.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use futures_util::{Stream, stream};
use lingpai_model::{
    caller::TenantScope,
    clock::SharedClock,
    event::{Event, EventFilter},
    id::EventId,
};
use lingpai_storage::{Db, EventMark};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::Result;

/// How often the stream is looked at.
const PACE: Duration = Duration::from_millis(500);

/// Every how many looks the end of the stream is read again, for what was committed late.
const LOOKS_BETWEEN_REREADS: u32 = 4;

/// How long after its id was made an event may be committed and still be found.
const LATEST_COMMIT: chrono::Duration = chrono::Duration::seconds(10);

/// How many events are looked at at once, without what they have to say.
const BATCH: u64 = 200;

/// How much of what they have to say is in memory at once: as many events as fit, but one at least. A
/// reader that is slow keeps it.
const MOST_BYTES: u64 = 1024 * 1024;

/// What an event counts for beside what was pushed.
const OVERHEAD_BYTES: u64 = 1024;

/// The most events that are given out of the past.
const MOST_OF_THE_PAST: u64 = 10_000;

/// The most ids that are remembered: beyond that, late ones are no longer told from those given out.
const REMEMBERED: usize = 50_000;

/// Follows the streams of tenants.
#[derive(Debug, Clone)]
pub struct Tail {
    db: Db,
    clock: SharedClock,
}

impl Tail {
    /// A service on `db`.
    #[must_use]
    pub fn new(db: Db, clock: SharedClock) -> Self {
        Self { db, clock }
    }

    /// The tenant's events that fit `filter`, as they come: those behind `from`, at most 10,000 of
    /// the past, or else those from now on. Each is given out once. It ends when it is dropped;
    /// while the database is away it waits.
    pub fn follow(
        &self,
        scope: TenantScope,
        filter: EventFilter,
        from: Option<EventId>,
    ) -> impl Stream<Item = Event> + Send + use<> {
        let followed = Followed {
            db: self.db.clone(),
            clock: self.clock.clone(),
            scope,
            filter,
            from,
            place: None,
            given: BTreeSet::new(),
            wanted: VecDeque::new(),
            ready: VecDeque::new(),
            looks: 0,
            is_behind: false,
        };
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        stream::unfold((followed, pace), async |(mut followed, mut pace)| {
            let event = followed.next(&mut pace).await;
            Some((event, (followed, pace)))
        })
    }
}

/// Where somebody is who follows.
struct Followed {
    db: Db,
    clock: SharedClock,
    scope: TenantScope,
    filter: EventFilter,
    from: Option<EventId>,
    place: Option<Place>,
    /// What was given out, or passed over, of the part that is read again.
    given: BTreeSet<EventId>,
    /// What is to be given out and not read yet.
    wanted: VecDeque<EventMark>,
    ready: VecDeque<Event>,
    looks: u32,
    /// Whether there is more to read at once.
    is_behind: bool,
}

/// How far one has come.
struct Place {
    /// Nothing up to here is given out.
    begin: EventId,
    /// The last id seen.
    last: EventId,
}

impl Followed {
    async fn next(&mut self, pace: &mut Interval) -> Event {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return event;
            }
            if self.wanted.is_empty() && !self.is_behind {
                pace.tick().await;
            }
            if let Err(error) = self.look().await {
                tracing::warn!(%error, "a stream cannot be followed for now");
                pace.tick().await;
            }
        }
    }

    async fn look(&mut self) -> Result<()> {
        if !self.wanted.is_empty() {
            return self.open().await;
        }
        let mut place = match self.place.take() {
            Some(place) => place,
            None => self.begin().await?,
        };
        let looked = self.read(&mut place).await;
        self.place = Some(place);
        looked
    }

    async fn read(&mut self, place: &mut Place) -> Result<()> {
        self.is_behind = false;
        self.looks += 1;
        let floor = EventId::first_of(self.clock.now() - LATEST_COMMIT);
        let rereads = self.looks.is_multiple_of(LOOKS_BETWEEN_REREADS);
        let mut after = place.last.clone();
        if rereads {
            after = after.min(place.begin.clone().max(floor.clone()));
        }
        while self.wanted.is_empty() {
            let events = self.db.events().tail(&self.scope, &after, BATCH).await?;
            let Some(last) = events.last() else { break };
            after = last.id.clone();
            place.last = after.clone().max(place.last.clone());
            self.is_behind = events.len() >= usize::try_from(BATCH).unwrap_or(usize::MAX);
            for event in events {
                self.take(event);
            }
        }
        self.forget(&floor);
        Ok(())
    }

    fn take(&mut self, event: EventMark) {
        if !self.given.insert(event.id.clone()) {
            return;
        }
        if self.filter.matches(&event.event_type, event.authorizer_appid.as_ref()) {
            self.wanted.push_back(event);
        }
    }

    /// Reads the next ones of what is to be given out.
    async fn open(&mut self) -> Result<()> {
        let ids = fitting(&self.wanted);
        // What cannot be read is logged there.
        let (mut events, _) = self.db.events().system_find_many(&ids).await?;
        events.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        self.wanted.drain(..ids.len());
        self.ready.extend(events);
        Ok(())
    }

    fn forget(&mut self, floor: &EventId) {
        self.given = self.given.split_off(floor);
        while self.given.len() > REMEMBERED {
            self.given.pop_first();
        }
    }

    async fn begin(&self) -> Result<Place> {
        let begin = match &self.from {
            Some(from) => self.newest_of_the_past(from).await?,
            None => EventId::first_of(self.clock.now()),
        };
        Ok(Place { last: begin.clone(), begin })
    }

    /// `from`, or what is nearer if there are too many events behind it.
    async fn newest_of_the_past(&self, from: &EventId) -> Result<EventId> {
        let nearer = self.db.events().find_with_younger(&self.scope, MOST_OF_THE_PAST).await?;
        Ok(nearer.map_or_else(|| from.clone(), |nearer| nearer.max(from.clone())))
    }
}

/// The first of `marks` that may be in memory at once.
fn fitting(marks: &VecDeque<EventMark>) -> Vec<EventId> {
    let mut bytes = 0_u64;
    let fits = marks.iter().enumerate().take_while(|(place, mark)| {
        bytes = bytes.saturating_add(mark.bytes).saturating_add(OVERHEAD_BYTES);
        *place == 0 || bytes <= MOST_BYTES
    });
    fits.map(|(_, mark)| mark.id.clone()).collect()
}

#[cfg(test)]
mod tests {
    use lingpai_model::{Instant, clock::Entropy, event::EventType};

    use super::*;

    fn marks(sizes: &[u64]) -> VecDeque<EventMark> {
        let entropy = Entropy::seeded(1);
        let mark = |bytes: &u64| EventMark {
            id: EventId::new(Instant::UNIX_EPOCH, &entropy),
            event_type: EventType::of_message("text"),
            authorizer_appid: None,
            bytes: *bytes,
        };
        sizes.iter().map(mark).collect()
    }

    #[test]
    fn a_few_large_events_are_read_at_once_and_many_small_ones() {
        assert_eq!(fitting(&marks(&[256 * 1024; 200])).len(), 3);
        assert_eq!(fitting(&marks(&[500; 200])).len(), 200);
        assert_eq!(fitting(&marks(&[u64::MAX, 1])).len(), 1, "one at least");
        assert_eq!(fitting(&marks(&[])).len(), 0);
    }
}
