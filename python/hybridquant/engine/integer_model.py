"""IntegerModel: an integer model file, loaded and ready to run."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from hybridquant import _C
from hybridquant.data import DataConfig
from hybridquant.engine.images import Images, checked_images
from hybridquant.engine.integer_module import (
    IntegerModule,
    dequantize,
    save_exported,
    save_scripted,
)
from hybridquant.export import parse_integer_model
from hybridquant.export.files import check_file_path, write_atomically
from hybridquant.lower.int_graph import Function, IntGraph

_MOST_THREADS = 1024  # as in the C API


class IntegerModel:
    """A model in integers: bytes of images go in, codes of logits come out.

    The C++ engine runs it. It computes each image on its own, so neither the batch nor the number
    of threads changes a code. Threads may share a model: their calls wait for each other. It can
    be copied and pickled, and runs on in a forked process.

    Made by ``load``, ``from_bytes`` and ``hybridquant.to_integer``.

    Args:
        file: The bytes of a model file (docs/format.md).
        num_threads: Threads of the engine with the caller's, 1 to 1024.
        functions: What the nodes ``external`` of the file call, by name: the ``functions`` of the
            model that was saved. Only ``to_integer(..., allow_float=...)`` makes such nodes.

    Raises:
        TypeError: If ``file`` is not bytes, ``num_threads`` not an integer, or ``functions`` no
            mapping to callables.
        ValueError: If the file is damaged or of another format (the text names the field), calls a
            function that is not there, or ``num_threads`` is out of range.
    """

    takes_bytes = True
    """Tells ``predict`` to give images as bytes, not normalised."""

    def __init__(
        self,
        file: bytes,
        num_threads: int = 1,
        functions: Mapping[str, Function] | None = None,
    ) -> None:
        _check_arguments(file, num_threads, functions)
        self._file = file
        self._num_threads = num_threads
        self._functions = dict(functions or {})
        calls = {name: _on_arrays(name, function) for name, function in self._functions.items()}
        self._model = _C.Model.parse(file, calls)
        self._facts = self._model.describe()
        self._session: _C.Session | None = None
        _LIVING.add(self)

    @classmethod
    def load(
        cls,
        path: str | Path,
        num_threads: int = 1,
        functions: Mapping[str, Function] | None = None,
    ) -> IntegerModel:
        """Return the model of a file, such as ``model.hq.safetensors``.

        Args:
            path: A file that ``save`` or ``hybridquant quantize`` wrote.
            num_threads: As for the class.
            functions: As for the class.

        Raises:
            OSError: If the file does not exist or cannot be read.
            TypeError: As for the class.
            ValueError: As for the class.
        """
        file = Path(path).read_bytes()
        try:
            return cls(file, num_threads, functions)
        except _C.ModelError as error:
            msg = f"IntegerModel.load: {path}: {error}"
            raise ValueError(msg) from error

    @classmethod
    def from_bytes(
        cls,
        file: bytes,
        num_threads: int = 1,
        functions: Mapping[str, Function] | None = None,
    ) -> IntegerModel:
        """Return the model of a file's bytes; arguments and errors are those of the class."""
        return cls(file, num_threads, functions)

    def __call__(self, images: Images) -> Tensor:
        """Return the logits, ``scale * (code - zero_point)`` of ``codes``.

        Args:
            images: As for ``codes``.

        Returns:
            float32 [images, logits], rounded once.

        Raises:
            TypeError: As for ``codes``.
            ValueError: As for ``codes``.
        """
        return dequantize(self.codes(images), self.scale, self.zero_point)

    def codes(self, images: Images) -> Tensor:
        """Return the codes of the logits.

        Args:
            images: uint8 [images, *input_size], red first, as ``ImageData.byte_batches`` gives
                them; a tensor on the CPU or a numpy array, in any layout; also none at all.

        Returns:
            int32 [images, logits].

        Raises:
            TypeError: If ``images`` is neither, or not uint8.
            ValueError: If it has another shape, or lies on another device.
        """
        return torch.from_numpy(self._running().run(checked_images(images, self.input_size)))

    def trace(self, image: Images) -> dict[str, Tensor]:
        """Return the codes of all nodes' outputs by name, in the order of the nodes.

        Args:
            image: uint8 [1, *input_size], otherwise as for ``codes``.

        Returns:
            Tensors of the types and shapes that ``graph.tensors`` gives.

        Raises:
            TypeError: As for ``codes``.
            ValueError: As for ``codes``, or if it is not one image.
        """
        array = checked_images(image, self.input_size)
        if len(array) != 1:
            msg = f"IntegerModel.trace: image must be one image, got {len(array)}"
            raise ValueError(msg)
        return {name: torch.from_numpy(codes) for _, name, codes in self._running().trace(array)}

    def save(self, path: str | Path) -> None:
        """Write the model as a file that ``load`` and C++ read.

        Raises:
            OSError: If the folder of ``path`` does not exist or cannot be written.
        """
        check_file_path("IntegerModel.save", path)
        write_atomically(Path(path), self._file)

    def to_bytes(self) -> bytes:
        """Return the content of the file that ``save`` writes."""
        return self._file

    def to_module(self) -> IntegerModule:
        """Return the model as an ``nn.Module``.

        Raises:
            ValueError: If operators stay in float, which only this class can call.
        """
        return IntegerModule(self._file)

    def save_torchscript(self, path: str | Path, metadata: Mapping[str, Any] | None = None) -> None:
        """Write ``to_module`` as a TorchScript file, which ``load_torchscript`` reads.

        Before it is written, its logits for some images are compared with those of this model.

        Args:
            path: The file to write; written under a temporary name, then renamed.
            metadata: Plain data stored in the file, beside and above its own: ``data_config``
                (not where a border needs the float model's) and ``classes``.

        Raises:
            OSError: If the folder of ``path`` does not exist or cannot be written.
            RuntimeError: If the TorchScript module differs from this model.
            ValueError: As for ``to_module``.
        """
        about: dict[str, Any] = {"classes": list(self.classes) or None}
        if not self._is_bordered():
            about["data_config"] = asdict(self.data_config)
        about["hybridquant"] = version("hybridquant")
        save_scripted(self.to_module(), path, {**about, **(metadata or {})}, self)

    def save_exported(self, path: str | Path) -> None:
        """Write ``to_module`` as a file of ``torch.export``, for any number of images.

        Raises:
            OSError: If the folder of ``path`` does not exist or cannot be written.
        """
        save_exported(self.to_module(), path)

    @property
    def input_size(self) -> tuple[int, int, int]:
        """(channels, height, width) of an image."""
        channels, height, width = self._facts["image_shape"]
        return channels, height, width

    @property
    def num_logits(self) -> int:
        """Number of logits of an image."""
        return int(self._facts["num_logits"])

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the logits; empty where the file has none."""
        return tuple(self._facts["classes"])

    @property
    def data_config(self) -> DataConfig:
        """What ``load_data`` needs to make images, with mean 0 and deviation 1.

        Raises:
            ValueError: If photographs are padded with the float model's mean (``crop_mode``
                border), which the file does not hold.
        """
        if self._is_bordered():
            msg = (
                "IntegerModel.data_config: crop_mode must be center or squash, got border; "
                "use the float model's data_config, whose mean is the border's colour"
            )
            raise ValueError(msg)
        channels = self.input_size[0]
        how = self._facts["preprocessing"]
        return DataConfig(self.input_size, mean=(0.0,) * channels, std=(1.0,) * channels, **how)

    @property
    def scale(self) -> float:
        """Step between two codes of a logit."""
        return float(self._facts["logit_scale"])

    @property
    def zero_point(self) -> int:
        """The code of a logit of 0."""
        return int(self._facts["logit_zero_point"])

    @property
    def num_threads(self) -> int:
        """Threads of the engine with the caller's."""
        return self._num_threads

    @property
    def num_nodes(self) -> int:
        """Number of nodes of the graph."""
        return int(self._facts["nodes"])

    @property
    def num_copies(self) -> int:
        """Number of nodes that the engine runs to move codes only."""
        return int(self._facts["copies"])

    @property
    def num_float_nodes(self) -> int:
        """Number of nodes that call a function of ``functions``, which computes in float."""
        return sum(node.op == "external" for node in self.graph.nodes)

    @property
    def functions(self) -> dict[str, Function]:
        """What the nodes ``external`` call, by name."""
        return dict(self._functions)

    @property
    def memory_bytes(self) -> int:
        """What the engine holds: weights and tables as it uses them, and the memory of a run."""
        return int(self._facts["constant_bytes"]) + self._running().memory_bytes

    @property
    def graph(self) -> IntGraph:
        """The graph with its constants, read from the file at each use."""
        return replace(parse_integer_model(self._file)[0], functions=self.functions)

    def __repr__(self) -> str:
        """Return the sizes that matter."""
        return (
            f"IntegerModel(input_size={self.input_size}, num_logits={self.num_logits}, "
            f"num_nodes={self.num_nodes}, num_bytes={len(self._file)})"
        )

    def __reduce__(self) -> tuple[type[IntegerModel], tuple[bytes, int, dict[str, Function]]]:
        """Copy and pickle by the file's bytes."""
        return type(self), (self._file, self._num_threads, self._functions)

    def _is_bordered(self) -> bool:
        return bool(self._facts["preprocessing"]["crop_mode"] == "border")

    def _running(self) -> _C.Session:
        if self._session is None:
            self._session = _C.Session(self._model, self._num_threads)
        return self._session


def _on_arrays(name: str, function: Function) -> Callable[[list[NDArray[Any]]], NDArray[Any]]:
    """Return the function as the engine calls it."""

    def call(codes: list[NDArray[Any]]) -> NDArray[Any]:
        result = function([torch.from_numpy(array) for array in codes])
        if not isinstance(result, Tensor):
            msg = (
                f"IntegerModel: function {name!r} must return a tensor, got {type(result).__name__}"
            )
            raise TypeError(msg)
        return result.detach().cpu().numpy()

    return call


def _check_arguments(file: object, num_threads: object, functions: object) -> None:
    if not isinstance(file, bytes):
        msg = f"IntegerModel: file must be bytes, got {type(file).__name__}"
        raise TypeError(msg)
    if not isinstance(num_threads, int):
        msg = f"IntegerModel: num_threads must be an integer, got {num_threads!r}"
        raise TypeError(msg)
    is_mapping = isinstance(functions, Mapping) and all(map(callable, functions.values()))
    if functions is not None and not is_mapping:
        msg = f"IntegerModel: functions must be a mapping of names to functions, got {functions!r}"
        raise TypeError(msg)
    if not 1 <= num_threads <= _MOST_THREADS:
        msg = f"IntegerModel: num_threads must be 1 to {_MOST_THREADS}, got {num_threads}"
        raise ValueError(msg)


_LIVING: weakref.WeakSet[IntegerModel] = weakref.WeakSet()
# Sessions whose threads stayed in the parent process: to end one would wait for them for ever.
_LEFT_BEHIND: list[_C.Session] = []


def _leave_sessions_behind() -> None:
    """Let the models of a forked process make sessions of their own."""
    for model in _LIVING:
        if model._session is not None:
            _LEFT_BEHIND.append(model._session)
            model._session = None


os.register_at_fork(after_in_child=_leave_sessions_behind)
