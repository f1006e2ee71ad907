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
# What a test target runs: files or folders.
TESTS ?= tests
PACKAGED := $(shell find seldon_spec/ schemas -type f -not -name '*.pyc') pyproject.toml README.md LICENSE CHANGELOG.md

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# What is imported is what was installed, and is compiled once, not by each of the thousands of processes of the tests.
unexport PYTHONPATH
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo serve test test-all test-latest test-image test-clients test-browser test-ray test-runtimes test-pages test-benchmarks lint types docs lock clean
.DELETE_ON_ERROR:
.SECONDARY:

help:
	@echo 'make demo      train the iris example, serve it, send REST and gRPC requests, stop it'
	@echo 'make serve     serve the iris example until ^C'
	@echo 'make test      format, lint, types, docs, and the tests on the installed wheel'
	@echo 'make test-all  the tests on each Python of $(SUPPORTED) that is found, and on the oldest dependencies'
	@echo 'make test-oldest, make test-latest  the tests on the oldest and on the newest dependencies; TESTS="tests/config ..." selects'
	@echo 'make test-image  builds images, runs them and sends requests; with IMAGE_BUILDER and PYTHON_BASE, as root for buildah'
	@echo 'make test-clients  installs the clients of Triton and KServe, and sends requests from them to the server'
	@echo 'make test-browser  installs Playwright, and uses the web page in Chromium (Debian package chromium)'
	@echo 'make test-ray  installs Ray, compares its responses with those of the server, and tests the command ray'
	@echo 'make test-runtimes  installs the libraries of model files, trains small models, and serves them'
	@echo 'make test-pages  runs the examples, what init writes, and the commands of README and docs as pasted'
	@echo 'make test-benchmarks  runs the commands of benchmarks/ on real servers; with wrk and h2load'
	@echo 'make lock      update requirements/ after a change in pyproject.toml; UPGRADE=1 moves to the newest releases'
	@echo 'make lint, make types, make docs, make clean'

demo: examples/iris/iris.joblib
	$(BIN)/python scripts/demo.py

serve: examples/iris/iris.joblib
	exec $(BIN)/seldon-spec serve examples/iris

# The tests come last, so that their closing line is the last line.
test: lint types docs test-$(VERSION)

test-all: $(foreach version,$(SUPPORTED),$(if $(call find_python,$(version)),test-$(version))) \
    $(if $(call find_python,3.10),test-oldest)

# A rule of its own, so that the pattern of the tests below does not take "image" for a version of Python.
test-image: .venv-$(VERSION)/.wheel
	$(call run_tests,.venv-$(VERSION),tests/image,-m image)

# The clients cannot be imported together: each has an environment of its own.
test-clients: .venv-$(VERSION)/.wheel build/clients/.venv-triton/.locked build/clients/.venv-kserve/.locked
	$(call run_tests,.venv-$(VERSION),tests/clients tests/test_readme.py,-m clients --clients ../clients)

test-pages: .venv-$(VERSION)/.wheel
	$(call run_tests,.venv-$(VERSION),tests,-m "pages and not clients" $(PARALLEL))

test-benchmarks: .venv-$(VERSION)/.wheel
	$(call run_tests,.venv-$(VERSION),tests/benchmarks,-m benchmarks $(PARALLEL))

# In an environment of its own: pytest runs with Playwright. It also tests the documentation that "docs" has built.
test-browser: .venv-browser/.wheel docs
	$(call run_tests,.venv-browser,tests/browser,-m browser --numprocesses 2 --dist loadfile)

# In an environment of its own: Ray is large, and needs other packages than the tests.
test-ray: .venv-ray/.wheel
	$(call run_tests,.venv-ray,tests/ray,-m ray)

# In an environment of its own: the libraries of model files are large.
test-runtimes: .venv-runtimes/.wheel
	$(call run_tests,.venv-runtimes,tests/runtimes,-m runtimes)

lint: .venv/.tools
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python scripts/check_words.py

types: .venv/.tools
	$(BIN)/mypy

docs: .venv/.tools
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

clean:
	rm -rf .venv .venv-* build dist site examples/iris/iris.joblib

# The tests run outside the source tree: only the installed wheel can be imported.
define run_tests
@mkdir -p build/run
cd build/run && ../../$1/bin/pytest -c ../../pyproject.toml --rootdir ../.. --installed $3 $(addprefix ../../,$2)
endef

# One more than the two cores of CI, since many tests wait for servers.
PARALLEL := --numprocesses 3 --dist worksteal
test-%: .venv-%/.wheel
	$(call run_tests,.venv-$*,$(TESTS),$(PARALLEL))

# What a user gets who installs today: the only target that does not install from a lock file.
test-latest: build/.wheel
	$(PYTHON) -m venv --clear .venv-latest
	.venv-latest/bin/python -m pip install --quiet --upgrade pip
	.venv-latest/bin/python -m pip install --quiet --no-compile dist/*.whl --group test --requirement examples/iris/requirements.txt
	$(call run_tests,.venv-latest,$(TESTS),$(PARALLEL))

examples/iris/iris.joblib: examples/iris/train.py .venv/.package
	$(BIN)/python examples/iris/train.py

# Lock files: every environment below holds exactly what one of them pins.
COMPILE = .venv-uv/bin/uv pip compile --quiet --python-version $(firstword $(SUPPORTED)) --generate-hashes --no-annotate \
    --custom-compile-command 'make lock' $(if $(UPGRADE),--upgrade)
LOCK = $(COMPILE) pyproject.toml examples/iris/requirements.txt
LOCK_GROUP = $(COMPILE) --universal

lock: .venv-uv/.uv
	$(LOCK) --universal --group build --group docs --group lint --group test --output-file requirements/dev.txt
	$(LOCK) --universal --group build --constraint requirements/dev.txt --output-file requirements/demo.txt
	$(LOCK) --group test --constraint tests/oldest.txt --output-file requirements/oldest.txt
	$(LOCK) --universal --group test --group browser --output-file requirements/browser.txt
	$(LOCK) --universal --group test --group ray --output-file requirements/ray.txt
	$(LOCK) --universal --group test --group runtimes --output-file requirements/runtimes.txt
	$(LOCK_GROUP) --group client-triton --output-file requirements/client-triton.txt
	$(LOCK_GROUP) --group client-kserve --output-file requirements/client-kserve.txt
	$(LOCK_GROUP) --group uv --output-file requirements/uv.txt

.venv-uv/.uv: requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 10) or sys.exit("Python 3.10 or newer is needed: make PYTHON=…")'
	@$(PYTHON) -c 'import ensurepip' || { echo 'the venv module is needed; on Debian and Ubuntu: apt-get install python3-venv'; exit 1; }
	$(PYTHON) -m venv .venv-uv
	.venv-uv/bin/python -m pip install --quiet --require-hashes --requirement $<
	@touch $@

# uv is much faster; pip is for machines where only its configuration names the index. Modules are compiled on import.
define install_locked
.venv-uv/bin/uv pip install --quiet --python $1/bin/python --require-hashes --requirement $2 || \
    .venv-uv/bin/python -m pip --python $1/bin/python install --quiet --require-hashes --no-compile --requirement $2
endef

# The development environment: the package from the source tree with what the demo needs, then the tools.
.venv/.package: requirements/demo.txt pyproject.toml .venv-uv/.uv
	$(PYTHON) -m venv --without-pip .venv
	$(call install_locked,.venv,$<)
	$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps --editable .
	@touch $@

.venv/.tools: requirements/dev.txt .venv/.package
	$(call install_locked,.venv,$<)
	@touch $@

# The wheel is built from the source distribution, so that both are complete.
build/.wheel: .venv/.tools $(PACKAGED)
	@rm -rf dist && mkdir -p build
	$(BIN)/python -m build --no-isolation --outdir dist . >build/wheel.log 2>&1 || { cat build/wheel.log; exit 1; }
	@touch $@

define install_wheel
test -x $1/bin/python || $2 -m venv --without-pip $1
$(call install_locked,$1,$3)
$1/bin/python -m pip install --quiet --force-reinstall --no-deps dist/*.whl
@touch $@
endef

.venv-%/.wheel: requirements/dev.txt build/.wheel
	$(call install_wheel,.venv-$*,$(if $(filter $*,$(VERSION)),$(PYTHON),$(call find_python,$*)),$<)

build/clients/.venv-%/.locked: requirements/client-%.txt .venv-uv/.uv
	$(PYTHON) -m venv --clear --without-pip $(@D)
	$(call install_locked,$(@D),$<)
	@touch $@

.venv-browser/.wheel: requirements/browser.txt build/.wheel
	$(call install_wheel,.venv-browser,$(PYTHON),$<)

.venv-ray/.wheel: requirements/ray.txt build/.wheel
	$(call install_wheel,.venv-ray,$(PYTHON),$<)

.venv-runtimes/.wheel: requirements/runtimes.txt build/.wheel
	$(call install_wheel,.venv-runtimes,$(PYTHON),$<)

# The lowest version of each dependency that pyproject.toml allows, on the lowest Python.
.venv-oldest/.wheel: requirements/oldest.txt build/.wheel
	$(call install_wheel,.venv-oldest,$(call find_python,3.10),$<)
