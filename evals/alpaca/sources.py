"""Loads an evaluation's prompts and its baseline's answers from the hub, from files, or from a run."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import huggingface_hub
from huggingface_hub import constants

from console.errors import InputError
from console.progress import say
from evals.alpaca.options import AlpacaVersion
from evals.comparing.matching import key_alone, key_of, stripped
from records import Prompt, Response
from records.files import BadRows, take
from records.finish import at_token_limit
from records.runs import Run
from records.shapes import read_prompts, read_responses

HUB_SET = "tatsu-lab/alpaca_eval"
HUB_TIMEOUT_S = 5.0
SERVER_ERROR = 500
DF_GAMED, DIFFICULTY = "df_gamed.csv", "instruction_difficulty.csv"
BASELINES: dict[AlpacaVersion, str] = {2: "alpaca_eval_gpt4_baseline.json", 1: "alpaca_eval.json"}


class HubError(InputError):
    """A file of the hub is not available. The message is only the reason."""


@dataclass(frozen=True)
class Benchmark:
    """Prompts and the baseline's answers to them, in the same order."""

    prompts: list[Prompt]
    baseline: list[Response]
    source: str
    """The origin of the prompts, in words."""
    answer_limit: int | None = None
    """The number of tokens at which the baseline's answers were cut off, if the rows record it."""

    def first(self, limit: int | None) -> "Benchmark":
        """Return the first `limit` prompts with their baseline."""
        return replace(self, prompts=list(take(self.prompts, limit)), baseline=list(take(self.baseline, limit)))


@dataclass(frozen=True)
class LengthFiles:
    """The two hub files of the length-controlled win rate. A file that is None is searched for."""

    df_gamed: Path | None = None
    instruction_difficulty: Path | None = None

    def located(self, near: Sequence[Path]) -> "LengthFiles":
        """Return these files, the missing ones found beside the files `near`, in the folder above, or on the hub.

        Raises InputError if a given file does not exist, and HubError if df_gamed.csv is not available.
        """
        for given in (self.df_gamed, self.instruction_difficulty):
            if given is not None and not given.exists():
                raise InputError(f"{given}: no such file")
        df_gamed = self.df_gamed or _beside(near, "df_gamed*.csv") or hub_file(DF_GAMED)
        return LengthFiles(df_gamed, self.instruction_difficulty or _beside(near, "instruction_difficulty*.csv"))


def load_benchmark(
    prompts: Path | None, reference: Path | None, version: AlpacaVersion, run: Run | None, bad: BadRows
) -> Benchmark:
    """Return the benchmark in the given files, else the hub's, else the held-out prompts of `run` and iter0's answers.

    Raises InputError, naming the flags that help, if there is none.
    """
    if reference is not None:
        return _from_files(prompts or reference, reference, str(reference), bad)
    if prompts is not None:
        raise InputError("--prompts needs --reference FILE: the baseline's answers to them")
    try:
        file = hub_file(BASELINES[version])
    except HubError as error:
        return _from_run(run, str(error), bad)
    return _from_files(file, file, f"{HUB_SET} ({BASELINES[version]})", bad)


def hub_file(name: str) -> Path:
    """Return a file of AlpacaEval's hub data set, if possible from the cache. Raises HubError within seconds."""
    cached = huggingface_hub.try_to_load_from_cache(HUB_SET, name, repo_type="dataset")
    if isinstance(cached, str):
        return Path(cached)
    if constants.HF_HUB_OFFLINE:
        raise HubError("HF_HUB_OFFLINE is set")
    try:  # without a network the download itself would retry for half a minute
        answer = huggingface_hub.get_session().head(constants.ENDPOINT, timeout=HUB_TIMEOUT_S)
        if answer.status_code >= SERVER_ERROR:
            raise HubError(f"the hub answers {answer.status_code}")
        return Path(huggingface_hub.hf_hub_download(HUB_SET, name, repo_type="dataset"))
    except HubError:  # the server's own, see above, not wrapped again
        raise
    except Exception as error:  # the hub client raises many types, each because the file is not available
        raise HubError(f"the hub cannot be reached: {' '.join(str(error).split())[:120]}") from None


def _from_run(run: Run | None, reason: str, bad: BadRows) -> Benchmark:
    remedy = "give --prompts FILE --reference FILE"
    if run is None:
        raise InputError(f"AlpacaEval's prompts are not available: {reason}; {remedy}")
    folder = run.folder / "eval"
    prompts, reference = folder / "prompts.jsonl", folder / "iter0.jsonl"
    if missing := [str(path) for path in (prompts, reference) if not path.exists()]:
        raise InputError(f"AlpacaEval's prompts are not available: {reason}, and there is no {missing[0]}; {remedy}")
    say(f"{reason}: evaluating on {prompts} against {reference} instead, which is not AlpacaEval's set")
    return _from_files(prompts, reference, str(folder), bad)


def _from_files(prompts: Path, reference: Path, source: str, bad: BadRows) -> Benchmark:
    answers: dict[str, Response] = {}
    others = set[str]()
    for response in map(stripped, read_responses(reference, bad)):
        first = answers.setdefault(key_of(response.prompt), response)
        if first.response != response.response:
            others.add(first.prompt_id)
    models = sorted({response.model for response in answers.values()})
    if len(models) > 1:
        raise InputError(f"{reference}: answers of {len(models)} models ({', '.join(models[:3])}); the baseline is one")
    if others:
        say(f"{reference}: several answers to {len(others)} prompts, of which the first is the baseline")
    by_key = {key_of(prompt.prompt, prompt.system): prompt for prompt in read_prompts(prompts, bad)}
    same_text = Counter(map(key_alone, by_key.values()))
    pairs = [(prompt, answer) for prompt in by_key.values() if (answer := _answer_to(prompt, answers, same_text))]
    n_open = sum(
        key_alone(prompt) in answers and _answer_to(prompt, answers, same_text) is None for prompt in by_key.values()
    )
    if n_open:
        why = "they have one text and differ in the system turn, which the file lacks"
        say(f"{reference}: the answer to {n_open} prompts cannot be told apart: {why}")
    if not pairs:
        raise InputError(f"no prompt of {prompts} has an answer in {reference}: the prompts' texts must be the same")
    if len(pairs) < len(by_key):
        say(f"left out: {len(by_key) - len(pairs)} of {len(by_key)} prompts of {prompts} have no answer in {reference}")
    baseline = [answer for _, answer in pairs]
    return Benchmark([prompt for prompt, _ in pairs], baseline, source, _answer_limit(baseline))


def _answer_to(prompt: Prompt, answers: dict[str, Response], same_text: Counter[str]) -> Response | None:
    """Return the baseline's answer. One of its text alone is that of a prompt only if no other has the text."""
    exact, alone = answers.get(key_of(prompt.prompt, prompt.system)), key_alone(prompt)
    # the baseline often answered without the system turn, which its file then lacks
    return exact or (answers.get(alone) if same_text[alone] == 1 else None)


def _beside(near: Sequence[Path], pattern: str) -> Path | None:
    folders = [folder for path in near for folder in (path.parent, path.parent.parent)]
    return next((file for folder in folders for file in sorted(folder.glob(pattern))), None)


def _answer_limit(answers: Sequence[Response]) -> int | None:
    cut = [answer.n_tokens for answer in answers if at_token_limit(answer.finish_reason) and answer.n_tokens]
    return max(cut, default=None)
