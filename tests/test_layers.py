"""The core knows nothing of nerfstudio, imports go down, and no function is too long to read."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CORE, PLUGIN, SCRIPTS = ROOT / "ins3d", ROOT / "ins3d" / "plugin", ROOT / "scripts"
LONGEST_FUNCTION = 50

# A module imports only from layers above its own line.
LAYERS = (
    {
        "camera_files", "color_transfer", "command_line", "field_files", "frozen_teacher", "geometry_losses",
        "image_files", "mlp", "object_cameras", "perceptual_features", "picture_warp", "picture_windows",
        "pixel_patches", "png_rows", "point_encoding", "posed_pictures", "run_record", "scene_placement",
        "sphere_tracing", "style_mix", "style_pictures", "surface_mesh", "surface_points", "training",
        "weights_files",
    },
    {
        "amalgamation", "content_features", "example_shape", "flow_warp", "frame_stylizer", "geometry_warp",
        "mesh_files", "mesh_queries", "optical_flow", "perceptual_distance", "perceptual_losses",
        "perceptual_weights", "picture_content", "picture_record", "picture_statistics", "plane_sweep",
        "style_colors", "style_draws", "style_features", "surface_content", "video_files", "visual_hull",
    },
    {
        "command_settings", "evaluation_frames", "mesh_fitting", "object_pictures", "style_losses", "stylized_field",
        "stylized_picture", "stylized_surface", "surface_windows",
    },
    {
        "photo_fitting", "picture_checkpoint", "style_distances", "style_targets", "surface_checkpoint",
        "surface_rendering", "surface_triangles", "training_run", "view_consistency",
    },
    {
        "evaluation_measures", "evaluation_pictures", "evaluation_settings", "evaluation_stages", "picture_rendering",
        "pixel_objective", "style_objective", "surface_baking",
    },
    {
        "evaluation_judges", "evaluation_report", "image_fitting", "picture_settings", "pixel_optimization",
        "sdf_stylization", "surface_settings",
    },
    {
        "command_objective", "evaluation_comparison", "picture_blending",
    },
    {
        "picture_commands", "picture_render_command", "pixel_commands", "surface_export_command",
        "surface_fit_commands", "surface_render_command",
    },
    {
        "surface_stylize_command",
    },
)  # fmt: skip
LAYER_OF = {module: number for number, modules in enumerate(LAYERS) for module in modules}

CORE_FILES = sorted(path for path in CORE.glob("*.py") if path.stem != "__init__")
PLUGIN_FILES = sorted(path for path in PLUGIN.rglob("*.py") if path.stem != "__init__")
EVERY_FILE = sorted([*CORE.rglob("*.py"), *SCRIPTS.rglob("*.py")])


def stem(path: Path) -> str:
    return path.stem


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


def plugin_imports(lazy: bool) -> dict[str, set[str]]:
    modules = {path.stem for path in PLUGIN_FILES}
    return {
        path.stem: {name for name in modules if f"ins3d.plugin.{name}" in imported_modules(path, lazy)}
        for path in PLUGIN_FILES
    }


class TestCore:
    def test_every_module_stands_in_exactly_one_layer(self):
        assert {path.stem for path in CORE_FILES} == set(LAYER_OF)
        assert sum(map(len, LAYERS)) == len(LAYER_OF)

    @pytest.mark.parametrize("path", CORE_FILES, ids=stem)
    def test_imports_only_from_lower_layers(self, path: Path):
        imported = {name.split(".")[1] for name in imported_modules(path) if name.startswith("ins3d.")}
        not_below = {module for module in imported if LAYER_OF.get(module, 99) >= LAYER_OF[path.stem]}
        assert not_below == set()

    @pytest.mark.parametrize("path", [CORE / "__init__.py", *CORE_FILES], ids=stem)
    def test_knows_nothing_of_nerfstudio_or_the_plugin(self, path: Path):
        names = imported_modules(path)
        assert not [name for name in names if name.split(".")[0] == "nerfstudio" or name.startswith("ins3d.plugin")]

    def test_package_imports_nothing(self):
        assert imported_modules(CORE / "__init__.py") == set()


class TestPlugin:
    def test_has_no_import_cycle(self):
        assert cycles(plugin_imports(lazy=False)) == []

    def test_has_no_import_cycle_hidden_inside_functions(self):
        assert cycles(plugin_imports(lazy=True)) == []


class TestSize:
    @pytest.mark.parametrize("path", EVERY_FILE, ids=stem)
    def test_no_function_is_too_long_to_read(self, path: Path):
        functions = [
            node
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        ]
        lengths = {node.name: (node.end_lineno or 0) - node.lineno + 1 for node in functions}
        assert {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION} == {}


class TestTheseChecks:
    """A check that finds nothing must be able to find something."""

    def test_finds_cycles(self):
        assert cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [
            ["a", "b", "c", "a"],
            ["b", "c", "a", "b"],
            ["c", "a", "b", "c"],
        ]
        assert cycles({"a": {"b"}, "b": set()}) == []

    def test_sees_imports_wherever_they_stand(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        path = tmp_path / "ins3d" / "plugin" / "some.py"
        path.parent.mkdir(parents=True)
        path.write_text(
            "from typing import TYPE_CHECKING\n"
            "import nerfstudio.models as models\n"
            "from . import model\n"
            "if TYPE_CHECKING:\n    import ins3d.never\n"
            "def later():\n    from ins3d.mlp import Mlp\n"
        )
        monkeypatch.setitem(globals(), "ROOT", tmp_path)
        eager, all_of_them = imported_modules(path, lazy=False), imported_modules(path)
        assert {"nerfstudio.models", "ins3d.plugin.model"} <= eager and "ins3d.never" not in all_of_them
        assert "ins3d.mlp" not in eager and "ins3d.mlp" in all_of_them
