#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# chat.sh - a conversation through pipes: answers, memory, commands, money, and what goes wrong.
. "$(dirname "$0")/common.sh"
model=$work/models/chat.gguf
chat() { "$enxame" chat "$model" -n 24 --temp 0 --logit-bias 256=-inf "$@"; }
lines() { printf '%s\n' "$@" > "$work/in"; }
talk() { expect 0 chat "$@" < "$work/in"; }

# one question; stdout has the answer and nothing else, stderr no colours
expect 0 chat -p "ola mundo"
cp "$work/out" "$work/first"
[ "$(wc -c < "$work/first")" = 25 ] || fail "24 letters and a line break were expected"
says "24 tokens: the answer is cut"
says "28 tokens read" # 9 of text, 19 of the frame
grep -q $'\033' "$work/err" && fail "colours on what is no terminal"
echo "ola mundo" > "$work/question"
expect 0 chat -q -f "$work/question"
cmp -s "$work/out" "$work/first" || fail "-f asks something else than -p"
grep -q "tokens read" "$work/err" && fail "--quiet has figures"

# lines of a pipe are one conversation, and what was read is not read again
lines "ola mundo" "" "e agora?"
talk --json
cp "$work/out" "$work/two.json"
json "$work/two.json" '[m["role"] for m in d["messages"]] == ["user", "assistant"] * 2'
FIRST=$(cat "$work/first") json "$work/two.json" \
    'd["messages"][1]["content"] == __import__("os").environ["FIRST"].strip()'
json "$work/two.json" 'd["usage"]["tokens_cached"] == 28 + 24 - 1 and d["cost_usd"] is None'
json "$work/two.json" 'd["usage"]["tokens_out"] == 48 and d["finish"] == "length"'
json "$work/two.json" 'd["seconds"]["read"] > 0 and d["forgotten"] == 0'
talk
[ "$(wc -l < "$work/out")" = 2 ] || fail "two answers were expected"

# an answer from memory is the answer from scratch
lines "ola mundo" "/save $work/saved.json"
talk
lines "/load $work/saved.json" "e agora?"
talk --json
python3 - "$work/out" "$work/two.json" <<'END' || fail "memory changes the answer"
import json, sys
a, b = (json.load(open(p)) for p in sys.argv[1:])
assert a["messages"] == b["messages"]
assert a["usage"]["tokens_cached"] == 0 and a["usage"]["tokens_out"] == 24
END

# messages of several lines; the words of control tokens are just words
lines 'um \' 'dois' '"""' ' tres' '/quatro"""' '//cinco <|im_end|>'
talk --json
json "$work/out" '[m["content"] for m in d["messages"][::2]] ==
    ["um \ndois", " tres\n/quatro", "/cinco <|im_end|>"]'
expect 0 chat --json -p "<|im_end|>"
json "$work/out" 'd["usage"]["tokens_in"] == 19 + 10'

# commands
lines "um" "dois" "/undo" "tres"
talk --json
json "$work/out" '[m["content"] for m in d["messages"][::2]] == ["um", "tres"]'
lines "um" "/clear" "/system  Be kind." "/system" "dois" "/stats" "/set" "/help"
talk --json --system "Be quick."
json "$work/out" '[m["role"] for m in d["messages"]] == ["system", "user", "assistant"]'
json "$work/out" 'd["messages"][0]["content"] == "Be kind."'
says "Be kind."
says "1 exchange, 0 forgotten"
says "all: "
says "/retry"
grep -Eq "^  top-k +0$" "$work/err" || fail "/set does not show what is set"
lines "um" "/retry"
talk --json
json "$work/out" 'len(d["messages"]) == 2 and d["usage"]["tokens_out"] == 48'
json "$work/out" 'd["usage"]["tokens_cached"] == 20' # all of the prompt but its last token
cp "$work/out" "$work/retried"
lines "um" "/set temp 1.5" "/retry"
talk --json
FIRST=$work/retried json "$work/out" \
    'd["messages"] != json.load(open(__import__("os").environ["FIRST"]))["messages"]'
lines "um" "/quit" "dois"
talk --json
json "$work/out" 'len(d["messages"]) == 2'
lines "um" "/set tokens 3"  "dois"
talk --json
json "$work/out" 'len(d["messages"][3]["content"]) == 3'

# what answers made, as a file for a browser: nothing of the talk ends its script
lines "</script><script>x" "/open $work/made.html" "/save $work/talk.json"
talk --artifact "$work/end.html"
cmp -s "$work/made.html" "$work/end.html" || fail "/open and --artifact differ"
python3 - "$work/made.html" "$work/talk.json" <<'END' || fail "the file for a browser"
import json, re, sys
page = open(sys.argv[1], encoding="utf-8").read()
talk = re.search(r'<script type="application/json" id="talk">(.*?)</script>', page, re.S).group(1)
assert json.loads(talk) == json.load(open(sys.argv[2])), talk
assert "default-src 'none'" in page
END
lines "um" "/open"
BROWSER=$work/no-browser expect 66 chat < "$work/in"
says "in a browser, or name one in"
printf '#!/bin/sh\ncp "$1" "%s"\n' "$work/shown.html" > "$work/browser"
chmod +x "$work/browser"
BROWSER=$work/browser expect 0 chat < "$work/in"
for _ in {1..50}; do [ -s "$work/shown.html" ] && break; sleep 0.05; done
grep -q 'id="talk"' "$work/shown.html" || fail "the browser is not given the file"
expect 64 chat --model other -p um

# the end of an answer: its own, a stop text
"$enxame" chat "$model" -p "um" -n 9 --temp 0 --json --logit-bias 256=1000 \
    > "$work/out" 2> "$work/err"
json "$work/out" 'd["finish"] == "stop" and d["messages"][1]["content"] == ""'
expect 0 chat -p "um" --logit-bias 120=1000 --json --stop xxxxx
json "$work/out" 'd["finish"] == "stop" and d["messages"][1]["content"] == ""'

# a full context forgets the oldest, never the system prompt or the question
lines um dois tres quatro cinco
talk --json --context 160 --system S
json "$work/out" 'd["forgotten"] == 3 and d["messages"][0]["role"] == "system"'
json "$work/out" 'd["messages"][-2]["content"] == "cinco" and len(d["messages"]) == 5'
says "the context of 160 tokens is full: the oldest exchanges are forgotten, 3 of them"
expect 75 chat --context 30 -p "um e dois e tres"
says "the context holds 30"
"$enxame" chat "$model" --context 80 --temp 0 --logit-bias 256=-inf -p um --json \
    > "$work/out" 2> "$work/err"
json "$work/out" 'd["usage"]["tokens_in"] + d["usage"]["tokens_out"] == 80'
says "the context is full: the answer is cut"

# thoughts are no part of the answer; the template gets them back and decides
echo 'root ::= "<think>\n" [a-c]{5} "\n</think>\n\n" [x-z]{4}' > "$work/rules"
lines "um" "dois"
talk --grammar "$work/rules" --json
json "$work/out" 'all(set(m["content"]) <= set("xyz") and len(m["reasoning_content"]) == 5
    for m in d["messages"][1::2])'
talk --grammar "$work/rules"
grep -vEq '^[xyz]{4}$' "$work/out" && fail "something else than the answer on stdout"
grep -Eq '^[abc]{5}$' "$work/err" || fail "the thought is not shown"
cat > "$work/thinks.jinja" <<'END'
{% if messages | length > 2 %}{{ raise_exception('it thought ' ~ messages[1].reasoning_content)
}}{% endif %}{{ messages[-1].content }}<think>
END
echo 'root ::= [a-c]{5} "</think>" [x-z]{4}' > "$work/rules"
expect 64 chat --template-file "$work/thinks.jinja" --grammar "$work/rules" < "$work/in"
grep -Eq 'it thought [abc]{5}$' "$work/err" || fail "the template does not get the thought"
grep -Eq '^[xyz]{4}$' "$work/out" || fail "a thought that the prompt begins is not taken for one"

# what streams are whole characters, though each token is one byte of one
printf 'root ::= ("é" | "€" | "😀"){40}\n' > "$work/rules"
python3 - "$enxame" "$model" "$work/rules" > "$work/out" 2> "$work/err" <<'END' || fail "streaming"
import os, subprocess, sys
chat = subprocess.Popen([sys.argv[1], "chat", sys.argv[2], "-p", "um", "--temp", "1", "--grammar",
                         sys.argv[3]], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
parts = []
while part := os.read(chat.stdout.fileno(), 65536):
    parts.append(part.decode())
assert chat.wait() == 0 and len("".join(parts)) == 41 and len(parts) > 1, parts
END

# money: by options, by the swarm's rule; whole nano-dollars, rounded up
lines "ola mundo" "e agora?"
talk --json --usd-per-mtok-in 3 --usd-per-mtok-out 15
json "$work/out" 'round(d["cost_usd"] * 1e9) ==
    d["usage"]["tokens_in"] * 3000 + d["usage"]["tokens_out"] * 15000'
talk --usd-per-mtok-out 15
says '; $0.000360]'
sed 's/lead.gguf/chat.gguf/' "$swarm" > "$work/models/chat.yaml"
expect 0 "$enxame" models "$work/models/chat.yaml" --json
cp "$work/out" "$work/prices"
model=$work/models/chat.yaml expect 0 chat --json -p "ola mundo"
PRICES=$work/prices json "$work/out" '(lambda m, u: round(d["cost_usd"] * 1e9) == -(-(
    u["tokens_in"] * round(m["usd_per_mtok_in"] * 1e9)
    + u["tokens_out"] * round(m["usd_per_mtok_out"] * 1e9)) // 1000000) > 0)(
    json.load(open(__import__("os").environ["PRICES"]))["models"][0], d["usage"])'

# models without a template; known forms and templates of one's own
expect 69 "$enxame" chat "$work/models/lead.gguf" -p um
says "is no chat model: it has no chat template; \`enxame generate -m\`"
expect 69 "$enxame" chat "$work/models/swarm.yaml" --json -p um
json "$work/out" 'd["error"]["exit_code"] == 69'
for form in chatml gemma llama3 plain; do
    expect 0 "$enxame" chat "$work/models/lead.gguf" -p um -n 5 --template $form
done
expect 64 chat -p um --template chatlm
says 'did you mean "chatml"?'
echo "{% for %}" > "$work/broken.jinja"
expect 65 chat -p um --template-file "$work/broken.jinja"
says "broken.jinja: chat template: template 1:"
expect 66 chat -p um --template-file "$work/none.jinja"
lines um
expect 64 chat --system no < "$work/in"
says "chat template: no system"

# what is no question
printf 'ol\xe1\n' > "$work/in"
expect 64 chat < "$work/in"
says "byte 3 of the text is not UTF-8"
printf 'a\0b\n' > "$work/in"
expect 64 chat < "$work/in"
says "byte 2 of the text is zero"
expect 64 chat -f "$work/in"
says "$work/in: byte 2 of the text is zero"
expect 64 chat -p $'\xff'
expect 64 chat --system $'\xff' -p um
says "--system: byte 1"
lines 'um' '"""' 'dois'
expect 64 chat < "$work/in"
says "the input ends inside a block"
[ "$(wc -l < "$work/out")" = 1 ] || fail "what came before the block was not answered"
lines /undoo
expect 64 chat < "$work/in"
says "did you mean /undo?"
for command in /undo /retry "/set temp -1" "/set temper 1" "/set grammar x" "/save" "/help me"; do
    lines "$command"
    expect 64 chat < "$work/in"
done
lines "/load $work/none.json"
expect 66 chat < "$work/in"
echo '[{"role": "boss"}]' > "$work/talk.json"
lines "/load $work/talk.json"
expect 65 chat < "$work/in"
says "message 1:"
lines "/save /proc/nothing/here"
expect 74 chat < "$work/in"
expect 0 chat < /dev/null
silent
expect 64 chat -p a -f b
expect 64 chat -p a --template plain --template-file b
expect 64 chat -p a --usd-per-mtok-in -2
expect 64 chat -p a --context 1000000
expect 64 "$enxame" chat
expect 66 "$enxame" chat "$work/none.gguf" -p a
sed '/^lead/d; s/mode: .*//' "$swarm" > "$work/models/headless.yaml"
expect 64 "$enxame" chat "$work/models/headless.yaml" -p a
says "no lead to talk with"
expect 0 "$enxame" chat --help
grep -q "^Example: .*enxame chat" "$work/out" || fail "no example"

# signals end a pipe's conversation
for signal in INT TERM HUP; do
    rm -f "$work/out"
    "$enxame" chat "$model" -p um --temp 0 --logit-bias 256=-inf --context 100000 \
        > "$work/out" 2> "$work/err" &
    pid=$!
    for ((i = 0; i < 200; i++)); do
        [ -s "$work/out" ] && break
        sleep 0.02
    done
    kill -$signal $pid
    wait $pid
    code=$?
    [ $code = 130 ] || fail "exit $code after SIG$signal"
done

# a person, at a terminal
ENX_MODEL=$model python3 "$(dirname "$0")/chat_terminal.py" "$enxame" "${3-1}" \
    > "$work/out" 2> "$work/err" || fail "at a terminal"
exit 0
