"""How a quantized model is fine-tuned: the section ``finetune`` of a recipe."""

from __future__ import annotations

from dataclasses import dataclass, fields

from hybridquant.recipe.field_error import check

# Name, smallest and largest value of each number, and whether the largest itself is allowed.
_NUMBERS = (
    ("lr", 0.0, 1.0, True),
    ("step_lr", 0.0, 1.0, True),
    ("weight_decay", 0.0, 1.0, True),
    ("label_weight", 0.0, 1.0, True),
    ("temperature", 0.01, 100.0, True),
    ("warmup", 0.0, 1.0, False),
    ("clip_grad", 0.0, 1e6, True),
    ("ema_decay", 0.0, 1.0, False),
    ("crop_area", 0.01, 1.0, True),
    ("flip", 0.0, 1.0, True),
)


@dataclass(frozen=True)
class FinetuneSettings:
    """Settings of ``hybridquant finetune``; how long it runs is said on the command line.

    The defaults are chosen: for 4-bit weights and runs of a few epochs.

    Args:
        lr: Largest learning rate of weights and biases.
        step_lr: Largest learning rate of scales, as a ratio, and of zero-points, as a share of the
            code range; 0 leaves both as calibrated.
        weight_steps: Whether the scales of weights learn too.
        weight_decay: Of weights of two or more dimensions, AdamW's; nothing else has any.
        label_weight: Share of the labels' cross-entropy in the loss; the rest is distillation.
            Images without labels are learned from by distillation alone.
        temperature: Both models' logits are divided by it for the distillation.
        batch_size: Images a step, over all processes.
        warmup: Share of the steps in which the learning rates rise linearly from 0.
        clip_grad: Largest norm of the gradient of weights and biases; 0 does not clip.
        ema_decay: Of the moving average of all parameters, which is what is kept; 0 keeps the last.
        crop_area: Smallest share of a photograph's area that a random crop shows; 1 shows all.
        flip: Probability of a horizontal flip.

    Raises:
        FieldError: If a value is of another kind or outside its range.

    Example:
        >>> FinetuneSettings(label_weight=0.5).temperature
        1.0
    """

    lr: float = 2e-4
    step_lr: float = 2e-3
    weight_steps: bool = True
    weight_decay: float = 0.0
    label_weight: float = 0.0
    temperature: float = 1.0
    batch_size: int = 32
    warmup: float = 0.05
    clip_grad: float = 1.0
    ema_decay: float = 0.99
    crop_area: float = 0.5
    flip: float = 0.5

    def __post_init__(self) -> None:
        for name, low, high, has_end in _NUMBERS:
            value = getattr(self, name)
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            is_legal = is_number and low <= value <= high and (has_end or value < high)
            hint = "write 1.0e-5: YAML reads 1e-5 as text" if isinstance(value, str) else ""
            requirement = f"be a number from {low} to {'' if has_end else 'below '}{high}"
            check(is_legal, name, requirement, value, hint)
        is_count = type(self.batch_size) is int and self.batch_size >= 1
        check(is_count, "batch_size", "be a whole number of at least 1", self.batch_size)
        is_claim = isinstance(self.weight_steps, bool)
        check(is_claim, "weight_steps", "be true or false", self.weight_steps)
        check(self.lr > 0 or self.step_lr > 0, "lr", "be above 0 where step_lr is 0", self.lr)


FINETUNE_KEYS = tuple(field.name for field in fields(FinetuneSettings))
