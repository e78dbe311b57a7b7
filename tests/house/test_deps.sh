#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# test_deps.sh - scripts/deps on machines that it has never seen, played by stubs:
#
#     test_deps.sh PATH/TO/scripts/deps
#
# A stub apt-get knows no package before its first update, as on a new machine.
set -euo pipefail
deps=$1
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
mkdir "$room/bin"
failed=0

stub() { # stub NAME: the body comes from standard input
    { echo '#!/bin/bash'; cat; } >"$room/bin/$1"
    chmod +x "$room/bin/$1"
}
for tool in bash env mktemp rm tail cat touch; do
    ln -s "$(command -v $tool)" "$room/bin/$tool"
done
stub id <<<'cat "$ROOM/uid"'
stub dpkg-query <<<'shift 3
for package; do [ -e "$ROOM/has/$package" ] && echo "ii  $package"; done
exit 1'
stub apt-get <<<'echo "apt-get $*" >>"$ROOM/calls"
[ -e "$ROOM/offline" ] && { echo "E: no network"; exit 100; }
for last; do :; done
case " $* " in
*" update "*) touch "$ROOM/updated" ;;
*) [ -e "$ROOM/updated" ] || { echo "E: Unable to locate package"; exit 100; }
   past=; for word; do
       [ -z "$past" ] || touch "$ROOM/has/$word"
       [ "$word" = -y ] && past=1
   done ;;
esac
exit 0'

run() { # run ARGUMENTS: sets status; output in $room/out
    : >"$room/calls"
    status=0
    ROOM=$room PATH=$room/bin "$deps" "$@" >"$room/out" 2>&1 </dev/null || status=$?
}
check() { # check WHAT CONDITION...
    local what=$1
    shift
    if "$@"; then echo "ok - $what"; else
        echo "not ok - $what (status $status)"
        cat "$room/out" "$room/calls"
        failed=1
    fi
}
said() { grep -q -- "$1" "$room/out"; }
called() { [ "$(grep -c -- "$1" "$room/calls")" = "$2" ]; }

mkdir "$room/has"
echo 1000 >"$room/uid"
run
check "without root it fails" [ $status = 1 ]
check "and names the packages" said "apt-get install build-essential meson"
check "and calls nothing" called apt-get 0

echo 0 >"$room/uid"
run
check "a new machine gets everything" [ $status = 0 ]
check "after one update" called ' update$' 1
run
check "the second run is quiet" [ ! -s "$room/out" ]
check "and calls nothing" called apt-get 0

rm "$room/has/meson"
run
check "what is missing is installed" [ -e "$room/has/meson" ]
check "without an update" called ' update$' 0
check "and only that" called 'libdnnl' 0

run --arm
check "--arm adds a cross compiler" [ -e "$room/has/gcc-aarch64-linux-gnu" ]
check "and nothing of --full" [ ! -e "$room/has/clang" ]

run --full
check "--full adds clang" [ -e "$room/has/libclang-rt-14-dev" ]

rm "$room/has/meson"
touch "$room/offline"
run
check "a failure keeps its status" [ $status = 1 ]
check "shows what apt said" said "E: no network"
check "and names the package" said "could not install: meson"

run --everything
check "an unknown option is refused" [ $status = 64 ]
rm "$room/bin/dpkg-query"
run
check "another system is told the names and goes on" [ $status = 0 ]
check "by name" said "not a Debian system.*libjansson-dev"
exit $failed
