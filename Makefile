# make demo   make the environment, install, run the quick start
# make test   make the environment, install, run the tests
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: demo test lint docs examples benchmarks soak

demo: .venv/installed
	$(BIN)/python examples/plot_quickstart.py

# Two processes, each with a thread; the tests of a file stay together.
test: .venv/installed
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# Pictures are drawn, and no window opens.
examples: export MPLBACKEND := agg

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Runs the examples too, for their pictures. The pages lie in docs/_build/html/index.html.
docs: .venv/installed
	$(BIN)/python -m sphinx -W --keep-going -q -d docs/_build/doctrees docs docs/_build/html

examples: .venv/installed
	for file in examples/plot_*.py; do echo $$file; $(BIN)/python $$file || exit 1; done

# Sizes that only show that a benchmark runs; the numbers mean nothing.
benchmarks: .venv/installed
	for file in benchmarks/[a-z]*.py; do echo $$file; $(BIN)/python $$file --tiny || exit 1; done

# Hours: inputs of every reader, calls, flipped bits, kills. SEED=1 tries others.
SEED ?= 0
soak: .venv/installed
	$(BIN)/python tests/soak/fuzz.py --seed $(SEED)
	$(BIN)/python tests/soak/flips.py
	$(BIN)/python benchmarks/kills.py --kills 50 --seed $(SEED)

.venv/installed: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e ".[dev]"
	touch $@
