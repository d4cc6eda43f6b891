"""The checkers are loaded without a network, a message, or a wait before they are needed."""

import subprocess
import sys

from tests.conftest import ROOT

QUIET = """
import socket, sys, urllib.request

def refuse(*_, **__):
    sys.exit("the network was asked")

socket.create_connection = socket.getaddrinfo = refuse
import nltk
nltk.download = refuse
from judges.tools.constraints.checking import check_constraints
from records.rows import Constraint

sentences = Constraint(kind="length_constraints:number_sentences", kwargs={"relation": "at least", "num_sentences": 2})
language = Constraint(kind="language:response_language", kwargs={"language": "de"})
checked = check_constraints("p", "12. 34.", [sentences, language])
assert checked[1].strict == "followed", checked
assert "LOCAL_RANK" not in __import__("os").environ
"""
LIGHT = """
import sys
import judges.tools.constraints.checking
print([name for name in ("nltk", "lm_eval", "langdetect", "torch") if name in sys.modules])
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_nothing_is_downloaded_or_printed() -> None:
    done = run(QUIET)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_libraries_are_loaded_only_if_an_answer_is_checked() -> None:
    assert run(LIGHT).stdout.strip() == "[]"
