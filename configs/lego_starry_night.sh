#!/usr/bin/env bash
# lego, painted like The Starry Night, with default settings.
# INS3D_ASSETS names the folder that holds scenes/lego and styles/starry_night.jpg; more options can follow.
set -euo pipefail
assets=${INS3D_ASSETS:-../shared/assets}
# The published rows were judged by VGG-19; without this line the compact encoder would be taken.
export INS3D_PERCEPTUAL_WEIGHTS=${INS3D_PERCEPTUAL_WEIGHTS:-$assets/vgg/vgg19_normalised_conv1_1-conv4_1_f16.safetensors}
ns-train ins-stylize --vis tensorboard --experiment-name lego --pipeline.model.styles "$assets/styles/starry_night.jpg" "$@" \
    --data "$assets/scenes/lego" blender-data
