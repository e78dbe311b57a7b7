# SPDX-License-Identifier: Apache-2.0
# serve.sh - the server over real sockets: see serve.py.
. "$(dirname "$0")/common.sh" "$1" "$2"
expect 0 "$enxame" serve --help
expect 64 "$enxame" serve --host 0.0.0.0 "$work/models/chat.gguf"
says "needs keys"
expect 64 "$enxame" serve --port 70000 "$work/models/chat.gguf"
expect 66 "$enxame" serve "$work/models/none.gguf"
expect 64 "$enxame" serve --tls-cert x "$work/models/chat.gguf"
expect 65 "$enxame" serve --law "$0" "$work/models/chat.gguf"
says "no SVG"
python3 "$3" "$enxame" "$work" > "$work/out" 2> "$work/err" || fail "serve.py"
