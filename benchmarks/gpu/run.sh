#!/bin/bash
# The GPU benchmark in one command: no network, under ten minutes. Runs from anywhere.
#
#   benchmarks/gpu/run.sh             on a machine with an NVIDIA GPU, nvcc and a Python 3.11 or later that has torch
#   benchmarks/gpu/run.sh --rehearse  every step on a CPU, over emulated threads; writes nothing
#
# PYTHON names the interpreter (python3), MINUTES what it may take (9), --results FOLDER where the figures go. Wheels that the interpreter lacks may lie in
# benchmarks/gpu/wheels/, whole or in pieces named NAME.whl.part-00, NAME.whl.part-01 ...: they are joined and installed
# beside it, in build/gpu. What cannot be had is said and left out; results are written after every step.
# Status 0: everything ran, and parity kept its promises; 1: not so, and the last lines say what; 2: nothing could run.
set -uo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3}
build=$PWD/build/gpu
rehearse=; [[ " $* " == *" --rehearse "* ]] && rehearse=1
mkdir -p "$build/site" "$build/wheels" "$build/packages/strizh"

if ! "$python" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' 2> /dev/null; then
  echo "MISSING: Python 3.11 or later; $python is $("$python" --version 2> /dev/null || echo none). Name another by PYTHON="
  exit 2
fi

echo "== wheels"
shopt -s nullglob
for first in benchmarks/gpu/wheels/*.whl.part-00; do
  cat "${first%-00}"-* > "$build/wheels/$(basename "${first%.part-00}")"
done
installed=0
for wheel in "$build"/wheels/*.whl benchmarks/gpu/wheels/*.whl; do  # one by one: a wheel that is broken stops no other
  options=(--quiet --no-index --no-deps --no-compile --upgrade --target "$build/site")
  if timeout 120 "$python" -m pip install "${options[@]}" "$wheel"; then installed=$((installed + 1))
  else echo "NOT INSTALLED: $(basename "$wheel"): cut off, without one of its pieces, or for another Python"; fi
done
echo "$installed installed"

# strizh as a package, over links: nothing is built or fetched for it.
for part in export runtime kernels; do ln -sfn "$PWD/$part" "$build/packages/strizh/$part"; done
cp runtime/facade.py "$build/packages/strizh/__init__.py"
ln -sfn "$PWD/benchmarks" "$build/packages/benchmarks"
export PYTHONPATH=$build/packages:$build/site PYTHONUNBUFFERED=1

echo "== what this needs"
"$python" -P -m benchmarks.gpu.needs ${rehearse:+--rehearse} || exit 2

echo "== operators"
library=$build/libstrizh_cuda${rehearse:+_emulated}.so
compile() {  # every source by itself, then the library of them
  local nvcc source object job failed=0 objects=()
  if [[ $rehearse ]]; then
    g++ -std=c++17 -O1 -fPIC -shared -DSTRIZH_EMULATED -Wno-unknown-pragmas -x c++ \
      kernels/cuda/*.cu kernels/cuda/emulated/device.cpp kernels/cpu/ort_node.cpp -o "$library"
    return
  fi
  nvcc=$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)
  for source in kernels/cuda/*.cu kernels/cpu/ort_node.cpp; do
    object=$build/$(basename "$source").o
    timeout 240 "$nvcc" -std=c++17 -O3 "$@" -Xcompiler -fPIC -c "$source" -o "$object" &
    objects+=("$object")
  done
  for job in $(jobs -p); do wait "$job" || failed=1; done
  ((failed)) || "$nvcc" -shared "${objects[@]}" -o "$library"
}
rm -f "$library"  # an older one would be measured in its place
# Where nvcc cannot ask the driver for the GPU, for those that the operators are written for.
compile -arch=native || compile -gencode arch=compute_80,code=sm_80 -gencode arch=compute_90,code=sm_90 ||
  echo "NOT BUILT: strizh's CUDA operators, so nothing that calls them is measured"
[[ -e $library ]] && ls -l "$library"

echo "== parity and speed"
exec "$python" -P -m benchmarks.gpu.main --library "$library" --seconds $((60 * ${MINUTES:-9} - SECONDS)) "$@"
