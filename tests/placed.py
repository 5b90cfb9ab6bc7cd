"""A pretended GPU: tensors that compute on the CPU, and that refuse to meet tensors of another device as CUDA does.

torch's FakeTensorMode checks devices too, but its tensors have no values, so decoding and reading a loss stop it. Here
every operation is computed, and a program gives the same bits as on the CPU. `tests/test_devices.py` holds the rules
against those of FakeTensorMode.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

CPU, GPU = torch.device("cpu"), torch.device("cuda")
NAMED_MOVES = {Tensor.cpu: CPU, Tensor.cuda: GPU}
MOVES = {Tensor.to, *NAMED_MOVES}
PROPERTIES = {  # a property's getter -> its value on a device
    Tensor.device.__get__: lambda place: place,  # type: ignore[attr-defined]
    Tensor.is_cuda.__get__: lambda place: place == GPU,  # type: ignore[attr-defined]
    Tensor.is_cpu.__get__: lambda place: place == CPU,  # type: ignore[attr-defined]
}
SET_DATA = Tensor.data.__set__  # type: ignore[attr-defined]  # by which nn.Module.to moves its parameters
CROSSES = {Tensor.copy_, torch._foreach_copy_, SET_DATA, torch._has_compatible_shallow_copy_type}
TAKES_NO_SCALARS = {torch.cat, torch.stack}  # of another device; other functions take tensors of no dimension
IN_PLACE = {f"__i{name}__" for name in ("add", "sub", "mul", "truediv", "and", "or", "xor")}
ON_THE_HOST = {Tensor.numpy, Tensor.__array__}


class WrongDevice(RuntimeError):
    """Tensors of two devices in one operation, or a tensor on the GPU where only the CPU's are taken."""


class Generator(torch.Generator):
    """A random generator that may be on the pretended GPU. Its state is always on the CPU, as CUDA's are."""

    def __new__(cls, device: torch.device | str = CPU) -> Generator:
        return super().__new__(cls, CPU)

    def __init__(self, device: torch.device | str = CPU) -> None:
        self.place = torch.device(device)

    @property
    def device(self) -> torch.device:
        return self.place

    def set_state(self, state: Tensor) -> Generator:
        if place_of(state) != CPU:
            raise WrongDevice("the state of a generator must be on the CPU")
        super().set_state(state)
        return self


@contextmanager
def pretended_gpu() -> Iterator[None]:
    """Inside the block `device="cuda"` works, and tensors of two devices do not meet."""
    load = torch.load

    def loaded(*args: Any, map_location: Any = None, **options: Any) -> Any:
        found = load(*args, map_location=CPU, **options)
        return found if map_location is None else placed(found, torch.device(map_location))

    patches = mock.patch("torch.Generator", Generator), mock.patch("torch.load", loaded)
    with patches[0], patches[1], torch.backends.cudnn.flags(enabled=False), Devices():  # cuDNN needs a real GPU
        yield


class Devices(TorchFunctionMode):
    """Keeps the device of each tensor as an attribute of it, and checks that those of an operation agree."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if function in PROPERTIES:
            return PROPERTIES[function](place_of(args[0]))
        if function in MOVES:
            return move(function, args, kwargs)
        if function == SET_DATA:
            placed(args[0], place_of(args[1]))
        place = common_place(function, args, kwargs)
        if place == GPU and function in ON_THE_HOST:
            raise WrongDevice(f"{function.__name__} of a tensor on the GPU")
        if kwargs.get("device") is not None:
            place, kwargs["device"] = on_the_host(kwargs["device"])
        generator = kwargs.get("generator")
        if generator is not None and generator.device.type != place.type:
            raise WrongDevice(f"{function.__name__} on {place} with a generator on {generator.device}")
        return placed(function(*args, **kwargs), place)


def tensors_in(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from tensors_in(each)
    elif isinstance(value, dict):
        yield from tensors_in([*value.values()])


def place_of(tensor: Tensor) -> torch.device:
    return tensor.__dict__.get("place") or tensor.device


def on_the_host(device: Any) -> tuple[torch.device, torch.device]:
    """A device, and the one that holds its values: the pretended GPU's are on the CPU."""
    device = torch.device(device)
    return (GPU, CPU) if device.type == GPU.type else (device, device)


def placed(result: Any, place: torch.device) -> Any:
    """The result of an operation, its tensors marked as on this device. On others (meta) they really are."""
    if place.type in (CPU.type, GPU.type):
        for tensor in tensors_in(result):
            tensor.place = place  # type: ignore[attr-defined]
    return result


def move(function: Any, args: Any, kwargs: dict[str, Any]) -> Tensor:
    """Tensor.to and the like, with a copy where the device changes."""
    tensor, *rest = args
    before = after = place_of(tensor)
    if function in NAMED_MOVES:
        function, rest = Tensor.to, [NAMED_MOVES[function], *rest]
    for number, value in enumerate(rest):
        if isinstance(value, Tensor):  # its device and its type
            after = place_of(value)
        elif isinstance(value, str | torch.device):
            after, rest[number] = on_the_host(value)
    if kwargs.get("device") is not None:
        after, kwargs["device"] = on_the_host(kwargs["device"])
    moved = function(tensor, *rest, **kwargs)
    return placed(moved.clone() if moved is tensor and before != after else moved, after)


def common_place(function: Any, args: Any, kwargs: dict[str, Any]) -> torch.device:
    """The device of an operation's result. Raises WrongDevice where its tensors are on several."""
    if function in CROSSES:
        return place_of(args[0][0] if isinstance(args[0], list | tuple) else args[0])
    if function in (Tensor.__getitem__, Tensor.__setitem__) and place_of(args[0]) == GPU:
        copied = function is Tensor.__setitem__ and not [*tensors_in(args[1])]
        args = args[:1] if copied else (args[0], *args[2:])  # indices may be on the CPU, and so may what is copied
    tensors = [*tensors_in(args), *tensors_in(kwargs)]
    places = {place_of(each) for each in tensors}
    written_here = bool(tensors) and in_place(function) and place_of(tensors[0]) == CPU
    if len(places) > 1 and function not in TAKES_NO_SCALARS and not written_here:
        places = {place_of(each) for each in tensors if each.ndim or place_of(each) == GPU}
    if len(places) > 1:
        shapes = ", ".join(f"{list(each.shape)} on {place_of(each)}" for each in tensors)
        raise WrongDevice(f"{getattr(function, '__name__', function)} of {shapes}")
    return places.pop() if places else CPU


def in_place(function: Any) -> bool:
    """Whether it writes into its first argument, as add_ and += do."""
    name = getattr(function, "__name__", "")
    return name in IN_PLACE or (name.endswith("_") and not name.endswith("__"))
