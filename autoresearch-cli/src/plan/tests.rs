use super::*;

const MINIMAL: &str = "editable = ['a']\n[run]\ncommand = ['./run']\n[metric]\nname = 'ms'\ndirection = 'minimise'\n";

fn read_over(text: &str, arguments: &toml::Table) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("autoresearch.toml");
    std::fs::write(&path, text).unwrap();
    Config::read(&path, None, arguments).map_err(|error| error.to_string())
}

fn read(more: &str) -> Result<Config, String> {
    read_over(&format!("{MINIMAL}{more}"), &toml::Table::new())
}

fn devices(device: &str) -> toml::Table {
    toml::from_str(&format!("[workers]\ncount = 1\ndevices = ['{device}']\n")).unwrap()
}

#[test]
fn mistakes_in_workers_are_named() {
    let timing = "kind = 'timing'\nclock = 'wall'\nunit = 'ms'\n";
    let classes = |screening: &str| {
        format!(
            "{screening}[workers]\ndevices = [{{ device = 'cuda:0', class = 'big' }}, {{ device = 'cuda:1', class = 'small' }}]\n"
        )
    };
    for (more, words) in [
        ("[workers]\ncount = 0\n".to_owned(), "[workers] count is 0; give a number from 1"),
        ("[workers]\ncuont = 2\n".into(), "do you mean count?"),
        ("[workers]\ncount = 3\ndevices = ['cuda:0', 'cuda:1']\n".into(), "count is 3, and devices names 2"),
        ("[workers]\ndevices = ['gpu:0']\n".into(), "[workers] devices: the device `gpu:0`"),
        ("[workers]\ndevices = [7]\n".into(), "a device is a text as 'cuda:0'"),
        ("[workers]\ndevices = [{ device = 'cuda:0' }]\n".into(), "a device is a text as 'cuda:0'"),
        ("[workers]\ndevices = ['cpus:0-1', 'cpus:1-2']\n".into(), "CPU 1 belongs to worker 0 and to worker 1"),
        ("[workers]\ndevices = ['cpus:0', 'cpus:1-2']\n".into(), "worker 0 has 1 CPU and worker 1 has 2 CPUs"),
        ("[workers]\ndevices = ['cuda:0', 'cuda:1+2']\n".into(), "worker 0 has 1 GPU and worker 1 has 2 GPUs"),
        ("[workers]\ncount = 2\nahead = false\n".into(), "only one would have work"),
        (classes(""), "nothing runs on the class 'small'"),
        (classes("[screening]\nrungs = [0.2]\nclass = 'tiny'\n"), "no worker is of that class (there are: big, small)"),
        ("[screening]\nrungs = [0.2]\nclass = 'tiny'\n".into(), "no worker is of that class (there are: none)"),
        ("[excursion]\ntolerance = 1\n[workers]\ncount = 2\n".into(), "[excursion] needs one worker"),
        ("[excursion]\ntolerance = 1\n[workers]\nahead = true\n".into(), "[excursion] needs [workers] ahead = false"),
        (format!("{timing}[workers]\ndevices = ['cuda:0', 'cuda:1']\n"), "name CPUs of its own for each worker"),
    ] {
        let error = read(&more).unwrap_err();
        assert!(error.contains(words), "{more}: {error}");
    }
    let pinned = MINIMAL.replace("['./run']", "['./run']\ncpus = [0]");
    let error = read_over(&pinned, &devices("cpus:0")).unwrap_err();
    assert!(error.contains("[run] cpus and [workers] devices both name CPUs"), "{error}");
    assert!(read(&classes("[screening]\nrungs = [0.2]\nclass = 'small'\n")).is_ok());
}

#[test]
fn what_is_ahead_by_default_follows_from_who_proposes_and_what_is_measured() {
    let plan = |more: &str| {
        let WorkerPlan { workers, .. } = WorkerPlan::new(&read(more).unwrap()).unwrap();
        (workers.classes.len(), workers.ahead, workers.builders)
    };
    let claude = "[proposer]\nkind = 'claude'\n";
    assert_eq!(plan(""), (1, false, 0));
    assert_eq!(plan(claude), (1, true, 0));
    assert_eq!(plan("[proposer]\nkind = 'portfolio'\n[proposer.members.a]\nkind = 'claude'\n"), (1, true, 0));
    assert_eq!(plan(&format!("{claude}[workers]\nahead = false\n")), (1, false, 0));
    assert_eq!(plan(&format!("{claude}[excursion]\ntolerance = 1\n")), (1, false, 0));
    assert_eq!(plan("[workers]\ndevices = ['cuda:0', 'cuda:1']\n"), (2, true, 2));
    assert_eq!(plan("[workers]\ndevices = ['cuda:0', 'cuda:1']\nbuilders = 1\n"), (2, true, 1));
    let timing = "kind = 'timing'\nclock = 'wall'\nunit = 'ms'\n";
    assert_eq!(plan(&format!("{timing}{claude}")), (1, false, 0), "a proposer's own work disturbs a time");
    assert_eq!(plan(&format!("{timing}[workers]\ndevices = ['cuda:0']\n")), (1, false, 0));
}

#[cfg(target_os = "linux")]
#[test]
fn workers_without_devices_share_the_processors_evenly() {
    let cpus = Cpus::new([0, 1, 2, 3, 4]).unwrap();
    let devices = divide(cpus, 2).unwrap();
    assert!(Device::check(&devices).is_ok() && devices.iter().all(|device| device.cpus.iter().count() == 2));
    let error = divide(cpus, 6).unwrap_err().to_string();
    assert!(error.contains("count is 6, and there are only 5 CPUs (0-4)"), "{error}");

    let allowed = Cpus::allowed().iter().count();
    let every = read(&format!("[workers]\ncount = {allowed}\n")).unwrap();
    assert!(
        WorkerPlan::new(&every).unwrap().devices.iter().all(|device| device.cpus.iter().count() == 1) || allowed == 1
    );
    let error = WorkerPlan::new(&read("[workers]\ncount = 1000\n").unwrap()).unwrap_err().to_string();
    assert!(error.contains("give fewer workers"), "{error}");
    // No processor is left on which a build would not disturb a time.
    let timing = format!("kind = 'timing'\nclock = 'wall'\nunit = 'ms'\n[workers]\ncount = {allowed}\nbuilders = 1\n");
    let error = WorkerPlan::new(&read(&timing).unwrap()).unwrap_err().to_string();
    assert!(error.contains("a build would disturb"), "{error}");
    let error = WorkerPlan::new(&read("[workers]\ndevices = ['cpus:1023']\n").unwrap()).unwrap_err().to_string();
    assert!(error.contains("[workers] devices: a command cannot be pinned"), "{error}");
}
