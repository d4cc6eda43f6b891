import math
import random
from contextlib import suppress

from engines.served.choices.reading import NoReading, read_choices
from engines.served.replies.chat_reply import Alternative, Logprobs, Message, Reply, Token

TEN = [str(n) for n in range(1, 11)]
WORDS = r"""
Score : 4 10 1 0 . 5 / <think> </think> A B > = [[ ]] ** or and Better Verdict safe unsafe <|im_end|> <|channel|> final
<|message|> Ġ4 ▁4 Ċ 评 <0x0A> <0xZZ> \boxed{ } ½ ４ ： is because Actually no , | -
"""
PIECES = [*WORDS.split(), "", " ", "\n", " 4", " A", "\ud800", "\x00", "�"]
ASKED = [
    (TEN, "Score"),
    (["A", "B"], "Better"),
    (["A>>B", "A>B", "A=B", "B>A", "B>>A"], "Verdict"),
    (["not enough", "enough", "tie"], "Verdict"),
    (["a", "A"], "X"),
    (["0.5", "1"], "("),
]
LOGPROBS = [-0.1, -1.0, 0.0, -9999.0, -math.inf] * 12 + [3.0, 800.0, math.nan]


def test_no_list_of_tokens_gives_more_than_a_distribution_or_fails_in_another_way() -> None:
    draw = random.Random(7)
    n_read = 0
    for _ in range(3000):
        choices, label = draw.choice(ASKED)
        words = [*PIECES, *choices]
        tokens = []
        begun = [[], [label, ":"], [label, ":", draw.choice(choices)]]
        for text in draw.choice(begun) + draw.choices(words, k=draw.randrange(4)):
            tops = [Alternative(draw.choice(words), draw.choice(LOGPROBS) - 3) for _ in range(draw.randrange(1, 4))]
            given = draw.choice([*[None] * 20, [], [52], [0xE8, 0xAF]])
            tokens.append(Token(text, draw.choice(LOGPROBS), draw.choice([tops] * 9 + [None]), given))
        content = draw.choice([None, "", "".join(token.token for token in tokens), "Score: 4"])
        finish = draw.choice(["stop", None, "length", "content_filter"])
        reply = Reply(Message(content), finish, draw.choice([None, *[Logprobs(tokens)] * 9]))
        with suppress(NoReading):
            found = read_choices(reply, choices, (label,), alone=draw.random() < 0.8)
            if found is not None:
                n_read += 1
                assert finish != "content_filter" and len(found) == len(choices)
                assert all(logprob <= 1e-3 for logprob in found) and sum(map(math.exp, found)) <= 1.01
    assert n_read > 20
