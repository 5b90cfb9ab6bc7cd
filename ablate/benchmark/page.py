"""experiments/benchmark/README.md, made of the records alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from ablate.benchmark.growth_figure import LABELS, svg
from ablate.benchmark.measurements import FOLDER, Measurements, Rates, read_all
from ablate.benchmark.ratios import Spread, exponent, spread
from ablate.benchmark.surroundings import IDLE
from ablate.benchmark.targets import TARGETS, Target, beam_of_engine, beam_of_one, number
from ablate.benchmark.throughput import STUDY
from ablate.config import BadInput
from ablate.system.atomic import write_atomic

BUSY = (
    "**Other processes were busy when {} was begun: its rates are too low, and its ratios those of a machine that is "
    "shared.**"
)

Record = tuple[str, Measurements]
Section = Callable[[Measurements], list[str]]

OPENING = """# How fast ablate is

`python -m ablate.benchmark` makes this page from its records, the JSON files in this folder. Every measurement is a
process of its own. Within a round each subject is measured once, in alternating order; a ratio is taken within a round,
and shown as the median over the rounds with the least and the greatest. All subjects train or translate the same token
ids with a Transformer of the same size. Peers run one run at a time with as many threads as there are cores; runs of
ablate have one thread each. A peer's own batches have a fixed number of sentences in random order, with about as many
target tokens as ablate's. “malloc tuned” means that glibc keeps freed memory, which ablate always asks for. Only real
target tokens count. Translations all have the same length, so that all do the same work. Each part is shown from the
latest record that has it."""


def rebuild(root: Path) -> Path:
    """Write the page and its figure. Raises BadInput."""
    records = read_all(root)
    if not records:
        raise BadInput(f"{root / FOLDER} has no records: python -m ablate.benchmark makes one")
    path = root / FOLDER / "README.md"
    found = latest(records, lambda each: bool(each.growth))
    if found is not None:
        write_atomic(path.with_name("growth.svg"), svg(found[1].growth))
    write_atomic(path, text(records))
    return path


def text(records: Sequence[Record]) -> str:
    parts = [OPENING]
    if all(each.workload.quick for _, each in records):
        parts.append(
            "**These records were made with `--quick`, for a test of the command. Their numbers mean nothing.**"
        )
    parts += [BUSY.format(name) for name, each in records if each.busy is not None and each.busy > IDLE]
    parts.append("\n".join(target_table(records)))
    for title, has, lines in SECTIONS:
        found = latest(records, has)
        if found is not None:
            parts += [f"## {title}", f"From {found[0]}.", "\n".join(lines(found[1]))]
    parts += ["## Records", "\n".join(listed(records))]
    return "\n\n".join(parts) + "\n"


def latest(records: Sequence[Record], has: Callable[[Measurements], bool]) -> Record | None:
    return next((each for each in reversed(records) if has(each[1])), None)


def table(header: Sequence[str], rows: Sequence[Sequence[str]], align: str = "---:") -> list[str]:
    """Markdown; every column but the first is of numbers, unless `align` says otherwise."""
    rule = ["---", *[align] * (len(header) - 1)]
    return [f"| {' | '.join(row)} |" for row in (header, rule, *rows)]


def shown(value: Spread, unit: str = "") -> str:
    text = number(value.median)
    if (value.low, value.high) != (value.median, value.median):
        text += f" ({number(value.low)} to {number(value.high)})"
    return f"{text} {unit}".strip()


def has(target: Target, found: Measurements) -> bool:
    return target.find(found) is not None


def target_table(records: Sequence[Record]) -> list[str]:
    rows = []
    for target in TARGETS:
        found = latest(records, partial(has, target))
        reached = None if found is None else target.find(found[1])
        if found is None or reached is None:
            rows.append([target.what, target.wanted, "not measured", "", ""])
        else:
            beside = f" over {reached.beside}" if reached.beside else ""
            verdict = "reached" if target.met(reached) else "**missed**"
            rows.append([target.what, target.wanted, shown(reached.value, target.unit) + beside, verdict, found[0]])
    return table(["what", "target", "measured", "", "record"], rows, "---")


def training(found: Measurements) -> list[str]:
    work = found.workload

    def hourly(each: Rates) -> str:
        if each.subject.startswith("ablate") and each.subject != STUDY:
            return ""
        return shown(spread([3600 * rate / work.tokens_a_run for rate in each.rates]))

    rows = [
        [each.name, str(each.threads), shown(spread(each.rates)) if each.rates else failed(each),
         hourly(each) if each.rates else ""]
        for each in found.training
    ]  # fmt: skip
    note = (
        f"{work.updates} updates after {work.warmup} of warm-up. A run is 1,000 updates of ablate, "
        f"{number(work.tokens_a_run)} target tokens; validation and translation are not part of it, "
        "neither ablate's nor a peer's."
    )
    return [note, "", *table(["subject", "threads", "target tokens a second", "runs an hour"], rows)]


def failed(each: Rates) -> str:
    return f"not measured: {each.failure}" if each.failure else "not measured"


def translation(found: Measurements) -> list[str]:
    work = found.workload
    rows = [
        [each.name, str(each.threads), (shown(spread(each.rates)) if each.rates else failed(each))
         + (f"; {each.note}" if each.note else "")]
        for each in found.translation
    ]  # fmt: skip
    lines = [
        f"{work.sentences:,} test sentences, beam {work.beam}, {work.length} tokens each, untrained weights.", "",
        *table(["subject", "threads", "sentences a second"], rows),
    ]  # fmt: skip
    for what, ratio in (
        ("One run of ablate, one thread, over", beam_of_one),
        ("Both cores of ablate over", beam_of_engine),
    ):
        if (reached := ratio(found)) is not None:
            lines += ["", f"{what} {reached.beside}: {shown(reached.value, 'x')}."]
    return lines


def limit(found: Measurements) -> list[str]:
    assert found.limit is not None
    data = found.limit
    best = spread([max(products.values()) / 1e9 for products in data["products"]])
    done = spread([data["operations"] / seconds / 1e9 for seconds in data["seconds"]])
    useful = spread([data["useful"] / seconds / 1e9 for seconds in data["seconds"]])
    return [
        f"- The largest square product reaches {shown(best)} GFLOP/s with one thread.",
        f"- A training step reaches {shown(done)} GFLOP/s, padding counted; {shown(useful)} of real tokens alone.",
        f"- Matrix products take {data['share']:.0%} of a step's time (torch's profiler).",
    ]


def gpu(found: Measurements) -> list[str]:
    assert found.gpu is not None
    data = found.gpu
    over = spread([seconds / floor for seconds, floor in zip(data["seconds"], data["floor"])])
    return [
        f"- {data['device_name']}, bf16: {number(data['tokens_a_second'])} target tokens a second in one run.",
        f"- A step takes {shown(spread([1e3 * seconds for seconds in data['seconds']]), 'ms')}, {shown(over)} times "
        "the larger of its operations over the largest product's and its bytes over the bandwidth of a copy. The bytes "
        "are those of the parameters, gradients and Adam's moments alone.",
        f"- Peak memory {number(data['training_memory'] / 2**20)} MiB.",
    ]


def growth(found: Measurements) -> list[str]:
    rows = []
    for axis, levels in found.growth.items():
        fit = exponent({float(level): seconds for level, seconds in levels.items()})
        text = "" if fit is None else f"{fit.slope:.2f} [{fit.low:.2f}, {fit.high:.2f}]"
        costs = ", ".join(f"{level}: {number(spread(seconds).median)}" for level, seconds in levels.items())
        rows.append([LABELS[axis], costs, text])
    return [
        "![Seconds over members, depth, width, length and batch](growth.svg)", "",
        *table(["axis", "seconds of an update (members: of a run), by level", "exponent, 95 % interval"], rows), "",
        "The exponent is the slope of log seconds over log level. Its interval is the regression's, so it is wide "
        "where the cost is no power law.",
    ]  # fmt: skip


def store(found: Measurements) -> list[str]:
    rows = [[f"{each.runs:,}", shown(spread(each.planning)), shown(spread(each.collecting))] for each in found.store]
    note = "A study whose runs are all in the store: `dry_run=true` as a whole command, and collecting its records."
    return [note, "", *table(["finished runs", "planning, s", "collecting, s"], rows)]


SECTIONS: list[tuple[str, Callable[[Measurements], bool], Section]] = [
    ("Training", lambda each: bool(each.training), training),
    ("Translation", lambda each: bool(each.translation), translation),
    ("Distance to the limit", lambda each: each.limit is not None, limit),
    ("On a GPU", lambda each: each.gpu is not None, gpu),
    ("How cost grows", lambda each: bool(each.growth), growth),
    ("Planning and collecting", lambda each: bool(each.store), store),
]


def listed(records: Sequence[Record]) -> list[str]:
    rows = []
    for name, each in records:
        machine = each.machine
        what = f"{machine['processor']}, {machine['cores']} cores, {machine['platform']}"
        versions = ", ".join(f"{library} {version}" for library, version in each.versions.items())
        busy = "unknown" if each.busy is None else number(each.busy)
        took = f"{each.seconds / 60:.0f} min"
        faults = "; ".join(f"{part}: {why}" for part, why in each.failures.items())
        rows.append([name, f"`{each.command}`", what, busy, versions, str(each.rounds), took, faults])
    return table(
        ["record", "command", "machine", "busy cores before", "versions", "rounds", "took", "parts that failed"],
        rows,
        "---",
    )
