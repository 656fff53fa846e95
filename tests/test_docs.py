"""What README and docs name is there: links, files, modules."""

import importlib
import re
from pathlib import Path

import pytest

from ins3d.pictures.content import PICTURE_NETWORKS
from ins3d.plugin.contents.content import CONTENTS
from ins3d.plugin.style_field import STYLE_FIELDS
from ins3d.style.losses import LOSSES
from ins3d.style.styles import STYLES
from ins3d.style.windows import WINDOW_RULES
from ins3d.surfaces.content import SURFACE_NETWORKS

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "scripts").rglob("*.md"), ROOT / "scenes" / "README.md"]
)
OF_TODAY = [page for page in PAGES if page.name != "CHANGELOG.md"]
"""A changelog names what was before."""
REGISTRIES = (CONTENTS, LOSSES, PICTURE_NETWORKS, STYLES, STYLE_FIELDS, SURFACE_NETWORKS, WINDOW_RULES)
ENTRY_POINTS = tuple(registry.group for registry in REGISTRIES)
"""Named like modules, and none."""


def page_name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def headings(page: Path) -> set[str]:
    """As GitHub writes them behind a #."""
    lines = re.findall(r"^#+ (.*)$", page.read_text(), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_lead_somewhere(page: Path):
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if target.startswith("http"):
            continue
        path, _, heading = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (heading and heading not in headings(file)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", OF_TODAY, ids=page_name)
def test_files_that_are_named_exist(page: Path):
    names = re.findall(
        r"(?<![\w/.])(?:ins3d|scripts|tests|configs|scenes)/[\w/.-]*\.(?:py|sh|png|md|safetensors)", page.read_text()
    )
    assert [name for name in names if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", OF_TODAY, ids=page_name)
def test_modules_that_are_named_are_imported_so(page: Path):
    for name in re.findall(r"\bins3d(?:\.[a-z_]\w*)+(?:\.[A-Z]\w+)?", page.read_text()):
        module, _, attribute = name.rpartition(".")
        if name in ENTRY_POINTS:
            continue
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            assert hasattr(importlib.import_module(module), attribute), name


def test_every_script_has_its_line():
    for folder in ("measure", "make"):
        told = (ROOT / "scripts" / folder / "README.md").read_text()
        assert [path.name for path in (ROOT / "scripts" / folder).glob("*.py") if f"`{path.name}`" not in told] == []
    told = (ROOT / "scripts" / "README.md").read_text()
    assert [path.name for path in (ROOT / "scripts").glob("*.py") if f"`{path.name}`" not in told] == []
