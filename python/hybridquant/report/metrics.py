"""How good a model is, alone and beside its float original."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from hybridquant.distributed import ALONE, Processes
from hybridquant.progress import track
from hybridquant.report.significance import wilson_interval


@dataclass(frozen=True)
class Predictions:
    """What a model says about a set of images.

    Args:
        logits: float32 [images, classes].
        labels: int64 [images].
    """

    logits: Tensor
    labels: Tensor

    @property
    def images(self) -> int:
        """Number of images."""
        return len(self.labels)

    @property
    def top1(self) -> float:
        """Share of images whose highest logit is the label's, 0 to 1.

        Raises:
            ValueError: If a label is no class of the model.
        """
        low, high, classes = int(self.labels.min()), int(self.labels.max()), self.logits.shape[1]
        if low < 0 or high >= classes:
            msg = f"top1: labels must be classes 0 to {classes - 1}, got {low} to {high}"
            raise ValueError(msg)
        return _share(self.logits.argmax(1) == self.labels)

    def top1_interval(self, sigmas: float = 1.96) -> tuple[float, float]:
        """Return the Wilson score interval of ``top1``, as two shares.

        Args:
            sigmas: Half width in standard deviations; 1.96 is 95 %.

        Source:
            E. B. Wilson, 1927, "Probable inference, the law of succession".

        Example:
            >>> labels = torch.arange(100) % 10
            >>> logits = F.one_hot(torch.where(labels < 8, labels, 0), 10).float()
            >>> low, high = Predictions(logits, labels).top1_interval()
            >>> print(f"{low:.3f} {high:.3f}")
            0.711 0.867
        """
        return wilson_interval(round(self.top1 * self.images), self.images, sigmas)


@dataclass(frozen=True)
class Fidelity:
    """How close a quantized model stays to its float original, labels aside.

    Args:
        agreement: Share of images on which both give the same class, 0 to 1.
        sqnr_db: Signal to quantization noise ratio of the logits in dB; infinite when equal.
        kl: Mean Kullback-Leibler divergence of the quantized class distribution from the
            original's, in nats.
    """

    agreement: float
    sqnr_db: float
    kl: float


def predict(
    model: Callable[[Tensor], Any],
    batches: Any,
    *,
    batch_size: int = 32,
    what: str = "evaluate",
    total: int | None = None,
    processes: Processes = ALONE,
) -> Predictions:
    """Return the logits of ``model`` over all batches, with the labels.

    Args:
        model: Maps images [batch, 3, height, width] to logits [batch, classes]: a module, or an
            integer model.
        batches: Pairs of images and int64 labels [batch], or what ``load_data`` returns, which
            gives images as ``model`` wants them: normalised, or bytes.
        batch_size: Images a batch, where ``batches`` is what ``load_data`` returns.
        what: Label of the progress bar.
        total: Number of batches, for the progress bar.
        processes: Those that evaluate together, where ``batches`` is what ``load_data`` returns:
            each runs its share of the batches, and all get the predictions of one that runs all.

    Raises:
        TypeError: If a batch is no pair of tensors, or the model returns no tensor.
        ValueError: If there is no image, the model does not accept the images, a logit is not
            finite, or the logits are not [batch, classes].
    """
    if hasattr(batches, "batches"):
        total = -(-batches.num_images // batch_size)
        if processes.count > 1:
            share = processes.share(total)
            start, stop = (min(batch_size * at, len(batches)) for at in (share.start, share.stop))
            batches, total = batches.take(range(start, stop)), len(share)
        takes_bytes = getattr(model, "takes_bytes", False)
        batches = (batches.byte_batches if takes_bytes else batches.batches)(batch_size)
    logits, labels = [], []
    with torch.inference_mode():
        for batch in track(batches, what, total):
            x, target = _pair(batch)
            logits.append(_checked(_run(model, x), target))
            labels.append(target)
    if processes.count > 1:
        found = processes.gather((logits, labels))
        logits, labels = (list(itertools.chain(*parts)) for parts in zip(*found, strict=True))
    if not labels:
        msg = "predict: batches must hold at least one image, got none"
        raise ValueError(msg)
    return Predictions(torch.cat(logits), torch.cat(labels))


def fidelity(original: Predictions, quantized: Predictions) -> Fidelity:
    """Return how close ``quantized`` stays to ``original``, from logits on the same images.

    Raises:
        ValueError: If the two do not have the same shape.

    Example:
        >>> y = Predictions(torch.tensor([[0.0, 4.0], [3.0, 0.0]]), torch.tensor([1, 0]))
        >>> y_hat = Predictions(y.logits + 0.5, y.labels)
        >>> fidelity(y, y_hat)
        Fidelity(agreement=1.0, sqnr_db=13.97..., kl=0.0)
    """
    if original.logits.shape != quantized.logits.shape:
        msg = (
            "fidelity: quantized must have the logits' shape of original "
            f"{list(original.logits.shape)}, got {list(quantized.logits.shape)}"
        )
        raise ValueError(msg)
    y, y_hat = original.logits.double(), quantized.logits.double()
    signal, noise = float(y.square().sum()), float((y_hat - y).square().sum())
    sqnr_db = 10 * math.log10(signal / noise) if signal > 0 and noise > 0 else math.inf
    log_p, log_q = F.log_softmax(y, 1), F.log_softmax(y_hat, 1)
    kl = float(F.kl_div(log_q, log_p, reduction="batchmean", log_target=True))
    return Fidelity(_share(y.argmax(1) == y_hat.argmax(1)), sqnr_db, max(kl, 0.0))


def _pair(batch: Any) -> tuple[Tensor, Tensor]:
    is_pair = isinstance(batch, tuple | list) and len(batch) == 2
    if not is_pair or not all(isinstance(item, Tensor) for item in batch):
        msg = (
            "predict: batches must be pairs of images and labels, both tensors, "
            f"got {type(batch).__name__}"
        )
        raise TypeError(msg)
    return batch[0], batch[1]


def _run(model: Callable[[Tensor], Any], x: Tensor) -> Any:
    try:
        return model(x)
    except (RuntimeError, torch.jit.Error) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        # TorchScript puts its own stack first and what went wrong last.
        reason = lines[-1] if "TorchScript interpreter" in lines[0] else lines[0]
        msg = f"predict: model must accept images of shape {list(x.shape)}, got: {reason}"
        raise ValueError(msg) from error


def _checked(logits: Any, labels: Tensor) -> Tensor:
    if not isinstance(logits, Tensor):
        msg = f"predict: model must return logits as one tensor, got {type(logits).__name__}"
        raise TypeError(msg)
    if logits.ndim != 2 or len(logits) != len(labels):
        msg = f"predict: logits must be [{len(labels)}, classes], got {list(logits.shape)}"
        raise ValueError(msg)
    bad = logits.numel() - int(torch.isfinite(logits).sum())
    if bad:
        msg = f"predict: logits must be finite, got {bad} of {logits.numel()} that are not"
        raise ValueError(msg)
    return logits.float()


def _share(hits: Tensor) -> float:
    return int(hits.sum()) / len(hits)
