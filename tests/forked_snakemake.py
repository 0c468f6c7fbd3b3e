"""Snakemake, run in processes that are forked from one that has imported it, which takes longer than a small run."""

import contextlib
import multiprocessing
import os
import sys

SECONDS = 300
"""After which a run counts as hanging."""

_FORKING = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload(["snakemake.cli", "snakemake.api", "snakemake.workflow"])


def run(folder, environment, *arguments):
    """Run Snakemake in a folder as the command ``python -m snakemake`` would; return its status and what it said."""
    said = folder / "said"
    process = _FORKING.Process(target=_run, args=(folder, environment, arguments, said))
    process.start()
    process.join(SECONDS)
    if process.exitcode is None:
        process.kill()
        process.join()
    text = said.read_text(encoding="utf-8")
    said.unlink()
    return process.exitcode, text


def _run(folder, environment, arguments, said):
    from snakemake.cli import main

    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = environment["PYTHONPATH"].split(os.pathsep)
    sys.argv = ["snakemake", *arguments]
    output = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(output, stream)
    with contextlib.suppress(AttributeError):  # the parent's, which pytest may have replaced
        sys.stdout.reconfigure(errors="backslashreplace")
    main()
