# Each target makes the environment it needs (environment.sh) and may be run any number of times.

MODEL = pocketclip-centered
PRETRAINED =
CHECKPOINT =
SIZE =
PRECISION =
CODE = folded
MODELS = models.yml
PROFILE =
EDITIONS =
export MODEL PRETRAINED CHECKPOINT SIZE PRECISION CODE MODELS PROFILE EDITIONS

# Behind exec it takes the place of the shell, so that a signal to make ends it, and not the shell alone.
in_environment = sh environment.sh

.PHONY: help plan book explore compare sweep publish launch course test test-slow lint clean
.NOTPARALLEL:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

plan: ## say what an edition would take on this machine: minutes, memory, disk, download; MODEL=..., SIZE=... as for book
	@exec $(in_environment) python -m crosseyed.cli plan "$$MODEL" \
		--pretrained "$$PRETRAINED" --checkpoint "$$CHECKPOINT" --size "$$SIZE" --precision "$$PRECISION"

book: ## execute the notebooks and build the book; another edition: MODEL=ViT-B-32 PRETRAINED=openai, perhaps SIZE=quick
	@exec $(in_environment) python -m crosseyed.cli book \
		--model "$$MODEL" --pretrained "$$PRETRAINED" --checkpoint "$$CHECKPOINT" --size "$$SIZE" \
		--precision "$$PRECISION" --code "$$CODE"

explore: ## move images of your own in front of a live model, in a browser; another: MODEL=ViT-B-32 PRETRAINED=openai
	@exec $(in_environment) python -m crosseyed.cli explore "$$MODEL" \
		--pretrained "$$PRETRAINED" --checkpoint "$$CHECKPOINT"

compare: ## put two editions that are made side by side on one page: EDITIONS="a b"
	@set -f; exec $(in_environment) python -m crosseyed.cli compare -- $$EDITIONS

sweep: ## execute the notebooks for many models: MODELS=models.yml; on a cluster: PROFILE=profiles/slurm
	@exec $(in_environment) python -m crosseyed.cli sweep "$$MODELS" --profile "$$PROFILE" --size "$$SIZE"

publish: ## prepare _build/site, a folder for any static host, of all editions that are whole and current
	@exec $(in_environment) python -m crosseyed.cli publish

launch: ## write the repository's address, which _config.yml states, into the notebooks, for Google Colab
	@exec $(in_environment) python -m crosseyed.cli launch

course: ## make the labs for students, their solutions, and what grades them: _build/course
	@exec $(in_environment) python -m crosseyed.cli course

test: lint ## check the style and run the tests
	@exec $(in_environment) python -m pytest --numprocesses logical --maxprocesses 4 --dist worksteal

test-slow: ## run the tests that make test leaves out
	@exec $(in_environment) python -m pytest -m slow --numprocesses auto --maxprocesses 2 --dist loadfile

lint: ## check the style of code and notebooks
	@$(in_environment) ruff check .
	@$(in_environment) ruff format --check .
	@$(in_environment) nbstripout --verify --keep-id notebooks/*.ipynb || \
		{ echo "a notebook holds outputs; strip it with: nbstripout --keep-id notebooks/*.ipynb" >&2; exit 1; }

clean: ## remove what the other targets made, except the environment
	rm -rf _build .snakemake .pytest_cache .ruff_cache
