"""References: what people call an image, [REGISTRY/]REPOSITORY[:TAG][@DIGEST], read as Docker reads
it (https://github.com/distribution/reference/blob/main/reference.go).

A first part with a dot, a port or the name `localhost` is a registry. Without one the name is the
store's own ("busybox"); asked for over the network it is Docker Hub's, and what comes is called so
in the store ("docker.io/library/alpine"), never over one of the store's own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from labrt.errors import LabError

HUB = "docker.io"
LATEST = "latest"

_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_REGISTRY = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:.]+\])(?::[0-9]{{1,5}})?"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = rf"{_PART}(?:/{_PART})*"
_TAG = r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}"
_DIGEST = r"sha256:[0-9a-f]{64}"
_LONGEST = 255  # characters of registry and repository together


@dataclass(frozen=True)
class Reference:
    """One image, by name.

    Attributes:
        registry: host or host:port; "" is the store's own.
        repository: "team/app".
        tag: "latest" where none is named; with a digest it means nothing, as for Docker.
        digest: "sha256:…", or "".
    """

    registry: str
    repository: str
    tag: str = LATEST
    digest: str = ""

    @property
    def base(self) -> str:
        """Registry and repository, without tag and digest."""
        return f"{self.registry}/{self.repository}" if self.registry else self.repository

    @property
    def version(self) -> str:
        """What a registry is asked for: the digest where there is one, else the tag."""
        return self.digest or self.tag

    def __str__(self) -> str:
        """Its name in the store: the shortest, so that `NAME` and `NAME:latest` are one."""
        if self.digest:
            return f"{self.base}@{self.digest}"
        return self.base if self.tag == LATEST else f"{self.base}:{self.tag}"

    def remote(self) -> Reference:
        """Return what it means to a registry: without one, Docker Hub, and there `library/`."""
        if self.registry:
            return self
        repository = self.repository if "/" in self.repository else f"library/{self.repository}"
        return replace(self, registry=HUB, repository=repository)


def parse(text: str) -> Reference:
    """Read a reference.

    Raises:
        LabError: it isn't one.
    """
    rest, at, digest = text.partition("@")
    registry, repository = _split(rest)
    repository, colon, tag = repository.partition(":")
    _require(not at or re.fullmatch(_DIGEST, digest), text, "the digest isn't sha256:…")
    _require(not colon or re.fullmatch(_TAG, tag), text, "letters, digits, _ . - make a tag")
    _require(not registry or re.fullmatch(_REGISTRY, registry), text, "no registry is called so")
    _require(repository == repository.lower(), text, "a repository's name is in lower case")
    _require(re.fullmatch(_REPOSITORY, repository), text, "no repository is called so")
    _require(len(registry) + 1 + len(repository) <= _LONGEST, text, f"longer than {_LONGEST}")
    if registry in (HUB, f"index.{HUB}"):
        return Reference("", repository, tag or LATEST, digest).remote()
    return Reference(registry, repository, tag or LATEST, digest)


def registry(text: str) -> str:
    """Return the name of a registry, as a reference begins with it.

    Raises:
        LabError: it is none.
    """
    if (
        "/" in text
        or not re.fullmatch(_REGISTRY, text)
        or not (named := parse(f"{text}/x").registry)
    ):
        raise LabError(f"read {text[:300]!r}", "no registry is called so", remedy="HOST[:PORT]")
    return named


def names(text: str) -> list[str]:
    """Return what an image that people call so may be called in the store, likeliest first.

    Raises:
        LabError: it is no reference.
    """
    reference = parse(text)
    return list(dict.fromkeys((str(reference), str(reference.remote()))))


def _split(text: str) -> tuple[str, str]:
    """Registry ("" for none) and the rest."""
    first, slash, rest = text.partition("/")
    if slash and (set(".:") & set(first) or first == "localhost" or first != first.lower()):
        return first, rest
    return "", text


def _require(holds: object, text: str, why: str) -> None:
    if not holds:
        raise LabError(f"read the image name {text[:300]!r}", why, remedy="[REGISTRY/]NAME[:TAG]")
