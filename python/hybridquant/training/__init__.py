"""Fine-tuning of quantized graphs: what learns, from what, and for how long."""

from hybridquant.training.distillation import distillation_loss
from hybridquant.training.learning import Learning, enable_learning

__all__ = ["Learning", "distillation_loss", "enable_learning"]
