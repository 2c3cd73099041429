#!/bin/bash
# The GPU benchmark in one command: no network, under ten minutes. Runs from anywhere.
#
#   benchmarks/gpu/run.sh             on a machine with an NVIDIA GPU, nvcc and a Python 3.11 or later that has torch
#   benchmarks/gpu/run.sh --rehearse  every step on a CPU, over emulated threads; writes nothing
#
# PYTHON names the interpreter (python3). Wheels that it lacks may lie in benchmarks/gpu/wheels/, whole or in pieces named
# NAME.whl.part-00, NAME.whl.part-01 ...: they are joined and installed beside it, in build/gpu.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3}
build=$PWD/build/gpu
mkdir -p "$build/site" "$build/wheels" "$build/packages/strizh"

echo "== wheels"
shopt -s nullglob
for first in benchmarks/gpu/wheels/*.whl.part-00; do
  cat "${first%-00}"-* > "$build/wheels/$(basename "${first%.part-00}")"
done
wheels=("$build"/wheels/*.whl benchmarks/gpu/wheels/*.whl)
if ((${#wheels[@]})); then
  "$python" -m pip install --quiet --no-index --no-deps --no-compile --upgrade --target "$build/site" "${wheels[@]}"
fi
echo "${#wheels[@]} installed"

# strizh as a package, over links: nothing is built or fetched for it.
for part in export runtime kernels; do ln -sfn "$PWD/$part" "$build/packages/strizh/$part"; done
cp runtime/facade.py "$build/packages/strizh/__init__.py"
ln -sfn "$PWD/benchmarks" "$build/packages/benchmarks"
export PYTHONPATH=$build/packages:$build/site

echo "== operators"
if [[ " $* " == *" --rehearse "* ]]; then
  library=$build/libstrizh_cuda_emulated.so
  g++ -std=c++17 -O1 -fPIC -shared -DSTRIZH_EMULATED -Wno-unknown-pragmas -x c++ \
    kernels/cuda/*.cu kernels/cuda/emulated/device.cpp kernels/cpu/ort_node.cpp -o "$library"
else
  library=$build/libstrizh_cuda.so
  nvcc=$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)
  objects=()
  for source in kernels/cuda/*.cu kernels/cpu/ort_node.cpp; do
    object=$build/$(basename "$source").o
    "$nvcc" -std=c++17 -O3 -arch=native -Xcompiler -fPIC -c "$source" -o "$object" &
    objects+=("$object")
  done
  for job in $(jobs -p); do wait "$job"; done
  "$nvcc" -shared "${objects[@]}" -o "$library"
fi
ls -l "$library"

echo "== parity and speed"
exec "$python" -P -m benchmarks.gpu.main --library "$library" "$@"
