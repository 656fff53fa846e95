"""Registries of what other packages bring."""

from importlib.metadata import EntryPoint
from typing import Protocol, runtime_checkable

import pytest

from ins3d.extension import registry as module
from ins3d.extension.registry import Registry


@runtime_checkable
class Animal(Protocol):
    legs: int

    def speak(self) -> str: ...


class Dog:
    legs = 4

    def speak(self) -> str:
        return "wuff"


class Table:
    legs = 4


DOG = Dog()


@pytest.fixture
def animals() -> Registry[Animal]:
    return Registry("animal", "tests.animals", Animal)


class TestRegister:
    def test_an_entry_is_found_by_its_name(self, animals: Registry[Animal]):
        assert animals.register("dog", DOG) is DOG
        assert animals["dog"] is DOG and list(animals) == ["dog"] and len(animals) == 1 and "cat" not in animals

    def test_what_does_not_follow_the_protocol_is_refused_and_told_what_it_lacks(self, animals: Registry[Animal]):
        with pytest.raises(TypeError, match="tests.animals: table is no animal: it has no speak; see .*Animal"):
            animals.register("table", Table())  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="it has no legs and no speak"):
            animals.register("nothing", object())  # type: ignore[arg-type]

    def test_a_name_in_use_is_refused(self, animals: Registry[Animal]):
        animals.register("dog", DOG)
        with pytest.raises(ValueError, match="the animal dog is registered already; choose another name"):
            animals.register("dog", Dog())


class TestFind:
    def test_what_is_not_there_names_the_setting_all_there_is_and_the_nearest(self, animals: Registry[Animal]):
        animals.register("dog", DOG)
        animals.register("wolf", Dog())
        with pytest.raises(ValueError) as error:
            animals.find("dogg", "pet")
        assert str(error.value) == "pet: there is no 'dogg' (did you mean dog?); choose among dog, wolf."
        with pytest.raises(ValueError, match=r"^pet: there is no 'zebra'; choose among dog, wolf\.$"):
            animals.find("zebra", "pet")


class TestEntryPoints:
    @pytest.fixture
    def brought(self, monkeypatch: pytest.MonkeyPatch):
        def bring(**entries: str) -> None:
            found = [EntryPoint(name, value, "tests.animals") for name, value in entries.items()]
            monkeypatch.setattr(module, "entry_points", lambda group: found if group == "tests.animals" else [])

        return bring

    def test_are_loaded_when_names_are_asked_for(self, animals: Registry[Animal], brought):
        brought(hound=f"{__name__}:DOG")
        assert animals["hound"] is DOG and list(animals) == ["hound"]

    def test_one_that_cannot_be_loaded_is_named(self, animals: Registry[Animal], brought):
        brought(ghost="nowhere.at.all:X")
        assert list(animals) == ["ghost"] and "ghost" in animals and len(animals) == 1
        for _ in range(2):  # and not only the first time
            with pytest.raises(ValueError, match=r"tests.animals: ghost \(nowhere.at.all:X\) cannot be loaded: No module"):
                animals["ghost"]

    def test_one_that_cannot_be_loaded_harms_no_other(self, animals: Registry[Animal], brought):
        brought(ghost="nowhere.at.all:X", hound=f"{__name__}:DOG")
        animals.register("dog", DOG)
        assert animals["dog"] is animals["hound"] is DOG and list(animals) == ["dog", "ghost", "hound"]

    def test_one_that_takes_a_name_of_ours_is_refused(self, animals: Registry[Animal], brought):
        brought(dog=f"{__name__}:DOG")
        animals.register("dog", DOG)
        with pytest.raises(ValueError, match="the animal dog is registered already"):
            list(animals)

    def test_one_that_is_none_is_told_what_it_lacks(self, animals: Registry[Animal], brought):
        brought(table=f"{__name__}:Table")
        with pytest.raises(TypeError, match="table is no animal: it has no speak"):
            animals["table"]
