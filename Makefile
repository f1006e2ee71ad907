# What can be run here; needs Python 3.10 or newer and make. `make help` lists it.
PYTHON ?= python3
BIN := .venv/bin
# Python 3.13.1 -> 3.13
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
SUPPORTED := 3.10 3.11 3.12 3.13
# An interpreter on the path, else one of pyenv's.
PYENV_ROOT ?= $(HOME)/.pyenv
find_python = $(or $(shell python$1 -c 'import sys; print(sys.executable)' 2>/dev/null),\
    $(lastword $(sort $(wildcard $(PYENV_ROOT)/versions/$1.*/bin/python$1))))
PACKAGED := $(shell find seldon_spec/ schemas -type f -not -name '*.pyc') pyproject.toml README.md LICENSE CHANGELOG.md

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# What is imported is what was installed.
unexport PYTHONPATH

.PHONY: help demo serve test test-all test-image lint types docs clean
.DELETE_ON_ERROR:
.SECONDARY:

help:
	@echo 'make demo      train the iris example, serve it, ask it over REST and gRPC, stop it'
	@echo 'make serve     serve the iris example until ^C'
	@echo 'make test      what CI runs: format, lint, types, docs, and the tests on the installed wheel'
	@echo 'make test-all  the tests on each Python of $(SUPPORTED) that is found, and on the oldest dependencies'
	@echo 'make test-image  builds images, runs them and asks them; with IMAGE_BUILDER and PYTHON_BASE, as root for buildah'
	@echo 'make lint, make types, make docs, make clean'

demo: examples/iris/iris.joblib
	$(BIN)/python scripts/demo.py

serve: examples/iris/iris.joblib
	exec $(BIN)/seldon-spec serve examples/iris

# The tests come last, so that their closing line is the last line.
test: lint types docs test-$(VERSION)

test-all: $(foreach version,$(SUPPORTED),$(if $(call find_python,$(version)),test-$(version))) \
    $(if $(call find_python,3.10),test-oldest)

# A name of its own, which the pattern of the tests below must not take for a version of Python.
test-image: .venv-$(VERSION)/.wheel
	@mkdir -p build/run
	cd build/run && ../../.venv-$(VERSION)/bin/pytest -c ../../pyproject.toml --rootdir ../.. --installed -m image ../../tests/image

lint: .venv/.tools
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: .venv/.tools
	$(BIN)/mypy

docs: .venv/.tools
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

clean:
	rm -rf .venv .venv-* build dist site examples/iris/iris.joblib

# The tests run outside the source tree: only the installed wheel can be imported.
test-%: .venv-%/.wheel
	@mkdir -p build/run
	cd build/run && ../../.venv-$*/bin/pytest -c ../../pyproject.toml --rootdir ../.. --installed ../../tests

examples/iris/iris.joblib: examples/iris/train.py .venv/.iris
	$(BIN)/python examples/iris/train.py

# The development environment: the package from the source tree and, as far as a target asks for them, the tools.
.venv/.package: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 10) or sys.exit("Python 3.10 or newer is needed: make PYTHON=…")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

.venv/.tools: .venv/.package
	$(BIN)/python -m pip install --quiet --group lint --group test --group docs --group build
	@touch $@

.venv/.iris: .venv/.package examples/iris/requirements.txt
	$(BIN)/python -m pip install --quiet --requirement examples/iris/requirements.txt
	@touch $@

# The wheel is built from the source distribution, so that both are complete.
build/.wheel: .venv/.tools $(PACKAGED)
	@rm -rf dist && mkdir -p build
	$(BIN)/python -m build --outdir dist . >build/wheel.log 2>&1 || { cat build/wheel.log; exit 1; }
	@touch $@

define install_wheel
$1/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
$1/bin/python -m pip install --quiet dist/*.whl --group test --requirement examples/iris/requirements.txt $2
$1/bin/python -m pip install --quiet --force-reinstall --no-deps dist/*.whl
@touch $@
endef

.venv-%/.wheel: build/.wheel examples/iris/requirements.txt
	test -x .venv-$*/bin/python || $(if $(filter $*,$(VERSION)),$(PYTHON),$(call find_python,$*)) -m venv .venv-$*
	$(call install_wheel,.venv-$*)

# The lowest version of each dependency that pyproject.toml allows, on the lowest Python.
.venv-oldest/.wheel: build/.wheel examples/iris/requirements.txt tests/oldest.txt
	test -x .venv-oldest/bin/python || $(call find_python,3.10) -m venv .venv-oldest
	$(call install_wheel,.venv-oldest,--constraint tests/oldest.txt)
