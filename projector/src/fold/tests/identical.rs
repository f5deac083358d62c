//! Identical reads at once are one.

use super::*;

/// Rows that take a moment, and count who asks.
struct Slow {
    rows: Memory,
    reads: std::sync::atomic::AtomicUsize,
}

impl Slow {
    async fn wait(&self) {
        self.reads.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut is_first = true;
        std::future::poll_fn(move |context| {
            if std::mem::take(&mut is_first) {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
    }
}

impl crate::rows::Rows for Slow {
    async fn get(&self, key: &RowKey) -> Result<Option<Bytes>, crate::rows::StoreError> {
        self.wait().await;
        self.rows.get(key).await
    }

    async fn scan(
        &self,
        range: std::ops::Range<Vec<u8>>,
        order: crate::rows::Order,
        limit: crate::rows::Limit,
    ) -> Result<Vec<crate::rows::Row>, crate::rows::StoreError> {
        self.wait().await;
        self.rows.scan(range, order, limit).await
    }
}

#[test]
fn identical_opens_at_the_same_moment_are_one_read_whoever_opens() {
    let mut all = vec![(ANA, create(&[BEN, CLEO]))];
    all.extend((0..20).map(|n| (ANA, message(&n.to_string()))));
    let state = state_of(group(), &all);
    let reads_of = |opens: usize| {
        let At { applied, bucket, partition, generation, kept, windows, .. } = state.at();
        let rows = Slow { rows: state.rows.clone(), reads: 0.into() };
        let at = At { rows: &rows, applied, bucket, partition, generation, kept, windows };
        let requests: Vec<Request> = (0..opens)
            .map(|index| {
                let reader = [ANA, BEN, CLEO][index % 3];
                Request::Messages(messages_request(group(), reader, Anchor::Newest))
            })
            .collect();
        let answers = requests.iter().map(|request| request.answer(&at));
        for answer in now(futures_util::future::join_all(answers)) {
            let Ok(Answer::Page(page)) = answer else { panic!("not a page") };
            assert_eq!(page.items.len(), 21);
        }
        rows.reads.load(std::sync::atomic::Ordering::Relaxed)
    };
    assert_eq!(reads_of(1_000), reads_of(1));
}
