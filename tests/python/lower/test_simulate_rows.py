"""Simulated softmaxes and norms against the formulas of docs/arithmetic.md in Python's integers."""

import math

import pytest
import torch

from hybridquant.lower.fixed_point import softmax_table
from hybridquant.lower.int_graph import Codes, IntGraph, IntNode, IntTensor
from hybridquant.lower.simulate import SIMULATORS

GENERATOR = torch.Generator().manual_seed(3)


def run(op, x, x_codes, y_codes, attributes, constants):
    """Return what one node makes of the codes x, clamped."""
    tensors = {
        "x": IntTensor("x", tuple(x.shape), x_codes),
        "y": IntTensor("y", tuple(x.shape), y_codes),
    }
    node = IntNode(op, ("x",), "y", "", attributes, constants)
    graph = IntGraph(tensors, [node], "x", "y")
    return SIMULATORS[op](graph, node, [x.long()]).clamp(y_codes.lowest, y_codes.highest)


def codes(dtype, zero_point):
    limits = torch.iinfo(getattr(torch, dtype))
    return Codes(dtype, 1.0, zero_point, limits.min, limits.max)


def random_codes(dtype, *shape):
    limits = torch.iinfo(getattr(torch, dtype))
    return torch.randint(limits.min, limits.max + 1, shape, generator=GENERATOR)


@pytest.mark.parametrize("m", [255 * 256, 32767 * 256])
def test_softmax(m):
    table = softmax_table(0.05)[:150]  # the last entry stands for all beyond
    x = random_codes("uint8", 3, 17)
    found = run("softmax", x, codes("uint8", 9), codes("int16", -3), {"m": m}, {"table": table})
    for row, got in zip(x.tolist(), found.tolist(), strict=True):
        e = [int(table[min(max(row) - q, 149)]) for q in row]
        expected = [(2 * v * m + 256 * sum(e)) // (512 * sum(e)) - 3 for v in e]
        assert got == [min(v, 32767) for v in expected]


def test_softmax_log2():
    table = torch.tensor([2, 1, 0])
    output = Codes("uint8", 1.0, 0, 0, 15)
    x = torch.tensor([[2, 1, 1, 0], [2, 2, 2, 2], [2, 1, 0, 0]])
    found = run("softmax_log2", x, codes("uint8", 0), output, {}, {"table": table})
    # Ratios 2 and 4; 4; 1.5 and 3, of which the first is rounded to 2.
    assert found.tolist() == [[1, 2, 2, 15], [2, 2, 2, 2], [1, 2, 15, 15]]


def norm_by_hand(x, centre, epsilon, is_l2=False):
    """Return v of one group of codes."""
    n = 1 if is_l2 else len(x)
    total = sum(x) if centre else 0
    squares = sum(q * q for q in x)
    v = max(squares, epsilon) if is_l2 else n * squares - total * total + epsilon
    g = (62 - v.bit_length()) // 2
    root = math.isqrt(math.floor(v * 4**g) if g >= 0 else v >> (-2 * g))
    return [((n * q - total) * (2**61 // root) + (1 << (40 - g))) >> (41 - g) for q in x]


def affine_by_hand(v, m, beta, shift):
    return [(a * b + c + (1 << (shift - 1))) >> shift for a, b, c in zip(v, m, beta, strict=True)]


def random_affine(channels):
    m = torch.randint(-(2**31), 2**31, (channels,), generator=GENERATOR).to(torch.int32)
    beta = torch.randint(-(2**55), 2**55, (channels,), generator=GENERATOR)
    return {"m": m, "beta": beta}


@pytest.mark.parametrize("dtype", ["uint8", "int16"])
@pytest.mark.parametrize("is_centred", [True, False])
@pytest.mark.parametrize("epsilon", [1, 2**40])
@pytest.mark.parametrize("count", [1, 2, 33, 65536])
def test_layer_norm(dtype, is_centred, epsilon, count):
    rows = 3 if count < 100 else 1
    x, z, constants = random_codes(dtype, rows, count), 5, random_affine(count)
    x[0] = torch.iinfo(getattr(torch, dtype)).min
    x[0, : count // 2] = torch.iinfo(getattr(torch, dtype)).max
    attributes = {"count": count, "is_centred": is_centred, "epsilon": epsilon, "shift": 46}
    found = run("layer_norm", x, codes(dtype, z), codes("int16", -7), attributes, constants)
    m, beta = constants["m"].tolist(), constants["beta"].tolist()
    for row, got in zip((x - z).tolist(), found.tolist(), strict=True):
        v = norm_by_hand(row, is_centred, epsilon)
        expected = affine_by_hand(v, m, beta, 46)
        assert got == [min(max(q - 7, -32768), 32767) for q in expected]


def test_constant_rows_are_beta():
    constants = {"m": torch.tensor([1 << 30]), "beta": torch.tensor([5 << 45])}
    attributes = {"count": 8, "is_centred": True, "epsilon": 1, "shift": 45}
    x = torch.full((2, 8), 77)
    found = run("layer_norm", x, codes("uint8", 5), codes("int8", 1), attributes, constants)
    assert found.tolist() == [[6] * 8] * 2


def test_group_norm():
    x, constants = random_codes("int8", 2, 6, 3, 5), random_affine(6)
    attributes = {"groups": 2, "count": 45, "is_centred": True, "epsilon": 9, "shift": 47}
    found = run("group_norm", x, codes("int8", 0), codes("int16", 0), attributes, constants)
    for image in range(2):
        for first in (0, 3):
            group = x[image, first : first + 3].flatten().tolist()
            channels = [first + i // 15 for i in range(45)]
            m, beta = ([int(constants[key][c]) for c in channels] for key in ("m", "beta"))
            expected = affine_by_hand(norm_by_hand(group, True, 9), m, beta, 47)
            got = found[image, first : first + 3].flatten().tolist()
            assert got == [min(max(q, -32768), 32767) for q in expected]


@pytest.mark.parametrize("epsilon", [1, 2**30])
def test_l2_norm(epsilon):
    x, constants = random_codes("int8", 4, 12), random_affine(12)
    attributes = {"epsilon": epsilon, "shift": 44}
    found = run("l2_norm", x, codes("int8", 3), codes("int16", 0), attributes, constants)
    m, beta = constants["m"].tolist(), constants["beta"].tolist()
    for row, got in zip((x - 3).tolist(), found.tolist(), strict=True):
        expected = affine_by_hand(norm_by_hand(row, False, epsilon, is_l2=True), m, beta, 44)
        assert got == [min(max(q, -32768), 32767) for q in expected]
