"""Starting fast: stand-ins for modules of the standard library.

A verb is a program of its own each time, and half of what it took was importing modules of which
it uses a corner. `dataclasses` reads source by `inspect` and has code compiled for each class;
`typing` makes objects that nobody looks at while the program runs; `signal` and `re` make
enumerations; `json` compiles patterns to find numbers that its part in C finds anyhow. The
stand-ins do the corner; what they haven't got, the real module has, and is imported for it.

Measured in docs/engines.md. Nothing but `labrt-oci` uses them.
"""

from __future__ import annotations

import _json
import _signal  # type: ignore[import-not-found]
import gc
import sys
from collections import namedtuple
from importlib import import_module
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any


class _Module(ModuleType):
    """A stand-in."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._real(), name)

    def _real(self) -> ModuleType:
        """Import the real one, which has its name from now on."""
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return import_module(self.__name__)


def install() -> None:
    """Put the stand-ins in place, before anything else is imported."""
    contents = {
        "dataclasses": {
            "dataclass": _dataclass,
            "field": _Field,
            "Field": _Field,
            "replace": _replace,
            "fields": _unknown_fields,
            "asdict": _unknown_fields,
        },
        "typing": {
            **dict.fromkeys(_SILENT, _Type()),
            "TYPE_CHECKING": False,
            "NamedTuple": _Named("NamedTuple", (), {}),
            "cast": lambda kind, value: value,
        },
        "signal": {name: value for name, value in vars(_signal).items() if name[0] != "_"},
        "re": {
            "compile": _Pattern,
            "escape": _escape,
            "NOFLAG": 0,
            "ASCII": 256,
            "IGNORECASE": 2,
        },
        "json": {"loads": _loads, "dumps": _dumps},
        # pathlib takes one function of this one, for URLs of files, which nobody here makes.
        "urllib.parse": {"quote_from_bytes": _quote},
        "ntpath": {},  # of paths of Windows it keeps the module, no more
    }
    for name, content in contents.items():
        module = sys.modules[name] = _Module(name)
        vars(module).update(content)
        package, _, inner = name.rpartition(".")
        if package:
            setattr(import_module(package), inner, module)


def start() -> None:
    """Be the program `labrt-oci` (entry.c)."""
    gc.disable()  # it is short: to look for garbage costs more than the garbage
    install()
    import_module("labrt.oci.__main__").start()


def _real(name: str) -> ModuleType:
    module = sys.modules[name]
    return module._real() if isinstance(module, _Module) else module


# dataclasses


class _Field:
    def __init__(
        self,
        *,
        default: Any = None,
        default_factory: Callable[[], Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self.make = default_factory or (lambda: default)


class _Record:
    """What a class has that the decorator has seen. Not frozen: mypy has seen to that."""

    _names: tuple[str, ...] = ()
    _defaults: dict[str, Any] = {}
    _made: dict[str, Callable[[], Any]] = {}

    def __init__(self, *values: Any, **named: Any) -> None:
        given = dict(zip(self._names, values, strict=False)) | named
        own = self.__dict__
        for name in self._names:
            if name in given:
                own[name] = given.pop(name)
            elif name in self._defaults:
                own[name] = self._defaults[name]
            elif name in self._made:
                own[name] = self._made[name]()
            else:
                raise TypeError(f"{type(self).__name__}: {name} is missing")
        if given or len(values) > len(self._names):
            raise TypeError(f"{type(self).__name__} has no {', '.join(given)}")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash(tuple(self.__dict__.values()))

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={value!r}" for name, value in self.__dict__.items())
        return f"{type(self).__name__}({told})"


def _dataclass(cls: Any = None, **how: Any) -> Any:
    if cls is None:
        return _dataclass
    above = next((base for base in cls.__mro__[1:] if "_names" in base.__dict__), _Record)
    own = [name for name, kind in cls.__annotations__.items() if not kind.startswith("ClassVar")]
    values = {name: cls.__dict__[name] for name in own if name in cls.__dict__}
    made = {name: value.make for name, value in values.items() if isinstance(value, _Field)}
    for name in made:
        delattr(cls, name)
    plain = {name: value for name, value in values.items() if name not in made}
    cls._names = tuple(dict.fromkeys([*above._names, *own]))
    cls._defaults, cls._made = above._defaults | plain, above._made | made
    for name in ("__init__", "__eq__", "__hash__", "__repr__"):
        if name not in cls.__dict__:
            setattr(cls, name, getattr(_Record, name))
    return cls


def _replace(record: Any, **changes: Any) -> Any:
    return type(record)(**{**record.__dict__, **changes})


def _unknown_fields(record: object) -> Any:
    raise TypeError(f"{record!r} was made by a stand-in, which keeps nothing of its fields")


# typing


class _Type:
    """A type that says nothing: Any, ClassVar[…], TypeVar("T")."""

    def __getitem__(self, inner: object) -> _Type:
        return self

    def __call__(self, *told: object, **more: object) -> _Type:
        return self


_SILENT = ("Any", "BinaryIO", "ClassVar", "IO", "Literal", "NoReturn", "Self", "TypeVar")


class _Named(type):
    """What makes a namedtuple of `class X(NamedTuple)`."""

    def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> Any:
        if not bases:
            return super().__new__(cls, name, bases, body)
        fields = list(body.get("__annotations__", ()))
        defaults = [body[field] for field in fields if field in body]
        made = namedtuple(name, fields, defaults=defaults)  # type: ignore[misc]
        for each, value in body.items():
            if each not in fields and each not in ("__annotations__", "__qualname__"):
                setattr(made, each, value)
        return made


# re


class _Pattern:
    """One that is compiled when it is first asked for."""

    def __init__(self, *told: Any, **flags: Any) -> None:
        self._told, self._flags = told, flags

    def __getattr__(self, name: str) -> Any:
        return getattr(_real("re").compile(*self._told, **self._flags), name)


_SPECIAL = {ord(letter): f"\\{letter}" for letter in "()[]{}?*+-|^$\\.&~# \t\n\r\v\f"}


def _escape(text: str) -> str:
    """What Python 3.12's pathlib asks as it is imported."""
    return text.translate(_SPECIAL)


# json


class _Reading:
    """What the scanner in C asks of a json.JSONDecoder."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int, parse_constant = float, int, float

    def __init__(self) -> None:
        self.memo: dict[str, str] = {}


def _loads(text: str | bytes) -> Any:
    """What it doesn't take at once, the real one takes, or says what is wrong."""
    try:
        told = (text if isinstance(text, str) else text.decode()).strip(" \t\n\r")
        scan = _json.make_scanner(_Reading())  # type: ignore[arg-type]
        value, end = scan(told, 0)
        if end == len(told):
            return value
    except (StopIteration, ValueError):
        pass
    return _real("json").loads(text)


def _dumps(
    value: Any,
    default: Callable[[Any], Any] | None = None,
    separators: tuple[str, str] | None = None,
    **how: Any,
) -> str:
    """In a common form; any other is the real one's."""
    if how:
        return str(_real("json").dumps(value, default=default, separators=separators, **how))
    between, after = separators or (", ", ": ")
    encoder = _json.make_encoder(
        {},
        default or _unserializable,
        _json.encode_basestring_ascii,
        None,
        after,
        between,
        False,
        False,
        True,
    )
    return "".join(encoder(value, 0))


def _unserializable(value: object) -> Any:
    raise TypeError(f"{value!r} is nothing that JSON knows")


# urllib.parse


def _quote(path: bytes) -> str:
    return str(_real("urllib.parse").quote_from_bytes(path))
