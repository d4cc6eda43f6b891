"""The training loop: draw answers, reward them, learn from them a few times, and again.

On several processes each draws and reads its share of a step's answers; all then hold all of them, so that means and
deviations are the whole step's, and each learns from its share of every optimiser step. What is drawn and in which
order it is learnt from does not depend on their number.
"""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import msgspec
import torch

from console.errors import InputError, TrainingError
from console.progress import progress, say
from engines.likelihood import answer_tokens
from engines.local.transformers_engine import TransformersEngine
from engines.models import model_digest
from records import Prompt, Store, messages_of
from records.finish import cut_off
from records.keys import content_key, derived_seed
from records.rows import Row
from trainer.ppo.actor import ActorCritic, load_value, settle
from trainer.ppo.options import PPOOptions, adapted, check_ppo, learning_rate_at, n_steps_of
from trainer.ppo.rewards import RewardSource
from trainer.ppo.rollout import Actors, Answer, Question, experience_of, roll_out
from trainer.ppo.state import Progress, load_state, newest_state, save_state, step_name, write_policy
from trainer.ppo.update import Learner, seeded_order
from trainer.training.checkpoints import Checkpoints, clear_unfinished, seal
from trainer.training.fit import load_policy
from trainer.training.outcome import REPORT, Trained
from trainer.training.processes import is_first, is_sharded, n_processes

if TYPE_CHECKING:
    from accelerate import Accelerator

NOT_THE_TRAINING = ("save_every_n_steps", "max_kl", "max_unrewarded_steps")
"""Settings that change where a training stops and what it leaves, and none of its steps."""


class PPOStep(Row, frozen=True, kw_only=True):
    """What one step was; means are over its rewarded answers, and None where there are none."""

    id: str
    step: int
    n_null: int
    """Answers without a reward, which are not learnt from."""
    kl_coef: float
    learning_rate: float
    reward: float | None = None
    """Of the source, less the penalty of an answer that was cut off."""
    kl: float | None = None
    """KL(policy || reference) in nats an answer, estimated on the answers: mean log-ratio (k1)."""
    length: float | None = None
    """Tokens of an answer, the one that ends it included."""
    cut_off: float | None = None
    """Share of the answers that reached response_length without an end."""
    explained_variance: float | None = None
    """1 - Var(return - value) / Var(return), of the values before the step."""
    policy_loss: float | None = None
    value_loss: float | None = None
    entropy: float | None = None
    """Of a token's distribution, in nats."""
    approx_kl: float | None = None
    """How far a step's updates moved the policy, in nats a token."""
    clip_fraction: float | None = None
    """Share of the tokens whose loss the clip decides."""
    seconds: float = 0.0


def make_accelerator() -> "Accelerator":
    """Return accelerate's view of the processes; bfloat16 where a GPU has it. Raises InputError for sharded weights.

    What ACCELERATE_MIXED_PRECISION says holds, as for the other trainers: one process cannot compute in two ways.
    """
    from accelerate import Accelerator

    if is_sharded():
        raise InputError("PPO draws from the weights that it trains, so each process needs them all: no FSDP here")
    on_gpu = torch.cuda.is_available()
    usual = "bf16" if on_gpu and torch.cuda.is_bf16_supported() else "no"
    return Accelerator(mixed_precision=os.environ.get("ACCELERATE_MIXED_PRECISION") or usual, cpu=not on_gpu)


def train_ppo(
    parent: Path,
    out: Path,
    prompts: Sequence[Prompt],
    source: RewardSource,
    options: PPOOptions,
    seed: int,
    title: str = "PPO",
) -> Trained:
    """Train the model in `parent` on the rewards of its answers to `prompts` and save it in `out`.

    Beside `out` lie a row of figures a step (`.steps.jsonl`) and checkpoints (`.checkpoints`), from which the same
    training goes on with the same numbers. Raises InputError for a bad setting, TrainingError where no prompt fits,
    where a loss is not a number, where the policy leaves the reference by more than `max_kl`, or where answers get no
    rewards any more.
    """
    check_ppo(options, n_processes())
    accelerator = make_accelerator()
    settings = {name: value for name, value in asdict(options).items() if name not in NOT_THE_TRAINING}
    texts = [(prompt.prompt, prompt.system) for prompt in prompts]
    key = content_key("ppo", model_digest(parent), source.name, source.digest, settings, seed, texts)
    checkpoints = Checkpoints(checkpoints_of(out), options.save_every_n_steps, key)
    trainer = _Trainer.open(parent, source, options, seed, checkpoints, accelerator)
    questions = _fitting(trainer.actors.engine, prompts, options)
    n_steps, last = n_steps_of(options, len(questions)), None
    with _log(out) as log, progress(title, n_steps, trainer.done.step) as advance:
        while trainer.done.step < n_steps:
            row = trainer.step(questions, n_steps)
            last = last if row.kl is None else row
            if log is not None and row.id not in log:  # a step after the last checkpoint is made again, the same
                log.append(row)
            advance(1)
    trained = _trained(last, n_steps, options.rollout_batch_size)
    if is_first():
        unfinished = out.with_name(f"{out.name}.tmp")
        write_policy(trainer.actors.actor, trainer.actors.engine.tokenizer, unfinished)
        (unfinished / REPORT).write_bytes(msgspec.json.encode(trained))
        seal(unfinished, out, n_steps)
    accelerator.wait_for_everyone()
    return trained


def checkpoints_of(out: Path) -> Path:
    """Return the folder of the checkpoints on the way to `out`."""
    return out.with_name(f"{out.name}.checkpoints")


def log_of(out: Path) -> Path:
    """Return the file with a PPOStep for each step on the way to `out`."""
    return out.with_name(f"{out.name}.steps.jsonl")


@contextmanager
def _log(out: Path) -> Iterator[Store[PPOStep] | None]:
    with Store(log_of(out), PPOStep) if is_first() else nullcontext() as log:
        yield log


def _fitting(engine: TransformersEngine, prompts: Sequence[Prompt], options: PPOOptions) -> list[Question]:
    """Return the prompts that are short enough, in their template; raises TrainingError where there is none."""
    chats = [messages_of(prompt.prompt, prompt.system) for prompt in prompts]
    tokens = [answer_tokens(engine, chat, "")[0] for chat in chats]
    context = int(getattr(engine.model.config.get_text_config(), "max_position_embeddings", 0) or 1 << 30)
    most = min(options.query_length, context - options.response_length)
    asked = [prompt.prompt if prompt.system is None else chat for prompt, chat in zip(prompts, chats, strict=True)]
    kept = [Question(text, ids) for text, ids in zip(asked, tokens, strict=True) if len(ids) <= most]
    limit = f"query_length ({options.query_length}), or the context of {context} less response_length"
    if not kept:
        raise TrainingError(f"none of {len(prompts)} prompts is within {limit}: raise the one or lower the other")
    if len(kept) < len(prompts):
        say(f"{len(prompts) - len(kept)} of {len(prompts)} prompts left out: longer than {limit}")
    return kept


@dataclass
class _Trainer:
    source: RewardSource
    options: PPOOptions
    seed: int
    checkpoints: Checkpoints
    accelerator: "Accelerator"
    actors: Actors
    learner: Learner
    done: Progress

    @classmethod
    def open(
        cls,
        parent: Path,
        source: RewardSource,
        options: PPOOptions,
        seed: int,
        checkpoints: Checkpoints,
        accelerator: "Accelerator",
    ) -> "_Trainer":
        """Load the models, and where this training was stopped its state."""
        if is_first():
            clear_unfinished(checkpoints)
        kept = newest_state(checkpoints)
        policy, tokenizer = load_policy(kept or parent, options.chat_template_kwargs)
        reference, _ = load_policy(parent)
        actor = ActorCritic(policy, load_value(parent, source.folder, tokenizer), options.temperature)
        actor.to(accelerator.device)
        engine = TransformersEngine.of_live(policy, tokenizer, "policy", options.generation_batch_size)
        settle(actor, checkpointing=accelerator.device.type == "cuda")
        reference.requires_grad_(False).eval().to(accelerator.device)
        optimiser = torch.optim.AdamW(actor.parameters(), options.learning_rate, eps=options.adam_eps, weight_decay=0.0)
        done = load_state(kept, actor, optimiser) if kept else Progress(kl_coef=options.kl_coef)
        actors = Actors(actor, reference, engine, accelerator.autocast)
        learner = Learner(accelerator.prepare_model(actor), optimiser, accelerator, options, actors.filler)
        return cls(source, options, seed, checkpoints, accelerator, actors, learner, done)

    def step(self, questions: list[Question], n_steps: int) -> PPOStep:
        """Draw, reward and learn; return what happened."""
        started, step, kl_coef = time.monotonic(), self.done.step + 1, self.done.kl_coef
        answers = self._answers(questions, step)
        kept = [answer for answer in answers if answer.reward is not None]
        rate = learning_rate_at(self.options, step, n_steps)
        row = PPOStep(
            id=f"{self.checkpoints.key}-{step:06d}",
            step=step,
            n_null=len(answers) - len(kept),
            kl_coef=kl_coef,
            learning_rate=rate,
        )
        if not kept:
            self._skip(step)
        else:
            kl = self._checked_kl(kept, step)
            self._save_last()
            figures = _means(kept) | self._learn(kept, step, rate)
            row = msgspec.structs.replace(row, kl=kl, **figures)
            self.done = Progress(step, adapted(kl_coef, kl, len(kept), self.options))
        return msgspec.structs.replace(row, seconds=time.monotonic() - started)

    def _answers(self, questions: list[Question], step: int) -> list[Answer]:
        """Return the answers of a step, all of them on every process."""
        from accelerate.utils import gather_object

        size, n = self.options.rollout_batch_size, len(questions)
        places = range((step - 1) * size, step * size)
        share = places[self.accelerator.process_index :: self.accelerator.num_processes]
        orders = {epoch: seeded_order(n, self.seed, "prompts", epoch) for epoch in {place // n for place in places}}
        asked = [questions[int(orders[place // n][place % n])] for place in share]
        seeds = [derived_seed(self.seed, "answer", place) for place in share]
        mine = roll_out(self.actors, self.source, asked, seeds, self.options)
        gathered = gather_object(list(zip(share, mine, strict=True)))
        return [answer for _, answer in sorted(gathered, key=lambda one: one[0])]

    def _checked_kl(self, answers: list[Answer], step: int) -> float:
        kl, most = fmean(answer.kl for answer in answers), self.options.max_kl
        if not kl <= most:  # nor is it where it is no number
            raise self._stop(f"the answers of step {step} are {kl:.4g} nats from the reference, over max_kl ({most:g})")
        return kl

    def _learn(self, answers: list[Answer], step: int, rate: float) -> dict[str, float | None]:
        experience = experience_of(answers, self.done.kl_coef, self.options, self.accelerator.device)
        try:
            return self.learner.learn(experience, rate, derived_seed(self.seed, "updates", step))
        except FloatingPointError as error:
            raise self._stop(f"{error} at step {step}") from None

    def _save_last(self) -> None:
        # Only now, when the answers of the next step have shown that the weights are still good.
        step, every = self.done.step, self.checkpoints.every_n_steps
        if step and step % every == 0 and is_first():
            kept = newest_state(self.checkpoints)
            if kept is None or kept.name != step_name(step):
                tokenizer = self.actors.engine.tokenizer
                save_state(self.checkpoints, self.actors.actor, self.learner.optimiser, tokenizer, self.done)
        self.accelerator.wait_for_everyone()

    def _skip(self, step: int) -> None:
        n = self.done.n_unrewarded + 1
        say(f"step {step} is skipped: none of its answers got a reward")
        if n >= self.options.max_unrewarded_steps:
            raise self._stop(f"{self.source.name}: no answer got a reward in {n} steps in a row, up to step {step}")
        self.done = Progress(step, self.done.kl_coef, n)

    def _stop(self, what: str) -> TrainingError:
        kept = newest_state(self.checkpoints)
        remains = f"the last good checkpoint is {kept}" if kept else "nothing is saved"
        return TrainingError(f"{what}; {remains}. Look at the reward, or try a lower learning rate or a higher kl_coef")


def _means(answers: list[Answer]) -> dict[str, float | None]:
    rewards = [answer.reward for answer in answers if answer.reward is not None]
    return {
        "reward": fmean(rewards),
        "length": fmean(len(answer.tokens) for answer in answers),
        "cut_off": fmean(cut_off(answer.finish_reason) is not None for answer in answers),
    }


def _trained(last: PPOStep | None, n_steps: int, n_answers: int) -> Trained:
    if last is None or last.policy_loss is None:
        raise TrainingError("no answer of any step got a reward: nothing was learnt, and nothing is saved")
    figures = {name: value for name, value in msgspec.structs.asdict(last).items() if isinstance(value, float)}
    return Trained(n_steps * n_answers, n_steps, last.policy_loss, figures)
