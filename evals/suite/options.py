"""The flags of evals.suite."""

from dataclasses import dataclass, fields
from typing import Annotated, Any

import tyro

from console.command import Flags
from console.errors import InputError

Section = Annotated[dict[str, Any] | None, tyro.conf.Suppress]
"""The settings of one evaluation, as in its own --config file, and `off`, the reason why it is not run."""
OFF = "off"


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Evaluate a model in several ways. The evaluations are sections of the --config file."""

    model: str = ""
    """The model: iterN, a path or a hub id."""
    run: str | None = None
    """The run of iterN, a name in runs/ or a folder. The default is the newest one."""
    baselines: tuple[str, ...] = ("iter0",)
    """The models to compare it with in [head_to_head], [factuality] and [safety]."""
    only: tuple[str, ...] = ()
    """Only these sections, also if they are switched off."""
    alpaca: Section = None
    arena_hard: Section = None
    factuality: Section = None
    head_to_head: Section = None
    human: Section = None
    mt_bench: Section = None
    open_llm: Section = None
    reward_model: Section = None
    safety: Section = None

    def sections(self) -> dict[str, dict[str, Any]]:
        """Return the settings of each evaluation to run. Raises InputError if there is none.

        A section that is switched off is run only if --only names it.
        """
        given = self._given()
        if unknown := [name for name in self.only if name not in given]:
            raise InputError(f"--only {unknown[0]}: no such section; there are: {', '.join(given) or 'none'}")
        chosen = {
            name: settings for name, settings in given.items() if name in (self.only or set(given) - set(self.off()))
        }
        if not chosen:
            raise InputError("nothing to run: give --config FILE with a section for each evaluation, such as [alpaca]")
        return {
            name: {key: value for key, value in settings.items() if key != OFF} for name, settings in chosen.items()
        }

    def off(self) -> dict[str, str]:
        """Return why each section that is switched off is. Raises InputError if a section gives no reason."""
        reasons = {name: settings[OFF] for name, settings in self._given().items() if OFF in settings}
        for name, reason in reasons.items():
            if not isinstance(reason, str) or not reason.strip():
                raise InputError(f'[{name}] {OFF}: give the reason, such as {OFF} = "needs files of its own"')
        return {name: reason for name, reason in reasons.items() if name not in self.only}

    def _given(self) -> dict[str, dict[str, Any]]:
        return {name: getattr(self, name) for name in EVALUATIONS if getattr(self, name) is not None}


EVALUATIONS = tuple(field.name for field in fields(Config) if field.type == Section)
