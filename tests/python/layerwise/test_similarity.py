"""What a scale search minimises, against loops that spell it out."""

import pytest
import torch
from torch import Tensor

from hybridquant.layerwise.similarity import METRICS, loss_of, separates


def vectors() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    # [images, channels, height, width]
    result, target, importance = (torch.randn(2, 3, 4, 5, generator=generator) for _ in range(3))
    return result, target, importance


def cosine(a: Tensor, b: Tensor) -> float:
    a, b = a.double().flatten(), b.double().flatten()
    return float(a @ b / (a.norm() * b.norm()))


def brute_force(metric: str, result: Tensor, target: Tensor, importance: Tensor) -> float:
    images, _channels, height, width = result.shape
    if metric == "l2":
        return float(((result - target).double() ** 2).sum())
    if metric == "hessian":
        return float(((importance * (result - target)).double() ** 2).sum())
    if metric == "cosine":
        return sum(1 - cosine(result[i], target[i]) for i in range(images))
    return sum(
        (1 - cosine(result[i, :, y, x], target[i, :, y, x])) / (height * width)
        for i in range(images)
        for y in range(height)
        for x in range(width)
    )


def measured(metric: str, axis: int | None, *tensors: Tensor) -> Tensor:
    result, target, importance = tensors
    factors = importance if metric == "hessian" else None
    return loss_of(metric, result.clone(), target, factors, axis, (0, len(result)), 1)


@pytest.mark.parametrize("metric", METRICS)
def test_a_metric_is_what_it_says(metric: str) -> None:
    tensors = vectors()
    assert float(measured(metric, None, *tensors)) == pytest.approx(brute_force(metric, *tensors))


@pytest.mark.parametrize("metric", [metric for metric in METRICS if separates(metric)])
def test_losses_a_channel_are_those_of_each_channel(metric: str) -> None:
    tensors = vectors()
    losses = measured(metric, 1, *tensors)
    one_by_one = [
        brute_force(metric, *(tensor[:, channel : channel + 1] for tensor in tensors))
        for channel in range(3)
    ]
    assert losses.tolist() == pytest.approx(one_by_one)


@pytest.mark.parametrize("metric", METRICS)
def test_losses_add_up_over_images(metric: str) -> None:
    tensors = vectors()
    parts = [measured(metric, None, *(tensor[i : i + 1] for tensor in tensors)) for i in (0, 1)]
    torch.testing.assert_close(sum(parts), measured(metric, None, *tensors))


def test_images_may_be_merged_with_patches() -> None:
    result, target, _ = vectors()
    merged = [x.reshape(2 * 3, 4, 5) for x in (result, target)]  # three patches an image
    loss = loss_of("cosine", merged[0], merged[1], None, None, (0, 2), -1)
    assert float(loss) == pytest.approx(brute_force("cosine", result, target, target))


def test_a_vector_of_zeros_is_as_far_as_can_be() -> None:
    target = torch.ones(1, 4)
    assert loss_of("cosine", torch.zeros(1, 4), target, None, None, (0, 1), -1).tolist() == [1.0]
