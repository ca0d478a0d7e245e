from __future__ import annotations

import pytest
import torch
from affine_cases import DTYPES

OPS = torch.ops.hybridquant
SCALE, ZERO_POINT = torch.tensor([0.1, 0.2, 0.3]), torch.tensor([1.0, 2.0, 3.0])
LAYOUTS = {
    "contiguous": lambda x: x,
    "channels last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "sliced": lambda x: x[:, :, ::2],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_opcheck_floats(dtype: torch.dtype, layout: str) -> None:
    x = LAYOUTS[layout](torch.randn(2, 3, 4, 5).to(dtype))
    g = torch.randn_like(x)
    for per in ((SCALE, ZERO_POINT, 1), (SCALE[:1], ZERO_POINT[:1], 0)):
        torch.library.opcheck(OPS.fake_quant_affine, (x, *per, 0, 255, 0.5))
        torch.library.opcheck(OPS.fake_quant_affine_grad_x, (g, x, *per, 0, 255))
        torch.library.opcheck(OPS.fake_quant_affine_grad, (g, x, *per, 0, 255, 0.5))
        torch.library.opcheck(OPS.quantize_affine, (x, *per, -128, 127))


@pytest.mark.parametrize("learned", [False, True])
def test_opcheck_gradients(learned: bool) -> None:
    x = torch.randn(2, 3, 4, requires_grad=True)
    scale, zero_point = (p.clone().requires_grad_(learned) for p in (SCALE, ZERO_POINT))
    torch.library.opcheck(OPS.fake_quant_affine, (x, scale, zero_point, 1, 0, 255, 0.5))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32], ids=str)
def test_opcheck_codes(dtype: torch.dtype, layout: str) -> None:
    q = LAYOUTS[layout](torch.randint(0, 100, (2, 3, 4, 5)).to(dtype))
    torch.library.opcheck(OPS.dequantize_affine, (q, SCALE, ZERO_POINT, 1))


@pytest.mark.parametrize("codes", [(0, 255), (-128, 127), (-1, 255), (0, 32768)], ids=str)
def test_fake_codes_have_the_real_type(codes: tuple[int, int]) -> None:
    x = torch.randn(4)
    real = OPS.quantize_affine(x, SCALE[:1], ZERO_POINT[:1], 0, *codes)
    meta = OPS.quantize_affine(
        x.to("meta"), SCALE[:1].to("meta"), ZERO_POINT[:1].to("meta"), 0, *codes
    )
    assert meta.dtype == real.dtype
    assert meta.shape == real.shape


def test_every_op_has_a_fake() -> None:
    names = [
        schema.name
        for schema in torch._C._jit_get_all_schemas()
        if schema.name.startswith("hybridquant::")
    ]
    assert len(names) == 9
    for name in names:
        assert torch._library.simple_registry.singleton.find(name).fake_impl.kernel is not None
