"""One module of every quantizer with levels, calibrated, and the values that it is for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from hybridquant.quantizers import QUANTIZERS, FakeQuant
from hybridquant.quantizers.level_fake_quant import LevelFakeQuant
from hybridquant.samples import Samples
from hybridquant.types import QuantSpec


def shares(seed: int = 0) -> Tensor:
    logits = torch.randn(2, 3, 40, 40, generator=torch.Generator().manual_seed(seed)) * 2
    return logits.softmax(-1)


def gelus(seed: int = 0) -> Tensor:
    x = torch.randn(2, 3, 40, 40, generator=torch.Generator().manual_seed(seed)) * 2
    return torch.nn.functional.gelu(x)


def weights(seed: int = 0) -> Tensor:
    return torch.randn(24, 3, 5, 5, generator=torch.Generator().manual_seed(seed)) * 0.1


DATA = {"shares": shares, "gelus": gelus, "weights": weights}


@dataclass(frozen=True)
class LevelCase:
    name: str
    data: str
    bits: tuple[int, ...] = (4, 8)
    options: dict[str, Any] = field(default_factory=dict)
    scheme: str = "asymmetric"
    granularity: str = "tensor"

    def __str__(self) -> str:
        options = "-".join(f"{key}={value}" for key, value in self.options.items())
        return "-".join(filter(None, (self.name, options, self.granularity)))

    def spec(self, bits: int) -> QuantSpec:
        return QuantSpec(
            bits=bits,
            scheme=self.scheme,  # type: ignore[arg-type]
            granularity=self.granularity,  # type: ignore[arg-type]
            quantizer=self.name,
            quantizer_options=self.options,
        )

    def module(self, bits: int) -> FakeQuant:
        return QUANTIZERS[self.name].from_spec(self.spec(bits), 0, 24)

    def rows(self) -> Tensor:
        x = DATA[self.data]()
        return x.flatten(1) if self.granularity == "channel" else x.reshape(1, -1)

    def calibrated(self, bits: int) -> LevelFakeQuant:
        module = self.module(bits)
        assert isinstance(module, LevelFakeQuant)
        module.calibrate(Samples.of(self.rows()))
        return module


CASES = [
    LevelCase("log2", "shares"),
    LevelCase("log2", "shares", options={"rounding": "lis"}),
    LevelCase("log2", "gelus", options={"zero": "last"}),
    LevelCase("log_sqrt2", "shares"),
    LevelCase("log_sqrt2", "shares", options={"zero": "last"}),
    LevelCase("adalog", "shares"),
    LevelCase("adalog", "gelus", options={"shift": True}),
    LevelCase("shift_uniform_log2", "shares"),
    LevelCase("shift_uniform_log2", "shares", options={"extra_level": True}),
    LevelCase("twin_softmax", "shares"),
    LevelCase("twin_softmax", "shares", options={"branches": "add"}),
    LevelCase("twin_gelu", "gelus"),
    LevelCase("pot", "weights", scheme="symmetric"),
    LevelCase("pot", "weights", scheme="symmetric", granularity="channel"),
    LevelCase("apot", "weights", scheme="symmetric", granularity="channel"),
    LevelCase("apot", "weights", bits=(8,), options={"form": "1+4+3"}, scheme="symmetric"),
    LevelCase("apot", "weights", bits=(8,), options={"int8": True}, scheme="symmetric"),
    LevelCase("apot", "shares"),
]
