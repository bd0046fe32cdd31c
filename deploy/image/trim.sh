#!/bin/sh
# Takes out of an environment what is never imported: trim.sh PYTHON PATTERN..., of paths within its site-packages.
# The tests of packages always go. A pattern that nothing matches is an error: the list is to be mended then.
set -eu
cd "$("$1" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
shift
for pattern; do
  rm -r $pattern
done
find . -type d -name tests -prune -exec rm -r {} +
