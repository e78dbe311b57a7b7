# SPDX-License-Identifier: Apache-2.0
# serve_soak.sh - a server among hostile clients: see serve_soak.py.
. "$(dirname "$0")/common.sh" "$1" "$2"
python3 "$3" "$enxame" "$work" "$4" "$5" > "$work/out" 2> "$work/err" || fail "serve_soak.py"
tail -n 1 "$work/out"
