# fastconv: `make help` lists the targets.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
SOURCES := setup.py pyproject.toml $(shell find csrc fastconv -type f \( -name '*.py' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.[ch]' -o -name '*.npz' -o -name '*.toml' \) -not -name '*.abi3.c' 2>/dev/null | grep -v '_kernels/.*\.c$$')

.PHONY: help demo test test-all lint bench bench-peers examples dev check clean size

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.installed  ## build, install into .venv, train a CNN on real digits, save it, load it elsewhere
	@cd / && $(abspath $(BIN))/fastconv demo

test: $(VENV)/.tests  ## build, install into .venv, run the whole test suite
	$(BIN)/pytest tests

test-all: $(VENV)/.extras  ## the same with the extras (PyTorch, ONNX Runtime, Pillow, matplotlib), so that nothing skips for want of them
	$(BIN)/pytest tests -rs

lint: $(VENV)/.lint  ## ruff and cython-lint (lines of C, long files: tests/test_architecture.py)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH=$(abspath $(BIN)):$$PATH cython-lint fastconv/_kernels

bench: $(VENV)/.tests  ## time every kernel against NumPy, with its share of this machine's peak
	$(BIN)/pytest benchmarks --benchmark-only

bench-peers: $(VENV)/.peers  ## the same layers and networks in PyTorch, ONNX Runtime, OpenVINO and Keras, in turns
	FASTCONV_KERAS_PYTHON=$(abspath $(VENV))-keras/bin/python $(BIN)/python benchmarks/peers layers
	FASTCONV_KERAS_PYTHON=$(abspath $(VENV))-keras/bin/python $(BIN)/python benchmarks/peers training --threads 2
	$(BIN)/python benchmarks/onnx_models.py --out build/onnx
	$(BIN)/python benchmarks/peers inference --models build/onnx --batch 1 16 --threads 1 2
	$(BIN)/python benchmarks/peers start --models build/onnx --match resnet50
	$(BIN)/python benchmarks/peers flat --models build/onnx --match 'resnet18|tutorial'
	$(BIN)/python benchmarks/peers scaling
	$(BIN)/python benchmarks/peers denormals

examples: $(VENV)/.installed  ## run the examples on the carried digits, briefly
	$(BIN)/python tools/run_examples.py

dev:  ## build the extensions in place (needs Cython, setuptools and NumPy in $(PYTHON))
	$(PYTHON) setup.py -q build_clib build_ext --inplace

size:  ## lines per file, largest first; files over 500 lines give their reason
	@git ls-files '*.py' '*.pyx' '*.pxd' '*.c' '*.h' | xargs wc -l | sort -rn | head -25

clean:  ## remove everything that was built
	rm -rf build dist .venv .venv-keras *.egg-info fastconv/_kernels/*.so fastconv/_kernels/*.c
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

check:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "fastconv needs Python 3.11 or newer as $(PYTHON): install it, or call make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "fastconv needs Python's venv module: install it (Debian: apt-get install python3-venv)"; exit 1; }
	@$(PYTHON) -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' || \
	  { echo "fastconv needs Python's headers (Python.h): install them (Debian: apt-get install python3-dev)"; exit 1; }
	@command -v $${CC:-cc} >/dev/null 2>&1 || \
	  { echo "fastconv needs a C compiler, and $${CC:-cc} is not on the PATH: install one (Debian: apt-get install gcc), or set CC"; exit 1; }

$(VENV)/.created: | check
	@echo "making $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.created $(SOURCES)
	@echo "building the wheel ..."
	@rm -rf dist && $(BIN)/pip wheel -q --disable-pip-version-check --no-deps -w dist .
	@$(BIN)/pip install -q --disable-pip-version-check dist/fastconv-*.whl
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps --force-reinstall dist/fastconv-*.whl
	@touch $@

$(VENV)/.tests: $(VENV)/.installed
	@$(BIN)/pip install -q --disable-pip-version-check 'pytest>=8' 'pytest-benchmark>=4'
	@touch $@

$(VENV)/.extras: $(VENV)/.tests
	@$(BIN)/pip install -q --disable-pip-version-check Pillow matplotlib 'torch==2.13.0' onnx onnxruntime
	@touch $@

$(VENV)/.peers: $(VENV)/.tests
	@$(BIN)/pip install -q --disable-pip-version-check matplotlib 'torch==2.13.0' onnx onnxruntime openvino
	@$(PYTHON) -m venv $(VENV)-keras && $(VENV)-keras/bin/pip install -q --disable-pip-version-check tensorflow-cpu
	@touch $@

$(VENV)/.lint: $(VENV)/.created
	@$(BIN)/pip install -q --disable-pip-version-check 'ruff==0.17.5' 'cython-lint>=0.16'
	@touch $@
