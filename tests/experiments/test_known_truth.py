"""The world's truth on cases made by hand, and the loop in it, tiny."""

import dataclasses
import math
import re
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from random import Random

import msgspec
import pytest

from experiments.known_truth.arms import ARMS, RUBRIC
from experiments.known_truth.circle import truth_engine
from experiments.known_truth.measure import accuracy
from experiments.known_truth.options import Config
from experiments.known_truth.recipe import recipe
from experiments.known_truth.results import ArmResult
from experiments.known_truth.run_arms import run_all
from experiments.over_seeds import against
from experiments.random_judge import random_engine
from experiments.world.data import prepare, prompts_of
from experiments.world.model import make_tokenizer
from experiments.world.sizes import ModelOptions, Seeds, Size
from experiments.world.world import LEVELS, MAKERS, corrupt, instructions, quality, written
from judges import library
from judges.intervals.mean import mean_of_known
from judges.judging.judge import Judge
from judges.rubrics.rubric import load_rubric

THREE = ("full", "no_eft", "random")
TINY = Size(
    model=ModelOptions(hidden=32, layers=2, heads=2, steps=3, batch_size=4),
    ift=2, eft=3, prompts=4, held_out=3, answers=2, sft_epochs=1, dpo_epochs=1, sft_batch_size=4, dpo_batch_size=4,
)  # fmt: skip


@pytest.mark.parametrize(
    ("instruction", "answer", "level"),
    [
        ("copy : 3 1 4 1", "3 1 4 1", 5),
        ("copy : 3 1 4 1", "3 1 4 2", 4),
        ("copy : 3 1 4 1", "3 1 5 2", 3),
        ("copy : 3 1 4 1", "3 0 5 2", 2),
        ("copy : 3 1 4 1", "3 1 4", 1),
        ("copy : 3 1 4 1", "3 1 4 1 1", 1),
        ("copy : 3 1 4 1", "3 1 4 a", 0),
        ("copy : 3 1 4 1", "3141", 0),
        ("copy : 3 1 4 1", "", 0),
        ("copy : 3 1 4 1", "copy", 0),
        ("reverse : a b c d", "d c b a", 5),
        ("sort up : 5 2 9 2 0", "0 2 2 5 9", 5),
        ("sort down : 5 2 9 2 0", "9 5 2 2 0", 5),
        ("sort down : 5 2 9 2 0", "0 2 2 5 9", 2),
        ("add 3 : 7 8 9 0", "0 1 2 3", 5),
        ("next : a i j c", "b j a d", 5),
        ("count c a d b in : a a b d a c a", "1 4 1 1", 5),
        ("write 5 even digits from 2 to 8", "2 0 0 4 8", 5),
        ("write 5 even digits from 2 to 8", "2 0 1 4 8", 4),
        ("write 5 even digits from 2 to 8", "1 0 1 4 8", 3),
        ("write 4 late letters from g to f", "g j j f", 5),
        ("write 4 late letters from g to f", "a a a a", 2),
    ],
)
def test_the_ladder_on_cases_made_by_hand(instruction: str, answer: str, level: int) -> None:
    assert quality(instruction, answer) == level


def test_every_kind_of_instruction_has_answers_of_every_quality() -> None:
    random = Random(0)
    for make in MAKERS.values():
        for _ in range(40):
            text = make(random)
            for level in LEVELS:
                assert quality(text, corrupt(text, level, random)) == level


def test_people_write_answers_of_every_quality_one_in_five_right() -> None:
    random = Random(0)
    levels = [quality(text, written(text, random)) for text in islice(instructions(0), 3000)]
    shares = [levels.count(level) / len(levels) for level in LEVELS]
    assert min(shares) > 0.04 and 0.18 < shares[5] < 0.26  # one in five is right on purpose, some lazy ones by chance


def test_the_instructions_are_fixed_by_the_seed_and_of_many_kinds() -> None:
    first, again, other = (list(islice(instructions(seed), 600)) for seed in (0, 0, 1))
    assert first == again and first != other
    assert len(set(first)) > 450 and {text.split()[0] for text in first} == set(MAKERS)


def test_another_worlds_instruction_is_refused() -> None:
    with pytest.raises(ValueError, match="not an instruction of this world: sing"):
        quality("sing : a b", "a b")


def test_the_tokenizer_knows_every_word_of_the_world_and_of_its_judge() -> None:
    from judges.rubrics.rendering import fill

    tokenizer, rubric = make_tokenizer(), load_rubric(str(RUBRIC))
    for text in islice(instructions(0), 200):
        question = fill(rubric, "logprobs", {"prompt": text, "response": corrupt(text, 0, Random(text))})
        chat = [*question, {"role": "assistant", "content": f"{rubric.prefill(rubric.label)}4"}]
        tokens = tokenizer.apply_chat_template(chat, return_dict=False)
        assert tokenizer.unk_token_id not in tokens
        assert tokenizer.decode(tokens).endswith("Score: 4 <|end|>")


def test_the_parts_share_no_instruction_and_the_ratings_are_as_noisy_as_stated(tmp_path: Path) -> None:
    size = dataclasses.replace(TINY, eft=300, prompts=40)
    seeds = Seeds(tmp_path)
    prepare(seeds, size, seed=0)
    rows = [msgspec.json.decode(line) for line in seeds.file("eft").read_bytes().splitlines()]
    parts = [[str(prompt.prompt) for prompt in prompts_of(seeds, name)] for name in ("held_out", "iter2", "iter3")]
    parts += [[msgspec.json.decode(line)["prompt"] for line in seeds.file("ift").read_bytes().splitlines()]]
    texts = [text for part in parts for text in part] + [row["prompt"] for row in rows]
    assert len(texts) == len(set(texts)) == 3 + 40 + 40 + 2 + 300
    wrong = [
        quality(row["prompt"], answer) != score
        for row in rows
        for answer, score in zip(row["responses"], row["scores"], strict=True)
    ]
    assert sum(wrong) / len(wrong) == pytest.approx(size.noise, abs=4 * math.sqrt(0.2 * 0.8 / len(wrong)))


def test_arms_differ_from_the_whole_loop_in_what_their_name_says(tmp_path: Path) -> None:
    seeds, size = Seeds(tmp_path), Size()
    full = recipe(ARMS["full"], size, seeds, 0)
    assert recipe(ARMS["n_8"], size, seeds, 0).candidates.n == 8 and full.candidates.n == 4
    assert recipe(ARMS["text_3"], size, seeds, 0).judge.samples == 3
    assert recipe(ARMS["margin_1"], size, seeds, 0).pairs.min_margin == 1
    assert recipe(ARMS["rho_0.2"], size, seeds, 0).pairs.rho == 0.2
    assert recipe(ARMS["no_eft"], size, seeds, 0).seeds.judging is False


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[ArmResult]]:
    """Run arms in a folder that the calls share by name."""
    base = tmp_path_factory.mktemp("known_truth")

    def go(folder: str, arms: tuple[str, ...]) -> list[ArmResult]:
        return run_all([(arm, 0) for arm in arms], Config(size=TINY, out=base / folder))

    return go


def test_an_arm_goes_through_all_iterations_and_is_not_run_again(run: Callable[..., list[ArmResult]]) -> None:
    results = run("one", THREE)
    for result in results:
        assert len(result.measured) == 4 and len(result.learnt) == 2
        assert all(0 <= row.quality <= 5 and row.n == 6 for row in result.measured)
        assert all(row.n_pairs <= TINY.prompts for row in result.learnt)
    full, no_eft, random = results
    assert full.measured[:2] == random.measured[:2]
    assert full.measured[0] == no_eft.measured[0]
    assert run("one", THREE) == results


def test_the_bounds_judge_by_the_truth_and_by_chance() -> None:
    judges = [Judge(engine, load_rubric(str(RUBRIC))) for engine in (truth_engine(), random_engine(0))]
    answers = ["3 1 4 1", "3 1 4 2", "3 1", "copy a"]
    truth, random = (
        [row.score for row in library.Judge(judge).score(["copy : 3 1 4 1"] * 4, answers)] for judge in judges
    )
    assert truth == [5, 4, 1, 0]
    assert len(set(random)) == 4 and all(score is not None and 0 < score < 5 for score in random)


def test_the_accuracy_leaves_equal_answers_out_and_counts_ties_and_gaps() -> None:
    judge = Judge(truth_engine(), load_rubric(str(RUBRIC)))
    rows = library.Judge(judge).score(["copy : 3 1 4 1"] * 4, ["3 1 4 1", "3 1 4 2", "3 1 4 3", "a"])
    scored = [msgspec.structs.replace(row, score=score) for row, score in zip(rows, (3.0, 3.0, 4.0, None), strict=True)]
    found = accuracy(scored)  # right and wrong by one: a tie and a mistake; the two wrong by one are equally good
    assert (found.n, found.n_unscored, found.half, found.wrong) == (2, 3, 0.25, 0.0)
    assert accuracy(rows).half == 1.0 and accuracy(rows).n == 5


@pytest.mark.slow
def test_one_seed_gives_one_result_and_what_is_done_is_not_done_again(
    run: Callable[..., list[ArmResult]], monkeypatch: pytest.MonkeyPatch
) -> None:
    import experiments.known_truth.measure as measure

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(measure, "_learnt", stop)
        with pytest.raises(KeyboardInterrupt):
            run("two", ("full",))
    [again] = run("two", ("full",))
    [before] = run("one", ("full",))
    assert (again.measured, again.learnt) == (before.measured, before.learnt)


def test_the_interval_over_seeds_is_students_t() -> None:
    mean = mean_of_known([1.0, None, 2.0, 4.0])
    assert mean is not None and mean.n == 3 and mean.value == pytest.approx(7 / 3)
    assert mean.half == pytest.approx(4.302653 * 1.527525 / math.sqrt(3), rel=1e-5)  # t of 2 degrees of freedom
    alone, none = mean_of_known([2.0]), mean_of_known([None])
    assert alone is not None and alone.half is None and none is None


def test_differences_are_paired_by_seed(run: Callable[..., list[ArmResult]]) -> None:
    full, _, random = run("one", THREE)
    other = msgspec.structs.replace(random, seed=7)
    difference = against([full, random, other], "random", "full", lambda row: row.measured[3].quality)
    assert difference is not None and difference.n == 1  # seed 7 has no whole loop to be compared with
    assert difference.value == pytest.approx(random.measured[3].quality - full.measured[3].quality)


def test_the_tables_and_the_picture_are_made(run: Callable[..., list[ArmResult]]) -> None:
    from console.table import markdown_table
    from experiments.known_truth.picture import draw
    from experiments.known_truth.report import judge_table, quality_table

    results = run("one", THREE)
    assert re.search(r"\| full +\| +1 \|", markdown_table(quality_table(results)))
    assert [row["arm"] for row in judge_table(results)] == list(THREE)
    assert draw(results).startswith(b"\x89PNG")
