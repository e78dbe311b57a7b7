# SPDX-License-Identifier: Apache-2.0
# cloud.sh PROVIDER - what tests with models behind an API begin with, after common.sh.
#
# Starts the provider on $work/cloud, until the test ends; gives $port and $meter, and the keys.
mkdir "$work/cloud"
python3 "$1" "$work/cloud" 2> "$work/cloud/err" &
cloud=$!
trap 'kill $cloud 2> /dev/null; chmod -R u+w "$work"; rm -rf "$work"' EXIT
for ((i = 0; i < 200; i++)); do
    [ -e "$work/cloud/port" ] && break
    sleep 0.05
done
port=$(cat "$work/cloud/port") || fail "no provider"
meter=$work/cloud/meter.jsonl
export OPENAI_API_KEY=e2e-secret-key ANTHROPIC_API_KEY=e2e-secret-key
