//! The terms of the search language, as the index takes them.

use hansard_search_language::Terms;
use hansard_search_language::analysis::Term;
use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

/// Makes terms of texts, in buffers that are used again.
#[derive(Clone, Default)]
pub(crate) struct Analysis {
    terms: Terms,
    token: Token,
}

/// The terms of one text.
pub(crate) struct Stream<'a> {
    terms: &'a Terms,
    next: usize,
    token: &'a mut Token,
}

impl Tokenizer for Analysis {
    type TokenStream<'a> = Stream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Stream<'a> {
        let Self { terms, token } = self;
        terms.analyze(text);
        token.reset();
        Stream { terms, next: 0, token }
    }
}

impl TokenStream for Stream<'_> {
    fn advance(&mut self) -> bool {
        let Some(Term { text, position, span }) = self.terms.get(self.next) else { return false };
        self.next += 1;
        self.token.text.clear();
        self.token.text.push_str(text);
        self.token.position = position as usize;
        (self.token.offset_from, self.token.offset_to) = (span.start, span.end);
        true
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}
