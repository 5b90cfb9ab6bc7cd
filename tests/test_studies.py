import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import asdict, fields, make_dataclass, replace
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
from corpora import composed
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from short import each_once

from ablate.analysis.metrics import METRICS
from ablate.cli import CONF
from ablate.config import CHOICES, READS, BadInput, Config, DataConfig, ModelConfig, knob
from ablate.data.prepare import fingerprint_of
from ablate.data.sources import corpora
from ablate.plan.composition import Plan, plan
from ablate.plan.naming import text
from ablate.plugins import TABLES
from ablate.store.ids import MEANING, evaluation_id, training_id
from ablate.store.plain import config_from_plain, config_to_plain
from ablate.store.study_file import study_from, study_to_plain
from ablate.study import QUALITY, Kind

STUDIES = sorted(path.stem for path in CONF.glob("sweep/*.yaml"))
PRESETS = sorted(path.stem for path in CONF.glob("preset/*.yaml"))
EXPERIMENTS = CONF.parent / "experiments"
CORPORA = sorted(path.stem for path in CONF.glob("data/*.yaml"))

each_study = pytest.mark.parametrize("name", STUDIES)
each_study_and_preset = pytest.mark.parametrize(("name", "preset"), each_once(STUDIES, PRESETS))


@cache
def planned(*overrides: str) -> Plan:
    """Many laws are about the same plans."""
    return plan(composed, list(overrides))


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_child: None) -> dict[str, list[str]]:
    """What a corpus needs to be told besides its name; the hub's are as if they had been fetched before."""
    real = corpora.content
    monkeypatch.setattr(
        corpora, "content", lambda data, say: "0" * 64 if data.loader in ("hub", "multi30k") else real(data, say)
    )
    for side in ("en", "fr"):
        (tmp_path / f"train.{side}").write_text("a b c\n" * 20)
    return {"files": [f"data.path={tmp_path}", "data.name=own"], "hub": ["data.name=owner/set"]}


@pytest.mark.parametrize(("name", "preset", "corpus"), each_once(STUDIES, PRESETS, CORPORA))
def test_every_study_composes_with_every_preset_and_corpus(name: str, preset: str, corpus: str, asked: dict) -> None:
    made = plan(composed, [f"+sweep={name}", f"preset={preset}", f"data={corpus}", *asked.get(corpus, [])])
    assert made.study.name == name
    called = {"files": "own", "hub": "owner_set"}.get(corpus, corpus)
    assert made.setting == f"{called}-{preset}"
    assert len({spec.evaluation for spec in made.runs}) == len(made.runs) == len(made.cells) * made.config.seeds
    if preset == "smoke":
        assert made.config.seeds == 2
        assert all(config.model.layers <= 4 for config in made.configs.values())


@each_study
def test_every_cell_differs_from_the_baseline_in_just_what_it_says(name: str) -> None:
    made = planned(f"+sweep={name}")
    plain = {cell: config_to_plain(config) for cell, config in made.configs.items()}
    for cell in made.cells:
        if cell.baseline is not None:
            mine, baseline = deepcopy(plain[cell.name]), deepcopy(plain[cell.baseline])
            for key, value in cell.overrides.items():
                section, leaf = key.split(".")
                assert mine[section].pop(leaf) == value
                baseline[section].pop(leaf, None)
            assert mine == baseline


@each_study
def test_the_baseline_of_every_study_is_the_default(name: str) -> None:
    made = planned(f"+sweep={name}")
    default = planned(f"first_seed={made.study.first_seed}")
    plain = config_to_plain(default.config)
    for key, value in made.study.variants[made.study.baseline].items():
        section, leaf = key.split(".")
        assert plain[section][leaf] == value
    if not made.study.size("laptop").keys() - {"seeds"}:  # of the default's size, so that studies share its runs
        assert {spec.id for spec in default.runs} <= {spec.id for spec in made.runs}


@each_study
def test_a_study_trains_in_a_laptop_afternoon(name: str) -> None:
    trained = [spec for spec in planned(f"+sweep={name}").runs if spec.config.train.updates]
    assert 0 < len(trained) <= 60


@each_study_and_preset
def test_every_arm_that_a_share_is_claimed_of_has_five_runs(name: str, preset: str) -> None:
    made = planned(f"+sweep={name}", f"preset={preset}")
    shares = [part for claim in made.study.claims for part in claim.parts if part.kind is Kind.share_learned]
    if made.study.factors and shares and preset != "smoke":  # of a study made for this; norm_placement says it cannot
        assert made.config.seeds >= 5


@each_study_and_preset
def test_a_level_that_is_a_number_stays_one_in_json(name: str, preset: str) -> None:
    made = planned(f"+sweep={name}", f"preset={preset}")
    again = study_from(json.loads(json.dumps(study_to_plain(made.declared)))).at(preset)
    assert [cell.factors for cell in again.cells()] == [cell.factors for cell in made.study.cells()]
    assert again == made.study


@each_study
def test_what_a_study_sets_for_all_its_cells_cannot_be_set_on_the_command_line(name: str) -> None:
    made = planned(f"+sweep={name}")
    for key in made.study.varied():
        with pytest.raises(BadInput, match="varies"):
            planned(
                f"+sweep={name}", f"{key}={next(cell.overrides[key] for cell in made.cells if key in cell.overrides)}"
            )


@each_study_and_preset
def test_every_cell_is_a_run_of_its_own(name: str, preset: str) -> None:
    made = planned(f"+sweep={name}", f"preset={preset}")
    assert len({spec.evaluation for spec in made.runs if spec.seed == made.config.first_seed}) == len(made.cells)


def test_variants_that_would_train_alike_are_refused() -> None:
    study = {**one_part(), "variants": {"pre": {}, "post": {"model.norm_placement": "pre"}}, "claims": []}
    with pytest.raises(BadInput, match="pre and post are the same runs"):
        plan(lambda overrides: OmegaConf.merge(composed(overrides), {"study": study}), [])


def test_levels_that_train_nothing_leave_the_updates_of_the_others_open() -> None:
    made = planned("+sweep=residual", "train.updates=77")
    assert {config.train.updates for config in made.configs.values()} == {0, 77}


@each_study
def test_a_study_survives_being_written_down(name: str) -> None:
    study = planned(f"+sweep={name}").declared
    assert study_from(study_to_plain(study)) == study


@each_study
def test_every_claim_speaks_of_a_metric_that_exists(name: str) -> None:
    for claim in planned(f"+sweep={name}").study.claims:
        for part in claim.parts:
            assert part.metric in {*METRICS, QUALITY}


def test_a_configuration_survives_being_written_down() -> None:
    for preset in PRESETS:
        config = planned(f"preset={preset}").config
        assert config_from_plain(config_to_plain(config)) == config


def test_the_default_command_is_the_default_configuration() -> None:
    config = planned().config
    for section in ("model", "optim", "train", "evaluation", "diagnostics", "wandb"):
        assert getattr(config, section) == getattr(Config(), section)


# --- ids and settings -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "overrides",
    [
        ["model.d_model=64"], ["model.head_width=8"], ["model.layers=3"],
        ["model.dropout=0.2"], ["model.attention_dropout=0.1"],
        ["optim.lr=0.001"], ["optim.warmup=0"], ["optim.schedule=inverse_sqrt"], ["optim.clip=0.5"],
        ["train.updates=100"], ["train.batch_tokens=500"],
        ["train.label_smoothing=0"], ["precision=bf16"], ["data.vocabulary_size=1000"], ["data.max_words=7"],
    ],
    ids=str,
)  # fmt: skip
def test_what_determines_a_run_changes_its_id_and_its_setting(overrides: list[str]) -> None:
    default, changed = planned(), planned(*overrides)
    assert not {spec.id for spec in default.runs} & {spec.id for spec in changed.runs}
    assert default.setting == "tatoeba-laptop"
    key, _, value = overrides[0].partition("=")
    assert changed.setting == f"tatoeba-laptop-{key.rpartition('.')[2]}={value}"


@pytest.mark.parametrize(
    "overrides",
    [["wandb.mode=offline"], ["root=/tmp"], ["device=cpu"], ["workers=1"], ["diagnostics.times=0"], ["seeds=5"]],
)
def test_what_does_not_determine_a_run_changes_neither(overrides: list[str]) -> None:
    default, changed = planned(), planned(*overrides)
    assert {spec.id for spec in default.runs} <= {spec.id for spec in changed.runs}
    assert default.setting == changed.setting


def recorded() -> Iterator[tuple[dict, Config, dict]]:
    """Committed runs: the record, its configuration, and its setting's manifest."""
    for path in sorted(EXPERIMENTS.glob("*/*/runs.jsonl")):
        manifest = json.loads(path.with_name("manifest.json").read_text())
        for line in path.read_text().splitlines():
            record = json.loads(line)
            yield record, config_from_plain(record["config"]), manifest


def test_committed_runs_are_still_what_their_configuration_is_called() -> None:
    found = [
        (record["run_id"], training_id(config, record["seed"], record["corpus"], (), record.get("meaning", 1)))
        for record, config, _ in recorded()
    ]
    assert found
    assert [then for then, _ in found] == [now for _, now in found]


def test_committed_corpora_are_still_what_their_recipe_is_called() -> None:
    marks = {}
    for record, config, manifest in recorded():
        content = manifest["corpus"].get("content") or corpora.content(config.data, print)  # older records have none
        marks[record["corpus"]] = fingerprint_of(config.data, content)
    assert marks
    assert all(then == now for then, now in marks.items())


@pytest.mark.parametrize("section", ["model", "optim", "train", "evaluation", "data"])
def test_a_key_added_with_a_default_moves_no_id(section: str) -> None:
    def ids(config: Config) -> tuple[str, ...]:
        return training_id(config, 0, "abc"), evaluation_id(config, "a training"), fingerprint_of(config.data, "a hash")

    old = Config(data=DataConfig(loader="tatoeba"))
    of_old = type(getattr(old, section))
    added = [("added", str, knob("default", "a new choice", introduced="default"))]
    of_new = make_dataclass("New", added, bases=(of_old,), frozen=True)
    values = {item.name: getattr(getattr(old, section), item.name) for item in fields(of_old)}
    assert ids(replace(old, **{section: of_new(**values)})) == ids(old)
    assert ids(replace(old, **{section: of_new(**values, added="another")})) != ids(old)


def test_names_of_components_are_those_of_their_tables() -> None:
    tables = {key: getattr(import_module(table.module), table.name) for key, table in TABLES.items()}
    assert {key: [*table] for key, table in tables.items() if key in CHOICES} == CHOICES
    assert [*READS] == CHOICES["model.architecture"]


def test_a_key_that_the_architecture_does_not_read_is_refused_and_in_no_id() -> None:
    with pytest.raises(
        BadInput, match=r"model\.heads is set, which model.architecture=lstm does not read; it reads .*layers"
    ):
        planned("model.architecture=lstm", "model.heads=2")
    planned("model.architecture=lstm", "model.layers=3")
    lstm = replace(Config(), model=ModelConfig(architecture="lstm"))
    assert training_id(lstm, 0, "abc") == training_id(replace(lstm, model=replace(lstm.model, heads=2)), 0, "abc")
    assert training_id(lstm, 0, "abc") != training_id(replace(lstm, model=replace(lstm.model, layers=3)), 0, "abc")


def test_another_evaluation_is_another_setting_of_the_same_runs() -> None:
    default, changed = planned(), planned("evaluation.beam=10")
    assert [spec.id for spec in default.runs] == [spec.id for spec in changed.runs]
    assert changed.setting == "tatoeba-laptop-beam=10"


def test_a_long_suffix_is_hashed() -> None:
    many = [
        "model.d_model=64",
        "model.layers=3",
        "model.dropout=0.2",
        "optim.lr=0.001",
        "train.updates=100",
        "optim.clip=2",
        "optim.warmup=0.1",
    ]
    setting = planned(*many).setting
    assert len(setting) < 40
    assert setting == planned(*many[::-1]).setting


@given(seed=st.integers(0, 1000))
def test_an_id_is_the_hash_of_seed_corpus_and_configuration(seed: int) -> None:
    config = Config()
    assert training_id(config, seed, "abc") == training_id(Config(), seed, "abc")
    assert training_id(config, seed, "abc") != training_id(config, seed + 1, "abc")
    assert training_id(config, seed, "abc") != training_id(config, seed, "abd")
    assert MEANING >= 1
    assert asdict(config)["study"] is None


# --- two factors, coupled keys --------------------------------------------------------------------------------------

TWO_FACTORS = {
    "name": "depth",
    "question": "Does depth matter to the placement of norms?",
    "baseline": "pre",
    "variants": {"pre": {"model.norm_placement": "pre"}, "post": {"model.norm_placement": "post", "optim.lr": 1e-3}},
    "factors": {"layers": {1: {"model.layers": 1}, 3: {"model.layers": 3}}},
}


def test_a_factor_compares_within_its_levels() -> None:
    cells = study_from(TWO_FACTORS).cells()
    assert [(cell.name, cell.baseline) for cell in cells] == [
        ("pre,layers=1", None),
        ("post,layers=1", "pre,layers=1"),
        ("pre,layers=3", None),
        ("post,layers=3", "pre,layers=3"),
    ]
    assert cells[3].overrides == {"model.norm_placement": "post", "optim.lr": 1e-3, "model.layers": 3}


# --- what is refused ------------------------------------------------------------------------------------------------


def one_part(**changes: object) -> dict:
    claim = {"id": "c", "sentence": "s", "contrast": "post - pre", "metric": "test_bleu", "kind": "directional"}
    variants = {"pre": {}, "post": {"model.norm_placement": "post"}}
    return {"name": "n", "question": "q", "baseline": "pre", "variants": variants, "claims": [{**claim, **changes}]}


@pytest.mark.parametrize(
    ("mapping", "says"),
    [
        ({}, "study.name is missing"),
        ({**one_part(), "baseline": "none"}, "pre, post"),
        ({**one_part(), "varaints": {}}, "varaints is unknown"),
        (one_part(kind="guess"), "directional, at_least_as_good"),
        (one_part(direction="up"), "higher, lower"),
        (one_part(contrast="post - mid"), "mid, which is not a variant"),
        (one_part(contrast="post"), "'variant - baseline'"),
        (one_part(contrast="post", kind="in_range"), "range"),
        (one_part(metric=None), "metric is missing"),
        (one_part(marign=1), "marign is unknown"),
        (one_part(kind="several"), "needs parts"),
    ],
)
def test_a_study_that_makes_no_sense_is_refused_in_one_line(mapping: dict, says: str) -> None:
    with pytest.raises(BadInput) as refusal:
        study_from(mapping)
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "mapping",
    [
        {**one_part(), "variants": {"pre": 3, "post": {}}},
        {**one_part(), "variants": ["pre", "post"]},
        {**one_part(), "claims": ["post is better"]},
        one_part(range=3, kind="in_range", contrast="post"),
        one_part(margin="abc"),
        one_part(margin=-1),
        one_part(kind="several", parts=[{"kind": "several", "contrast": "post - pre", "metric": "test_bleu"}]),
    ],
    ids=str,
)
def test_a_study_of_the_wrong_form_is_refused_in_one_line(mapping: dict) -> None:
    with pytest.raises(BadInput) as refusal:
        study_from(mapping)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("overrides", [["data.name=../../x"], ["data.name=.hidden"], ["data.name=" + 101 * "x"]])
def test_no_name_leads_out_of_its_folder(overrides: list[str]) -> None:
    with pytest.raises(BadInput, match="names a folder"):
        planned(*overrides)


def test_a_slash_in_the_name_of_a_corpus_makes_no_folder() -> None:
    assert planned("data.name=owner/set").setting == "owner_set-laptop"


@given(value=st.floats(1e-9, 1e9) | st.integers(0, 10**9))
def test_a_number_survives_being_an_override(value: float) -> None:
    assert float(text(value)) == value


def test_averaging_checkpoints_needs_enough_of_them() -> None:
    with pytest.raises(BadInput, match="validations"):
        planned("train.checkpoint=average_last_10")
    planned("train.checkpoint=average_last_10", "train.validations=40")
