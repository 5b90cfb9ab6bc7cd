"""The variance of a score splits between seeds and sentences as it was made, and as resampling says."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ablate.analysis.bleu import bleu
from ablate.analysis.variance import apportion, per_sentence, pseudo_values
from ablate.evaluation.scores import Scorer, statistics

SEEDS, SENTENCES = 5, 200


def made(of_seed, of_sentence, of_both, rng, seeds=SEEDS, sentences=SENTENCES):
    """Values [seed, sentence] with effects of these standard deviations."""
    return (
        of_seed * rng.normal(size=(seeds, 1))
        + of_sentence * rng.normal(size=(1, sentences))
        + of_both * rng.normal(size=(seeds, sentences))
    )


def test_by_hand():
    """Seed means 2 and 4, sentence means 2, 3 and 4, nothing left: all variance is of the two by themselves."""
    found = apportion(np.array([[1.0, 2.0, 3.0], [3.0, 4.0, 5.0]]))
    assert (found.seeds, found.sentences, found.both) == pytest.approx((2 / 2, 1 / 3, 0))
    assert found.sentence_share == pytest.approx(0.25)
    assert found.widening == pytest.approx(math.sqrt(4 / 3))


def test_on_average_the_parts_are_those_that_were_put_in():
    rng = np.random.default_rng(0)
    found = [apportion(made(0.3, 2.0, 1.0, rng)) for _ in range(400)]
    assert np.mean([each.seeds for each in found]) == pytest.approx(0.3**2 / SEEDS, rel=0.15)
    assert np.mean([each.sentences for each in found]) == pytest.approx(2.0**2 / SENTENCES, rel=0.05)
    assert np.mean([each.both for each in found]) == pytest.approx(1.0**2 / (SEEDS * SENTENCES), rel=0.05)


def test_the_total_is_the_variance_of_the_mean_over_both():
    rng = np.random.default_rng(1)
    means = [made(0.3, 2.0, 1.0, rng).mean() for _ in range(2000)]
    expected = np.mean([apportion(made(0.3, 2.0, 1.0, rng)).total for _ in range(400)])
    assert np.var(means) == pytest.approx(expected, rel=0.12)


def test_resampling_of_seeds_and_of_sentences_says_the_same():
    """Drawn anew from what was seen, each n values vary (n - 1) / n as much as they should."""
    rng = np.random.default_rng(2)
    seeds, sentences = 40, 60
    values = made(0.3, 2.0, 1.0, rng, seeds, sentences)
    found = apportion(values)
    rows, columns = rng.integers(0, seeds, (4000, seeds)), rng.integers(0, sentences, (4000, sentences))
    over_seeds = values.mean(axis=1)[rows].mean(axis=1).var() * seeds / (seeds - 1)
    over_sentences = values.mean(axis=0)[columns].mean(axis=1).var() * sentences / (sentences - 1)
    assert over_seeds == pytest.approx(found.seeds + found.both, rel=0.1)
    assert over_sentences == pytest.approx(found.sentences + found.both, rel=0.1)


def test_the_seeds_part_is_what_a_t_interval_knows():
    values = made(1.0, 1.0, 1.0, np.random.default_rng(3))
    found = apportion(values)
    assert found.seeds + found.both == pytest.approx(values.mean(axis=1).var(ddof=1) / SEEDS)


@given(st.integers(2, 6), st.integers(2, 8), st.integers(0, 9))
def test_no_part_is_negative(seeds, sentences, number):
    found = apportion(np.random.default_rng(number).normal(size=(seeds, sentences)))
    assert min(found.seeds, found.sentences, found.both) >= 0


@pytest.mark.parametrize("shape", [(1, 5), (5, 1)])
def test_one_of_either_tells_nothing(shape):
    assert math.isnan(apportion(np.zeros(shape)).total)


def test_equal_values_have_no_variance_to_share():
    found = apportion(np.ones((3, 4)))
    assert found.total == 0
    assert math.isnan(found.sentence_share)
    assert math.isnan(found.widening)


def test_sentences_add_up_to_the_mean_over_tokens():
    rng = np.random.default_rng(4)
    tokens = rng.integers(3, 30, 50)
    sums = rng.uniform(1, 2, (4, 50)) * tokens
    assert per_sentence(sums, tokens).mean(axis=1) == pytest.approx(sums.sum(axis=1) / tokens.sum())


def test_drawing_other_sentences_moves_a_mean_over_tokens_as_much_as_it_says():
    """Long sentences that are also hard ones change numerator and denominator together."""
    rng = np.random.default_rng(5)
    tokens = rng.integers(3, 30, 300)
    sums = (tokens * (1 + 0.02 * tokens) + 2 * rng.normal(size=300))[None].repeat(2, axis=0)
    drawn = rng.integers(0, 300, (4000, 300))
    resampled = sums[0][drawn].sum(axis=1) / tokens[drawn].sum(axis=1)
    assert apportion(per_sentence(sums, tokens)).sentences == pytest.approx(resampled.var(), rel=0.1)


counts = st.integers(0, 30)


@given(st.integers(0, 60), st.integers(1, 60), st.lists(st.tuples(counts, counts).map(sorted), min_size=4, max_size=4))
def test_bleu_of_sums_is_that_of_sacrebleu(words, reference, grams):
    from sacrebleu.metrics import BLEU

    matches, possible = zip(*grams)
    expected = BLEU.compute_bleu([*matches], [*possible], words, reference, smooth_method="exp").score if words else 0
    assert bleu(np.array([words, reference, *matches, *possible])) == pytest.approx(expected)


def translated(seeds, sentences, rng, wrong=0.35):
    """Statistics [seed, sentence] of translations with words that are wrong at random, in some sentences more often."""
    vocabulary = [f"w{number}" for number in range(40)]
    texts = [[str(rng.choice(vocabulary)) for _ in range(rng.integers(5, 12))] for _ in range(sentences)]
    hard = rng.uniform(0, 2 * wrong, sentences)
    found = []
    for _ in range(seeds):
        said = [[w if rng.uniform() > h else str(rng.choice(vocabulary)) for w in text] for text, h in zip(texts, hard)]
        found.append(statistics([" ".join(each) for each in said], [[" ".join(text)] for text in texts], "13a"))
    return np.array(found)


def test_statistics_of_sentences_add_up_to_the_score_of_a_test_set():
    references = [["le chat dort sur le lit", "un chat dort"], ["il pleut souvent ici"], ["oui ."]]
    translations = ["le chat dort sur un lit", "il pleut rarement ici", "oui !"]
    sums = np.array(statistics(translations, references, "13a")).sum(axis=0)
    assert bleu(sums) == pytest.approx(Scorer(references)(translations, translations)["test_bleu"])


def test_the_jackknife_of_a_mean_is_its_values():
    values = np.random.default_rng(6).normal(size=(3, 20))
    found = pseudo_values(lambda sums: sums[..., 0] / sums[..., 1], np.stack([values, np.ones_like(values)], axis=-1))
    assert found == pytest.approx(values)


def test_other_sentences_move_a_difference_in_bleu_as_much_as_the_paired_bootstrap_says():
    rng = np.random.default_rng(7)
    sums = translated(2, 300, rng)
    drawn = rng.integers(0, 300, (4000, 300))
    resampled = np.diff([bleu(of_seed[drawn].sum(axis=1)) for of_seed in sums], axis=0)[0]
    values = np.diff(pseudo_values(bleu, sums), axis=0)[0]
    assert values.mean() == pytest.approx(np.diff(bleu(sums.sum(axis=1)))[0], abs=0.05)
    assert values.var(ddof=1) / 300 == pytest.approx(resampled.var(), rel=0.1)


def test_what_seeds_and_sentences_make_of_bleu_is_what_redrawing_both_says():
    """Over fresh seeds and sentences, the mean BLEU varies as much as the parts of one draw add up to, on average."""
    found = [translated(4, 80, np.random.default_rng([8, draw])) for draw in range(60)]
    means = [bleu(sums.sum(axis=1)).mean() for sums in found]
    totals = [apportion(pseudo_values(bleu, sums)).total for sums in found]
    assert np.var(means) == pytest.approx(np.mean(totals), rel=0.45)
