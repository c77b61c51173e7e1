# The private Python environment of this checkout: made on first use, mended when it no longer fits.
# Sourced by convoy, test and bench, which set `root`; `environment [GROUP...]` sets `venv`.
# Lies in .venv of the checkout, or where CONVOY_VENV says. It never clears a folder that it did
# not fill itself, prints nothing on standard output, and leaves all settings of pip to the user.

# Names as general as ours (common, ops) must not be shadowed from elsewhere.
unset PYTHONPATH PYTHONHOME
export PIP_DISABLE_PIP_VERSION_CHECK=1
export PIP_USER=0 # a user's setting that no environment can fulfil

venv=${CONVOY_VENV:-$root/.venv}
[[ $venv == /* ]] || venv=$PWD/$venv

environment() { # environment [GROUP...]: return at once if it fits, else make it fit
    local sum
    sum=$(sha256sum <"$root/pyproject.toml")
    if fits "$@"; then return; fi
    (make_fit "$@") # not in a condition: any failure in there ends us
}

say() { printf 'convoy: %s\n' "$@" >&2; }
die() {
    say "$@"
    exit 1
}

# A stamp per group, written last, says for which pyproject.toml and which checkout it is.
fits() {
    local group stamp
    [[ -x $venv/bin/python ]] || return 1
    for group in run-time "$@"; do
        stamp=$venv/convoy.$group
        [[ -f $stamp && $(<"$stamp") == "$sum $root" ]] || return 1
    done
}

make_fit() {
    local lock group
    mkdir -p -- "$venv" 2>/dev/null && [[ -w $venv ]] ||
        die "cannot write $venv" "  set CONVOY_VENV to a folder that you may write"
    command -v flock >/dev/null || die "needs flock" "  install util-linux"
    exec {lock}<"$venv"
    flock --nonblock "$lock" || {
        say "waiting for another start that prepares $venv"
        flock "$lock"
    }
    fits "$@" && return # the other one did it
    if sound; then say "bringing $venv up to date"; else anew; fi
    touch "$venv/convoy.unfinished"
    rm -f "$venv/convoy.run-time"
    fill "$@"
    for group in run-time "$@"; do printf '%s\n' "$sum $root" >"$venv/convoy.$group"; done
    rm "$venv/convoy.unfinished"
}

sound() { # can what lies there be added to, or must it be made anew?
    [[ ! (-e $venv/convoy.made && -e $venv/convoy.unfinished) ]] &&
        "$venv/bin/python" -I -m pip --version &>/dev/null
}

anew() {
    local python
    if [[ -n $(ls -A -- "$venv") && ! -e $venv/convoy.made ]]; then
        die "$venv holds something that convoy did not make" \
            "  remove it, or set CONVOY_VENV to a new folder"
    fi
    python=$(find_python) || die "found no Python 3.11 or newer (with sqlite3, ssl and ctypes)" \
        "  install one (Debian: apt install python3 python3-venv), or set CONVOY_PYTHON to its path"
    say "preparing its environment in $venv (first use, about a minute)"
    touch "$venv/convoy.made" "$venv/convoy.unfinished"
    find "$venv" -mindepth 1 -maxdepth 1 ! -name 'convoy.*' -exec rm -rf -- {} +
    plant "$python" &>"$venv/convoy.log" ||
        failed "$python cannot make an environment" \
            "  install its venv module (Debian: apt install $(venv_package "$python"))"
}

# The versions for which every dependency has a wheel come first. By its own path, so that the
# environment survives when `python3` comes to mean another version.
find_python() {
    local name wanted='import os, sys, ctypes, sqlite3, ssl, venv
sys.exit(sys.version_info < (3, 11) or print(os.path.realpath(sys.executable)))'
    local names=(python3.12 python3.11 python3 /usr/bin/python3 /usr/local/bin/python3 python3.13)
    if [[ -n ${CONVOY_PYTHON:-} ]]; then names=("$CONVOY_PYTHON"); fi
    for name in "${names[@]}"; do
        "$name" -I -c "$wanted" 2>/dev/null && return
    done
    return 1
}

# Debian ships Python without ensurepip: then the way that changes least on this machine is taken.
plant() {
    local python=$1
    "$python" -I -m venv "$venv" && return
    "$python" -I -m venv --without-pip "$venv" || return
    "$python" -I -m pip --python "$venv/bin/python" install pip && return
    borrow_wheel && return
    source "$root/ops/bin/debian.sh"
    debian_install "$(venv_package "$python")" && "$python" -I -m venv "$venv"
}

borrow_wheel() { # Debian's pip as a package that is fetched and unpacked, not installed
    local wheel=(/usr/share/python-wheels/pip-*.whl) folder=$venv/convoy.debian
    if [[ ! -f ${wheel[0]} ]]; then
        mkdir -p "$folder"
        (cd "$folder" && apt-get download python3-pip-whl && dpkg-deb -x ./*.deb .) || return
        wheel=("$folder"/usr/share/python-wheels/pip-*.whl)
    fi
    "$venv/bin/python" -I "${wheel[0]}/pip" install pip
}

venv_package() { "$1" -I -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'; }

fill() { # the run-time dependencies, this checkout, and the groups named
    "$venv/bin/python" -I - "$root/pyproject.toml" "$@" >"$venv/convoy.groups" <<'PYTHON'
import sys, tomllib

with open(sys.argv[1], "rb") as file:
    groups = tomllib.load(file)["dependency-groups"]


def show(group):
    for item in groups[group]:
        show(item["include-group"]) if isinstance(item, dict) else print(item)


for group in sys.argv[2:]:
    show(group)
PYTHON
    "$venv/bin/python" -I -m pip install --no-input --editable "$root" \
        --requirement "$venv/convoy.groups" &>>"$venv/convoy.log" ||
        failed "could not install what it needs" \
            "  look at your network and pip's settings, then run it again"
}

failed() {
    tail -n 15 "$venv/convoy.log" >&2
    die "$@" "  all of it: $venv/convoy.log"
}
