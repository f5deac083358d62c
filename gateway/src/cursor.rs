//! Where a client is: a position in every partition, in the accounts and in the receipts, bound to
//! the epoch of the log. Opaque to clients.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hansard_model::{ConversationId, PartitionCount, Seq};

/// The form of the bytes; another one reads as a cursor of another log.
const FORM: u8 = 3;
/// The form before, which had no position in the receipts.
const FORM_WITHOUT_RECEIPTS: u8 = 2;
/// The one before that, which had no position in the accounts either.
const FORM_WITHOUT_ACCOUNTS: u8 = 1;
/// Longest text that is looked at: 1,024 partitions at 10 bytes each, in base64, and some.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// A cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// The epoch in which it was made.
    pub(crate) epoch: u64,
    /// By partition: everything of the client's up to here was sent. Empty: nothing was ever sent.
    pub(crate) positions: Vec<Seq>,
    /// All changes of the user's own settings up to here were told.
    pub(crate) accounts: Seq,
    /// All receipts up to here were told.
    pub(crate) receipts: Seq,
}

/// What a client's cursor is worth here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// It has nothing.
    Nothing,
    /// It has everything up to these positions.
    From {
        /// By partition.
        positions: Vec<Seq>,
        /// In the accounts.
        accounts: Seq,
        /// In the receipts.
        receipts: Seq,
    },
    /// It has events of another log.
    Reset,
}

/// The text is not a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor")]
pub(crate) struct ParseCursorError;

impl Cursor {
    /// As text.
    pub(crate) fn to_text(&self) -> String {
        let mut bytes = Vec::with_capacity(16 + self.positions.len() * 5);
        bytes.push(FORM);
        put_varint(&mut bytes, self.epoch);
        put_varint(&mut bytes, self.accounts.0);
        put_varint(&mut bytes, self.receipts.0);
        put_varint(&mut bytes, self.positions.len() as u64);
        for position in &self.positions {
            put_varint(&mut bytes, position.0);
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads what a client sent.
    ///
    /// # Errors
    /// [`ParseCursorError`] for text that this code cannot have made.
    pub(crate) fn parse(text: &str) -> Result<Self, ParseCursorError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(ParseCursorError);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| ParseCursorError)?;
        let (form, mut rest) = bytes.split_first().ok_or(ParseCursorError)?;
        let epoch = take_varint(&mut rest)?;
        // Whatever has no position is told once more.
        let (accounts, receipts) = match *form {
            FORM => (Seq(take_varint(&mut rest)?), Seq(take_varint(&mut rest)?)),
            FORM_WITHOUT_RECEIPTS => (Seq(take_varint(&mut rest)?), Seq::ZERO),
            FORM_WITHOUT_ACCOUNTS => (Seq::ZERO, Seq::ZERO),
            _ => return Err(ParseCursorError),
        };
        let count = usize::try_from(take_varint(&mut rest)?).map_err(|_| ParseCursorError)?;
        if count > rest.len() {
            return Err(ParseCursorError);
        }
        let positions =
            (0..count).map(|_| take_varint(&mut rest).map(Seq)).collect::<Result<Vec<_>, _>>()?;
        let cursor = Self { epoch, positions, accounts, receipts };
        if rest.is_empty() { Ok(cursor) } else { Err(ParseCursorError) }
    }

    /// What it is worth in a log of `epoch` with `partitions`.
    pub(crate) fn start(self, epoch: u64, partitions: PartitionCount) -> Start {
        if self.epoch != epoch {
            Start::Reset
        } else if self.positions.is_empty() {
            Start::Nothing
        } else if self.positions.len() == usize::from(partitions.get()) {
            let Self { positions, accounts, receipts, .. } = self;
            Start::From { positions, accounts, receipts }
        } else {
            Start::Reset
        }
    }
}

impl Start {
    /// The position from which a client needs the events of a conversation.
    pub(crate) fn after(&self, conversation: ConversationId, partitions: PartitionCount) -> Seq {
        match self {
            Self::From { positions, .. } => {
                let partition = conversation.partition(partitions).index();
                positions.get(partition).copied().unwrap_or(Seq::ZERO)
            }
            Self::Nothing | Self::Reset => Seq::ZERO,
        }
    }
}

/// Writes a number, small ones in few bytes.
pub(crate) fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Reads a number from the front.
///
/// # Errors
/// [`ParseCursorError`]
pub(crate) fn take_varint(bytes: &mut &[u8]) -> Result<u64, ParseCursorError> {
    let mut value = 0_u64;
    for shift in (0..70).step_by(7) {
        let (first, rest) = bytes.split_first().ok_or(ParseCursorError)?;
        *bytes = rest;
        let part = u64::from(first & 0x7F);
        if shift == 63 && part > 1 {
            return Err(ParseCursorError);
        }
        value |= part << shift;
        if first & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(ParseCursorError)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn cursors_parse_what_they_print(
            epoch: u64,
            accounts: u64,
            receipts: u64,
            positions in prop::collection::vec(any::<u64>(), 0..40)
        ) {
            let positions = positions.into_iter().map(Seq).collect();
            let (accounts, receipts) = (Seq(accounts), Seq(receipts));
            let cursor = Cursor { epoch, positions, accounts, receipts };
            prop_assert_eq!(Cursor::parse(&cursor.to_text()), Ok(cursor));
        }

        #[test]
        fn hostile_text_is_refused_or_read_but_never_believed_too_much(text in "[A-Za-z0-9_-]{0,64}") {
            if let Ok(cursor) = Cursor::parse(&text) {
                prop_assert!(cursor.positions.len() <= text.len());
            }
        }
    }

    #[test]
    fn a_cursor_of_another_log_is_a_reset() {
        let two = PartitionCount::new(2).expect("valid");
        let positions = vec![Seq(3), Seq(4)];
        let (accounts, receipts) = (Seq(9), Seq(5));
        let cursor = Cursor { epoch: 1, positions: positions.clone(), accounts, receipts };
        let from = Start::From { positions, accounts, receipts };
        assert_eq!(cursor.clone().start(1, two), from);
        assert_eq!(cursor.clone().start(2, two), Start::Reset);
        assert_eq!(cursor.start(1, PartitionCount::DEFAULT), Start::Reset);
        let nothing = Cursor { epoch: 1, positions: Vec::new(), accounts, receipts };
        assert_eq!(nothing.start(1, two), Start::Nothing);
    }

    #[test]
    fn cursors_of_earlier_forms_are_read() {
        let cursor = |accounts| {
            let (positions, receipts) = (vec![Seq(3), Seq(4)], Seq::ZERO);
            Ok(Cursor { epoch: 7, positions, accounts, receipts })
        };
        let parse = |bytes: &[u8]| Cursor::parse(&URL_SAFE_NO_PAD.encode(bytes));
        assert_eq!(parse(&[1, 7, 2, 3, 4]), cursor(Seq::ZERO));
        assert_eq!(parse(&[2, 7, 9, 2, 3, 4]), cursor(Seq(9)));
        assert_eq!(parse(&[4, 7, 0, 0, 0]), Err(ParseCursorError));
    }
}
