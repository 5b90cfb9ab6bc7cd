"""The harness as an instrument: simulated studies through the code that judges real ones.

python tests/calibration.py prints the table of tests/README.md; python tests/calibration.py 10000 takes as many studies
a row instead.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from records import a_study
from scipy import stats

from ablate.analysis.estimators import ANYTIME, FIXED, Estimator
from ablate.analysis.judging import ClaimVerdict, judge_all
from ablate.analysis.kinds import LEAST_SEEDS
from ablate.analysis.moderated import moderated
from ablate.analysis.noise import Noise, Spread
from ablate.analysis.power import POWER, detectable
from ablate.analysis.verdicts import ALPHA, Verdict
from ablate.study import Study

STUDIES = 1000  # a row
MARGIN = 0.5  # BLEU
LOOKS = (4, 8, 12, 16, 20)  # seeds at which a study that adds them is judged
BAND = 0.99  # of the binomial distribution
GUARD = 0.03  # of power, which the wider of two intervals may cost a design that is said to have 80 %


@dataclass(frozen=True)
class Row:
    """How often something happened in simulated studies, and how often it should."""

    what: str
    seeds: str
    noise: str
    promised: float
    happened: int
    studies: int
    law: str  # how it may differ from what is promised, of `holds`

    @property
    def band(self) -> tuple[int, int]:
        """Counts that a binomial of the promised rate stays within."""
        low, high = stats.binom(self.studies, self.promised).interval(BAND)
        return int(low), int(high)

    @property
    def holds(self) -> bool:
        low, high = self.band
        happened = self.happened
        return {"within": low <= happened <= high, "at most": happened <= high, "at least": low <= happened,
                "breaks": happened > high}[self.law]  # fmt: skip

    @property
    def cells(self) -> list[str]:
        low, high = self.band
        allowed = {
            "within": f"{low} to {high}",
            "at most": f"0 to {high}",
            "at least": f"at least {low}",
            "breaks": f"more than {high}",
        }[self.law]
        return [self.what, self.seeds, self.noise, f"{100 * self.promised:.1f} %", allowed, str(self.happened)]


NOISES: dict[str, Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]] = {  # each of variance 1
    "Gaussian": lambda rng, shape: rng.normal(size=shape),
    "t3": lambda rng, shape: rng.standard_t(3, shape) / np.sqrt(3),
    "Laplace": lambda rng, shape: rng.laplace(size=shape) / np.sqrt(2),
    "contaminated": lambda rng, shape: (
        rng.normal(size=shape) * np.where(rng.random(shape) < 0.1, 5, 1) / np.sqrt(0.9 + 0.1 * 25)
    ),
}


def scores(studies: int, noise: str, arms: int, seeds: int, effect: float = 0.0, spread: float = 1.0) -> np.ndarray:
    """Made-up BLEU [study, arm, seed]: what a seed's runs have in common, noise of their own, and the effect.

    `spread` is the standard deviation of a difference between two runs of one seed; every arm but the first has
    `effect` more, both in BLEU.
    """
    rng = np.random.default_rng([arms, seeds, zlib.crc32(noise.encode()), round(100 * abs(effect))])
    own = NOISES[noise](rng, (studies, arms, seeds)) * spread / np.sqrt(2)
    common = 2 * rng.normal(size=(studies, 1, seeds))
    return 40 + common + own + effect * (np.arange(arms) > 0)[:, None]


def runs(study: Study, arms: np.ndarray, column: str = "test_bleu") -> list[dict[str, Any]]:
    """As much of a record as judging reads; arms are [arm, seed]."""
    return [
        {"variant": cell.name, "seed": seed, "status": "finished", column: float(value)}
        for cell, values in zip(study.cells(), arms)
        for seed, value in enumerate(values)
    ]


def a_claimed_study(arms: int, **claim: Any) -> Study:
    """A study of so many variants, and a claim on each that has a baseline; on the first if the kind speaks of one."""
    names = [f"v{arm}" for arm in range(arms)]
    base = {"sentence": "They say.", "metric": "test_bleu", "margin": 0, **claim}
    about = [names[0]] if claim["kind"] == "in_range" else [f"{name} - {names[0]}" for name in names[1:]]
    return a_study(names, [{**base, "id": f"c-{contrast}", "contrast": contrast} for contrast in about])


def judged(
    study: Study, arms: np.ndarray, estimator: Estimator = FIXED, column: str = "test_bleu"
) -> Iterator[list[ClaimVerdict]]:
    """The verdicts on each of many studies; arms are [study, arm, seed]."""
    for each in arms:
        yield judge_all(study, runs(study, each, column), "python -m ablate", estimator)


def given(found: Sequence[ClaimVerdict], *verdicts: Verdict) -> bool:
    """Whether any claim got one of these."""
    return any(each.verdict in verdicts for each in found)


DECIDED = (Verdict.supported, Verdict.contradicted, Verdict.partly)
DIRECTIONAL = {"kind": "directional", "direction": "higher"}


def false_alarms(studies: int, noise: str, seeds: int, variants: int = 1) -> Row:
    study = a_claimed_study(variants + 1, **DIRECTIONAL)
    arms = scores(studies, noise, variants + 1, seeds)
    happened = sum(given(found, *DECIDED) for found in judged(study, arms))
    what = "a difference is found where there is none" + (f", {variants} variants under Holm" * (variants > 1))
    return Row(
        what,
        str(seeds),
        noise,
        ALPHA,
        happened,
        studies,
        "within" if (noise, variants) in EXACT and seeds >= LEAST_SEEDS else "at most",
    )


EXACT = [("Gaussian", 1)]  # where the test has its nominal level, and not merely no more


def discoveries(studies: int, seeds: int, effect: float) -> Row:
    """As often as the noncentral t distribution says. The effect is in standard deviations of a difference."""
    study = a_claimed_study(2, **DIRECTIONAL)
    critical = stats.t.ppf(1 - ALPHA / 2, seeds - 1)
    power = float(stats.nct.sf(critical, seeds - 1, effect * np.sqrt(seeds)))
    found = sum(given(each, Verdict.supported) for each in judged(study, scores(studies, "Gaussian", 2, seeds, effect)))
    what = f"a difference of {effect:g} sd is found"
    return Row(what, str(seeds), "Gaussian", power, found, studies, "within")


def misses(studies: int, noise: str, seeds: int) -> Row:
    study, effect = a_claimed_study(2, **DIRECTIONAL), 0.7
    arms = scores(studies, noise, 2, seeds, effect)
    missed = sum(not found[0].parts[0].low <= effect <= found[0].parts[0].high for found in judged(study, arms))
    law = "within" if noise == "Gaussian" else "at most"
    return Row("the interval misses the true difference", str(seeds), noise, ALPHA, missed, studies, law)


def at_the_margin(studies: int, kind: str, seeds: int) -> Row:
    """The true value lies where the claim just fails: to support it is an error, one-sided and so of half the level."""
    spread = MARGIN / 5  # far from the other margin
    if kind == "in_range":
        study, effect = a_claimed_study(1, kind=kind, range=[40, None]), 0.0
    else:
        study = a_claimed_study(2, kind=kind, margin=MARGIN)
        effect = -MARGIN if kind == "at_least_as_good" else MARGIN
    arms = scores(studies, "Gaussian", len(study.variants), seeds, effect, spread)
    happened = sum(given(found, Verdict.supported) for found in judged(study, arms))
    what = f"“{kind.replace('_', ' ')}” is supported at the very edge of its margin or range"
    return Row(what, str(seeds), "Gaussian", ALPHA / 2, happened, studies, "within")


def shares_that_learned(studies: int, seeds: int, share: float) -> Row:
    study = a_claimed_study(2, kind="share_trained")
    happened = sum(given(found, *DECIDED) for found in judged(study, learned(studies, seeds, share), column="trained"))
    what = f"shares that trained differ, though both are {share:g}"
    return Row(what, f"{seeds}", "Bernoulli", ALPHA, happened, studies, "at most")


LIBRARIES = (6, 20, 100)  # contrasts


def libraries(rng: np.random.Generator, arms: np.ndarray, noise: str, size: int, shared: bool) -> Iterator[Noise]:
    """A noise library for each study [study, arm, seed], of contrasts with as many seeds whose spread is 1.

    Their baseline is that of the study where it is shared, and otherwise each has its own.
    """
    own = NOISES[noise](rng, (len(arms), size, arms.shape[-1])) / np.sqrt(2)
    base = arms[:, :1] - arms[:, :1].mean(axis=-1, keepdims=True) if shared else (
        NOISES[noise](rng, (len(arms), size, arms.shape[-1])) / np.sqrt(2)
    )  # fmt: skip
    seeds = arms.shape[-1]
    for variances in (own - base).var(axis=-1, ddof=1):
        yield Noise(tuple(
            Spread("test_bleu", "", "other", "", f"w{place}", "base", (f"w{place}", "base"), seeds, value, 40.0)
            for place, value in enumerate(variances)
        ))  # fmt: skip


ARRANGED = {  # what is unlike the library -> how much more the judged variant spreads, whether baselines are shared
    "": (1.0, False),
    ", a baseline shared with the library": (1.0, True),
    ", twice the spread of the library": (2.0, False),
}


def guarded_alarms(studies: int, noise: str, seeds: int, arranged: str, estimator: Estimator = FIXED) -> Row:
    """The most over libraries of different sizes, which all judge the same studies."""
    spread, shared = ARRANGED[arranged]
    study, counts = a_claimed_study(2, **DIRECTIONAL), []
    for size in LIBRARIES:
        rng = np.random.default_rng([size, seeds, zlib.crc32(f"{noise}{arranged}".encode())])
        own = NOISES[noise](rng, (studies, 2, seeds)) / np.sqrt(2)
        own[:, 1] += np.sqrt(spread**2 - 1) * NOISES[noise](rng, (studies, seeds))
        arms = 40 + own
        counts.append(
            sum(
                given(judge_all(study, runs(study, each), "python -m ablate", estimator.knowing(known)), *DECIDED)
                for each, known in zip(arms, libraries(rng, arms, noise, size, shared))
            )
        )
    by = "a library" if estimator is FIXED else "the moderated interval alone"
    what = f"a difference is found where there is none, by {by}{arranged}"
    law = "at most" if estimator is FIXED else "breaks"
    return Row(what, str(seeds), noise, ALPHA, max(counts), studies, law)


MODERATED = replace(FIXED, guard=lambda effect, prior, level: moderated(effect, prior, level) if prior else effect)


def guarded_discoveries(studies: int, seeds: int, size: int) -> Row:
    """The difference that `--noise` says so many seeds detect."""
    study, rng = a_claimed_study(2, **DIRECTIONAL), np.random.default_rng([seeds, size])
    arms = 40 + rng.normal(size=(studies, 2, seeds)) / np.sqrt(2) + np.array([0, detectable(seeds)])[:, None]
    found = sum(
        given(judge_all(study, runs(study, each), "", FIXED.knowing(known)), Verdict.supported)
        for each, known in zip(arms, libraries(rng, arms, "Gaussian", size, False))
    )
    what = f"the difference that so many seeds are said to detect is found, by a library of {size}"
    return Row(what, str(seeds), "Gaussian", POWER - GUARD, found, studies, "at least")


def a_conjunction(contrasts: Sequence[str], **part: Any) -> dict[str, Any]:
    base = {"metric": "test_bleu", "kind": "directional", "direction": "higher", **part}
    parts = [{**base, "contrast": each} for each in contrasts]
    return {"id": "+".join(contrasts), "sentence": "They say.", "kind": "several", "parts": parts}


def conjunctions(studies: int, noise: str, seeds: int, parts: int, claims: int, estimator: Estimator = FIXED) -> Row:
    """Studies of so many claims, each of so many contrasts: none of them has a difference.

    A margin of 2 standard deviations makes contrasts negligible, so that a claim may be partly supported.
    """
    names = [f"v{arm}" for arm in range(parts * claims + 1)]
    contrasts = [f"{name} - v0" for name in names[1:]]
    claimed = [a_conjunction(contrasts[place * parts : (place + 1) * parts], margin=2.0) for place in range(claims)]
    study = a_study(names, claimed)
    arms = scores(studies, noise, len(names), seeds)
    happened = sum(given(found, *DECIDED) for found in judged(study, arms, estimator))
    what = f"any of {claims} claims of {parts} contrasts is decided where there is no difference"
    looks = ", looking after every seed" if estimator is ANYTIME else ""
    return Row(what + looks, str(seeds), noise, ALPHA, happened, studies, "at most")


def conjunctions_found(studies: int, seeds: int, parts: int, effect: float) -> Row:
    """All contrasts differ; they have their own baselines, so that their tests are independent."""
    names = [f"v{arm}" for arm in range(2 * parts)]
    contrasts = [f"{names[place + 1]} - {names[place]}" for place in range(0, 2 * parts, 2)]
    study = a_study(names, [a_conjunction(contrasts)])
    arms = scores(studies, "Gaussian", 2 * parts, seeds)
    arms[:, 1::2] += effect
    critical = stats.t.ppf(1 - ALPHA / 2, seeds - 1)
    power = float(stats.nct.sf(critical, seeds - 1, effect * np.sqrt(seeds))) ** parts
    found = sum(given(each, Verdict.supported) for each in judged(study, arms))
    what = f"a claim of {parts} contrasts, each a difference of {effect:g} sd, is supported"
    return Row(what, str(seeds), "Gaussian", power, found, studies, "within")


def equal_spreads(studies: int, noise: str, seeds: int) -> Row:
    study = a_claimed_study(2, kind="stability")
    happened = sum(given(found, *DECIDED) for found in judged(study, scores(studies, noise, 2, seeds)))
    return Row("spreads differ, though they are equal", str(seeds), noise, ALPHA, happened, studies, "at most")


def learned(studies: int, seeds: int, share: float) -> np.ndarray:
    """Outcomes [study, arm, seed] of two arms alike."""
    return np.random.default_rng([seeds, int(100 * share)]).random((studies, 2, seeds)) < share


def stopping(studies: int, noise: str, estimator: Estimator, variants: int = 1) -> Row:
    """Judged after each batch of seeds, until something is decided or there are no more."""
    study = a_claimed_study(variants + 1, **DIRECTIONAL)
    arms = scores(studies, noise, variants + 1, LOOKS[-1])
    happened = sum(
        any(given(judge_all(study, runs(study, each[:, :seeds]), "", estimator), *DECIDED) for seeds in LOOKS)
        for each in arms
    )
    by = "the confidence sequence" if estimator is ANYTIME else "the t interval"
    what = f"a difference is found where there is none, stopping as soon as {by} decides"
    what += f", {variants} variants under Holm" * (variants > 1)
    law = "at most" if estimator is ANYTIME else "breaks"
    return Row(what, f"{LOOKS[0]} to {LOOKS[-1]}", noise, ALPHA, happened, studies, law)


def sequence_misses(studies: int, noise: str) -> Row:
    study, effect = a_claimed_study(2, **DIRECTIONAL), 0.7
    found = judged(study, scores(studies, noise, 2, LOOKS[-1], effect), ANYTIME)
    missed = sum(not each[0].parts[0].low <= effect <= each[0].parts[0].high for each in found)
    what = "the confidence sequence ever misses the true difference"
    return Row(what, f"2 to {LOOKS[-1]}", noise, ALPHA, missed, studies, "at most")


def sequential_shares(studies: int, share: float) -> Row:
    """Judged once: p is the least of all looks."""
    study = a_claimed_study(2, kind="share_trained")
    arms = learned(studies, LOOKS[-1], share)
    happened = sum(given(found, *DECIDED) for found in judged(study, arms, ANYTIME, "trained"))
    what = f"shares that trained ever differ, though both are {share:g}, looking after every seed"
    return Row(what, f"1 to {LOOKS[-1]}", "Bernoulli", ALPHA, happened, studies, "at most")


ROWS: dict[str, Callable[[int], Row]] = {
    **{f"A/A {noise} {n}": lambda studies, noise=noise, n=n: false_alarms(studies, noise, n)
       for noise in NOISES for n in (3, 5, 10)},
    **{f"A/A {noise} family": lambda studies, noise=noise: false_alarms(studies, noise, 5, variants=4)
       for noise in ("Gaussian", "t3")},
    **{f"planted {effect} {n}": lambda studies, effect=effect, n=n: discoveries(studies, n, effect)
       for effect, n in ((1.5, 5), (1.0, 10))},
    **{f"coverage {noise}": lambda studies, noise=noise: misses(studies, noise, 5) for noise in ("Gaussian", "t3")},
    **{f"margin {kind}": lambda studies, kind=kind: at_the_margin(studies, kind, 5)
       for kind in ("at_least_as_good", "no_difference", "in_range")},
    **{f"library {noise} {n}{arranged}": lambda studies, noise=noise, n=n, arranged=arranged:
       guarded_alarms(studies, noise, n, arranged)
       for arranged in ARRANGED for noise in ("Gaussian", "t3") for n in (3, 5, 10)},
    "moderated alone": lambda studies: guarded_alarms(studies, "Gaussian", 5, list(ARRANGED)[2], MODERATED),
    **{f"detectable {n} {size}": lambda studies, n=n, size=size: guarded_discoveries(studies, n, size)
       for n in (5, 10) for size in LIBRARIES},
    **{f"conjunctions {noise} {parts} {claims}": lambda studies, noise=noise, parts=parts, claims=claims:
       conjunctions(studies, noise, 5, parts, claims)
       for noise in ("Gaussian", "t3") for parts, claims in ((2, 1), (3, 1), (2, 3))},
    "conjunctions sequential": lambda studies: conjunctions(studies, "Gaussian", 20, 2, 2, ANYTIME),
    **{f"conjunction found {n}": lambda studies, n=n, effect=effect: conjunctions_found(studies, n, 2, effect)
       for n, effect in ((5, 2.0), (10, 1.0))},
    **{f"stability {noise} {n}": lambda studies, noise=noise, n=n: equal_spreads(studies, noise, n)
       for noise in NOISES for n in (5, 10)},
    **{f"shares {share} {n}": lambda studies, share=share, n=n: shares_that_learned(studies, n, share)
       for share, n in ((0.5, 5), (0.5, 10), (0.8, 10))},
    "stopping t": lambda studies: stopping(studies, "Gaussian", FIXED),
    **{f"stopping {noise}": lambda studies, noise=noise: stopping(studies, noise, ANYTIME) for noise in NOISES},
    "stopping family": lambda studies: stopping(studies, "Gaussian", ANYTIME, variants=3),
    **{f"sequence {noise}": lambda studies, noise=noise: sequence_misses(studies, noise) for noise in NOISES},
    **{f"sequential shares {share}": lambda studies, share=share: sequential_shares(studies, share)
       for share in (0.5, 0.8)},
}  # fmt: skip

HEADER = ["what happens", "seeds", "noise", "promised", "allowed", "found"]


def table(rows: Sequence[Row]) -> str:
    """In Markdown."""
    lines = [HEADER, ["---", *["---:"] * (len(HEADER) - 1)], *(row.cells for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else STUDIES
    print(table([row(count) for row in ROWS.values()]), end="")
