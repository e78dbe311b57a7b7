#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# queue_auth.sh ENXAME MAKE_TINY_MODELS NATS_KEYS - who may join: passwords, nkeys, tokens, TLS.
. "$(dirname "$0")/common.sh"
keys=$3
. "$(dirname "$0")/broker.sh"
command -v openssl > /dev/null || { echo "SKIPPED: no openssl"; exit 77; }
workers() { "$enxame" workers --join "$url" "$@"; }
refused() { # WORDS…: the broker does not let us in
    expect 64 workers "$@"
    says "refuses"
}
models=(-m "$work/models/scout.gguf" -m "$work/models/es.gguf" -m "$work/models/pt_BR.gguf")
mkdir "$work/keys"
cd "$work/keys" || exit 1
python3 "$keys" . || fail "no keys"

# ---- A name and a password; a worker may speak under its own name only
cat > users.conf <<'END'
authorization { users: [
    { user: lead, password: "se cret" }
    { user: one, password: first, permissions: {
        publish: [ "enx.*.done.one.>", "enx.*.here.one", "enx.*.dead.>",
            "$JS.ACK.ENX-enxame-work.>", "$JS.API.INFO", "$JS.API.STREAM.INFO.>",
            "$JS.API.STREAM.MSG.GET.>", "$JS.API.CONSUMER.*.ENX-enxame-work.>",
            "$JS.API.CONSUMER.DURABLE.CREATE.ENX-enxame-work.>",
            "$JS.API.CONSUMER.MSG.NEXT.ENX-enxame-work.>" ]
        subscribe: [ "_INBOX.>", "enx.*.cancel.*" ] } }
] }
END
start_broker -c users.conf
refused
export QUEUE_PASSWORD="se cret" FIRST=first
refused --user lead --password FIRST
expect 66 workers --user lead --password QUEUE_PASSWORT
says "the environment has no QUEUE_PASSWORT"
expect 0 workers --user lead --password QUEUE_PASSWORD
expect 74 "$enxame" worker --join $url "${models[@]}" --name two --user one --password FIRST
says "does not hear the worker two"
start_worker one "${models[@]}" --user one --password FIRST
until_said "$work/one.log" ready
records 20 > "$work/in.jsonl"
printf 'goal: all\n' > "$work/job.yaml"
map=("$enxame" map --fresh --plan "$plan" "$work/job.yaml" "$work/in.jsonl" --labels 0)
expect 0 "${map[@]}" -s "$swarm" -o "$work/whole.jsonl"
echo "queue: {url: '$url', user: lead, password: QUEUE_PASSWORD}" | cat "$swarm" - \
    > "$work/models/queued.yaml"
expect 0 "${map[@]}" -s "$work/models/queued.yaml" -o "$work/part.jsonl"
cmp -s "$work/whole.jsonl" "$work/part.jsonl" || fail "another output"
kill $worker
wait $worker 2> /dev/null
stop_broker

# ---- An nkey
echo "authorization { users: [ { nkey: $(cat user.nkey) } ] }" > nkey.conf
start_broker -c nkey.conf
refused
expect 64 workers --nkey user.seed
says "--user goes with --password or --nkey"
expect 0 workers --user "$(cat user.nkey)" --nkey user.seed
openssl rand -hex 30 > other.seed
expect 64 workers --user "$(cat user.nkey)" --nkey other.seed
expect 64 workers --user "$(cat user.nkey)" --nkey nowhere.seed
stop_broker

# ---- A token that an account signed
rm -rf "$work/js"
start_broker -c operator.conf
refused
expect 0 workers --credentials user.creds
sed 's/^S[A-Z2-7]*$/SUAFAULTY/' user.creds > other.creds
expect 64 workers --credentials other.creds
stop_broker

# ---- TLS, both ways
make_certificate() { # NAME ISSUER
    openssl req -newkey ed25519 -nodes -keyout "$1.key" -subj "/CN=$1" -out "$1.csr" 2> /dev/null
    openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -CAcreateserial -days 2 \
        -extfile <(echo "subjectAltName=DNS:localhost,IP:127.0.0.1") -out "$1.pem" 2> /dev/null
}
for ca in ca stranger; do
    openssl req -x509 -newkey ed25519 -nodes -keyout $ca.key -subj "/CN=$ca" -days 2 -out $ca.pem \
        2> /dev/null
done
make_certificate broker ca
make_certificate lead ca
make_certificate intruder stranger
cat > tls.conf <<'END'
tls { cert_file: broker.pem, key_file: broker.key, ca_file: ca.pem, verify: true }
END
start_broker -c tls.conf
expect 64 workers
expect 64 workers --tls-ca ca.pem
expect 64 workers --tls-ca stranger.pem --tls-cert lead.pem --tls-key lead.key
expect 64 workers --tls-ca ca.pem --tls-cert intruder.pem --tls-key intruder.key
expect 64 workers --tls-ca ca.pem --tls-cert lead.pem
says "--tls-cert and --tls-key go together"
expect 0 workers --tls-ca ca.pem --tls-cert lead.pem --tls-key lead.key
