//! From the tree of the search language to the library's queries.

use std::ops::Bound;
use std::sync::Arc;

use hansard_model::search::SearchRequest;
use hansard_model::{ConversationId, UserId};
use hansard_search_language::query::{
    Asks, Bounds, Clause, Has, Phrase, PlacedTerm, Sent, Way, Word,
};
use tantivy::Term;
use tantivy::query::{
    AllQuery, BooleanQuery, ConstScoreQuery, DisjunctionMaxQuery, EmptyQuery, Occur, PhraseQuery,
    Query, RangeQuery, TermQuery,
};
use tantivy::schema::IndexRecordOption;
use time::UtcOffset;

use super::excluded::Excluded;
use super::expand::{Expansion, beginning_with, misspelled};
use super::one_of::OneOf;
use crate::index::{IndexError, View};
use crate::schema::Tag;

/// What a message scores for a word that begins with what was typed: less than most whole words,
/// and the same for each, as the rarest of them is not the likeliest.
const SCORE_OF_PREFIX: f32 = 1.0;
/// What it scores for a word that is one edit away from what was typed.
const SCORE_OF_TYPO: f32 = 0.8;
/// And for one that is two away.
const SCORE_OF_TWO_TYPOS: f32 = 0.5;
/// Phrases that one phrase with a prefix at its end stands for at most: each reads positions.
const PHRASES_MAX: usize = 16;

/// Terms that the words of one query stand for at most, besides themselves: with more words each
/// stands for fewer, so that a query of many prefixes costs no more than one of a few.
const EXPANSIONS_MAX: usize = 128;
/// Whatever the others: so many.
const EXPANSIONS_OF_WORD_MIN: usize = 2;

type Part = Box<dyn Query>;

/// Makes a query.
pub(super) struct Plan<'a> {
    view: &'a View,
    request: &'a SearchRequest,
    offset: UtcOffset,
    /// Words may be written otherwise than they are here.
    typos: bool,
    /// Terms that each word stands for at most, besides itself.
    expansions: usize,
    /// Terms that were taken in place of what was typed.
    terms: Vec<String>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(
        view: &'a View,
        request: &'a SearchRequest,
        query: &hansard_search_language::Query<UserId, ConversationId>,
    ) -> Self {
        let seconds = i32::from(request.utc_offset_minutes) * 60;
        // Beyond a day there is no offset.
        let offset = UtcOffset::from_whole_seconds(seconds).unwrap_or(UtcOffset::UTC);
        let typos = request.typos;
        let stands_for_others = |clause: &Clause<UserId, ConversationId>| match &clause.asks {
            Asks::Word(word) => word.prefix || typos,
            Asks::Phrase(phrase) => phrase.prefix,
            Asks::All(_)
            | Asks::Any(_)
            | Asks::Not(_)
            | Asks::From(_)
            | Asks::In(_)
            | Asks::Sent(_)
            | Asks::Has(_)
            | Asks::IsThread
            | Asks::MentionsMe => false,
        };
        let words = query.leaves().iter().filter(|(leaf, _)| stands_for_others(leaf)).count();
        let expansions = (EXPANSIONS_MAX / words.max(1)).max(EXPANSIONS_OF_WORD_MIN);
        Self { view, request, offset, typos, expansions, terms: Vec::new() }
    }

    /// The terms that were taken in place of what was typed.
    pub(super) fn into_terms(mut self) -> Vec<String> {
        self.terms.sort_unstable();
        self.terms.dedup();
        self.terms
    }

    /// The query of a clause.
    ///
    /// # Errors
    /// [`IndexError`] when the terms of the index cannot be read.
    pub(super) fn clause(
        &mut self,
        clause: &Clause<UserId, ConversationId>,
    ) -> Result<Part, IndexError> {
        Ok(match &clause.asks {
            Asks::All(clauses) => {
                let mut parts = Vec::with_capacity(clauses.len());
                for clause in clauses {
                    parts.push(if let Asks::Not(inner) = &clause.asks {
                        (Occur::MustNot, self.excluded(inner)?)
                    } else {
                        (Occur::Must, self.clause(clause)?)
                    });
                }
                Box::new(BooleanQuery::new(parts))
            }
            Asks::Any(clauses) => {
                let parts = clauses.iter().map(|clause| self.clause(clause));
                Box::new(BooleanQuery::union(parts.collect::<Result<_, _>>()?))
            }
            // Only beside something that is sought; alone it would be everything else.
            Asks::Not(inner) => {
                let parts: Vec<(Occur, Part)> = vec![
                    (Occur::Must, filter(Box::new(AllQuery))),
                    (Occur::MustNot, self.excluded(inner)?),
                ];
                Box::new(BooleanQuery::new(parts))
            }
            Asks::Word(word) => self.word(word)?,
            Asks::Phrase(phrase) => self.phrase(phrase)?,
            Asks::From(user) => self.tagged(Tag::Sender(*user)),
            Asks::In(conversation) => self.tagged(Tag::conversation(*conversation)),
            Asks::Sent(sent) => self.sent(sent),
            Asks::Has(Has::Link) => self.tagged(Tag::Link),
            Asks::Has(Has::Media) => self.tagged(Tag::Media),
            Asks::Has(Has::Reaction) => self.tagged(Tag::Reaction),
            Asks::IsThread => self.tagged(Tag::Thread),
            Asks::MentionsMe => self.mentions_me(),
        })
    }

    /// What is excluded is what was typed: nobody means a word that is nearly the same.
    fn excluded(&mut self, clause: &Clause<UserId, ConversationId>) -> Result<Part, IndexError> {
        let typos = std::mem::replace(&mut self.typos, false);
        let excluded = self.clause(clause);
        self.typos = typos;
        Ok(Box::new(Excluded(excluded?)))
    }

    fn tagged(&self, tag: Tag) -> Part {
        let term = tag.term(&self.view.fields);
        filter(Box::new(TermQuery::new(term, IndexRecordOption::Basic)))
    }

    /// By name or with everybody; nobody mentions themselves.
    fn mentions_me(&self) -> Part {
        let me = self.request.reader;
        let parts: Vec<(Occur, Part)> = vec![
            (
                Occur::Must,
                Box::new(BooleanQuery::union(vec![
                    self.tagged(Tag::Mention(me)),
                    self.tagged(Tag::MentionAll),
                ])),
            ),
            (Occur::MustNot, self.tagged(Tag::Sender(me))),
        ];
        filter(Box::new(BooleanQuery::new(parts)))
    }

    fn sent(&self, sent: &Sent) -> Part {
        let Bounds { from, until } = sent.bounds(self.request.now(), self.offset);
        let term = |ms: u64| Term::from_field_u64(self.view.fields.ts, ms);
        let from = from.map_or(Bound::Unbounded, |from| Bound::Included(term(from.as_millis())));
        let until =
            until.map_or(Bound::Unbounded, |until| Bound::Excluded(term(until.as_millis())));
        filter(Box::new(RangeQuery::new(from, until)))
    }

    fn term(&self, text: &str) -> Term {
        Term::from_field_text(self.view.fields.text, text)
    }

    fn exact(&self, text: &str) -> Part {
        Box::new(TermQuery::new(self.term(text), IndexRecordOption::WithFreqs))
    }

    fn word(&mut self, word: &Word) -> Result<Part, IndexError> {
        let mut ways: Vec<Part> = Vec::new();
        for way in &word.ways {
            match way {
                Way::Term(term) => {
                    ways.push(self.exact(term));
                    if word.prefix {
                        let longer = beginning_with(self.view, term, self.expansions)?;
                        ways.extend(self.others(longer));
                    }
                    if self.typos {
                        let near = misspelled(self.view, term, self.expansions)?;
                        self.terms.extend_from_slice(&near.terms);
                        ways.extend(self.others(near));
                    }
                }
                Way::Phrase(terms) => ways.push(self.terms(terms, word.prefix)?),
            }
        }
        Ok(best_of(ways))
    }

    /// Terms in place of another, if there are any.
    fn others(&self, Expansion { edits, postings, .. }: Expansion) -> Option<Part> {
        let score = match edits {
            0 => SCORE_OF_PREFIX,
            1 => SCORE_OF_TYPO,
            _ => SCORE_OF_TWO_TYPOS,
        };
        let (field, postings) = (self.view.fields.text, Arc::new(postings));
        (!postings.is_empty()).then(|| Box::new(OneOf { field, postings, score }) as Part)
    }

    fn phrase(&mut self, phrase: &Phrase) -> Result<Part, IndexError> {
        self.terms(&phrase.terms, phrase.prefix)
    }

    /// Terms one after the other, the last of which may be longer.
    fn terms(&self, terms: &[PlacedTerm], prefix: bool) -> Result<Part, IndexError> {
        let Some((last, before)) = terms.split_last() else { return Ok(Box::new(EmptyQuery)) };
        let limit = self.expansions.min(PHRASES_MAX);
        let longer = if prefix {
            beginning_with(self.view, &last.term, limit)?
        } else {
            Expansion::default()
        };
        if before.is_empty() {
            let exact = self.exact(&last.term);
            return Ok(best_of([exact].into_iter().chain(self.others(longer)).collect()));
        }
        let whole = |end: &String| -> Part {
            let placed = |offset: u32, text: &str| (offset as usize, self.term(text));
            let mut placed: Vec<(usize, Term)> =
                before.iter().map(|one| placed(one.offset, &one.term)).collect();
            placed.push((last.offset as usize, self.term(end)));
            Box::new(PhraseQuery::new_with_offset(placed))
        };
        Ok(best_of([&last.term].into_iter().chain(&longer.terms).map(whole).collect()))
    }
}

/// What must hold and says nothing of how well a message answers.
fn filter(query: Part) -> Part {
    Box::new(ConstScoreQuery::new(query, 0.0))
}

/// Any of these; a message counts for the best of them only.
fn best_of(mut ways: Vec<Part>) -> Part {
    match ways.len() {
        0 => Box::new(EmptyQuery),
        1 => ways.remove(0),
        _ => Box::new(DisjunctionMaxQuery::new(ways)),
    }
}
