#!/bin/sh
# Install Debian's PostgreSQL server, and a Java for Spark, with which the tests of other engines run.
# Where that cannot be done those tests fail, each with the reason; in CI it has to be done.
set -eu

cannot() {
    echo "The tests of other engines will fail: $1." >&2
    [ "${CI:-}" = true ] && exit 1
    exit 0
}

packages=
# Debian keeps the server's programs off the path.
if ! command -v initdb > /dev/null && ! ls /usr/lib/postgresql/*/bin/initdb > /dev/null 2>&1; then
    packages="postgresql"
fi
# Spark 4.0 runs on these; a newer one may be there, too.
if ! grep -qsE '^JAVA_VERSION="(17|21)' /usr/lib/jvm/*/release "${JAVA_HOME:-/}/release"; then
    packages="$packages openjdk-17-jre-headless"
fi
[ -n "$packages" ] || exit 0
command -v apt-get > /dev/null || cannot "there is no apt-get to install $packages"
[ "$(id -u)" = 0 ] || cannot "packages are missing; install them: sudo apt-get install $packages"
echo "Installing $packages, for the tests of other engines" >&2
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086  # several packages
{ apt-get update -qq && apt-get install -qq -y --no-install-recommends $packages; } \
    > /dev/null || cannot "apt-get could not install $packages"
