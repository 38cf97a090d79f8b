//! Room at one instance: so many requests under way, and so many more that wait for it in turn.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::forward::error::Reason;

/// What all workers count together. `SeqCst`, so that whoever leaves sees whoever waits, or is seen by them.
#[derive(Debug)]
pub(in crate::forward) struct Room {
    most: usize,
    most_waiting: usize,
    busy: AtomicUsize,
    waiting: AtomicUsize,
    freed: Notify,
}

impl Room {
    pub(super) fn new(most: usize, most_waiting: usize) -> Self {
        Self {
            most,
            most_waiting,
            busy: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            freed: Notify::new(),
        }
    }

    /// Requests under way.
    pub(super) fn busy(&self) -> usize {
        self.busy.load(Ordering::Relaxed)
    }

    /// Requests that wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Takes a place, unless there is none or others wait for it. To be given back by [`Room::leave`].
    pub(in crate::forward) fn enter(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) == 0 && self.take()
    }

    /// Waits for a place, in turn, for `limit` at most.
    pub(in crate::forward) async fn wait(&self, limit: Duration) -> Result<(), Reason> {
        if self.waiting.fetch_add(1, Ordering::SeqCst) >= self.most_waiting {
            self.waiting.fetch_sub(1, Ordering::SeqCst);
            return Err(Reason::Full);
        }
        let _waiting = Waiting(self);
        let turn = async {
            loop {
                let mut freed = std::pin::pin!(self.freed.notified());
                // In line before the look: a place that is freed in between is not missed.
                freed.as_mut().enable();
                if self.take() {
                    return;
                }
                freed.await;
            }
        };
        tokio::time::timeout(limit, turn).await.map_err(|_| Reason::WaitTimeout)
    }

    /// Gives a place back.
    pub(in crate::forward) fn leave(&self) {
        self.busy.fetch_sub(1, Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.freed.notify_one();
        }
    }

    fn take(&self) -> bool {
        let one_more = |busy| (busy < self.most).then_some(busy + 1);
        self.busy.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).is_ok()
    }
}

/// Counts one who waits, however that ends.
struct Waiting<'a>(&'a Room);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const LONG: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn those_who_wait_get_their_turn_and_no_more_than_may() {
        let room = Arc::new(Room::new(1, 2));
        assert!(room.enter() && !room.enter());
        let wait = |room: &Arc<Room>| {
            let room = Arc::clone(room);
            tokio::spawn(async move { room.wait(LONG).await })
        };
        let first = wait(&room);
        tokio::task::yield_now().await;
        let second = wait(&room);
        tokio::task::yield_now().await;
        assert!(matches!(room.wait(LONG).await, Err(Reason::Full)));
        room.leave();
        assert!(!room.enter(), "nobody overtakes");
        assert!(first.await.unwrap().is_ok());
        assert!(!second.is_finished());
        room.leave();
        assert!(second.await.unwrap().is_ok());
        room.leave();
        assert!(room.enter());
        assert_eq!((room.busy(), room.waiting()), (1, 0));
    }

    #[tokio::test]
    async fn one_who_gives_up_leaves_the_turn_to_the_next() {
        let room = Arc::new(Room::new(1, 2));
        assert!(room.enter());
        assert!(matches!(room.wait(Duration::from_millis(5)).await, Err(Reason::WaitTimeout)));
        let waiting = Arc::clone(&room);
        let next = tokio::spawn(async move { waiting.wait(LONG).await });
        tokio::task::yield_now().await;
        room.leave();
        assert!(next.await.unwrap().is_ok());
        assert_eq!((room.busy(), room.waiting()), (1, 0));
    }

    #[test]
    fn threads_never_take_more_than_there_is() {
        let room = Arc::new(Room::new(3, 100));
        let most = Arc::new(AtomicUsize::new(0));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.unwrap().block_on(async {
            let tasks = (0..64).map(|_| {
                let (room, most) = (Arc::clone(&room), Arc::clone(&most));
                tokio::spawn(async move {
                    for _ in 0..200 {
                        if !room.enter() {
                            room.wait(LONG).await.unwrap();
                        }
                        most.fetch_max(room.busy(), Ordering::Relaxed);
                        tokio::task::yield_now().await;
                        room.leave();
                    }
                })
            });
            for task in tasks.collect::<Vec<_>>() {
                task.await.unwrap();
            }
        });
        assert_eq!((room.busy(), room.waiting(), most.load(Ordering::Relaxed)), (0, 0, 3));
    }
}
