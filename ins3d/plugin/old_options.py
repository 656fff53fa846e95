"""Options that `ns-train` had before 0.3, and what they are now."""

import sys
from collections.abc import Sequence
from pathlib import Path

from ins3d.extension.old_options import refuse_old_options

MODEL, CONTENT, STYLE = "--pipeline.model", "--pipeline.model.content", "--pipeline.model.style-field"
OF_HASH = (
    "appearance-embed-dim", "average-init-density", "base-res", "features-per-level", "hidden-dim", "hidden-dim-color",
    "implementation", "log2-hashmap-size", "max-res", "num-images", "num-layers", "num-levels", "proposal-hidden-dim",
    "proposal-levels", "proposal-linear", "proposal-log2-hashmap-size", "proposal-max-res",
)  # fmt: skip
GROUPS = ("content-tables", "content", "proposals", "style-planes", "style", "gates")
OLD_OPTIONS = {
    f"{MODEL}.content-loss-mult": f"{MODEL}.content-weight",
    f"{MODEL}.geometry-loss-mult": f"{MODEL}.geometry-weight",
    f"{MODEL}.tv-loss-mult": f"{MODEL}.tv-weight",
    f"{MODEL}.style-loss-mult": f"{MODEL}.style-loss gram:WEIGHT (each loss has its own)",
    f"{MODEL}.style-mix": f"{MODEL}.mix",
    f"{MODEL}.style-strength": f"{MODEL}.strength",
    f"{MODEL}.style-picture-size": f"{MODEL}.style-size",
    f"{MODEL}.strength-share": "a fifth of the steps train a random strength",
    f"{MODEL}.mix-share": "a fifth of the steps train a random blend of two styles",
    f"{MODEL}.num-training-points": f"{MODEL}.num-points TRAINING PICTURES",
    f"{MODEL}.num-surface-points": f"{MODEL}.num-points TRAINING PICTURES",
    f"{MODEL}.style-encoding": f"{STYLE} NAME",
    f"{MODEL}.style-plane-resolutions": f"{STYLE} planes:resolutions=96/192/384",
    f"{MODEL}.style-plane-channels": f"{STYLE} planes:channels=NUMBER",
    f"{MODEL}.style-width": f"{STYLE} planes:width=NUMBER",
    f"{MODEL}.gate-init": f"{STYLE} planes:density_gate=NUMBER,color_gate=NUMBER",
    f"{MODEL}.zero-view-direction": f"{STYLE} planes:view_direction=true (or false, which is the default)",
    f"{MODEL}.loss-scale": "losses as in the INS release are those of the method ins-stylize-paper",
    f"{MODEL}.spread-mult": "how far merged points are spread in depth is no setting; --pipeline.model.footprint-mult is",
    f"{MODEL}.view-dropout": "a tenth of the content stage's rays are shown no view direction",
    f"{MODEL}.rgb-loss-mult": "the content stage's other losses are weighed against it",
    f"{CONTENT}.kind": f"{CONTENT} NAME",
    f"{CONTENT}.plane-resolutions": f"{CONTENT} planes:resolutions=64/128/256",
    f"{CONTENT}.plane-channels": f"{CONTENT} planes:channels=NUMBER",
    f"{CONTENT}.num-samples": f"{CONTENT} NAME:num_samples=NUMBER",
    f"{CONTENT}.num-proposal-samples": f"{CONTENT} NAME:num_proposal_samples=NUMBER (of frequency: num_coarse_samples)",
    **{f"{CONTENT}.hash.{name}": f"{CONTENT} hash:{name.replace('-', '_')}=VALUE" for name in OF_HASH},
    "--pipeline.pool.max-rays": "--pipeline.patches.max-rays",
    "--pipeline.pool.share-of-memory": "samples go to a file where they need a quarter of the free memory",
    "--pipeline.patches.halve-stride-every": "strides stay what they are; give those that should be drawn",
    "--pipeline.more-styles-mult": "every further style adds 45 % of --pipeline.style-steps",
    **{f"--optimizers.{group}.scheduler.stage": "every group learns in its own stage" for group in GROUPS},
    **{f"--optimizers.{group}.optimizer.fused": "Adam is always torch's fused one" for group in GROUPS},
}


def check_words(words: Sequence[str], methods: Sequence[str]) -> None:
    """Leaves with a sentence when the words of the process are an `ns-train` of one of our methods with an old option."""
    if words and Path(words[0]).stem in ("ns-train", "train") and words[1:2] and words[1] in methods:
        refuse_old_options(words[2:], OLD_OPTIONS)


def check_process(methods: Sequence[str]) -> None:
    """The same of this process, before tyro says no more than that an option is unknown."""
    check_words(sys.argv, methods)
