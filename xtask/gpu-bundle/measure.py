"""Measures the trainer beside PyTorch with what the bundle holds; `run.sh` starts it with a Python that has torch 2.11.

Every step is a process, or several, with a limit of its own: the first failure costs itself alone. All steps together take less
than ten minutes; when that time is over, the rest is skipped. Numbers are those that the programs print, and speeds are taken by
this program's clock from the lines that they print for their steps.
"""

import argparse
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time

import torch

HERE = pathlib.Path(__file__).resolve().parent
# Seconds that everything may take, so that a call of ten minutes has time for the transfers.
TOTAL = 570
# Tokens of the validation split where its time is not the question.
SHORT_EVALUATION = 524288

BARS = {"float32": 1e-4, "bf16": 4e-2, "operations": 3e-2, "gigabytes": 30.0, "outside": 10.0, "wait": 0.5, "ratio": 1.0}

GPU = {
    "preset": "h100",
    # Steps before the steady state: PyTorch compiles in them.
    "warm": 11,
    "variables": {},
    "device": "cuda",
    # Eager where nothing compiles: the compiler needs one for C on the machine.
    "modes": ["compile", "eager"],
    "options": ["--device", "cuda", "--precision", "bfloat16"],
    "attention": ["flash", "flex", "sdpa"],
    "training": 20,
    "limited": 5,
    "trial": 5,
    "round": 25,
    "rounds": 2,
    "train_tokens": 64 << 20,
    "data_gib": 16,
}
REHEARSAL = GPU | {
    "preset": "cpu",
    "warm": 1,
    # Threads that spin while they wait stop everything beside another program.
    "variables": {"OMP_WAIT_POLICY": "passive"},
    "device": "cpu",
    "modes": ["eager"],
    "options": ["--device", "cpu", "--precision", "float32"],
    # A CPU has no such kernel, so that a failure is rehearsed as well.
    "attention": ["flash", "sdpa"],
    "training": 5,
    "limited": 2,
    "trial": 1,
    "round": 5,
    "rounds": 1,
    "train_tokens": 1 << 20,
    "data_gib": 4,
}


class Failed(Exception):
    """A step has no result; the text says why."""


class Run:
    """A finished process: its lines with their times, its standard error, and its status."""

    def __init__(self, lines, errors, status):
        self.lines, self.errors, self.status = lines, errors, status
        self.text = "\n".join(line for _, line in lines)

    def checked(self):
        if self.status == 0:
            return self
        said = [line for line in (self.text + "\n" + self.errors).splitlines() if line.strip()]
        # A Python program ends with its error, which may go on for pages.
        last = next((line for line in reversed(said) if re.match(r"(FAIL|error|called|\w*Error)\b", line)), said[-1] if said else "")
        raise Failed(f"{self.status_in_words()}: {last[:300]}")

    def status_in_words(self):
        return f"ended by signal {-self.status}" if self.status < 0 else f"ended with status {self.status}"

    def json(self):
        found = next((line for _, line in self.lines if line.startswith("{")), None)
        if found is None:
            raise Failed(f"no line of JSON, but: {self.text[-300:]}")
        return json.loads(found)

    def evidence(self, name):
        """The words after `evidence NAME` as pairs."""
        found = re.search(rf"evidence {name} (.*)", self.text)
        if not found:
            self.checked()
            raise Failed(f"no `evidence {name}` in: {self.text[-300:]}")
        words = found[1].split()
        return dict(zip(words[::2], words[1::2]))

    def tokens_per_second(self, tokens, warm):
        """After `warm` steps, by the times of the lines `step 00012 (...`."""
        steps = [(at, int(found[1])) for at, line in self.lines if (found := re.match(r"\s*step (\d+)", line))]
        steps = [(at, step) for at, step in steps if step >= warm]
        if len(steps) < 2 or steps[-1][1] == steps[0][1]:
            raise Failed(f"no two steps after the first {warm}")
        return (steps[-1][1] - steps[0][1]) * tokens / (steps[-1][0] - steps[0][0])


class Bundle:
    """The bundle on this machine."""

    def __init__(self, given):
        self.sizes = REHEARSAL if given.rehearse else GPU
        self.about = json.loads((HERE / "bundle.json").read_text())
        self.out = pathlib.Path(given.out).resolve()
        self.scratch = self.out / "scratch"
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir(parents=True)
        self.deadline = time.monotonic() + TOTAL
        self.figures, self.numbers = [], {}
        self.preset = self.about["presets"][self.sizes["preset"]]
        self.short = self.short_data()

    def is_gpu(self):
        return self.sizes["device"] == "cuda"

    def in_time(self, fine):
        """A bar on speed counts on a GPU alone: a rehearsal may have company."""
        return fine or not self.is_gpu()

    def left(self):
        return self.deadline - time.monotonic()

    # -- Processes ------------------------------------------------------------------------------------------------------

    def run(self, command, limit, variables=None, data_bytes=None):
        """Runs a command to its end, or to that of its time; what it starts ends with it."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AUTORESEARCH_")}
        libraries = str(pathlib.Path(torch.__file__).parent / "lib")
        environment["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, [libraries, environment.get("LD_LIBRARY_PATH")]))
        environment |= {"AUTORESEARCH_DEVICE": self.sizes["device"], "TORCHINDUCTOR_CACHE_DIR": str(self.scratch / "compiled")}
        environment |= self.sizes["variables"]
        environment |= {name: str(value) for name, value in (variables or {}).items()}
        limits = lambda: resource.setrlimit(resource.RLIMIT_DATA, (data_bytes, data_bytes))
        log = (self.scratch / "stderr.log").open("w+", errors="replace")
        child = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
            cwd=self.scratch,
            text=True,
            errors="replace",
            start_new_session=True,
            preexec_fn=limits if data_bytes else None,
        )
        lines = []
        reader = threading.Thread(target=lambda: lines.extend((time.monotonic(), line.rstrip("\n")) for line in child.stdout))
        reader.start()
        seconds = min(limit, self.left())
        try:
            status = child.wait(timeout=max(seconds, 0.1))
        except subprocess.TimeoutExpired:
            raise Failed(f"it did not end in {seconds:.0f} s") from None
        finally:
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            child.wait()
            reader.join()
        log.seek(0)
        return Run(lines, log.read(), status)

    def short_data(self):
        """The same data with fewer tokens to evaluate, as links."""
        source, folder = HERE / "data" / self.sizes["preset"], self.scratch / "data"
        for part in ("", "-val"):
            shutil.copytree(f"{source}{part}", f"{folder}{part}", copy_function=os.symlink)
        manifest = json.loads((source / "workload.json").read_text())
        manifest["eval_tokens"] = min(manifest["eval_tokens"], SHORT_EVALUATION)
        (folder / "workload.json").unlink()
        (folder / "workload.json").write_text(json.dumps(manifest))
        return folder

    def train(self, seconds, limit, data=None, **more):
        data_bytes = more.pop("data_bytes", None)
        variables = {"AUTORESEARCH_DATA": data or self.short, "AUTORESEARCH_TIME_BUDGET": seconds} | more
        return self.run([HERE / f"bin/train-{self.sizes['preset']}"], limit, variables, data_bytes).checked()

    def pytorch(self, mode, attention, seconds, limit):
        command = [sys.executable, "-B", HERE / "pytorch/benches/python/train.py", mode, self.short, *self.preset["sizes"]]
        command += [os.cpu_count(), *self.sizes["options"], "--attention", attention, "--budget", seconds]
        command += ["--train", self.scratch / "train.rows", "--val", self.scratch / "val.rows"]
        return self.run(command, limit).checked()

    # -- Figures ----------------------------------------------------------------------------------------------------------

    def figure(self, name, fine, value, bar, **numbers):
        self.say("PASS" if fine else "SHORT", name, f"{value} ({bar})")
        self.numbers[name] = numbers

    def say(self, status, name, text):
        self.figures.append({"name": name, "status": status, "text": text})
        print(f"{status} {name}: {text}", flush=True)

    def step(self, name, work):
        """Runs one step. Its figures, or the reason why it has none, are printed as they come."""
        began, before = time.monotonic(), len(self.figures)
        if self.left() < 15:
            self.say("SKIP", name, "no time is left")
        else:
            try:
                work(self)
            except Failed as failed:
                self.say("SHORT", name, f"not measured: {failed}")
            except Exception as error:  # noqa: BLE001: a fault of this program costs one step as well
                self.say("SHORT", name, f"not measured: {type(error).__name__}: {error}")
        for figure in self.figures[before:]:
            figure |= {"step": name, "seconds": round(time.monotonic() - began, 1)}
        self.write()

    def write(self):
        result = {"bundle": self.about, "machine": machine(), "rehearsal": not self.is_gpu()}
        result |= {"figures": self.figures, "numbers": self.numbers}
        (self.out / "results.json").write_text(json.dumps(result, indent=1) + "\n")


def machine():
    """What the Python and the driver say of the machine."""
    found = {"torch": torch.__version__, "cuda": torch.version.cuda, "hip": torch.version.hip, "python": sys.version.split()[0]}
    found |= {"cores": os.cpu_count()}
    if torch.cuda.is_available():
        about = torch.cuda.get_device_properties(0)
        found |= {"gpu": about.name, "capability": [about.major, about.minor], "gigabytes": round(about.total_memory / 1e9, 1)}
    try:
        query = ["nvidia-smi", "--query-gpu=driver_version,clocks.max.sm,power.limit", "--format=csv,noheader"]
        found["driver"] = subprocess.run(query, capture_output=True, text=True, timeout=20).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        found["driver"] = None
    return found


# -- Steps --------------------------------------------------------------------------------------------------------------------


def loading(bundle):
    """The program runs against the torch of this Python, and opens the device."""
    about = machine()
    program, lib = HERE / f"bin/train-{bundle.sizes['preset']}", pathlib.Path(torch.__file__).parent / "lib"
    linked = bundle.run([program], 30, {"LD_TRACE_LOADED_OBJECTS": 1}).text
    found = re.search(r"libtorch_cpu\.so => (\S+)", linked)
    is_own = bool(found) and pathlib.Path(found[1]).resolve().parent == lib.resolve()
    began = time.monotonic()
    # Without data it ends as soon as the device is open.
    said = bundle.run([program], 60, {"AUTORESEARCH_DATA": bundle.scratch / "none"}).text
    seconds = time.monotonic() - began
    fine = is_own and "there is no prepared data" in said
    where = f"{about.get('gpu', 'CPU')}, driver {about['driver'] or 'none'}, torch {about['torch']}"
    value = f"{where}, opened in {seconds:.1f} s" if fine else f"{where}: {said.strip()[:300]}"
    if not bundle.is_gpu() and about["cuda"]:
        # Without a driver the libraries load all the same, and say that they see nothing.
        said = bundle.run([program], 60, {"AUTORESEARCH_DEVICE": "cuda"}).text
        loads = "libtorch sees 0 devices" in said or "there is no prepared data" in said
        fine, value = fine and loads, f"{value}; CUDA's libraries {'load' if loads else 'do not load: ' + said.strip()[:300]}"
    bundle.figure("loading", fine, value, "the torch of this Python, the device opens", seconds=seconds, **about)


def floor(bundle):
    """What the device reaches in a product of large matrices."""
    device, kind, size = (("cuda", torch.bfloat16, 8192), ("cpu", torch.float32, 1024))[not bundle.is_gpu()]
    code = (
        "import torch, time\n"
        f"a, b = (torch.randn({size}, {size}, device='{device}').to({kind}) for _ in range(2))\n"
        f"wait = torch.cuda.synchronize if '{device}' == 'cuda' else (lambda: None)\n"
        "for count in (3, 20):\n"
        "    wait(); began = time.perf_counter()\n"
        "    for _ in range(count): a @ b\n"
        "    wait(); spent = time.perf_counter() - began\n"
        f"print('evidence floor teraflops', 2 * {size}**3 * 20 / spent / 1e12)\n"
    )
    teraflops = float(bundle.run([sys.executable, "-c", code], 60).evidence("floor")["teraflops"])
    bundle.figure("floor", teraflops > 0, f"{teraflops:.3g} TFLOP/s in products of {size} x {size}, {kind}", "above 0", teraflops=teraflops)


def operations(bundle):
    found = bundle.run([HERE / "bin/ops-cuda", "--nocapture"], 60).evidence("device-parity")
    error, flash, kernels = float(found["max_error"]), found["flash"] == "1", found["kernels"] == "1"
    fine = error < BARS["operations"] and (flash and kernels or not bundle.is_gpu())
    said = lambda used: "used" if used else "NOT used"
    value = f"{error:.1e} from the plain forms on {found['device']}; FlashAttention {said(flash)}, own kernels {said(kernels)}"
    bundle.figure("operations", fine, value, "3e-2 in bf16; both on a GPU", error=error, flash=flash, kernels=kernels)


def losses(bundle):
    test = "parity::losses_on_the_device_are_those_of_pytorch"
    variables = {"AUTORESEARCH_PARITY": HERE / "reference/parity.safetensors"}
    command = [HERE / "bin/train-tests", "--ignored", "--exact", test, "--nocapture"]
    found = bundle.run(command, 90, variables).evidence("parity-device")
    exact, low = float(found["float32"]), float(found["bf16"])
    value = f"{exact:.1e} in float32, {low:.1e} in bf16 from PyTorch's over ten steps on {found['device']}"
    fine = exact <= BARS["float32"] and low <= BARS["bf16"]
    bundle.figure("losses", fine, value, "1e-4, 4e-2", float32=exact, bf16=low, flash=found["flash"])


def training(bundle):
    """A training with the evaluation of the preset's size: speed, memory, warnings, time outside of the training."""
    run = bundle.train(bundle.sizes["training"], 150, data=HERE / "data" / bundle.sizes["preset"])
    found = run.json()
    said = [line.strip() for _, line in run.lines if line.startswith(("Operations", "Whole", "No FlashAttention"))]
    bpb, speed = found["val_bpb"], found["tokens_per_second"]
    is_fast = not bundle.is_gpu() or (found["attention"] != "Plain" and found["kernels"] != "libtorch")
    value = f"val_bpb {bpb:.4f} after {found['num_steps']} steps, {speed:.0f} tokens/s, MFU {found['mfu_percent']:.1f} %; {'; '.join(said)}"
    fine = 0 < bpb < 10 and found["device"].startswith(bundle.sizes["device"]) and is_fast
    bundle.figure("training", fine, value, "val_bpb is a number, on the device, no fallback", **found)
    warnings = [line for line in run.errors.splitlines() if "warning" in line.lower()]
    shown = f"{len(warnings)} lines" + "".join(f"; {line[:160]}" for line in warnings[:1])
    bundle.figure("warnings", not warnings, shown, "none", lines=warnings[:20])
    gigabytes = found["peak_vram_mb"] * 2**20 / 1e9
    bundle.figure("memory", gigabytes < BARS["gigabytes"], f"{gigabytes:.1f} GB at the peak", "30 GB; karpathy's has 45.06")
    outside = found["startup_seconds"] + found["evaluation_seconds"]
    tokens = json.loads((HERE / "data" / bundle.sizes["preset"] / "workload.json").read_text())["eval_tokens"]
    parts = f"{found['startup_seconds']:.1f} s of start-up and {found['evaluation_seconds']:.1f} s of evaluation over {tokens} tokens"
    bundle.figure("outside", bundle.in_time(outside < BARS["outside"]), parts, "10 s")
    wait = found["data_wait_percent"]
    bundle.figure("data-wait", bundle.in_time(wait < BARS["wait"]), f"{wait:.3f} % of the training time", "0.5 %")


def data_limit(bundle):
    """The limit that `[limits] memory_gb` sets counts data, and not the addresses that a driver reserves."""
    size = bundle.sizes["data_gib"]
    # The model is left instead of evaluated.
    run = bundle.train(bundle.sizes["limited"], 60, data_bytes=size << 30, AUTORESEARCH_STRICT=1)
    steps = run.json()["num_steps"]
    bundle.figure("data-limit", steps > 0, f"{steps} steps under a limit of {size} GiB of data", "it trains", steps=steps)


def rows(bundle):
    """The rows that the trainer sees, for PyTorch."""
    manifest = json.loads((bundle.short / "workload.json").read_text())
    for split, tokens in (("train", bundle.sizes["train_tokens"]), ("val", manifest["eval_tokens"])):
        bundle.run([HERE / "bin/rows", bundle.short, split, tokens, bundle.scratch / f"{split}.rows"], 90).checked()


def fastest(bundle):
    """PyTorch's fastest mode and attention here, all that were tried with their speed, and why others were not."""
    speeds, left_out = {}, []
    for mode in bundle.sizes["modes"]:
        for attention in bundle.sizes["attention"]:
            # The rounds must remain.
            if speeds and bundle.left() < 2.5 * bundle.sizes["rounds"] * (bundle.sizes["round"] + 20):
                left_out.append(f"{mode} {attention}: no time is left")
                continue
            try:
                run = bundle.pytorch(mode, attention, bundle.sizes["trial"], 120)
                speeds[mode, attention] = run.tokens_per_second(bundle.preset["tokens"], bundle.sizes["warm"])
            except Failed as failed:
                left_out.append(f"{mode} {attention}: {str(failed)[:160]}")
        if speeds:
            return max(speeds, key=speeds.get), speeds, left_out
    raise Failed("PyTorch trains with none of its kernels: " + "; ".join(left_out))


def pytorch(bundle):
    """PyTorch beside the trainer in turns: the same model, rows and time, with the fastest attention that it has here."""
    rows(bundle)
    (mode, attention), speeds, left_out = fastest(bundle)
    theirs, ours = [], []
    for _ in range(bundle.sizes["rounds"]):
        if theirs and bundle.left() < 2 * (bundle.sizes["round"] + 20):
            break
        theirs.append(result(bundle, bundle.pytorch(mode, attention, bundle.sizes["round"], 120)))
        ours.append(result(bundle, bundle.train(bundle.sizes["round"], 120)))
    ratios = sorted(mine["speed"] / other["speed"] for mine, other in zip(ours, theirs))
    ratio = ratios[len(ratios) // 2]
    shown = lambda key, form: " and ".join(f"{mine[key]:{form}} beside {other[key]:{form}}" for mine, other in zip(ours, theirs))
    value = f"{ratio:.2f} times PyTorch ({mode}, {attention} in short windows): {shown('speed', '.0f')} tokens/s, val_bpb {shown('val_bpb', '.4f')}"
    value += f", peak {shown('gigabytes', '.1f')} GB" + "".join(f"; left out {why}" for why in left_out)
    fine = ratio >= BARS["ratio"] if bundle.is_gpu() else all(0.5 < one["val_bpb"] < 3 for one in ours + theirs)
    trials = {" ".join(tried): speed for tried, speed in speeds.items()}
    bar = "1.0 times" if bundle.is_gpu() else "a rehearsal: both learn"
    bundle.figure("beside-pytorch", fine, value, bar, mode=mode, attention=attention, trials=trials, ours=ours, theirs=theirs, left_out=left_out)


def result(bundle, run):
    found = run.json()
    return {
        "speed": run.tokens_per_second(bundle.preset["tokens"], bundle.sizes["warm"]),
        "val_bpb": found["val_bpb"],
        "gigabytes": found["peak_vram_mb"] * 2**20 / 1e9,
    }


STEPS = {
    "loading": loading,
    "floor": floor,
    "operations": operations,
    "losses": losses,
    "training": training,
    "data-limit": data_limit,
    "beside-pytorch": pytorch,
}


def main():
    parser = argparse.ArgumentParser(prog="run.sh")
    parser.add_argument("--rehearse", action="store_true", help="the CPU, with small sizes")
    parser.add_argument("--out", default="results", help="a folder for results.json")
    parser.add_argument("--only", help="steps, with commas between them")
    parser.add_argument("--list", action="store_true", help="name the steps")
    given = parser.parse_args()
    if given.list:
        print("\n".join(STEPS))
        return 0
    wanted = given.only.split(",") if given.only else list(STEPS)
    if unknown := [name for name in wanted if name not in STEPS]:
        parser.error(f"there is no step {', '.join(unknown)}; there are {', '.join(STEPS)}")
    bundle = Bundle(given)
    for name in wanted:
        bundle.step(name, STEPS[name])
    print(f"{bundle.out / 'results.json'}; {TOTAL - bundle.left():.0f} s")
    shutil.rmtree(bundle.scratch, ignore_errors=True)
    return 1 if any(figure["status"] != "PASS" for figure in bundle.figures) else 0


if __name__ == "__main__":
    sys.exit(main())
