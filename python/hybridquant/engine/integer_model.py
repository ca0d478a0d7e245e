"""IntegerModel: an integer model file, loaded and ready to run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hybridquant import _C
from hybridquant.data import DataConfig
from hybridquant.engine.functions import checked_functions, on_arrays
from hybridquant.engine.images import Images, checked_images
from hybridquant.engine.integer_module import (
    IntegerModule,
    dequantize,
    save_exported,
    save_scripted,
)
from hybridquant.engine.lazy_session import LazySession, check_num_threads
from hybridquant.export import parse_integer_model
from hybridquant.export.files import check_file_path, write_atomically
from hybridquant.lower.int_graph import Function, IntGraph


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

    takes_bytes = True  # tells ``predict`` to give images as bytes

    def __init__(
        self,
        file: bytes,
        num_threads: int = 1,
        functions: Mapping[str, Function] | None = None,
    ) -> None:
        if not isinstance(file, bytes):
            msg = f"IntegerModel: file must be bytes, got {type(file).__name__}"
            raise TypeError(msg)
        check_num_threads(num_threads)
        self._file = file
        self._num_threads = num_threads
        self._functions = checked_functions(functions)
        self._model = _C.Model.parse(file, on_arrays(self._functions))
        self._facts = self._model.describe()
        self._session = LazySession(self._model, num_threads)

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
            OSError: If the file does not exist or cannot be read; else as for the class.
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
            TypeError, ValueError: As for ``codes``.
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
        return torch.from_numpy(self._session.get().run(checked_images(images, self.input_size)))

    def trace(self, image: Images) -> dict[str, Tensor]:
        """Return the codes of all nodes' outputs by name, in the order of the nodes.

        Args:
            image: uint8 [1, *input_size], otherwise as for ``codes``.

        Returns:
            Tensors of the types and shapes that ``graph.tensors`` gives.

        Raises:
            TypeError, ValueError: As for ``codes``, or if it is not one image.
        """
        array = checked_images(image, self.input_size)
        if len(array) != 1:
            msg = f"IntegerModel.trace: image must be one image, got {len(array)}"
            raise ValueError(msg)
        return {
            name: torch.from_numpy(codes) for _, name, codes in self._session.get().trace(array)
        }

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
            ValueError: If operators stay in float: only this class can call Python functions.
        """
        if self._functions:
            names = ", ".join(self._functions)
            msg = f"IntegerModel.to_module: no operator must stay in float, got {names}"
            raise ValueError(msg)
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
        """What the engine holds: weights and tables, and the memory of a run."""
        return int(self._facts["constant_bytes"]) + self._session.get().memory_bytes

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
