# Everything here runs in the workspace that scripts/setup makes inside of the repository.
SHELL := bash
.DEFAULT_GOAL := help
.PHONY: help setup demo run label calibrate evaluate monitor replay test test-fast lint format benchmark clean

ENV := . scripts/env.sh
EPISODE ?= success
export EPISODE INSTRUCTION MODEL RIG PARAMS RERUN
# What is given reaches the shell letter by letter: make would run a $(shell ...) in it, and drop $5.
GIVEN := EPISODE INSTRUCTION MODEL RIG PARAMS RERUN ARGS DEMO_ARGS RUN_ARGS PYTEST_ARGS BENCHMARK_ARGS
$(foreach name,$(GIVEN),$(eval override $(name) := $$(value $(name))))

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: ## Make or update the workspace: .venv, ROS 2, build (also done by the targets below)
	@scripts/setup

demo: setup ## Watch a recorded episode: make demo [EPISODE=success|failure|BAG|VIDEO] [INSTRUCTION="..."] [RERUN=1]
	@[ -z "$$RERUN" ] || scripts/setup --extra rerun
	@$(ENV) && exec python -m topreward_ros.commands demo --episode "$$EPISODE" \
	  $${INSTRUCTION:+--instruction "$$INSTRUCTION"} $${MODEL:+--model "$$MODEL"} $${RERUN:+--rerun} $(DEMO_ARGS)

run: setup ## Start the nodes: make run RIG=so101 INSTRUCTION="..." [MODEL=...] [PARAMS=FILE]
	@$(ENV) && exec python -m topreward_ros.nodes.programs stack $${RIG:+--rig "$$RIG"} \
	  $${INSTRUCTION:+--instruction "$$INSTRUCTION"} $${MODEL:+--model "$$MODEL"} \
	  $${PARAMS:+--params-file "$$PARAMS"} $(RUN_ARGS)

label: setup ## Label a recording: make label ARGS='my_bag --instruction "..." --output my.csv' (or -h)
	@$(ENV) && exec python -m topreward_ros.commands label $(ARGS)

calibrate: setup ## Choose a success threshold: make calibrate ARGS="recordings/ --model demo" (or -h)
	@$(ENV) && exec python -m topreward_ros.commands calibrate $(ARGS)

evaluate: setup ## Measure how well a model judges: make evaluate ARGS="recordings/ --model demo" (or -h)
	@$(ENV) && exec python -m topreward_ros.commands evaluate $(ARGS)

monitor: setup ## Watch a running reward node in the terminal: make monitor [ARGS=-h]
	@$(ENV) && exec python -m topreward_ros.nodes.programs monitor $(ARGS)

replay: setup ## Play a recording on camera topics: make replay ARGS="--ros-args -p path:=my_bag"
	@$(ENV) && exec python -m topreward_ros.nodes.programs replay_node $(ARGS)

# A file's tests stay together: some share processes. Tests mostly wait: more workers than cores pay.
WORKERS ?= 6
PYTEST = python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test: lint ## Run all tests: make test [PYTEST_ARGS="-k lifecycle"] [WORKERS=6; 0: none]
	@scripts/setup --extra cluster --extra apis --extra serve --extra rerun
	@$(ENV) && $(PYTEST) $(PYTEST_ARGS)

# No processes, no DDS, no training: it computes and hardly waits, so that two workers are enough.
FAST := test/method test/video test/models test/offline test/test_episode.py

test-fast: WORKERS = 2
test-fast: setup ## Run what one runs while writing, in about a minute: no ROS, no processes
	@$(ENV) && $(PYTEST) -m "not slow and not live" $(FAST) $(PYTEST_ARGS)

lint: setup ## Check style, typing and docstrings
	@$(ENV) && ruff check . && ruff format --check .

format: setup ## Format the sources and fix what can be fixed
	@$(ENV) && ruff check --fix --quiet . ; ruff format .

benchmark: setup ## Measure speed and memory: make benchmark [BENCHMARK_ARGS="scoring --quick"]
	@$(ENV) && exec python -m benchmarks $(BENCHMARK_ARGS)

clean: ## Remove what was made, except for the environment (.venv)
	@rm -rf build install log demo_output benchmark_output .pytest_cache .ruff_cache .hypothesis
