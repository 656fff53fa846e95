"""Things by name: ours, and those that other packages bring through an entry point."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """A mapping from names to entries that follow a protocol.

    Entries are added by `register`, or by the entry-point group: there a package's `name = "module:object"` is listed
    without being imported, and loaded when that name is asked for. A second entry of one name is refused.
    """

    def __init__(self, kind: str, group: str, protocol: type) -> None:
        """`kind` is what an entry is called in messages; `group` is the entry-point group, such as `ins3d.losses`."""
        self.kind, self.group, self.protocol = kind, group, protocol
        self._entries: dict[str, T] = {}

    def register(self, name: str, entry: T) -> T:
        """Adds an entry, and returns it. TypeError for what does not follow the protocol, ValueError for a name in use."""
        missing = [each for each in self._asked_for() if not hasattr(entry, each)]
        if missing:
            raise TypeError(
                f"{self.group}: {name} is no {self.kind}: it has no {' and no '.join(missing)}; see "
                f"{self.protocol.__module__}.{self.protocol.__name__}."
            )
        if name in self._entries:
            self._refuse_second(name)
        self._entries[name] = entry
        return entry

    def find(self, name: str, setting: str) -> T:
        """The entry of a name that a user wrote; a ValueError names the setting, what there is, and the nearest name."""
        if name in self:
            return self[name]
        raise ValueError(f"{setting}: there is no {name!r}{nearest(name, list(self))}; choose among {', '.join(self)}.")

    def name_of(self, entry: Any) -> str:
        """The name under which an entry is registered; only entries of its own package are loaded to find it."""
        package = entry.__module__.partition(".")[0]
        for name in self:
            mine = name in self._entries or self._others[name].module.partition(".")[0] == package
            if mine and self[name] is entry:
                return name
        raise ValueError(f"{self.group}: {entry.__module__}.{entry.__qualname__} is not registered.")

    def __getitem__(self, name: str) -> T:
        if name not in self._entries:
            self.register(name, _load(self._others[name], self.group))
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries or name in self._others

    def __iter__(self) -> Iterator[str]:
        return iter([*(name for name in self._entries if name not in self._others), *self._others])

    def __len__(self) -> int:
        return len(list(iter(self)))

    @cached_property
    def _others(self) -> dict[str, EntryPoint]:
        """What other packages bring, not loaded."""
        found = {entry.name: entry for entry in sorted(entry_points(group=self.group), key=lambda entry: entry.name)}
        for name in found.keys() & self._entries.keys():
            self._refuse_second(name)
        return found

    def _refuse_second(self, name: str) -> None:
        raise ValueError(f"{self.group}: the {self.kind} {name} is registered already; choose another name.")

    def _asked_for(self) -> list[str]:
        """What the protocol declares: attributes and methods."""
        methods = [name for name in vars(self.protocol) if not name.startswith("_")]
        return [*self.protocol.__annotations__, *(name for name in methods if name not in self.protocol.__annotations__)]


def nearest(name: str, known: list[str]) -> str:
    """(did you mean the nearest of the known names?), or nothing where none is near.

    >>> nearest("gran", ["gram", "swd"])
    ' (did you mean gram?)'
    """
    near = get_close_matches(name, known, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _load(entry: EntryPoint, group: str) -> Any:
    try:
        return entry.load()
    except Exception as error:  # whatever the other package stumbles over
        raise ValueError(f"{group}: {entry.name} ({entry.value}) cannot be loaded: {error}") from error
