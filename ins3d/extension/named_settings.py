"""Reads and writes settings as `NAME:key=value,key=value`, where NAME is registered.

Registered are dataclasses; keys are their fields, and values are read as the fields' types say: numbers, words, true or
false, and tuples with a slash between the parts (`64/128/256`).
"""

import types
from collections.abc import Callable
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from tyro.constructors import PrimitiveConstructorSpec

from ins3d.extension.registry import Registry, nearest

SIMPLE: dict[type, tuple[Callable[[str], Any], str]] = {
    bool: (lambda text: {"true": True, "false": False}[text.lower()], "true or false"),
    int: (int, "a whole number"),
    float: (float, "a number"),
}


def parse(registry: Registry[Any], text: str, setting: str) -> Any:
    """The settings that a text describes. ValueError names the setting, the key, and what there is."""
    name, colon, rest = text.partition(":")
    try:
        settings = registry.find(name, setting)
    except TypeError as error:  # an entry of another package that is none of its kind
        raise ValueError(str(error)) from error
    where = f"{setting}: {name}"
    if not is_dataclass(settings):
        raise ValueError(f"{where} is registered with {settings!r}, which is no dataclass.")
    values = dict(_pair(pair, where) for pair in rest.split(",")) if colon else {}
    known, hints = [each.name for each in fields(settings) if each.init], get_type_hints(settings)
    for key in values:
        if key not in known:
            raise ValueError(f"{where} has no key {key!r}{nearest(key, known)}; it has {', '.join(known) or 'none'}.")
    read = {key: _value(hints[key], value, f"{where}:{key}") for key, value in values.items()}
    needed = [each.name for each in fields(settings) if each.init and _default(each) is MISSING and each.name not in read]
    if needed:
        raise ValueError(f"{where} needs {', '.join(needed)}; write {name}:{needed[0]}=VALUE.")
    return settings(**read)  # type: ignore[operator]


def describe(registry: Registry[Any], settings: Any) -> str:
    """The text that `parse` reads as these settings; keys that have their default are left out."""
    name = registry.name_of(type(settings))
    changed = [each for each in fields(settings) if each.init and getattr(settings, each.name) != _default(each)]
    pairs = [f"{each.name}={_text(getattr(settings, each.name))}" for each in changed]
    return name + (":" + ",".join(pairs) if pairs else "")


def option(registry: Registry[Any], setting: str) -> PrimitiveConstructorSpec[Any]:
    """For `Annotated`: how tyro reads and shows an option whose value is the settings of something registered."""
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="NAME[:KEY=VALUE,...]",
        instance_from_str=lambda words: parse(registry, words[0], setting),
        is_instance=lambda value: isinstance(value, registry.protocol),
        str_from_instance=lambda settings: [describe(registry, settings)],
    )


def _pair(pair: str, where: str) -> tuple[str, str]:
    key, equals, value = pair.partition("=")
    if not equals or not key:
        raise ValueError(f"{where}: {pair!r} is no KEY=VALUE; write NAME:key=value,key=value.")
    return key.replace("-", "_"), value


def _value(hint: Any, text: str, where: str) -> Any:
    """A text read as a type says."""
    kind, inner = get_origin(hint), get_args(hint)
    if kind is tuple:
        parts = text.split("/") if text else []
        hints = [inner[0]] * len(parts) if inner[-1] is Ellipsis else list(inner)
        if len(hints) != len(parts):
            raise ValueError(f"{where}: {text!r} has {len(parts)} parts, not {len(hints)}; write them with / between.")
        return tuple(_value(each, part, where) for each, part in zip(hints, parts, strict=True))
    if kind is Literal:
        if text not in inner:
            raise ValueError(f"{where}: {text!r} is none of {', '.join(map(str, inner))}.")
        return text
    if kind in (Union, types.UnionType):  # something | None
        (some,) = (each for each in inner if each is not type(None))
        return None if text == "none" else _value(some, text, where)
    if hint in SIMPLE:
        read, what = SIMPLE[hint]
        try:
            return read(text)
        except (ValueError, KeyError) as error:
            raise ValueError(f"{where}: {text!r} is not {what}.") from error
    return hint(text)  # str, Path


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return "/".join(map(_text, value))
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def _default(field: Field[Any]) -> Any:
    """MISSING where there is none."""
    return field.default_factory() if field.default_factory is not MISSING else field.default
