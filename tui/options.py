"""The settings of python -m tui."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from console.command import Flags
from console.ranges import Port
from console.writing import OutFile, OutRows


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Browse verdicts, and overrule them."""

    source: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()
    """A run, an iteration's folder, or one or several files. The default is the newest run."""
    filter: str = ""
    """Begin with this filter, such as "flipped:yes margin<1"."""
    sort: str | None = None
    """Begin sorted by this column: prompt, winner, a, b, margin, spread, delta, flipped, human, iter, judge, ..."""
    reverse: bool = False
    """From the highest value to the lowest."""
    kind: Literal["pair", "comparison", "judgment", "response", "all"] | None = None
    """The kind of row to begin with. The default is the first of these that there is."""
    blind: bool = False
    """Begin with blind voting: the sides are shuffled by --seed, names and verdicts hidden until you vote."""
    queue: Literal["random", "uncertain", "disagreement"] | None = None
    """Begin with the rows in this order for voting."""
    voter: str | None = None
    """Your name in the votes. The default is the name of your account."""
    votes: OutRows | None = None
    """The file of the votes. The default is votes.jsonl in the run, or beside the file."""
    codes: str | None = None
    """The meaning of labels, like 0=a,1=b,2=tie, if a is the first answer. 1, 2, a, b and tie are known."""
    theme: Literal["dark", "light", "high-contrast"] = "dark"
    """The colours."""
    keys: Path | None = None
    """A TOML file with your own keys, such as vote.first = "a". The help of the screen (?) lists the actions."""
    statistics: bool = False
    """Print the figures of the rows that pass the filter, then stop."""
    screenshot: OutFile | None = None
    """Write a picture of the screen (120 x 40 cells) to this .svg file, then stop."""
    press: str = ""
    """Keys to press before --screenshot, with commas between, such as v,v,i."""
    serve: bool = False
    """Show the screen in a browser, until Ctrl+C. Each tab has a process and a screen of its own."""
    host: str = "127.0.0.1"
    """The address for --serve. Others than this machine's own let everybody who reaches it read and vote."""
    port: Port = 8000
    """The port for --serve. 0 takes a free one."""
