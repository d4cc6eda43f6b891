"""A dry run needs no key, refuses what the command itself would refuse, and with --json prints JSON alone."""

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from console.command import parse
from console.errors import InputError
from judges.attacks.texts import load_attacks, load_prompts
from tests.test_file_kinds import JUDGMENTS
from trainer.training.checkpoints import seal

SERVED = ("--engine", "openai", "--model", "gpt-5-mini")
OPENAI = ("--engine", "openai")
LOCAL = ("--model", "tiny")
TEXT = ("--read", "text")
LAYERS = ("--lora.r", "4", "--lora.target-modules", "nope")
REWARDED = ("--reward", "os.path:join")
DECISIONS = ["--read", "decisions", "--rubric", "criteria"]


def write(name: str, *rows: dict[str, Any]) -> None:
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder that has an input of every kind, a model, and no key."""
    monkeypatch.chdir(tmp_path)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    Path("tiny").symlink_to(tiny_model)
    answers = [{"prompt": f"Q{n}", "response": f"A{n} {k}", "model": "m"} for n in range(4) for k in range(2)]
    write("answers.jsonl", *answers)
    write("judged.jsonl", *(msgspec.to_builtins(row) for row in JUDGMENTS))
    write("pairs.jsonl", *({"prompt": f"Q{n}", "chosen": "yes", "rejected": "no"} for n in range(4)))
    write("chats.jsonl", {"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]})
    write("prompts.jsonl", *({"prompt": f"What is the number {n} times two?"} for n in range(20)))
    write("labelled.jsonl", {"input": "Q", "output_1": "yes", "output_2": "no", "label": 1})
    write("ranked.jsonl", *({"prompt": f"Q{n}", "responses": ["a", "b"], "ranks": [0, 1]} for n in range(30)))
    write("one.jsonl", {"prompt": "Q", "response": "yes", "model": "one"})
    write("two.jsonl", {"prompt": "Q", "response": "no", "model": "two"})
    write("verdicts.jsonl", {"input": "Q", "output_1": "yes", "output_2": "no", "label": 2})
    Path("c.jsonl").write_text('{"text": "The sky is blue."}\n')
    Path("checkpoints/new").mkdir(parents=True)
    Path("checkpoints/new/model.safetensors").write_bytes(b"")
    seal(Path("checkpoints/new"), Path("checkpoints/step-1"), 1)


def command_at(name: str) -> ModuleType:
    """Return the module of a command, which is a file or a folder."""
    module = importlib.import_module(name)
    return importlib.import_module(f"{name}.__main__") if hasattr(module, "__path__") else module


def ran(module: str, *argv: str) -> None:
    command = command_at(module)
    command.main(parse(command.Config, [*argv, "--dry-run"], module))


PLANS = [
    ("judges.score", ["answers.jsonl", *SERVED], {"responses": 8, "calls": 8, "model": "gpt-5-mini"}),
    ("judges.score", ["answers.jsonl", *LOCAL, *TEXT], {"calls": 24, "read": "text"}),
    ("judges.score", ["answers.jsonl", *SERVED, *TEXT, "--corpus", "c.jsonl"], {"responses": 8}),
    ("judges.score", ["answers.jsonl", *SERVED, "--judge", "tiny", "--judge", "gpt-5"], {"judges": 2}),
    ("judges.score", ["answers.jsonl", *SERVED, *DECISIONS], {"calls": 8, "read": "decisions"}),
    ("judges.serve", SERVED, {"judges": 1, "port": 8300}),
    ("judges.serve", [*SERVED, "--judge", "tiny", "--judge", "gpt-5"], {"judges": 2, "models": 2}),
    ("judges.compare", ["pairs.jsonl", *SERVED], {"pairs": 4, "calls": 8}),
    ("judges.compare", ["pairs.jsonl", *SERVED, "--judge", "tiny", "--judge", "gpt-5"], {"judges": 2}),
    ("judges.cluster", ["answers.jsonl", "--equivalence", "judge", *SERVED], {"answers": 8, "prompts": 4}),
    ("judges.calibrate", ["labelled.jsonl", "--rubric", "pairwise", *SERVED], {"pairs": 1, "calls": 2}),
    ("judges.best_of", ["answers.jsonl", *SERVED], {"prompts": 4, "answers": 8}),
    ("judges.best_of", ["judged.jsonl"], {"by": "their scores"}),
    ("judges.best_of", ["answers.jsonl", *SERVED, "--limit", "3"], {"prompts": 3, "answers": 6}),
    ("judges.best_of", ["judged.jsonl", "--limit", "1"], {"prompts": 1}),
    ("judges.score", ["answers.jsonl", *SERVED, "--limit", "3"], {"responses": 3, "calls": 3}),
    ("judges.compare", ["pairs.jsonl", *SERVED, "--limit", "3"], {"pairs": 3, "calls": 6}),
    ("judges.cluster", ["answers.jsonl", "--limit", "3"], {"prompts": 3, "answers": 6}),
    ("judges.attacks", [*SERVED, "--limit", "3"], {"answers": 3}),
    ("judges.attacks", [*SERVED, "--limit", "100000"], {"answers": len(load_prompts()) * len(load_attacks())}),
    ("evals.reward_model", ["ranked.jsonl", *SERVED, "--limit", "3"], {"prompts": 3, "answers": 6}),
    ("evals.open_llm", [*LOCAL, "--limit", "3"], {"limit": 3}),
    ("trainer.eft", ["ranked.jsonl", *LOCAL, "--limit", "3"], {"answers": 6}),
    ("trainer.dpo", ["pairs.jsonl", *LOCAL, "--limit", "3"], {"examples": "3 pairs"}),
    ("trainer.ppo", ["prompts.jsonl", *LOCAL, *REWARDED, "--limit", "3"], {"prompts": 3}),
    ("judges.attacks", [*SERVED], {"model": "gpt-5-mini"}),
    ("judges.attacks", [], {"answers": 0}),
    ("trainer.sft", ["chats.jsonl", *LOCAL], {"conversations": 1}),
    ("trainer.ift", ["chats.jsonl", *LOCAL], {"conversations": 1}),
    *((f"trainer.{name}", ["pairs.jsonl", *LOCAL], {"of": "pairs.jsonl"}) for name in ("dpo", "orpo", "simpo", "kto")),
    ("trainer.reward_model", ["pairs.jsonl", *LOCAL], {"held_out_pairs": 1}),
    *(
        (f"trainer.{name}", ["pairs.jsonl", *LOCAL, "--validation-share", "0.3"], {"learnt": 3, "validation": 1})
        for name in ("sft", "ift", "dpo", "orpo", "simpo", "kto")
    ),
    ("trainer.reward_model", ["pairs.jsonl", *LOCAL, "--validation-share", "0.4"], {"learnt": 2, "validation": 1}),
    ("trainer.ppo", ["prompts.jsonl", *LOCAL, *REWARDED], {"prompts": 20}),
    ("trainer.ppo", ["prompts.jsonl", *LOCAL, "--reward", "judge", "--judge-engine.engine", "openai"], {"prompts": 20}),
    ("trainer.grpo", ["prompts.jsonl", *LOCAL, *REWARDED], {"prompts": 20, "steps": 2}),
    ("trainer.grpo", ["prompts.jsonl", *LOCAL, "--judge", "j", "--judge-engine.engine", "openai"], {"judgments": 128}),
    ("trainer.early_stop", ["checkpoints", "--prompts", "prompts.jsonl", *SERVED], {"checkpoints": 1}),
    ("trainer.eft", ["ranked.jsonl", *LOCAL], {"model": "tiny"}),
    ("trainer.prompts", ["prompts.jsonl", *SERVED], {"seeds": 20, "n": 1000}),
    ("trainer.frozen_lake", [], {"steps": 400}),
    ("evals.reward_model", ["ranked.jsonl", *SERVED], {"prompts": 30}),
    ("evals.alpaca", ["--prompts", "prompts.jsonl", "--reference", "base.jsonl", *SERVED], {"prompts": 1}),
    ("evals.head_to_head", ["one.jsonl", "two.jsonl", "--judge-model", "gpt-5", *OPENAI], {"prompts": 1, "answers": 0}),
    (
        "evals.head_to_head",
        ["one", "two", "--judge-model", "j", "--prompts", "prompts.jsonl", *OPENAI],
        {"answers": 40},
    ),
    ("experiments.eft", ["ranked.jsonl"], {"seeds": 3}),
]


@pytest.mark.parametrize(("command", "words", "expected"), PLANS, ids=[f"{one[0]} {' '.join(one[1])}" for one in PLANS])
def test_a_dry_run_asks_for_no_key_and_prints_one_json_value(
    command: str, words: list[str], expected: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    write("base.jsonl", {"prompt": "What is the number 3 times two?", "response": "6", "model": "base"})
    ran(command, *words, "--json")
    found = json.loads(capsys.readouterr().out)
    shown = {name: len(found[name]) if isinstance(found[name], list) else found[name] for name in expected}
    assert shown == expected
    ran(command, *words)
    plain = capsys.readouterr().out
    assert plain.strip() and not plain.lstrip().startswith(("{", "["))
    assert not Path("runs").exists()


TABLES = [
    ("trainer.pairs", ["judged.jsonl"]),
    ("judges.rubrics", []),
    ("tui", ["pairs.jsonl"]),
    ("experiments.known_truth", []),
    ("experiments.rlp_truth", []),
    ("trainer.loop", ["--model", "tiny", "--estimate.no-measure"]),
    ("trainer.rlp", ["--model", "tiny"]),
]


@pytest.mark.parametrize(("command", "words"), TABLES, ids=[one[0] for one in TABLES])
def test_a_plan_that_is_a_table_is_json_too(command: str, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    if command.startswith("trainer.") and command != "trainer.pairs":
        words = [*words, "--seeds.prompts", "prompts.jsonl"]
        if command == "trainer.loop":
            words += ["--iterations", "1", "--candidates.prompts", "2", "--eval.prompts", "2"]
        else:
            words += ["--preferences.prompts", "4", "--unlabelled.prompts", "4", "--eval.prompts", "4"]
    ran(command, *words, "--json")
    assert json.loads(capsys.readouterr().out)


TAKEN = ("--out", "checkpoints/step-1")
EXISTS = "checkpoints/step-1 exists; give another --out, or --fresh to set it aside"
ITSELF = ("--out", "tiny", "--fresh")
READ = "--fresh would set aside tiny, which the training reads; give another --out"
REFUSED = [
    *((f"trainer.{name}", ["chats.jsonl", *LOCAL, *ITSELF], READ) for name in ("sft", "ift")),
    *(
        (f"trainer.{name}", ["pairs.jsonl", *LOCAL, *ITSELF], READ)
        for name in ("dpo", "orpo", "simpo", "kto", "reward_model")
    ),
    *((f"trainer.{name}", ["prompts.jsonl", *LOCAL, *REWARDED, *ITSELF], READ) for name in ("ppo", "grpo")),
    ("trainer.sft", ["chats.jsonl", *LOCAL, *TAKEN], EXISTS),
    ("trainer.dpo", ["pairs.jsonl", *LOCAL, *TAKEN], EXISTS),
    ("trainer.reward_model", ["pairs.jsonl", *LOCAL, *TAKEN], EXISTS),
    ("trainer.ppo", ["prompts.jsonl", *LOCAL, *REWARDED, *TAKEN], EXISTS),
    ("trainer.grpo", ["prompts.jsonl", *LOCAL, *REWARDED, *TAKEN], EXISTS),
    ("judges.serve", [*SERVED, "--host", "0.0.0.0"], "--host 0.0.0.0: other machines can call it, so it needs a key"),
    ("judges.serve", [*SERVED, "--pair-rubric", "additive"], "--pair-rubric additive: it scores one answer"),
    ("judges.serve", [*SERVED, "--judge", "tiny", "--judge", "gpt-5", "--corpus", "c.jsonl"], "a panel has no tools"),
    ("trainer.eft", ["ranked.jsonl", *SERVED, "--read", "decisions"], "no model learns to judge from decisions"),
    ("trainer.loop", ["--model", "tiny", "--judge.read", "decisions"], "judged in this process"),
    ("judges.score", ["answers.jsonl", *LOCAL, *DECISIONS], "--read decisions asks a server's decision endpoint"),
    ("judges.score", ["nope.jsonl", *SERVED], "nope.jsonl: no such file"),
    ("judges.score", ["answers.jsonl", *SERVED, "--rubric", "nope"], "no rubric 'nope'"),
    ("judges.score", ["answers.jsonl", *SERVED, "--rubric", "nope.toml"], "no rubric 'nope.toml'"),
    ("judges.score", ["answers.jsonl", *SERVED, "--prices", "nope.toml"], "nope.toml: no such file"),
    ("judges.score", ["answers.jsonl", *SERVED, *TEXT, "--corpus", "nope"], "nope: no such"),
    ("judges.score", ["answers.jsonl", *SERVED, "--import-batch", "nope.jsonl"], "nope.jsonl: no such file"),
    ("judges.score", ["answers.jsonl", *SERVED, "--judge", "tiny", "--judge", "nope.toml"], "nope.toml"),
    ("judges.compare", ["pairs.jsonl", "nope.jsonl", *SERVED], "nope.jsonl: no such file"),
    ("judges.compare", ["pairs.jsonl", *SERVED, "--import-batch", "nope.jsonl"], "nope.jsonl: no such file"),
    ("judges.cluster", ["answers.jsonl", "--rewards", "nope.jsonl"], "nope.jsonl: no such file"),
    ("judges.calibrate", ["labelled.jsonl", "--verdicts", "nope.jsonl"], "nope.jsonl: no such file"),
    ("judges.calibrate", ["labelled.jsonl", "--verdicts", "verdicts.jsonl", "--test", "nope"], "nope: no such file"),
    ("judges.calibrate", ["labelled.jsonl", "--rubric", "pairwise", *SERVED, "--test", "nope"], "nope: no such file"),
    ("judges.best_of", ["answers.jsonl", "--reward", "nope"], "nope: no such folder"),
    ("judges.best_of", ["answers.jsonl", "--reward", "tiny"], "tiny: not a reward model"),
    ("judges.best_of", ["answers.jsonl", "--model", "nope"], "no model 'nope'"),
    ("judges.attacks", ["--model", "nope"], "no model 'nope'"),
    ("trainer.dpo", ["pairs.jsonl", *LOCAL, "--reference", "nope"], "no model 'nope'"),
    ("trainer.dpo", ["pairs.jsonl", *LOCAL, "--batch-size", "3"], "--batch-size .* must be a multiple"),
    ("trainer.dpo", ["pairs.jsonl", *LOCAL, "--labels", "soft"], "have no confidence"),
    ("trainer.sft", ["chats.jsonl", *LOCAL, "--batch-size", "3"], "--batch-size .* must be a multiple"),
    *(
        (f"trainer.{name}", [*file, *LOCAL, "--validation-share", "0.3"], "1 prompt: too few to hold some out; give")
        for name, file in (
            *((name, ["chats.jsonl"]) for name in ("sft", "ift")),
            *((name, ["pairs.jsonl", "--limit", "1"]) for name in ("dpo", "orpo", "simpo", "kto")),
            ("reward_model", ["pairs.jsonl", "--limit", "1", "--held-out-share", "0"]),
        )
    ),
    *(
        (f"trainer.{name}", ["pairs.jsonl", *LOCAL, *LAYERS, *more], "--lora.target-modules nope: not a linear layer")
        for name, more in (
            *((name, ()) for name in ("sft", "ift", "dpo", "orpo", "simpo", "kto", "reward_model")),
            ("ppo", REWARDED),
            ("grpo", (*REWARDED, "--batch-size", "8")),
        )
    ),
    ("trainer.reward_model", ["pairs.jsonl", *LOCAL, "--samples", "nope.jsonl"], "nope.jsonl: no such file"),
    ("trainer.ppo", ["prompts.jsonl", *LOCAL, "--reward", "nope"], "--reward nope: not a folder"),
    ("trainer.ppo", ["prompts.jsonl", *LOCAL, "--reward", "tiny"], "tiny: not a reward model"),
    ("trainer.ppo", ["prompts.jsonl", *LOCAL, "--reward", "nope:f"], "the module cannot be imported"),
    ("trainer.grpo", ["prompts.jsonl", *LOCAL, "--reward-model", "tiny"], "tiny: not a reward model"),
    ("trainer.grpo", ["prompts.jsonl", *LOCAL, "--judge", "tiny", "--rubric", "nope"], "no rubric 'nope'"),
    ("trainer.early_stop", ["checkpoints", "--prompts", "prompts.jsonl", "--model", "nope"], "no model 'nope'"),
    ("trainer.eft", ["ranked.jsonl", "--model", "nope"], "no model 'nope'"),
    ("trainer.prompts", ["prompts.jsonl", *SERVED, "--against", "nope.jsonl"], "nope.jsonl: no such file"),
    ("trainer.prompts", ["prompts.jsonl", "--model", "nope"], "no model 'nope'"),
    ("trainer.pairs", ["judged.jsonl", "--votes", "nope.jsonl"], "nope.jsonl: no such file"),
    ("trainer.pairs", ["judged.jsonl", "--second-judge", "nope.jsonl"], "nope.jsonl: no such file"),
    ("trainer.loop", ["--model", "tiny", "--pairs.votes", "nope.jsonl"], "nope.jsonl: no such file"),
    ("trainer.loop", ["--model", "nope"], "no model 'nope'"),
    ("trainer.loop", [*LOCAL, *LAYERS], "--lora.target-modules nope: not a linear layer"),
    ("trainer.loop", ["--model", "tiny", "--judge.rubric", "nope"], "no rubric 'nope'"),
    ("trainer.loop", ["--model", "tiny", "--eval.rubric", "nope"], "no rubric 'nope'"),
    ("trainer.loop", ["--model", "tiny", "--evidence.corpus", "nope"], "nope: no such"),
    ("trainer.loop", ["--model", "tiny", "--monitors.labelled", "nope.jsonl"], "nope.jsonl: no such file"),
    ("trainer.rlp", ["--model", "nope"], "no model 'nope'"),
    ("trainer.rlp", [*LOCAL, *LAYERS], "--lora.target-modules nope: not a linear layer"),
    ("trainer.rlp", [*LOCAL, "--ppo.optim", "nope"], "^--ppo.optim nope: no such optimizer"),
    ("trainer.rlp", [*LOCAL, "--ppo.step-batch-size", "3"], "--ppo.rollout-batch-size .* of --ppo.step-batch-size"),
    ("trainer.rlp", [*LOCAL, "--ppo.rollout-engine", "vllm", *LAYERS], "leave out --ppo.rollout-engine, or --lora.r"),
    ("trainer.rlp", [*LOCAL, "--reward.patience", "2"], "--reward.patience is .*; give --reward.validation-share"),
    ("trainer.rlp", ["--model", "tiny", "--preferences.file", "nope.jsonl"], "nope.jsonl: no such file"),
    ("trainer.rlp", ["--model", "tiny", "--annotator.engine.model", "nope"], "no model 'nope'"),
    ("evals.reward_model", ["ranked.jsonl", "--judgments", "nope.jsonl"], "nope.jsonl: no such file"),
    ("evals.reward_model", ["ranked.jsonl", "--model", "nope"], "no model 'nope'"),
    ("evals.alpaca", ["--prompts", "prompts.jsonl", "--reference", "base.jsonl", "--model", "nope"], "no model 'nope'"),
    ("evals.alpaca", ["--annotations", "nope.json"], "nope.json: no such file"),
    ("evals.head_to_head", ["one.jsonl", "nope", "--judge-model", "tiny"], "no model 'nope'"),
    ("evals.head_to_head", ["one.jsonl", "two.jsonl", "--judge-model", "nope"], "no model 'nope'"),
    ("evals.head_to_head", ["one.jsonl", "two.jsonl", *OPENAI], "name its model there with --judge-model"),
]


@pytest.mark.parametrize(("command", "words", "message"), REFUSED, ids=[f"{a} {' '.join(b)}" for a, b, _ in REFUSED])
def test_a_dry_run_refuses_what_the_command_would(command: str, words: list[str], message: str) -> None:
    write("base.jsonl", {"prompt": "What is the number 3 times two?", "response": "6", "model": "base"})
    with pytest.raises(InputError, match=message):
        ran(command, *words)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("command", "file", "n"), [("judges.score", "answers.jsonl", 8), ("judges.compare", "pairs.jsonl", 8)]
)
def test_a_batch_is_written_and_read_without_a_key_and_asking_needs_one(
    command: str, file: str, n: int, capsys: pytest.CaptureFixture[str]
) -> None:
    module = command_at(command)
    words = [file, *SERVED, *TEXT, "--samples", "1", "--out", "out.jsonl", "--json"]
    module.main(parse(module.Config, [*words, "--export-batch", "batch.jsonl"], command))
    assert json.loads(capsys.readouterr().out) == {"calls": n, "batch": "batch.jsonl"}
    calls = [json.loads(line) for line in Path("batch.jsonl").read_text().splitlines()]
    reply = "Score: 4" if command == "judges.score" else "Better: A"
    body = {"choices": [{"message": {"content": reply}, "finish_reason": "stop"}]}
    write(
        "reply.jsonl",
        *({"custom_id": one["custom_id"], "response": {"status_code": 200, "body": body}} for one in calls),
    )
    module.main(parse(module.Config, [*words, "--import-batch", "reply.jsonl"], command))
    assert json.loads(capsys.readouterr().out)["out"] == "out.jsonl"
    with pytest.raises(InputError, match="no key for the OpenAI API: set OPENAI_API_KEY"):
        module.main(parse(module.Config, [*words, "--fresh"], command))
