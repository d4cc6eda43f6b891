"""What was measured, in a file: a line for each turn and each kill, appended when it is done."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from records.disk.locked import repair_end


@dataclass(frozen=True)
class Turn:
    """One turn of a runner. Without verdicts it failed, or it was stopped after `wall_s` with `calls` answered."""

    runner: str
    name: str
    verdicts: int | None
    calls: int
    wall_s: float | None
    processor_s: float | None
    peak_mib: float | None
    reason: str = ""
    """Why there are no verdicts."""
    stored: str = ""
    """How many replies were on disk when it was stopped."""


@dataclass(frozen=True)
class Kill:
    """What a runner that was killed in the middle left on disk."""

    runner: str
    stored: str


@dataclass
class Results:
    """The file. Lines of other settings are kept and not read."""

    file: Path
    settings: dict[str, Any]

    def add(self, found: Turn | Kill) -> None:
        """Append a turn or a kill."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        if self.file.exists():
            repair_end(self.file)  # it may have been killed while it wrote
        line = {"kind": type(found).__name__, **asdict(found), "settings": self.settings}
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def turns(self, runner: str) -> list[Turn]:
        """Return the turns of a runner, oldest first."""
        return [Turn(**line) for line in self._lines("Turn") if line["runner"] == runner]

    def kill(self, runner: str) -> Kill | None:
        """Return the last kill of a runner."""
        found = [Kill(**line) for line in self._lines("Kill") if line["runner"] == runner]
        return found[-1] if found else None

    def _lines(self, kind: str) -> list[dict[str, Any]]:
        if not self.file.is_file():
            return []
        repair_end(self.file)
        lines = map(json.loads, self.file.read_text(encoding="utf-8").splitlines())
        return [
            {key: value for key, value in line.items() if key not in ("kind", "settings")}
            for line in lines
            if line["kind"] == kind and line["settings"] == self.settings
        ]
