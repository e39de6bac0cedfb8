//! Group commit: what WeChat pushes at the same time is committed together.
//!
//! A commit waits for the disk, so one commit for sixty-four pushes is worth up to twenty times the
//! throughput of sixty-four commits, at the same safety. One task takes whatever waits, up to
//! [`BATCH`] or [`SQLITE_BATCH`], and hands it to a task that writes it in one transaction and answers every caller. It never
//! waits for more to come: alone, an arrival is committed at once. Two batches are under way at a time:
//! while one waits for the disk, a server writes the next; on SQLite, which has one writer, its statements
//! are made ready meanwhile.
//!
//! If a batch is refused, its items are tried one by one, so that a broken one harms nobody else.
//! Nothing of a batch that is refused was committed, so trying again is safe. An item
//! that was alone is tried again as well, up to [`LOOKS`] times: another instance may have recorded the
//! same one between our look and our insert, and then the next look finds it.

mod steps;

use std::{collections::HashSet, ops::ControlFlow, sync::Arc, time::Duration};

use lingpai_model::{
    component::Ticket,
    push::{NewPush, Recorded},
};
use sea_orm::DbBackend;
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::steps::Steps;
use crate::{
    db::{BriefTx, Handle, Store},
    entity::{component_tickets, pushes, quarantined_messages},
    error::{Error, Result, cause, lost},
    repo::{
        self,
        events::{EVENTS_AT_ONCE, MessageRows, Part, ReadyMessages},
    },
    seal::KeyRing,
};

/// The most arrivals in one commit on a server, whose connections keep a statement for each number.
const BATCH: usize = 64;
/// The same on SQLite: the larger the batch the fewer are the ways to SQLite's thread and to the disk.
const SQLITE_BATCH: usize = EVENTS_AT_ONCE;
/// A batch that has grown this large takes no more: servers bound the size of a statement.
const BATCH_BYTES: usize = 1024 * 1024;
/// How many batches are under way at a time.
const SIDE_BY_SIDE: usize = 2;
/// How often a row is tried by itself before it is refused.
const LOOKS: usize = 3;
/// How long a commit may take. A server that is silent for longer must not hold up those behind it.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most arrivals that wait for the commit before theirs; further callers wait to get in.
const QUEUE: usize = 1024;

/// Something that WeChat pushed and that must be durable before it is acknowledged.
#[derive(Debug, Clone)]
pub enum Arrival {
    /// A `component_verify_ticket`.
    Ticket(Ticket),
    /// Any other push to a component.
    Push(NewPush),
}

/// An arrival as a row, sealed by its caller so that sealing is not done in line.
#[derive(Debug, Clone)]
pub(crate) enum Row {
    Ticket(component_tickets::Model),
    Push(pushes::Model),
    Message(Arc<MessageRows>),
    Quarantined(quarantined_messages::Model),
}

impl Arrival {
    pub(crate) fn seal(&self, keys: &KeyRing) -> Row {
        match self {
            Self::Ticket(ticket) => Row::Ticket(repo::tickets::row(keys, ticket)),
            Self::Push(push) => Row::Push(repo::pushes::row(keys, push)),
        }
    }
}

impl Row {
    /// The part of it that can be large.
    fn bytes(&self) -> usize {
        match self {
            Self::Ticket(ticket) => ticket.value_sealed.len(),
            Self::Push(push) => push.payload_sealed.len(),
            Self::Message(message) => message.event.payload_sealed.as_ref().map_or(0, Vec::len),
            Self::Quarantined(message) => message.payload_sealed.len(),
        }
    }

    /// The id of the event that it makes, if it makes one.
    fn event_id(&self) -> Option<String> {
        match self {
            Self::Ticket(_) | Self::Push(_) | Self::Quarantined(_) => None,
            Self::Message(message) => Some(message.event.id.clone()),
        }
    }
}

struct Waiting {
    row: Row,
    answer: oneshot::Sender<Result<Recorded>>,
}

/// The ids of the events in a batch that were new.
type News = Arc<HashSet<String>>;

/// The way to the task that commits.
pub(crate) struct Arrivals {
    queue: mpsc::Sender<Waiting>,
    stop: CancellationToken,
    /// The connection on which the last batch was written goes back to its pool there.
    _steps: Arc<Steps>,
}

impl Arrivals {
    /// Starts the task. It ends when it is stopped, or when nobody can send to it any more.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the system has no thread left.
    pub(crate) fn start(store: Store, background: &TaskTracker) -> Result<Self> {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let stop = CancellationToken::new();
        let steps = if store.writes_side_by_side() {
            Steps::here()
        } else {
            Steps::on_a_thread().map_err(|error| Error::Unavailable {
                what: "start the thread that commits",
                source: Arc::new(error),
            })?
        };
        let (writing, most) =
            if store.writes_side_by_side() { (SIDE_BY_SIDE, BATCH) } else { (1, SQLITE_BATCH) };
        let steps = Arc::new(steps);
        let committer = Committer {
            store,
            background: background.clone(),
            steps: Arc::clone(&steps),
            lanes: Arc::new(Semaphore::new(SIDE_BY_SIDE)),
            writing: Arc::new(Semaphore::new(writing)),
            most,
        };
        background.spawn(committer.run(waiting, stop.clone()));
        Ok(Self { queue, stop, _steps: steps })
    }

    /// Takes no further arrivals; those that wait are still committed.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Returns once `row` is committed, and says of a message whether it was new.
    pub(crate) async fn record(&self, row: Row) -> Result<Recorded> {
        let (answer, answered) = oneshot::channel();
        let closed = |source| Error::Unavailable { what: "record an arrival", source };
        let sent = self.queue.send(Waiting { row, answer }).await;
        sent.map_err(|_| closed(Arc::new(Closing)))?;
        answered.await.map_err(|lost| closed(Arc::new(lost)))?
    }
}

/// The database is being closed.
#[derive(Debug, thiserror::Error)]
#[error("the database is being closed")]
struct Closing;

/// The one task that gathers batches, and what commits them.
#[derive(Clone)]
struct Committer {
    store: Store,
    background: TaskTracker,
    steps: Arc<Steps>,
    /// Who may be gathering, committing and answering.
    lanes: Arc<Semaphore>,
    /// Who may be writing. Who waits here does not use up its time for a connection.
    writing: Arc<Semaphore>,
    /// The most arrivals in one commit.
    most: usize,
}

impl Committer {
    async fn run(self, mut waiting: mpsc::Receiver<Waiting>, stop: CancellationToken) {
        // Before anything is taken from the queue: what comes meanwhile joins the batch.
        while let Ok(lane) = Arc::clone(&self.lanes).acquire_owned().await {
            let first = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                first = waiting.recv() => first,
            };
            let Some(first) = first else { return };
            let (committer, batch) = (self.clone(), gather(first, &mut waiting, self.most));
            self.background.spawn(async move {
                committer.commit_and_answer(batch).await;
                drop(lane);
            });
        }
        waiting.close();
        while let Some(first) = waiting.recv().await {
            self.commit_and_answer(gather(first, &mut waiting, self.most)).await;
        }
    }

    async fn commit_and_answer(&self, batch: Vec<Waiting>) {
        let (rows, answers): (Vec<Row>, Vec<_>) =
            batch.into_iter().map(|item| (item.row, item.answer)).unzip();
        let together = self.commit(rows.clone()).await;
        let refused = matches!(&together, Err(error) if !error.is_transient());
        for (row, answer) in rows.into_iter().zip(answers) {
            let event = row.event_id();
            let news = if refused { self.commit_alone(row).await } else { together.clone() };
            let outcome = news.map(|news| match event {
                Some(id) if !news.contains(&id) => Recorded::Repeated,
                Some(_) | None => Recorded::New,
            });
            // A caller that is gone does not want to know; its row is committed all the same.
            drop(answer.send(outcome));
        }
    }

    /// Commits one row of a batch that was refused, which another row may have been the reason for.
    /// Between our look and our insert another instance may record the same one: the next look finds it.
    async fn commit_alone(&self, row: Row) -> Result<News> {
        let mut outcome = self.commit(vec![row.clone()]).await;
        for _ in 1..LOOKS {
            if !matches!(&outcome, Err(error) if !error.is_transient()) {
                break;
            }
            outcome = self.commit(vec![row.clone()]).await;
        }
        outcome
    }

    /// Commits `rows` within [`PATIENCE`]. What takes longer goes on by itself, since a connection
    /// must not go back to its pool in the middle; whether it succeeds nobody will know.
    async fn commit(&self, rows: Vec<Row>) -> Result<News> {
        let store = self.store.clone();
        let ready = ReadyRows::new(store.writer.get_database_backend(), rows);
        let writing = Arc::clone(&self.writing);
        let step = async move {
            // Nobody closes it.
            let _turn = writing.acquire().await.ok();
            commit(&store, ready).await
        };
        let task = self.steps.begin(self.background.track_future(step));
        match timeout(PATIENCE, task).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(task)) => Err(Error::CommitUnknown { source: lost(&task) }),
            Err(silence) => Err(Error::CommitUnknown { source: Arc::new(silence) }),
        }
    }
}

/// What waits already, without waiting for more.
fn gather(first: Waiting, waiting: &mut mpsc::Receiver<Waiting>, most: usize) -> Vec<Waiting> {
    let mut bytes = first.row.bytes();
    let mut batch = vec![first];
    while batch.len() < most
        && bytes < BATCH_BYTES
        && let Ok(next) = waiting.try_recv()
    {
        bytes += next.row.bytes();
        batch.push(next);
    }
    batch
}

/// The rows of a batch by their tables, ready to be written.
struct ReadyRows {
    tickets: Vec<component_tickets::Model>,
    pushes: Vec<pushes::Model>,
    messages: ReadyMessages,
    quarantined: Vec<quarantined_messages::Model>,
}

impl ReadyRows {
    fn new(backend: DbBackend, rows: Vec<Row>) -> Self {
        let (mut tickets, mut pushes) = (Vec::new(), Vec::new());
        let (mut messages, mut quarantined) = (Vec::new(), Vec::new());
        for row in rows {
            match row {
                Row::Ticket(ticket) => tickets.push(ticket),
                Row::Push(push) => pushes.push(push),
                Row::Message(message) => messages.push(message),
                Row::Quarantined(message) => quarantined.push(message),
            }
        }
        Self { tickets, pushes, messages: ReadyMessages::new(backend, messages), quarantined }
    }
}

/// Writes a batch in one transaction.
async fn commit(store: &Store, batch: ReadyRows) -> Result<News> {
    let ReadyRows { tickets, pushes, mut messages, quarantined } = batch;
    let nothing_else = tickets.is_empty() && pushes.is_empty() && quarantined.is_empty();
    if nothing_else && store.has_brief_transactions() {
        messages = match commit_in_two_steps(store, messages).await? {
            ControlFlow::Break(news) => return Ok(news),
            ControlFlow::Continue(messages) => messages,
        };
    }
    let tx = store.begin().await?;
    let news = {
        let at = Handle::within(&tx, &store.keys, None);
        if !tickets.is_empty() {
            repo::tickets::save(&at, tickets).await?;
        }
        if !pushes.is_empty() {
            repo::pushes::save(&at, pushes).await?;
        }
        if !quarantined.is_empty() {
            repo::quarantine::save(&at, quarantined).await?;
        }
        repo::events::save(&at, messages).await?
    };
    tx.commit().await.map_err(|error| Error::CommitUnknown { source: cause(&error) })?;
    Ok(Arc::new(news))
}

/// Writes messages that fit into one statement in two steps, if all are new, which they nearly always are,
/// or none is. Of others nothing is written: they go on, and what was tried for them is lost time.
async fn commit_in_two_steps(
    store: &Store,
    messages: ReadyMessages,
) -> Result<ControlFlow<News, ReadyMessages>> {
    let Part { rows, events, mut deliveries } = match messages.into_one() {
        Ok(part) => part,
        Err(messages) => return Ok(ControlFlow::Continue(messages)),
    };
    let (mut tx, inserted) = BriefTx::begin_with(store, repo::events::RECORD, events).await?;
    if inserted != rows.len() as u64 {
        tx.roll_back().await?;
        return Ok(match inserted {
            0 => ControlFlow::Break(News::default()),
            _ => {
                let backend = store.writer.get_database_backend();
                ControlFlow::Continue(ReadyMessages::new(backend, rows))
            }
        });
    }
    let last = deliveries.pop();
    for deliveries in deliveries {
        tx.execute(deliveries).await?;
    }
    tx.commit_with(last).await?;
    let ids = rows.iter().map(|row| row.event.id.clone());
    Ok(ControlFlow::Break(Arc::new(ids.collect())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(bytes: usize) -> Waiting {
        let (answer, _) = oneshot::channel();
        let row = component_tickets::Model {
            component_id: "cmp".into(),
            ticket_digest: "d".into(),
            value_sealed: vec![0; bytes],
            issued_at: 0,
            received_at: 0,
        };
        Waiting { row: Row::Ticket(row), answer }
    }

    #[test]
    fn a_batch_is_what_waits_up_to_its_bounds() {
        let (queue, mut receiver) = mpsc::channel(QUEUE);
        let send = |bytes| queue.try_send(waiting(bytes)).expect("room in the queue");
        (0..BATCH + 3).for_each(|_| send(1));
        assert_eq!(gather(waiting(1), &mut receiver, BATCH).len(), BATCH);
        assert_eq!(gather(waiting(1), &mut receiver, BATCH).len(), 5, "the rest and the new one");
        assert_eq!(gather(waiting(1), &mut receiver, BATCH).len(), 1, "alone, it does not wait");
        (0..3).for_each(|_| send(BATCH_BYTES / 2));
        assert_eq!(gather(waiting(1), &mut receiver, BATCH).len(), 3, "bytes count as well");
    }
}
