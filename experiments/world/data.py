"""The data that all arms of one seed share: base model, instructions, and the seeds for answering and judging."""

from collections.abc import Sequence
from itertools import islice
from random import Random

from console.errors import InputError
from experiments.world.model import pretrain
from experiments.world.sizes import ITERATIONS, Seeds, Size
from experiments.world.world import LEVELS, corrupt, instructions, quality, right, written
from records import Prompt, Response, read_rows
from records.keys import content_key
from records.store import write_rows

ROUNDS = range(2, ITERATIONS + 1)
MAX_DRAWS = 1_000_000


def prepare(seeds: Seeds, size: Size, seed: int) -> None:
    """Make the missing data: M0, and prompts, IFT, EFT and the measured answers, all on different instructions."""
    if not seeds.base.exists():
        seeds.folder.mkdir(parents=True, exist_ok=True)
        pretrain(seeds.base, size.model, seed)
    if seeds.file("graded").exists():  # the last one written, so all are there
        return
    sizes = [("held_out", size.held_out), ("ift", size.ift), ("eft", size.eft)]
    sizes += [(f"iter{number}", size.prompts) for number in ROUNDS]
    texts = iter(_different(seed, sum(n for _, n in sizes)))
    parts = {name: list(islice(texts, n)) for name, n in sizes}
    # one stream in a fixed order: another order of the lines below would be other data
    random = Random(f"seeds {seed}")
    write_rows(seeds.file("ift"), [{"prompt": text, "response": right(text, random)} for text in parts["ift"]])
    write_rows(seeds.file("eft"), [_rated(text, size, random) for text in parts["eft"]])
    for name in ("held_out", *(f"iter{number}" for number in ROUNDS)):
        write_rows(seeds.file(name), [Prompt(id=content_key("prompt", text), prompt=text) for text in parts[name]])
    write_rows(seeds.file("graded"), _graded(parts["held_out"], random))


def prompts_of(seeds: Seeds, name: str) -> list[Prompt]:
    """Return the prompts called `name`: held_out or iterN."""
    return list(read_rows(seeds.file(name), Prompt))


def truth_of(response: Response) -> float:
    """Return the quality of a response."""
    assert isinstance(response.prompt, str)
    return quality(response.prompt, response.response)


def _different(seed: int, n: int) -> list[str]:
    texts_once: dict[str, None] = {}
    for text in islice(instructions(f"loop {seed}"), MAX_DRAWS):
        texts_once[text] = None  # a dict as a set that keeps the order of drawing
        if len(texts_once) == n:
            texts = list(texts_once)
            # Some kinds run out before others, so shuffling gives each part its share.
            Random(f"dealt {seed}").shuffle(texts)
            return texts
    raise InputError(f"the world has fewer than {n} different instructions; ask for fewer")


def _rated(text: str, size: Size, random: Random) -> dict[str, object]:
    """Return a row of ranked answers as people write them, rated by the truth with noise, not all the same."""
    ratings: list[float] = []
    while len(set(ratings)) < 2:  # answers of one rating order nothing
        answers = [written(text, random) for _ in range(size.rated)]
        ratings = [_noisy(quality(text, answer), size.noise, random) for answer in answers]
    return {
        "prompt": text,
        "responses": answers,
        "ranks": [sum(other > rating for other in ratings) for rating in ratings],  # 0 is the best, equal ones tie
        "scores": ratings,
        "rationales": [""] * size.rated,
    }


def _noisy(level: float, noise: float, random: Random) -> float:
    return float(random.choice([other for other in LEVELS if other != level])) if random.random() < noise else level


def _graded(texts: Sequence[str], random: Random) -> list[Response]:
    """Return two answers of different quality to each instruction, the same for all models to judge."""
    rows = []
    for text in texts:
        for level in random.sample(LEVELS, 2):
            answer = corrupt(text, level, random)
            rows.append(
                Response(
                    id=content_key("graded", text, answer),
                    prompt_id=content_key("prompt", text),
                    prompt=text,
                    response=answer,
                    model="corrupted",
                )
            )
    return rows
