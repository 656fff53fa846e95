#!/usr/bin/env bash
# fox, painted like The Starry Night, with default settings: the run in docs/results.md.
# INS3D_ASSETS names the folder that holds scenes/fox and styles/starry_night.jpg; more options can follow.
set -euo pipefail
assets=${INS3D_ASSETS:-../shared/assets}
ns-train ins-stylize --vis tensorboard --experiment-name fox --pipeline.model.styles "$assets/styles/starry_night.jpg" "$@" \
    --data "$assets/scenes/fox" nerfstudio-data --downscale-factor 8
