"""An upload to the hub: what goes there, and what a user is told if it fails. The hub is scripted."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml  # type: ignore[import-untyped]
from huggingface_hub import CommitInfo
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

from console.command import parse
from console.errors import EngineError, InputError
from evals.report.__main__ import main
from evals.report.options import Config
from records.runs import Run

Make = Callable[..., Run]
PUSH = ("demo", "--push", "me/demo")


class Card(dict[str, Any]):
    card_data: "Card"


class Hub:
    """What the client would do, and what it was asked for."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.repositories: list[tuple[str, bool, bool]] = []
        self.files: dict[str, bytes] = {}

    def model_info(self, name: str) -> Card:
        card = Card()
        card.card_data = Card(license="apache-2.0") if name == "HuggingFaceTB/SmolLM2-135M-Instruct" else Card()
        return card

    def create_repo(self, name: str, *, private: bool, exist_ok: bool) -> None:
        if self.error is not None:
            raise self.error
        self.repositories.append((name, private, exist_ok))

    def upload_folder(self, *, repo_id: str, folder_path: Path, commit_message: str) -> CommitInfo:
        paths = [path for path in Path(folder_path).rglob("*") if path.is_file()]
        self.files = {str(path.relative_to(folder_path)): path.read_bytes() for path in paths}
        url = f"https://huggingface.co/{repo_id}/commit/1"
        return CommitInfo(commit_url=url, commit_message=commit_message, commit_description="", oid="1")


def refused(status: int) -> HfHubHTTPError:
    response = httpx2.Response(status, request=httpx2.Request("POST", "https://huggingface.co/api/repos/create"))
    return HfHubHTTPError(f"{status} for url", response=response)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    hub = Hub()
    monkeypatch.setattr("evals.report.writing.HfApi", lambda **_: hub)
    monkeypatch.setattr("evals.report.push.get_token", lambda: "hf_secret")
    return hub


def save_model(run: Run, number: int, **files: str) -> None:
    run.model(number).mkdir(parents=True, exist_ok=True)
    for name, text in {"model.safetensors": "weights", "config.json": "{}", "training.json": "{}", **files}.items():
        (run.model(number) / name.replace("__", ".")).write_text(text)


def report(*words: str) -> None:
    main(parse(Config, words, "python -m evals.report"))


def front(card: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(card.split("---")[1])
    return loaded


def test_the_model_goes_to_a_private_repository_with_a_card_from_the_ledger(
    make_run: Make, hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run()
    save_model(run, 2, base__json='{"path": "/home/me"}', manifest__json="{}")
    seeds = '[settings.seeds]\nift = "/home/me/answers.jsonl"\nprompts = "org/prompts"\n'
    checks = '[settings.evidence]\ntool = "constraints"\nverify = "share"\n'
    run.config.write_text(run.config.read_text().replace("[versions]", f"{seeds}{checks}[versions]"))
    report(*PUSH)
    assert hub.repositories == [("me/demo", True, False)]
    assert set(hub.files) == {"model.safetensors", "config.json", "training.json", "README.md"}
    card = hub.files["README.md"].decode()
    facts = front(card)
    assert facts["base_model"] == "HuggingFaceTB/SmolLM2-135M-Instruct" and facts["license"] == "apache-2.0"
    assert facts["base_model_relation"] == "finetune" and facts["library_name"] == "transformers"
    assert "50.0 [40.0, 60.0]" in card and "- iter2 from iter1: 8 prompts, 16 responses, 16 judged, 4 pairs" in card
    assert "- Example answers: answers.jsonl\n" in card and "- Prompts: org/prompts\n" in card
    assert "constraints, verify = share. They are the score, and no model judges" in card
    assert "; judge abc123" in card and "The licence of the base model is apache-2.0." in card
    assert "https://huggingface.co/me/demo/commit/1" in capsys.readouterr().out
    report(*PUSH, "--public", "--update", "--licence", "mit", "--iteration", "best")
    assert hub.repositories[1] == ("me/demo", False, True)
    assert front(hub.files["README.md"].decode())["license"] == "mit"


def test_an_earlier_iteration_has_its_own_headline(make_run: Make, hub: Hub) -> None:
    run = make_run()
    save_model(run, 1)
    report(*PUSH, "--iteration", "iter1")
    card = hub.files["README.md"].decode()
    assert "# demo, iter1" in card and "- iter1 does what is asked in" in card
    assert "iter2" not in card and "It was fine-tuned (SFT) on example answers" in card and "DPO" not in card


def test_a_wrong_iteration_is_named_before_the_hub_is_asked(
    make_run: Make, hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unreachable(_: str) -> Card:
        raise httpx2.ConnectError("[Errno -2] Name or service not known")

    save_model(make_run(), 2)
    monkeypatch.setattr(hub, "model_info", unreachable)
    with pytest.raises(InputError, match="--iteration iter9: runs/demo has iter0, iter1, iter2"):
        report(*PUSH, "--iteration", "iter9", "--dry-run")
    assert "licence" not in capsys.readouterr().err
    report(*PUSH, "--dry-run")
    told = capsys.readouterr().err
    assert "because the hub cannot be reached; --licence gives it" in told and "Errno" not in told


def test_an_adapter_names_its_base_on_the_hub(make_run: Make, hub: Hub) -> None:
    run = make_run()
    settings = {"peft_type": "LORA", "base_model_name_or_path": "/cache/smollm2", "r": 8}
    save_model(run, 2, adapter_config__json=json.dumps(settings), adapter_model__safetensors="weights")
    for name in ("config.json", "model.safetensors"):
        (run.model(2) / name).unlink()
    report(*PUSH)
    assert json.loads(hub.files["adapter_config.json"])["base_model_name_or_path"].startswith("HuggingFaceTB/")
    facts = front(hub.files["README.md"].decode())
    assert (facts["base_model_relation"], facts["library_name"]) == ("adapter", "peft") and "lora" in facts["tags"]
    run.config.write_text(run.config.read_text().replace("smollm2", "/models/mine"))
    with pytest.raises(
        InputError, match="its base /cache/smollm2 is a folder of this machine: .*--base-model USER/NAME"
    ):
        report(*PUSH)
    report(*PUSH, "--base-model", "me/mine")
    assert json.loads(hub.files["adapter_config.json"])["base_model_name_or_path"] == "me/mine"


def test_a_dry_run_shows_the_files_and_the_card_and_uploads_nothing(
    make_run: Make, hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run()
    save_model(run, 2)
    report(*PUSH, "--dry-run")
    shown = capsys.readouterr().out
    assert "to the private repository me/demo:" in shown and "  model.safetensors" in shown
    assert "## How to make it again" in shown and hub.repositories == [] and not (run.folder / "report").exists()
    report(*PUSH, "--dry-run", "--json")
    assert json.loads(capsys.readouterr().out)["files"] == [
        "config.json",
        "model.safetensors",
        "training.json",
        "README.md",
    ]


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (refused(409), InputError, "me/demo exists on the hub: give another name, or --update"),
        (refused(401), InputError, "does not let this token write to me/demo"),
        (refused(403), InputError, "does not let this token write to me/demo"),
        (refused(500), EngineError, "the hub refused the upload to me/demo: 500"),
        (httpx2.ConnectError("no route"), EngineError, "the hub cannot be reached: no route"),
        (OfflineModeIsEnabled("offline"), InputError, "HF_HUB_OFFLINE is set"),
    ],
)
def test_what_the_hub_refuses_is_told(
    error: Exception, kind: type[Exception], words: str, make_run: Make, hub: Hub
) -> None:
    save_model(make_run(), 2)
    hub.error = error
    with pytest.raises(kind, match=words):
        report(*PUSH)


def test_flags_that_do_not_fit_are_named(make_run: Make, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run()
    make_run("other")
    for words, wrong in {
        ("demo", "--push", "demo"): "give USER/NAME",
        ("demo", "--push", "a/b/c"): "not a name on the hub",
        ("demo", "--public"): "--public is for --push USER/NAME",
        ("demo", "other", "--push", "me/demo"): "a model of one run",
        (*PUSH, "--iteration", "iter7"): "--iteration iter7: runs/demo has iter0, iter1, iter2",
        (*PUSH, "--iteration", "iter0"): "iter0 is the base model",
        (*PUSH, "--iteration", "iter1"): "no model to upload",
    }.items():
        with pytest.raises(InputError, match=wrong):
            report(*words)
    monkeypatch.setattr("evals.report.push.get_token", lambda: None)
    with pytest.raises(InputError, match="set HF_TOKEN, or run: hf auth login"):
        report(*PUSH)
