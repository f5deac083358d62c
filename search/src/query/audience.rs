//! What a reader may see, as of a view: a part of every search, so that nothing else is ever found,
//! counted or ranked.

use std::ops::Bound;

use hansard_model::{Seq, UserId};
use tantivy::Term;
use tantivy::query::{BooleanQuery, ConstScoreQuery, Occur, Query, RangeQuery, TermQuery};
use tantivy::schema::IndexRecordOption;

use crate::document::Membership;
use crate::index::{IndexError, View};
use crate::schema::Tag;

/// The messages that a user may see: those of their direct conversations, and those of their groups
/// from where on they see them.
///
/// # Errors
/// [`IndexError`]
pub(super) fn visible(view: &View, reader: UserId) -> Result<Box<dyn Query>, IndexError> {
    let tagged = |tag: Tag| -> Box<dyn Query> {
        Box::new(TermQuery::new(tag.term(&view.fields), IndexRecordOption::Basic))
    };
    let mut allowed = vec![tagged(Tag::Reader(reader))];
    for Membership { group, view_from, .. } in view.memberships(reader)? {
        let all = tagged(Tag::Group(group));
        if view_from == Seq::ZERO {
            allowed.push(all);
        } else {
            let from = Term::from_field_u64(view.fields.seq, view_from.0);
            let from = RangeQuery::new(Bound::Included(from), Bound::Unbounded);
            let both: Vec<(Occur, Box<dyn Query>)> =
                vec![(Occur::Must, all), (Occur::Must, Box::new(from))];
            allowed.push(Box::new(BooleanQuery::new(both)));
        }
    }
    Ok(Box::new(ConstScoreQuery::new(Box::new(BooleanQuery::union(allowed)), 0.0)))
}
