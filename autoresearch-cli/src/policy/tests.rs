use super::*;

const FULL: &str = r#"
editable = ["a", "src/**"]
locked = ["{cache}/data"]
[build]
command = ["make"]
limit_seconds = 30
keeps = ["{target}/x"]
[run]
command = ["./run"]
limit_seconds = 60
repeats = 2
[limits]
memory_gb = 1
file_gb = 2
processes = 3
[environment]
A = "1"
API_TOKEN = "very-secret"
[metric]
name = "score"
direction = "minimise"
unit = "points"
[ratchet]
rule = "noise-aware"
alpha = 0.2
[ratchet.limits]
memory = { at_most = 5 }
[constants]
WIDTH = "64"
[screening]
rungs = [0.2]
class = "small"
[workers]
devices = [{ device = "cuda:0", class = "big" }, { device = "cuda:1", class = "small" }]
"#;

fn of(text: &str) -> Policy {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("autoresearch.toml");
    std::fs::write(&path, text).unwrap();
    std::fs::write(folder.path().join("data"), "1").unwrap();
    let config = Config::read(&path, None, &toml::Table::new()).unwrap();
    let placeholders = Placeholders { repo: "/r".into(), cache: folder.path().into(), preset: String::new() };
    policy(&config, &placeholders, &WorkerPlan::new(&config).unwrap()).unwrap()
}

/// The text is written into journals: a change here makes runs that cannot be continued.
#[test]
fn the_names_are_these_whatever_the_program_calls_its_fields() {
    let found = serde_json::to_string(&of(FULL)).unwrap();
    let expected = concat!(
        r#"{"v":1,"build.command":["make"],"build.keeps":["{target}/x"],"build.limit_seconds":30.0,"#,
        r#""constants.WIDTH":"64","editable":["a","src/**"],"environment.A":"1","#,
        r#""environment.API_TOKEN":"blake3:5bea68235a3b4350","limits.file_bytes":2147483648,"limits.memory_bytes":1073741824,"#,
        r#""limits.processes":3,"locked.{cache}/data":"HASH","metric.direction":"minimise","metric.kind":"number","#,
        r#""metric.name":"score","metric.repeats_of":"median","metric.unit":"points","ratchet.alpha":0.2,"#,
        r#""ratchet.limits.memory.at_most":5.0,"ratchet.rule":"noise-aware","run.command":["./run"],"run.limit_seconds":60.0,"#,
        r#""run.repeats":2,"screening.allowance":0.0,"screening.class":"small","screening.control":5,"screening.margin":1.0,"#,
        r#""screening.repeats":2,"screening.rungs":[0.2],"screening.second_margin":2.0,"#,
        r#""workers.hardware":[{"class":"big","cpus":0,"gpus":1},{"class":"small","cpus":0,"gpus":1}]}"#
    );
    assert_eq!(found, expected.replace("HASH", &hash(b"1")));
    assert_eq!(serde_json::from_str::<Policy>(&found).unwrap(), of(FULL));
}

#[test]
fn only_what_decides_the_number_is_in_it() {
    let minimal = "editable = ['a']\n[run]\ncommand = ['./run']\n[metric]\nname = 'ms'\ndirection = 'minimise'\n";
    let plain = of(minimal);
    for same in
        ["[stop]\nexperiments = 3\n", "[workers]\nahead = true\nbuilders = 2\n", "[proposer]\nkind = 'claude'\n"]
    {
        assert_eq!(of(&format!("{minimal}{same}")), plain, "{same}");
    }
    let american = minimal.replace("minimise", "minimize").replace("['./run']", "['./run']\nlimit_seconds = 600.0");
    assert_eq!(of(&american), plain);
    let with = |devices: &str| of(&format!("{minimal}[workers]\ndevices = [{devices}]\n"));
    let one = with("'cuda:0'");
    assert_eq!(one, with("'cuda:2', 'cuda:1', 'cuda:0'"), "more workers of the same kind");
    for other in ["'cuda:0+1'", "'cuda:0/cpus:0'", "{ device = 'cuda:0', class = 'h100' }", "'cpus:0'"] {
        assert_ne!(one, with(other), "{other}");
    }
    assert_ne!(one, plain, "a trial may have seen all of several GPUs");
    let network = |keys: &str| {
        let policy = of(&format!("{minimal}[isolation]\nlevel = 'strict'\n{keys}\n"));
        policy.get("isolation.network").unwrap().to_string()
    };
    for (keys, written) in [
        ("", "false"),
        ("network = false", "false"),
        ("network = []", "false"),
        ("network = true", "true"),
        ("network = ['b.org', 'a.org:80']", "[\"b.org\",\"a.org:80\"]"),
    ] {
        assert_eq!(network(keys), written, "{keys}");
    }
}

#[test]
fn the_sources_of_a_metric_and_the_objectives_are_in_it() {
    let minimal = "editable = ['a']\n[run]\ncommand = ['./run']\n[metric]\nname = 'ms'\ndirection = 'minimise'\n";
    let plain = of(minimal);
    for (keys, name) in [
        ("which = 'min'\n", "metric.which"),
        ("pattern = '^a (.*)'\n", "metric.pattern"),
        ("file = 'a.json'\npointer = '/a'\n", "metric.file"),
        ("file = 'a.json'\npointer = '/a'\n", "metric.pointer"),
        ("file = 'a'\npointer = '/a'\nformat = 'yaml'\n", "metric.format"),
        ("reader = 'criterion'\n", "metric.reader"),
        ("reader = 'criterion'\nentry = 'fib'\n", "metric.entry"),
        ("quantity = 'max_rss'\n", "metric.quantity"),
        ("quantity = 'lines_of_code'\nfiles = ['src/**']\n", "metric.files"),
        ("composite = 'a + b'\n", "metric.composite"),
        ("[metric.parts.b]\npattern = '^a (.*)'\n", "metric.parts.b.pattern"),
        ("[metric.parts.b]\nunit = 's'\nquantity = 'cpu'\n", "metric.parts.b.unit"),
        (
            "[ratchet]\nrule = 'pareto'\n[ratchet.objectives]\nb = { direction = 'maximize', min_gain = 0.5 }\n",
            "ratchet.objectives.b.min_gain",
        ),
    ] {
        let policy = of(&format!("{minimal}{keys}"));
        assert!(policy != plain && policy.get(name).is_some(), "{keys}: {name} is not in the policy");
    }
}

#[test]
fn on_another_machine_values_of_variables_and_workers_do_not_count() {
    let journaled = of(FULL);
    let read = |text: &str| Config::from_text("bundle", text).unwrap();
    let differences = |text: &str| -> Vec<String> {
        elsewhere(&read(text), &journaled).unwrap().into_iter().map(|difference| difference.name).collect()
    };
    let moved = FULL.replace("A = \"1\"", "A = \"2\"").replace("cuda:1", "cuda:7");
    assert_eq!(differences(&moved), Vec::<String>::new());
    let more = FULL.replace("A = \"1\"", "A = \"1\"\nB = \"1\"").replace("[\"{cache}/data\"]", "[]");
    assert_eq!(differences(&more), ["environment.B", "locked.{cache}/data"]);
    assert_eq!(differences(&FULL.replace("alpha = 0.2", "alpha = 0.3")), ["ratchet.alpha"]);
    assert_eq!(differences(&FULL.replace("./run", "./other")), ["run.command"]);
}
