"""Measures the viewer as a page sees it: a websocket that moves the camera and a slider, and notes when pictures come.

No browser: one without a GPU keeps two cores busy by itself.
"""

import argparse
import io
import json
import math
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from PIL import Image
from viser.transforms import SO3
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

ASPECT = 1.27


class Page:
    """A page that is open: pictures as (seconds, width, height), controls by their labels."""

    def __init__(self, port: int) -> None:
        self.socket = connect(f"ws://localhost:{port}", max_size=None)
        self.pictures: list[tuple[float, int, int]] = []
        self.controls: dict[str, dict[str, Any]] = {}
        self.said: list[tuple[float, str]] = []
        self.position, self.look_at, self.up = np.array([3.0, 3.0, 3.0]), np.zeros(3), np.array([0.0, 0.0, 1.0])
        self.fov = math.radians(75)
        self.last: bytes = b""
        self.send_camera()
        threading.Thread(target=self._listen, daemon=True).start()

    def send_camera(self) -> None:
        forward = self.look_at - self.position
        forward = forward / np.linalg.norm(forward)
        down = -(self.up - (self.up @ forward) * forward)
        down = down / np.linalg.norm(down)
        rotation = SO3.from_matrix(np.stack([np.cross(down, forward), down, forward], axis=1))
        self._send(
            type="ViewerCameraMessage", wxyz=rotation.wxyz.tolist(), position=self.position.tolist(), fov=self.fov,
            aspect=ASPECT, look_at=self.look_at.tolist(), up_direction=self.up.tolist(),
        )  # fmt: skip

    def turn(self, angle: float) -> None:
        """As a drag does: about the point that is looked at."""
        turned = SO3.exp(self.up / np.linalg.norm(self.up) * angle)
        self.position = self.look_at + turned @ (self.position - self.look_at)
        self.send_camera()

    def set_control(self, label: str, value: Any) -> None:
        self._send(type="GuiUpdateMessage", id=self.controls[label]["id"], updates={"value": value})

    def _send(self, **message: Any) -> None:
        self.socket.send(msgspec.msgpack.encode(message))

    def _listen(self) -> None:
        with suppress(ConnectionClosed):
            for data in self.socket:
                assert isinstance(data, bytes)
                for message in msgspec.msgpack.decode(data):
                    self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "BackgroundImageMessage":
            self.last = message["rgb_bytes"]
            self.pictures.append((time.monotonic(), *Image.open(io.BytesIO(self.last)).size))
        elif kind.startswith("GuiAdd") and "label" in message:
            self.controls[message["label"].strip()] = message
        elif kind == "GuiUpdateMessage" and "markdown" in message["updates"]:
            self.said.append((time.monotonic(), message["updates"]["markdown"]))
        elif kind.startswith("SetCamera"):
            for key, name in (("position", "position"), ("look_at", "look_at"), ("up_direction", "up")):
                if key in message or (key == "up_direction" and "position" in message and "Up" in kind):
                    value = np.array(message.get(key, message.get("position")))
                    if not (key == "position" and "Up" in kind):
                        setattr(self, name, value)
            self.fov = message.get("fov", self.fov)
            self.send_camera()

    def settled(self, quiet: float = 10.0, most: float = 60.0) -> None:
        """Waits until no picture has come for so many seconds."""
        began = time.monotonic()
        while time.monotonic() - max([began, *[at for at, _, _ in self.pictures[-1:]]]) < quiet:
            if time.monotonic() - began > most:
                return
            time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def since(began: float, pictures: list[tuple[float, int, int]]) -> str:
    return "  ".join(f"{at - began:.2f} s {width}x{height}" for at, width, height in pictures)


def wait_for_page(port: int, process: subprocess.Popen) -> Page:
    while process.poll() is None:
        try:
            return Page(port)
        except OSError:
            time.sleep(0.2)
    raise SystemExit(f"the viewer ended with {process.returncode}")


def measure_finished(run: Path, output: Path) -> None:
    port, began = free_port(), time.monotonic()
    command = [Path(sys.executable).parent / "ns-viewer", "--load-config", run, "--viewer.websocket-port", port]
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, env={**os.environ})
    try:
        page = wait_for_page(port, process)
        opened = time.monotonic()
        print(f"listens after {opened - began:.1f} s")
        while not page.pictures:
            time.sleep(0.02)
        page.settled()
        print(f"opened: {since(opened, page.pictures)}")
        (output / "first.jpg").write_bytes(page.last)
        del page.pictures[:]
        began = time.monotonic()
        while time.monotonic() - began < 5:
            page.turn(0.004)
            time.sleep(1 / 30)
        dragged, moved = time.monotonic(), len(page.pictures)
        sizes = sorted({f"{width}x{height}" for _, width, height in page.pictures})
        print(f"dragging 5 s: {moved / 5:.1f} pictures a second of {' '.join(sizes)}")
        page.settled()
        print(f"after it: {since(dragged, page.pictures[moved:])}")
        (output / "dragged.jpg").write_bytes(page.last)
        for value in (0.4, 0.8, 0.6):
            del page.pictures[:]
            began = time.monotonic()
            page.set_control("Strength", value)
            page.settled()
            print(f"strength {value}: {since(began, page.pictures)}")
        del page.pictures[:]
        began = time.monotonic()
        for step in range(40):
            page.set_control("Strength", step / 40)
            time.sleep(0.05)
        count = len(page.pictures)
        print(f"strength drawn for 2 s: first after {since(began, page.pictures[:1])}, {count / 2:.1f} pictures a second")
    finally:
        process.kill()


def measure_training(arguments: list[str], output: Path) -> None:
    """Twice: nobody looks; a page is open, and nobody moves."""
    for vis in ("tensorboard", "viewer"):
        port = free_port()
        command = [
            Path(sys.executable).parent / "ns-train",
            *arguments,
            "--vis",
            vis,
            "--output-dir",
            output,
            "--timestamp",
            "run",
        ]
        command += ["--experiment-name", vis, "--viewer.websocket-port", port, "--viewer.quit-on-train-completion", "True"]
        with open(output / f"{vis}.log", "w") as log:
            before = os.times()
            process = subprocess.Popen([str(part) for part in command], stdout=log, stderr=log)
            page = wait_for_page(port, process) if vis == "viewer" else None
            process.wait()
            after = os.times()
        seconds = json.loads(next(output.glob(f"{vis}/*/run/run.json")).read_text())["seconds"]
        processor = after.children_user + after.children_system - before.children_user - before.children_system
        print(f"{vis}: {seconds}, {processor:.0f} s of a processor in all")
        if page is not None:
            times = [at for at, _, _ in page.pictures]
            gaps = [later - earlier for earlier, later in zip(times, times[1:], strict=False)]
            print(f"{len(times)} pictures, at most {max(gaps, default=0.0):.0f} s apart, {len(page.said)} lines; the last:")
            print(page.pictures[-1][1:], page.said[-1][1])
            (output / "last.jpg").write_bytes(page.last)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--load-config", type=Path, help="of a finished run")
    parser.add_argument("--output", type=Path, required=True)
    arguments, training = parser.parse_known_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    if arguments.load_config is not None:
        measure_finished(arguments.load_config, arguments.output)
    if training:
        measure_training(training, arguments.output)


if __name__ == "__main__":
    main()
