# SPDX-License-Identifier: MIT
# What demo, test and .ci/run share: the packages, and a build folder that is fit for use. Sourced by bash.
# All messages go to stderr.

tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P) || exit 70

# The distribution's own tools come first: Meson needs the Python that it was installed for.
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
unset PYTHONHOME PYTHONPATH CDPATH
export PATH LC_ALL=C.UTF-8

build_packages=(gcc libc6-dev meson ninja-build pkgconf python3 check
    libevent-dev libjansson-dev libinih-dev libgmp-dev libsmartcols-dev libsystemd-dev scdoc)

say() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
}

# packages_missing NAME...: prints those that are not installed.
packages_missing() {
    local name
    for name in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || printf '%s\n' "$name"
    done
}

# packages_install NAME...: installs what is missing, as root or through sudo. Fails with the list where it cannot.
packages_install() {
    local missing become=() options=(-o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -qq)
    command -v dpkg-query >/dev/null || {
        say "this is not a Debian system; install by hand what these Debian packages hold: $*"
        return 1
    }
    mapfile -t missing < <(packages_missing "$@")
    [ ${#missing[@]} -eq 0 ] && return 0
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null || { [ ! -t 0 ] && ! sudo -n true 2>/dev/null; }; then
            say "missing packages: ${missing[*]}"
            say "as root: apt-get update && apt-get install ${missing[*]}"
            return 1
        fi
        become=(sudo)
    fi
    say "installing ${missing[*]}"
    {
        "${become[@]}" apt-get "${options[@]}" update &&
            "${become[@]}" env DEBIAN_FRONTEND=noninteractive \
                apt-get "${options[@]}" -y --no-install-recommends -o Dpkg::Use-Pty=0 install "${missing[@]}"
    } </dev/null >&2 || {
        say "apt-get could not install ${missing[*]}"
        return 1
    }
}

# build_is_ours DIR: was it set up for this tree, at this place, and to the end?
build_is_ours() {
    [ -f "$1/build.ninja" ] && python3 - "$tree" "$1" <<'EOF' 2>/dev/null
import json, sys
with open(sys.argv[2] + "/meson-info/meson-info.json") as f:
    where = json.load(f)["directories"]
sys.exit(where["source"] != sys.argv[1] or where["build"] != sys.argv[2])
EOF
}

# build_prepare DIR COMPILER [MESON OPTION...]: sets the folder up, or brings it up to date, and builds everything.
build_prepare() {
    local dir=$1 compiler=$2 log
    shift 2
    if [ -e "$dir" ] && ! { mkdir -p "$dir" && [ -w "$dir" ]; }; then
        say "$dir is somebody else's; remove it first"
        return 1
    fi
    log=$(mktemp) || return 1
    if build_is_ours "$dir" && meson configure "$dir" "$@" >"$log" 2>&1 && ninja -C "$dir" >"$log" 2>&1; then
        rm -f "$log"
        return 0
    fi
    # A fresh start tells a broken folder from a broken tree.
    rm -rf "$dir"
    say "building in ${dir#"$tree"/}"
    if env -u CFLAGS -u LDFLAGS CC="$compiler" meson setup "$dir" "$tree" "$@" >"$log" 2>&1 </dev/null &&
        ninja -C "$dir" >"$log" 2>&1 </dev/null; then
        grep -A6 'warning:' "$log" >&2
        rm -f "$log"
        return 0
    fi
    tail -n 60 "$log" >&2
    rm -f "$log"
    say "the build failed"
    return 1
}
