"""`NAME:key=value` on the command line."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, runtime_checkable

import pytest
import tyro

from ins3d.extension.named_settings import describe, option, parse
from ins3d.extension.registry import Registry


@runtime_checkable
class Animal(Protocol):
    def speak(self) -> str: ...


@dataclass
class Dog:
    name: str = "Rex"
    legs: int = 4
    weight: float = 12.5
    good: bool = True
    ears: Literal["up", "down"] = "up"
    toys: tuple[int, ...] = (1, 2)
    home: tuple[float, float] = (0.0, 1.0)
    owner: str | None = None
    photo: Path = field(default_factory=lambda: Path("dog.jpg"))

    def speak(self) -> str:
        return "wuff"


@dataclass
class Cat:
    lives: int

    def speak(self) -> str:
        return "miau"


@pytest.fixture
def animals() -> Registry[Any]:
    registry: Registry[Any] = Registry("animal", "tests.animals", Animal)
    registry.register("dog", Dog)
    registry.register("cat", Cat)
    return registry


class TestParse:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("dog", Dog()),
            ("dog:legs=3", Dog(legs=3)),
            ("dog:weight=1e-3,good=false", Dog(weight=1e-3, good=False)),
            ("dog:ears=down,name=A-b c", Dog(ears="down", name="A-b c")),
            ("dog:toys=64/128/256,home=.5/2", Dog(toys=(64, 128, 256), home=(0.5, 2.0))),
            ("dog:toys=", Dog(toys=())),
            ("dog:owner=Ann,photo=a/b.png", Dog(owner="Ann", photo=Path("a/b.png"))),
            ("dog:owner=none", Dog(owner=None)),
            ("cat:lives=9", Cat(9)),
        ],
    )
    def test_values_are_read_as_the_fields_types_say_and_written_so_that_they_are_read_again(
        self, animals: Registry[Any], text: str, expected: Any
    ):
        assert parse(animals, text, "pet") == expected
        assert parse(animals, describe(animals, expected), "pet") == expected

    def test_dashes_in_keys_are_underscores(self, animals: Registry[Any]):
        animals.register("wolf", WolfSettings)
        assert parse(animals, "wolf:num-legs=3", "pet") == WolfSettings(3)

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            ("dgo", "pet: there is no 'dgo' (did you mean dog?); choose among dog, cat."),
            (
                "dog:leg=3",
                "pet: dog has no key 'leg' (did you mean legs?); it has name, legs, weight, good, ears, toys, home, ",
            ),
            ("dog:legs", "pet: dog: 'legs' is no KEY=VALUE; write NAME:key=value,key=value."),
            ("dog:", "pet: dog: '' is no KEY=VALUE; write NAME:key=value,key=value."),
            ("dog:legs=four", "pet: dog:legs: 'four' is not a whole number."),
            ("dog:weight=x", "pet: dog:weight: 'x' is not a number."),
            ("dog:good=maybe", "pet: dog:good: 'maybe' is not true or false."),
            ("dog:ears=left", "pet: dog:ears: 'left' is none of up, down."),
            ("dog:toys=1/x", "pet: dog:toys: 'x' is not a whole number."),
            ("dog:home=1", "pet: dog:home: '1' has 1 parts, not 2; write them with / between."),
            ("cat", "pet: cat needs lives; write cat:lives=VALUE."),
        ],
    )
    def test_what_cannot_be_read_names_the_setting_the_key_and_what_there_is(self, animals: Registry[Any], text, complaint):
        with pytest.raises(ValueError, match=f"^{re.escape(complaint)}"):
            parse(animals, text, "pet")


@dataclass
class WolfSettings:
    num_legs: int = 4

    def speak(self) -> str:
        return "huu"


class TestDescribe:
    def test_only_what_differs_from_the_default_is_said(self, animals: Registry[Any]):
        assert describe(animals, Dog()) == "dog"
        assert describe(animals, Dog(good=False, toys=(3, 4), owner="Ann")) == "dog:good=false,toys=3/4,owner=Ann"

    def test_what_is_not_registered_is_refused(self, animals: Registry[Any]):
        with pytest.raises(ValueError, match="tests.animals: .*WolfSettings is not registered"):
            describe(animals, WolfSettings())


class TestOption:
    def test_tyro_reads_it_and_shows_the_default(self, animals: Registry[Any], capsys: pytest.CaptureFixture[str]):
        @dataclass
        class Settings:
            pet: Annotated[Any, option(animals, "pet")] = field(default_factory=lambda: Dog(legs=3))

        assert tyro.cli(Settings, args=[]).pet == Dog(legs=3)
        assert tyro.cli(Settings, args=["--pet", "cat:lives=7"]).pet == Cat(7)
        with pytest.raises(SystemExit):
            tyro.cli(Settings, args=["--help"])
        said = capsys.readouterr().out
        assert "NAME[:KEY=VALUE,...]" in said and "dog:legs=3" in said
