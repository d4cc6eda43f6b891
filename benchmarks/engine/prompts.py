"""The judge prompts that every side is asked, and how many tokens a model needs to read for them."""

from engines.local.transformers_engine import TransformersEngine
from engines.local.tree import tree_of
from engines.protocol import Request
from judges.options import Reading
from judges.rubrics.rendering import fill
from judges.rubrics.rubric import load_rubric
from records.files import BadRows, read_records
from trainer.prompts.seeds.reading import EFT

ANSWER_CHARS = 70
SCORES = ["0", "1", "2", "3", "4", "5"]
TEMPERATURE, TOP_P = 0.7, 0.9


def requests(reading: Reading, n: int) -> list[Request]:
    """Return judge prompts of about 400 tokens: the packaged ranked answers, each cut off at ANSWER_CHARS."""
    rubric = load_rubric("additive")
    prefill = rubric.prefill(rubric.label) if reading == "logprobs" else ""
    ranked = [record for _, record in read_records(EFT, BadRows(strict=True))]
    texts = [(record["prompt"], answer[:ANSWER_CHARS]) for record in ranked for answer in record["responses"]]
    chats = [fill(rubric, reading, {"prompt": prompt, "response": answer}) for prompt, answer in texts]
    return [Request(chat, seed=index, prefill=prefill) for index, chat in enumerate(chats[:n])]


def n_tokens(engine: TransformersEngine, asked: list[Request]) -> tuple[int, int]:
    """Return the number of tokens of all prompts, and of those that differ in what stands before them."""
    encoded = engine._encode(asked, "")
    return sum(map(len, encoded)), len(tree_of(encoded).tokens)
