# Debian packages, installed without starting any service. Sourced where they are needed.
# Does nothing, and says so by its exit code, without apt or without the right to use it.

policy=/usr/sbin/policy-rc.d
ours='# convoy: only while packages are installed'

as_root() {
    if ((EUID == 0)); then "$@"; else sudo -n "$@"; fi
}

missing() { # those of the packages named that are not installed
    local package
    for package; do
        [[ $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) == *" installed" ]] ||
            printf '%s\n' "$package"
    done
}

debian_allows() { # may packages be installed here?
    [[ ${CONVOY_APT:-yes} != no ]] && command -v apt-get >/dev/null && as_root true 2>/dev/null
}

debian_install() {
    local absent lock
    mapfile -t absent < <(missing "$@")
    ((${#absent[@]})) || return 0
    debian_allows || return
    (
        exec {lock}</usr/sbin # one at a time: the policy is the whole machine's
        flock "$lock"
        trap calm_services EXIT # also when we are interrupted
        hold_services || exit
        apt_install "${absent[@]}" || { as_root apt-get update && apt_install "${absent[@]}"; }
    )
}

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
        -o DPkg::Lock::Timeout=300 "$@"
}

hold_services() { # the machine's own policy stays if it forbids already, else it waits aside
    calm_services # what a killed run left
    if grep -qs '^exit 101' "$policy"; then return; fi
    [[ ! -e $policy ]] || as_root mv "$policy" "$policy.convoy"
    printf '#!/bin/sh\n%s\nexit 101\n' "$ours" | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
}

calm_services() {
    if grep -qsxF "$ours" "$policy"; then as_root rm "$policy"; fi
    if [[ -e $policy.convoy ]]; then as_root mv "$policy.convoy" "$policy"; fi
}
