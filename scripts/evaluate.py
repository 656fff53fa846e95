"""Evaluates a finished run: is it consistent, is it the style, did the geometry stay? Numbers, and a page to look at.

    python scripts/evaluate.py --load-config outputs/.../config.yml
    python scripts/evaluate.py compare RUN_A RUN_B ...

Every number stands between its floor (photographs, unstylised renders) and its ceiling (the renders painted one by one).
Stages that are finished are kept: run it again to go on, or to add what was not measured.
"""

import sys

import tyro

from ins3d.evaluation_comparison import run_compare
from ins3d.evaluation_settings import Compare, Evaluate
from ins3d.plugin.evaluate_run import run_evaluate


def main(arguments: list[str] | None = None) -> None:
    words = sys.argv[1:] if arguments is None else arguments
    try:
        if words[:1] == ["compare"]:
            run_compare(tyro.cli(Compare, args=words[1:], description=Compare.__doc__))
        else:
            run_evaluate(tyro.cli(Evaluate, args=words, description=__doc__))
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(str(error)) from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
