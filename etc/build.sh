#!/bin/sh
# Build the program into a folder: the Dockerfile and a plain Debian root run the same steps.
set -eu
target=${1:?usage: build.sh FOLDER}
here=$(cd "$(dirname "$0")/.." && pwd)
python3 -m venv --copies "$target"
"$target/bin/python" -m pip install --quiet --no-cache-dir --require-hashes -r "$here/requirements.lock"
"$target/bin/python" -m pip install --quiet --no-cache-dir --no-deps "$here"
# What the program never uses: the installer, others' tests, sources for compilers, symbols for debuggers.
"$target/bin/python" -m pip uninstall --quiet --yes setuptools 2>/dev/null || true
"$target/bin/python" -m pip uninstall --quiet --yes pip
for one in "$target"/bin/*; do
  case ${one##*/} in
    python | mailstack) ;;
    python*) ln -sf python "$one" ;;
    *) rm -f "$one" ;;
  esac
done
packages=$(echo "$target"/lib/python3.*/site-packages)
find "$packages" -path "$packages/mailstack" -prune -o -type d \( -name tests -o -name testing \) -prune -exec rm -rf {} +
find "$packages" -type f \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.c' -o -name '*.h' \) -delete
if command -v strip >/dev/null; then find "$packages" -name '*.so*' -type f -exec strip --strip-unneeded {} +; fi
find "$target" -name __pycache__ -type d -prune -exec rm -rf {} +
# Nothing is compiled again later, also where nothing can be written.
"$target/bin/python" -m compileall -q -j 0 --invalidation-mode unchecked-hash "$target/lib" || true
"$target/bin/mailstack" --version
