//! From text to the tree.

use std::ops::Range;

use super::{
    Asks, CLAUSES_MAX, Clause, DEPTH_MAX, Has, Moment, Name, Phrase, QUERY_BYTES_MAX,
    QUERY_TERMS_MAX, Query, QueryError, QueryProblem, Relation, Sent, Word,
};
use crate::analysis::{Class, Terms, class};

/// Reads a query.
///
/// # Errors
/// [`QueryError`] with its place in `input`.
pub fn parse(input: &str) -> Result<Query, QueryError> {
    let mut reader = Reader::new(input)?;
    let clauses = reader.list(0, None)?;
    let whole = Clause { span: 0..input.len(), asks: Asks::All(clauses) };
    if matches!(&whole.asks, Asks::All(clauses) if clauses.is_empty()) {
        return Err(QueryError { problem: QueryProblem::Empty, span: whole.span });
    }
    Ok(Query { root: settle(whole)? })
}

/// Reads a query from left to right.
pub(super) struct Reader<'a> {
    pub(super) input: &'a str,
    /// Where it is.
    pub(super) at: usize,
    terms: Terms,
    leaves: usize,
    terms_sought: usize,
}

/// What an operand may be preceded by.
#[derive(Clone, Copy)]
struct Place {
    /// Groups that are open.
    depth: usize,
    /// Whether it is negated.
    negated: bool,
}

impl<'a> Reader<'a> {
    /// At the beginning.
    ///
    /// # Errors
    /// [`QueryProblem::TooLong`]
    pub(super) fn new(input: &'a str) -> Result<Self, QueryError> {
        if input.len() > QUERY_BYTES_MAX {
            let span = input.floor_char_boundary(QUERY_BYTES_MAX)..input.len();
            return Err(QueryError { problem: QueryProblem::TooLong, span });
        }
        Ok(Self { input, at: 0, terms: Terms::new(), leaves: 0, terms_sought: 0 })
    }

    pub(super) fn rest(&self) -> &'a str {
        &self.input[self.at..]
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn error(problem: QueryProblem, span: Range<usize>) -> QueryError {
        QueryError { problem, span }
    }

    /// Passes over spaces and what nobody sees.
    pub(super) fn skip_spaces(&mut self) {
        let blank = |c: char| {
            c.is_whitespace() || c == '\0' || (!c.is_ascii() && class(c) == Class::Attached)
        };
        self.at = self.input.len() - self.rest().trim_start_matches(blank).len();
    }

    /// Clauses that must hold together, up to the end of the group or of the query.
    fn list(&mut self, depth: usize, group: Option<usize>) -> Result<Vec<Clause>, QueryError> {
        let mut clauses: Vec<Clause> = Vec::new();
        let mut alternative = false;
        loop {
            self.skip_spaces();
            let Some(c) = self.peek() else { break };
            if c == ')' {
                self.at += 1;
                if group.is_some() {
                    break;
                }
                continue;
            }
            if !clauses.is_empty() && !alternative && self.takes_or(depth) {
                alternative = true;
                continue;
            }
            let Some(clause) = self.operand(Place { depth, negated: false })? else { continue };
            let clause = match clauses.pop_if(|_| alternative) {
                Some(first) => first.or(clause),
                None => clause,
            };
            clauses.push(clause);
            alternative = false;
        }
        Ok(clauses)
    }

    /// Whether an `or` is next; passes over it.
    fn takes_or(&mut self, depth: usize) -> bool {
        let end = self.word_end(depth);
        let is_or = self.input[self.at..end].eq_ignore_ascii_case("or");
        if is_or {
            self.at = end;
        }
        is_or
    }

    /// A clause with what is before it; `None` when there is nothing to look for in it.
    fn operand(&mut self, place: Place) -> Result<Option<Clause>, QueryError> {
        let start = self.at;
        let Some(c) = self.peek() else { return Ok(None) };
        if c == '-' && !place.negated && self.negates(place.depth) {
            self.at += 1;
            let negated = self.operand(Place { negated: true, ..place })?;
            return Ok(negated.map(|clause| Clause {
                span: start..clause.span.end,
                asks: Asks::Not(Box::new(clause)),
            }));
        }
        if c == '(' {
            if place.depth >= DEPTH_MAX {
                return Err(Self::error(QueryProblem::TooDeep, start..start + 1));
            }
            self.at += 1;
            let clauses = self.list(place.depth + 1, Some(start))?;
            let span = start..self.at;
            return Ok((!clauses.is_empty()).then_some(Clause { span, asks: Asks::All(clauses) }));
        }
        if let Some(asks) = self.filter(place)? {
            return self.leaf(start, asks).map(Some);
        }
        if let Some(closing) = closing_quotes(c) {
            return self.phrase(c, closing, place);
        }
        self.word(place)
    }

    /// A single `-` with something right behind it that is no option of a command: nobody excludes
    /// a letter, and many paste `dpkg --configure -a`.
    pub(super) fn negates(&self, depth: usize) -> bool {
        let behind = &self.input[self.at + 1..self.word_end(depth)];
        let option = behind.len() == 1 && behind.as_bytes()[0].is_ascii_alphanumeric();
        !option && behind.chars().next().is_some_and(|c| !matches!(c, '-' | '>' | ')'))
    }

    fn leaf(&mut self, start: usize, asks: Asks) -> Result<Clause, QueryError> {
        let span = start..self.at;
        self.leaves += 1;
        if self.leaves > CLAUSES_MAX {
            return Err(Self::error(QueryProblem::TooManyClauses, span));
        }
        if let Asks::Word(word) = &asks {
            self.terms_sought += word.terms();
        } else if let Asks::Phrase(phrase) = &asks {
            self.terms_sought += phrase.terms.len();
        }
        if self.terms_sought > QUERY_TERMS_MAX {
            return Err(Self::error(QueryProblem::TooManyTerms, span));
        }
        Ok(Clause { span, asks })
    }

    fn phrase(
        &mut self,
        quote: char,
        closing: &[char],
        place: Place,
    ) -> Result<Option<Clause>, QueryError> {
        let start = self.at;
        let (from, to, closed) = self.quoted(quote, closing);
        let text = &self.input[from..to];
        let prefix = !closed && !place.negated && is_open(text);
        match Phrase::read(text, prefix, &mut self.terms) {
            Some(phrase) => self.leaf(start, Asks::Phrase(phrase)).map(Some),
            None => Ok(None),
        }
    }

    /// Passes over what is in quotes; says where it is, and whether the quotes are closed.
    pub(super) fn quoted(&mut self, quote: char, closing: &[char]) -> (usize, usize, bool) {
        let from = self.at + quote.len_utf8();
        match self.input[from..].char_indices().find(|(_, c)| closing.contains(c)) {
            Some((length, close)) => {
                self.at = from + length + close.len_utf8();
                (from, from + length, true)
            }
            None => {
                self.at = self.input.len();
                (from, self.at, false)
            }
        }
    }

    fn word(&mut self, place: Place) -> Result<Option<Clause>, QueryError> {
        let start = self.at;
        self.at = self.word_end(place.depth);
        let text = &self.input[start..self.at];
        let last = self.at == self.input.len();
        let prefix = !place.negated && ((last && is_open(text)) || is_starred(text));
        match Word::read(text, prefix, &mut self.terms) {
            Some(word) => self.leaf(start, Asks::Word(word)).map(Some),
            None => Ok(None),
        }
    }

    /// Where the word that begins here ends: before a space, or the end of its group.
    pub(super) fn word_end(&self, depth: usize) -> usize {
        let mut inner = 0_usize;
        for (length, c) in self.rest().char_indices() {
            match c {
                _ if c.is_whitespace() => return self.at + length,
                '(' if length > 0 => inner += 1,
                ')' if inner > 0 => inner -= 1,
                ')' if depth > 0 && length > 0 => return self.at + length,
                _ => {}
            }
        }
        self.input.len()
    }

    /// Passes over the name of a filter and its colon, if one begins here.
    pub(super) fn takes_filter(&mut self) -> Option<(&'static str, Filter)> {
        let rest = self.rest();
        let letters = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let (name, behind) = rest.split_at(letters);
        let known = FILTERS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        let colon = behind.chars().next().filter(|c| matches!(c, ':' | '\u{ff1a}'))?;
        self.at += letters + colon.len_utf8();
        Some(*known)
    }

    /// A filter, if one begins here.
    fn filter(&mut self, place: Place) -> Result<Option<Asks>, QueryError> {
        let start = self.at;
        let Some((name, filter)) = self.takes_filter() else { return Ok(None) };
        let value = self.value(place);
        if value.text.is_empty() {
            let span = start..self.at;
            return Err(Self::error(QueryProblem::NoValue(name), span));
        }
        let unknown = |problem| Self::error(problem, value.span.clone());
        let text = value.text.as_str();
        let is = |known: &str| text.eq_ignore_ascii_case(known);
        let asks = match filter {
            Filter::From => Asks::From(value),
            Filter::In => Asks::In(value),
            Filter::Sent(relation) => match Moment::parse(text) {
                Some(moment) => Asks::Sent(Sent { relation, moment }),
                None => return Err(unknown(QueryProblem::BadDate)),
            },
            Filter::Has if is("link") => Asks::Has(Has::Link),
            Filter::Has if is("media") => Asks::Has(Has::Media),
            Filter::Has if is("reaction") => Asks::Has(Has::Reaction),
            Filter::Has => return Err(unknown(QueryProblem::UnknownHas)),
            Filter::Mentions if is("me") => Asks::MentionsMe,
            Filter::Mentions => return Err(unknown(QueryProblem::UnknownMentions)),
            Filter::Is if is("thread") => Asks::IsThread,
            Filter::Is => return Err(unknown(QueryProblem::UnknownIs)),
        };
        Ok(Some(asks))
    }

    /// What is behind the colon of a filter; empty when there is nothing.
    fn value(&mut self, place: Place) -> Name {
        let start = self.at;
        let quote = self.peek().and_then(|c| Some((c, closing_quotes(c)?)));
        let text = if let Some((quote, closing)) = quote {
            let (from, to, _) = self.quoted(quote, closing);
            self.input[from..to].trim()
        } else {
            self.at = self.word_end(place.depth);
            self.input[start..self.at].trim_end_matches([',', ';', '!', '?'])
        };
        let text = text.strip_prefix(['@', '#']).unwrap_or(text).to_owned();
        Name { text, span: start..self.at }
    }
}

/// What a filter is about.
#[derive(Clone, Copy)]
pub(super) enum Filter {
    From,
    In,
    Sent(Relation),
    Has,
    Mentions,
    Is,
}

const FILTERS: [(&str, Filter); 8] = [
    ("from", Filter::From),
    ("in", Filter::In),
    ("before", Filter::Sent(Relation::Before)),
    ("after", Filter::Sent(Relation::After)),
    ("on", Filter::Sent(Relation::On)),
    ("has", Filter::Has),
    ("mentions", Filter::Mentions),
    ("is", Filter::Is),
];

/// What ends a quotation that begins with `c`; `None` when none begins with it.
pub(super) fn closing_quotes(c: char) -> Option<&'static [char]> {
    match c {
        '"' | '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{201f}' | '\u{ff02}' => {
            Some(&['"', '\u{201c}', '\u{201d}', '\u{ff02}'])
        }
        '\u{ab}' => Some(&['\u{bb}']),
        '\u{bb}' => Some(&['\u{ab}']),
        '\u{300c}' => Some(&['\u{300d}']),
        '\u{300e}' => Some(&['\u{300f}']),
        _ => None,
    }
}

/// Whether whoever writes this may be in the middle of a word.
fn is_open(text: &str) -> bool {
    text.chars().next_back().is_some_and(|c| {
        if c.is_ascii() {
            c.is_ascii_alphanumeric() || "-_.'+:/@&#".contains(c)
        } else {
            matches!(class(c), Class::Letter | Class::Attached | Class::Apostrophe)
        }
    })
}

/// Whether it is the beginning of a word, marked as such: `foo*`, but not `*foo*`.
fn is_starred(text: &str) -> bool {
    text.strip_suffix('*').is_some_and(|word| !word.contains('*') && is_open(word))
}

impl Clause {
    /// This clause or another that is written behind it.
    fn or(self, other: Self) -> Self {
        let span = self.span.start..other.span.end;
        let clauses = match self {
            Self { asks: Asks::Any(mut clauses), .. } => {
                clauses.push(other);
                clauses
            }
            first => vec![first, other],
        };
        Self { span, asks: Asks::Any(clauses) }
    }
}

/// Puts the tree into the form that [`Asks`] promises.
fn settle(clause: Clause) -> Result<Clause, QueryError> {
    let Clause { span, asks } = clause;
    match asks {
        Asks::All(clauses) => {
            let mut settled = Vec::new();
            settle_all(clauses, &mut settled)?;
            if settled.iter().all(|clause| matches!(clause.asks, Asks::Not(_))) {
                return Err(QueryError { problem: QueryProblem::OnlyNegations, span });
            }
            Ok(one_or(settled, span, Asks::All))
        }
        Asks::Any(clauses) => {
            let mut settled = Vec::new();
            for clause in clauses {
                let clause = settle(clause)?;
                if matches!(clause.asks, Asks::Not(_)) {
                    let problem = QueryProblem::OnlyNegations;
                    return Err(QueryError { problem, span: clause.span });
                }
                if let Asks::Any(clauses) = clause.asks {
                    settled.extend(clauses);
                } else {
                    settled.push(clause);
                }
            }
            Ok(one_or(settled, span, Asks::Any))
        }
        Asks::Not(clause) => {
            let asks = Asks::Not(Box::new(settle(*clause)?));
            Ok(Clause { span, asks })
        }
        Asks::Word(_)
        | Asks::Phrase(_)
        | Asks::From(_)
        | Asks::In(_)
        | Asks::Sent(_)
        | Asks::Has(_)
        | Asks::MentionsMe
        | Asks::IsThread => Ok(Clause { span, asks }),
    }
}

/// Groups within a list are of the list: nothing else must be sought within them.
fn settle_all(clauses: Vec<Clause>, settled: &mut Vec<Clause>) -> Result<(), QueryError> {
    for clause in clauses {
        if let Asks::All(clauses) = clause.asks {
            settle_all(clauses, settled)?;
        } else {
            settled.push(settle(clause)?);
        }
    }
    Ok(())
}

fn one_or(
    mut clauses: Vec<Clause>,
    span: Range<usize>,
    many: impl FnOnce(Vec<Clause>) -> Asks,
) -> Clause {
    match (clauses.pop(), clauses.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            clauses.extend(last);
            Clause { span, asks: many(clauses) }
        }
    }
}
