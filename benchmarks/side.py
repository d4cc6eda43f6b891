"""The command line of a benchmark's side, which another process starts. It needs nothing but Python itself."""

import sys


def arguments(doc: str | None, *names: str) -> list[str]:
    """Return the arguments called `names`. With --help or a wrong number of them, print `doc` or an error and exit."""
    given = sys.argv[1:]
    if {"-h", "--help"} & set(given):
        print((doc or "").strip())
        sys.exit(0)
    if len(given) != len(names):
        print(f"error: {len(given)} arguments, expected {' '.join(names) or 'none'}; --help says more", file=sys.stderr)
        sys.exit(2)
    return given
