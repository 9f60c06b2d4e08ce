# One word a job. `make demo` and `make test` set up everything they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO ?= .demo
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: setup demo test check format lint types bench bench-generate train-embedded clean

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "gifcli needs Python 3.11 or newer; found " + sys.version.split()[0] + "; try: make setup PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: setup
	$(BIN)/python examples/demo_photos.py $(DEMO)/photos
	$(BIN)/gif expand $(DEMO)/photos --ratio 5x -o $(DEMO)/photos-5x --if-exists extend || [ $$? -eq 4 ]
	@echo "Look at $(DEMO)/photos-5x/report/index.html, and train on $(DEMO)/photos-5x/train"

test: setup
	$(BIN)/python -m pytest -n auto --dist loadfile --maxprocesses 4

check: setup format lint types test

format: setup
	$(BIN)/ruff format --check .

lint: setup
	$(BIN)/ruff check .

types: setup
	$(BIN)/mypy

bench-generate: setup
	$(BIN)/python benchmarks/generate.py

bench: setup
	$(BIN)/python benchmarks/stages.py

# DATA: Parquet files or folders of images. Hours on a CPU, minutes on a GPU; each script goes on where it was killed.
DATA ?= photos
train-embedded: export PYTHONPATH = src
train-embedded: setup
	$(BIN)/python training/pack.py $(DATA)
	$(BIN)/python training/autoencoder.py --minutes 22
	$(BIN)/python training/finish.py
	$(BIN)/python training/features.py
	$(BIN)/python training/latents.py --size 64
	$(BIN)/python training/latents.py --size 128 --most 12000
	$(BIN)/python training/maps.py
	$(BIN)/python training/denoiser.py --minutes 85
	$(BIN)/python training/export.py
	$(BIN)/python training/memory_index.py

clean:
	rm -rf $(DEMO) build dist .pytest_cache .mypy_cache .ruff_cache
