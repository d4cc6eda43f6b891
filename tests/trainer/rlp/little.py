"""What the tests of whole runs of reward learning on policy learn from."""

FEW_ANSWERS = "".join(f'{{"prompt": "say {n}", "response": "point {n}"}}\n' for n in range(4))
"""The file `ift.jsonl`."""
