# The commands of the course. Without make (Windows): the README lists what each one types.
PYTHON ?= python3
BIN := .venv/bin
export GOMP_SPINCOUNT := 0
export PYTHONUTF8 := 1
NBS := $(shell find nbs -name '*.ipynb' -not -path '*/.*')

.PHONY: help doctor course lab serve exercises page where test test-slow check pytest notebooks export save bench docs site test-site constraints clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.venv/.ready: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing the course into .venv (some minutes the first time)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -U pip
	@$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	@touch $@

course: .venv/.ready ## set up, fetch the model, run the tour
	@$(BIN)/python -m course_tools.export tour nbs/index.ipynb
	@echo "Next: make lab"

doctor: ## say what is wrong with this machine, and what to do about it
	@$(PYTHON) -m course_tools.doctor

lab: .venv/.ready ## open the notebooks in JupyterLab
	@$(BIN)/jupyter lab nbs/index.ipynb

serve: .venv/.ready ## serve the model: a chat page, and an API like OpenAI's, at http://127.0.0.1:8000
	@$(BIN)/python -m llm_course.agents.serve $(OPTIONS)

exercises: .venv/.ready ## copy the notebooks, without solutions, to a folder; what you wrote there stays
	@$(BIN)/python -m course_tools.exercises $(FOLDER)

page: .venv/.ready ## lay out a new page that passes the checks: make page PAGE=agents/planning
	@$(BIN)/python -m course_tools.new_page $(PAGE)

# `make where ID` or `make where ID=ID`: the word after `where` is no target.
where: .venv/.ready ## print the cell of an id, as failures and tests name it: make where eda93747
	@$(BIN)/python -m course_tools.export where $(or $(ID),$(wordlist 2,99,$(MAKECMDGOALS)))
ifeq (where,$(firstword $(MAKECMDGOALS)))
$(wordlist 2,99,$(MAKECMDGOALS)): where
	@:
endif

.venv/.peers: .venv/.ready
	@echo "Installing what the tests compare with (some minutes the first time)"
	@$(BIN)/python -m pip install -q -c constraints.txt -e '.[peers]'
	@touch $@

test: .venv/.peers check pytest notebooks ## everything that must hold: exports, layers, lint, tests, notebooks
	@echo "All good."

check: .venv/.ready
	@$(BIN)/nbdev-export
	@git diff --exit-code --stat -- llm_course tests || { echo "The export differs from what is committed: commit the files above."; exit 1; }
	@test -z "$$(git ls-files --others --exclude-standard -- llm_course tests)" || { echo "Exported but not committed:"; git ls-files --others --exclude-standard -- llm_course tests; exit 1; }
	@$(BIN)/lint-imports
	@$(BIN)/ruff check .

pytest: .venv/.ready
	@$(BIN)/python -c "from llm_course import load; load()"
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2

test-slow: .venv/.peers ## the tests that take long
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 -m slow

notebooks: .venv/.ready ## run every notebook in quick
	@LLM_COURSE_BUDGET=quick OMP_NUM_THREADS=1 $(BIN)/python -m course_tools.notebooks $(NBS)

export: .venv/.ready ## write library and tests from the notebooks
	@$(BIN)/nbdev-export

save: export ## run every notebook in full and save its outputs
	@printf '%s\n' $(NBS) | xargs -n 1 $(BIN)/nbdev-test --save --flags test
	@$(BIN)/python -m course_tools.export tidy
	@$(BIN)/nbdev-clean

# In the order of the chapters, each beside its peers; it takes long.
BENCHMARKS := load attention decode prefix train perplexity bleu rouge packed engine sampling structured serve branches

bench: .venv/.peers ## measure against the peers: writes benchmarks/results and the README's table
	@for b in $(BENCHMARKS); do $(BIN)/python benchmarks/$$b.py || exit 1; done
	@$(BIN)/python benchmarks/speculative.py --repeats 3 --tokens 48 --requests 2
	@$(BIN)/python -m course_tools.numbers --write

.venv/.docs: .venv/.ready
	@$(BIN)/python -m pip install -q -c constraints.txt -e '.[docs]'
	@touch $@

docs: .venv/.docs ## build the site from the saved notebooks
	@$(BIN)/python -m course_tools.site docs/pages docs/_build/src
	@$(BIN)/sphinx-build -q -W --keep-going -c docs -d docs/_build/doctrees docs/_build/src docs/_build/html
	@echo "docs/_build/html/index.html"

site: docs ## build the site and serve it
	@$(BIN)/python -m course_tools.site serve docs/_build/html

test-site: docs ## open every page of the site, JupyterLab and the chat in a browser
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || { echo "test-site needs Chromium: apt-get install chromium"; exit 1; }
	@$(BIN)/python -m pytest -q -n 2 -m "site or lab" -k "not within_a_second" tests/system/test_lab.py tests/system/test_site.py tests/system/test_chat_page.py # the long ones first
	@$(BIN)/python -m pytest -q -m site -k within_a_second tests/system/test_site.py # times are taken alone

constraints: .venv/.docs .venv/.peers ## write constraints.txt from what is installed
	@$(BIN)/python .ci/constraints.py

clean: ## delete what was built; the model stays in its cache
	@rm -rf .venv build dist docs/_build _proc .pytest_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
