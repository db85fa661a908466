#!/bin/sh
# Runs fuzz targets, as many at a time as there are cores: run.sh <folder of the programs> <how long, for libFuzzer> <target>...
# It begins with the committed corpus and keeps what it finds beside the programs. An input that breaks a promise is
# shown with the command that repeats it; once mended, it belongs into tests/fuzz/corpus.
set -eu

one() {
    programs=$1 how_long=$2 target=$3
    kept=$programs/fuzz/$target
    mkdir -p "$kept/found" "$kept/broken"
    if "$programs/$target" "$how_long" -timeout=20 -max_len=8192 -print_final_stats=1 -artifact_prefix="$kept/broken/" \
        "$kept/found" "$(dirname "$0")/corpus/$target" > "$kept/log" 2>&1; then
        awk -v target="$target" '/number_of_executed_units/ { runs = $2 } /average_exec_per_sec/ { rate = $2 }
            END { printf "%-14s %10d inputs, %7d a second\n", target, runs, rate }' "$kept/log"
    else
        echo "$target broke a promise:"
        grep -a -A 4 'panicked at\|ERROR:' "$kept/log" | head -20
        sed -n "s|.*Test unit written to \(.*\)|  again: $programs/$target \1|p" "$kept/log"
        return 1
    fi
}

if [ "$1" = --one ]; then
    shift
    one "$@"
    exit
fi

programs=$1 how_long=$2
shift 2
mark=✓ failed=0
printf '%s\n' "$@" | xargs -P "$(getconf _NPROCESSORS_ONLN)" -n 1 "$0" --one "$programs" "$how_long" || mark=✗ failed=1
inputs=$(for target in "$@"; do cat "$programs/fuzz/$target/log"; done |
    awk '/number_of_executed_units/ { runs += $2 } END { print runs + 0 }')
[ "$inputs" -ge $((1000 * $#)) ] || mark=✗ failed=1 # every target is far faster than that
printf '%s  %-16s %-42s %s\n' $mark fuzz "nothing breaks, ${how_long#-}" "$inputs inputs for $# targets"
exit $failed
