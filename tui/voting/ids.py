"""The ids of the two answers of a row, under which a vote on them is stored."""

from collections import defaultdict

import numpy as np

from records.rows import text_id
from tui.reading.kinds import JUDGMENT, RESPONSE
from tui.reading.table import Body, Table

Ids = tuple[str, str]


class AnswerIds:
    """Finds the `response_id`s of the texts of a pair or a comparison, which stand in the judgments on its prompt."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._of_prompt: dict[int, dict[str, list[tuple[str, float | None]]]] = {}
        self._n_rows = 0

    def ids(self, body: Body) -> Ids | None:
        """Return the ids of the two answers of a row, or None if it has only one.

        An answer whose judgment is not shown has an id that its text gives (`records.rows.text_id`).
        """
        item = body.item
        if item.text_b is None:
            return None
        given = _in_evidence(item.evidence)
        if given is not None:
            return given
        known = self._known(body)
        return (
            _best(known.get(item.text_a, []), item.score_a) or text_id(item.text_a),
            _best(known.get(item.text_b, []), item.score_b) or text_id(item.text_b),
        )

    def _known(self, body: Body) -> dict[str, list[tuple[str, float | None]]]:
        rows = self._table.rows
        if len(rows) != self._n_rows:
            self._of_prompt.clear()
            self._n_rows = len(rows)
        prompt = int(rows["prompt"][body.row])
        if prompt not in self._of_prompt:
            answers: dict[str, list[tuple[str, float | None]]] = defaultdict(list)
            single = (rows["kind"] == JUDGMENT) | (rows["kind"] == RESPONSE)
            for row in np.flatnonzero((rows["prompt"] == prompt) & single & (rows["replaced"] == 0)):
                item = self._table.body(int(row)).item
                if item.id_a and item.prompt_id == body.item.prompt_id:
                    answers[item.text_a].append((item.id_a, item.score_a))
            self._of_prompt[prompt] = answers
        return self._of_prompt[prompt]


def _best(answers: list[tuple[str, float | None]], score: float | None) -> str | None:
    """Return the id of an answer, of several with one text that with the row's score."""
    exact = next((answer_id for answer_id, own in answers if own == score), None)
    return exact or (answers[0][0] if answers else None)


def _in_evidence(evidence: object) -> Ids | None:
    for part in evidence if isinstance(evidence, list) else ():
        if isinstance(part, dict):
            ids = part.get("chosen_id"), part.get("rejected_id")
            if isinstance(ids[0], str) and isinstance(ids[1], str):
                return ids[0], ids[1]
    return None
