"""Channels that may be rescaled: who makes them, and who reads them with nothing in the way."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, fx
from torch.fx.node import Target

from hybridquant.capture.graph import args_of, shape_for_one
from hybridquant.capture.vocabulary import LAYOUT_KINDS
from hybridquant.layerwise.channel_rules import NO_CHANNEL, passed_on
from hybridquant.layerwise.products import Product
from hybridquant.layerwise.units import num_readers, readers_of, unquantized
from hybridquant.quant_graph import QuantGraph

# Arguments of a norm that hold gamma and beta.
NORM_PARAMETERS = {
    "batch_norm": (1, 2),
    "group_norm": (2, 3),
    "layer_norm": (2, 3),
    "rms_norm": (2,),
}


@dataclass(frozen=True)
class Reader:
    """A product that reads rescalable channels.

    Args:
        product: The product.
        channels: Which channel of the producer each of its input channels is, -1 for none of them.
            # int64 [in_channels]
        is_only_moved: Whether nothing but moves stands between, so that also a number may be added
            to a channel and taken out of the biases.
    """

    product: Product
    channels: Tensor
    is_only_moved: bool


@dataclass(frozen=True)
class ChannelGroup:
    """Channels of one producer, each of which only products read.

    What one of them is multiplied by can be divided out of the weights that read it, and the model
    computes the same.

    Args:
        producer: A convolution, linear layer or norm with an own factor for each channel.
        is_legal: Whether a channel may be rescaled. # bool [channels]
        readers: Who reads them.
    """

    producer: fx.Node
    is_legal: Tensor
    readers: tuple[Reader, ...]


def find_channel_groups(graph: QuantGraph, products: list[Product]) -> list[ChannelGroup]:
    """Return the rescalable channels of every producer that has some, in graph order.

    Between a producer and those who read it may stand ReLU and other functions that pass a positive
    factor on, moves, pools, averages over positions, products with a number or with another
    tensor, and attention, which passes on the channels of its values. SiLU, GELU, norms, residual
    sums and softmax may not.

    Args:
        graph: The graph; nothing is run but moves of channel numbers.
        products: All its products.
    """
    by_node = {product.node: product for product in products}
    tied = {p.weight.target for p in products if num_readers(graph, p.weight) > 1}
    groups = []
    for node in graph.graph.nodes:
        if node.op != "call_function" or not _has_factors(graph, node, by_node):
            continue
        # Of two channels that are multiplied with each other one is found at first, then the other.
        left: Tensor | None = None
        while left is None or bool(left.any()):
            group = _Follower(by_node, tied, node, left).group()
            if group is None:
                break
            groups.append(group)
            left = ~group.is_legal if left is None else left & ~group.is_legal
    return groups


def _has_factors(graph: QuantGraph, node: fx.Node, products: dict[fx.Node, Product]) -> bool:
    """Tell whether a node's output channels each have a factor of their own."""
    if node in products:
        is_producer = products[node].kind != "conv_transpose2d"
    else:
        is_producer = node.meta["kind"] in NORM_PARAMETERS and _has_gamma(node)
    return is_producer and all(
        parameter.op == "get_attr" and num_readers(graph, parameter) == 1
        for parameter in row_parameters(node)
    )


def _has_gamma(norm: fx.Node) -> bool:
    """Tell whether a norm has a factor for each channel; it may have none, or one an element."""
    place = NORM_PARAMETERS[norm.meta["kind"]][0]
    gamma = args_of(norm)[place] if len(args_of(norm)) > place else None
    return gamma is not None and len(gamma.meta["shape"]) == 1


def row_parameters(producer: fx.Node) -> list[fx.Node]:
    """Return the parameters whose first axis counts the producer's channels: weight and bias."""
    arguments = args_of(producer)
    places = NORM_PARAMETERS.get(producer.meta["kind"], (1, 2))
    found = [arguments[place] for place in places if place < len(arguments)]
    return [unquantized(node) for node in found if node is not None]


class _Follower:
    """Follows the numbers of a producer's channels, as a tensor for one image, to all readers."""

    def __init__(
        self,
        products: dict[fx.Node, Product],
        tied: set[Target],
        producer: fx.Node,
        wanted: Tensor | None,
    ) -> None:
        self._products, self._tied, self._producer = products, tied, producer
        shape = shape_for_one(producer)
        is_last = producer.meta["kind"] in ("linear", "layer_norm", "rms_norm")
        axis = len(shape) - 1 if is_last else 1
        self._legal = (
            torch.ones(shape[axis], dtype=torch.bool) if wanted is None else wanted.clone()
        )
        sizes = [-1 if i == axis else 1 for i in range(len(shape))]
        numbers = torch.where(self._legal, torch.arange(shape[axis]), NO_CHANNEL)
        self._numbers: dict[fx.Node, Tensor] = {producer: numbers.reshape(sizes).expand(shape)}
        self._only_moved = {producer}
        self._readers: list[Reader] = []

    def group(self) -> ChannelGroup | None:
        """Return who reads which channels; None where no channel may be rescaled."""
        following = [self._producer]
        while following and bool(self._legal.any()):
            source = following.pop(0)
            for reader in dict.fromkeys(readers_of(source)):
                if reader in self._products:
                    self._end(reader, source)
                elif self._step(reader, source):
                    following.append(reader)
        for read in (found.channels for found in self._readers):
            read[(read >= 0) & ~self._legal[read.clamp(min=0)]] = NO_CHANNEL
        readers = tuple(r for r in self._readers if bool((r.channels >= 0).any()))
        seen = torch.cat([r.channels for r in readers] or [torch.empty(0, dtype=torch.int64)])
        self._legal &= torch.isin(torch.arange(len(self._legal)), seen)
        return ChannelGroup(self._producer, self._legal, readers) if readers else None

    def _step(self, node: fx.Node, source: fx.Node) -> bool:
        """Work out the numbers behind ``node``; say whether there are any to follow."""
        before = self._numbers[source]
        after = None if node.op == "output" else passed_on(node, source, before)
        if after is not None and node in self._numbers:  # through two of its inputs
            after = None
        if after is None:
            self._forbid(before)
            return False
        if not bool((after >= 0).any()):
            return False
        self._numbers[node] = after
        if source in self._only_moved and node.meta["kind"] in LAYOUT_KINDS:
            self._only_moved.add(node)
        return True

    def _end(self, node: fx.Node, source: fx.Node) -> None:
        """Note a product that reads channels."""
        numbers, product = self._numbers[source], self._products[node]
        weight = args_of(node)[1]
        reads_weight = weight in source.users or weight is source
        axis = numbers.ndim - 1 if product.kind == "linear" else 1
        by_channel = numbers.movedim(axis, 0).flatten(1)
        channels = by_channel[:, 0]
        is_even = bool((by_channel == channels[:, None]).all())
        is_good = product.kind != "conv_transpose2d" and product.weight.target not in self._tied
        if not is_even or not is_good or reads_weight:
            self._forbid(numbers)
            return
        is_only_moved = source in self._only_moved
        self._readers.append(Reader(product, channels.clone(), is_only_moved))

    def _forbid(self, numbers: Tensor) -> None:
        found = numbers.unique()
        self._legal[found[found >= 0]] = False
