#!/bin/sh
# Writes the bill of materials of a lock, in CycloneDX's format: sbom.sh LOCK OUTPUT, in the root of the repository.
# The project's version stands in app/__init__.py, where cyclonedx-py does not look.
set -eu
version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' app/__init__.py)
project=$(mktemp)
trap 'rm -f "$project"' EXIT
sed "s/^dynamic = .*/version = \"$version\"/" pyproject.toml > "$project"
PYTHONWARNINGS=ignore ${CYCLONEDX:-cyclonedx-py} requirements --output-reproducible --pyproject "$project" \
  --output-format JSON --output-file "$2" "$1"
