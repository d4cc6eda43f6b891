from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from console.command import parse
from console.errors import InputError
from engines.options import EngineOptions
from judges.parsing.parse import parse_reply
from judges.rubrics.rubric import load_rubric
from records import Prompt
from records.files import BadRows, read_records
from tests.conftest import ROOT
from trainer.early_stop.options import EarlyStopOptions
from trainer.loop.__main__ import main
from trainer.loop.recipe import CandidateOptions, Config, EvalOptions, NewPromptOptions, SeedOptions, check
from trainer.loop.rounds import supervised_chats
from trainer.loop.splits import split_prompts
from trainer.prompts.seeds.reading import CONSTRAINED, EFT, eft_chats, ift_chats, seed_prompts
from trainer.training.memory.size import Load, MemorySettings, model_size, training_bytes
from trainer.training.options import LoraOptions
from trainer.training.processes import SHARDING

PROMPTS = [Prompt(id=str(number), prompt=f"prompt {number}") for number in range(30)]
SMALL = Config(candidates=CandidateOptions(prompts=8), eval=EvalOptions(prompts=6))


RECIPES = ROOT / "recipes"
OF_THE_LOOP = sorted(path for path in RECIPES.glob("*.toml") if not path.stem.startswith(("rlp_", "ift_", "eval_")))


def recipe(name: str) -> Config:
    return parse(Config, ["--config", str(RECIPES / f"{name}.toml")], "loop")


def settings(config: Config) -> dict[str, object]:
    """Return every setting by its full name, but for those that no result depends on."""
    flat: dict[str, object] = {}
    for name, value in asdict(config).items():
        flat |= {f"{name}.{key}": one for key, one in value.items()} if isinstance(value, dict) else {name: value}
    return {name: value for name, value in flat.items() if name not in ("name", "config")}


@pytest.mark.parametrize("path", OF_THE_LOOP, ids=lambda path: path.stem)
def test_every_recipe_is_valid_named_after_its_file_and_has_prompts_enough(path: Path) -> None:
    config = recipe(path.stem)
    check(config)
    assert config.name == path.stem
    split_prompts(seed_prompts(config.seeds.prompts), config)


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("ablation_no_eft", {"seeds.judging", "seeds.eft"}),
        ("ablation_positive_only", {"round.learn", "round.perfect_score"}),
        ("ablation_multiple_choice", {"judge.rubric", "seeds.eft"}),
        (
            "ablation_one_sample",
            {"judge.read", "judge.samples", "judge.max_new_tokens", "judge.min_coverage", "seeds.eft"},
        ),
    ],
)
def test_an_ablation_changes_one_thing(name: str, changed: set[str]) -> None:
    whole, ablated = settings(recipe("self_rewarding_small")), settings(recipe(name))
    assert {key for key in whole.keys() | ablated.keys() if whole.get(key) != ablated.get(key)} == changed


def test_what_an_ablation_changes_is_what_its_name_says() -> None:
    one_sample = recipe("ablation_one_sample").judge
    assert not recipe("ablation_no_eft").seeds.judging
    assert recipe("ablation_positive_only").round.learn == "perfect"
    assert recipe("ablation_multiple_choice").judge.rubric == "multiple_choice"
    assert (one_sample.read, one_sample.samples) == ("text", 1)
    assert recipe("meta_rewarding").round.meta


def test_the_large_recipe_has_the_numbers_that_the_paper_states() -> None:
    large = recipe("self_rewarding_70b")
    assert (large.candidates.n, large.candidates.temperature, large.candidates.top_p) == (4, 0.7, 0.9)
    assert (large.judge.read, large.judge.samples, large.judge.aggregate) == ("text", 3, "mean")
    assert (large.sft.learning_rate, large.sft.batch_size) == (5.5e-6, 16)
    assert (large.dpo.learning_rate, large.dpo.batch_size, large.dpo.beta) == (1e-6, 16, 0.1)
    assert (large.iterations, large.pairs.min_margin, large.pairs.rho) == (3, 0.0, 0.0)
    assert large.early_stop is not None
    assert (large.early_stop.every_n_steps, large.early_stop.n_prompts) == (200, 253)


@pytest.mark.parametrize("name", ["instruction_following_small", "instruction_following_8b"])
def test_the_recipes_with_checks_stop_a_run_that_its_own_judge_leads_astray(name: str) -> None:
    config = recipe(name)
    checked = [prompt.constraints for prompt in seed_prompts(config.seeds.prompts)]
    assert config.evidence.tool == "constraints" and all(checked)
    assert {"pairs_right", "follows", "known_pairs"} <= config.gates.keys() and config.eval.n > 1


def test_the_large_recipe_with_checks_is_estimated_without_its_weights(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("records.runs.RUNS", tmp_path)
    main(replace(recipe("instruction_following_8b"), engine=EngineOptions(model=str(tiny_model)), dry_run=True))
    shown = capsys.readouterr().out
    assert "by formula for 8 GPUs" in shown and "iter3 DPO, at most 160 pairs" in shown
    # A layer: q and o 2 * 4096^2, k and v 2 * 4096 * 1024, MLP 3 * 4096 * 14336. Embeddings: 2 * 128256 * 4096.
    assert model_size(RECIPES / "llama_3_1_8b.json").n_parameters == 8_030_261_248


def test_adapters_on_8b_fit_one_gpu_of_24_gb_by_formula_and_the_plan_needs_no_hub(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("records.runs.RUNS", tmp_path)
    config = recipe("self_rewarding_8b_one_gpu")
    main(replace(config, dry_run=True))
    shown = capsys.readouterr()
    assert "by formula for 1 GPU\n" in shown.out and "iter3 DPO, at most 24 pairs" in shown.out
    assert "takes about" not in shown.err
    size = model_size(RECIPES / "llama_3_1_8b.json")
    longest = training_bytes(size, Load(2 * config.dpo.max_length), MemorySettings("bfloat16"), config.lora).total
    assert 18 * 2**30 < longest < 19 * 2**30
    assert training_bytes(size, Load(2 * config.dpo.max_length)).total > 120 * 2**30
    main(replace(config, dry_run=True, lora=LoraOptions()))
    assert "takes about 121 GiB on a GPU of 24: " in capsys.readouterr().err


def test_accelerate_reads_the_sharding_and_knows_every_key() -> None:
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.commands.launch import launch_command_parser

    sharding = load_config_from_file(str(RECIPES / "accelerate_fsdp.yaml"))
    assert (sharding.distributed_type, sharding.mixed_precision, sharding.num_processes) == ("FSDP", "bf16", 8)
    known = {action.dest for action in launch_command_parser()._actions}
    assert set(sharding.fsdp_config) <= known
    given = {name: str(sharding.fsdp_config[name.lower()]) for name in SHARDING}
    assert {name: value.lower() for name, value in given.items()} == {k: v.lower() for k, v in SHARDING.items()}


def test_splits_are_disjoint_and_depend_on_the_seed_only() -> None:
    split = split_prompts(PROMPTS, SMALL)
    ids = [prompt.id for part in [split.held_out, *split.rounds.values()] for prompt in part]
    assert len(ids) == len(set(ids)) == 22 and sorted(split.rounds) == [2, 3]
    assert split_prompts(PROMPTS, SMALL) == split != split_prompts(PROMPTS, replace(SMALL, seed=1))


def test_one_more_round_leaves_the_earlier_splits_as_they_are() -> None:
    split, longer = split_prompts(PROMPTS, SMALL), split_prompts(PROMPTS, replace(SMALL, iterations=4))
    assert (
        longer.held_out == split.held_out
        and longer.rounds[2] == split.rounds[2]
        and longer.rounds[3] == split.rounds[3]
    )


STOPPING = replace(SMALL, early_stop=EarlyStopOptions(n_prompts=5))


@pytest.mark.parametrize("config", [STOPPING, replace(STOPPING, new_prompts=NewPromptOptions(source="parent"))])
def test_early_stopping_has_prompts_that_nothing_learns_from_or_reports_on(config: Config) -> None:
    split, without = split_prompts(PROMPTS, config), split_prompts(PROMPTS, replace(config, early_stop=None))
    parts = [split.held_out, split.stopping, split.seeds, *split.rounds.values()]
    ids = [prompt.id for part in parts for prompt in part]
    assert len(ids) == len(set(ids)) == len(PROMPTS) and len(split.stopping) == 5
    assert (split.held_out, split.rounds, without.stopping) == (without.held_out, without.rounds, [])
    if config.new_prompts.source == "parent":
        longer = split_prompts(PROMPTS, replace(config, iterations=config.iterations + 1))
        assert longer.stopping == split.stopping


def test_early_stopping_takes_what_is_left_and_never_the_reported_prompts() -> None:
    few = split_prompts(PROMPTS[:24], STOPPING)
    assert len(few.stopping) == 2 and not set(map(id, few.stopping)) & set(map(id, few.held_out))
    with pytest.raises(InputError, match=r"22 different prompts, of which none is left for \[early_stop\]"):
        split_prompts(PROMPTS[:22], STOPPING)


def test_too_few_prompts_are_refused_with_the_numbers() -> None:
    with pytest.raises(InputError, match="21 different prompts, but 2 rounds of 8 and 6 held out need 22"):
        split_prompts(PROMPTS[:21], SMALL)


@pytest.mark.parametrize(
    "config",
    [
        Config(iterations=0),
        Config(candidates=CandidateOptions(n=1)),
        Config(candidates=CandidateOptions(prompts=0)),
        Config(eval=EvalOptions(judge=4)),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(config: Config) -> None:
    with pytest.raises(InputError):
        check(config)


def test_several_answers_at_temperature_0_are_said_to_be_one(capsys: pytest.CaptureFixture[str]) -> None:
    check(Config(eval=EvalOptions(n=2, temperature=0.0)))
    assert "--eval.n 2 at temperature 0 gives the same answer 2 times" in capsys.readouterr().err
    check(Config(candidates=CandidateOptions(temperature=0.0), eval=EvalOptions(n=2)))
    said = capsys.readouterr().err
    assert "--candidates.n 4 at" in said and "--eval.n 2 at" in said
    check(Config(candidates=CandidateOptions(temperature=0.0), eval=EvalOptions(n=2, temperature=0.5)))
    assert "--eval" not in capsys.readouterr().err


def test_the_seeds_are_as_many_and_as_varied_as_they_say() -> None:
    prompts, ift = seed_prompts(None), ift_chats(None)
    assert len(prompts) == 64 and len(ift) == 48
    assert len({prompt.source for prompt in prompts}) == 16
    texts = [str(prompt.prompt) for prompt in prompts] + [chat[0]["content"] for chat in ift]
    assert len(set(texts)) == 112
    rows = [record for _, record in read_records(EFT, BadRows(strict=True))]
    scores = Counter(score for row in rows for score in row["scores"])
    assert len(rows) == 24 and sorted(scores) == [0, 1, 2, 3, 4, 5] and max(scores.values()) <= 18
    for row in rows:
        order = sorted(range(3), key=lambda index: row["ranks"][index])
        assert row["scores"][order[0]] > row["scores"][order[1]] > row["scores"][order[2]]


def test_what_the_judge_learns_is_what_it_will_be_asked_and_parses_to_the_score() -> None:
    rubric = load_rubric("additive")
    for read in ("text", "logprobs"):
        chats = list(eft_chats(None, rubric, read))
        assert len(chats) == 72
        assert all(parse_reply(chat[-1]["content"], rubric).value is not None for chat in chats)
    short, long = (next(iter(eft_chats(None, rubric, read))) for read in ("logprobs", "text"))
    assert short[-1]["content"].startswith("Score: ") and len(long[-1]["content"]) > len(short[-1]["content"])


def test_ranked_answers_without_scores_are_refused_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "eft.jsonl"
    path.write_text('{"prompt": "Q", "responses": ["a"], "ranks": [0]}\n')
    with pytest.raises(InputError, match=r"eft\.jsonl:1: not a row of ranked answers.*scores"):
        list(eft_chats(path, load_rubric("additive"), "text"))


def test_the_limits_of_seeds_draw_the_same_examples_for_the_same_seed(capsys: pytest.CaptureFixture[str]) -> None:
    def drawn(seed: int) -> tuple[list[str], list[str]]:
        seeds = SeedOptions(ift=CONSTRAINED, ift_limit=5, eft=CONSTRAINED, eft_limit=3)
        ift, eft = supervised_chats(Config(seed=seed, seeds=seeds))
        return [str(chat) for chat in ift], [str(chat) for chat in eft]

    whole = [str(chat) for chat in ift_chats(CONSTRAINED)]
    first, second = drawn(0), drawn(1)
    assert [len(chats) for chats in first] == [5, 3] and len(set(first[0])) == 5
    assert set(first[0]) <= set(whole) and first == drawn(0) and first[0] != second[0]
    assert not capsys.readouterr().err
    more = supervised_chats(Config(seeds=SeedOptions(ift=CONSTRAINED, ift_limit=10_000, judging=False)))
    assert f"--seeds.ift-limit 10000: there are only {len(whole)} conversations" in capsys.readouterr().err
    assert sorted(str(chat) for chat in more[0]) == sorted(whole) and not more[1]
