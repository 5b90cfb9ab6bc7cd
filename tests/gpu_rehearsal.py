"""Rehearse everything that needs a GPU, on a machine that may have torch and nothing else.

    python tests/gpu_rehearsal.py --pack DIR data=multi30k data.path=FOLDER   # where there are pip and an index
    python tests/gpu_rehearsal.py --run DIR --out OUT                         # on the GPU: less than 8 minutes
    python tests/gpu_rehearsal.py --run DIR --out OUT --device cpu            # what a CPU can do of it: 3 minutes

`--pack` downloads the wheels that training needs, and prepares the corpus of the full-size steps. `--run` unpacks
both, does one step after the other, each in a process of its own, and writes OUT/rehearsal.json and OUT/README.md.
A step that fails does not stop the others; the exit code is 1 if any failed. `--only a,b` does only some.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SOURCE_ONLY = "antlr4-python3-runtime==4.9.3"  # which omegaconf needs; the index has no wheel of it
REQUIREMENTS = (  # of what trains, decodes and scores; torch is on the machine
    "numpy", "hydra-core<1.4", "omegaconf<2.4", "hydra-joblib-launcher", "joblib", "tokenizers", "sacrebleu", "regex",
    "msgspec", "filelock>=4.3", "rich", "pyyaml", "allpairspy",
)  # fmt: skip
UNUSED = ("hf_xet", "huggingface_hub")  # large, and imported only by what fetches from the Hugging Face hub
MOST = 60e6  # bytes of wheels and data together
PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")
MINUTES = 8  # for all steps
MISSING = "which is not installed here"  # what a study says at its end where the packages of reports are missing


class Skipped(Exception):
    """A step that this machine cannot do, and why."""


# --- packing ----------------------------------------------------------------------------------------------------------


def pack(folder: Path, overrides: list[str], python: str, machine: str) -> None:
    """Put wheels and the prepared corpus into the folder. Exits with a line where they are too large."""
    wheels = folder / "wheels"
    shutil.rmtree(folder, ignore_errors=True)
    wheels.mkdir(parents=True)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", wheels, SOURCE_ONLY], check=True)
    target = ["--python-version", python, "--implementation", "cp", "--only-binary", ":all:"]
    target += [word for each in PLATFORMS for word in ("--platform", f"{each}_{machine}")]
    subprocess.run([*pip, "download", *target, "--find-links", wheels, "-d", wheels, *REQUIREMENTS], check=True)
    for wheel in wheels.iterdir():
        if wheel.name.startswith(UNUSED):
            wheel.unlink()
    text = next((each.partition("=")[2] for each in overrides if each.startswith("data.path=")), None)
    command = [sys.executable, "-m", "ablate", "+sweep=norm_placement", "preset=paper", *overrides, "prepare_only=true"]
    environment = os.environ | {"ABLATE_CACHE": str(folder / "cache"), "WANDB_MODE": "disabled"}
    subprocess.run([*command, f"root={folder}"], check=True, env=environment, cwd=ROOT)
    shutil.rmtree(folder / "cache" / "downloads", ignore_errors=True)
    shutil.rmtree(folder / "cache" / "locks", ignore_errors=True)
    if text is not None:
        shutil.copytree(Path(text).expanduser(), folder / "text")
    kept = [each for each in overrides if not each.startswith("data.path=")]
    (folder / "pack.json").write_text(json.dumps({"python": python, "machine": machine, "overrides": kept}))
    parts = {name: size_of(folder / name) for name in ("wheels", "cache", "text")}
    print(", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in parts.items()))
    if sum(parts.values()) > MOST:
        sys.exit(f"{sum(parts.values()) / 1e6:.1f} MB are more than {MOST / 1e6:.0f}")


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


# --- running ----------------------------------------------------------------------------------------------------------


def run(packed: Path, out: Path, device: str, only: list[str]) -> int:
    """Do the steps; 1 if any failed."""
    pack = json.loads((packed / "pack.json").read_text())
    made_for = f"Python {pack['python']} on {pack['machine']}"
    here = f"Python {'.'.join(platform.python_version_tuple()[:2])} on {platform.machine()}"
    if made_for != here:
        print(f"{packed} is for {made_for}; this is {here}", file=sys.stderr)
        return 2
    out.mkdir(parents=True, exist_ok=True)
    began, started = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    done: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as place:
        environment = unpacked(packed, Path(place))
        for name in only or STEPS:
            left = 60 * MINUTES - (time.monotonic() - began)
            done.append(attempt(name, device, packed, Path(place), out, environment, left))
            found = done[-1]
            print(f"{found['status']:8}{found['seconds']:6.1f} s  {name}: {found['line']}", flush=True)
            record = {"started_at": started, "device": device, "seconds": time.monotonic() - began, "steps": done}
            (out / "rehearsal.json").write_text(json.dumps(record, indent=1) + "\n")
            (out / "README.md").write_text(page(record))
    return int(any(each["status"] == "failed" for each in done))


def unpacked(packed: Path, place: Path) -> dict[str, str]:
    """Unpack wheels and corpus; the environment in which they are found."""
    for wheel in sorted((packed / "wheels").glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(place / "site")
    shutil.copytree(packed / "cache", place / "cache")  # locks are written into it
    paths = [str(ROOT), str(ROOT / "tests"), str(place / "site"), os.environ.get("PYTHONPATH", "")]
    settings = {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "ABLATE_CACHE": str(place / "cache")}
    return {**os.environ, **settings, "WANDB_MODE": "disabled", "PYTHONDONTWRITEBYTECODE": "1"}


def attempt(
    name: str, device: str, packed: Path, place: Path, out: Path, environment: dict[str, str], left: float
) -> dict[str, Any]:
    """Do a step in a process of its own, since a fault of CUDA spoils every later call of its process."""
    began, answer = time.monotonic(), place / f"{name}.json"
    command = [sys.executable, __file__, "--step", name, "--run", packed, "--out", out, "--device", device]
    command += ["--place", place]
    child = subprocess.Popen([*map(str, command)], env=environment, cwd=ROOT, start_new_session=True,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # fmt: skip
    try:
        printed, _ = child.communicate(timeout=max(1.0, left))
        found = json.loads(answer.read_text()) if answer.exists() else {"line": f"exit code {child.returncode}"}
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        printed, found = child.communicate()[0], {"line": f"no time was left: all steps together get {MINUTES} minutes"}
    status = found.pop("status", "failed")
    kept = {"output": printed[-4000:]} if status == "failed" else {}
    return {"name": name, "status": status, "seconds": round(time.monotonic() - began, 1), **found, **kept}


def one_step(name: str, device: str, packed: Path, place: Path, out: Path) -> None:
    """In the step's own process: do it, and leave what it found in `place`."""
    import torch

    torch.set_num_threads(1)  # as runs do
    try:
        found = {"status": "ok", **STEPS[name](Bench(device, packed, place, out))}
    except Skipped as why:
        found = {"status": "skipped", "line": str(why)}
    except Exception as error:
        traceback.print_exc()
        found = {"status": "failed", "line": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
    (place / f"{name}.json").write_text(json.dumps(found))


class Bench:
    """What a step is done with."""

    def __init__(self, device: str, packed: Path, place: Path, out: Path) -> None:
        self.device, self.packed, self.place, self.out = device, packed, place, out
        self.on_gpu = device != "cpu"

    def corpus(self) -> list[str]:
        """The overrides of the packed corpus; a CPU takes the small one that comes with ablate."""
        if not self.on_gpu:
            return ["data=fixture"]
        text = self.packed / "text"
        return [*json.loads((self.packed / "pack.json").read_text())["overrides"]] + (
            [f"data.path={text}"] if text.exists() else []
        )

    def need_gpu(self) -> None:
        if not self.on_gpu:
            raise Skipped("needs CUDA")


# --- the steps --------------------------------------------------------------------------------------------------------


def environment(bench: Bench) -> dict[str, Any]:
    """What the machine has."""
    import numpy
    import torch

    from ablate.config import Device
    from ablate.training.machine import choose_device, commit, device_name

    device = choose_device(Device[bench.device])
    found = {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "numpy": numpy.__version__,
        "device_name": device_name(device),
        "memory": torch.cuda.mem_get_info()[1] if device.type == "cuda" else None,
        "bf16": torch.cuda.is_bf16_supported() if device.type == "cuda" else None,
        "cores": len(os.sched_getaffinity(0)),
        "commit": commit(),
    }
    line = f"{found['device_name']}, {found['cores']} cores, Python {found['python']}, torch {found['torch']}"
    return {"line": line, **found}


def laws(bench: Bench, precision: str) -> dict[str, Any]:
    """The laws of the model, for pairs of values of all its fields.

    Differences are measured in units of rounding: the largest difference of the model's logits from those of the same
    model in float64. Two ways to compute the same logits may differ by a few units. A broken law changes them by
    hundreds of units and more in fp32, and in bf16, for most designs, by ten or more.
    """
    import torch
    from tiny import describe, every_design

    torch.backends.cudnn.allow_tf32 = False  # cuDNN's LSTM would round to 10 bits
    worst = dict.fromkeys(LAWS, 0.0)
    broken, rounding = [], 0.0
    designs = list(dict.fromkeys(config.model for config in every_design()))
    for config in designs:
        case = Case(config, torch.device(bench.device), precision == "bf16")
        rounding = max(rounding, case.unit / case.spread)
        for name, law in LAWS.items():
            with torch.inference_mode():
                off = law(case) / case.unit
            worst[name] = max(worst[name], off)
            if not off <= UNITS:
                broken.append(f"{name} ({describe(config)}): {off:.3g} units")
    assert not broken, f"{len(broken)} laws are broken: {'; '.join(broken[:5])}"
    assert rounding < ROUNDING[precision], f"logits are {rounding:.3g} of their spread from those in float64"
    shown = ", ".join(f"{name} {value:.2g}" for name, value in worst.items())
    return {
        "line": f"{len(designs)} designs; most units of rounding off, of {UNITS}: {shown}; a unit is at most "
        f"{rounding:.1g} of the logits' spread",
        "designs": len(designs),
        "units": worst,
        "rounding": rounding,
    }


UNITS = 8  # of rounding, by which two computations of the same may differ
ROUNDING = {"fp32": 1e-4, "bf16": 0.5}  # of the logits' spread


class Case:
    """A model on the device, sentences for it, and how far rounding alone takes its logits."""

    def __init__(self, config: Any, device: Any, bf16: bool) -> None:
        import torch
        from tiny import tiny_model, tokens

        self.config, self.device, self.bf16 = config, device, bf16
        self.model = tiny_model(config).to(device)
        self.source, self.target = tokens(6, 6).to(device), tokens(6, 7, seed=1).to(device)
        with torch.inference_mode():
            exact = tiny_model(config).double()(self.source.cpu(), self.target.cpu())
            self.logits = self.of(self.source, self.target)
            self.unit = max(off(self.logits.cpu(), exact), 1e-6 * exact.std().item())
            self.spread = exact.std().item()

    def of(self, source: Any, target: Any) -> Any:
        with self.precision():
            return self.model(source, target).float()

    def precision(self) -> Any:
        import torch

        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16)


def off(these: Any, those: Any) -> float:
    """The largest difference."""
    return (these.double() - those.double()).abs().max().item()


def causality(case: Case) -> float:
    """No logits change with a later token."""
    changed = case.target.clone()
    changed[:, -1] = 4 + (changed[:, -1] - 3) % 19
    after = case.of(case.source, changed)
    assert off(after[:, -1], case.logits[:, -1]) > 0
    return off(after[:, :-1], case.logits[:, :-1])


def padding(case: Case) -> float:
    """No logits change with padding."""
    import torch

    wide = [torch.nn.functional.pad(side, (0, 4)) for side in (case.source, case.target)]
    return off(case.of(*wide)[:, :7], case.logits)


def batching(case: Case) -> float:
    """A pair has the same logits alone as in a batch."""
    return max(off(case.of(case.source[[row]], case.target[[row]])[0], case.logits[row]) for row in (0, 5))


def caching(case: Case) -> float:
    """Step by step with a cache gives the logits of one pass, also for rows that are selected on the way."""
    import torch

    with case.precision():
        state, rows, steps = case.model.start(case.source), torch.arange(6, device=case.device), []
        for t in range(case.target.shape[1]):
            if t == 3:
                rows = torch.tensor([2, 0, 0], device=case.device)
                state.select(rows)
            steps.append(off(case.model.step(state, case.target[rows, t]).float(), case.logits[rows, t]))
    return max(steps)


LAWS: dict[str, Callable[[Case], float]] = {
    "causality": causality,
    "padding": padding,
    "batching": batching,
    "caching": caching,
}


def pairing(bench: Bench) -> dict[str, Any]:
    """A seed gives all variants the same initial values, dropout and order of data, on every device."""
    import torch
    from corpora import fixture_plan
    from tiny import TINY, VOCABULARY, every_design

    from ablate.data.batches import Batches
    from ablate.data.corpus import Corpus
    from ablate.model import build
    from ablate.model.dropout import Dropout
    from ablate.model.seeding import Streams
    from ablate.training.member import seed_dropout

    device = torch.device(bench.device)
    first, designs = None, [config.model for config in every_design()]
    for config in [replace(TINY, dropout=0.1), *designs]:
        model, on_cpu = build(config, VOCABULARY, seed=3).to(device), build(config, VOCABULARY, seed=3)
        assert same_values(model, on_cpu), "initial values depend on the device"
        seed_dropout(model, Streams(3, device))
        ones = torch.ones(2, 5, config.d_model, device=device)
        drawn = {name: each(ones) for name, each in model.named_modules() if isinstance(each, Dropout) and each.rate}
        first = first or (dict(model.named_parameters()), drawn)
        for one, other in ((first[0], dict(model.named_parameters())), (first[1], drawn)):
            for name in one.keys() & other.keys():
                assert one[name].shape != other[name].shape or torch.equal(one[name], other[name]), name
    corpus = Corpus.load(fixture_plan().runs[0].corpus)
    there, here = (Batches(corpus.train, 256, each) for each in (device, torch.device("cpu")))
    for update in range(2 * there.per_epoch):
        one, other = there.at(update, seed=1), here.at(update, seed=1)
        assert torch.equal(one.source.cpu(), other.source), "the order of the data depends on the device"
        assert torch.equal(one.target.cpu(), other.target)
    return {"line": f"{len(designs)} designs share initial values and dropout; {update + 1} batches are those of a CPU"}


def same_values(model: Any, other: Any) -> bool:
    import torch

    pairs = zip(model.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(one.cpu(), two) for one, two in pairs)


def designs(bench: Bench) -> dict[str, Any]:
    """Updates, diagnostics and beam search of every design, beside the same on the CPU."""
    import torch
    from tiny import TINY, VOCABULARY, every_design, tokens

    from ablate.data.batches import Batch
    from ablate.diagnostics import diagnose
    from ablate.evaluation.decoding import translate
    from ablate.model import build
    from ablate.training.loop import step
    from ablate.training.member import initial_state

    torch.backends.cudnn.allow_tf32 = False

    def exercised(config: Any, device: Any) -> tuple[list[float], dict[str, float], list[list[int]]]:
        teachers = [build(TINY, VOCABULARY).to(device)] if config.train.teacher else []
        state = initial_state(config, VOCABULARY, 0, device, teachers)
        batch = Batch(tokens(6, 6).to(device), tokens(6, 7, seed=1).to(device))
        losses = [step(state, batch)[0].item() for _ in range(3)]
        values = {f"{name}/{part}": x for name, of in diagnose(state.model, batch).items() for part, x in of.items()}
        return losses, values, translate(state.model, [row.numpy() for row in tokens(4, 5)], beam=5)

    worst, translated, total = {"loss": 0.0, "diagnostics": 0.0}, 0, 0
    for config in every_design():
        config = replace(config, model=replace(config.model, dropout=0.0, attention_dropout=0.0))
        there, here = (exercised(config, torch.device(each)) for each in (bench.device, "cpu"))
        worst["loss"] = max(worst["loss"], *(abs(x - y) / y for x, y in zip(there[0], here[0])))
        assert there[1].keys() == here[1].keys()
        compared = [(there[1][name], here[1][name]) for name in here[1] if math.isfinite(here[1][name])]
        worst["diagnostics"] = max(worst["diagnostics"], *(abs(x - y) / (abs(y) + 1e-3) for x, y in compared))
        translated += sum(x == y for x, y in zip(there[2], here[2]))
        total += len(here[2])
    line = f"{len(every_design())} designs; relative differences from the CPU: " + ", ".join(
        f"{name} {value:.1g}" for name, value in worst.items()
    )
    assert worst["loss"] < 1e-3, line
    assert translated > 0.8 * total, f"{translated} of {total} translations are the CPU's"
    return {"line": f"{line}; {translated} of {total} translations are the same", **worst}


def resuming(bench: Bench, precision: str) -> dict[str, Any]:
    """A run that is killed in an update and resumed, beside two that nothing disturbed.

    Where the two agree bit for bit, the resumed run must too. Otherwise it may differ from one of them by four times
    what they differ, since some of CUDA's kernels add in no fixed order.
    """
    store = bench.place / f"resuming-{precision}"
    found = {}
    for name in ("one", "two"):
        found[name] = trained(bench, store / name, precision)
    killed = [sys.executable, __file__, "--killed", store / "cut", "--device", bench.device, "--precision", precision]
    died = subprocess.run([*map(str, killed)], capture_output=True, text=True)
    assert died.returncode == -signal.SIGKILL, died.stdout + died.stderr
    found["cut"] = trained(bench, store / "cut", precision, resumed=True)
    updates = [[row[0] for row in rows] for rows in found.values()]
    assert updates[0] == updates[1] == updates[2], "updates are missing, or done twice"
    usual, differs = apart(found["one"], found["two"]), apart(found["one"], found["cut"])
    line = f"killed in update {KILLED_IN}: losses differ by {differs:.1g} nats; those of two whole runs by {usual:.1g}"
    assert differs <= 4 * usual, line
    return {"line": line, "differs": differs, "usual": usual, "bit_equal": differs == usual == 0}


KILLED_IN = 38  # an update between two checkpoints of a smoke run


def smoke_run(bench_device: str, root: Path, precision: str) -> tuple[Any, Any]:
    """A run of the smoke preset, ready to be trained, and its specification."""
    from corpora import fixture_plan

    from ablate.store.folders import Store
    from ablate.training import resume

    resume.SHARE = math.inf  # a checkpoint at each pause
    spec = fixture_plan("+sweep=norm_placement", f"device={bench_device}", f"precision={precision}").runs[0]
    Store(root).freeze([spec])
    return Store(root).run(spec.id), spec


def trained(bench: Bench, root: Path, precision: str, resumed: bool = False) -> list[tuple[int, float]]:
    """Train a smoke run, or the rest of one; (update, loss) of the whole curve and of each validation."""
    from ablate.training import resume
    from ablate.training.member import run_member

    folder, spec = smoke_run(bench.device, root, precision)
    assert folder.file(resume.NAME).exists() == resumed
    run_member(folder, spec.config.device)
    assert folder.failure() is None, folder.failure()
    assert folder.lines("notes.txt") == []
    assert folder.scores(spec.evaluation) is not None
    assert folder.result().provenance["device"] == bench.device
    lines = [*folder.lines("curve.csv")[1:], *folder.lines("validation.csv")[1:]]
    return [(int(line.split(",")[0]), float(line.split(",")[1])) for line in lines]


def die(device: str, root: Path, precision: str) -> None:
    """Train a smoke run until the process kills itself in the middle."""
    from ablate.training import loop
    from ablate.training.member import run_member

    step = loop.step

    def dying(state: Any, batch: Any) -> Any:
        if state.update + 1 == KILLED_IN:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(state, batch)

    loop.step = dying
    folder, spec = smoke_run(device, root, precision)
    run_member(folder, spec.config.device)


def apart(these: list[tuple[int, float]], those: list[tuple[int, float]]) -> float:
    return max(abs(one[1] - other[1]) for one, other in zip(these, those, strict=True))


def memory(bench: Bench) -> dict[str, Any]:
    """A batch for which memory is left only in parts: the update must be that of the whole batch."""
    bench.need_gpu()
    import torch

    from ablate.config import Config
    from ablate.data.batches import Batch
    from ablate.training.loop import gradients_that_fit, step
    from ablate.training.member import initial_state

    config, rows, length, vocabulary = Config(), 256, 64, 8000
    config = replace(config, model=replace(config.model, d_model=256, dropout=0.0))
    draw = torch.Generator("cuda").manual_seed(0)
    source, target = (torch.randint(4, vocabulary, (rows, length + n), generator=draw, device="cuda") for n in (0, 1))
    batch = Batch(source, target)

    def fresh() -> Any:
        state = initial_state(config, vocabulary, 0, torch.device("cuda"))
        state.model.train()
        return state

    whole = fresh()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_reserved()
    expected, _ = gradients_that_fit(whole, batch)
    needed = torch.cuda.max_memory_reserved() - before
    assert whole.micro_batches == 1
    state = fresh()
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    ballast = torch.empty(torch.cuda.mem_get_info()[0] - needed // 2, dtype=torch.uint8, device="cuda")
    loss, _ = gradients_that_fit(state, batch)
    parts = state.micro_batches
    assert parts > 1, f"the whole batch fitted into half of the {needed / 2**20:.0f} MiB that it took before"
    pairs = [*zip(whole.model.parameters(), state.model.parameters(), strict=True)]
    worst = max((one.grad - two.grad).norm().item() / (one.grad.norm().item() + 1e-8) for one, two in pairs)
    state.optimizer.zero_grad(set_to_none=True)
    after = [step(state, batch)[0].item() for _ in range(3)]
    del ballast
    line = (
        f"{needed / 2**20:.0f} MiB wanted, half of it free: {parts} parts; the gradient differs by {worst:.1g}, "
        f"the loss by {abs(loss.item() - expected.item()):.1g}"
    )
    assert worst < 1e-3, line
    assert after[2] < after[0], "the loss does not fall afterwards"
    return {"line": line, "bytes": needed, "parts": parts, "gradient": worst}


def study(bench: Bench) -> dict[str, Any]:
    """A smoke study by the command line, and the same command again, which must train nothing."""
    root, words = bench.place / "study", ["preset=smoke", "data=fixture"]
    runs, seconds, output = by_command(bench, root, words)
    assert len(runs) == 4
    assert all(run["status"] == "finished" for run in runs), [run["status"] for run in runs]
    folder = next((root / "experiments").glob("*/*"))
    for name in ("cost.json", "similarity.json"):
        assert (folder / name).exists(), f"there is no {name}: {output[-500:]}"
    before = {path: path.stat().st_mtime_ns for path in (root / "runs").glob("*/*.json")}
    by_command(bench, root, words)
    assert before == {path: path.stat().st_mtime_ns for path in (root / "runs").glob("*/*.json")}
    costs = json.loads((folder / "cost.json").read_text())["cells"]
    shown = ", ".join(f"{cell} {sum(of['tokens']) / sum(of['seconds']):,.0f} tokens/s" for cell, of in costs.items())
    report = "without a report" if MISSING in output else "with its report"
    return {"line": f"4 runs in {seconds:.0f} s, {report}; {shown}", "wall": seconds, "costs": costs}


def by_command(bench: Bench, root: Path, words: list[str]) -> tuple[list[dict[str, Any]], float, str]:
    """Runs of norm_placement as the records have them, the seconds that the command took, and what it printed."""
    command = [sys.executable, "-m", "ablate", "+sweep=norm_placement", f"device={bench.device}", f"root={root}"]
    began = time.monotonic()
    done = subprocess.run([*command, *words], capture_output=True, text=True, cwd=bench.place)
    seconds, output = time.monotonic() - began, done.stdout + done.stderr
    assert done.returncode == (1 if MISSING in output else 0), output[-300:]
    assert "failed: " not in output, output[-300:]
    records = next((root / "experiments").glob("*/*/runs.jsonl"))
    runs = [json.loads(line) for line in records.read_text().splitlines()]
    assert {run["provenance"]["device"] for run in runs} == {bench.device}
    return runs, seconds, output


def paper(bench: Bench, seeds: int | None, workers: str) -> dict[str, Any]:
    """norm_placement at full size for a few updates, with all its validations and measurements and its beam search.

    The full study takes as long as this one, once for each of its rounds of runs side by side, and the time of the
    updates that are missing.
    """
    preset, few = ("paper", 300) if bench.on_gpu else ("smoke", 30)
    root = bench.place / f"paper-{workers}"
    words = [*bench.corpus(), f"preset={preset}", f"train.updates={few}", "cost_probe=false", f"workers={workers}"]
    words += [] if seeds is None else [f"seeds={seeds}"]
    runs, wall, output = by_command(bench, root, words)
    beside = int(re.findall(r"runs to train, (\d+) at a time", output)[0])
    updates, wanted = full_size(bench, preset)
    measured = [measure(root, run) for run in runs]
    update = fmean(each["update"] for each in measured)
    rounds = math.ceil(wanted / beside)
    projected = rounds * (wall / math.ceil(len(runs) / beside) + (updates - few) * update)
    rate = beside * fmean(each["tokens"] for each in measured)
    line = (
        f"{beside} at a time: {1000 * update:.1f} ms an update, {rate:,.0f} target tokens/s together, decoding "
        f"{max(each['decoding'] for each in measured):.1f} s; all {wanted} runs of {updates} updates would take "
        f"{projected / 60:.1f} minutes"
    )
    return {"line": line, "beside": beside, "wall": wall, "projected": projected, "runs": measured}


def full_size(bench: Bench, preset: str) -> tuple[int, int]:
    """Updates of a run of norm_placement, and the number of runs."""
    from corpora import composed

    from ablate.plan.composition import plan

    planned = plan(composed, ["+sweep=norm_placement", *bench.corpus(), f"preset={preset}"])
    return planned.config.train.updates, len(planned.runs)


def measure(root: Path, run: dict[str, Any]) -> dict[str, Any]:
    """Of a run: seconds of an update after the first third, of everything, of decoding; tokens a second."""
    from ablate.store.folders import Store

    folder = Store(root).run(run["run_id"])
    rows = [[float(value) for value in line.split(",")] for line in folder.lines("curve.csv")[1:]]
    late = rows[len(rows) // 3 :]
    seconds, updates = late[-1][5] - late[0][5], late[-1][0] - late[0][0]
    rate = {"update": seconds / updates, "tokens": sum(row[4] for row in late[1:]) / seconds}
    return {
        "variant": run["variant"],
        "seed": run["seed"],
        **rate,
        "training": run["seconds"],
        "peak_memory": run["peak_memory"],
        "decoding": run["decoding_seconds"],
        "status": run["status"],
        "validation_loss": run["best_validation_loss"],
        "test_bleu": run["test_bleu"],
    }


def benchmark(bench: Bench) -> dict[str, Any]:
    """The part of `python -m ablate.benchmark` that needs a GPU. Its record is kept; its page may need matplotlib."""
    if importlib.util.find_spec("ablate.benchmark") is None:
        raise Skipped("this checkout has no ablate.benchmark")
    bench.need_gpu()
    if not (bench.packed / "text").exists():
        raise Skipped("it prepares a corpus of its own, and none was packed with its text (data.path=)")
    root = bench.place / "benchmark"
    command = [sys.executable, "-m", "ablate.benchmark", *bench.corpus(), "parts=gpu", "peers=none", "rounds=2"]
    done = subprocess.run([*command, f"root={root}"], capture_output=True, text=True, cwd=bench.place)
    records = [*(root / "experiments" / "benchmark").glob("*.json")]
    assert len(records) == 1, (done.stdout + done.stderr)[-300:]
    record = json.loads(records[0].read_text())
    assert record.get("gpu"), record.get("failures")
    shutil.copy(records[0], bench.out / f"benchmark-{records[0].name}")
    return {"line": f"{record['gpu']['tokens_a_second']:,.0f} target tokens/s in bf16; the record is {records[0].name}"}


def paper_beside(bench: Bench) -> dict[str, Any]:
    if not bench.on_gpu:
        raise Skipped("one run at a time is enough on a CPU")
    return paper(bench, None, "auto")


STEPS: dict[str, Callable[[Bench], dict[str, Any]]] = {
    "environment": environment,
    "laws-fp32": lambda bench: laws(bench, "fp32"),
    "laws-bf16": lambda bench: laws(bench, "bf16"),
    "pairing": pairing,
    "designs": designs,
    "resume-fp32": lambda bench: resuming(bench, "fp32"),
    "resume-bf16": lambda bench: resuming(bench, "bf16"),
    "memory": memory,
    "study": study,
    "paper-alone": lambda bench: paper(bench, 1, "1"),
    "paper-beside": paper_beside,
    "benchmark": benchmark,
}


# --- the page ---------------------------------------------------------------------------------------------------------


def page(record: dict[str, Any]) -> str:
    """The record as a short page."""
    counts = [each["status"] for each in record["steps"]]
    summary = ", ".join(f"{counts.count(status)} {status}" for status in ("ok", "failed", "skipped"))
    rows = [
        f"| {each['name']} | {each['status']} | {each['seconds']} | {escaped(each['line'])} |"
        for each in record["steps"]
    ]
    return "\n".join(
        [
            f"# Rehearsal on {'a GPU' if record['device'] != 'cpu' else 'a CPU'}",
            "",
            f"`python tests/gpu_rehearsal.py`, {record['started_at']}, {record['seconds']:.0f} s: {summary}. "
            "`rehearsal.json` has all that was measured; `tests/README.md` says what the steps are.",
            "",
            "| step | result | seconds | found |",
            "|---|---|---:|---|",
            *rows,
            "",
        ]
    )


def escaped(line: str) -> str:
    return line.replace("|", "\\|")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pack", type=Path, metavar="DIR", help="make DIR, of wheels and a prepared corpus")
    parser.add_argument("overrides", nargs="*", help="with --pack: the corpus (data=tatoeba)")
    parser.add_argument("--python", default="3.12", help="with --pack: version of the other machine's Python (3.12)")
    parser.add_argument("--machine", default="x86_64", help="with --pack: its processor (x86_64, or aarch64)")
    parser.add_argument("--run", type=Path, metavar="DIR", help="rehearse with what --pack made")
    parser.add_argument("--out", type=Path, help="with --run: where rehearsal.json and README.md go")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--only", default="", help=f"with --run: some of {','.join(STEPS)}")
    for internal in ("--step", "--place", "--killed", "--precision"):
        parser.add_argument(internal, help=argparse.SUPPRESS)
    given = parser.parse_intermixed_args()
    if given.killed:
        die(given.device, Path(given.killed), given.precision)
    elif given.pack:
        pack(given.pack.resolve(), given.overrides or ["data=tatoeba"], given.python, given.machine)
    elif given.run and given.out:
        packed, out, only = given.run.resolve(), given.out.resolve(), [*filter(None, given.only.split(","))]
        if unknown := set(only) - STEPS.keys():
            parser.error(f"--only: {', '.join(sorted(unknown))} is unknown; there are {', '.join(STEPS)}")
        if given.step:
            one_step(given.step, given.device, packed, Path(given.place), out)
        else:
            return run(packed, out, given.device, only)
    else:
        parser.error("give --pack DIR, or --run DIR and --out OUT")
    return 0


if __name__ == "__main__":
    sys.exit(main())
