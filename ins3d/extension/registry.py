"""Things by name: ours, and those that other packages bring through an entry point."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """A mapping from names to entries that follow a protocol.

    Entries are added by `register`, or by the entry-point group: there a package's `name = "module:object"` is loaded when
    names are first asked for. A name stands for one entry; a second one is refused.
    """

    def __init__(self, kind: str, group: str, protocol: type) -> None:
        """`kind` is what an entry is called in messages; `group` is the entry-point group, such as `ins3d.losses`."""
        self.kind, self.group, self.protocol = kind, group, protocol
        self._entries: dict[str, T] = {}
        self._others_loaded = False

    def register(self, name: str, entry: T) -> T:
        """Adds an entry, and returns it. TypeError for what does not follow the protocol, ValueError for a name in use."""
        missing = [each for each in self._asked_for() if not hasattr(entry, each)]
        if missing:
            raise TypeError(
                f"{self.group}: {name} is no {self.kind}: it has no {' and no '.join(missing)}; see "
                f"{self.protocol.__module__}.{self.protocol.__name__}."
            )
        if name in self._entries:
            raise ValueError(f"{self.group}: the {self.kind} {name} is registered already; choose another name.")
        self._entries[name] = entry
        return entry

    def find(self, name: str, setting: str) -> T:
        """The entry of a name that a user wrote; a ValueError names the setting, what there is, and the nearest name."""
        if name in self:
            return self[name]
        near = get_close_matches(name, list(self), n=1)
        meant = f" (did you mean {near[0]}?)" if near else ""
        raise ValueError(f"{setting}: there is no {name!r}{meant}; choose among {', '.join(self)}.")

    def __getitem__(self, name: str) -> T:
        self._load_others()
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        self._load_others()
        return iter(self._entries)

    def __len__(self) -> int:
        self._load_others()
        return len(self._entries)

    def _load_others(self) -> None:
        if self._others_loaded:
            return
        self._others_loaded = True
        for entry in sorted(entry_points(group=self.group), key=lambda entry: entry.name):
            self.register(entry.name, _load(entry, self.group))

    def _asked_for(self) -> list[str]:
        """What the protocol declares: attributes and methods."""
        methods = [name for name in vars(self.protocol) if not name.startswith("_")]
        return [*self.protocol.__annotations__, *(name for name in methods if name not in self.protocol.__annotations__)]


def _load(entry: Any, group: str) -> Any:
    try:
        return entry.load()
    except Exception as error:  # whatever the other package stumbles over
        raise ValueError(f"{group}: {entry.name} ({entry.value}) cannot be loaded: {error}") from error
