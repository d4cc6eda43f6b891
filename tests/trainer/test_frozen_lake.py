import itertools
import json
import math
from collections import deque
from pathlib import Path

import pytest
import torch
from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv
from scipy import stats

from console.command import parse
from console.errors import InputError, StoreError
from console.table import markdown_table
from judges.intervals.mean import mean_of
from trainer.frozen_lake.__main__ import Config, main
from trainer.frozen_lake.lake import Lake, open_lake
from trainer.frozen_lake.losses import dpo_loss, fused_codes, ift_loss, orpo_loss, sft_loss
from trainer.frozen_lake.measures import (
    MEASURES,
    claims,
    measure,
    order,
    policy_error,
    target_error,
    visits,
)
from trainer.frozen_lake.options import METHODS, PAPER_METHODS, LakeOptions, check_lake_options
from trainer.frozen_lake.policy import generator_of, new_policies
from trainer.frozen_lake.ppo import play
from trainer.frozen_lake.report import (
    CHOICES,
    MEANING,
    SWEEP_MEANING,
    Outcome,
    claim_rows,
    error_rows,
    method_rows,
    verdict_rows,
)
from trainer.frozen_lake.train import train_all

RING = open_lake(LakeOptions())
UNIFORM = torch.full((1, 16, 4), 0.25)


def simple_ways(lake: Lake) -> list[list[int]]:
    """Every way from the start to the goal that enters no hole and no state twice, found by trying all."""
    found, open_ways = [], [[lake.start]]
    while open_ways:
        way = open_ways.pop()
        for following in {int(state) for state in lake.moves_SA[way[-1]]} - set(way):
            if following == lake.goal:
                found.append([*way, following])
            elif lake.acts_S[following]:
                open_ways.append([*way, following])
    return sorted(found, key=len)


def moves_to_goal(lake: Lake) -> dict[int, int]:
    """Each state's distance from the goal, by breadth-first search against the moves."""
    distance, queue = {lake.goal: 0}, deque([lake.goal])
    while queue:
        state = queue.popleft()
        for before in range(len(lake.acts_S)):
            if lake.acts_S[before] and before not in distance and state in lake.moves_SA[before]:
                distance[before] = distance[state] + 1
                queue.append(before)
    return distance


def test_the_ring_has_exactly_one_best_way_and_one_that_is_twice_as_long() -> None:
    ways = simple_ways(RING)
    assert [[*RING.positive.states, RING.goal], [*RING.negative.states, RING.goal]] == ways
    assert [len(way) - 1 for way in ways] == [4, 8]


@pytest.mark.parametrize("name", ["ring", "fall", "pit"])
def test_of_all_that_can_be_played_one_trajectory_is_best_and_value_iteration_knows_no_other(name: str) -> None:
    lake = open_lake(LakeOptions(map=name))
    model = FrozenLakeEnv(desc=list(lake.rows), is_slippery=False).P
    won = []
    for actions in itertools.chain.from_iterable(itertools.product(range(4), repeat=n) for n in range(1, 5)):
        state, rewards = lake.start, []
        for action in actions:
            _, state, reward, _ = model[state][action][0]
            rewards.append(reward)
        won += [actions] * (rewards[-1] == 1)
    assert won == [lake.positive.actions]
    chosen = lake.target_SA[list(lake.positive.states)]
    assert chosen.argmax(1).tolist() == list(won[0]) and chosen.amax(1).tolist() == [1.0] * 4


@pytest.mark.parametrize("slippery", [False, True])
def test_value_iteration_finds_the_best_of_all_policies(tmp_path: Path, slippery: bool) -> None:
    path = tmp_path / "map.toml"
    path.write_text('rows = ["SFF", "HFG"]\npositive = "right right down"\nnegative = "down"\n')
    lake = open_lake(LakeOptions(map=str(path), slippery=slippery))
    acts = lake.acts_S.nonzero()[:, 0]
    policies = torch.tensor(list(itertools.product(range(4), repeat=len(acts))))  # 256, one action a state
    moved = lake.chances_SAS[acts, policies][..., acts]
    values = torch.linalg.solve(torch.eye(len(acts)) - 0.95 * moved, lake.rewards_SA[acts, policies])
    torch.testing.assert_close(lake.values_SA[acts].amax(1), values.amax(0), atol=1e-10, rtol=0)


@pytest.mark.parametrize("name", ["ring", "fall", "pit", "stock"])
def test_a_state_is_worth_the_discount_for_each_move_but_the_last(name: str) -> None:
    lake = open_lake(LakeOptions(map=name))
    for state, distance in moves_to_goal(lake).items():
        if lake.acts_S[state]:
            assert float(lake.values_SA[state].max()) == pytest.approx(0.95 ** (distance - 1))


@pytest.mark.parametrize(("name", "tied"), [("ring", {2: (0, 2)}), ("pit", {}), ("stock", {0: (1, 2), 9: (1, 2)})])
def test_actions_tie_where_both_ways_are_equally_long_and_nowhere_else(name: str, tied: dict[int, tuple[int]]) -> None:
    # on any ring of cells the state opposite the goal ties; the stock map's ties are those of its three shortest ways
    lake = open_lake(LakeOptions(map=name))
    chosen = {state: tuple(row.nonzero()[:, 0].tolist()) for state, row in enumerate(lake.target_SA)}
    assert {state: actions for state, actions in chosen.items() if lake.acts_S[state] and len(actions) > 1} == tied
    first = open_lake(LakeOptions(map=name, ties="first")).target_SA
    assert all(first[state, actions[0]] == 1 for state, actions in tied.items())


def test_gymnasium_rewards_the_positive_trajectory() -> None:
    world = FrozenLakeEnv(desc=list(RING.rows), is_slippery=False)
    state, _ = world.reset(seed=0)
    for expected, action in zip(RING.positive.states, RING.positive.actions, strict=True):
        assert state == expected
        state, reward, ended, _, _ = world.step(action)
    assert (state, reward, ended) == (RING.goal, 1, True)


def test_ice_that_slips_changes_the_model_and_not_the_trajectories() -> None:
    lake = open_lake(LakeOptions(slippery=True))
    assert lake.positive == RING.positive
    assert lake.chances_SAS[0, 1].tolist()[:5] == pytest.approx([1 / 3, 1 / 3, 0, 0, 1 / 3])  # down, or left, or right
    assert lake.rewards_SA[12, 2] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("rows", "positive", "negative", "message"),
    [
        ('"SFFG", "FFFF"', "right right right", "right up", "stops in state 1, before the game's end"),
        ('"SFFG", "FFFF"', "right right right", "east", "is not a list of moves; the moves are left, down, right, up"),
        ('"SFFG", "FFFF"', "right right right left", "right", "goes on after the game's end in state 3"),
        ('"SFFG", "FFFF"', "down right right right up", "right right right", "positive trajectory is not a best one"),
        ('"SFG", "FFF", "FFF"', "right right", "right right", "as good as the positive one"),
        ('"SFFG", "FFF"', "right", "right", "rows must be equally long"),
        ('"SFFF"', "right", "right", "one S and one G"),
    ],
)
def test_a_map_that_breaks_the_rules_is_refused(
    tmp_path: Path, rows: str, positive: str, negative: str, message: str
) -> None:
    path = tmp_path / "map.toml"
    path.write_text(f'rows = [{rows}]\npositive = "{positive}"\nnegative = "{negative}"\n')
    with pytest.raises(InputError, match=message):
        open_lake(LakeOptions(map=str(path)))


def test_an_unknown_map_and_settings_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match="no map 'none'; use fall, pit, ring, stock"):
        open_lake(LakeOptions(map="none"))
    for wrong in ({"steps": 0}, {"discount": 1.0}, {"ift_lambda": 1.5}, {"steps": 7}, {"learning_rate": -1.0}):
        with pytest.raises(InputError):
            check_lake_options(LakeOptions(**wrong))


def test_the_losses_of_a_policy_that_knows_nothing() -> None:
    flat = torch.zeros(1, 16, 4)
    assert float(sft_loss(flat, RING.positive)) == pytest.approx(math.log(4))
    assert float(dpo_loss(flat, flat, RING, 0.1)) == pytest.approx(math.log(2))
    assert float(orpo_loss(flat, RING, 0.25)) == pytest.approx(math.log(4) + 0.25 * math.log(2))


def test_the_losses_by_hand() -> None:
    chances = UNIFORM.clone()
    chances[0, 0] = torch.tensor([0.05, 0.7, 0.2, 0.05])  # the start: down is right, right is the other way
    good = 0.7 * 0.25**3
    bad = 0.2 * 0.25**7
    assert float(sft_loss(chances.log(), RING.positive)) == pytest.approx(-math.log(good) / 4)
    margin = math.log(0.7 / 0.25) - math.log(0.2 / 0.25)
    assert float(dpo_loss(chances.log(), UNIFORM.log(), RING, 0.1)) == pytest.approx(
        math.log1p(math.exp(-0.1 * margin))
    )
    p, q = good ** (1 / 4), bad ** (1 / 8)
    ratio = (p / (1 - p)) / (q / (1 - q))
    assert float(orpo_loss(chances.log(), RING, 0.25)) == pytest.approx(-math.log(p) + 0.25 * math.log1p(1 / ratio))


def test_orpo_stays_finite_where_the_policy_is_sure() -> None:
    logits = (1000 * RING.target_SA[None]).float().requires_grad_()
    loss = orpo_loss(logits, RING, 0.25)
    loss.sum().backward()
    assert torch.isfinite(loss).all() and logits.grad is not None and torch.isfinite(logits.grad).all()


def test_ift_mixes_each_state_with_where_the_greedy_move_would_have_led() -> None:
    logits = torch.zeros(1, 16, 4)
    logits[0, 0, 2] = 1.0  # from the start it goes right, to 1, and not down to 4
    logits[0, 4, 1] = 1.0  # from 4 it goes down to 8, as it should
    logits[0, 8, 2] = 1.0  # from 8 it goes right into the hole 9
    codes = fused_codes(torch.eye(16)[None], logits, RING, 0.2)[0]
    expected = torch.zeros(4, 16)
    for move, (state, reached) in enumerate([(0, 0), (4, 1), (8, 8), (12, 9)]):
        expected[move, state] += 0.8
        expected[move, reached] += 0.2
    torch.testing.assert_close(codes, expected)


@torch.no_grad()
def test_ift_without_mixing_is_the_propagated_loss_of_sft() -> None:
    options = LakeOptions(ift_lambda=0.0)
    policies = new_policies(RING, options, [3])
    chances = policies.everywhere().softmax(-1)[0]
    pairs = zip(RING.positive.states, RING.positive.actions, strict=True)
    losses = [-math.log(float(chances[state, action])) for state, action in pairs]
    sums = [sum(0.95 ** (i - t) * losses[i] for i in range(t, 4)) for t in range(4)]
    released = sum(loss * weight for loss, weight in zip(losses, sums, strict=True)) / sum(sums)
    assert float(ift_loss(policies, RING, options)) == pytest.approx(released, rel=1e-5)
    algorithm = LakeOptions(ift_lambda=0.0, ift_variant="algorithm")
    quadratic = sum(loss * weight for loss, weight in zip(losses, sums, strict=True))
    assert float(ift_loss(policies, RING, algorithm)) == pytest.approx(quadratic, rel=1e-5)
    equation = LakeOptions(ift_lambda=0.0, ift_decay=1.0, ift_variant="equation")
    linear = sum((t + 1) * loss for t, loss in enumerate(losses))
    assert float(ift_loss(policies, RING, equation)) == pytest.approx(linear, rel=1e-5)
    plain = LakeOptions(ift_lambda=0.0, ift_decay=0.0)
    assert float(ift_loss(policies, RING, plain)) == pytest.approx(sum(losses) / 4, rel=1e-5)


def test_visits_and_rewards_are_those_of_games_that_are_played() -> None:
    for slippery in (False, True):
        lake = open_lake(LakeOptions(slippery=slippery))
        policy = torch.rand(1, 16, 4, generator=generator_of(1, "test")).softmax(-1)
        episodes = play(lake, policy, [generator_of(0, "test")], 20_000, 100)
        counts = torch.bincount(episodes.states_KET[episodes.mask_KET], minlength=16)
        expected = visits(policy, lake, 100)[0]
        torch.testing.assert_close(counts / counts.sum(), expected.float(), atol=0.004, rtol=0)
        assert float(episodes.rewards_KET.sum(2).max()) == 1  # a goal is rewarded once
        reached = (expected[:, None] * policy[0].double() * lake.rewards_SA).sum() / expected[lake.start]
        played = episodes.rewards_KET.sum() / counts[lake.start]
        assert float(played) == pytest.approx(float(reached), abs=0.004)


def test_the_error_is_the_mean_over_states_and_actions() -> None:
    sure = torch.zeros(1, 16, 4)
    sure[..., 1] = 1
    assert float(policy_error(UNIFORM, sure, RING.acts_S)) == pytest.approx((0.75**2 + 3 * 0.25**2) / 4)


def test_the_interval_is_student_s_and_an_order_needs_a_difference() -> None:
    values = [0.1, 0.4, 0.2, 0.3]
    low, high = stats.t.interval(0.95, 3, loc=0.25, scale=stats.sem(values))
    mean = mean_of(values)
    assert mean.half is not None and (mean.value - mean.half, mean.value + mean.half) == pytest.approx((low, high))
    assert mean_of([0.5]).half is None and mean_of([0.5]).text(4) == "0.5000"
    assert (
        mean_of([0.0, 1e-5]).text(4, tiny=True) == "5.0e-06 ± 6e-05"
        and mean_of([0.0, 0.0]).text(4, tiny=True) == "0.0000 ± 0.0000"
    )
    errors = {"SFT": [0.3, 0.31, 0.32], "ORPO": [0.5, 0.5, 0.51], "IFT": [0.31, 0.29, 0.33], "DPO": [0.1, 0.1, 0.11]}
    assert order(errors) == "DPO < SFT = IFT < ORPO"
    assert [claim.holds for claim in claims(errors)] == [True, True, None]
    assert [claim.holds for claim in claims({name: values[:1] for name, values in errors.items()})] == [None] * 3


@pytest.mark.parametrize("coding", ["one-hot", "embedding", "coordinates"])
def test_a_seed_learns_the_same_alone_and_beside_others(coding: str) -> None:
    options = LakeOptions(coding=coding, steps=8, target_steps=8, hidden=8, ppo_episodes=8)  # type: ignore[arg-type]
    both, alone = train_all(RING, options, [4, 5]), train_all(RING, options, [5])
    torch.testing.assert_close(both.target_KSA[1:], alone.target_KSA, atol=1e-5, rtol=0)
    for method in METHODS:
        torch.testing.assert_close(
            both.policies_PKSA[method][:, 1:], alone.policies_PKSA[method], atol=1e-4, rtol=0, msg=method
        )
    apart = [(one[-1] - one[0]).abs().max() for one in both.policies_PKSA.values()]
    assert min(apart) > 1e-4


def test_training_reaches_what_each_method_is_for() -> None:
    options = LakeOptions(steps=100, learning_rate=3e-3, target_steps=200)
    trained = train_all(RING, options, [0, 1])
    measured = measure(trained, options.horizon, terminals=False)
    assert target_error(trained) < 1e-3
    for method in ("SFT", "ORPO", "IFT", "PPO"):
        assert min(measured[method]["p_optimal"]) > 0.8, method
    reference, policy = trained.policies_PKSA["DPO"][0].log(), trained.policies_PKSA["DPO"][-1].log()
    assert float(dpo_loss(policy, reference, RING, 0.1).max()) < 0.3  # log 2 at first


def test_methods_start_from_sft_and_dpo_refers_to_it() -> None:
    options = LakeOptions(steps=20, target_steps=4, hidden=8, learning_rate=1e-2)
    paper = ("SFT", "ORPO", "IFT", "DPO")
    plain = train_all(RING, options, [0], paper).policies_PKSA
    later = train_all(RING, LakeOptions(**{**vars(options), "start": "sft"}), [0], paper).policies_PKSA
    for method in paper:
        torch.testing.assert_close(later[method][0], plain["SFT"][-1])
    other = train_all(RING, LakeOptions(**{**vars(options), "reference": "sft"}), [0], paper).policies_PKSA
    torch.testing.assert_close(other["DPO"][0], plain["DPO"][0])
    assert not torch.allclose(other["DPO"][-1], plain["DPO"][-1], atol=1e-3)


def test_every_choice_of_the_sweep_is_one_that_can_be_made() -> None:
    for changes in CHOICES.values():
        options = LakeOptions(**changes)
        check_lake_options(options)
        assert open_lake(options).positive.states[0] == 0
    assert CHOICES["the defaults"] == {}


def test_the_command_prints_the_table_and_draws_the_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = LakeOptions(steps=4, target_steps=4, hidden=4, ppo_episodes=4)
    main(Config(seeds=2, lake=small, picture=tmp_path / "lake.png"))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:7]] == list(METHODS)
    assert (tmp_path / "lake.png").read_bytes().startswith(b"\x89PNG")
    outputs = []
    for _ in range(2):
        main(Config(seeds=2, lake=small, json=True))
        outputs.append(capsys.readouterr().out)
    result = json.loads(outputs[0])
    assert outputs[0] == outputs[1] and result["seeds"] == [0, 1]
    for method, name in itertools.product(METHODS, ("mse_all", "p_optimal")):
        one = result["methods"][method][name]
        assert one["value"] == pytest.approx(sum(one["by_seed"]) / 2)


def test_the_sweep_has_a_row_for_each_choice(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.frozen_lake.report.CHOICES", {"the defaults": {}, "tanh": {"activation": "tanh"}})
    main(Config(seeds=2, sweep=True, json=True, lake=LakeOptions(steps=4, target_steps=4, hidden=4)))
    plain = json.loads(capsys.readouterr().out)
    assert [one["choice"] for one in plain] == ["the defaults", "tanh"]
    assert [one["options"]["activation"] for one in plain] == ["relu", "tanh"]
    assert plain[0]["methods"]["SFT"] != plain[1]["methods"]["SFT"] and "PPO" not in plain[0]["methods"]
    main(Config(seeds=2, sweep=True, lake=LakeOptions(steps=4, target_steps=4, hidden=4)))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("|")[1].strip() for line in (*lines[2:4], *lines[7:9])] == ["the defaults", "tanh"] * 2
    mean = plain[1]["methods"]["DPO"]["mse_all"]["value"]
    assert lines[3].split("|")[2].strip() == plain[1]["order"]["mse_all"]
    assert lines[3].split("|")[3].strip() == f"{mean:.3f}"
    assert lines[5].split("|")[3:6] == [" DPO<IFT ", " IFT<ORPO ", " IFT<SFT "]


def test_tables_fit_a_terminal_of_80_columns() -> None:
    values = {name: [0.123, 0.456] for name in MEASURES}
    measured = {name: values | {"mse_visited": [1e-5, 2e-5], "p_optimal": [1.0, 0.9]} for name in METHODS}
    paper = {name: measured[name] for name in PAPER_METHODS}
    outcomes = [Outcome(choice, LakeOptions(), paper, 0.0) for choice in CHOICES]
    for rows in (method_rows(measured), claim_rows(measured), error_rows(outcomes), verdict_rows(outcomes)):
        assert max(map(len, markdown_table(rows).splitlines())) <= 80
    assert max(map(len, (*MEANING.splitlines(), *SWEEP_MEANING.splitlines()))) <= 80


def test_a_dry_run_shows_the_lake_and_trains_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    main(Config(dry_run=True))
    out = capsys.readouterr().out
    assert out.startswith("SFFF\nFHHF\n") and "positive: down down down right" in out and "20 seeds" in out
    main(Config(dry_run=True, sweep=True))
    assert f"SFT, ORPO, IFT, DPO for 400 steps with 20 seeds, for each of {len(CHOICES)}" in capsys.readouterr().out


def test_a_picture_that_cannot_be_is_refused_before_training(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="leave out --sweep"):
        main(Config(sweep=True, picture=Path("x.png")))
    with pytest.raises(StoreError, match="--picture .* is a folder"):
        main(parse(Config, ["--picture", str(tmp_path)], "prog"))
