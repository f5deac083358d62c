//! Comparing rows, row by row.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::ops::Range;

use hansard_model::query::DifferenceKind;

use super::{JobError, Report};
use crate::rows::{Limit, Order, Prefix, Row, RowKey, Rows, StoreError, after};

/// Rows read at a time.
const STEP: Limit = Limit { rows: 2_048, bytes: 1024 * 1024 };

/// All rows in order, read in steps.
struct Reading<'a, R> {
    rows: &'a R,
    left: Range<Vec<u8>>,
    here: VecDeque<Row>,
    is_end: bool,
}

impl<'a, R: Rows> Reading<'a, R> {
    fn new(rows: &'a R) -> Self {
        Self { rows, left: Prefix::All.whole(), here: VecDeque::new(), is_end: false }
    }

    async fn first(&mut self) -> Result<Option<&Row>, StoreError> {
        if self.here.is_empty() && !self.is_end {
            let range = self.left.clone();
            self.here = self.rows.scan(range, Order::Ascending, STEP).await?.into();
            match self.here.back() {
                Some((key, _)) => self.left = after(&self.left, key),
                None => self.is_end = true,
            }
        }
        Ok(self.here.front())
    }

    fn pass(&mut self) {
        self.here.pop_front();
    }
}

/// Reports every row of `view` that is not as in `log`.
pub(super) async fn compare<V: Rows, L: Rows>(
    view: &V,
    log: &L,
    report: &Report,
) -> Result<(), JobError> {
    let (mut view, mut log) = (Reading::new(view), Reading::new(log));
    let mut compared = 0u64;
    loop {
        let (order, key, same) = match (view.first().await?, log.first().await?) {
            (None, None) => break,
            (Some((key, _)), None) => (Ordering::Less, key.clone(), false),
            (None, Some((key, _))) => (Ordering::Greater, key.clone(), false),
            (Some((one, value)), Some((other, expected))) => {
                (one.cmp(other), one.min(other).clone(), value == expected)
            }
        };
        let what = match order {
            Ordering::Less => Some(DifferenceKind::Extra),
            Ordering::Greater => Some(DifferenceKind::Missing),
            Ordering::Equal => (!same).then_some(DifferenceKind::Different),
        };
        if order.is_le() {
            view.pass();
        }
        if order.is_ge() {
            log.pass();
        }
        if let Some(what) = what {
            let name = RowKey::parse(&key).map(|key| key.to_string());
            report.differs(name.unwrap_or_else(|| format!("{key:?}")), what);
        }
        compared += 1;
        if compared.is_multiple_of(1_024) {
            report.update(|job| job.compared = compared);
        }
    }
    report.update(|job| job.compared = compared);
    Ok(())
}
