"""The labeller on cases made by hand, and reward learning on policy in the small world, tiny."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from experiments.over_seeds import against
from experiments.rlp_truth.arms import ARMS, Size
from experiments.rlp_truth.labeller import labelled, truly_ordered, worth
from experiments.rlp_truth.options import Config
from experiments.rlp_truth.recipe import recipe
from experiments.rlp_truth.report import policy_table, reward_table
from experiments.rlp_truth.results import ArmResult
from experiments.rlp_truth.run_arms import run_all
from experiments.world.sizes import ModelOptions, Seeds
from records import Response

FEW = ("sft", "best_of_n", "ppo", "uml", "spg")
TINY = Size(
    model=ModelOptions(hidden=32, layers=1, heads=2, steps=4, batch_size=8),
    ift=4, prompts=12, unlabelled=8, held_out=3, n=3, gamma=0.3, sft_epochs=1, reward_epochs=2,
    reward_learning_rate=1e-2, ppo_steps=2, ppo_batch_size=8, max_new_tokens=4,
)  # fmt: skip
COPY = "copy : 3 1 4 1"


def response(answer: str, place: int, instruction: str = COPY) -> Response:
    return Response(id=f"{place}", prompt_id=instruction, prompt=instruction, response=answer, model="m")


@pytest.mark.parametrize(
    ("first", "second", "chosen"),
    [
        ("3 1 4 1", "3 1 4 2", "3 1 4 1"),  # 5 and 4, as long
        ("3 1 4 2", "3 1 4 1", "3 1 4 1"),
        ("3 1 4 1", "3 1 4 1 5 9", "3 1 4 1"),  # 5 + 2 and 1 + 3
        ("3 0 5 2", "3 1 4 1 3 1 4 1", "3 1 4 1 3 1 4 1"),  # 2 + 2 and 1 + 4: longer, worse, and preferred
        ("3 1 5 2", "3 1 4 1 3 1 4 1", None),  # 3 + 2 and 1 + 4
        ("3 1 4 1", "3 1 4 1", None),
    ],
)
def test_the_labeller_adds_half_a_point_for_each_symbol(first: str, second: str, chosen: str | None) -> None:
    pairs = labelled([response(first, 0), response(second, 1)], 0.5)
    assert [pair.chosen[0]["content"] for pair in pairs] == ([chosen] if chosen else [])
    assert worth(COPY, "3 1 4 1", 0.5) == 7 and worth(COPY, "3 1 4 1", 0.0) == 5


def test_how_many_pairs_are_ordered_rightly_leaves_equal_ones_out() -> None:
    answers = [("3 1 4 1", "3 1 4 2"), ("3 0 5 2", "3 1 4 1 3 1 4 1"), ("3 1 4", "3 1 4 1 1")]
    pairs = [pair for two in answers for pair in labelled([response(two[0], 0), response(two[1], 1)], 0.5)]
    assert len(pairs) == 3 and truly_ordered(pairs) == (2, 0.5)
    assert truly_ordered(pairs[2:]) == (0, None)


def test_arms_are_the_runs_that_their_names_say(tmp_path: Path) -> None:
    seeds, size = Seeds(tmp_path), Size()
    spg, uml = (recipe(ARMS[name], size, seeds, 0) for name in ("spg", "uml"))
    assert (spg.rlp.method, spg.synthetic.method, spg.synthetic.relation.equivalence) == ("spg", "spg", "exact")
    assert (uml.rlp.method, uml.bottleneck.objective) == ("uml", "mib")
    assert spg.ppo == uml.ppo and spg.reward == uml.reward and spg.preferences.flip == size.flip == 0.15
    assert recipe(ARMS["ppo_longer"], size, seeds, 0).ppo.steps == 2 * size.ppo_steps
    assert recipe(ARMS["select_all"], size, seeds, 0).synthetic.least_share == 0


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[ArmResult]]:
    base = tmp_path_factory.mktemp("rlp_truth")
    return lambda arms: run_all([(arm, 0) for arm in arms], Config(size=TINY, out=base))


@pytest.mark.slow
def test_every_arm_is_measured_and_none_is_run_again(
    run: Callable[..., list[ArmResult]], monkeypatch: pytest.MonkeyPatch
) -> None:
    results = run(FEW)
    by_arm = {result.arm: result for result in results}
    assert [result.arm for result in results] == list(FEW)
    assert all(0 <= result.quality <= 5 for result in results)
    assert by_arm["sft"].n_answers == 9 and by_arm["best_of_n"].n_answers == 3
    assert by_arm["sft"].reward == 0 < by_arm["best_of_n"].reward
    assert by_arm["sft"].on_ppo == by_arm["ppo"].on_ppo, "both have the first reward model"
    assert by_arm["ppo"].kl is not None and by_arm["sft"].kl is None
    assert by_arm["spg"].n_learnt == by_arm["ppo"].n_learnt + by_arm["spg"].n_synthetic
    assert by_arm["spg"].n_synthetic > 0 == by_arm["uml"].n_synthetic
    monkeypatch.setattr("experiments.rlp_truth.run_arms._one", None)
    assert run(FEW) == results


@pytest.mark.slow
def test_the_tables_compare_with_ppo_by_seed(run: Callable[..., list[ArmResult]]) -> None:
    results = run(FEW)
    better = [
        msgspec.structs.replace(one, seed=one.seed + 1, quality=one.quality + (one.arm == "spg")) for one in results
    ]
    found, alone = (
        against([*results, *better], "spg", "ppo", lambda row: row.quality),
        against(results, "ppo", "ppo", lambda row: row.quality),
    )
    by_arm = {result.arm: result for result in results}
    assert found is not None and alone is None and found.n == 2
    assert found.value == pytest.approx(by_arm["spg"].quality - by_arm["ppo"].quality + 0.5)
    assert [row["arm"] for row in policy_table(results)] == [row["reward model of"] for row in reward_table(results)]
