#!/bin/sh
# Installs the product of this checkout, exactly as locked, into the folder PREFIX. Used by the Dockerfile, and by the
# tests, which have no container engine. Needs uv and, for the same bytes again, SOURCE_DATE_EPOCH.
set -eu
prefix=${1:?usage: install.sh PREFIX}
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cd "$here/../.."
uv export --quiet --frozen --no-dev --extra otel --no-emit-project --output-file "$work/requirements.txt" >/dev/null
uv build --quiet --wheel --out-dir "$work" .
uv venv --quiet --no-project --python "${PYTHON:-python3}" "$prefix"
export VIRTUAL_ENV="$prefix"
uv pip install --quiet --require-hashes --only-binary :all: --link-mode copy -r "$work/requirements.txt"
uv pip install --quiet --no-deps --link-mode copy "$work"/*.whl

# Half of it is never read: tests of libraries, and descriptions of all AWS services but those that credentials need.
cd "$prefix"/lib/python3*/site-packages
find . -type d \( -name tests -o -name test \) -prune -exec rm -r {} +
find botocore/data -mindepth 1 -maxdepth 1 -type d \
  ! -name s3 ! -name sts ! -name sso ! -name sso-oidc ! -name signin -exec rm -r {} +
"$prefix/bin/python" -m compileall -q -j 0 --invalidation-mode unchecked-hash . || test $? -eq 1 # some hold templates
install -m 0755 "$here/entrypoint.sh" "$prefix/bin/deltaglider-entrypoint"
install -m 0755 "$here/health.py" "$prefix/bin/deltaglider-health"
