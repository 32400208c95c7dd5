#!/bin/sh
# Build the program into a folder: the Dockerfile and a plain Debian root run the same steps.
set -eu
target=${1:?usage: build.sh FOLDER}
here=$(cd "$(dirname "$0")/.." && pwd)
python3 -m venv --copies "$target"
"$target/bin/python" -m pip install --quiet --no-cache-dir --require-hashes -r "$here/requirements.lock"
"$target/bin/python" -m pip install --quiet --no-cache-dir --no-deps "$here"
find "$target" -name __pycache__ -type d -prune -exec rm -rf {} +
"$target/bin/python" -m compileall -q "$target/lib" || true
"$target/bin/mailstack" --version
