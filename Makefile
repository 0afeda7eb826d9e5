# Each target first makes or updates .venv, if it is missing or the lock has changed.
# Needs python3 (3.11 to 3.13), make and git; everything else comes from the package index, as uv.lock says.

PYTHON ?= python3
# relative, since make would read a space, % or ? in the path of the clone as more than a letter
VENV := .venv
BACKENDS := .venv-backends
LAYER_TESTS := $(addprefix tests/coordconv/test_,add_coords.py coord_conv.py coordinates.py convert.py properties.py \
	docstrings.py exports.py guide.py torch.py)
UV := $(shell sed -n 's/.*"\(uv==[^"]*\)".*/\1/p' pyproject.toml)

export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export UV_PROJECT_ENVIRONMENT := $(VENV)
export UV_PYTHON_DOWNLOADS := never

.PHONY: setup repro test coverage test-backends soak ui lint docs screenshots bench example tutorial where readme

setup: $(VENV)/synced

$(VENV)/synced: uv.lock pyproject.toml src/notsoclevr/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
		|| { echo "setup: needs python 3.11 to 3.13, $(PYTHON) is `$(PYTHON) --version 2>&1`; try make PYTHON=python3.12" >&2; exit 2; }
	test -x $(VENV)/bin/uv || { $(PYTHON) -m venv $(VENV) && $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check $(UV); }
	$(VENV)/bin/uv sync --frozen --no-progress --quiet
	touch $@

## The main job: data, fourteen trainings, comparison; as many trainings at a time as there are cores, or JOBS.
repro: setup
	notsoclevr pipeline $(if $(JOBS),--jobs "$(JOBS)")

test: setup
	pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

## The tests, and how much of src/ they run in their own processes.
coverage: setup
	PYTEST_ADDOPTS="--cov --cov-report=term" $(MAKE) --no-print-directory test

## The layer's tests on JAX and PyTorch, in an environment of their own; what it exports; the agreement of all three
## backends; and the wheel in empty environments, with Keras as old and as new as it gets. On a GPU PyTorch would round
## the factors of a convolution to 10 bits (TF32), to which no tolerance of a test is fitted.
test-backends: export NVIDIA_TF32_OVERRIDE = 0
test-backends: setup $(BACKENDS)/synced
	for backend in jax torch; do KERAS_BACKEND=$$backend $(BACKENDS)/bin/python -m pytest --noconftest -W ignore $(LAYER_TESTS) || exit 1; done
	KERAS_BACKEND=tensorflow $(BACKENDS)/bin/python -m pytest --noconftest -W ignore tests/coordconv/test_exports.py
	BACKENDS_PYTHON="$(CURDIR)/$(BACKENDS)/bin/python" pytest tests/coordconv/test_backends.py tests/coordconv/test_distribution.py

$(BACKENDS)/synced: tests/coordconv/backends.txt
	test -x $(BACKENDS)/bin/python || $(PYTHON) -m venv $(BACKENDS)
	$(BACKENDS)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

## Ten minutes of kill -9 and damaged files, in temporary clones of the last commit.
soak: setup
	python -m tests.soak

## The MLflow UI, at http://127.0.0.1:5000; if MLFLOW_TRACKING_URI is a server, its address.
ui: setup
	@case "$$MLFLOW_TRACKING_URI" in http*) echo "the runs are at $$MLFLOW_TRACKING_URI";; \
		*) set -x; mlflow ui --backend-store-uri "$${MLFLOW_TRACKING_URI:-sqlite:///mlflow.db}" --default-artifact-root mlruns;; esac

## Measure benchmarks/*.csv, which the speed claims quote. An hour and a half, with nothing else running; BEFORE names commits to compare with.
bench: setup $(BACKENDS)/synced
	python benchmarks/layer.py
	python benchmarks/training.py
	python benchmarks/throughput.py
	python benchmarks/repro.py $(if $(BEFORE),--before $(BEFORE))

lint: setup
	ruff check
	ruff format --check
	mypy
	lint-imports

## The pages as a site, site/index.html. A warning, as of a link that leads nowhere, is an error.
docs: setup
	rm -rf site
	sphinx-build --fail-on-warning --keep-going --quiet --conf-dir docs . site

## The two screenshots of README.md, of what `make repro` made: docs/images.
screenshots: setup
	python -m docs.screenshots

## The numbers of the guide's examples: examples/*.txt.
example: setup
	python examples/locate.py --seeds 5 > examples/.example.part.txt && mv examples/.example.part.txt examples/locate.txt
	python examples/locate.py --epochs 30 > examples/.example.part.txt && mv examples/.example.part.txt examples/locate_long.txt
	python examples/crops.py > examples/.example.part.txt && mv examples/.example.part.txt examples/crops.txt

## Run examples/tutorial.ipynb again, in place, with what that needs beside .venv; two minutes on two cores.
tutorial: setup
	uv run --no-sync --with nbconvert==7.17.2 --with ipykernel==7.4.0 jupyter-nbconvert --to notebook --execute --inplace \
		--ExecutePreprocessor.record_timing=False examples/tutorial.ipynb

## Where to put the layer: examples/where.csv and the table of the guide. Forty minutes on one core.
where: setup
	python examples/where.py

## Put the tables of reports/comparison.md into README.md.
readme: setup
	notsoclevr readme
