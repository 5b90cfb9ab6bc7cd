"""How to compute each number of a report from its records without this code."""

from __future__ import annotations

import io
from typing import Any

import pandas as pd

from ablate.analysis.metrics import metric
from ablate.analysis.power import POWER
from ablate.analysis.robust import MINIMUM_SEEDS
from ablate.analysis.trained import CLOSED
from ablate.analysis.training_length import LAST, LEAST, STILL
from ablate.analysis.verdicts import ALPHA
from ablate.config import LEARNED_BELOW
from ablate.records.report_data import ReportData
from ablate.report.wording import escape, table
from ablate.store.bleu_tokenizers import DEFAULT
from ablate.store.record_schema import RESULT_COLUMNS
from ablate.study import Pairs


def recipes(data: ReportData) -> str:
    """A row for each kind of number in this report: the file and its column or key, and the formula."""
    parts = [part for claim in data.study.claims for part in claim.parts]
    named = list(dict.fromkeys([data.study.metric, *(part.metric for part in parts)]))
    rows = [(metric(each).label, *SOURCES[each]) for each in named if each in SOURCES]
    scored = [each for each in SCORED if any(run.get(each) is not None for run in data.recorded)]
    rows += [tokenised(data, SCORED[each]) for each in scored]
    rows += [TRAINED] if any(run["trained"] is not None for run in data.recorded) else []
    rows += [SEQUENTIAL] if data.sequential else []
    rows += [GUARD] if data.noise.spreads and not data.sequential else []
    rows += [*([] if data.earlier else [adjusted(data)]), *STATISTICS]
    rows += [CHANGE] if data.interactions else []
    rows += [TUNED] if data.tuning else []
    rows += [HALVED] if data.study.pairs is Pairs.halves else []
    most = max((len(data.runs_of(cell.name)) for cell in data.cells), default=0)
    rows += [ROBUST] if most >= MINIMUM_SEEDS and not data.sequential else []
    rows += [NEAR] if any(sentence.get("near") is not None for sentence in data.test) else []
    rows += SPEED if data.cost else []
    rows += [shared(name) for name in ("learned", "trained") if any(part.metric == name for part in parts)]
    return table(["number", "from", "how"], [[escape(label), source, how] for label, source, how in rows])


def shared(name: str) -> tuple[str, str, str]:
    """The row of a difference of shares."""
    how = "Newcombe's interval of the two Wilson intervals; p is Fisher's, two-sided"
    return f"difference in the share that {name}", f"results.csv, `{name}`", how


def adjusted(data: ReportData) -> tuple[str, str, str]:
    """The row of adjusted p values."""
    return (
        f"p ({data.estimator.correction})",
        "of a row, the p of every row of its table; of a claim, the p of every claim that has one, and of a claim of "
        "several contrasts the largest",
        ADJUSTED[data.estimator.correction],
    )


def tokenised(data: ReportData, row: tuple[str, str, str]) -> tuple[str, str, str]:
    """The row with additions if it is that of BLEU: an unusual tokeniser, and why there is no BLEU."""
    if row is not SCORED["test_chrf"]:
        return row
    label, source, how = row
    how += f"; BLEU's tokeniser is `{data.bleu_tokenizer}`" if data.bleu_tokenizer != DEFAULT else ""
    how += f"; BLEU is not measured here: {escape(data.unmeasured[BLEU])}" if BLEU in data.unmeasured else ""
    return label, source, how


def snippet(data: ReportData) -> str:
    """Code that recomputes the first difference in the table of variants; empty if no t test gives it."""
    found = [each for each in data.comparisons if each.effect.seeds > 1]
    plain = data.study.pairs is Pairs.seeds and not data.sequential and data.shown is data
    if not found or not plain or data.study.metric not in RESULT_COLUMNS:
        return ""
    first, results = found[0], f"reports/{data.study.name}/{data.setting}/results.csv"
    names = [run["variant"] for run in data.runs]
    kept = "" if read_back(names) == names else ", dtype={'variant': str}"
    return "\n".join(
        [
            "import pandas as pd",
            "from scipy import stats",
            "",
            f"runs = pd.read_csv({results!r}, keep_default_na=False, na_values=['']{kept})",
            "finished = runs[runs.status == 'finished']",
            f"score = finished.pivot(index='seed', columns='variant', values={data.study.metric!r})",
            f"difference = (score[{first.variant!r}] - score[{first.baseline!r}]).dropna()",
            "test = stats.ttest_1samp(difference, 0)",
            "print(difference.mean(), *test.confidence_interval(), test.pvalue)",
        ]
    )


def read_back(names: list[str]) -> list[Any]:
    """The names as pandas reads them from a column: `1` and `1e5` become numbers."""
    column = io.StringIO("".join(f'"{name}"\n' for name in ["variant", *names]))
    return pd.read_csv(column, keep_default_na=False, na_values=[""])["variant"].tolist()


BLEU = "test_bleu"
LOOK = "layers.jsonl.gz, the entry of `diagnostics` with `update` 0"
RATES = (
    "runs.jsonl, `best_validation_loss`, by `variant` and `lr`; no more than the "
    "`unigram_cross_entropy` of manifest.json, which stands for a run that diverged"
)
COUNTS = "layers.jsonl.gz, `parameter_counts`"
SOURCES = {  # metric -> the file and key of a run's value, and the formula; the others are columns of results.csv
    "initial_gradient_norm_last_ffn": (LOOK, "`gradient_norm` of `decoder.N.feedforward` with the highest N"),
    "initial_gradient_norm_ratio_last_to_first": (
        LOOK,
        "`gradient_norm` of `decoder.N.feedforward` with the highest N, over that with N = 0",
    ),
    "initial_gradient_span": (
        LOOK,
        "log10 of the largest over the smallest `gradient_norm` of all parts called `feedforward`, none taken below "
        "1.2e-38",
    ),
    "initial_score_variance": (LOOK, "mean of `score_variance` over the parts"),
    "initial_largest_attention_weight": (LOOK, "mean of `largest_attention_weight` over the parts"),
    "initial_softmax_slope": (LOOK, "mean of `softmax_slope` over the parts"),
    "initial_query_key_gradient_norm": (
        LOOK,
        "root of the sum of the squares of `query_key_gradient_norm` over the parts",
    ),
    "lr_sensitivity": (RATES, "the mean over the grid less the lowest, seed by seed"),
    "dead_unit_share": ("layers.jsonl.gz, `final_dead_units`", "the largest value"),
    "test_bits_per_byte": (
        "hypotheses.jsonl.gz, `loss`; test.jsonl.gz and, if there is one, pool.jsonl.gz, `references`",
        "sum of `loss` over ln 2 and over the bytes of the references in UTF-8",
    ),
    "decoding_seconds": ("runs.jsonl, `decoding_seconds`", "measured; on a machine that did other work it is too long"),
    "ffn_parameter_share": (COUNTS, "sum over parts `encoder.N.feedforward`, over the sum of all parts `encoder.N`"),
    "encoder_layer_parameters_over_d_model_squared": (
        COUNTS,
        "sum over all parts `encoder.N`, over the number of layers and the square of `d_model`",
    ),
}
SCORED = {  # column -> its row of the table
    "test_chrf": (
        "BLEU and chrF of a run",
        "hypotheses.jsonl.gz, `beam` (`greedy`) of its `run_id`; test.jsonl.gz, `references`",
        "sacreBLEU with the signature under Provenance; `test_bleu_lower` adds `lc`",
    ),
    "test_loss": (
        "test loss of a run",
        "hypotheses.jsonl.gz",
        "sum of `loss` over sum of `tokens`, which have an entry for each reference of each sentence of test.jsonl.gz "
        "and then, if there is one, of pool.jsonl.gz",
    ),
    "validation_loss": (
        "validation loss of a run",
        "curves.jsonl.gz, `validation`; runs.jsonl, `best_update`",
        "the loss at that update, where the checkpoint kept is the best; an average of checkpoints is in no curve",
    ),
    "learned": (
        "whether a run learned",
        "curves.jsonl.gz, `validation`; manifest.json, `unigram_cross_entropy` of the corpus",
        f"whether the run finished and its lowest loss is at most {LEARNED_BELOW:g} times that",
    ),
}
TRAINED = (
    "whether a run trained",
    "curves.jsonl.gz and manifest.json as above; noise.json.gz, `defaults` of its corpus and budget",
    f"whether the run finished and its validation loss lies below `unigram_cross_entropy` by at least {CLOSED:.0%} of "
    "what `loss` does, the median of the default configuration",
)
ADJUSTED = {
    "Holm": "times k, k - 1, ..., 1 from the smallest up, each at least the one before and at most 1",
    "Bonferroni": "times k, the number of those p, and at most 1",
}
STATISTICS = [
    (
        "mean [95 %]",
        "the runs of a variant that have the number",
        "mean ± t(0.975, n - 1) s / √n, where s is the standard deviation with n - 1",
    ),
    (
        "paired difference [95 %]",
        "the seeds of which both runs have the number, on one type of device and in one precision",
        "variant minus baseline, seed by seed; then mean and interval as above, p by the paired t test",
    ),
    (
        "more seeds",
        "noise.json.gz: the median over contrasts with the same metric, budget and `references` of `variance` over the "
        "median of chi squared / (`seeds` - 1), else s of the paired differences",
        f"the least n at which a two-sided t test of level {ALPHA:g} detects the margin with {POWER:.0%} power, less "
        "the n there is; of a claim of a range, the least n at which half the interval is shorter than the distance "
        "from the mean to its nearest end",
    ),
    (
        "what pairing by seed gains",
        "the same pairs",
        "Pearson's correlation; variance of the difference over the sum of the two variances",
    ),
    (
        "seeds against sentences",
        "hypotheses.jsonl.gz: of each sentence, the sum of `loss` over its references; BLEU from `beam` (`greedy`)",
        "analysis of variance, seeds by sentences without replication: of (d - r tokens) / mean tokens, where d is a "
        "sentence's difference in loss and r the sum of d over that of tokens; of the differences of n times BLEU less "
        "n - 1 times that without the sentence",
    ),
    (
        "epochs",
        "curves.jsonl.gz, `tokens`; manifest.json, `train_tokens` of the corpus, else `train_pairs` times "
        "`mean_target`",
        "sum of the first over the second",
    ),
    (
        "runs still improving",
        "curves.jsonl.gz, `validation`",
        f"whether a line through the losses of the last {LAST:.0%} of the updates ({LEAST} validations at the least) "
        f"against log2 of the update falls by more than {STILL:.0%} of their mean for each doubling; the decay of the "
        "learning rate is part of that fall",
    ),
    (
        "inside the model",
        "layers.jsonl.gz, the last entry of `diagnostics` of runs that finished",
        "mean over parts and runs",
    ),
]
SPEED = [
    ("tokens/s", "cost.json, the variant among `cells`", "median over rounds of `tokens` over `seconds`"),
    (
        "time of an update [quartiles]",
        "cost.json, the variant and its baseline among `cells`",
        "median and quartiles over rounds of the variant's `seconds` over the baseline's",
    ),
]
GUARD = (
    "paired difference, where the records hold six other contrasts",
    "noise.json.gz, entries with the same metric, budget and `references` (of a test loss, `loss_references` of "
    "runs.jsonl), and other cells",
    "the wider of the paired t interval and limma's: `variance` and `seeds` - 1 give s0^2 and d0 (Smyth 2004, section "
    "6.2), the variance is (d0 s0^2 + d s^2) / (d0 + d), its degrees of freedom d0 + d, at most the sum of all "
    "`seeds` - 1; p is the larger one",
)
SEQUENTIAL = (
    "every interval and p below",
    "the runs that their row names",
    "not by t, which assumes a number of seeds fixed beforehand, but by the confidence sequence of "
    "ablate/analysis/sequential.py, and for shares that of sequential_shares.py",
)
TUNED = (
    "own best rate",
    RATES,
    "the rate of the lowest mean over seeds; the test scores of both arms at theirs are then a paired difference",
)
NEAR = (
    "BLEU near and far",
    "test.jsonl.gz, `near`; hypotheses.jsonl.gz, `beam`",
    "BLEU of the sentences for which it is true, and of the others; then means and paired differences as above, but "
    "without noise.json.gz",
)
HALVED = ("pairs of one variant", "results.csv, `seed`", "seed i of the first half with seed n + i, where there are 2n")
ROBUST = (
    "inter-quartile mean, probability of improvement",
    "the runs of a variant that have the number",
    "as rliable does; the bootstrap's draws are those of ablate/analysis/robust.py",
)
CHANGE = (
    "change of a difference",
    "the differences at two levels",
    "one minus the other, seed by seed; then as a paired difference. p adjusted over the rows of a variant",
)
