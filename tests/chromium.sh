#!/bin/sh
# Install Debian's Chromium, in which the tests look at the page of a report. Where that cannot be
# done they say so and are skipped; in CI it has to be done.
set -eu

cannot() {
    echo "The tests of a report's page will be skipped: $1." >&2
    [ "${CI:-}" = true ] && exit 1
    exit 0
}

for browser in chromium chromium-browser google-chrome; do
    command -v "$browser" > /dev/null && exit 0
done
command -v apt-get > /dev/null || cannot "there is no Chromium, and no apt-get to install it"
[ "$(id -u)" = 0 ] || cannot "there is no Chromium; install it: sudo apt-get install chromium"
echo "Installing Chromium, for the tests of a report's page" >&2
export DEBIAN_FRONTEND=noninteractive
# With a font, or every letter of a screenshot is an empty box.
{ apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium fonts-dejavu-core; } \
    > /dev/null || cannot "apt-get could not install Chromium"
