# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # root, log, lab_home are shared with setup.sh and its other parts
# How a stage of the set-up runs: its output goes to a log, a person sees one line with the time.
# Sourced by setup.sh, which sets `root`.

stages_run=0
log=/dev/null
ticker=

say() { printf 'lab: %s\n' "$*" >&2; }

# give_up TRIED REMEDY: the one line a user sees when set-up can't go on.
give_up() {
    say "$1. Remedy: $2"
    exit 1
}

# need LABEL PRODUCT [ARGUMENTS]: unless PRODUCT_current says it is there, PRODUCT_make makes it.
# What must be asked or refused before the work starts (sudo, another distribution) is PRODUCT_ask.
need() {
    local label=$1 product=$2
    shift 2
    if "${product}_current" "$@"; then return; fi
    home_lock
    if "${product}_current" "$@"; then return; fi # another set-up made it while we waited
    log=$lab_home/logs/setup-${label// /-}.log
    if declare -F "${product}_ask" >/dev/null; then "${product}_ask" "$@"; fi
    stages_run=$((stages_run + 1))
    stage "$label" "${product}_make" "$@"
}

# stage LABEL COMMAND…: run it with its output in the log; on failure show the log's end and exit.
stage() {
    local label=$1 started=$SECONDS status
    shift
    printf '=== %s: %s\n' "$(date -Is)" "$label" >"$log"
    tick_start "$label"
    # Not "if ! (…)": there, bash would ignore `set -e` inside the stage.
    set +e
    (
        set -e
        "$@"
    ) >>"$log" 2>&1 9>&-
    status=$?
    set -e
    tick_stop
    if [[ $status -ne 0 ]]; then
        say "$label: FAILED after $((SECONDS - started)) s. The end of $log:"
        tail -n 15 "$log" | sed 's/^/    /' >&2
        say "what is done stays done; ./lab setup goes on from here"
        exit 1
    fi
    say "$label: done in $((SECONDS - started)) s"
}

# On a terminal the seconds count up; elsewhere (CI) a line tells what has begun.
tick_start() {
    if [[ ! -t 2 ]]; then
        say "$1 …"
        return
    fi
    local label=$1 started=$SECONDS
    while kill -0 $$ 2>/dev/null; do
        printf '\rlab: %s … %d s ' "$label" $((SECONDS - started)) >&2
        sleep 1
    done 9>&- &
    ticker=$!
}

tick_stop() {
    if [[ -z $ticker ]]; then return; fi
    kill "$ticker" 2>/dev/null || true
    wait "$ticker" 2>/dev/null || true
    ticker=
    printf '\r\033[K' >&2
}
trap tick_stop EXIT

# Stamps. digest: hash standard input; stamped FILE HASH: true if FILE holds it.
digest() { sha256sum | cut -c1-64; }
stamped() { [[ -e $1 && $(<"$1") == "$2" ]]; }
