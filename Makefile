# The commands of the warehouse. Each target makes its own environment first (once), then is one line.
# Variables: EXPORTS DATA POLICY MONTH DATE, and those that `make help` names.
PYTHON ?= python3
RUN = .venv/bin/python -m dagster_project.cli

# What is given on the command line reaches a command through its environment and is never pasted into shell
# text; `value` keeps make itself from expanding what is inside.
$(foreach v,$(.VARIABLES),$(if $(findstring command line,$(origin $v)),$(eval override $v := $$(value $v))$(eval export $v)))

COMMANDS := scorecards test test-spark nightly backfill ui targets close verify reopen explain whatif inspect adapters watch site export \
	query docs sample bench lint prove screenshots help
.PHONY: $(COMMANDS)
.DEFAULT_GOAL := help

ENVIRONMENT := .venv/installed-$(word 1,$(shell cksum requirements.lock))

$(COMMANDS): $(ENVIRONMENT)
	@$(RUN) $@

$(ENVIRONMENT): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one with PYTHON=…")'
	@echo "making .venv from requirements.lock (once)"
	@$(PYTHON) -m venv .venv
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check uv
	@VIRTUAL_ENV=.venv .venv/bin/uv pip sync --quiet --require-hashes --compile-bytecode requirements.lock
	@rm -f .venv/installed-* && touch $@
