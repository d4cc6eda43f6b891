"""Serve a judge over HTTP: decisions as the openai SDK asks for them, scores, comparisons and rewards.

python -m judges.serve --model smollm2                          on http://127.0.0.1:8300
python -m judges.serve --model iter3 --rubric criteria          the judge that a run trained
python -m judges.serve --model my-model --base-url http://localhost:8000/v1 --read text --samples 3
python -m judges.serve --judge smollm2 --judge big@http://localhost:8000/v1     a panel
python -m judges.serve --tool constraints --verify share        rewards by what a program can check
python -m judges.serve --host 0.0.0.0 --key-env JUDGE_KEY       for other machines, which send that key

The paths are /v1/decisions, /score, /compare, /group, /reward, /verify, /v1/models, /health and /metrics: docs/serve.md
has the form of each. Questions of different callers are asked together. A verdict is stored and not asked for again.
SIGTERM and Ctrl-C finish what is under way. A second one stops at once.
"""

from console.again import starts_again
from console.command import run
from judges.serve.options import Config


@starts_again
def main(config: Config) -> None:
    """Load the judge and serve it until a signal."""
    from judges.serve.serving import serve

    serve(config)


if __name__ == "__main__":
    run(Config, main, "python -m judges.serve")
