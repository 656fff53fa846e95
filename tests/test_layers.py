"""The architecture: rooms, what lives in them, and which rooms each may use. Imports go down only."""

import ast
import os
import re
import textwrap
from pathlib import Path
from typing import NamedTuple

import pytest

import ins3d

ROOT = Path(__file__).resolve().parents[1]
PACKAGE, SCRIPTS, DESIGN = ROOT / "ins3d", ROOT / "scripts", ROOT / "docs" / "design.md"
LONGEST_FUNCTION = 50
MOST_MODULES = 25


class Room(NamedTuple):
    """A folder of `ins3d/`."""

    lives: str
    """What lives there."""
    uses: str = ""
    """The rooms whose modules its own may import; all stand on floors below."""


# From the roof down. A room uses only rooms of floors below its own, and none that it does not need.
HOUSE: tuple[dict[str, Room], ...] = (
    {
        "cli": Room(
            "the command `ins3d`: what users type, read and run",
            "plugin.finished evaluation pictures surfaces splats transfer perception extension files",
        ),
    },
    {
        "plugin.finished": Room(
            "what is done with a finished scene: evaluation, films, flights",
            "plugin plugin.contents plugin.rays splats evaluation runs style files",
        ),
    },
    {
        "plugin": Room(
            "the door to nerfstudio: methods, trainer, model, two stages",
            "plugin.contents plugin.viewer plugin.rays plugin.data splats evaluation style fields placement extension files",
        ),
    },
    {
        "plugin.contents": Room(
            "what is painted: the protocol of a content, splats as one",
            "plugin.rays splats fields placement extension",
        ),
    },
    {
        "pictures": Room(
            "the 2D case: a picture as a field, painted, or painted in one pass",
            "runs style fields transfer perception extension files",
        ),
        "surfaces": Room(
            "the SDF case: an object as a field, painted, a mesh again",
            "runs style meshes fields placement perception extension files",
        ),
        "splats": Room(
            "Gaussian splats: made of a field, painted, drawn, written",
            "runs style fields placement perception extension files",
        ),
        "evaluation": Room("judging runs: numbers, pictures, a page", "runs style transfer perception files"),
        "plugin.viewer": Room("the page in a browser: first view, pictures, controls", "plugin.rays style files"),
    },
    {
        "runs": Room(
            "what trainings outside nerfstudio share: settings, steps, records",
            "style perception extension files",
        ),
        "plugin.rays": Room(
            "training pixels to rays, fields along rays, samples to pixels", "plugin.data fields placement perception files"
        ),
    },
    {
        "style": Room(
            "styles, mixes, windows, losses, the objective, the style stage",
            "perception extension files",
        ),
        "plugin.data": Room("a scene as it comes: read, compared, mended for the host, measured", "placement files"),
        "transfer": Room("feed-forward 2D networks: content and style in, picture out", "perception files"),
    },
    {
        "perception": Room("what a picture looks like: encoders, losses, LPIPS, colours", "files"),
        "meshes": Room("triangles and their files; distance, inside, first hits", "files"),
    },
    {
        "files": Room("what lies on disk: pictures, films, fields, weights, records"),
        "extension": Room("where other packages plug in, and settings that say their bounds"),
        "fields": Room("what networks say about a point: CIM, SIM, AM and their parts"),
        "placement": Room("where a scene lies: measured, mapped into the unit ball, looked at"),
    },
)
ROOMS = {name: room for floor in HOUSE for name, room in floor.items()}
FLOOR = {name: len(HOUSE) - number for number, floor in enumerate(HOUSE) for name in floor}
KNOWS_THE_HOST = ("plugin", "plugin.contents", "plugin.rays", "plugin.data", "plugin.viewer", "plugin.finished")

PACKAGE_FILES = sorted(PACKAGE.rglob("*.py"))
SCRIPT_FILES = sorted(SCRIPTS.rglob("*.py"))


def drawn() -> str:
    """The house as text, one floor under the other: the first picture of docs/design.md."""
    lines = []
    for number, floor in enumerate(HOUSE):
        for name, room in floor.items():
            label = f"{len(HOUSE) - number if name == next(iter(floor)) else '':>2}  {name.replace('.', '/') + '/':<17}"
            lives = textwrap.wrap(room.lives, 46)
            uses = textwrap.wrap(", ".join(room.uses.replace(".", "/").split()) or "nothing of ours", 46)
            for row in range(max(len(lives), len(uses))):
                said = [text[row] if row < len(text) else "" for text in (lives, uses)]
                lines.append(f"{label if row == 0 else '':<21}{said[0]:<48}{said[1]}".rstrip())
        lines.append("")
    return "\n".join([f"    {'room':<17}{'what lives there':<48}may use", "", *lines]).rstrip()


def stem(path: Path) -> str:
    return str(path.relative_to(ROOT).with_suffix(""))


def dotted(path: Path) -> str:
    """The module in a file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """The room in which a module of ours stands: the longest that its name begins with; empty for the root."""
    inside = module.removeprefix("ins3d").removeprefix(".")
    return max((name for name in ROOMS if f"{inside}.".startswith(f"{name}.")), key=len, default="")


def imported_modules(path: Path, lazy: bool = True) -> set[str]:
    """Dotted names of all imported modules, but those for type checkers; with `lazy` also those inside functions."""
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parent = importing_package(path, node.level)
            module = ".".join(part for part in (parent, node.module) if part)
            # `from package import name` may name a module as well as an attribute: both are looked at.
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
        children = list(ast.iter_child_nodes(node))
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            children = list(node.orelse)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not lazy:
            children = []
        waiting += children
    return found


def importing_package(path: Path, level: int) -> str:
    """The package that a relative import of that level starts from; empty for an absolute one."""
    folders = path.relative_to(ROOT).parts[:-1]
    return ".".join(folders[: len(folders) - level + 1]) if level else ""


def rooms_used(path: Path) -> set[str]:
    """The other rooms of ours that a file imports from."""
    ours = {name for name in imported_modules(path) if name.startswith("ins3d.")}
    return {room_of(name) for name in ours} - {"", room_of(dotted(path))}


def cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """One path back to its beginning for every module that can reach itself."""
    found = []
    for start in sorted(graph):
        came_from, waiting = {start: start}, [start]
        while waiting:
            module = waiting.pop()
            for following in sorted(graph[module]):
                if following == start:
                    path = [module]
                    while path[-1] != start:
                        path.append(came_from[path[-1]])
                    found.append([*reversed(path), start])
                    waiting = []
                    break
                if following not in came_from:
                    came_from[following] = module
                    waiting.append(following)
    return found


def module_imports() -> dict[str, set[str]]:
    """Every module of ours, and those it imports, wherever in the file that stands."""
    modules = {dotted(path) for path in PACKAGE_FILES}
    return {dotted(path): (imported_modules(path) & modules) - {dotted(path)} for path in PACKAGE_FILES}


class TestHouse:
    @pytest.mark.parametrize("name", ROOMS)
    def test_a_room_may_use_only_rooms_of_floors_below(self, name: str):
        assert all(FLOOR[used] < FLOOR[name] for used in ROOMS[name].uses.split())

    @pytest.mark.parametrize("name", ROOMS)
    def test_a_room_uses_all_that_it_may_and_nothing_else(self, name: str):
        files = [path for path in PACKAGE_FILES if room_of(dotted(path)) == name]
        assert set().union(*map(rooms_used, files)) == set(ROOMS[name].uses.split())

    def test_every_folder_is_a_room(self):
        folders = {".".join(path.parent.relative_to(PACKAGE).parts) for path in PACKAGE_FILES} - {""}
        assert folders == set(ROOMS)

    def test_the_root_holds_no_module(self):
        assert [path.name for path in PACKAGE.glob("*.py")] == ["__init__.py"]

    @pytest.mark.parametrize("name", ROOMS)
    def test_no_room_is_too_full_and_every_one_says_what_it_is(self, name: str):
        folder = PACKAGE / name.replace(".", "/")
        assert len(list(folder.glob("*.py"))) <= MOST_MODULES
        assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))

    def test_no_file_repeats_the_name_of_its_room(self):
        names = [(room_of(dotted(path)).split(".")[-1].removesuffix("s"), path.stem) for path in PACKAGE_FILES]
        assert [(room, name) for room, name in names if room and name.startswith(f"{room}_")] == []

    def test_the_first_picture_of_the_design_is_this_house(self):
        text = DESIGN.read_text()
        if os.environ.get("INS3D_UPDATE_GOLDEN"):
            text = re.sub(r"```\n.*?```", lambda _: f"```\n{drawn()}\n```", text, count=1, flags=re.S)
            DESIGN.write_text(text)
        assert text.split("```\n")[1].rstrip() == drawn()


class TestImports:
    def test_modules_do_not_import_each_other_in_a_circle(self):
        assert cycles(module_imports()) == []

    @pytest.mark.parametrize("path", PACKAGE_FILES, ids=stem)
    def test_only_the_plugin_knows_nerfstudio(self, path: Path):
        if room_of(dotted(path)) not in KNOWS_THE_HOST:
            assert [name for name in imported_modules(path) if name.split(".")[0] == "nerfstudio"] == []

    @pytest.mark.parametrize("path", PACKAGE_FILES, ids=stem)
    def test_no_package_imports_its_modules(self, path: Path):
        """`import ins3d.files.pictures` must cost what that file costs."""
        if path.name == "__init__.py":
            assert {name for name in imported_modules(path) if name.startswith("ins3d")} == set()


class TestSize:
    @pytest.mark.parametrize("path", [*PACKAGE_FILES, *SCRIPT_FILES], ids=stem)
    def test_no_function_is_too_long_to_read(self, path: Path):
        functions = [
            node
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        ]
        lengths = {node.name: (node.end_lineno or 0) - node.lineno + 1 for node in functions}
        assert {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION} == {}


class TestMoved:
    """Names that README and docs once gave."""

    @pytest.mark.parametrize(("old", "new"), ins3d.MOVED.items())
    def test_an_old_path_names_the_new_one(self, old: str, new: str):
        with pytest.raises(ImportError, match=re.escape(f"ins3d.{old} is now ins3d.{new}")):
            __import__(f"ins3d.{old}")
        assert (PACKAGE / f"{new.replace('.', '/')}.py").is_file()

    def test_whichever_way_it_is_written(self):
        with pytest.raises(ImportError, match="ins3d.style_losses is now ins3d.style.losses"):
            from ins3d import style_losses  # type: ignore[attr-defined]  # noqa: F401
        with pytest.raises(ImportError, match="ins3d.style_losses is now ins3d.style.losses"):
            from ins3d.style_losses import STYLE_LOSSES  # type: ignore[import-not-found]  # noqa: F401

    def test_what_never_was_is_missing_as_ever(self):
        with pytest.raises(ModuleNotFoundError, match="No module named 'ins3d.never'"):
            __import__("ins3d.never")


class TestTheseChecks:
    """A check that finds nothing must be able to find something."""

    def test_finds_cycles(self):
        assert cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [
            ["a", "b", "c", "a"],
            ["b", "c", "a", "b"],
            ["c", "a", "b", "c"],
        ]
        assert cycles({"a": {"b"}, "b": set()}) == []

    def test_finds_the_room_of_a_module(self):
        assert room_of("ins3d.plugin.finished.films") == "plugin.finished"
        assert room_of("ins3d.plugin.model") == "plugin"
        assert room_of("ins3d.style") == "style" and room_of("ins3d.style_losses") == "" and room_of("ins3d") == ""

    def test_sees_imports_wherever_they_stand(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        path = tmp_path / "ins3d" / "plugin" / "some.py"
        path.parent.mkdir(parents=True)
        path.write_text(
            "from typing import TYPE_CHECKING\n"
            "import nerfstudio.models as models\n"
            "from . import model\n"
            "if TYPE_CHECKING:\n    import ins3d.never\n"
            "def later():\n    from ins3d.fields.mlp import Mlp\n"
        )
        monkeypatch.setitem(globals(), "ROOT", tmp_path)
        eager, all_of_them = imported_modules(path, lazy=False), imported_modules(path)
        assert {"nerfstudio.models", "ins3d.plugin.model"} <= eager and "ins3d.never" not in all_of_them
        assert "ins3d.fields.mlp" not in eager and "ins3d.fields.mlp" in all_of_them
        assert rooms_used(path) == {"fields"}
