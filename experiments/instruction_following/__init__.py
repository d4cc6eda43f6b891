"""Following instructions whose form a program can check: what learning from one's own verdicts does to it."""
