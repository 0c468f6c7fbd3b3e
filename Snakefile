"""The workflow: notebook × model → executed notebook and result tables → edition of the book.

    snakemake --cores 2                                              the default edition
    snakemake --cores 2 --config model=ViT-B-32 pretrained=openai    another edition
    snakemake --configfile editions.yaml --executor slurm --jobs 20  several editions, on a cluster

A configuration file names several editions as a list, `editions: [{model: ViT-B-32, pretrained: openai}, ...]`, and
perhaps some of the notebooks, `notebooks: [01_center_bias]`. The target `results` executes notebooks and computes the
results of each edition without rendering a book. `make book` is the first two of these lines, and `make sweep` the
target `results` for the models of a file, with messages for people instead of Snakemake's own.
"""

import json
import os
import re
from pathlib import Path

from crosseyed.workflow.editions import BUILD, Edition

NOTEBOOKS = sorted(path.stem for path in Path("notebooks").glob("*.ipynb"))
CHOSEN = config.get("notebooks") or NOTEBOOKS
HEADLINE = "01_center_bias"  # the notebook that the result of an edition is computed from
EDITIONS = {
    edition.name: edition
    for edition in map(
        Edition.from_mapping,
        config.get("editions")
        or [{key: config[key] for key in ("model", "pretrained", "checkpoint", "seed") if config.get(key)}],
    )
}

LIBRARY = sorted(map(str, Path("lib/crosseyed").rglob("*.py")))
# These decide how notebooks are run and pages rendered, and nothing of what a notebook computes.
WORKFLOW = {"lib/crosseyed/cli.py", *(f"lib/crosseyed/workflow/{name}.py" for name in ("book", "claims", "execution", "lock"))}
ANALYSIS = [path for path in LIBRARY if path not in WORKFLOW]


def files_below(*folders):
    return sorted(str(path) for folder in folders for path in Path(folder).rglob("*") if path.is_file())


def weights(wildcards):
    """Local files with the weights of the edition's model; a published checkpoint never changes."""
    edition = EDITIONS[wildcards.edition]
    folder = edition.model.removeprefix("local-dir:") if edition.model.startswith("local-dir:") else "data/models"
    return [*files_below(folder), *([edition.checkpoint] if edition.checkpoint else [])]


def kept_results(wildcards):
    """Tables of other runs, and the list of models, for a notebook that names them."""
    source = Path(f"notebooks/{wildcards.notebook}.ipynb").read_text()
    experiments = re.findall(r'results_of\(\\"(\w+)', source)
    return [
        *files_below(*(["data/results/models"] if "data/results/models" in source else [])),
        *(path for name in experiments if Path(path := f"data/results/{name}.csv.gz").exists()),
        *(["models.yml"] if "models.yml" in source else []),
    ]


def gpus(wildcards):
    """A notebook takes one of the GPUs where the run was given some (`--resources gpu=...`)."""
    return 1 if "gpu" in workflow.global_resources else 0


# The models are loaded for the first time, and with that downloaded, where there most likely is a network.
localrules:
    model,
    result,


wildcard_constraints:
    edition=r"[\w.-]+",
    notebook=r"[\w.-]+",


rule all:
    input:
        expand(f"{BUILD}/editions/{{edition}}/html", edition=EDITIONS),


rule results:
    input:
        expand(f"{BUILD}/editions/{{edition}}/notebooks/{{notebook}}.ipynb", edition=EDITIONS, notebook=CHOSEN),
        expand(f"{BUILD}/editions/{{edition}}/result.csv", edition=EDITIONS if HEADLINE in CHOSEN else []),


# First, so that a name without a model stops an edition before anything of it is made, and a checkpoint is
# downloaded once and not by every notebook at a time.
rule model:
    input:
        library="lib/crosseyed/models/loading.py",
        weights=weights,
    output:
        f"{BUILD}/models/{{edition}}.json",
    params:
        edition=lambda wildcards: EDITIONS[wildcards.edition].json,
    threads: workflow.cores or 1
    shell:
        "python -m crosseyed.cli describe {output:q} --edition {params.edition:q}"


rule notebook:
    input:
        model=rules.model.output[0],
        weights=weights,
        notebook="notebooks/{notebook}.ipynb",
        library=ANALYSIS,
        # the PocketCLIPs are shown beside every other model
        data=files_below("data/objects", "data/models", "data/whatsup"),
        results=kept_results,
    output:
        f"{BUILD}/editions/{{edition}}/notebooks/{{notebook}}.ipynb",
        directory(f"{BUILD}/editions/{{edition}}/results/{{notebook}}"),
    params:
        folder=f"{BUILD}/editions/{{edition}}",
        edition=lambda wildcards: EDITIONS[wildcards.edition].json,
    # Snakemake hands this number on in OMP_NUM_THREADS and its like: a share of the machine for each notebook.
    threads: max(1, (workflow.cores or os.cpu_count()) // max(1, len(CHOSEN)))
    resources:
        gpu=gpus,
    shell:
        "python -m crosseyed.cli execute {input.notebook:q} {params.folder:q} --edition {params.edition:q}"


rule result:
    input:
        model=rules.model.output[0],
        tables=f"{BUILD}/editions/{{edition}}/results/{HEADLINE}",
        library=[f"lib/crosseyed/{name}.py" for name in ("measure/bootstrap", "workflow/results")],
    output:
        f"{BUILD}/editions/{{edition}}/result.csv",
    params:
        edition=lambda wildcards: EDITIONS[wildcards.edition].json,
    shell:
        "python -m crosseyed.cli result {input.tables:q} {input.model:q} {output:q} --edition {params.edition:q}"


rule book:
    input:
        model=rules.model.output[0],
        notebooks=expand(f"{BUILD}/editions/{{{{edition}}}}/notebooks/{{notebook}}.ipynb", notebook=NOTEBOOKS),
        results=expand(f"{BUILD}/editions/{{{{edition}}}}/results/{{notebook}}", notebook=NOTEBOOKS),
        pages=files_below("book"),
        accuracies=[path for path in files_below("data/models") if path.endswith(".csv")],
        configuration="_config.yml",
        library=LIBRARY,
    output:
        directory(f"{BUILD}/editions/{{edition}}/html"),
    params:
        folder=f"{BUILD}/editions/{{edition}}",
    shell:
        "python -m crosseyed.cli render {input.model:q} {params.folder:q}"
