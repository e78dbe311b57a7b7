# SPDX-License-Identifier: Apache-2.0
# expect.sh - how end-to-end tests judge a command: `. expect.sh ENXAME`.
#
# Gives $enxame, a folder $work that is removed at the end, and: fail TEXT · expect CODE COMMAND… ·
# says TEXT (in $work/err).
set -uo pipefail
enxame=$(realpath "$1")
work=$(mktemp -d /tmp/enxame-e2e-XXXXXX)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT

fail() {
    echo "FAILED: $*"
    echo "--- stdout"; head -c 2000 "$work/out"
    echo "--- stderr"; tail -n 20 "$work/err"
    exit 1
}

# expect CODE COMMAND…: run it, keep its output, judge its exit status
expect() {
    local want=$1 got
    shift
    "$@" > "$work/out" 2> "$work/err"
    got=$?
    [ "$got" = "$want" ] || fail "exit $got instead of $want: $*"
}

says() { grep -qF -- "$1" "$work/err" || fail "not said: $1"; }
