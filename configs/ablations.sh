#!/usr/bin/env bash
# The ablations of docs/results_0.2.md, on a finished content: bash configs/ablations.sh outputs/fox/ins-stylize/RUN
# Each line is one run of the style stage; look at preview.png and ns-eval of each.
set -euo pipefail
content=$1; shift
assets=${INS3D_ASSETS:-../shared/assets}
# The published rows were judged by VGG-19; without this line the compact encoder would be taken.
export INS3D_PERCEPTUAL_WEIGHTS=${INS3D_PERCEPTUAL_WEIGHTS:-$assets/vgg/vgg19_normalised_conv1_1-conv4_1_f16.safetensors}
style() {
    name=$1; shift
    ns-train ins-stylize --vis tensorboard --experiment-name ablations --timestamp "$name" \
        --pipeline.content-checkpoint "$content/content.ckpt" --pipeline.model.styles "$assets/styles/starry_night.jpg" "$@" \
        --data "$assets/scenes/fox" nerfstudio-data --downscale-factor 8
}
# Every sample shaded, for as long as the default style stage takes (2500 deferred steps).
style full "$@" --pipeline.model.shading full --pipeline.style-steps 400
# Geometry: held back by the teacher, and left alone (INS: with and without geometry consistency).
style distilled "$@" --pipeline.model.geometry distilled --pipeline.style-steps 400 --pipeline.model.style-field planes:density_gate=0.9
style free "$@" --pipeline.model.geometry free --pipeline.model.shading full --pipeline.style-steps 400 \
    --pipeline.model.style-field planes:density_gate=0.9
# Sampling stride (INS): the same 32x32 rays over 32, 64 and 128 pixels.
for stride in 1 2 4; do
    style "stride_$stride" "$@" --pipeline.patches.size 32 --pipeline.patches.strides "$stride" --pipeline.style-steps 600
done
