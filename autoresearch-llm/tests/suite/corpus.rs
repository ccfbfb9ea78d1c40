//! Documents of one's own, in every form they may have.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::sync::Arc;

use autoresearch_llm::corpus::{Goes, Part, local, read};
use parquet::data_type::{ByteArray, ByteArrayType, Int32Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

const TEXTS: [&str; 3] = ["first", "second\nwith a line", "dritte \u{fc}"];

fn write_parquet(path: &Path) {
    let schema = parse_message_type("message m { required int32 number; required binary text (UTF8); }").unwrap();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(WriterProperties::default())).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int32Type>().write_batch(&[1, 2, 3], None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&TEXTS.map(ByteArray::from), None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
}

fn documents(parts: &[Part]) -> (Vec<String>, Vec<String>) {
    let (mut train, mut val) = (vec![], vec![]);
    for part in parts {
        let (t, v) = part.load().unwrap();
        train.extend(t);
        val.extend(v);
    }
    (train, val)
}

#[test]
fn every_form_gives_the_same_documents() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    write_parquet(&at("a.parquet"));
    let lines = TEXTS.map(|text| serde_json::json!({ "id": 1, "text": text }).to_string());
    std::fs::write(at("a.jsonl"), lines.join("\n\n")).unwrap();
    std::fs::write(at("a.txt"), TEXTS.join("<|endoftext|>\n")).unwrap();
    std::fs::create_dir_all(at("many/deeper")).unwrap();
    for (name, text) in
        [("many/1.txt", TEXTS[0]), ("many/2.md", TEXTS[1]), ("many/deeper/3.rs", TEXTS[2]), ("many/.hidden", "no")]
    {
        std::fs::write(at(name), text).unwrap();
    }
    for name in ["a.parquet", "a.jsonl", "a.txt", "many"] {
        let (train, val) = documents(&local::parts(&[at(name)], &[at("a.txt")]).unwrap());
        assert_eq!(train, TEXTS, "{name}");
        assert_eq!(val, TEXTS, "{name}");
    }
}

#[test]
fn a_document_goes_the_same_way_whatever_stands_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let text =
        |numbers: std::ops::Range<u32>| numbers.map(|i| format!("document {i}<|endoftext|>")).collect::<String>();
    let split = |name: &str, numbers| {
        let path = folder.path().join(name);
        std::fs::write(&path, text(numbers)).unwrap();
        documents(&local::parts(&[path], &[]).unwrap())
    };
    let (all_train, all_val) = split("all.txt", 0..3000);
    let (_, few_val) = split("few.txt", 1000..2000);
    assert!((50..150).contains(&all_val.len()), "{}", all_val.len());
    assert_eq!(all_train.len() + all_val.len(), 3000);
    assert!(few_val.iter().all(|document| all_val.contains(document)) && !few_val.is_empty());
}

#[test]
fn a_long_text_is_cut_at_blank_lines_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.txt");
    let text: String = (0..5000).map(|i| format!("Speech {i}:\nWords and words.\n\n")).collect();
    std::fs::write(&path, &text).unwrap();
    let documents = read::text(&path).unwrap();
    assert!(documents.len() > 50 && documents.iter().all(|d| d.len() < 2100 && d.starts_with("Speech")));
    assert_eq!(documents.concat(), text);
    assert!(matches!(local::parts(&[path], &[]).unwrap()[0].goes, Goes::ByContent));
}
