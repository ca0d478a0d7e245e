"""Two 4-bit codes a byte."""

from __future__ import annotations

import torch
from torch import Tensor


def pack_nibbles(codes: Tensor) -> Tensor:
    """Return codes as 4-bit two's complement, the first of two in the low half of a byte.

    Args:
        codes: int8 of any shape, -8 to 7; read in row-major order.

    Returns:
        uint8 [(number of codes + 1) // 2]; the high half of the last byte is 0 where it is free.

    Example:
        >>> pack_nibbles(torch.tensor([1, -1, -8], dtype=torch.int8)).tolist()
        [241, 8]
    """
    nibbles = codes.flatten().to(torch.uint8) & 15
    pairs = torch.cat([nibbles, nibbles.new_zeros(len(nibbles) % 2)]).reshape(-1, 2)
    return pairs[:, 0] | (pairs[:, 1] << 4)


def unpack_nibbles(packed: Tensor, count: int) -> Tensor:
    """Return the first ``count`` codes of what ``pack_nibbles`` made, int8 [count].

    Args:
        packed: uint8 [(count + 1) // 2].
        count: How many codes there are.

    Example:
        >>> unpack_nibbles(torch.tensor([241, 8], dtype=torch.uint8), 3).tolist()
        [1, -1, -8]
    """
    nibbles = torch.stack([packed & 15, packed >> 4], 1).flatten()[:count]
    return nibbles.to(torch.int8) - ((nibbles & 8) << 1).to(torch.int8)
