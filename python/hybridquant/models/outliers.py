"""Channels with outliers in any trained model, without a change of what it computes."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from hybridquant.models import factory
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
        seed: Of the draw of channels.
        example: Images to try on, [batch, 3, height, width]; by default noise of the size that
            the model's ``pretrained_cfg`` or ``data_config`` states, else 224 x 224.

    Raises:
        ValueError: If the model is in training mode, ``ratio`` is out of range, or the model has
            no legal pair.
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
    if model.training:
        _reject("model", "be in eval mode", "one in training mode; call model.eval()")
    if not 1 <= ratio <= 1024:
        _reject("ratio", "be 1 to 1024", str(ratio))
    generator = torch.Generator().manual_seed(seed)
    if example is None:
        example = torch.randn(1, *factory.data_config(model).input_size, generator=generator)
    prober = RescalingProber(copy.deepcopy(model), example, generator)
    pairs = [pair for layer in prober.producers for pair in _pairs(prober, layer, generator)]
    if not pairs:
        _reject("model", "have two layers with nothing nonlinear between them", "none")
    harder = copy.deepcopy(model)
    layers = dict(zip(prober.model.modules(), harder.modules(), strict=True))
    with torch.no_grad():
        for producer, row, readers in pairs:
            scale_output(layers[producer], row, ratio)
            for layer, channels in readers.items():
                for channel in channels:
                    scale_input(layers[layer], channel, 1 / ratio)
        before, after = model(example), harder(example)
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


def _reject(argument: str, requirement: str, got: str) -> None:
    msg = f"inject_outliers: {argument} must {requirement}, got {got}"
    raise ValueError(msg)
