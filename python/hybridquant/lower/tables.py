"""Tables of codes: one for a tensor, or one for each channel."""

from __future__ import annotations

from torch import Tensor, fx

from hybridquant.capture.graph import args_of
from hybridquant.lower.builder import C, Form, with_axis
from hybridquant.lower.int_graph import DTYPES, AnyCodes, ChannelCodes
from hybridquant.lower.lowering import Lowering

# Codes of a channel that has a table of its own.
_LARGEST_COUNT = 256


def table_input(lowering: Lowering, node: fx.Node, wanted: AnyCodes) -> Form[AnyCodes] | None:
    """Return the input of a function of one number, as its table reads it.

    A channel has a table of its own where its input or its output has a scale of its own, and the
    input 8 bits. None where it would need one and has more.

    Args:
        lowering: The lowering.
        node: The operator.
        wanted: Codes of its output.
    """
    codes = lowering.format_of(args_of(node)[0])
    if isinstance(codes, ChannelCodes) and codes.count <= _LARGEST_COUNT:
        if not isinstance(wanted, ChannelCodes) or wanted.axis == codes.axis:
            return lowering.operand_by_channel(node, 0, codes.axis)
        return None
    if isinstance(wanted, ChannelCodes):
        is_long = isinstance(codes, ChannelCodes) or (codes and codes.count > _LARGEST_COUNT)
        return None if is_long else lowering.operand(node, 0)
    return lowering.operand(node, 0)


def add_table(
    lowering: Lowering,
    node: fx.Node,
    x: Form[AnyCodes],
    wanted: C,
    values: Tensor,
    axis: int = 1,
) -> Form[C]:
    """Add a table, or one for each channel.

    Args:
        lowering: The lowering.
        node: The QuantGraph's node that it computes.
        x: The input.
        wanted: Codes of the output.
        values: What every code of ``x`` becomes, float64 [count]; [channels, count] for a table
            each.
        axis: Of the channels, where neither codes have scales for them.
    """
    found = [c.axis for c in (x.codes, wanted) if isinstance(c, ChannelCodes)]
    if values.ndim == 1 and not found:
        table = table_codes(wanted, values)
        return lowering.add("table", node, [x], wanted, constants={"table": table}, shape=x.shape)
    axis = found[0] if found else axis
    if values.ndim == 1:
        values = values.expand(x.shape[axis], -1)
    first, codes = lowering.swapped(node, x, axis, 1), with_axis(wanted, 1)
    constants = {"table": table_codes(codes, values).contiguous()}
    made = lowering.add(
        "channel_table", node, [first], codes, constants=constants, shape=first.shape
    )
    return lowering.swapped(node, made, axis, 1)


def table_codes(wanted: AnyCodes, values: Tensor) -> Tensor:
    """Return the codes of values [count], or [channels, count], in the type they are stored in."""
    return with_axis(wanted, 0).quantize(values).to(DTYPES[wanted.dtype])
