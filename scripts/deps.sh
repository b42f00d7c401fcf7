#!/bin/sh
# deps.sh - what Sluice is built, tested and measured with, as Debian packages.
#
#   deps.sh             list what is missing and the command that installs it
#   deps.sh --install   install what building, the demo and the tests need (apt; sudo when not root)
#   deps.sh --install --all   also what lint, fuzzing and the bench use
#   deps.sh --build --check   quietly check the build packages; explain and fail when one is missing
set -eu

build="gcc make pkg-config libevent-dev libssl-dev libjansson-dev libhiredis-dev
libcurl4-openssl-dev libc-ares-dev libsqlite3-dev libpcre2-dev libnghttp2-dev"
run="liburing-dev python3 redis-server check curl openssl dnsmasq-base"
extra="clang libclang-rt-14-dev clang-format clang-tidy cppcheck mandoc haproxy nginx wrk
nghttp2-client strace procps goaccess prometheus node-llhttp
libh2o-evloop0.13 testssl.sh node-ws python3-hpack python3-jsonschema python3-aiosmtpd"

packages="$build $run"
install=no check=no
for arg in "$@"; do
    case $arg in
    --install) install=yes ;;
    --all) packages="$build $run $extra" ;;
    --build) packages=$build ;;
    --check) check=yes ;;
    *) echo "deps.sh: unknown option $arg" >&2; exit 2 ;;
    esac
done

if ! command -v dpkg-query >/dev/null 2>&1; then
    [ $install = no ] && [ $check = no ] && echo "needed (Debian names):" $packages
    pkg-config --exists libevent openssl jansson hiredis libcurl libcares sqlite3 libpcre2-8 libnghttp2 || {
        echo "deps: this is not Debian; install the equivalents of:" $build >&2
        exit 1
    }
    exit 0
fi

missing=""
for p in $packages; do
    dpkg-query -W -f '${db:Status-Status}\n' "$p" 2>/dev/null | grep -qx installed ||
        missing="$missing $p"
done

sudo=""
[ "$(id -u)" = 0 ] || sudo="sudo "
if [ -z "$missing" ]; then
    [ $check = yes ] || [ $install = yes ] || echo "deps: everything is installed"
    exit 0
fi
if [ $install = no ]; then
    echo "missing packages:$missing"
    echo "install them with: ${sudo}apt-get install -y$missing"
    [ $check = no ] || exit 1
    exit 0
fi

echo "deps: installing$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086
{
    ${sudo}apt-get update &&
        ${sudo}env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing
} >"$log" 2>&1 || {
    tail -n 20 "$log" >&2
    echo "deps: could not install$missing" >&2
    exit 1
}
