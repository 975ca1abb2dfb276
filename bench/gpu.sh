#!/usr/bin/env bash
# Builds, tests and measures segrt on a machine with an NVIDIA GPU, in less than eight minutes and without a network.
#
#   bench/gpu.sh [RESULTS_DIR]     gpu.json and the logs go there; default: bench/results, and the logs nowhere
#   bench/gpu.sh --dry-run         on a machine without a GPU: the same steps, small, nothing written
#
# Needs on the machine: Python 3.10 or newer with torch (CUDA), numpy, opencv, pytest, cmake, ninja, pybind11 and
# scikit-build-core; nvcc. Installs nothing there: the build goes to a temporary folder. PYTHON names another Python,
# SEGRT_COMMIT the commit where git cannot tell. Exit status: 0 if built, tested and measured without a failure.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

dry=false
patience=1 # what the limits are multiplied by
[ "${1:-}" = --dry-run ] && dry=true && patience=4 && shift
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
logs=$work
if [ $# -gt 0 ]; then
    mkdir -p "$1" && logs=$(cd "$1" && pwd) || exit 1
    results=(--results "$logs")
else
    results=()
fi
begin=$SECONDS
budget=$((460 * patience))
failed=()

# step NAME SECONDS COMMAND...: run with a limit within what is left of the budget; the end of its output is shown.
step() {
    local name=$1 limit=$(($2 * patience)) left=$((budget - (SECONDS - begin))) status start=$SECONDS
    shift 2
    [ "$limit" -gt "$left" ] && limit=$left
    if [ "$limit" -lt 10 ]; then
        echo "== $name: no time left"
        failed+=("$name")
        return 1
    fi
    echo "== $name"
    timeout --kill-after=10 "$limit" "$@" >"$logs/gpu-$name.log" 2>&1
    status=$?
    tail -n "${lines:-15}" "$logs/gpu-$name.log"
    echo "== $name: status $status after $((SECONDS - start)) s"
    [ $status -eq 0 ] || failed+=("$name")
    return $status
}

machine() {
    nvidia-smi || $dry
    nvcc --version | tail -n 2
    "$python" -c 'import sys, torch; print(sys.version, "torch", torch.__version__, "cuda", torch.cuda.is_available())'
}

build() {
    local cuda=ON architectures=native
    $dry && cuda=OFF
    CMAKE_BUILD_PARALLEL_LEVEL=$(nproc) "$python" -m pip install --quiet --no-build-isolation --no-deps --no-index \
        --no-compile --target "$work/site" -C cmake.define.SEGRT_CUDA=$cuda \
        -C cmake.define.CMAKE_CUDA_ARCHITECTURES=$architectures -C build-dir="$work/build" . || return
    (cd / && PYTHONPATH=$work/site "$python" - "$work" "$dry") <<'EOF'
import sys
from segrt import _core

print(_core.__file__, _core.cuda_devices())
if not _core.__file__.startswith(sys.argv[1]) and sys.argv[2] != "true":
    sys.exit("this Python has another segrt that hides the one just built: pip uninstall segrt, or set PYTHON")
EOF
}

# Warnings are errors where segrt is developed; here other versions of torch and numpy have warnings of their own.
run_tests() {
    "$python" -m pytest -W default -p no:cacheprovider --continue-on-collection-errors -m cuda -q "$@"
}

sanitize() {
    local tool status
    command -v compute-sanitizer || { echo "compute-sanitizer is not installed: skipped" && return 0; }
    for tool in memcheck racecheck initcheck synccheck; do
        timeout --kill-after=5 45 compute-sanitizer --tool $tool --error-exitcode 9 "$python" -m pytest -W default \
            -p no:cacheprovider -m cuda -q -x tests/runtime/cuda/test_exact.py tests/csrc/test_cuda_overlay.py
        status=$?
        case $status in
        0) echo "$tool: clean" ;;
        124 | 137) echo "$tool: did not end in time" ;;
        *) echo "$tool: failed" && return $status ;;
        esac
    done
}

export -f machine build run_tests sanitize
export python work dry

lines=25 step machine 60 bash -c machine
lines=5 step build 180 bash -c build || { echo "failed: build" && exit 1; }
export PYTHONPATH=$work/site PYTHONUNBUFFERED=1
commit=()
[ -n "${SEGRT_COMMIT:-}" ] && commit=(--commit "$SEGRT_COMMIT")
if $dry; then
    step tests 120 bash -c 'run_tests tests/runtime/cuda'
    lines=60 step measure 240 "$python" -m bench.gpu --dry-run --seconds 1
else
    step tests 120 bash -c 'run_tests tests/csrc tests/runtime/cuda tests/runtime/engines'
    lines=60 step measure 240 "$python" -m bench.gpu "${results[@]}" "${commit[@]}"
    lines=30 step sanitizer 150 bash -c sanitize
fi

echo "== $((SECONDS - begin)) s in total"
[ ${#failed[@]} -eq 0 ] || { echo "failed: ${failed[*]}" && exit 1; }
