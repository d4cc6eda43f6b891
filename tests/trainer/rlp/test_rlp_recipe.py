"""The settings of a run of reward learning on policy, and how its prompts are dealt out."""

from dataclasses import replace
from pathlib import Path

import pytest

from console.command import parse
from console.errors import InputError
from judges.cluster.equivalences.options import EquivalenceOptions
from judges.options import JudgeOptions
from records import Prompt, messages_of, pair_of
from records.runs import Run
from records.store import write_rows
from tests.conftest import ROOT
from trainer.prompts.seeds.reading import ift_chats
from trainer.reward_model.bottleneck_options import BottleneckOptions
from trainer.reward_model.options import RewardOptions
from trainer.rlp.checks import check
from trainer.rlp.gather import gather_preferences, preference_counts, preferences_of
from trainer.rlp.preferences import n_turned_round
from trainer.rlp.recipe import (
    AnnotatorOptions,
    Config,
    EvalOptions,
    PreferenceOptions,
    RLPOptions,
    SampleOptions,
    UnlabelledOptions,
)
from trainer.rlp.splits import deal, shown_prompts
from trainer.rlp.synthetic_options import SyntheticOptions

# preferences that are there already, and the dealing of prompts


def given_pairs(path: Path, prompts: list[str]) -> Path:
    write_rows(path, [pair_of(prompt, prompt, "yes", "no") for prompt in prompts])
    return path


def test_given_preferences_are_kept_with_noise_on_those_that_are_learnt_only(tmp_path: Path) -> None:
    path = given_pairs(tmp_path / "pairs.jsonl", [f"question {n}" for n in range(40)])
    given = Config(preferences=PreferenceOptions(file=path, flip=0.5, held_out_share=0.25))
    run = Run(tmp_path / "run")
    gather_preferences(run, [], given)
    learnt, held_out = preferences_of(run, given.preferences, given.seed)
    assert (len(learnt), len(held_out)) == (30, 10)
    assert 5 < n_turned_round(learnt) < 25 and n_turned_round(held_out) == 0
    assert preference_counts(run, given.preferences, given.seed) == {
        "pairs": 40,
        "held_out": 10,
        "flipped": n_turned_round(learnt),
    }


def prompts(n: int) -> list[Prompt]:
    return [Prompt(id=str(k), prompt=f"Prompt {k}") for k in range(n)]


SMALL = Config(
    preferences=PreferenceOptions(prompts=5), unlabelled=UnlabelledOptions(prompts=6), eval=EvalOptions(prompts=4)
)


def test_prompts_are_dealt_out_once_and_none_that_was_shown() -> None:
    split = deal(prompts(20), ["prompt  3", "PROMPT 4"], SMALL)
    dealt = [prompt.id for part in (split.preferences, split.unlabelled, split.held_out) for prompt in part]
    assert len(dealt) == len(set(dealt)) == 15 and not {"3", "4"} & set(dealt)
    assert deal(prompts(20), ["prompt  3", "PROMPT 4"], SMALL) == split
    assert deal(prompts(20), [], replace(SMALL, seed=1)) != deal(prompts(20), [], SMALL)
    with pytest.raises(InputError, match="14 prompts, but 5 for preferences, 6 unlabelled and 4 held out need 15"):
        deal(prompts(15), ["prompt 0"], SMALL)


def test_the_prompts_of_given_preferences_are_used_for_nothing_else(tmp_path: Path) -> None:
    path = given_pairs(tmp_path / "pairs.jsonl", ["Prompt 1", "Prompt 2"])
    given = replace(SMALL, preferences=PreferenceOptions(file=path))
    shown = shown_prompts(
        [[*messages_of("Prompt 0"), {"role": "assistant", "content": "0"}]], given.preferences, strict=given.strict
    )
    split = deal(prompts(13), shown, given)
    assert split.preferences == [] and len(split.unlabelled) == 6 and len(split.held_out) == 4
    assert not {"0", "1", "2"} & {prompt.id for prompt in [*split.unlabelled, *split.held_out]}


def test_labels_of_given_preferences_are_read_as_their_codes_say(tmp_path: Path) -> None:
    path = tmp_path / "labelled.jsonl"
    rows = [{"instruction": f"Prompt {n}", "output_1": "yes", "output_2": "no", "label": 1 - n % 2} for n in range(4)]
    write_rows(path, rows)
    options = PreferenceOptions(file=path, held_out_share=0.5)
    for reading in (
        lambda config: gather_preferences(Run(tmp_path / "asks"), [], config),
        lambda config: shown_prompts([], config.preferences, strict=config.strict),
    ):
        with pytest.raises(InputError, match="all labels are 0 or 1.*--preferences.codes 0=a,1=b"):
            reading(Config(preferences=options))
    given = Config(preferences=replace(options, codes="1=a,0=b"))
    assert len(shown_prompts([], given.preferences, strict=given.strict)) == 4
    gather_preferences(Run(tmp_path / "run"), [], given)
    learnt, held_out = preferences_of(Run(tmp_path / "run"), given.preferences, given.seed)
    chosen = {pair.prompt[0]["content"]: pair.chosen[0]["content"] for pair in [*learnt, *held_out]}
    assert chosen == {f"Prompt {n}": ("yes", "no")[n % 2] for n in range(4)}
    with pytest.raises(InputError, match="--preferences.codes must be like"):
        shown_prompts([], replace(options, codes="0:a"), strict=False)


def test_labels_of_the_seeds_are_read_as_their_codes_say(tmp_path: Path) -> None:
    path = tmp_path / "ift.jsonl"
    write_rows(path, [{"instruction": f"Q{n}", "output_1": "yes", "output_2": "no", "label": n} for n in (0, 1)])
    with pytest.raises(InputError, match="all labels are 0 or 1.*--seeds.codes"):
        ift_chats(path)
    assert [chat[-1]["content"] for chat in ift_chats(path, "0=a,1=b")] == ["yes", "no"]


# settings


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (Config(samples=SampleOptions(n=1)), "samples.n must be at least 2"),
        (Config(preferences=PreferenceOptions(flip=0.7)), r"flip must be in \[0, 0.5\]"),
        (Config(preferences=PreferenceOptions(held_out_share=1.0)), "held-out-share"),
        (Config(eval=EvalOptions(prompts=0)), "eval.prompts must be at least 1"),
        (Config(samples=SampleOptions(min_coverage=2.0)), "samples.min-coverage"),
        (Config(annotator=AnnotatorOptions(judge=JudgeOptions())), "additive scores one answer"),
        (Config(reward=RewardOptions(margins=True)), "margins needs a margin"),
        (Config(reward=RewardOptions(learning_rate=-1.0)), "--reward.learning-rate must be above 0"),
        (Config(bottleneck=BottleneckOptions(objective="mvi")), "bottleneck.* is for --rlp.method uml"),
        (Config(rlp=RLPOptions("uml"), synthetic=SyntheticOptions(gamma=0.6)), "synthetic.* is for --rlp.method spg"),
        (Config(rlp=RLPOptions("uml"), reward=RewardOptions(batch_size=1, micro_batch_size=1)), "no negatives"),
        (Config(synthetic=SyntheticOptions(gamma=2.0)), r"gamma must be in \[0, 1\]"),
    ],
)
def test_settings_that_do_not_fit_together_are_one_line(config: Config, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        check(config)
    assert "\n" not in str(caught.value)


RECIPES = ROOT / "recipes"


def recipe(name: str) -> Config:
    return parse(Config, ["--config", str(RECIPES / f"{name}.toml")], "rlp")


@pytest.mark.parametrize("name", sorted(path.stem for path in RECIPES.glob("rlp_*.toml")))
def test_every_recipe_is_valid_and_named_after_its_file(name: str) -> None:
    check(recipe(name))
    assert recipe(name).name == name


def test_the_papers_recipes_have_its_numbers_and_differ_in_the_method_alone() -> None:
    uml, spg = recipe("rlp_uml"), recipe("rlp_spg")
    assert (uml.rlp.method, uml.bottleneck.weight, uml.bottleneck.objective) == ("uml", 0.5, "mib")
    assert (spg.rlp.method, spg.synthetic.gamma, spg.synthetic.method) == ("spg", 0.5, "spg")
    assert spg.synthetic.relation == EquivalenceOptions(equivalence="nli")
    assert (spg.samples.n, spg.samples.temperature, spg.eval.temperature) == (10, 1.0, 0.7)
    assert (spg.preferences.prompts, spg.unlabelled.prompts, spg.preferences.flip) == (10_000, 20_000, 0.25)
    assert (spg.sft.learning_rate, spg.sft.epochs, spg.sft.batch_size) == (2e-5, 3, 128)
    assert (spg.reward.learning_rate, spg.reward.epochs, spg.reward.batch_size) == (3e-6, 1, 16)
    assert (spg.ppo.rollout_batch_size, spg.ppo.step_batch_size, spg.ppo.kl_coef) == (512, 256, 0.0067)
    same = {"name": "", "config": None, "rlp": spg.rlp, "bottleneck": spg.bottleneck, "synthetic": spg.synthetic}
    assert replace(uml, **same) == replace(spg, **same)  # type: ignore[arg-type]
