#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# real.sh - the shipped models do their job: plans follow the goal, and text gets its accents back.
#
#     real.sh ENXAME SOURCE_ROOT
set -u
enxame=$1 root=$2
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
export ENXAME_HOME=$work/home
failed=0
fail() { echo "FAILED: $*"; failed=1; }

# Goals that are not among those the lead learnt from; 7 of 10 plans must be right in every part.
right=0 total=0
while IFS=$'\t' read -r goal repair languages mode escalate; do
    plan=$("$enxame" generate -m "$root/models/lead.gguf" --what plan -p "$goal" -n 120 \
        2> /dev/null)
    got=$(printf '%s' "$plan" | python3 -c 'import json, sys
p = json.load(sys.stdin)
print(",".join(p["repair"]), ",".join(p["languages"]), p["mode"],
      str(p["escalate"]).lower(), sep="\t")')
    total=$((total + 1))
    if [ "$got" = "$(printf '%s\t%s\t%s\t%s' "$repair" "$languages" "$mode" "$escalate")" ]; then
        right=$((right + 1))
    else
        echo "plan for \"$goal\": $got"
    fi
done < "$root/tests/golden/plan_goals.tsv"
echo "$right of $total plans right"
[ "$right" -ge 7 ] || fail "only $right of $total plans are right"

# A user's file: the layout stays, and a language that no worker knows comes back as it was.
cat > "$work/in.txt" <<'END'
Este pacote contem os arquivos de configuracao e a documentacao.

Ce paquet contient les fichiers de developpement et la documentation.
Dieses Paket enthalt die Bibliotheken fur die Ausfuhrung.
Este paquete contiene los archivos de configuracion.
Sa oni obdarzeni rozumem i sumieniem i powinni postepowac wobec innych w duchu braterstwa.
END
cat > "$work/want.txt" <<'END'
Este pacote contém os arquivos de configuração e a documentação.

Ce paquet contient les fichiers de développement et la documentation.
Dieses Paket enthält die Bibliotheken für die Ausführung.
Este paquete contiene los archivos de configuración.
Sa oni obdarzeni rozumem i sumieniem i powinni postepowac wobec innych w duchu braterstwa.
END
"$enxame" run --fresh -s "$root/models/swarm.yaml" -i "$work/in.txt" "only put the accents back" \
    > "$work/out.txt" 2> "$work/err.txt" || fail "run: $(tail -n 3 "$work/err.txt")"
diff "$work/want.txt" "$work/out.txt" || fail "the accents are not all back"
grep -q "abstained 1" "$work/err.txt" || fail "the unknown language was not left alone"
grep -q "left alone  1: no worker knows the language" "$work/err.txt" || fail "no word about why"
grep -q "all calls" "$work/err.txt" || fail "no bill"
exit $failed
