//! What an index holds, read from its files without any of our own code: two indexes of one log
//! are the same when this is.

use std::collections::BTreeMap;
use std::path::Path;

use hansard_model::Seq;
use serde_json::Value;
use tantivy::collector::DocSetCollector;
use tantivy::query::AllQuery;
use tantivy::schema::{IndexRecordOption, Value as _};
use tantivy::{DocAddress, DocSet as _, Index, ReloadPolicy, TERMINATED, TantivyDocument};

/// A document: what it was kept as, its columns, and each term with its places.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Document {
    kept: Vec<u8>,
    columns: [Option<u64>; 2],
    conversation: Vec<u8>,
    terms: Vec<(&'static str, Vec<u8>, Vec<u32>)>,
}

/// Every document that is there, as often as it is there.
pub(crate) fn documents(directory: &Path) -> Vec<Document> {
    let index = Index::open_in_dir(directory).expect("an index");
    let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual);
    let reader = reader.try_into().expect("a reader");
    let (searcher, schema) = (tantivy::IndexReader::searcher(&reader), index.schema());
    let field = |name| schema.get_field(name).expect("a field");
    let mut documents: BTreeMap<DocAddress, Document> = BTreeMap::new();
    for address in searcher.search(&AllQuery, &DocSetCollector).expect("documents") {
        let kept: TantivyDocument = searcher.doc(address).expect("a document");
        let kept = kept.get_first(field("document")).and_then(|kept| kept.as_bytes());
        let fast = searcher.segment_reader(address.segment_ord).fast_fields();
        let column = |name| fast.u64(name).expect("a column").first(address.doc_id);
        let conversations = fast.bytes("conversation").expect("a column");
        let mut conversation = Vec::new();
        if let Some(conversations) = conversations
            && let Some(ord) = conversations.term_ords(address.doc_id).next()
        {
            conversations.ord_to_bytes(ord, &mut conversation).expect("a value");
        }
        let document = Document {
            kept: kept.expect("kept").to_vec(),
            columns: [column("seq"), column("ts")],
            conversation,
            terms: Vec::new(),
        };
        documents.insert(address, document);
    }
    for (segment_ord, segment) in (0..).zip(searcher.segment_readers()) {
        for name in ["tag", "text"] {
            let inverted = segment.inverted_index(field(name)).expect("terms");
            let mut terms = inverted.terms().stream().expect("terms");
            while let Some((term, info)) = terms.next() {
                let option = IndexRecordOption::WithFreqsAndPositions;
                let mut postings =
                    inverted.read_postings_from_terminfo(info, option).expect("postings");
                while postings.doc() != TERMINATED {
                    let address = DocAddress { segment_ord, doc_id: postings.doc() };
                    if let Some(document) = documents.get_mut(&address) {
                        let mut places = Vec::new();
                        tantivy::postings::Postings::positions(&mut postings, &mut places);
                        document.terms.push((name, term.to_vec(), places));
                    }
                    postings.advance();
                }
            }
        }
    }
    let mut documents: Vec<Document> = documents.into_values().collect();
    documents.sort_unstable();
    documents
}

/// How far the index of a directory is; 0 when there is none.
pub(crate) fn committed(directory: &Path) -> Seq {
    let position = || {
        let meta: Value =
            serde_json::from_slice(&std::fs::read(directory.join("meta.json")).ok()?).ok()?;
        let position: Value = serde_json::from_str(meta["payload"].as_str()?).ok()?;
        position["seq"].as_u64()
    };
    Seq(position().unwrap_or(0))
}

/// That two indexes are the same; says where they differ first.
pub(crate) fn assert_same(one: &Path, other: &Path) {
    assert_eq!(committed(one), committed(other), "{} and {}", one.display(), other.display());
    let (one, other) = (documents(one), documents(other));
    if let Some((one, other)) = one.iter().zip(&other).find(|(one, other)| one != other) {
        panic!("the same up to\n{one:?}\nand\n{other:?}");
    }
    assert_eq!(one.len(), other.len());
    assert!(one.windows(2).all(|pair| pair[0] != pair[1]), "a document is there twice");
}
