"""Options that `ins3d picture` and `ins3d object` had before 0.3, and what they are now: by command."""

SHARES = {
    "--strength-share": "a fifth of the steps train a random strength",
    "--mix-share": "a fifth of the steps train a random blend of two styles",
}
PATCHES = {"--patch": "--patches.size", "--strides": "--patches.strides", "--scales": "--style-scales"}
COARSE = {"--coarse-share": "half of the steps look at the picture at half its size"}
LEARNING_RATE = {"--scales": "--style-scales", "--learning-rate": "adam changes pixel values by 0.03 a step"}
POINTS = {"--points": "how many places a step asks for is not a setting"}

PICTURE = {
    "fit": POINTS,
    "stylize": PATCHES | SHARES | COARSE,
    "blend": PATCHES | COARSE | POINTS | {"--fit-weight": "the photograph counts 150 times at strength 0"},
    "gatys": LEARNING_RATE,
    "texture": LEARNING_RATE,
}
OBJECT = {
    "fit-mesh": POINTS,
    "stylize": PATCHES
    | SHARES
    | {
        "--rays": "--patches.max-rays",
        "--size": "--style-size",
        "--eikonal-weight": "the weights that hold a distilled geometry are not settings",
        "--distance-weight": "the weights that hold a distilled geometry are not settings",
    },
    "export": {"--most-faces": "meshes have at most 40,000 faces"},
    "render": {"--finer": "--supersampling"},
}
