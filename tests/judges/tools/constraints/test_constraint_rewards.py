"""The constraints in the library, in TRL's reward function, in best-of-n and as PPO's reward."""

import json
from pathlib import Path

import pytest

from console.command import parse
from console.errors import InputError
from engines.options import EngineOptions
from engines.scripted import ScriptedEngine
from judges import Judge
from judges.best_of import __main__ as best_of
from judges.judging.judge import open_judge
from judges.options import JudgeOptions
from judges.tools.evidence import NO_MODEL, was_checked, with_tools
from judges.tools.options import EvidenceOptions
from judges.trl import reward_func
from records import Judgment, Response, Store, read_rows
from records.rows import Constraint, Prompt
from tests.judges.opened import patch_open_engine
from trainer.ppo.options import RewardChoice
from trainer.ppo.rewards import check_reward, judge_reward, scored

COMMA = {"kind": "punctuation:no_comma"}
SHORT = {"kind": "judgeloop:at_most_words", "kwargs": {"num_words": 3}}
BOTH = [COMMA, SHORT]


@pytest.fixture(autouse=True)
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def open_engine(options: object) -> object:
        raise AssertionError("no model is needed")

    patch_open_engine(monkeypatch, open_engine)
    monkeypatch.setattr("judges.library.open_engine", open_engine)


def test_the_library_checks_constraints_without_a_model() -> None:
    judge = Judge.open(tool="constraints", verify="share")
    rows = judge.score(["Q", "Q", "Q"], ["a b", "a, b", "a b"], constraints=[BOTH, BOTH, None])
    assert [row.score for row in rows] == [5, 2.5, None]
    assert rows[0].evidence is not None and rows[0].evidence["n_followed"] == 2
    assert rows[2].error == "no constraint can be checked: the row has no constraints"
    own = [Constraint(kind=COMMA["kind"])]
    assert [row.score for row in judge.score(["Q"], ["a, b"], constraints=[own])] == [0]


def test_a_rubric_is_capped_in_the_library() -> None:
    engine = ScriptedEngine(reply=lambda _: "Score: 4")
    judge = open_judge(engine, JudgeOptions(read="text", samples=1), 0)
    rows = Judge(*with_tools(judge, EvidenceOptions(tool="constraints"))).score(["Q"], ["a, b"], constraints=[BOTH])
    assert (rows[0].score, rows[0].usage.n_calls) == (2.5, 1)


@pytest.mark.parametrize("constraints", [[BOTH], [BOTH, [{"name": "x"}]], [BOTH, "no commas"], COMMA])
def test_constraints_of_another_shape_are_refused(constraints: object) -> None:
    with pytest.raises(InputError, match="constraints"):
        Judge.open(tool="constraints", verify="share").score(["Q", "R"], ["a", "b"], constraints=constraints)  # type: ignore[arg-type]


def test_a_setting_of_the_tools_is_known_and_a_wrong_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("judges.library.open_engine", lambda _: ScriptedEngine())
    with pytest.raises(InputError, match="no such folder"):
        Judge.open(tool="search", corpus=tmp_path / "notes", verify="factscore")
    with pytest.raises(InputError, match="verify = 'all': must be one of"):
        Judge.open(tool="constraints", verify="all")


def test_trls_columns_give_the_constraints() -> None:
    reward = reward_func(Judge.open(tool="constraints", verify="share"))
    prompts, completions = ["Q", "Q"], ["a b", "a, b c d"]
    assert reward(prompts, completions, constraints=[BOTH, BOTH]) == [5, 0]
    ids = [[COMMA["kind"]], [COMMA["kind"]]]
    assert reward(prompts, completions, instruction_id_list=ids, kwargs=[[{}], [None]], trainer_state=None) == [5, 0]
    assert reward(prompts, completions, constraints=[BOTH, None]) == [5, None]


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({}, "no column 'constraints' or 'instruction_id_list'.* it has no other columns"),
        ({"constraint": [BOTH, BOTH], "kwargs": [[], []]}, "it has constraint, kwargs"),
        ({"constraints": ["no_comma", "no_comma"]}, "'constraints' must be a list such as"),
        ({"constraints": [[COMMA["kind"]], [COMMA["kind"]]]}, "'constraints' must be a list such as"),
        ({"constraints": [BOTH]}, "one of each is needed: 2 completions, 1 'constraints'"),
        ({"constraints": COMMA}, "'constraints' must be a list, one for each prompt"),
    ],
)
def test_trls_columns_without_readable_constraints_are_refused(columns: dict[str, object], why: str) -> None:
    reward = reward_func(Judge.open(tool="constraints", verify="share"))
    with pytest.raises(InputError, match=why):
        reward(["Q", "Q"], ["a b", "a, b"], **columns)


def test_a_judge_without_tools_does_not_look_at_the_column() -> None:
    judge = open_judge(ScriptedEngine(reply=lambda _: "Score: 4"), JudgeOptions(read="text", samples=1), 0)
    assert reward_func(Judge(judge))(["Q"], ["a"], constraints=["at most 3 words"]) == [4]


def test_the_best_answer_follows_the_most_constraints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"prompt": "Q", "response": text, "prompt_id": "q", "constraints": BOTH} for text in ("a, b c d", "a b", "a, b")
    ]
    (tmp_path / "r.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    argv = [str(tmp_path / "r.jsonl"), "--out", str(tmp_path / "b.jsonl"), "--tool", "constraints", "--verify", "share"]
    for flags in (["--dry-run"], [], []):
        best_of.main(parse(best_of.Config, [*argv, *flags], "best_of"))
    assert "by the constraints alone" in capsys.readouterr().out
    [best] = read_rows(tmp_path / "b.jsonl", Response)
    assert best.response == "a b" and best.constraints is not None
    judged = list(read_rows(tmp_path / "b.judgments.jsonl", Judgment))
    assert [row.score for row in judged] == [0, 5, 2.5]
    assert (tmp_path / "b.judgments.evidence.jsonl").exists()


def test_ppo_takes_the_constraints_of_its_prompts_for_the_reward(tmp_path: Path) -> None:
    check_reward(
        RewardChoice("judge", JudgeOptions(), EngineOptions(), EvidenceOptions(tool="constraints", verify="share"))
    )
    constraints = [Constraint(kind=COMMA["kind"])]
    prompts = [Prompt(id="p", prompt="Q", constraints=constraints), Prompt(id="r", prompt="R", system="S")]
    judge, agent = with_tools(
        open_judge(NO_MODEL, JudgeOptions(), 0), EvidenceOptions(tool="constraints", verify="share")
    )
    with Store(tmp_path / "j.jsonl", Judgment, keep=was_checked) as store:
        source = judge_reward(judge, store, agent, prompts)
        chat = [{"role": "system", "content": "S"}, {"role": "user", "content": "R"}]
        assert scored(source, ["Q", "Q", "Q", chat], ["a", "a, b", "a", "a"]) == [5, 0, 5, None]
        other = judge_reward(judge, store, agent, prompts[1:])
        assert source.digest != other.digest
        with pytest.raises(InputError, match="another row on the same prompt has other constraints"):
            judge_reward(judge, store, agent, [*prompts, Prompt(id="p2", prompt="Q")])
        with pytest.raises(InputError, match="prompt x: its constraints cannot be read: why"):
            judge_reward(judge, store, agent, [Prompt(id="x", prompt="Q", constraints_error="why")])
