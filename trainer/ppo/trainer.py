"""The training loop: draw answers, reward them, learn from them a few times, and again.

With several processes each draws its share of a step's answers, then all exchange them, so that means and deviations
are those of the whole step, and each learns from its share of every optimiser step. The drawn answers and their order
do not depend on the number of processes.
"""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import msgspec
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object

from console.errors import JudgeError, TrainingError
from console.progress import progress, say
from engines.likelihood import answer_tokens
from engines.local.transformers_engine import TransformersEngine
from engines.models import context_of, model_digest
from records import Prompt, Store, messages_of
from records.finish import cut_off
from records.keys import content_key, derived_seed
from records.rows import Row
from trainer.ppo.actor import ActorCritic, load_value, settle
from trainer.ppo.optimizer import make_optimizer, settled_ppo
from trainer.ppo.options import PPOOptions, adapted, check_ppo, learning_rate_at, n_steps_of
from trainer.ppo.reference import frozen_copy, without_adapter
from trainer.ppo.rewards import RewardSource
from trainer.ppo.rollout import Actors, Answer, EncodedPrompt, experience_of, roll_out
from trainer.ppo.sampler import open_actors
from trainer.ppo.state import (
    Progress,
    load_progress,
    load_weights,
    newest_state,
    save_state,
    step_name,
    write_policy,
)
from trainer.ppo.update import Learner, seeded_order
from trainer.training.checkpoints import Checkpoints, checkpoints_in, clear_unfinished, keep_policy, seal
from trainer.training.fit import load_policy
from trainer.training.memory.float32 import Float32Weights, wide
from trainer.training.metrics.recording import recording, row_of
from trainer.training.options import deciding
from trainer.training.outcome import REPORT, Trained
from trainer.training.processes import is_first, is_sharded, n_processes
from trainer.training.sharding import reshard

NOT_THE_TRAINING = ("save_every_n_steps", "max_kl", "max_unrewarded_steps")
"""Settings that change when a training stops or saves, and none of its steps."""
LEAST_STEPS = 5
"""Steps before too few verdicts stop a training, so that it is no chance."""


class PPOStep(Row, frozen=True, kw_only=True):
    """The figures of one step. Means are over its rewarded answers, and None if there are none."""

    id: str
    step: int
    n_null: int
    """Answers without a reward, which are not learned from."""
    kl_coef: float
    learning_rate: float
    reward: float | None = None
    """Mean reward of the source, less the penalty for answers that were cut off."""
    kl: float | None = None
    """KL(policy || reference) in nats per answer, estimated as the mean log-ratio of the answers (k1)."""
    length: float | None = None
    """Tokens per answer, including its end token."""
    cut_off: float | None = None
    """The share of answers that reached response_length without an end."""
    explained_variance: float | None = None
    """1 - Var(return - value) / Var(return), with the values before the step."""
    policy_loss: float | None = None
    value_loss: float | None = None
    entropy: float | None = None
    """Entropy of the next-token distribution, in nats."""
    approx_kl: float | None = None
    """KL between the policies before and after the updates of a step, in nats per token."""
    clip_fraction: float | None = None
    """The share of tokens whose loss was clipped."""
    seconds: float = 0.0


def make_accelerator() -> Accelerator:
    """Return accelerate's view of the processes, in bfloat16 if a GPU has it.

    ACCELERATE_MIXED_PRECISION takes precedence, as for the other trainers, because a process has only one precision.
    """
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

    Beside `out` it writes a row of figures per step (`.steps.jsonl`) and checkpoints (`.checkpoints`), from which a
    stopped training resumes with the same numbers. Raises InputError for a bad setting. Raises TrainingError if no
    prompt fits, a loss is not a number, the policy diverges from the reference by more than `max_kl`, or answers no
    longer get rewards. Raises JudgeError if a judge gives too few verdicts.
    """
    check_ppo(options, n_processes())
    accelerator = make_accelerator()
    settings = {name: value for name, value in deciding(options).items() if name not in NOT_THE_TRAINING}
    if options.rollout_engine != "vllm":
        settings.pop("rollout_engine")  # so that a training from before there was a choice goes on
    texts = [(prompt.prompt, prompt.system) for prompt in prompts]
    key = content_key("ppo", model_digest(parent), source.name, source.digest, settings, seed, texts)
    checkpoints = Checkpoints(checkpoints_of(out), options.save_every_n_steps, key)
    trainer = _Trainer.open(parent, source, options, seed, checkpoints, accelerator, title)
    encoded = _fitting(trainer.actors.engine, prompts, options)
    n_steps, last = n_steps_of(options, len(encoded)), None
    nulls: list[int] = []
    with (
        _log(out) as log,
        recording(out, options.report_to) as recorder,
        progress(title, n_steps, trainer.done.step) as advance,
    ):
        recorder.begin(_rows(log, key, trainer.done.step))
        while trainer.done.step < n_steps:
            step = trainer.step(encoded, n_steps)
            last = last if step.kl is None else step
            if log is not None and step.id not in log:  # a resumed training repeats the steps after its checkpoint
                log.append(step)
            recorder.record(_row(step))
            nulls.append(step.n_null)
            _check_coverage(source, nulls, options.rollout_batch_size, step.step)
            advance(1)
        recorder.draw()
    trained = _trained(last, n_steps, options.rollout_batch_size)
    unfinished = out.with_name(f"{out.name}.tmp")
    with wide(trainer.learner.kept):
        write_policy(trainer.actors.actor, trainer.actors.engine.tokenizer, unfinished, merge=options.lora.merge)
    if is_first():
        (unfinished / REPORT).write_bytes(msgspec.json.encode(trained))
        seal(unfinished, out, n_steps)
        for folder in checkpoints_in(checkpoints.folder, key):
            keep_policy(folder)  # nothing goes on from there any more
    accelerator.wait_for_everyone()
    return trained


def _check_coverage(source: RewardSource, nulls: Sequence[int], n_answers: int, step: int) -> None:
    """Raise JudgeError if too few answers of the steps since the start of this process have a reward."""
    coverage = 1 - sum(nulls) / (len(nulls) * n_answers)
    if len(nulls) >= LEAST_STEPS and coverage < source.min_coverage:
        raise JudgeError(
            f"{source.name}: only {coverage:.0%} of the answers got a verdict up to step {step}, less than "
            f"{source.min_coverage:.0%}; look at the verdicts beside the model, or lower --judge.min-coverage"
        )


def _rows(log: Store[PPOStep] | None, key: str, n_done: int) -> list[dict[str, float]]:
    """Return the figures of the first `n_done` steps of a training that goes on."""
    rows = list(log.latest()) if log is not None else []
    return [_row(row) for row in rows if row.step <= n_done and row.id.startswith(f"{key}-")]


def _row(step: PPOStep) -> dict[str, float]:
    return row_of(step.step, msgspec.structs.asdict(step))


def checkpoints_of(out: Path) -> Path:
    """Return the folder of the checkpoints on the way to `out`."""
    return out.with_name(f"{out.name}.checkpoints")


def log_of(out: Path) -> Path:
    """Return the file with one PPOStep per step on the way to `out`."""
    return out.with_name(f"{out.name}.steps.jsonl")


@contextmanager
def _log(out: Path) -> Iterator[Store[PPOStep] | None]:
    with Store(log_of(out), PPOStep) if is_first() else nullcontext() as log:
        yield log


def _fitting(engine: TransformersEngine, prompts: Sequence[Prompt], options: PPOOptions) -> list[EncodedPrompt]:
    """Return the prompts that are short enough, encoded. Raises TrainingError if there are none."""
    chats = [messages_of(prompt.prompt, prompt.system) for prompt in prompts]
    tokens = [answer_tokens(engine, chat, "")[0] for chat in chats]
    context = context_of(engine.model.config)
    most = min(options.query_length, context - options.response_length)
    texts = [prompt.prompt if prompt.system is None else chat for prompt, chat in zip(prompts, chats, strict=True)]
    short = [EncodedPrompt(text, ids) for text, ids in zip(texts, tokens, strict=True) if len(ids) <= most]
    limit = f"--query-length ({options.query_length}), or the context of {context} less --response-length"
    if not short:
        raise TrainingError(
            f"none of {len(prompts)} prompts is within {limit}; raise --query-length or lower --response-length"
        )
    if len(short) < len(prompts):
        say(f"{len(prompts) - len(short)} of {len(prompts)} prompts left out: longer than {limit}")
    return short


@dataclass
class _Trainer:
    source: RewardSource
    options: PPOOptions
    seed: int
    checkpoints: Checkpoints
    accelerator: Accelerator
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
        accelerator: Accelerator,
        title: str,
    ) -> "_Trainer":
        """Load the models, and the state of this training if it was stopped."""
        if is_first():
            clear_unfinished(checkpoints)
        state = newest_state(checkpoints)
        if state is None and is_first() and checkpoints_in(checkpoints.folder):
            others = "other prompts, settings, reward, reward model's engine, or parent"
            say(f"{checkpoints.folder}: not resumed, it is of another training ({others}); this one begins at step 1")
        lora, memory = options.lora, settled_ppo(parent, options, title)
        policy, tokenizer = load_policy(state or parent, options.chat_template_kwargs, lora, seed, memory)
        reference = without_adapter(policy, parent) if lora.r else frozen_copy(parent, accelerator, memory)
        value = load_value(parent, source.folder, tokenizer, lora, seed, memory)
        actor = ActorCritic(policy, value, options.temperature)
        if state and (is_first() or not is_sharded()):
            load_weights(state, actor)
        settle(actor, checkpointing=memory.checkpointing)
        actors = open_actors(actor, reference, tokenizer, parent, options, accelerator)
        optimiser = make_optimizer(actor, memory.optim, options)
        kept = Float32Weights(optimiser) if memory.keeps_float32 and not lora.r else None
        done = load_progress(state, actor, optimiser) if state else Progress(kl_coef=options.kl_coef)
        model = actor if is_sharded() else accelerator.prepare_model(actor)
        learner = Learner(model, optimiser, accelerator, options, actors.filler, kept)
        return cls(source, options, seed, checkpoints, accelerator, actors, learner, done)

    def step(self, prompts: list[EncodedPrompt], n_steps: int) -> PPOStep:
        """Draw, reward and learn, and return the figures of the step."""
        started, step, kl_coef = time.monotonic(), self.done.step + 1, self.done.kl_coef
        answers = self._answers(prompts, step)
        rewarded = [answer for answer in answers if answer.reward is not None]
        rate = learning_rate_at(self.options, step, n_steps)
        figures = PPOStep(
            id=f"{self.checkpoints.key}-{step:06d}",
            step=step,
            n_null=len(answers) - len(rewarded),
            kl_coef=kl_coef,
            learning_rate=rate,
        )
        if not rewarded:
            self._skip(step)
        else:
            kl = self._checked_kl(rewarded, step)
            self._save_last()
            learned = self._learn(rewarded, step, rate)
            figures = msgspec.structs.replace(figures, kl=kl, **_means(rewarded), **learned)
            self.done = Progress(step, adapted(kl_coef, kl, len(rewarded), self.options))
        return msgspec.structs.replace(figures, seconds=time.monotonic() - started)

    def _answers(self, prompts: list[EncodedPrompt], step: int) -> list[Answer]:
        """Return the answers of a step, all of them on every process."""
        size, n = self.options.rollout_batch_size, len(prompts)
        # The place of an answer in the whole training gives its epoch, its prompt and its seed.
        places = range((step - 1) * size, step * size)
        share = places[self.accelerator.process_index :: self.accelerator.num_processes]
        orders = {epoch: seeded_order(n, self.seed, "prompts", epoch) for epoch in {place // n for place in places}}
        drawn = [prompts[int(orders[place // n][place % n])] for place in share]
        seeds = [derived_seed(self.seed, "answer", place) for place in share]
        answers = roll_out(self.actors, self.source, drawn, seeds, self.options)
        if is_sharded():
            reshard(self.actors.actor)
        gathered = gather_object(list(zip(share, answers, strict=True)))
        # By the place alone, because answers cannot be compared.
        return [answer for _, answer in sorted(gathered, key=lambda placed: placed[0])]

    def _checked_kl(self, answers: list[Answer], step: int) -> float:
        kl, most = fmean(answer.kl for answer in answers), self.options.max_kl
        if not kl <= most:  # also true if kl is NaN
            raise self._stop(f"the answers of step {step} are {kl:.4g} nats from the reference, over max_kl ({most:g})")
        return kl

    def _learn(self, answers: list[Answer], step: int, rate: float) -> dict[str, float | None]:
        experience = experience_of(answers, self.done.kl_coef, self.options, self.accelerator.device)
        try:
            return self.learner.learn(experience, rate, derived_seed(self.seed, "updates", step))
        except FloatingPointError as error:
            raise self._stop(f"{error} at step {step}") from None

    def _save_last(self) -> None:
        # Only now, because the answers of the next step have shown that the weights are still good.
        step, every = self.done.step, self.checkpoints.every_n_steps
        if step and step % every == 0:
            newest = newest_state(self.checkpoints) if is_first() else None
            is_due = [newest is None or newest.name != step_name(step)]
            broadcast_object_list(is_due)
            if is_due[0]:
                actors, learner = self.actors, self.learner
                tokenizer = actors.engine.tokenizer
                save_state(self.checkpoints, actors.actor, learner.optimiser, tokenizer, self.done, learner.kept)
        self.accelerator.wait_for_everyone()

    def _skip(self, step: int) -> None:
        n = self.done.n_unrewarded + 1
        say(f"step {step} is skipped: none of its answers got a reward")
        if n >= self.options.max_unrewarded_steps:
            raise self._stop(f"{self.source.name}: no answer got a reward in {n} steps in a row, up to step {step}")
        self.done = Progress(step, self.done.kl_coef, n)

    def _stop(self, reason: str) -> TrainingError:
        newest = newest_state(self.checkpoints)
        remains = f"the last good checkpoint is {newest}" if newest else "nothing is saved"
        return TrainingError(
            f"{reason}; {remains}. Look at the reward, or try a lower learning rate or a higher kl_coef"
        )


def _means(answers: list[Answer]) -> dict[str, float | None]:
    rewards = [answer.reward for answer in answers if answer.reward is not None]
    return {
        "reward": fmean(rewards),
        "length": fmean(len(answer.tokens) for answer in answers),
        "cut_off": fmean(cut_off(answer.finish_reason) is not None for answer in answers),
    }


def _trained(last: PPOStep | None, n_steps: int, n_answers: int) -> Trained:
    if last is None or last.policy_loss is None:
        raise TrainingError("no answer of any step got a reward: nothing was learned, and nothing is saved")
    figures = {name: value for name, value in msgspec.structs.asdict(last).items() if isinstance(value, float)}
    return Trained(n_steps * n_answers, n_steps, last.policy_loss, figures)
