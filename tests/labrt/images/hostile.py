"""A corpus of hostile layers, manifests and indexes: name → what to make, and what is to be said.

It is data for test_hostile.py, as root and as a normal user.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import zstandard

from labrt.images import store
from tests.labrt.images.archives import (
    END,
    Blob,
    base256,
    digest_of,
    folder,
    hard_link,
    link,
    long_name,
    member,
    pax,
    record,
)

GOOD = member(b"good", data=b"good") + END
_GZIPPED = gzip.compress(GOOD)
_ZSTD = zstandard.compress(GOOD)
_TWICE = "has that name twice"
_LEAVES = "the path leaves the layer"
_IN_THE_WAY = "a link or a file is where a folder must be"
_NO_TARGET = "which this layer hasn't got before it"
_DEVICE = "a device node outside of dev/"
_NO_FILE = "a whiteout of no file"
_LONG = "the path is too long or too deep"
_BOUNDS = "its owner, size or time is out of bounds"
_CUT = "its end is missing"

# An archive without its end, or a blob; what makes it where it is large.
LAYERS: dict[str, tuple[bytes | Blob | Callable[[], bytes | Blob], str]] = {
    # Names that lead out.
    "an absolute path": (member(b"/etc/passwd"), _LEAVES),
    "a parent": (member(b"../outside"), _LEAVES),
    "a parent inside": (member(b"a/../../outside"), _LEAVES),
    "a parent that stays inside": (member(b"a/../b"), _LEAVES),
    "a parent in the prefix": (member(b"outside", prefix=b".."), _LEAVES),
    "a parent in an extended header": (pax({b"path": b"../outside"}) + member(b"a"), _LEAVES),
    "an absolute GNU long name": (long_name(b"/etc/passwd") + member(b"a"), _LEAVES),
    "a folder outside": (folder(b"../outside/"), _LEAVES),
    "a whiteout outside": (member(b"../.wh.outside"), _LEAVES),
    # Through links.
    "through a link": (link(b"a", b"/tmp") + member(b"a/outside"), _IN_THE_WAY),
    "through a link that stays": (
        folder(b"b") + link(b"a", b"b") + member(b"a/file"),
        _IN_THE_WAY,
    ),
    "through a link to the parent": (link(b"a", b"..") + member(b"a/outside"), _IN_THE_WAY),
    "a whiteout through a link": (link(b"a", b"/tmp") + member(b"a/.wh.x"), _IN_THE_WAY),
    "an opaque link": (link(b"a", b"/tmp") + member(b"a/.wh..wh..opq"), _IN_THE_WAY),
    "a folder over a link": (link(b"a", b"/tmp") + folder(b"a"), _IN_THE_WAY),
    "a file over a link": (link(b"a", b"/tmp/outside") + member(b"a"), _TWICE),
    "a link to nothing": (link(b"a", b""), "ENOENT"),
    "a link of 5,000 bytes": (long_name(b"x" * 5000, b"K") + link(b"a", b"x"), "ENAMETOOLONG"),
    # Hard links.
    "a hard link out": (hard_link(b"a", b"/etc/passwd"), _LEAVES),
    "a hard link to the parent": (hard_link(b"a", b"../../index.json"), _LEAVES),
    "a hard link through a link": (link(b"a", b"/etc") + hard_link(b"b", b"a/passwd"), _IN_THE_WAY),
    "a hard link to what isn't there": (hard_link(b"a", b"b"), _NO_TARGET),
    "a hard link to what comes later": (hard_link(b"a", b"b") + member(b"b"), _NO_TARGET),
    "a hard link to itself": (hard_link(b"a", b"a"), _NO_TARGET),
    "a hard link to the root": (hard_link(b"a", b"."), _NO_TARGET),
    "a hard link to a folder": (folder(b"d") + hard_link(b"a", b"d"), "EPERM"),
    "a hard link to a line's end": (hard_link(b"a", b"b\nc"), "a line's end"),
    # Two in one place.
    "a file twice": (member(b"a") + member(b"a"), _TWICE),
    "a file twice, spelled otherwise": (member(b"d/a") + member(b"./d//a"), _TWICE),
    "a link twice": (link(b"a", b"b") + link(b"a", b"c"), _TWICE),
    "a hard link over a file": (
        member(b"a") + member(b"b") + hard_link(b"a", b"b"),
        _TWICE,
    ),
    "a FIFO over a file": (member(b"a") + member(b"a", b"6"), _TWICE),
    "a file where a folder is": (folder(b"a") + member(b"a"), _TWICE),
    "a folder where a file is": (member(b"a") + folder(b"a"), _IN_THE_WAY),
    "a file below a file": (member(b"a") + member(b"a/b"), _IN_THE_WAY),
    "a file below a FIFO": (member(b"a", b"6") + member(b"a/b"), _IN_THE_WAY),
    "a file for the root": (member(b"."), "the root is a folder"),
    "a nameless file": (member(b""), "the root is a folder"),
    # Kinds.
    "a block device": (member(b"sda", b"4"), _DEVICE),
    "a character device": (member(b"lib/mem", b"3"), _DEVICE),
    "a device for /dev": (member(b"dev", b"3"), _DEVICE),
    "an overlay's own whiteout": (member(b"etc/passwd", b"3"), _DEVICE),
    "a sparse file of old": (member(b"a", b"S"), "a sparse file"),
    "a sparse file of today": (
        pax({b"GNU.sparse.major": b"1", b"GNU.sparse.name": b"a"}) + member(b"a"),
        "a sparse file",
    ),
    "a kind nobody knows": (member(b"a", b"Z"), "no kind of file has the letter 'Z'"),
    "a part of a multi-volume archive": (member(b"a", b"M"), "no kind of file"),
    # Numbers.
    "a negative size": (member(b"a", size=base256(-1024, 12)), _BOUNDS),
    "a negative size in an extended header": (
        pax({b"size": b"-512"}) + member(b"a"),
        "a size of '-512'",
    ),
    "a huge size": (member(b"a", size=base256(1 << 80, 12)), "more than 17179869184 bytes"),
    "a huge size in an extended header": (
        pax({b"size": b"9" * 18}) + member(b"a"),
        "more than 17179869184 bytes",
    ),
    "a size of thousands of digits": (pax({b"size": b"9" * 5000}) + member(b"a"), "a size of '999"),
    "a size that isn't octal": (member(b"a", size=b"00000000089"), "a size of '00000000089'"),
    "a size of Python's spelling": (member(b"a", size=b"0o1_0"), "a size of '0o1_0'"),
    "a negative owner": (member(b"a", uid=base256(-5, 8)), _BOUNDS),
    "an owner of 2^40": (pax({b"gid": b"1099511627776"}) + member(b"a"), _BOUNDS),
    "a time beyond all": (pax({b"mtime": b"9" * 19}) + member(b"a"), _BOUNDS),
    "a time that is no number": (pax({b"mtime": b"1e9"}) + member(b"a"), "a time of '1e9'"),
    # Names that are no names.
    "a name with a line's end": (member(b"a\nb"), "a line's end"),
    "a name with a NUL": (pax({b"path": b"a\0b"}) + member(b"a"), "a NUL"),
    "a link with a NUL": (pax({b"linkpath": b"a\0b"}) + link(b"a", b"b"), "a NUL"),
    "a name of 300 bytes": (long_name(b"x" * 300) + member(b"a"), _LONG),
    "a path of 5,000 bytes": (long_name(b"x/" * 2500 + b"x") + member(b"a"), _LONG),
    "a path 300 folders deep": (pax({b"path": b"x/" * 300}) + folder(b"a"), _LONG),
    # Extended headers.
    "an extended header of 2 MiB": (pax({b"comment": bytes(2 << 20)}) + member(b"a"), "of 2097"),
    "a long name of 2 MiB": (long_name(b"x" * (2 << 20)) + member(b"a"), "of 2097"),
    "a negative extended header": (
        member(b"x", b"x", size=base256(-512, 12)),
        "header of -512 bytes",
    ),
    "a record without length": (member(b"x", b"x", b"0 path=a\n") + member(b"a"), "no record"),
    "a record longer than all": (member(b"x", b"x", b"99 path=a\n") + member(b"a"), "no record"),
    "a record of digits": (member(b"x", b"x", b"1" * 4096) + member(b"a"), "a record's length"),
    "a record without a key": (member(b"x", b"x", b"7 path\n") + member(b"a"), "no record"),
    "a record with a NUL": (pax({b"SCHILY.xattr.user.a\0": b"b"}) + member(b"a"), "no record"),
    "a global header with a path": (pax({b"path": b"b"}, b"g") + member(b"a"), "global header"),
    "an extended header of nothing": (pax({b"path": b"b"}), "the last thing in it"),
    "an xattr that is too large": (
        pax({b"SCHILY.xattr.user.a": bytes(70_000)}) + member(b"a"),
        "E2BIG",
    ),
    # Whiteouts.
    "a whiteout without a name": (member(b"a/.wh."), _NO_FILE),
    "a whiteout of .": (member(b".wh.."), _NO_FILE),
    "a whiteout of ..": (member(b"a/.wh..."), _NO_FILE),
    "a whiteout of a whiteout": (member(b".wh..wh.a"), _NO_FILE),
    "a folder named as a whiteout": (folder(b".wh.a"), "a whiteout is an empty file"),
    "a link named as a whiteout": (link(b".wh.a", b"b"), "a whiteout is an empty file"),
    "a file below a whiteout": (member(b".wh.a/b"), "a folder has a whiteout's name"),
    # No archive, or not all of it.
    "no archive": (Blob(b"<html>404 Not Found</html>\n" * 99), "checksum"),
    "less than a header": (Blob(b"tar"), _CUT),
    "nothing at all": (Blob(b""), _CUT),
    "a header with a wrong checksum": (member(b"a", checksum=b"000001\0 "), "checksum is wrong"),
    "a header with no checksum": (member(b"a", checksum=b"\0" * 8), "checksum is wrong"),
    "an archive cut in a header": (Blob(GOOD[:300]), _CUT),
    "an archive cut in a file": (Blob(GOOD[:514]), _CUT),
    "an archive without an end": (Blob(GOOD[:1024]), _CUT),
    "text after the end": (Blob(GOOD + b"more"), "other bytes after its end"),
    "an archive after the archive": (Blob(GOOD + GOOD), "other bytes after its end"),
    # The blob.
    "an unknown media type": (Blob(GOOD, media_type="application/x-rar"), "none of tar, tar"),
    "other contents than the configuration says": (
        Blob(GOOD, data=member(b"other") + END),
        "its contents aren't sha256:",
    ),
    "a blob that was changed": (Blob(GOOD, found=GOOD.replace(b"good", b"evil")), "the digest"),
    "a blob shorter than the manifest says": (Blob(GOOD, size=len(GOOD) + 1), "the manifest says"),
    "a blob of absurd size": (Blob(GOOD, size=10**17), "the manifest says 1000000"),
    "gzip cut short": (Blob(GOOD, _GZIPPED[:-20], store.LAYER_GZIP), "decompress the layer"),
    "gzip without its check": (Blob(GOOD, _GZIPPED[:-8], store.LAYER_GZIP), "decompress"),
    "gzip with a wrong check": (
        Blob(GOOD, _GZIPPED[:-8] + bytes(4) + _GZIPPED[-4:], store.LAYER_GZIP),
        "CRC",
    ),
    "text after gzip": (Blob(GOOD, _GZIPPED + b"more", store.LAYER_GZIP), "decompress the layer"),
    "zlib for gzip": (Blob(GOOD, zlib.compress(GOOD), store.LAYER_GZIP), "decompress the layer"),
    "gzip for tar": (Blob(_GZIPPED), _CUT),
    "gzip in gzip": (
        Blob(_GZIPPED * 9, gzip.compress(_GZIPPED * 9), store.LAYER_GZIP),
        "checksum",
    ),
    "zstd cut short": (Blob(GOOD, _ZSTD[:-5], store.LAYER_ZSTD), "decompress the layer"),
    "text after zstd": (Blob(GOOD, _ZSTD + b"more", store.LAYER_ZSTD), "decompress the layer"),
    "gzip for zstd": (Blob(GOOD, _GZIPPED, store.LAYER_ZSTD), "decompress the layer"),
    "zeros by the million": (lambda: member(b"a", data=bytes(66 << 20)), "200 times as many bytes"),
    "folders that are much to remember": (
        lambda: Blob(b"".join(_folder_with_xattr(n) for n in range(500))),
        "more than 268435456 bytes of memory",
    ),
}


def _folder_with_xattr(number: int) -> bytes:
    return pax({b"SCHILY.xattr.user.a": bytes(1 << 19)}) + folder(b"%d" % number)


def made(name: str) -> bytes | Blob:
    """Return the layer of that name."""
    layer, _ = LAYERS[name]
    return layer() if callable(layer) else layer


CONFIG: dict[str, Any] = {"config": {}, "rootfs": {"type": "layers", "diff_ids": []}}
LAYER = {"mediaType": store.LAYER_TAR, "digest": digest_of(GOOD), "size": len(GOOD)}
_DIGEST = "not a sha256 digest"


def config(value: object = None, **changes: object) -> bytes:
    return json.dumps(value if value is not None else CONFIG | changes).encode()


def manifest(of: bytes = config(), layers: object = (), **changes: object) -> bytes:
    """A manifest of that configuration, which comes into the store."""
    described = {"mediaType": store.CONFIG, "digest": digest_of(of), "size": len(of)}
    value = {"schemaVersion": 2, "config": described, "layers": layers, **changes}
    return json.dumps({key: part for key, part in value.items() if part is not ...}).encode()


def _layered(**changes: object) -> bytes:
    """A manifest with one layer, of whose descriptor something is changed."""
    layer = {key: part for key, part in (LAYER | changes).items() if part is not ...}
    return manifest(config(rootfs={"diff_ids": [digest_of(GOOD)]}), [layer])


def _settings(**settings: object) -> Callable[[], tuple[bytes, bytes]]:
    return lambda: with_config(config(config=settings))


def with_config(data: bytes, **changes: object) -> tuple[bytes, bytes]:
    return manifest(data, **changes), data


# Makes the manifest, and the configuration where it isn't the usual one.
MANIFESTS: dict[str, tuple[Callable[[], bytes | tuple[bytes, bytes]], str]] = {
    "no JSON": (lambda: b"<html>", "it is no JSON"),
    "nothing": (lambda: b"", "it is no JSON"),
    "half of one": (lambda: manifest()[:50], "it is no JSON"),
    "two in one": (lambda: manifest() + manifest(), "it is no JSON"),
    "not UTF-8": (lambda: manifest().replace(b"schema", b"\xff"), "can't decode byte 0xff"),
    "UTF-16": (lambda: manifest().decode().encode("utf-16"), "it is no JSON"),
    "a list": (lambda: b"[]", "it is no JSON object"),
    "null": (lambda: b"null", "it is no JSON object"),
    "nested 100,000 deep": (lambda: b"[" * 100_000, "nested too deep"),
    "objects nested 100,000 deep": (lambda: b'{"a":' * 100_000, "nested too deep"),
    "a number of a million digits": (lambda: b'{"a": ' + b"9" * 10**6 + b"}", "it is no JSON"),
    "not a number": (lambda: b'{"config": NaN}', "NaN is no JSON"),
    "larger than 4 MiB": (lambda: manifest(annotations=" " * (4 << 20)), "images have 4194304"),
    "no config": (lambda: manifest(config=...), "'config' is missing"),
    "config null": (lambda: manifest(config=None), "'config' is missing"),
    "config a number": (lambda: manifest(config=7), "'config' should be an object, not a number"),
    "config without digest": (lambda: manifest(config={}), "'digest' is missing"),
    "config's digest a path": (lambda: manifest(config={"digest": "sha256:../../x"}), _DIGEST),
    "config's digest sha512": (lambda: manifest(config={"digest": "sha512:" + "0" * 128}), _DIGEST),
    "config's digest a list": (lambda: manifest(config={"digest": []}), "should be text, not a li"),
    "config not here": (lambda: manifest(config={"digest": "sha256:" + "0" * 64}), "isn't in the"),
    "no layers": (lambda: manifest(layers=...), "'layers' is missing"),
    "layers an object": (lambda: manifest(layers={}), "'layers' should be a list, not an object"),
    "a layer that is text": (lambda: manifest(layers=["a"]), "it is no JSON object"),
    "a layer without digest": (lambda: _layered(digest=...), "'digest' is missing"),
    "a layer's digest md5": (lambda: _layered(digest="md5:" + "0" * 32), _DIGEST),
    "a layer's digest in capitals": (lambda: _layered(digest="sha256:" + "A" * 64), _DIGEST),
    "a layer's digest a path": (lambda: _layered(digest="sha256:" + "/" * 64), _DIGEST),
    "a layer without size": (lambda: _layered(size=...), "'size' is missing"),
    "a negative size": (lambda: _layered(size=-1), "'size' is no size"),
    "a size of text": (lambda: _layered(size="9"), "'size' should be a number, not text"),
    "a size of true": (lambda: _layered(size=True), "'size' is no size"),
    "a size of a fraction": (lambda: _layered(size=1e9), "should be a number, not a fraction"),
    "a size of 10^30": (lambda: _layered(size=10**30), "'size' is no size"),
    "a layer without media type": (lambda: _layered(mediaType=...), "'mediaType' is missing"),
    "more layers than diff_ids": (
        lambda: manifest(layers=[LAYER]),
        "it tells of 0 layers, the manifest of 1",
    ),
    "more diff_ids than layers": (
        lambda: with_config(config(rootfs={"diff_ids": [digest_of(b"")]})),
        "it tells of 1 layers, the manifest of 0",
    ),
    "more layers than can be mounted": (
        lambda: with_config(
            config(rootfs={"diff_ids": [digest_of(b"")] * 201}), layers=[LAYER] * 201
        ),
        "the manifest of 201; 200 may be",
    ),
    "no rootfs": (lambda: with_config(config({})), "'rootfs' is missing"),
    "rootfs a list": (lambda: with_config(config(rootfs=[])), "should be an object, not a list"),
    "no diff_ids": (lambda: with_config(config(rootfs={})), "'diff_ids' is missing"),
    "diff_ids of numbers": (
        lambda: with_config(config(rootfs={"diff_ids": [1]})),
        "should be text, not a number",
    ),
    "a diff_id that is a path": (
        lambda: with_config(config(rootfs={"diff_ids": ["../../x"]}), layers=[LAYER]),
        _DIGEST,
    ),
    "a configuration that is a list": (lambda: with_config(b"[]"), "it is no JSON object"),
    "a configuration that isn't JSON": (lambda: with_config(b"\x1f\x8b"), "it is no JSON"),
    "a configuration of 5 MiB": (lambda: with_config(b" " * (5 << 20)), "images have 4194304"),
    "config of the configuration a list": (
        lambda: with_config(config(config=[])),
        "'config' should be an object, not a list",
    ),
    "Cmd of text": (_settings(Cmd="sh"), "'Cmd' should be a list, not text"),
    "Entrypoint an object": (_settings(Entrypoint={}), "'Entrypoint' should be a list"),
    "Env of numbers": (_settings(Env=[1]), "'Env' should be text, not a number"),
    "Env with a NUL": (_settings(Env=["A=\0"]), "'Env' holds what no text may hold"),
    "Cmd of half a character": (_settings(Cmd=["\ud800"]), "'Cmd' holds what no text may hold"),
    "User a number": (_settings(User=0), "'User' should be text, not a number"),
    "WorkingDir a list": (_settings(WorkingDir=["/"]), "'WorkingDir' should be text"),
    "Labels a list": (_settings(Labels=[]), "'Labels' should be an object"),
}

INDEXES: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"{", "it is no JSON"),
    "no manifests": (b"{}", "'manifests' is missing"),
    "manifests of text": (b'{"manifests": ["a"]}', "it is no JSON object"),
    "an entry without digest": (b'{"manifests": [{}]}', "'digest' is missing"),
    "an entry's digest a path": (b'{"manifests": [{"digest": "sha256:../x"}]}', _DIGEST),
    "annotations a list": (
        b'{"manifests": [{"digest": "%s", "annotations": []}]}' % digest_of(b"").encode(),
        "'annotations' should be an object",
    ),
}

assert record(b"a", b"b") == b"6 a=b\n"
