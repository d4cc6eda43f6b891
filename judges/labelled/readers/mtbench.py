"""MT-Bench's votes and scores (arXiv 2306.05685), as FastChat and the hub keep them."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from console.errors import InputError
from judges.labelled.cells import FAILED, judge_in, number_of, winner_of
from judges.labelled.columns import Columns, verdict_of
from judges.labelled.labels import SWAPPED, LabelledPair, LabelledScore
from judges.labelled.readers.reader import Found, Records, each, text
from judges.labelled.traits import key_text
from records.fields.labels import CODES, WORDS, Scale, majority
from records.fields.messages import chat_in
from records.fields.preferences import until_turn
from records.files import BadRows, Record
from records.rows import Message, Winner, text_of


@dataclass
class Contest:
    """All votes on one pair of answers."""

    prompt: str
    response_a: str
    response_b: str
    votes: list[Winner] = field(default_factory=list)


def read_mtbench(records: Records, bad: BadRows, columns: Columns) -> Found:
    """Return a pair per question, turn and two models, with all votes on it: `model_a, model_b, winner, turn`.

    Votes with the models in the other order are swapped. In a second turn the conversations differ from the first
    answer on. The request is then the first user turn, and each response is the conversation after it. Raises
    InputError if the winners are numbers that may mean either side.
    """
    codes = CODES
    if columns.codes is CODES:
        scale = Scale()
        scale.add(record["winner"] for _, record in records if record.get("winner") is not None)
        scale.check("the winners")
    else:
        codes = {**WORDS, **columns.codes}  # the flag may only be about the verdicts
    contests: dict[tuple[str, str, str, str], Contest] = {}
    judges: dict[str, None] = {}

    def add(_: str, record: Record) -> Iterable[None]:
        winner, _preference = winner_of(record.get("winner"), codes)
        if winner is None:
            raise InputError(f"'winner' is {record.get('winner')!r}, not model_a, model_b or tie")
        model_a, model_b = text(record, "model_a"), text(record, "model_b")
        side_a, side_b = _side(record, "conversation_a"), _side(record, "conversation_b")
        if model_a > model_b:  # in the order of the alphabet, so that votes on one pair meet
            model_a, model_b, side_a, side_b, winner = model_b, model_a, side_b, side_a, SWAPPED[winner]
        key = (str(record["question_id"]), str(record.get("turn", 1)), model_a, model_b)
        judges[judge_in(record).split("_")[0]] = None
        contests.setdefault(key, Contest(side_a[0], side_a[1], side_b[1])).votes.append(winner)
        return []

    each(records, bad, add)  # only to count bad records: `add` makes no row of its own
    pairs = [_pair(*key, contest) for key, contest in contests.items()]
    return Found(pairs, labeller=", ".join(judges))


def read_mtbench_games(records: Records, bad: BadRows, columns: Columns) -> Found:
    """Return FastChat's `gpt-4_pair.jsonl`: `question_id, model_1, model_2, g1_winner, g2_winner, turn`, no answers.

    Two games with different winners are a tie, as in FastChat. An error in either game gives no label.
    """

    def pair(_: str, record: Record) -> list[LabelledPair]:
        verdict = verdict_of(record, Columns())
        if verdict.winner is None:
            raise InputError(f"no label: {verdict.error}")
        question, turn = str(record["question_id"]), str(record.get("turn", 1))
        model_a, model_b = text(record, "model_1"), text(record, "model_2")
        pair_id = f"{question}-{turn}-{model_a}-{model_b}"
        meta = {"turn": turn}
        return [LabelledPair(pair_id, "", "", "", verdict.winner, question, (), model_a, model_b, meta)]

    judges = {judge_in(record): None for _, record in records}
    return Found(each(records, bad, pair, columns.id), labeller=", ".join(judges))


def read_mtbench_scores(records: Records, bad: BadRows, columns: Columns) -> Found:
    """Return FastChat's single scores: `question_id, model, score, turn`. The file has no answers."""

    def score(_: str, record: Record) -> list[LabelledScore]:
        question, turn, model = str(record["question_id"]), str(record.get("turn", 1)), text(record, "model")
        value = number_of(record, "score")
        if value == FAILED:
            raise InputError("'score' is -1, FastChat's mark for a reply without a score")
        return [
            LabelledScore(
                f"{question}-{turn}-{model}", "", "", value, f"{question}-{turn}", model=model, meta={"turn": turn}
            )
        ]

    judges = {judge_in(record): None for _, record in records}
    return Found(scores=each(records, bad, score, columns.id), labeller=", ".join(judges))


def _pair(question: str, turn: str, model_a: str, model_b: str, contest: Contest) -> LabelledPair:
    return LabelledPair(
        id=f"{question}-{turn}-{model_a}-{model_b}",
        prompt=contest.prompt,
        response_a=contest.response_a,
        response_b=contest.response_b,
        label=majority(contest.votes),
        group=question,
        annotators=tuple(contest.votes),
        model_a=model_a,
        model_b=model_b,
        meta={"turn": turn},
        keys={"question_id": key_text(question)},
    )


def _side(record: Record, name: str) -> tuple[str, str]:
    """Return the request and the response of one side, both empty if the file has no conversations."""
    chat: list[Message] = until_turn(record, chat_in(record[name], name)) if record.get(name) else []
    request = [message["content"] for message in chat if message["role"] == "user"]
    if len(chat) < 2:
        return "", ""
    if len(request) == 1:
        return request[0], chat[1]["content"]
    return "\n\n".join(f"user: {words}" for words in request), text_of(chat[1:])
