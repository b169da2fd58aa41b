"""A container image's recipe carried out without a container engine: in a root folder that is laid out like the image.

The root has the machine's own /usr, /bin, /lib and /etc, a real Python where the image has it, and what the recipe
copies; the emulator runs the image's entry point with that as its root. COPY, ENV, WORKDIR, ENTRYPOINT and CMD are all
that the recipes use; what they build upon is a Base.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from coldspan_testing import emulator, interpreters

HOST_FOLDERS = ("usr", "bin", "sbin", "lib", "lib64", "etc", "dev")
INSTRUCTIONS = ("FROM", "COPY", "ENV", "WORKDIR", "ENTRYPOINT", "CMD")

ENTER = """
set -e
root=$0 python=$1 at=$2 packages=$3 emulator=$4 directory=$5
shift 5
for folder in usr bin sbin lib lib64 etc dev; do
    [ -d "/$folder" ] && mount --bind "/$folder" "$root/$folder"
done
mount -t proc proc "$root/proc"
mount --bind "$python" "$root$at"
[ -z "$packages" ] || mount --bind "$packages" "$root$at/lib/${packages#*/lib/}"
mount --bind "$emulator" "$root/emulator"
exec /usr/sbin/chroot "$root" /bin/sh -c 'cd "$0" && exec "$@"' "$directory" "$@"
"""


@dataclass(frozen=True, slots=True)
class Base:
    """The image that a recipe builds upon: where it has its Python, and what else matters of it."""

    python: str
    """The folder, such as /usr/local."""
    entry_point: list[str] = field(default_factory=list)
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    """Scripts by their path."""
    has_runtime_client: bool = False


@dataclass(frozen=True, slots=True)
class Image:
    root: Path
    base: Base
    environment: dict[str, str]
    directory: str
    command: list[str]


def build(recipe: Path, context: Path, base: Base, root: Path) -> Image:
    """Carries the recipe out in `root`; `context` is the folder that it copies from."""
    for folder in (*HOST_FOLDERS, "proc", "tmp", "opt", base.python.lstrip("/")):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "emulator").touch()
    for name, text in base.files.items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    environment, directory = dict(base.environment), "/"
    entry_point, command = base.entry_point, list[str]()
    for line in recipe.read_text().splitlines():
        instruction, _, rest = line.partition(" ")
        if not line or line.startswith("#"):
            continue
        if instruction not in INSTRUCTIONS:
            raise ValueError(f"{recipe}: {line}: expected one of {', '.join(INSTRUCTIONS)}")
        if instruction == "COPY":
            source, target = rest.split()
            shutil.copytree(context / source, root / target.strip("/"), dirs_exist_ok=True)
        elif instruction == "ENV":
            name, _, value = rest.partition("=")
            environment[name] = value
        elif instruction == "WORKDIR":
            directory = rest
        elif instruction == "ENTRYPOINT":
            entry_point = json.loads(rest)
        elif instruction == "CMD":
            command = json.loads(rest)
    return Image(root, base, environment, directory, [*entry_point, *command])


class EmulatedImage(emulator.Emulator):
    """The image's entry point under the emulator, with the image as its root."""

    def __init__(self, image: Image, python: str, environment: Mapping[str, str]) -> None:
        variables = {**image.environment, **environment}
        super().__init__(image.command, layer=image.root, function=image.root, environment=variables)
        self._image = image
        self._python = python

    def _binary(self) -> str:
        return "/emulator"

    def _prepared(self) -> list[str]:
        image, packages = self._image, ""
        prefix = interpreters.executable(self._python).parents[1]
        if image.base.has_runtime_client:
            packages = str(interpreters.runtime(self._python).parents[1] / f"lib/python{self._python}/site-packages")
        mounts = [str(prefix), image.base.python, packages, str(emulator.binary()), image.directory]
        return ["sh", "-c", ENTER, str(image.root), *mounts]
