"""Unpacking: a layer comes as a tar archive (image-spec, layer.md) and becomes a folder.

An archive is hostile input: a member is refused if its path, or a hard link's target, is absolute,
holds "..", or passes through anything that is not a real directory. Root's containers run in a user
namespace, so each file is given to the host's id that its owner has there (`labrt/users.py`).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from labrt import mapped, paths
from labrt.errors import LabError, errno_text
from labrt.images import store
from labrt.images.store import Image
from labrt.state import remove_tree
from labrt.users import ROOT_ID_BASE, mappings

WHITEOUT = ".wh."


def open_layers(image: Image) -> Iterator[tarfile.TarFile]:
    """Yield each layer's archive, lowest first, its bytes verified against both digests.

    Raises:
        LabError: a layer is missing, damaged or not a tar archive.
    """
    for blob, diff_id in zip(image.layers, image.diff_ids, strict=True):
        with tarfile.open(fileobj=io.BytesIO(_uncompressed(blob.digest, diff_id))) as archive:
            yield archive


def unpack(digest: str, diff_id: str, folder: Path) -> None:
    """Unpack one layer aside and rename, so that a folder with the final name is always whole.

    Raises:
        LabError: as `open_layers`; or the archive tries to leave its folder. Nothing half-made is
            left.
    """
    data = _uncompressed(digest, diff_id)
    paths.make_passable(folder.parent)
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".new-"))
    try:
        os.chmod(aside, 0o755)
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for member in archive:
                _extract(archive, member, aside)
            _give_to_owners(aside, archive.getmembers())
        os.rename(aside, folder)
    except (tarfile.TarError, OSError) as error:
        remove_tree(aside)
        if folder.exists():
            return  # another process unpacked the same layer meanwhile
        told = errno_text(error) if isinstance(error, OSError) else str(error)
        raise LabError(f"unpack a layer into {folder}", told) from error
    except BaseException:
        remove_tree(aside)
        raise


def _uncompressed(digest: str, diff_id: str) -> bytes:
    try:
        data = gzip.decompress(store.get(digest))
    except (OSError, EOFError) as error:
        raise LabError(f"unpack the layer {digest}", str(error), "not a gzip file") from error
    if "sha256:" + hashlib.sha256(data).hexdigest() != diff_id:
        raise LabError(f"unpack the layer {digest}", f"its contents aren't {diff_id}")
    return data


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    """Extract one member; this first form takes files, folders and links, and no whiteouts.

    Raises:
        LabError: the member would leave the folder, or is of a kind not supported.
    """
    if os.path.basename(member.name).startswith(WHITEOUT):
        raise LabError(f"unpack {member.name}", "whiteouts are not supported yet")
    path = _inside(target, member.name)
    if member.isdir():
        path.mkdir(exist_ok=True)
    elif member.issym():
        path.symlink_to(member.linkname)  # followed only inside a container's root
    elif member.islnk():
        path.hardlink_to(_inside(target, member.linkname))
    elif member.isfile():
        _write_file(archive, member, path)
    else:
        raise LabError(f"unpack {member.name}", "device nodes and FIFOs are not supported yet")
    if not member.issym():
        path.chmod(member.mode & 0o7777)


def _inside(target: Path, name: str) -> Path:
    """Return where `name` lies below `target`; every folder on the way must be a real one."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts:
        raise LabError(f"unpack {name}", "the path leaves the image", "a hostile or broken archive")
    path = target
    for depth, part in enumerate(parts, start=1):
        path = path / part
        if path.is_symlink():
            raise LabError(f"unpack {name}", f"{part} is a link", "a hostile or broken archive")
        if depth < len(parts):
            path.mkdir(exist_ok=True)
    return path


def _write_file(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    source = archive.extractfile(member)
    assert source is not None, "only called for regular files"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "wb") as handle:
        shutil.copyfileobj(source, handle)


def _give_to_owners(folder: Path, members: list[tarfile.TarInfo]) -> None:
    """Give each file to whom the archive names, as containers of this user map them; what was made
    on the way is their root's. Where they map no more than root, all is root's.

    Raises:
        LabError: an owner that they don't map.
    """
    ids: dict[str, tuple[int, int]] = {}
    for member in members:  # a hard link has the owner of the file, which comes before it
        own = (member.uid, member.gid)
        ids[_plain(member.name)] = ids[_plain(member.linkname)] if member.islnk() else own
    owners = {str(path.relative_to(folder)): path for path in [folder, *folder.rglob("*")]}
    if os.geteuid() == 0:
        mapped.give(folder, _mapped(owners, ids), ROOT_ID_BASE)
    elif mapped.has_range() and any(ids.values()):
        mapped.chown(folder, _mapped(owners, ids))


def _mapped(files: dict[str, Path], ids: dict[str, tuple[int, int]]) -> mapped.Owners:
    count = sum(m.size for m in mappings()[0])
    for name, owner in ids.items():
        if max(owner) >= count:
            raise LabError(
                f"unpack {name}", f"it is owned by {max(owner)}; containers have {count} ids here"
            )
    return {
        name: (*ids.get(name, (0, 0)), path.lstat().st_mode & 0o7777)
        for name, path in files.items()
    }


def _plain(name: str) -> str:
    return os.path.normpath(name)  # the same as _inside has accepted
