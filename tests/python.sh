#!/bin/sh
# Print the path of the first of the given Python versions that starts and can make an environment:
# on the path, or of pyenv, whose commands are on the path even where they start nothing. Prints
# nothing where there is none.
set -eu

root=$(pyenv root 2> /dev/null || true)
for version; do
    for python in "python$version" "${root:-/nonexistent}/versions/$version".*/bin/python; do
        "$python" -c 'import ensurepip, sys, venv; print(sys.executable)' 2> /dev/null && exit 0
    done
done
