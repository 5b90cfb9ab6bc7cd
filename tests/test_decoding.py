import gzip
import itertools
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import TINY, VOCABULARY, describe, every_choice, tokens

from ablate.cli import CONF
from ablate.config import ModelConfig
from ablate.data.vocabulary import END, PAD, START
from ablate.evaluation import decoding
from ablate.evaluation.decoding import beam_search, translate
from ablate.evaluation.scores import corpus_scores, reference_streams, signatures
from ablate.model import build
from ablate.model.architecture import Architecture

EXPERIMENTS = CONF.parent / "experiments"
each_choice = pytest.mark.parametrize("config", every_choice(), ids=describe)


def sharp(config: ModelConfig, vocabulary: int = VOCABULARY) -> Architecture:
    """A model whose next-token distributions are far from flat."""
    model = build(config, vocabulary).eval()
    with torch.no_grad():
        for number, parameter in enumerate(model.parameters()):
            generator = torch.Generator().manual_seed(number)
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model


def log_probability(model: Architecture, source: torch.Tensor, hypothesis: list[int]) -> float:
    """Of the tokens, one after the other, without a cache."""
    target = torch.tensor([[START, *hypothesis]])
    logits = model(source, target[:, :-1]).float()
    return torch.log_softmax(logits, -1)[0, range(len(hypothesis)), target[0, 1:]].sum().item()


def greedy(model: Architecture, source: torch.Tensor, limit: int) -> list[int]:
    """The plainest way to decode: the whole prefix again at each step."""
    found: list[int] = []
    while len(found) < limit:
        logits = model(source, torch.tensor([[START, *found]]))[0, -1]
        logits[[PAD, START]] = -math.inf
        best = int(logits.argmax())
        if best == END:
            break
        found.append(best)
    return found


@each_choice
def test_a_beam_of_one_is_greedy_decoding_without_a_cache(config: ModelConfig) -> None:
    model, source = sharp(config), tokens(5, 4)
    limit = int(decoding.longest(source)[0])
    with torch.inference_mode():
        expected = [greedy(model, source[row : row + 1], limit) for row in range(5)]
        assert beam_search(model, source, beam=1, length_penalty=1.0) == expected


@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 1.0])
def test_a_wide_beam_finds_what_exhaustive_search_finds(length_penalty: float, monkeypatch: pytest.MonkeyPatch) -> None:
    vocabulary, limit = 6, 3  # <pad> <s> </s> <unk> and two words
    monkeypatch.setattr(decoding, "longest", lambda source: torch.full((len(source),), limit))
    ordinary = [token for token in range(vocabulary) if token not in (PAD, START, END)]
    for seed in range(4):
        model, source = (
            sharp(TINY, vocabulary),
            torch.randint(4, vocabulary, (1, 3), generator=torch.Generator().manual_seed(seed)),
        )
        candidates = {}
        with torch.inference_mode():
            for length in range(limit):
                for words in itertools.product(ordinary, repeat=length):
                    score = log_probability(model, source, [*words, END]) / (length + 1) ** length_penalty
                    candidates[words] = score
            [found] = beam_search(model, source, beam=40, length_penalty=length_penalty)
        assert tuple(found) == max(candidates, key=candidates.__getitem__)


@pytest.mark.parametrize("beam", [2, 5])
@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 1.0])
def test_beam_search_finds_what_that_of_transformers_finds(
    beam: int, length_penalty: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its early_stopping=True is the rule here: a sentence is done when as many hypotheses have ended as the beam."""
    transformers = pytest.importorskip("transformers")
    limit = 24
    monkeypatch.setattr(decoding, "longest", lambda source: torch.full((len(source),), limit))
    model, source = sharp(TINY), tokens(24, 6)
    source[::3, 4:] = PAD
    with torch.no_grad():  # as it is it seldom ends a sentence
        row = model.embedding.table.weight[END]
        model.decoder.final_norm.bias += 2 * row / row.square().sum()

    class Wrapped(transformers.PreTrainedModel, transformers.GenerationMixin):
        """The model as one that continues target prefixes; a source's beams stand side by side."""

        config_class = transformers.PretrainedConfig
        main_input_name = "input_ids"

        def __init__(self) -> None:
            super().__init__(transformers.PretrainedConfig(vocab_size=VOCABULARY, is_decoder=True))
            self.within = model

        def forward(self, input_ids: torch.Tensor, **_: object) -> object:
            beams = source.repeat_interleave(len(input_ids) // len(source), dim=0)
            return transformers.modeling_outputs.CausalLMOutput(logits=self.within(beams, input_ids))

    how = transformers.GenerationConfig(
        num_beams=beam, length_penalty=length_penalty, early_stopping=True, do_sample=False, use_cache=False,
        max_new_tokens=limit, eos_token_id=END, bos_token_id=START, pad_token_id=PAD, suppress_tokens=[PAD, START],
    )  # fmt: skip
    with torch.inference_mode():
        ours = beam_search(model, source, beam, length_penalty)
        theirs = Wrapped().generate(torch.full((len(source), 1), START), generation_config=how)[:, 1:].tolist()
    ended = [row for row, hypothesis in enumerate(theirs) if END in hypothesis]
    assert len(ended) > len(source) / 2  # of the others it may return one that the limit cut
    assert len({len(ours[row]) for row in ended}) > 5
    for row in ended:
        assert ours[row] == theirs[row][: theirs[row].index(END)]


def test_translations_do_not_depend_on_the_batch() -> None:
    model = sharp(TINY)
    sources = [tokens(1, length, seed=length)[0].numpy() for length in (3, 6, 4, 6, 5, 3)]
    together = translate(model, sources, beam=3)
    assert together == [translate(model, [source], beam=3)[0] for source in sources]


def test_a_wider_beam_never_scores_lower_than_exhausting_its_first_choice() -> None:
    model, source = sharp(TINY), tokens(6, 5)
    with torch.inference_mode():
        for row, (narrow, wide) in enumerate(
            zip(beam_search(model, source, 1, 0.0), beam_search(model, source, VOCABULARY**2, 0.0))
        ):
            ended = len(narrow) < decoding.longest(source)[row]
            if ended:  # a hypothesis cut at the limit has no </s> to score
                of = source[row : row + 1]
                assert log_probability(model, of, [*wide, END]) >= log_probability(model, of, [*narrow, END]) - 1e-4


def test_special_tokens_are_never_part_of_a_translation() -> None:
    for hypothesis in translate(sharp(TINY), [np.array([5, 6, END]), np.array([7, END])], beam=4):
        assert not {PAD, START, END} & set(hypothesis)


def test_sentences_may_differ_in_their_number_of_references() -> None:
    references = [["the cat sat on the mat", "a cat sat on a mat"], ["dogs bark at night"]]
    assert reference_streams(references) == [
        ["the cat sat on the mat", "dogs bark at night"],
        ["a cat sat on a mat", None],
    ]
    perfect = ["a cat sat on a mat", "dogs bark at night"]
    scores = corpus_scores(perfect, ["A CAT SAT ON A MAT", "dogs"], references)
    assert scores["test_bleu"] == pytest.approx(100)
    assert scores["test_chrf"] == pytest.approx(100)
    assert scores["test_bleu_greedy"] < 100
    assert corpus_scores(["A CAT SAT ON A MAT", "Dogs bark at night"], perfect, references)[
        "test_bleu_lower"
    ] == pytest.approx(100)


@pytest.mark.parametrize("setting", ["norm_placement/tatoeba-laptop", "norm_placement/multi30k-laptop"])
def test_committed_scores_are_those_of_sacrebleus_command_line(setting: str, tmp_path: Path) -> None:
    """On the translations as written down. Where references are fewer, the last is given again: that changes none."""
    folder = EXPERIMENTS / setting
    run = next(run for run in json_lines(folder / "runs.jsonl") if run["test_bleu"] is not None)
    written = next(each for each in json_lines(folder / "hypotheses.jsonl.gz") if each["run_id"] == run["run_id"])
    references = [line["references"] for line in json_lines(folder / "test.jsonl.gz")]
    streams = [[of[min(n, len(of) - 1)] for of in references] for n in range(max(map(len, references)))]
    files = {f"reference{n}": stream for n, stream in enumerate(streams)}
    for name, sentences in {**files, "beam": written["beam"], "greedy": written["greedy"]}.items():
        (tmp_path / name).write_text("".join(f"{sentence}\n" for sentence in sentences), encoding="utf-8")

    def score(name: str, *arguments: str) -> float:
        command = [sys.executable, "-m", "sacrebleu", *files, "-i", name, *arguments, "--score-only", "--width", "10"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        return float(done.stdout)

    assert run["test_bleu"] == pytest.approx(score("beam", "-m", "bleu"), abs=1e-8)
    assert run["test_bleu_greedy"] == pytest.approx(score("greedy", "-m", "bleu"), abs=1e-8)
    assert run["test_bleu_lower"] == pytest.approx(score("beam", "-m", "bleu", "--lowercase"), abs=1e-8)
    assert run["test_chrf"] == pytest.approx(score("beam", "-m", "chrf"), abs=1e-8)


def json_lines(path: Path) -> list[dict]:
    content = path.read_bytes()
    text = gzip.decompress(content) if path.suffix == ".gz" else content
    return [json.loads(line) for line in text.decode().split("\n") if line]


def test_signatures_say_how_scores_were_computed() -> None:
    found = signatures([["the cat sat on the mat"], ["dogs bark", "dogs do bark"]])
    assert "case:mixed" in found["bleu"]
    assert "nrefs:var" in found["bleu"]
    assert "nc:6" in found["chrf"]


@pytest.mark.parametrize("columns", [1, 7, 10, 319, 320, 321, 352, 1000])
@pytest.mark.parametrize("k", [1, 4, 10])
def test_the_largest_numbers_are_those_of_topk(columns: int, k: int) -> None:
    x = torch.randn(5, columns, generator=torch.Generator().manual_seed(columns))
    x[0, :] = -torch.inf
    x[1] = x[1].sort().values  # the largest ones side by side, in the columns that are left over
    k = min(k, columns)
    values, places = decoding.largest(x, k)
    torch.testing.assert_close(values, x.topk(k, dim=1).values, rtol=0, atol=0)
    torch.testing.assert_close(x.gather(1, places), values, rtol=0, atol=0)
    assert all(len(set(row)) == k for row in places.tolist())
