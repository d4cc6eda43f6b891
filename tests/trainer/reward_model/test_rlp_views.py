from records import Response
from trainer.reward_model.views import view_pairs


def test_views_are_different_answers_to_one_prompt_each_once_whatever_the_order() -> None:
    rows = [
        Response(id=f"{n}-{k}", prompt_id=str(n), prompt=f"p{n}", response=text, model="m")
        for n, texts in enumerate([["a", "b", "c", "d", "a"], ["e", "f", "g"], ["same", "same"], ["one", " "]])
        for k, text in enumerate(texts)
    ]
    found = view_pairs(rows, 0)
    assert [(one.prompt, other.prompt) for one, other in found[:2]] in (
        [("p0",) * 2, ("p1",) * 2],
        [("p1",) * 2, ("p0",) * 2],
    )
    assert [one.prompt for one, _ in found[2:]] == ["p0"]
    used = [answer.response for pair in found for answer in pair]
    assert len(set(used)) == len(used) == 6 and set("abcd") < set(used)
    texts = [[answer.response for answer in pair] for pair in found]
    assert texts == [[answer.response for answer in pair] for pair in view_pairs(rows[::-1], 0)]
    assert any(texts != [[a.response for a in pair] for pair in view_pairs(rows, seed)] for seed in range(1, 5))
