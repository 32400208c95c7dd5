# Two commands on a fresh machine with python3 (3.11 or later, with venv) and make: `make run` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 4

.PHONY: run test check lint bench lock test-crash test-clients test-huge test-package test-container fuzz clean

$(BIN)/mailstack: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	@printf '#!/bin/sh\nPYTHONPATH="%s$${PYTHONPATH:+:$$PYTHONPATH}" exec "%s/bin/python" -m mailstack "$$@"\n' "$(CURDIR)" "$(CURDIR)/$(VENV)" > $@
	@chmod +x $@

$(VENV): $(BIN)/mailstack

$(VENV)/.test: requirements-test.lock $(BIN)/mailstack
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-test.lock
	@touch $@

run: $(BIN)/mailstack
	@$(BIN)/mailstack demo --data var

test: $(VENV)/.test
	$(BIN)/python -m pytest -n $(JOBS) -q -m "not crash and not clients and not fuzz and not huge"

lint: $(VENV)/.test
	$(BIN)/ruff check mailstack tests bench
	$(BIN)/ruff format --check mailstack tests bench
	$(BIN)/mypy

check: lint test

# Kills, power cuts (the latter as root): MAILSTACK_CRASH_ROUNDS=200 for the long form.
test-crash: $(VENV)/.test
	MAILSTACK_CRASH_ROUNDS=$${MAILSTACK_CRASH_ROUNDS:-200} $(BIN)/python -m pytest -q -s -m crash tests/crash tests/delivery tests/store

# Real mail programs from Debian packages.
CLIENTS := swaks thunderbird evolution-data-server gir1.2-camel-1.2 python3-gi opendkim opendkim-tools opendmarc libnet-ssleay-perl libauthen-sasl-perl libsasl2-modules curl haproxy nginx-light libnginx-mod-stream caddy isync offlineimap3 mutt neomutt aerc alpine fetchmail getmail6 mpop msmtp gsasl notmuch dovecot-imapd dovecot-sieve postfix unbound rspamd clamav-daemon sieve-connect chromium chromium-driver zbar-tools pebble python3-yaml
test-clients: $(VENV)/.test
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -q >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $(CLIENTS) >/dev/null; fi
	$(BIN)/python -m pytest -q -m clients tests

# A message of a gigabyte, in and out by each door.
test-huge: $(VENV)/.test
	$(BIN)/python -m pytest -q -m huge tests

# As root, on Debian: what the Dockerfile does, in a fresh root, since images can't be pulled everywhere.
ROOT ?= /var/tmp/mailstack-root
test-package:
	@command -v debootstrap >/dev/null || { apt-get update -q >/dev/null && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends debootstrap >/dev/null; }
	sh etc/test-root.sh $(ROOT) $$(. /etc/os-release && echo $$VERSION_CODENAME)

# As root, on Debian: the image of the Dockerfile, built and run with buildah and podman; without them, as test-package.
CONTAINER ?= /var/tmp/mailstack-container
test-container:
	@apt-get update -q >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends \
	  debootstrap buildah podman crun containernetworking-plugins iptables iproute2 docker-compose >/dev/null || true
	sh etc/test-container.sh $(CONTAINER) $$(. /etc/os-release && echo $$VERSION_CODENAME)

fuzz: $(VENV)/.test
	MAILSTACK_FUZZ_EXAMPLES=$${MAILSTACK_FUZZ_EXAMPLES:-20000} $(BIN)/python -m pytest -q -m fuzz tests

bench: $(VENV)/.test
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -q >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends \
	  postfix dovecot-imapd dovecot-lmtpd dovecot-sieve openssl rspamd redis-server unbound >/dev/null; fi
	$(BIN)/python -m bench $(BENCH)

lock: $(VENV)/.test
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --extra test pyproject.toml -o requirements-test.lock

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
