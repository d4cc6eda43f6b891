"""What a head-to-head compares: models, files of answers and their prompts."""

from pathlib import Path

import pytest

from console.command import parse
from console.errors import InputError
from evals.head_to_head.__main__ import main
from evals.head_to_head.options import Config
from records import Comparison, read_rows
from tests.evals.head_to_head.compared import Engines, Run, Write, answers, pair, result


def test_files_of_answers_are_matched_by_their_prompts(
    compare: Run, write: Write, engines: Engines, capsys: pytest.CaptureFixture[str]
) -> None:
    a = write("a.jsonl", answers("base", ["long answer"] * 5)[::-1])
    b = write("b.jsonl", [*answers("tuned", ["short"] * 4), {"prompt": "other", "response": "x", "model": "tuned"}])
    folder = compare(str(a), str(b))
    found = pair(folder, "base", "tuned")
    assert (found["n"], found["wins"]) == (4, 4)
    assert engines.n_asked() == {"judge": 2 * 4}
    said = capsys.readouterr().err
    assert f"{b} has no answer to 1 of 6 prompts: 'question 4'" in said
    assert f"{a} has no answer to 1 of 6 prompts: 'other'" in said
    assert result(folder)["n_left_out"] == {"base": 1, "tuned": 1}


def test_a_model_answers_the_prompts_of_a_file(compare: Run, write: Write, engines: Engines) -> None:
    a = write("a.jsonl", answers("base", ["short"] * 3))
    found = pair(compare("m9", str(a)), "m9", "base")
    assert (found["n"], found["wins"]) == (3, 3) and engines.n_asked()["m9"] == 3


def test_files_of_one_models_name_are_told_apart_by_their_own_names(compare: Run, write: Write) -> None:
    a, b = (write(f"{name}.jsonl", answers("m", [name * k for k in (1, 2)])) for name in ("one", "four"))
    assert [row["name"] for row in result(compare(str(a), str(b)))["models"]] == ["m (one)", "m (four)"]


def test_categories_have_figures_of_their_own(compare: Run, write: Write) -> None:
    kinds = ["maths", "maths", "poems", "poems"]
    a = write("a.jsonl", [row | {"category": kind} for row, kind in zip(answers("a", ["xx"] * 4), kinds, strict=True)])
    b = write("b.jsonl", answers("b", ["x", "x", "xxx", "x"]))
    found = pair(compare(str(a), str(b)), "a", "b")["by_category"]
    assert {name: (row["n"], row["wins"], row["losses"]) for name, row in found.items()} == {
        "maths": (2, 2, 0),
        "poems": (2, 1, 1),
    }


def test_a_category_of_each_prompt_alone_is_none(compare: Run, write: Write) -> None:
    rows = [row | {"source": f"http://place/{n}"} for n, row in enumerate(answers("a", ["xx"] * 4))]
    a, b = write("a.jsonl", rows), write("b.jsonl", answers("b", ["x"] * 4))
    assert pair(compare(str(a), str(b)), "a", "b")["by_category"] == {}


def test_limit_takes_the_first_prompts(compare: Run) -> None:
    assert pair(compare("m9", "m1", "--limit", "2"), "m9", "m1")["n"] == 2


def test_the_held_out_prompts_of_a_run_are_the_default(engines: Engines, write: Write, tmp_path: Path) -> None:
    (tmp_path / "runs/demo/eval").mkdir(parents=True)
    (tmp_path / "runs/demo/run.toml").write_text("")
    write("runs/demo/eval/prompts.jsonl", [{"prompt": "held out"}])
    main(parse(Config, ["m9", "m1", "--judge-model", "judge"], "evals.head_to_head"))
    folder = tmp_path / "runs/demo/evals/head_to_head"
    assert result(folder)["prompts"] == "runs/demo/eval/prompts.jsonl" and pair(folder, "m9", "m1")["n"] == 1


def test_a_run_alone_compares_all_of_its_iterations(engines: Engines, write: Write, tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"runs/demo/iter{number}/model").mkdir(parents=True)
    (tmp_path / "runs/demo/run.toml").write_text("")
    (tmp_path / "runs/demo/eval").mkdir()
    write("runs/demo/eval/prompts.jsonl", [{"prompt": "held out"}, {"prompt": "held out too"}])
    main(parse(Config, ["--run", "demo", "--judge-model", "judge"], "evals.head_to_head"))
    found = result(tmp_path / "runs/demo/evals/head_to_head")
    assert [row["name"] for row in found["models"]] == ["iter0", "iter1", "iter2"] and len(found["pairs"]) == 3


BAD = [
    ([], "two or more models or files of answers are compared, and none is named"),
    (["m1"], "there is only m1"),
    (["m1", "m1"], "m1 is named 2 times"),
    (["m1", "a.jsonl", "./a.jsonl"], "a.jsonl is named 2 times"),
    (["m1", "nope.jsonl"], "nope.jsonl: no such file"),
    (["m1", "none.jsonl"], "none.jsonl"),
    (["m1", "empty.jsonl"], "empty.jsonl: all answers are empty"),
    (["m1", "two.jsonl"], r"two.jsonl: answers of 2 models \(x, y\); give one file for each"),
    (["a.jsonl", "other.jsonl"], "no prompt of a.jsonl, other.jsonl has an answer in each of a.jsonl, other.jsonl"),
    (["m1", "m2", "--prompts", "nope.jsonl"], "nope.jsonl: no such file"),
    (["m1", "m2"], "no prompts: give --prompts FILE"),
    (["m1", "m2", "--limit", "0"], "--limit must be at least 1"),
    (["m1", "\0.jsonl"], "holds a character that is not text"),
    (["m1", f"{'x' * 300}.jsonl"], "no such file"),
    (["m1", "folder.jsonl"], "folder.jsonl: is a folder"),
    (["m1", "nope.toml"], "nope.toml"),
    (["m1", "a.jsonl", "--judge-rubric", "additive"], "--judge-rubric additive scores one answer"),
    (["a.jsonl", "m1", "--judge-base-url", "http://127.0.0.1:9/v1"], "name its model there with --judge-model"),
]


@pytest.mark.parametrize(("words", "message"), BAD, ids=[" ".join(words)[:30] for words, _ in BAD])
def test_bad_input_is_named_before_anything_is_asked(
    engines: Engines, write: Write, words: list[str], message: str
) -> None:
    write("a.jsonl", answers("a", ["x"]))
    write("none.jsonl", [])
    Path("folder.jsonl").mkdir()
    write("empty.jsonl", answers("e", ["", " "]))
    write("two.jsonl", [*answers("x", ["x"]), *answers("y", ["y"])])
    write("other.jsonl", [{"prompt": "another", "response": "x", "model": "o"}])
    with pytest.raises(InputError, match=message):
        main(parse(Config, words, "evals.head_to_head"))
    assert engines.opened == {} and not Path("runs").exists()


@pytest.mark.parametrize("words", [(), ("--dry-run",)], ids=["in earnest", "dry"])
def test_two_names_of_one_model_are_refused_before_anything_is_asked(
    compare: Run, engines: Engines, words: tuple[str, ...]
) -> None:
    engines.digests |= {"m1": "same", "m2": "same"}
    with pytest.raises(InputError, match="m1 and m2 are the same model"):
        compare("m1", "m2", *words)
    assert engines.n_asked() == {"m1": 0, "m2": 0}


def test_empty_answers_are_counted_and_two_empty_ones_have_no_verdict(
    compare: Run, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = write("a.jsonl", answers("a", ["", "", "x"])), write("b.jsonl", answers("b", ["yes", "", "y"]))
    folder = compare(str(a), str(b), "--judge-read", "text", "--min-coverage", "0.5")
    assert pair(folder, "a", "b")["unscored"] == 1
    assert [row["empty"] for row in result(folder)["models"]] == [2, 1]
    assert f"{a}: 2 of 3 answers are empty" in capsys.readouterr().err


def test_repeated_prompts_and_several_answers_count_once(
    compare: Run, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    a = write("a.jsonl", [*answers("a", ["first", "x"]), *answers("a", ["second"])])
    twice = write("twice.jsonl", [{"prompt": f"question {n % 2}"} for n in range(4)])
    folder = compare(str(a), "m9", "--prompts", str(twice))
    assert pair(folder, "a", "m9")["n"] == 2
    said = capsys.readouterr().err
    assert (
        f"{a}: several answers to 1 of 2 prompts, of which the first is taken" in said
        and f"{twice}: 2 of 4 prompts repeat another one" in said
    )


def test_the_order_in_which_files_are_named_changes_nothing(
    engines: Engines, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a = [row | {"id": f"a{n}", "category": "x"} for n, row in enumerate(answers("a", ["long text"] * 4))]
    b = [row | {"id": f"b{n}", "category": "yz"[n % 2]} for n, row in enumerate(answers("b", ["text"] * 4))]
    paths = [
        str(write("a.jsonl", a[:3])),
        str(write("b.jsonl", b[::-1])),
        str(write("c.jsonl", answers("c", ["t"] * 4))),
    ]
    found = []
    for names in (paths, paths[::-1]):
        main(parse(Config, [*names, "--limit", "2", "--judge-model", "judge"], "evals.head_to_head"))
        (folder,) = tmp_path.glob("runs/evals/*")  # one name for both orders
        found.append(result(folder))
        assert [row.prompt for row in read_rows(folder / "comparisons.jsonl", Comparison)] == [
            "question 0",
            "question 1",
        ] * 3
    assert engines.n_asked() == {"judge": 3 * 2 * 2}, "the verdicts of the first time are found again"
    there, back = ({frozenset((row["model"], row["against"])): row for row in one["pairs"]} for one in found)
    for names, row in there.items():
        assert back[names]["wins"] == (row["wins"] if row["model"] == back[names]["model"] else row["losses"])
    assert found[0]["prompts"] == found[1]["prompts"] == ", ".join(paths)


def test_the_folder_of_three_files_is_named_after_all_of_them(engines: Engines, write: Write, tmp_path: Path) -> None:
    paths = [str(write(f"{name}.jsonl", answers(name, [name]))) for name in ("a", "b", "c", "d")]
    for names in (paths[:3], [*paths[:2], paths[3]]):
        main(parse(Config, [*names, "--judge-model", "judge"], "evals.head_to_head"))
    folders = sorted(path.name for path in tmp_path.glob("runs/evals/*"))
    assert [name[:-7] for name in folders] == ["head_to_head-a-b-c", "head_to_head-a-b-d"]


def test_a_category_that_only_one_file_or_a_later_copy_names_counts(compare: Run, write: Write) -> None:
    kinds = ["maths", "maths", "poems", "poems"]
    named = [row | {"category": kind} for row, kind in zip(answers("b", ["x"] * 4), kinds, strict=True)]
    a = write("a.jsonl", [*answers("a", ["xx"] * 4), answers("a", ["xx"])[0] | {"category": "maths"}])
    b = write("b.jsonl", [named[0] | {"category": "poems"}, *named[1:]])
    sizes = {name: row["n"] for name, row in pair(compare(str(a), str(b)), "a", "b")["by_category"].items()}
    assert sizes == {"maths": 2, "poems": 2}, "the first file that names one decides, in the order of their paths"
    prompts = write("prompts.jsonl", [{"prompt": f"question {n}"} for n in range(4)])
    found = pair(compare(str(a), str(b), "--prompts", str(prompts), out="named"), "a", "b")["by_category"]
    assert {name: row["n"] for name, row in found.items()} == sizes


SYSTEM = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "question 0"}]


def test_a_prompt_with_a_system_turn_is_matched_by_its_text_alone_and_that_is_told(
    compare: Run, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = (write(f"{name}.jsonl", answers(name, [name * 2, name])) for name in ("a", "b"))
    prompts = write("prompts.jsonl", [{"prompt": SYSTEM}, {"prompt": "question 1"}])
    folder = compare(str(a), str(b), "--prompts", str(prompts))
    assert pair(folder, "a", "b")["n"] == 2
    assert next(iter(read_rows(folder / "comparisons.jsonl", Comparison))).prompt == SYSTEM
    said = capsys.readouterr().err
    for path in (a, b):
        assert f"{path}: matched by text alone, for lack of the system turn: 1 of 2 prompts" in said


def test_a_text_that_several_prompts_share_answers_none_of_those_with_a_system_turn(
    compare: Run, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = (write(f"{name}.jsonl", answers(name, [name * 2, name])) for name in ("a", "b"))
    other = [{"role": "system", "content": "Be rude."}, SYSTEM[1]]
    prompts = write("prompts.jsonl", [{"prompt": SYSTEM}, {"prompt": other}, {"prompt": "question 1"}])
    folder = compare(str(a), str(b), "--prompts", str(prompts))
    assert pair(folder, "a", "b")["n"] == 1 and result(folder)["n_left_out"] == {"a": 2, "b": 2}
    said = capsys.readouterr().err
    assert (
        f"{a}: unanswered, because other prompts have the same text, and the file lacks the system turn: 2 of" in said
    )


@pytest.mark.parametrize("both", [False, True])
def test_files_with_and_without_system_turns_are_matched_unless_one_has_a_prompt_in_both_ways(
    compare: Run, write: Write, capsys: pytest.CaptureFixture[str], both: bool
) -> None:
    bare = answers("b", ["short", "x"])
    b = write("b.jsonl", bare)
    rows = [bare[0] | {"prompt": SYSTEM}, bare[1], *(bare[:1] if both else [])]
    a = write("a.jsonl", [row | {"model": "a"} for row in rows])
    folder = compare(str(a), str(b))
    assert pair(folder, "a", "b")["n"] == 2
    assert result(folder)["n_left_out"] == ({"a": 0, "b": 1} if both else {"a": 0, "b": 0})


def test_texts_that_differ_in_their_unicode_normal_form_are_one_prompt(compare: Run, write: Write) -> None:
    a = write("a.jsonl", [{"prompt": "Qu'est-ce qu'un cafe\u0301 ?", "response": "long answer", "model": "a"}])
    b = write("b.jsonl", [{"prompt": "Qu'est-ce qu'un caf\u00e9 ?", "response": "short", "model": "b"}])
    assert pair(compare(str(a), str(b)), "a", "b")["wins"] == 1


@pytest.mark.parametrize("names", [("chosen", "rejected"), ("output_1", "output_2")])
def test_of_a_file_of_pairs_the_first_side_is_compared_and_that_is_told(
    compare: Run, write: Write, capsys: pytest.CaptureFixture[str], names: tuple[str, str]
) -> None:
    rows = [{"prompt": f"question {n}", names[0]: "long answer", names[1]: "no"} for n in range(2)]
    a, b = write("a.jsonl", rows), write("b.jsonl", answers("b", ["short"] * 2))
    found = pair(compare(str(a), str(b)), "a", "b")
    assert (found["n"], found["wins"]) == (2, 2)
    said = capsys.readouterr().err
    assert f"{a}: 2 rows with two answers: '{names[0]}' is taken, and '{names[1]}' is not" in said
    assert "several answers" not in said


def test_files_that_hold_the_same_answers_are_named(
    compare: Run, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b, c = (write(f"{name}.jsonl", answers("m", ["x", text])) for name, text in (("a", "y"), ("b", "y"), ("c", "z")))
    compare(str(a), str(b), str(c))
    said = [line for line in capsys.readouterr().err.splitlines() if "same answers" in line]
    assert said == [f"warning: {a} and {b} hold the same answers: each is compared with itself"]
