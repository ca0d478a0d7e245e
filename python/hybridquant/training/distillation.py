"""The loss: how far a quantized model's classes are from those of its float original."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def distillation_loss(
    logits: Tensor,
    original: Tensor,
    labels: Tensor | None = None,
    *,
    label_weight: float = 0.0,
    temperature: float = 1.0,
) -> Tensor:
    """Return ``(1 - w) T^2 KL(original / T || logits / T) + w cross_entropy``, a mean over images.

    Args:
        logits: Of the model that learns, [batch, classes].
        original: Of the model it learns from, [batch, classes]; no gradient flows into it.
        labels: int64 [batch]; None, or negative ones throughout, for images without labels, which
            are learned from by distillation alone.
        label_weight: w, 0 to 1.
        temperature: T, above 0.

    Source:
        Hinton et al., arXiv:1503.02531, section 2, with its factor T^2.

    Example:
        >>> import torch
        >>> y = torch.tensor([[2.0, 0.0]])
        >>> distillation_loss(y, y).item()
        0.0
        >>> round(distillation_loss(y, y, torch.tensor([1]), label_weight=1.0).item(), 4)
        2.1269
    """
    log_q = F.log_softmax(logits / temperature, dim=1)
    log_p = F.log_softmax(original.detach() / temperature, dim=1)
    divergence = F.kl_div(log_q, log_p, reduction="batchmean", log_target=True)
    loss = divergence * temperature**2
    if labels is None or label_weight == 0 or bool((labels < 0).all()):
        return loss
    return (1 - label_weight) * loss + label_weight * F.cross_entropy(logits, labels)
