"""Replay of EFT: checked answers of a round become judging examples, and the round's model learns to judge from them.

The loop has no such stage. This is a pass of supervised fine-tuning after the round's DPO, with the recipe's settings
of SFT. It learns nothing but verdicts.
"""

from random import Random

from console.errors import TrainingError
from judges.rubrics.rubric import load_rubric
from judges.tools.constraints.checking import check_constraints
from judges.tools.scores import highest_score
from records import Message, Prompt, Response, read_rows
from records.rows import request_text
from records.runs import Run
from records.store import write_rows
from trainer.eft.examples import judge_chat, score_line
from trainer.loop.recipe import Config
from trainer.runs.integrity import set_aside_broken_model
from trainer.sft.train import train_sft
from trainer.training.options import with_template


def replay(rounds: Run, run: Run, number: int, prompts: list[Prompt], config: Config, n: int) -> None:
    """Make iteration `number` of `run` from that of `rounds`, which has its round's answers and the model after DPO.

    Raises TrainingError if the recipe trains on several processes, because this pass is made in this one.
    """
    if config.launch is not None:
        raise TrainingError("a replay trains in this process: leave [launch] out of the recipe")
    out = run.model(number)
    set_aside_broken_model(out)  # of a call that was interrupted
    if out.exists():
        return
    responses = list(read_rows(rounds.iteration(number) / "responses.jsonl", Response))
    chats = judging_examples(responses, prompts, config, n)
    write_rows(run.iteration(number) / "chats.jsonl", [{"messages": chat} for chat in chats])
    options = with_template(config.sft, config.engine.chat_template_kwargs)
    train_sft(rounds.model(number), out, chats, options, config.seed, f"iter{number} replay")


def judging_examples(responses: list[Response], prompts: list[Prompt], config: Config, n: int) -> list[list[Message]]:
    """Return `n` conversations that show how to judge, half of them on answers that follow everything.

    The score is the highest that the checks allow: the top of the scale for an answer that follows everything. Answers
    of which a constraint cannot be checked are left out. With fewer answers of a kind there are fewer examples of it.
    """
    rubric, by_id = load_rubric(config.judge.rubric), {prompt.id: prompt for prompt in prompts}
    low, high = rubric.scale
    passing: list[list[Message]] = []
    failing: list[list[Message]] = []
    # sorted, because the draw below must not depend on the file's order
    for response in sorted(responses, key=lambda response: response.id):
        prompt = by_id[response.prompt_id]
        checks = check_constraints(request_text(prompt.prompt), response.response, prompt.constraints or [])
        outcomes = [check.strict for check in checks]
        if None in outcomes or not response.response.strip():
            continue
        score = highest_score(outcomes.count("followed"), outcomes.count("broken"), low, high)
        line = score_line(rubric, "logprobs", score)
        side = failing if "broken" in outcomes else passing
        side.append(judge_chat(rubric, "logprobs", response.prompt, response.response, line))
    random = Random(f"replay {config.seed}")
    drawn = [random.sample(side, min(n // 2, len(side))) for side in (passing, failing)]
    return [chat for side in drawn for chat in side]
