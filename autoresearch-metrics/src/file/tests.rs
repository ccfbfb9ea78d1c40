use super::*;

fn read(path: &str, content: &[u8], pointer: &str, which: Option<Which>) -> Result<f64, String> {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("0");
    std::fs::write(&kept, content).unwrap();
    let log = RunLog { artifacts: [(path.to_owned(), kept)].into(), ..RunLog::default() };
    let reading = FilePlace::new(path, pointer).reading(&log, "loss", which);
    reading.map(|reading| reading.value).map_err(|error| error.to_string())
}

#[test]
fn each_format_is_read_at_its_place() {
    let json = br#"{"val": {"loss": 0.5, "best/of": 3}, "list": [1, 2, 4]}"#;
    assert_eq!(read("a.json", json, "/val/loss", None), Ok(0.5));
    assert_eq!(read("a.json", json, "/val/best~1of", None), Ok(3.0));
    assert_eq!(read("a.json", json, "/list/-1", None), Ok(4.0));
    assert_eq!(read("a.yaml", b"val:\n  loss: 0.5\n", "/val/loss", None), Ok(0.5));
    assert_eq!(read("a.toml", b"[val]\nloss = 0.5\n", "/val/loss", None), Ok(0.5));
    let csv = b"epoch,train/loss,val_loss\n1,0.9,\n1,,0.7\n2,0.8,\n2,,0.5\n";
    assert_eq!(read("a.csv", csv, "/val_loss", Some(Which::Last)), Ok(0.5));
    assert_eq!(read("a.csv", csv, "train/loss", Some(Which::First)), Ok(0.9));
    assert_eq!(read("a.csv", csv, "/train/loss", Some(Which::Min)), Ok(0.8));
    assert!(read("a.csv", csv, "/val_loss", None).unwrap_err().contains("which ="));
    assert_eq!(read("a.jsonl", b"{\"loss\": 3}\n\n{\"loss\": 2}\n", "/loss", Some(Which::Last)), Ok(2.0));
    let header =
        br#"{"__metadata__": {"val_loss": "0.5"}, "w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}"#;
    let file = [&(header.len() as u64).to_le_bytes()[..], header, &[0; 4]].concat();
    assert_eq!(read("m.safetensors", &file, "/val_loss", None), Ok(0.5));
}

#[test]
fn what_is_not_there_is_answered_with_what_is() {
    let error = read("a.json", br#"{"val": {"loss": 0.5}, "epoch": 3}"#, "/loss", None).unwrap_err();
    assert!(error.contains("/val/loss 0.5, /epoch 3"), "{error}");
    assert!(read("a.json", br#"{"loss": NaN, "note": "NaN"}"#, "/loss", None).unwrap_err().contains("NaN"));
    // The last number of a series counts, and no older one in its place.
    let series = b"{\"loss\": 0.5}\n{\"loss\": NaN}\n";
    assert!(read("a.jsonl", series, "/loss", Some(Which::Last)).unwrap_err().contains("NaN"));
    assert_eq!(read("a.jsonl", series, "/loss", Some(Which::First)), Ok(0.5));
    assert!(read("a.json", b"{", "/loss", None).unwrap_err().contains("is not JSON"));
    assert!(read("m.safetensors", b"12", "/loss", None).unwrap_err().contains("no header"));
    let log = RunLog::default();
    let error = FilePlace::new("out/*.json", "/loss").reading(&log, "loss", None).unwrap_err().to_string();
    assert!(error.contains("wrote no file `out/*.json`"), "{error}");
}

#[test]
fn several_files_of_one_pattern_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("0");
    std::fs::write(&kept, "{}").unwrap();
    let artifacts = ["out/a.json", "out/b.json"].map(|path| (path.to_owned(), kept.clone())).into();
    let log = RunLog { artifacts, ..RunLog::default() };
    let error = FilePlace::new("out/*.json", "/loss").reading(&log, "loss", None).unwrap_err().to_string();
    assert!(error.contains("out/a.json, out/b.json"), "{error}");
}
