# strizh's commands. Each makes what it needs: the environment lives in .venv of this folder, and a second run finds it.
#
#   make demo    the embedded checkpoint becomes a bundle, sentences become vectors, and the parity report is shown
#   make test    every test
#   make interop the bundle in other engines, and the adapters in their frameworks, each in its own environment
#   make lint    ruff, and mypy --strict
#   make fuzz    random layers on every instruction set against each other, with sanitizers, for SECONDS (60) from SEED
#   make test-arm64  the same program for arm64 under qemu-user (Debian: g++-aarch64-linux-gnu and qemu-user)
#   make cuda    the CUDA operators, with nvcc
#   make tensorrt  every architecture's graph, and a bundle's engines, built by TensorRT for RTX, which needs no GPU
#                  (its licence is NVIDIA's)
#   make clean   remove all that these commands made

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
VIEW   := build/types/strizh

# What the editable install has to be made again for; edited Python files are seen at once.
BUILT_FROM := pyproject.toml runtime/facade.py \
  $(shell find kernels -name CMakeLists.txt -o -name '*.c' -o -name '*.cpp' -o -name '*.cu' -o -name '*.h' -o -name '*.inc')

.DELETE_ON_ERROR:
.PHONY: demo test interop fuzz test-arm64 cuda tensorrt lint ruff mypy clean

demo: $(VENV)/.has-export
	$(BIN)/strizh export tests/data/rope-e5-tiny-ru --output bundles/rope-e5-tiny-ru --force
	$(BIN)/python examples/similarity.py bundles/rope-e5-tiny-ru
	$(BIN)/strizh inspect bundles/rope-e5-tiny-ru

test: $(VENV)/.has-test
	$(BIN)/python -P -m pytest -q -rs $(PYTEST_ARGS)

ENVIRONMENTS := build/benchmarks/environments
ENGINES      := openvino fastembed optimum node adapters

interop: $(VENV)/.has-test $(ENGINES:%=$(ENVIRONMENTS)/%/complete)
	$(BIN)/python -P -m pytest -q -rs tests/interop
	$(ENVIRONMENTS)/adapters/bin/python -P -m pytest -q -rs tests/runtime/adapters

$(ENVIRONMENTS)/%/complete: benchmarks/environments/%.txt | $(VENV)/.has-test
	$(BIN)/python benchmarks/install.py $*

$(ENVIRONMENTS)/node/complete: benchmarks/environments/node.json | $(VENV)/.has-test
	$(BIN)/python benchmarks/install.py node

SECONDS ?= 60
SEED    ?= 1

fuzz: build/native-sanitized/differ
	$< --seconds $(SECONDS) --seed $(SEED)

test-arm64: build/native-arm64/differ
	qemu-aarch64 -L /usr/aarch64-linux-gnu $< --isa neon --seconds $(SECONDS) --seed $(SEED)

cuda: $(BIN)/pip
	$(BIN)/pip install --quiet --editable . -C cmake.define.STRIZH_CUDA=ON

tensorrt: $(VENV)/.has-test $(ENVIRONMENTS)/tensorrt/complete
	$(ENVIRONMENTS)/tensorrt/bin/python -P -m pytest -q -rs tests/export/targets/test_tensorrt.py tests/export/engines -k builds

build/native-%/differ: FORCE
	cd tests/kernels/native && cmake --preset $* && cmake --build --preset $*
FORCE:

lint: ruff mypy

ruff: $(VENV)/.has-test
	$(BIN)/ruff check .

mypy: $(VENV)/.has-test $(VIEW)/__init__.py
	$(BIN)/mypy -p strizh -p benchmarks

clean:
	rm -rf build bundles $(VENV) .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

# .venv/.has-EXTRA: strizh is installed with that extra. The extra `test` pins torch itself, so that one resolution
# sees the pin before anything that merely needs some torch.
$(VENV)/.has-%: $(BUILT_FROM) | $(BIN)/pip
	$(BIN)/pip install --quiet --editable '.[$*]'
	@touch $@

$(BIN)/pip:
	$(PYTHON) -m venv $(VENV)

# An editable install is an import hook, which mypy does not see: it reads the same files through these links.
$(VIEW)/__init__.py: runtime/facade.py
	@mkdir -p $(VIEW)
	@ln -sfn ../../../export $(VIEW)/export
	@ln -sfn ../../../runtime $(VIEW)/runtime
	@ln -sfn ../../../kernels $(VIEW)/kernels
	@ln -sfn ../../benchmarks $(VIEW)/../benchmarks
	@cp $< $@
