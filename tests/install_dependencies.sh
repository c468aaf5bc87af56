#!/usr/bin/env bash
# Installs what the tests need beyond Python, PostgreSQL and Chromium, from Debian's packages.
# Does nothing where both are there; needs root, or sudo.
set -euo pipefail

have_postgresql() { compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null || command -v initdb >/dev/null; }
have_chromium() { command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null; }

missing=()
have_postgresql || missing+=(postgresql)
have_chromium || missing+=(chromium)
if [ ${#missing[@]} -eq 0 ]; then
    echo "test dependencies: PostgreSQL and Chromium are installed"
    exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "not root and no sudo: install ${missing[*]} yourself" >&2; exit 1; }
    as_root=(sudo)
fi
command -v apt-get >/dev/null || { echo "no apt-get here: install ${missing[*]} yourself" >&2; exit 1; }

echo "test dependencies: installing ${missing[*]}"
# A machine's own cluster is not wanted: every test run starts a private one.
"${as_root[@]}" mkdir -p /etc/postgresql-common/createcluster.d
printf 'create_main_cluster = false\n' \
    | "${as_root[@]}" tee /etc/postgresql-common/createcluster.d/prebill.conf >/dev/null
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"

have_postgresql && have_chromium || { echo "PostgreSQL or Chromium is still missing" >&2; exit 1; }
