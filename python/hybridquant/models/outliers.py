"""Channels with outliers in any trained model, without a change of what it computes."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from hybridquant.models import factory
from hybridquant.models.loaded_model import LoadedModel
from hybridquant.models.rescaling import (
    Readers,
    RescalingProber,
    is_norm,
    scale_input,
    scale_output,
    weight_of,
)

# One channel in so many gets outliers, as in the activations that the papers show.
_SHARE = 16
# How many channels of a convolution or linear layer are tried alone before it is taken to feed no
# legal pair. Of a query-key-value projection a third is legal: one in 130 is missed.
_TRIES = 12


def inject_outliers(
    model: nn.Module, ratio: float, seed: int, *, example: Tensor | None = None
) -> nn.Module:
    """Return a copy of ``model`` that computes the same from activations with outlier channels.

    In every legal pair of layers, one output channel in 16 of the first (at least one, drawn at
    random) is multiplied by ``ratio`` and the weights of the second that read it are divided by
    it. A pair is legal if nothing between the two notices: a convolution, linear layer or norm
    whose channel reaches only convolutions and linear layers, through operators that pass a
    positive factor on (ReLU, pooling, moving and mixing positions, as attention does with its
    values). Which pairs are, is found by trying on ``example``; no list of models is kept. So
    LayerNorm to linear, value to projection, linear to linear and convolution to depthwise pairs
    are found in any architecture, and pairs with SiLU, GELU or a residual sum between are not.

    This makes a graded hard case for post-training quantization of any checkpoint: with a
    ``ratio`` that is a power of two, float32 outputs are equal to the bit, while the ranges of a
    tensor's channels differ by ``ratio`` more than before.

    Args:
        model: A float32 model in eval mode, images [batch, 3, height, width] to logits.
        ratio: Factor of the outlier channels, 1 to 1024; 4, 16 and 64 are mild to severe.
        seed: Of the draw of channels, a whole number of 64 bits.
        example: Images to try on, finite float32 [batch, 3, height, width], at least one; by
            default one of noise, of the size that the model states: its ``data_config``, which
            models of ``load_model`` have, or its ``pretrained_cfg``, timm's; else 224 x 224.

    Raises:
        TypeError: If the model is no ``nn.Module`` or not float32, ``ratio`` no number, ``seed``
            no whole number, or ``example`` no float32 tensor.
        ValueError: If the model is in training mode or returns no finite tensor, ``ratio`` or
            ``seed`` is out of range, ``example`` is of another shape or device than the model
            takes, empty or not finite, or the model has no legal pair.
        RuntimeError: If outputs changed, for a layer that does not use its weights as they are.

    Example:
        >>> model = nn.Sequential(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 8, 1)).eval()
        >>> images = torch.randn(1, 3, 8, 8)
        >>> harder = inject_outliers(model, 64, seed=0, example=images)
        >>> torch.equal(harder(images), model(images))
        True
        >>> (harder[0].weight != model[0].weight).any((1, 2, 3)).sum()
        tensor(2)
    """
    _check(model, ratio, seed)
    factor = float(ratio)
    generator = torch.Generator().manual_seed(int(seed))
    before, example = _run(model, example, generator)
    prober = RescalingProber(copy.deepcopy(model), example, generator)
    pairs = [pair for layer in prober.producers for pair in _pairs(prober, layer, generator)]
    if not pairs:
        _reject("model", "have two layers with nothing nonlinear between them", "none")
    harder = copy.deepcopy(model)
    layers = dict(zip(prober.model.modules(), harder.modules(), strict=True))
    with torch.no_grad():
        for producer, row, readers in pairs:
            scale_output(layers[producer], row, factor)
            for layer, channels in readers.items():
                for channel in channels:
                    scale_input(layers[layer], channel, 1 / factor)
        after = harder(example)
    if not torch.allclose(after, before, rtol=1e-4, atol=1e-4):
        change = (after - before).abs().max().item()
        msg = (
            f"inject_outliers: outputs must stay equal, changed by {change:.3g}; please report this"
        )
        raise RuntimeError(msg)
    return harder


def _pairs(
    prober: RescalingProber, producer: nn.Module, generator: torch.Generator
) -> Iterator[tuple[nn.Module, int, Readers]]:
    """Yield the channels of a layer that get outliers, with the layers that read each."""
    order = torch.randperm(len(weight_of(producer)), generator=generator).tolist()
    wanted = max(1, len(order) // _SHARE)
    found = 0
    for tried, row in enumerate(order):
        # All channels of a norm go the same way.
        tries = 1 if is_norm(producer) else _TRIES
        if found == wanted or (tried == tries and not found):
            return
        readers = prober.readers(producer, row)
        if readers:
            found += 1
            yield producer, row, readers


def _check(model: Any, ratio: Any, seed: Any) -> None:
    """Raise for arguments that do not do, whatever the images."""
    if not isinstance(model, nn.Module):
        remedy = "; pass its .module" if isinstance(model, LoadedModel) else ""
        _reject("model", "be an nn.Module", type(model).__name__ + remedy, TypeError)
    if any(layer.training for layer in model.modules()):
        _reject("model", "be in eval mode", "one in training mode; call model.eval()")
    for name, value in model.named_parameters():
        if value.is_floating_point() and value.dtype != torch.float32:
            got = f"{name} in {_dtype(value)}; call model.float()"
            _reject("model", "be float32", got, TypeError)
    if isinstance(ratio, bool) or not isinstance(ratio, Real):
        _reject("ratio", "be a number from 1 to 1024", repr(ratio), TypeError)
    if not 1 <= float(ratio) <= 1024:
        _reject("ratio", "be 1 to 1024", str(ratio))
    if isinstance(seed, bool) or not isinstance(seed, Integral):
        _reject("seed", "be a whole number", repr(seed), TypeError)
    if not -(2**63) <= int(seed) < 2**64:
        _reject("seed", "be -2^63 to 2^64 - 1", str(seed))


def _run(model: nn.Module, example: Any, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return the model's outputs, and the images they are of: the example, or noise."""
    device = next((value.device for value in model.parameters()), torch.device("cpu"))
    is_given = example is not None
    if is_given:
        _check_example(example, device)
    else:
        size = factory.data_config(model).input_size
        example = torch.randn(1, *size, generator=generator).to(device)
    try:
        with torch.no_grad():
            output = model(example)
    except Exception as error:
        reason = next(iter(str(error).splitlines()), "")
        got = f"{'' if is_given else 'noise '}{list(example.shape)}"
        remedy = "" if is_given else "; pass images of the model's size"
        got = f"{got} ({type(error).__name__}: {reason}){remedy}"
        _reject("example", "be images that the model takes", got)
    if not isinstance(output, Tensor):
        _reject("model", "return a tensor", type(output).__name__)
    if not output.isfinite().all():
        _reject("model", "return finite numbers", "NaN or infinity")
    return output, example


def _check_example(example: Any, device: torch.device) -> None:
    """Raise for images that no float32 model on this device takes."""
    if not isinstance(example, Tensor):
        _reject("example", "be a float32 tensor", type(example).__name__, TypeError)
    if example.dtype != torch.float32:
        _reject("example", "be a float32 tensor", _dtype(example), TypeError)
    if example.ndim != 4 or 0 in example.shape:
        required = "hold images [batch, channels, height, width], at least one"
        _reject("example", required, f"shape {list(example.shape)}")
    if example.device != device:
        _reject("example", f"be on the model's device, {device}", str(example.device))
    if not example.isfinite().all():
        _reject("example", "be finite", "NaN or infinity")


def _dtype(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")


def _reject(
    argument: str, requirement: str, got: str, kind: type[Exception] = ValueError
) -> NoReturn:
    msg = f"inject_outliers: {argument} must {requirement}, got {got}"
    raise kind(msg)
