"""What people get who install a wheel: everything is in it, and everything that it imports is asked for.

`make wheel` runs this with INS3D_EMPTY_ENVIRONMENT=1: then the wheel brings its dependencies from the package index into an
empty environment, which takes minutes and 8 GB. Without it they are this environment's, and only the wheel is new.
"""

import ast
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib  # type: ignore[no-redef]

ROOT = Path(__file__).resolve().parents[1]
EMPTY = bool(os.environ.get("INS3D_EMPTY_ENVIRONMENT"))
CONSTRAINTS = ROOT / "configs" / "constraints.txt"


@pytest.fixture(scope="module")
def bin_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The programs of an environment into which a wheel of this checkout was installed."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # a build leaves folders behind
    files = subprocess.check_output(["git", "ls-files", "-z", "ins3d", "pyproject.toml", "README.md", "LICENSE"], cwd=ROOT)
    for name in files.decode().split("\0")[:-1]:
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    pip = [sys.executable, "-m", "pip", "--quiet"]
    subprocess.check_call([*pip, "wheel", "--no-deps", "--wheel-dir", str(folder), str(source)])
    (wheel,) = folder.glob("ins3d-*.whl")
    venv.create(folder / "environment", with_pip=True)
    programs = folder / "environment" / "bin"
    if EMPTY:
        subprocess.check_call([programs / "pip", "install", "--quiet", "-c", CONSTRAINTS, wheel])
    else:
        subprocess.check_call([programs / "pip", "install", "--quiet", "--no-deps", wheel])
        (packages,) = (folder / "environment").glob("lib/python*/site-packages")
        # Looked at last; the checkout's own link, a file of the same kind, is not followed from there.
        (packages / "others.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    yield programs
    shutil.rmtree(folder)  # 8 GB, where the environment began empty


def run(*called: str | Path, folder: Path) -> str:
    """What a program says, away from the checkout; it must succeed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(called, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(1800)
class TestWheel:
    def test_doctor_finds_everything_that_users_need(self, bin_folder: Path, tmp_path: Path):
        said = run(bin_folder / "ins3d", "doctor", folder=tmp_path)
        assert "commit unknown (no checkout)" in said and "BROKEN" not in said
        assert "ins-stylize, ins-stylize-big, ins-stylize-hash" in said and "(registered with nerfstudio)" in said

    def test_the_package_is_the_wheels(self, bin_folder: Path, tmp_path: Path):
        said = run(bin_folder / "python", "-c", "import ins3d; print(ins3d.__file__)", folder=tmp_path)
        assert said.startswith(str(bin_folder.parent))

    def test_ns_train_lists_the_methods(self, bin_folder: Path, tmp_path: Path):
        # Programs of other packages are in an environment of their own only.
        ns_train = [bin_folder / "ns-train"] if EMPTY else [bin_folder / "python", "-m", "nerfstudio.scripts.train"]
        said = run(*ns_train, "--help", folder=tmp_path)
        assert all(name in said for name in ("ins-stylize", "ins-stylize-hash", "ins-stylize-paper"))

    def test_a_picture_is_painted_without_naming_any(self, bin_folder: Path, tmp_path: Path):
        small = ["--size", "64", "--steps", "20", "--device", "cpu"]
        said = run(bin_folder / "ins3d", "picture", "stylize", *small, "--output", str(tmp_path / "out"), folder=tmp_path)
        assert "Gram distance to default_style" in said and (tmp_path / "out" / "picture.png").is_file()

    def test_what_lies_beside_the_code_is_there(self, bin_folder: Path):
        (package,) = bin_folder.parent.glob("lib/python*/site-packages/ins3d")
        tracked = subprocess.check_output(["git", "ls-files", "ins3d"], text=True, cwd=ROOT).split()
        assert len([name for name in tracked if not name.endswith(".py")]) >= 7  # pictures, weights, templates
        assert [name for name in tracked if not (package.parent / name).is_file()] == []


class TestDependencies:
    def test_every_imported_package_is_asked_for(self):
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        asked = {plain(re.split(r"[\s<>=!~;\[]", line)[0]) for line in project["dependencies"]}
        brought_by = importlib.metadata.packages_distributions()
        imported = set().union(*(third_party(path) for path in (ROOT / "ins3d").rglob("*.py")))
        assert imported >= {"torch", "nerfstudio", "open3d", "cv2", "PIL", "skimage"}
        optional = {"tinycudann", "pillow_heif"}
        lacking = {
            name for name in imported - optional
            if not asked & {plain(package) for package in brought_by.get(name, [name])}
        }  # fmt: skip
        assert lacking == set()


def plain(name: str) -> str:
    """A distribution's name, however it is written."""
    return re.sub(r"[-_.]+", "-", name).lower()


def third_party(path: Path) -> set[str]:
    """First words of what a file imports, but the standard library's and ours."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - {"ins3d"}
