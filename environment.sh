#!/bin/sh
# Run a command in the environment of this project:
#
#     sh environment.sh COMMAND [ARGUMENT...]
#
# That is the active conda environment if it holds the versions of requirements.lock (environment.yml makes such a
# one), otherwise .venv, which is created or brought up to date first. A stamp inside .venv tells for which lock,
# pyproject.toml and folder it was completed; an interrupted installation leaves no stamp and is started afresh.
set -eu
cd "$(dirname "$0")"
root=$(pwd)

say() { printf 'crosseyed: %s\n' "$*" >&2; }

fail() {
    say "$@"
    exit 1
}

wanted_stamp() {
    printf '%s\n' "$root"
    cat requirements.lock pyproject.toml
}

runs() { command -v "$1" >/dev/null 2>&1 && "$1" -c '' >/dev/null 2>&1; }

# Prints the Python that makes .venv: one that the lock was resolved for, else a newer one.
find_python() {
    for oldest_and_newest in '(3, 11) (3, 13)' '(3, 14) (3, 99)'; do
        range="${oldest_and_newest% (*} <= sys.version_info[:2] <= (${oldest_and_newest##*(}"
        for candidate in python3 python3.13 python3.12 python3.11 python3.14; do
            if runs "$candidate" && "$candidate" -c "import sys; sys.exit(not ($range))"; then
                echo "$candidate"
                return
            fi
        done
    done
    if runs python3; then
        fail "Python 3.11 or newer is needed; python3 here is $(python3 --version 2>&1 | cut -d ' ' -f 2). Install a" \
            "newer one (3.11 to 3.13 are tried), so that python3 or python3.13 starts it, and run this again."
    fi
    fail "Python 3.11 or newer is needed and no python3 was found. Install one and run this again."
}

make_venv() {
    if [ -e .venv/installing ] || ! runs .venv/bin/python; then
        python=$(find_python)
        "$python" -c 'import ensurepip, venv' 2>/dev/null ||
            fail "$python has no venv module. Install it (Debian and Ubuntu: the package python3-venv) and run this again."
        say "creating .venv with $("$python" --version 2>&1)"
        "$python" -m venv --clear .venv
    fi
    rm -f .venv/stamp
    : >.venv/installing
    say "installing the packages of requirements.lock into .venv: once, some minutes, on Linux a download of about" \
        "3 GB and 6 GB on disk"
    .venv/bin/python -m pip install --no-input --disable-pip-version-check --requirement requirements.lock &&
        .venv/bin/python -m pip install --no-input --disable-pip-version-check --quiet \
            --no-deps --no-build-isolation --editable . ||
        fail "the installation failed; pip says why above. The next run starts it afresh. Without a network nothing" \
            "can be installed; if a package has no wheel for $(.venv/bin/python --version 2>&1), install Python 3.13."
    rm .venv/installing
    wanted_stamp >.venv/stamp
    say ".venv is ready"
}

bin=
if [ -n "${CONDA_PREFIX:-}" ]; then
    conda_name=$(basename "${CONDA_DEFAULT_ENV:-$CONDA_PREFIX}")
    if difference=$("$CONDA_PREFIX/bin/python" -I lib/crosseyed/workflow/lock.py requirements.lock 2>&1); then
        bin=$CONDA_PREFIX/bin
    elif [ "$conda_name" = crosseyed ]; then
        fail "the active conda environment does not hold the versions of requirements.lock ($difference)." \
            "Run: conda env update --file environment.yml --prune"
    else
        say "the active conda environment '$conda_name' was not made from environment.yml; using .venv"
    fi
fi
if [ -z "$bin" ]; then
    if ! runs .venv/bin/python || ! wanted_stamp | cmp -s - .venv/stamp; then
        make_venv
    fi
    bin=$root/.venv/bin
fi

PATH=$bin:$PATH
PYTHONPATH=$root/lib # this clone's package, whichever one a conda environment may have installed
PYTHONNOUSERSITE=1
JUPYTER_PREFER_ENV_PATH=1
export PATH PYTHONPATH PYTHONNOUSERSITE JUPYTER_PREFER_ENV_PATH
exec "$@"
