#!/usr/bin/env bash
# Measures the trainer on this machine's GPU: needs bash, and a Python with torch 2.11, and no network.
#
#   ./run.sh [--python PROGRAM] [--out FOLDER] [--rehearse] [--only A,B] [--list]
#
# A line for each figure, `PASS|SHORT|SKIP name: value (bar)`, and everything in FOLDER/results.json (default: results, here).
# --rehearse goes through the same steps on the CPU with small sizes. The exit status is 1 when a figure is short or skipped.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

python=${PYTHON:-python3}
rest=()
while (($#)); do
    case $1 in
    --python) python=${2:?"--python needs a program"} && shift ;;
    --python=*) python=${1#*=} ;;
    -h | --help) sed -n '2,7s/^# \{0,1\}//p' "$here/run.sh" && exit ;;
    *) rest+=("$1") ;;
    esac
    shift
done

# Of a torch without NumPy nobody needs to hear.
version=$("$python" -W ignore -c 'import torch; print(torch.__version__)') || {
    echo "error: $python has no torch; name a Python that has torch 2.11 with --python" >&2
    exit 2
}
case $version in
2.11.*) ;;
*) echo "error: the torch of $python is $version, and 2.11 is needed; name another Python with --python" >&2 && exit 2 ;;
esac
exec "$python" -W ignore -B "$here/measure.py" ${rest[@]+"${rest[@]}"}
