"""The workflow: notebook × model → executed notebook and result tables → edition of the book.

    snakemake --cores 2                                              the default edition
    snakemake --cores 2 --config model=ViT-B-32 pretrained=openai    another edition
    snakemake --cores 2 --configfile editions.yaml                   several editions

A configuration file names several editions as a list, `editions: [{model: ViT-B-32, pretrained: openai}, ...]`, perhaps
some of the notebooks, `notebooks: [01_center_bias]`, and for a cluster what each of them asks for, by edition,
`requests: {ViT-B-32--openai: {01_center_bias: {threads: 4, mem_mb: 3000, runtime: 60, gpu: 1}}}`
(crosseyed.workflow.requests); `code: shown` lets pages begin with their code unfolded. The target `results` executes
notebooks and computes the results of each edition without rendering a book. `make book` is the first two of these lines,
and `make sweep` the target `results` for the models of a file, with messages for people instead of Snakemake's own.
"""

import json
import os
import sys
from dataclasses import asdict, replace
from pathlib import Path

from crosseyed.editions import BUILD, Edition
from crosseyed.errors import check_choice
from crosseyed.workflow.notebooks import names, reads, urgency
from crosseyed.workflow import requests, stamps
from crosseyed.workflow.stamps import contents

NOTEBOOKS = names()
CHOSEN = config.get("notebooks") or NOTEBOOKS
CHOSEN = CHOSEN if isinstance(CHOSEN, list) else [CHOSEN]
for name in CHOSEN:
    check_choice("notebook", name, NOTEBOOKS)
CODE = config.get("code", "folded")  # or "shown": how pages begin
check_choice("code", CODE, ["folded", "shown"])
_GLOBAL = ("editions", "notebooks", "requests", "code")  # of a configuration, what is about no single edition
HEADLINE = "01_center_bias"  # the notebook whose tables are the result of an edition
EDITIONS = {
    edition.name: edition
    for edition in map(
        Edition.from_mapping,
        config.get("editions")
        or [{key: value for key, value in config.items() if key not in _GLOBAL}],
    )
}
# On this machine a notebook has its share of the cores and, where a run is given some with `--resources gpu=...`, a GPU.
ASKED = requests.from_configuration(config.get("requests") or {})
HERE = replace(
    requests.UNPLANNED,
    threads=requests.threads_of(len(CHOSEN), workflow.cores),
    gpu=int("gpu" in workflow.global_resources),
)


def asked(wildcards):
    """What a notebook of an edition asks for. Snakemake watches none of it: nothing is due because it has changed."""
    return ASKED.get((wildcards.edition, wildcards.notebook), HERE)


def files_below(*folders):
    """Files at any depth, without hidden ones and those in hidden folders.

    One with a brace in its name is passed over: it would be taken for a wildcard, and there is no way to write it.
    """
    found = ((folder, path) for folder in folders for path in Path(folder).rglob("*") if path.is_file())
    return sorted(
        str(path)
        for folder, path in found
        if not any(part.startswith(".") or "{" in part for part in path.relative_to(folder).parts)
    )


def modules(*parts):
    """Modules of the library by part: `root` or the name of a package, with the packages inside it."""
    library = Path("lib/crosseyed")
    found = [library.glob("*.py") if part == "root" else (library / part).rglob("*.py") for part in parts]
    return sorted(
        str(path) for paths in found for path in paths if path.stem != "cli" and not path.stem.startswith(".")
    )


# Imports point one way: nothing that a chapter computes can depend on the workflow or the command line.
MODELS = ("root", "data", "models")
ANALYSIS = (*MODELS, "measure", "internals", "mitigations", "training", "report")


# Weights that a user gives are no inputs: their digest is in the edition's name, so that others are another edition.
WEIGHTS = files_below("data/models")
# the PocketCLIPs are shown beside every other model
DATA = files_below("data/objects", "data/models", "data/whatsup")
PAGES = [
    *files_below("book", "lib/crosseyed/workflow/templates"),
    *(path for path in WEIGHTS if path.endswith(".csv")),
    "data/results/coverage.csv",
    "_config.yml",
    "CITATION.cff",
    *modules(*ANALYSIS, "explorer", "workflow"),
]


def sources(notebook):
    """What a notebook computes from: itself, the library, data and the files that its metadata state that it reads."""
    file = f"notebooks/{notebook}.ipynb"
    stated = [[str(path)] if path.is_file() else files_below(path) for path in map(Path, reads(file))]
    return [file, *modules(*ANALYSIS), *DATA, *(each for files in stated for each in files)]


# Snakemake tells by dates that a file has changed, but copies and restored backups keep old dates, and a clock may have
# been wrong. So what is not made here is a digest of its contents, as a parameter of each rule.
NOW = {
    **{notebook: contents(sources(notebook)) for notebook in NOTEBOOKS},
    "result": contents(["lib/crosseyed/workflow/results.py"]),
    "book": f"{contents(PAGES)}-{CODE}",
}

# Jobs note here what is whole, and exchange old for new by themselves: Snakemake deletes the outputs of a job that is
# due or that fails, and the last whole notebook, tables or pages shall stay until there are new ones.
DONE = f"{BUILD}/editions/{{edition}}/done"
DRY = not {"-n", "--dry-run", "--dryrun"}.isdisjoint(sys.argv)  # at this point, Snakemake itself does not tell
if workflow.is_main_process:
    for edition in EDITIONS.values():
        stamps.forget_what_is_gone(edition.folder, None if DRY else NOW)
        stamps.bring_to_the_present([f"{BUILD}/models/{edition.name}.json", *edition.folder.glob("done/[!.]*")])
    stamps.bring_to_the_present([f"{BUILD}/families.csv"])


# A book says what it will take, as soon as its model's speed is known; a sweep does not. No parameter of the rule, which
# would be due for another number of cores.
TELL = "" if "notebooks" in config else f"--cores {workflow.cores}"


# The models are loaded for the first time, and with that downloaded, where there most likely is a network.
localrules:
    model,
    result,


wildcard_constraints:
    edition=r"[\w.-]+",
    notebook=r"(?!(?:book|result)$)[^/]+",


rule all:
    input:
        expand(f"{DONE}/book", edition=EDITIONS),


rule results:
    input:
        expand(f"{DONE}/{{notebook}}", edition=EDITIONS, notebook=CHOSEN),
        expand(f"{DONE}/result", edition=EDITIONS if HEADLINE in CHOSEN else []),


# First, so that a name without a model stops an edition before anything of it is made, and a checkpoint is
# downloaded once and not by every notebook at a time.
rule model:
    output:
        f"{BUILD}/models/{{edition}}.json",
    params:
        edition=lambda wildcards: json.dumps(asdict(EDITIONS[wildcards.edition])),
        contents=contents([*modules(*MODELS), *WEIGHTS]),
    threads: min(workflow.cores, os.cpu_count() or 1)
    resources:
        loading=1,  # a run on a cluster limits it, whose login node would otherwise load all models at once
    shell:
        "python -m crosseyed.cli describe {output:q} --edition {params.edition:q} {TELL}"


rule notebook:
    input:
        model=rules.model.output[0],
    output:
        f"{DONE}/{{notebook}}",
    params:
        folder=f"{BUILD}/editions/{{edition}}",
        notebook="notebooks/{notebook}.ipynb",
        contents=lambda wildcards: NOW[wildcards.notebook],
    priority: lambda wildcards: urgency(wildcards.notebook)
    # Snakemake hands this number on in OMP_NUM_THREADS and its like: on this machine a share of it for each notebook.
    threads: lambda wildcards: asked(wildcards).threads
    resources:
        mem_mb=lambda wildcards: asked(wildcards).mem_mb,
        runtime=lambda wildcards: asked(wildcards).runtime,
        gpu=lambda wildcards: asked(wildcards).gpu,
    shell:
        "python -m crosseyed.cli execute {input.model:q} {params.notebook:q} {params.folder:q} {params.contents}"


rule result:
    input:
        model=rules.model.output[0],
        tables=f"{DONE}/{HEADLINE}",
    output:
        f"{DONE}/result",
    params:
        folder=f"{BUILD}/editions/{{edition}}",
        contents=NOW["result"],
    shell:
        "python -m crosseyed.cli result {input.model:q} {params.folder:q} {params.contents}"


rule families:
    output:
        f"{BUILD}/families.csv",
    params:
        contents=contents([*modules(*MODELS, "internals", "mitigations"), "lib/crosseyed/report/family_table.py"]),
    resources:
        mem_mb=requests.PAGES.mem_mb,
        runtime=requests.PAGES.runtime,
    shell:
        "python -m crosseyed.cli families {output:q}"


rule book:
    input:
        model=rules.model.output[0],
        notebooks=expand(f"{BUILD}/editions/{{{{edition}}}}/done/{{notebook}}", notebook=NOTEBOOKS),
        families=rules.families.output[0],
    output:
        f"{DONE}/book",
    params:
        folder=f"{BUILD}/editions/{{edition}}",
        contents=NOW["book"],
        code=CODE,
    resources:
        mem_mb=requests.PAGES.mem_mb,
        runtime=requests.PAGES.runtime,
    shell:
        "python -m crosseyed.cli render {input.model:q} {input.families:q} {params.folder:q} {params.contents} "
        "--code {params.code}"
