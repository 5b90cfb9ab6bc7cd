"""Training and translation by ablate and by its peers, each measurement in a process of its own, taking turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from msgspec import structs

from ablate.benchmark.measurements import Rates
from ablate.benchmark.processes import Answer, Failed, Subject, together
from ablate.benchmark.surroundings import cores
from ablate.benchmark.workload import Workload

Say = Callable[[str], None]

LONE, STUDY, PAIR = "ablate, one run", "ablate, a study of six", "ablate, two side by side"
SIDE_BY_SIDE, SIX = 2, 6
PEERS = {"torch.nn.Transformer": "plain_torch", "transformers' Marian": "marian", "JoeyNMT": "joey"}
ENGINES = {"CTranslate2, float32": "float32", "CTranslate2, int8": "int8"}
UNIT = {"training": "tokens", "translation": "sentences"}


@dataclass(frozen=True)
class Turn:
    """What is started together to measure one rate."""

    rates: Rates
    subjects: Sequence[Subject]


def training_turns(work: Workload, peers: Sequence[str]) -> list[Turn]:
    lone = Subject("own", work.asked("training"))
    six = [
        Subject("own", work.asked("training", runs=SIX // SIDE_BY_SIDE, first_seed=1 + 10 * number))
        for number in range(SIDE_BY_SIDE)
    ]
    turns = [Turn(Rates(subject=LONE), [lone]), Turn(Rates(subject=STUDY, processes=2, threads=2), six)]
    for peer in peers:
        for batches in ("own",) if peer == "JoeyNMT" else ("own", "ours"):
            turns += [peer_turn(work, "training", peer, batches, tuned) for tuned in (False, True)]
    return turns


def translation_turns(work: Workload, peers: Sequence[str], engines: Sequence[str]) -> list[Turn]:
    asked = work.asked("translation")
    pair = [Subject("own", asked) for _ in range(SIDE_BY_SIDE)]
    turns = [Turn(Rates(subject=LONE), pair[:1]), Turn(Rates(subject=PAIR, processes=2, threads=2), pair)]
    for peer in peers:
        turns += [
            peer_turn(work, "translation", peer, "own", False),
            peer_turn(work, "translation", peer, "ours", True),
        ]
    for engine in engines:
        subject = Subject("ctranslate", work.asked("translation", quantization=ENGINES[engine]))
        turns.append(Turn(Rates(subject=engine, batches="own", malloc="installed", threads=cores()), [subject]))
    return turns


def peer_turn(work: Workload, task: str, peer: str, batches: str, tuned: bool) -> Turn:
    rates = Rates(subject=peer, batches=batches, malloc="tuned" if tuned else "installed", threads=cores())
    return Turn(rates, [Subject(PEERS[peer], work.asked(task, our_batches=batches == "ours"), tuned)])


def in_turn(task: str, turns: Sequence[Turn], work: Workload, rounds: int, say: Say) -> list[Rates]:
    """Each once a round, in alternating order. What fails is not tried again."""
    found = {turn.rates.name: turn.rates for turn in turns}
    for number in range(rounds):
        for turn in turns[:: -1 if number % 2 else 1]:
            rates = found[turn.rates.name]
            if rates.failure is None:
                found[rates.name] = rates = taken(task, turn, rates, work)
                shown = rates.failure or f"{rates.rates[-1]:,.1f} {UNIT[task]} a second"
                say(f"{task}, round {number + 1} of {rounds}: {rates.name}: {shown}")
    return [*found.values()]


def taken(task: str, turn: Turn, rates: Rates, work: Workload) -> Rates:
    try:
        answers = together(turn.subjects)
    except Failed as error:
        return structs.replace(rates, failure=str(error), rates=[])
    rate = sum(answer[UNIT[task]] for answer in answers) / max(answer["seconds"] for answer in answers)
    return structs.replace(rates, rates=[*rates.rates, rate], note=note_of(answers, work))


def note_of(answers: Sequence[Answer], work: Workload) -> str | None:
    """A warning where translations are not as long as they should be, so that the work is not the same."""
    lengths = {length for answer in answers for length in answer.get("lengths", [work.length])}
    return None if lengths == {work.length} else f"translations of {min(lengths)} to {max(lengths)} tokens"
