#!/usr/bin/env bash
# Pin every dependency with its hashes. No index, host or local folder is written down:
# where packages come from is the business of the machine that installs them.
#
#   requirements-setup.lock   what the set-up itself needs: a fast installer and the build backend
#   requirements.lock         what `tillway` needs to run
#   requirements-dev.lock     the same versions, and what tests and measurements need
set -euo pipefail
cd "$(dirname "$0")/.."

compile() {
    .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
        "${upgrade[@]}" "$@"
}

upgrade=()
if [[ "${1:-}" == "--upgrade" ]]; then upgrade=(--upgrade); fi

compile pyproject.toml --output-file requirements.lock
compile pyproject.toml --extra dev --extra bench --constraints requirements.lock \
    --output-file requirements-dev.lock
printf 'hatchling\nuv\n' |
    compile - --constraints requirements-dev.lock --output-file requirements-setup.lock
