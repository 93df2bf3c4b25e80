# What base-image and install-docker share; sourced, never run. Each message is one line under the name of its script.
# shellcheck shell=bash

say() { echo "${0##*/}: $*"; }
fail() {
    say "$@" >&2
    exit 1
}
have() { command -v "$1" >/dev/null; }

# The address of this machine's own source of packages with a label (Debian, Debian-Security): no mirror is named in
# the scripts. Prints nothing where apt has no such source.
mirror() {
    have apt-get || return 0
    # shellcheck disable=SC2016 # apt fills these in, not the shell
    apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        awk -v label="$1" '$1 == label { sub("/$", "", $2); print $2; exit }'
}

# Install packages with apt, quietly unless it fails.
install_packages() {
    say "installing $*"
    local log status=0
    log=$({ apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install "$@"; } </dev/null 2>&1) || status=$?
    ((status == 0)) || fail "apt-get could not install $*: $(last_words <<<"$log")"
}

# The last line that a program wrote, which is the one that says why it failed.
last_words() { sed '/^[[:space:]]*$/d' | tail -n 1; }
