# SPDX-License-Identifier: Apache-2.0
# common.sh - what end-to-end tests with models begin with: `. common.sh ENXAME MAKE_TINY_MODELS`.
#
# Gives what expect.sh gives, tiny models in $work/models, a store of its own, and: silent ·
# json FILE EXPRESSION · records N.
. "$(dirname "${BASH_SOURCE[0]}")/expect.sh"
make_tiny=$(realpath "$2")
export ENXAME_HOME=$work/home NO_COLOR=1
unset XDG_DATA_HOME
"$make_tiny" "$work/models" || exit 1
swarm=$work/models/swarm.yaml
plan='{"mode":"swarm","for_each":"paragraph","repair":["accents","capitals","punctuation"],'
plan+='"languages":["any"],"escalate":true,"check":["round_trip","confidence"]}'

silent() { [ ! -s "$work/out" ] || fail "something on stdout"; }

# json FILE EXPRESSION: the expression over the object d must be true
json() { python3 -c 'import json, sys
d = json.load(open(sys.argv[1]))
assert eval(f"({sys.argv[2]})"), d' "$1" "$2" || fail "json: $2"; }

# records N: so many lines of JSONL, each with a text of its own
records() {
    python3 - "$1" <<'END'
import json, sys
words = "por quanto tempo o povo deve aguentar ela e a herdeira legitima hola que tal amigo".split()
for i in range(int(sys.argv[1])):
    text = " ".join(words[(i * 7 + k * k) % len(words)] for k in range(3 + i % 6))
    print(json.dumps({"id": i, "text": f"{text} {i}"}))
END
}
