import gzip
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from lm_eval.api.instance import Instance

from console.command import parse
from console.errors import InputError, JudgeError
from console.ranges import check_command
from evals.open_llm.__main__ import main
from evals.open_llm.harness import Asking, Messages, Replies, Score, ask, caching, load_model, score
from evals.open_llm.ifeval import results
from evals.open_llm.local import read_split
from evals.open_llm.options import Config
from evals.open_llm.report import PAPERS_MEAN, papers_mean, write_report
from evals.open_llm.task import build, files_of, read_task, task_names
from judges.tools.constraints.checking import check_constraints
from records.fields.constraints import constraints_in
from records.files import BadRows

ASKING = Asking(limit=None, chat=False, seed=0)


def item(kind: str, n: int) -> dict[str, Any]:
    """A made-up row as the files have it; ARC's and WinoGrande's in LLM-Adapters' wording."""
    match kind:
        case "arc":
            ask_, choices = f"Please choose the correct answer to the question: What is {n} and {n}?", (n, 2 * n, n * n)
            listed = " ".join(f"Answer{i}: about {text}" for i, text in enumerate(choices, 1))
            return {"instruction": f"{ask_}\n\n{listed}\n\nAnswer format: answer1/answer2/answer3", "answer": "answer2"}
        case "winogrande":
            text = f"Please fill in the blank of the given sentence: Box {n} is in the house because _ is large."
            return {"instruction": f"{text}\n\nOption1: box Option2: house Answer format: 1/2", "answer": "option2"}
        case "gsm8k":
            return {"question": f"Ann has {n} pens and gets {n}. How many?", "answer": f"Twice.\n#### {2 * n}"}
        case "truthfulqa":
            return {"question": f"Is {n} odd?", "mc1_targets": {"Yes": 1, "No": 0}, "mc2_targets": {"Yes": 1, "No": 0}}
        case "ifeval":
            kwargs: list[dict[str, Any]] = [{}, {"keyword": "pen", "relation": "less than", "frequency": n}]
            ids = ["punctuation:no_comma", "keywords:frequency"]
            return {"key": n, "prompt": f"Tell {n} tales.", "instruction_id_list": ids, "kwargs": kwargs}
    subject = ("anatomy", "astronomy")[n % 3 == 0]
    return {"subject": subject, "question": f"{n}?", "choices": [str(n + i) for i in range(4)], "answer": n % 4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Few rows of every task, under the names and in the shapes of other people's copies."""
    root = tmp_path_factory.mktemp("data")

    def write(path: str, kind: str, numbers: range) -> None:
        rows = [item(kind, n) for n in numbers]
        text = json.dumps(rows) if ".jsonl" not in path else "".join(json.dumps(row) + "\n" for row in rows)
        (root / path).parent.mkdir(exist_ok=True)
        data = text.encode()
        (root / path).write_bytes(gzip.compress(data) if path.endswith(".gz") else data)

    write("llm-adapters/ARC-Challenge_train.json.gz", "arc", range(20, 24))
    write("llm-adapters/ARC-Challenge_test.json.gz", "arc", range(3, 7))
    write("llm-adapters/winogrande_test.json.gz", "winogrande", range(4))
    write("gsm8k/train.jsonl.gz", "gsm8k", range(20, 24))
    write("gsm8k/test.jsonl.gz", "gsm8k", range(2))
    write("truthfulqa/mc_task.json.gz", "truthfulqa", range(3))
    write("ifeval/input_data.jsonl", "ifeval", range(1, 4))
    write("mmlu/mmlu_dev.jsonl", "mmlu", range(20, 26))
    write("mmlu/mmlu_test.jsonl.gz", "mmlu", range(7))
    return root


@pytest.fixture(scope="module")
def asked(folder: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    model, cache = load_model(tiny_model, 8), tmp_path_factory.mktemp("cache") / "replies"

    def asked(name: str, shots: int, asking: Asking = ASKING, **changes: Any) -> tuple[Score, dict[str, Any]]:
        task = replace(read_task(name), **changes)
        with Messages():
            built = build(task, files_of(task, folder), shots, BadRows(strict=True))
        return ask(task, built, model, asking, cache)

    return asked


def likelihood(folder: Path, prompt: str, text: str) -> float:
    """The log-probability of `text` after `prompt`, by one forward pass over both."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    before, ids = len(tokenizer(prompt).input_ids), torch.tensor([tokenizer(prompt + text).input_ids])
    with torch.no_grad():
        logprobs = model(ids).logits.log_softmax(-1)
    return sum(logprobs[0, t - 1, ids[0, t]].item() for t in range(before, ids.shape[1]))


def test_arcs_number_is_that_of_the_likelihoods(asked: Callable[..., Any], tiny_model: Path) -> None:
    one, _ = asked("arc_challenge", 0)
    right, right_a_char = [], []
    for n in range(3, 7):
        texts = [f"about {text}" for text in (n, 2 * n, n * n)]
        found = [likelihood(tiny_model, f"Question: What is {n} and {n}?\nAnswer:", f" {text}") for text in texts]
        right.append(max(range(3), key=lambda i: found[i]) == 1)
        right_a_char.append(max(range(3), key=lambda i: found[i] / len(texts[i])) == 1)
    assert one.metrics["acc,none"] == sum(right) / 4 and one.value == sum(right_a_char) / 4
    assert (one.n, one.shots, one.no_answer, one.reason) == (4, 0, [], None)
    mean = sum(right) / 4
    assert one.metrics["acc_stderr,none"] == pytest.approx((mean * (1 - mean) / 3) ** 0.5)


def test_mmlu_counts_every_question_alike(asked: Callable[..., Any]) -> None:
    one, found = asked("mmlu", 1, stock="mmlu/default/mmlu_a[ns]*.yaml")
    samples = [sample["acc"] for some in found["samples"].values() for sample in some]
    assert set(found["samples"]) == {"mmlu_anatomy", "mmlu_astronomy"} and one.n == len(samples) == 7
    assert one.value == pytest.approx(sum(samples) / 7)


def test_a_sentence_is_no_example_of_itself_where_there_is_no_training_data(asked: Callable[..., Any]) -> None:
    _, found = asked("winogrande", 3)
    prompts = [sample["arguments"][0][0] for sample in found["samples"]["winogrande"]]
    assert all(len(set(re.findall(r"Box \d", prompt))) == len(re.findall(r"Box \d", prompt)) == 4 for prompt in prompts)


def test_a_reply_without_an_answer_is_named(asked: Callable[..., Any]) -> None:
    config = {"generation_kwargs": {"until": ["Question:"], "max_gen_toks": 8, "do_sample": False}}
    one, found = asked("gsm8k", 1, replace(ASKING, limit=1, chat=True), config=config)
    assert one.no_answer == ["gsm8k 0"] and one.value == 0.0 and one.n == 1 and one.stderr is None
    prompt = found["samples"]["gsm8k"][0]["arguments"][0][0]
    assert prompt.count("<|im_start|>user") == 2 and prompt.endswith("<|im_start|>assistant\n")


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        ("B", "B"), (" C. about 4", "C"), ("(D)", "D"), ("The answer is A.", "A"), ("Answer: B", "B"), ("**E**", "E"),
        ("A planet turns", None), ("b", None), ("I think C", None), ("", None), ("F", None), ("Bees", None),
    ],
)  # fmt: skip
def test_a_letter_is_read_only_where_it_is_the_answer(reply: str, letter: str | None) -> None:
    pattern = read_task("arc_gen").config["filter_list"][0]["filter"][0]["regex_pattern"]
    assert re.findall(pattern, reply) == ([letter] if letter else [])


def test_ifevals_numbers_are_those_of_the_constraints_tool(asked: Callable[..., Any]) -> None:
    short = {"generation_kwargs": {"until": [], "max_gen_toks": 8, "do_sample": False}}
    one, found = asked("ifeval", 0, config=read_task("ifeval").config | short)
    samples = found["samples"]["ifeval"]
    assert [sample["arguments"][0][0] for sample in samples] == [f"Tell {n} tales." for n in range(1, 4)]
    for sample in samples:
        checked = check_constraints(sample["doc"]["prompt"], sample["resps"][0][0], constraints_in(sample["doc"]) or [])
        assert sample["inst_level_strict_acc"] == [constraint.strict == "followed" for constraint in checked]
        assert sample["prompt_level_loose_acc"] == all(constraint.loose == "followed" for constraint in checked)
    assert one.value == sum(sample["prompt_level_strict_acc"] for sample in samples) / 3
    assert set(one.metrics) > {"inst_level_strict_acc,none", "prompt_level_loose_acc,none"}


def test_ifeval_counts_a_reply_that_follows_as_followed() -> None:
    doc = item("ifeval", 2)
    assert results(doc, ["One pen."]) == {
        "prompt_level_strict_acc": True,
        "inst_level_strict_acc": [True, True],
        "prompt_level_loose_acc": True,
        "inst_level_loose_acc": [True, True],
    }
    assert results(doc, ["A pen, a pen."])["inst_level_strict_acc"] == [False, False]


def test_an_ifeval_row_with_wrong_settings_is_bad_and_named(tmp_path: Path) -> None:
    path, bad = tmp_path / "test.json", BadRows(quiet=True)
    wrong = item("ifeval", 3) | {"kwargs": [{}, {"keyword": "pen", "relation": "at most", "frequency": 1}]}
    uneven = item("ifeval", 3) | {"kwargs": [{}]}
    path.write_text(json.dumps([item("ifeval", 3), wrong, uneven, {"prompt": "Tell."}]))
    assert len(read_split([path], "ifeval", bad)) == 1 and bad.n_bad == 3
    with pytest.raises(InputError, match=r"row 2: not a row of ifeval: SettingsError: relation must be one of"):
        read_split([path], "ifeval", BadRows(strict=True))


def test_arc_gen_asks_for_the_letter(asked: Callable[..., Any]) -> None:
    one, found = asked("arc_gen", 1, replace(ASKING, limit=1))
    sample = found["samples"]["arc_gen"][0]
    assert sample["target"] == "B" and one.n == 1
    assert sample["arguments"][0][0].endswith(
        "What is 3 and 3?\nA. about 3\nB. about 6\nC. about 9\nReply with the letter of the right answer.\nAnswer:"
    )


def test_the_command_writes_a_record_and_goes_on_from_its_replies(
    folder: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from lm_eval.models.huggingface import HFLM

    flags = ["--model", str(tiny_model), "--data-dir", str(folder), "--tasks", "truthfulqa_mc2", "arc_challenge"]
    config = parse(Config, [*flags, "--limit", "2", "--shots", "1", "--json", "--out", str(tmp_path)], "open_llm")
    main(config)
    first = capsys.readouterr()
    record = json.loads(first.out)
    assert record == json.loads((tmp_path / "results.json").read_text())
    assert [(one["task"], one["n"], one["shots"]) for one in record["tasks"]] == [
        ("arc_challenge", 2, 1),
        ("truthfulqa_mc2", 2, 0),
    ]
    assert record["tasks"][1]["stderr"] is not None and record["mean"] is None
    assert len((tmp_path / "samples_truthfulqa_mc2.jsonl").read_text().splitlines()) == 2

    def asked_again(*_: object, **__: object) -> None:
        raise AssertionError("the model was asked what it had answered")

    monkeypatch.setattr(HFLM, "_model_call", asked_again)
    main(config)
    assert json.loads(capsys.readouterr().out) == record


@pytest.mark.usefixtures("wide_screen")
def test_what_is_not_as_it_should_be_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = [
        Score("gsm8k", "m", 0.25, 0.1, 4, 5, no_answer=[f"gsm8k {n}" for n in range(4)], n_cut=1),
        Score("mmlu", "m", reason="no data"),
    ]
    write_report(Config(out=tmp_path), scores)
    found = capsys.readouterr()
    assert "4 replies have no readable answer and count as wrong: gsm8k 0, gsm8k 1, gsm8k 2 ..." in found.err
    assert "gsm8k: 1 prompts are longer than" in found.err and "mmlu: no score: no data" in found.err
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in found.out.splitlines()[2:4]]
    assert rows == [
        ["gsm8k", "m", "5", "25.00", "10.00", "25.0 ± 19.6", "4", "4", "1"],
        ["mmlu", "m", *"----", "0", "0", "0"],
    ]
    with pytest.raises(JudgeError, match="no score for gsm8k"):
        write_report(Config(out=tmp_path), [replace(scores[0], value=None)])


def test_the_papers_mean_is_over_its_five_tasks_asked_whole() -> None:
    scores = [Score(task=name, metric="m", value=0.1 * n) for n, name in enumerate(sorted(task_names()))]
    five = [one.value or 0 for one in scores if one.task in PAPERS_MEAN]
    assert len(PAPERS_MEAN) == 5 and papers_mean(scores, Config()) == pytest.approx(sum(five) / 5)
    assert papers_mean(scores[1:], Config()) is None and papers_mean(scores, Config(limit=3)) is None


def test_a_number_that_is_none_has_a_reason() -> None:
    found = {"results": {"gsm8k": {"exact_match,strict-match": float("nan")}}, "samples": {}}
    one = score(read_task("gsm8k"), found | {"n-samples": {"gsm8k": {"effective": 2}}, "n-shot": {"gsm8k": 5}})
    assert one.value is None and one.reason == "exact_match,strict-match is not a number"


def test_tasks_without_data_are_named_and_those_asked_for_are_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gsm8k").symlink_to(folder / "gsm8k")
    main(Config(data_dir=tmp_path, dry_run=True))
    out = capsys.readouterr().out
    assert "gsm8k: exact_match,strict-match, 5 shots, from" in out
    assert f"mmlu: not asked: mmlu: {tmp_path} has no dev data: none of mmlu/all/dev-*.parquet" in out
    with pytest.raises(InputError, match="winogrande: .* has no validation data"):
        main(Config(data_dir=tmp_path, tasks=("gsm8k", "winogrande")))
    with pytest.raises(InputError, match="has the data of no task"):
        main(Config(data_dir=tmp_path / "gsm8k"))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (Config(limit=0), "--limit must be at least 1, not 0"),
        (Config(shots=-1), "--shots must be at least 0, not -1"),
        (Config(data_dir=Path("nowhere")), "--data-dir nowhere: no such folder"),
    ],
)
def test_a_wrong_flag_is_refused_before_anything_is_read(config: Config, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        check_command(config)
        main(config)


def test_the_hubs_own_files_come_first_and_keep_their_fields(folder: Path, tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    row = {"id": "x", "question": "Q?", "choices": {"text": ["a", "b"], "label": ["1", "2"]}, "answerKey": "2"}
    (tmp_path / "llm-adapters").symlink_to(folder / "llm-adapters")
    (tmp_path / "ai2_arc" / "ARC-Challenge").mkdir(parents=True)
    parquet.write_table(pyarrow.Table.from_pylist([row]), tmp_path / "ai2_arc" / "ARC-Challenge" / "test-00000.parquet")
    files = files_of(read_task("arc_challenge"), tmp_path)
    assert [path.suffix for path in files["train"] + files["test"]] == [".gz", ".parquet"]
    assert read_split(files["test"], "arc", BadRows(strict=True)) == [
        {name: row[name] for name in ("question", "choices", "answerKey")}
    ]


def test_a_row_in_another_wording_is_bad_and_named(tmp_path: Path) -> None:
    path, bad = tmp_path / "test.json", BadRows(quiet=True)
    path.write_text(json.dumps([item("arc", 3), {"instruction": "Which?", "answer": "answer1"}, {"answer": "x"}]))
    assert len(read_split([path], "arc", bad)) == 1 and bad.n_bad == 2
    with pytest.raises(
        InputError, match=r"test\.json: row 2: not a row of arc: ValueError: unknown wording: 'Which\?'"
    ):
        read_split([path], "arc", BadRows(strict=True))


def test_real_copies_are_read_whole(data: Path) -> None:
    rows = {}
    splits = {"arc_challenge": "test", "winogrande": "validation", "truthfulqa_mc2": "validation", "ifeval": "train"}
    splits |= {"arc_easy": "test", "openbookqa": "test", "piqa": "validation", "social_iqa": "validation"}
    splits["nq_open"] = "validation"
    for name, split in splits.items():
        task = read_task(name)
        rows[name] = read_split(files_of(task, data)[split], task.local["rows"], BadRows(strict=True))
    assert [len(some) for some in rows.values()] == [1172, 1267, 817, 541, 2376, 500, 1838, 1954, 3610]
    assert rows["social_iqa"][0]["context"].startswith("Tracy didn't go home") and rows["social_iqa"][0]["label"] == "3"
    assert rows["piqa"][1]["sol1"] == "replace drawer with bobby pin " and rows["piqa"][1]["label"] == 1
    first = rows["arc_challenge"][0]
    assert first["question"].endswith("most likely effect of this increase in rotation?") and first["answerKey"] == "C"
    assert first["choices"]["text"][2] == "Planetary days will become shorter."
    assert {row["sentence"].count("_") for row in rows["winogrande"]} == {1}
    assert rows["truthfulqa_mc2"][0]["mc1_targets"]["labels"] == [1, 0, 0, 0]


def test_lm_evals_bars_are_off_if_stderr_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    from lm_eval.models import huggingface

    bar = huggingface.tqdm
    said = io.StringIO()
    monkeypatch.setattr("sys.stderr", said)
    with Messages():
        list(huggingface.tqdm(range(3), disable=False, desc="Running loglikelihood requests"))
    assert said.getvalue() == "" and huggingface.tqdm is bar


class Written(dict[str, Any]):
    """A store that counts what is written to it and looked up in it."""

    def __init__(self, rows: dict[str, Any]) -> None:
        super().__init__(rows)
        self.writes: list[str] = []
        self.lookups = 0

    def __setitem__(self, key: str, value: Any) -> None:
        self.writes.append(key)
        super().__setitem__(key, value)

    def __contains__(self, key: object) -> bool:
        self.lookups += 1
        return super().__contains__(key)


def test_a_reply_is_written_once_and_looked_up_in_memory() -> None:
    stored = Written({"there": 1.0})
    replies = Replies(stored)
    assert "there" in replies and "new" not in replies and replies["there"] == 1.0 and stored.lookups == 0
    for value in (2.0, 2.0, 3.0):  # as it comes, after all others, and another one
        replies["new"] = value
    assert stored.writes == ["new", "new"] and stored == {"there": 1.0, "new": 3.0}


def test_replies_are_on_disk_as_they_come_and_are_not_asked_for_again(tmp_path: Path) -> None:
    requests = [Instance("loglikelihood", {}, (f"question {n}", "yes"), n) for n in range(3)]
    asked: list[str] = []

    class Fake:
        cache_hook: Any = None

        def set_cache_hook(self, hook: Any) -> None:
            self.cache_hook = hook

        def loglikelihood(self, some: list[Instance]) -> list[Any]:
            for one in some:
                asked.append(one.args[0])
                if len(asked) == 3:
                    raise KeyboardInterrupt
                self.cache_hook.add_partial("loglikelihood", one.args, (-1.0, True))
            return [(-1.0, True)] * len(some)

    first = caching(cast(Any, Fake()), tmp_path / "replies")
    with pytest.raises(KeyboardInterrupt):
        first.loglikelihood(requests)
    assert list(caching(cast(Any, Fake()), tmp_path / "replies").loglikelihood(requests)) == [(-1.0, True)] * 3
    assert asked == ["question 0", "question 1", "question 2", "question 2"]
