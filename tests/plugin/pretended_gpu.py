"""A GPU that is none, for a process of its own: `python pretended_gpu.py train ins-stylize ...`.

Tensors on it are computed on the CPU. Where a GPU refuses two devices that meet, it does, too: arguments on both (a number
without dimensions may meet anything), its indices into tensors of the CPU, its draws by the CPU's generator, numpy of its
tensors. At the end it says which lines of the product waited for it. Kernels, memory and speed it does not see.
"""

import json
import os
import sys
from collections import Counter
from contextlib import nullcontext
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

import ins3d

_setup_privateuseone_for_python_backend("nogpu")  # a device of its own: the engine of gradients asks cuda's true driver
GPU, CPU = torch.device("nogpu", 0), torch.device("cpu")
ANSWERS: dict[str, Any] = {
    "is_available": True, "device_count": 1, "is_current_stream_capturing": False, "get_rng_state_all": [],
    "get_device_name": "none", "mem_get_info": (2**36, 2**36),
}  # fmt: skip
SILENT = ("manual_seed", "manual_seed_all", "_lazy_init", "empty_cache", "synchronize")
WAITING = ("nonzero", "masked_select", "_unique2", "equal", "repeat_interleave", "_local_scalar_dense")
PRODUCT = os.path.dirname(ins3d.__file__) + os.sep
waits: Counter[str] = Counter()


class GpuTensor(torch.Tensor):
    """Says that it is on the GPU; its values are in `elem`."""

    elem: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, elem: torch.Tensor, requires_grad: bool = False):
        made = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, elem.size(), strides=elem.stride(), storage_offset=elem.storage_offset(), dtype=elem.dtype, device=GPU,
            requires_grad=requires_grad,
        )  # fmt: skip
        made.elem = elem
        return made

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return run(func, args, kwargs or {})

    def tolist(self):
        wait()
        return self.elem.detach().tolist()

    def numpy(self, *args, **kwargs):
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first.")

    __array__ = numpy  # type: ignore[assignment]

    def __reduce_ex__(self, protocol):
        return self.elem.detach().__reduce_ex__(protocol)

    def __deepcopy__(self, memo):
        made, wants = GpuTensor(self.elem.detach().clone()), self.requires_grad
        return torch.nn.Parameter(made, wants) if isinstance(self, torch.nn.Parameter) else made.requires_grad_(wants)


def wait() -> None:
    """Notes the product's line that asked."""
    frame: Any = sys._getframe(1)
    while frame is not None and not frame.f_code.co_filename.startswith(PRODUCT):
        frame = frame.f_back
    if frame is not None:
        waits[f"{frame.f_code.co_filename.removeprefix(PRODUCT)}:{frame.f_lineno}"] += 1


def on_gpu(device: Any) -> bool:
    return torch.device(device).type in ("cuda", "nogpu")


def device_of(func: Any, name: str, args: Any, kwargs: Any) -> torch.device:
    """Where the answer is; refuses devices that meet."""
    every = list(tree_iter((args, kwargs)))
    there = [each for each in every if isinstance(each, GpuTensor)]
    here = [each for each in every if isinstance(each, torch.Tensor) and not isinstance(each, GpuTensor)]
    is_there = bool(there) if kwargs.get("device") is None else on_gpu(kwargs["device"])
    if is_there and any(isinstance(each, torch.Generator) for each in every):
        raise RuntimeError(f"{func}: the CPU's generator draws on the GPU")
    if name.startswith(("index", "_unsafe_index")) and there and not isinstance(args[0], GpuTensor):
        raise RuntimeError(f"{func}: indices on the GPU into a tensor on the CPU")
    if name == "copy_":
        return GPU if isinstance(args[0], GpuTensor) else CPU
    if there and not name.startswith(("_to_copy", "index", "_unsafe_index")) and any(each.dim() for each in here):
        raise RuntimeError(f"{func}: on the CPU are {[tuple(each.shape) for each in here]}, other arguments on the GPU")
    return GPU if is_there else CPU


def run(func: Any, args: Any, kwargs: Any) -> Any:
    """One operation."""
    name = func._schema.name.removeprefix("aten::")
    device, first = device_of(func, name, args, kwargs), args[0] if args else None
    index = args[1] if name.startswith("index") and isinstance(args[1], list | tuple) else ()
    comes_back = name == "_to_copy" and device is CPU
    marked = any(getattr(each, "dtype", None) is torch.bool for each in index)
    if isinstance(first, GpuTensor) and (name in WAITING or comes_back or marked):
        wait()
    plain = {"pin_memory": False, "non_blocking": False}
    given = {key: plain.get(key, value) for key, value in tree_map(inside, kwargs).items()}
    answer = func(*tree_map(inside, args), **given)
    if name.endswith("_") and not name.startswith("_"):
        return first
    return tree_map(outside, answer) if device is GPU else answer


def inside(each: Any) -> Any:
    return each.elem if isinstance(each, GpuTensor) else CPU if isinstance(each, torch.device) and on_gpu(each) else each


def outside(each: Any) -> Any:
    return GpuTensor(each) if isinstance(each, torch.Tensor) and not isinstance(each, GpuTensor) else each


def indices(index: Any) -> Any:
    """Lists of numbers become tensors, which are copied: that waits."""
    if isinstance(index, list) and all(isinstance(each, int) for each in index):
        wait()
        return torch.tensor(index).to(GPU)
    return tuple(map(indices, index)) if isinstance(index, list | tuple) else index


class Factories(TorchDispatchMode):
    """What is asked without a tensor."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return run(func, args, kwargs or {})


class Mapped(TorchFunctionMode):
    """cuda, wherever torch is told of it, is the device that stands for it."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        def mapped(each: Any) -> Any:
            return GPU if isinstance(each, torch.device | str) and str(each).startswith("cuda") else each

        args, kwargs = tuple(map(mapped, args)), {key: mapped(value) for key, value in (kwargs or {}).items()}
        if func in (torch.tensor, torch.as_tensor) and kwargs.get("device") == GPU:
            return func(*args, **{**kwargs, "device": CPU}).to(GPU)
        if func is torch.Tensor.new_tensor and isinstance(args[0], GpuTensor):
            return args[0].elem.new_tensor(*args[1:], **kwargs).to(GPU)
        if func in (torch.Tensor.__getitem__, torch.Tensor.__setitem__) and isinstance(args[0], GpuTensor):
            args = (args[0], indices(args[1]), *args[2:])
        return func(*args, **kwargs)


def main() -> None:
    for name, answer in (ANSWERS | dict.fromkeys(SILENT)).items():
        setattr(torch.cuda, name, lambda *args, answer=answer, **kwargs: answer)
    cast = torch.autocast
    torch.autocast = lambda device_type, *args, **kwargs: (  # type: ignore
        nullcontext() if device_type == "nogpu" else cast(device_type, *args, **kwargs)
    )
    # Tensors around others cannot be made in inference mode, nor parameters be changed into them in place.
    torch.inference_mode = lambda mode=True: torch.no_grad()(mode) if callable(mode) else torch.set_grad_enabled(not mode)  # type: ignore
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    Factories().__enter__()
    Mapped().__enter__()
    command, sys.argv = sys.argv[1], sys.argv[1:]
    __import__(f"nerfstudio.scripts.{command}", fromlist=["entrypoint"]).entrypoint()
    print("WAITS", json.dumps(waits))


if __name__ == "__main__":
    main()
