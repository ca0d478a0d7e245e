"""Channels that may be rescaled: who makes them, and who reads them with nothing in the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, fx
from torch.fx.node import Target

from hybridquant.capture.graph import args_of
from hybridquant.capture.vocabulary import LAYOUT_KINDS
from hybridquant.layerwise.products import Product
from hybridquant.layerwise.units import readers_of
from hybridquant.quant_graph import QuantGraph

# Functions of one number with f(c x) = c f(x) for every c > 0.
_HOMOGENEOUS = frozenset({"abs", "leaky_relu", "neg", "relu"})
_POOLS = frozenset({"adaptive_avg_pool2d", "avg_pool2d", "max_pool2d"})
_REDUCTIONS = frozenset({"amax", "amin", "mean", "sum"})
# Arguments of a norm that hold gamma and beta.
NORM_PARAMETERS = {
    "batch_norm": (1, 2),
    "group_norm": (2, 3),
    "layer_norm": (2, 3),
    "rms_norm": (2,),
}
# Places without a channel of the producer.
_NONE = -1


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
    tied = {p.weight.target for p in products if _num_readers(graph, p.weight) > 1}
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


def _num_readers(graph: QuantGraph, parameter: fx.Node) -> int:
    """Return how many operators read a parameter."""
    nodes = (node for node in graph.graph.nodes if node.target == parameter.target)
    return len({reader for node in nodes for reader in readers_of(node)})


def _has_factors(graph: QuantGraph, node: fx.Node, products: dict[fx.Node, Product]) -> bool:
    """Tell whether a node's output channels each have a factor of their own."""
    if node in products:
        if products[node].kind == "conv_transpose2d":
            return False
    elif node.meta["kind"] not in NORM_PARAMETERS or not row_parameters(node):
        return False
    parameters = row_parameters(node)
    is_own = all(p.op == "get_attr" and _num_readers(graph, p) == 1 for p in parameters)
    is_by_channel = node in products or all(len(p.meta["shape"]) == 1 for p in parameters)
    return is_own and is_by_channel and _scales_weight(node)


def _scales_weight(node: fx.Node) -> bool:
    """Tell whether a producer has a weight at all; a norm may have none."""
    place = NORM_PARAMETERS.get(node.meta["kind"], (1,))[0]
    return len(args_of(node)) > place and isinstance(args_of(node)[place], fx.Node)


def row_parameters(producer: fx.Node) -> list[fx.Node]:
    """Return the parameters whose first axis counts the producer's channels: weight and bias."""
    arguments = args_of(producer)
    places = NORM_PARAMETERS.get(producer.meta["kind"], (1, 2))
    found = [arguments[place] for place in places if place < len(arguments)]
    return [_source(node) for node in found if node is not None]


def _source(node: fx.Node) -> fx.Node:
    while node.op == "call_module":
        node = node.all_input_nodes[0]
    return node


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
        shape = _shape(producer)
        is_last = producer.meta["kind"] in ("linear", "layer_norm", "rms_norm")
        axis = len(shape) - 1 if is_last else 1
        self._legal = (
            torch.ones(shape[axis], dtype=torch.bool) if wanted is None else wanted.clone()
        )
        sizes = [-1 if i == axis else 1 for i in range(len(shape))]
        numbers = torch.where(self._legal, torch.arange(shape[axis]), _NONE)
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
            read[(read >= 0) & ~self._legal[read.clamp(min=0)]] = _NONE
        readers = tuple(r for r in self._readers if bool((r.channels >= 0).any()))
        seen = torch.cat([r.channels for r in readers] or [torch.empty(0, dtype=torch.int64)])
        self._legal &= torch.isin(torch.arange(len(self._legal)), seen)
        return ChannelGroup(self._producer, self._legal, readers) if readers else None

    def _step(self, node: fx.Node, source: fx.Node) -> bool:
        """Work out the numbers behind ``node``; say whether there are any to follow."""
        before = self._numbers[source]
        after = None if node.op == "output" else _passed_on(node, source, before)
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


def _passed_on(node: fx.Node, source: fx.Node, numbers: Tensor) -> Tensor | None:
    """Return the channel numbers of a node's result; None where it does not pass factors on."""
    kind = node.meta["kind"]
    if kind in LAYOUT_KINDS or kind in ("cat", "pad"):
        return _moved(node, source, numbers)
    if kind in _HOMOGENEOUS:
        return numbers
    rule = _RULES.get(kind)
    return None if rule is None else rule(node, source, numbers)


def _moved(node: fx.Node, source: fx.Node, numbers: Tensor) -> Tensor | None:
    """Move the numbers as the values move; what comes from elsewhere has none."""
    if node.meta["kind"] == "reshape":
        return numbers.reshape(_shape(node))

    def value(argument: fx.Node) -> Tensor:
        made = _behind(argument)
        assert isinstance(made, fx.Node)
        if made.meta["dtype"] != "float32":  # the places that index_select picks
            return _constant(made)
        # Zeros, which padding puts in, are no channel; float64 because some moves take no integers.
        found = numbers + 1 if made is source else torch.zeros(_shape(made), dtype=torch.int64)
        return found.double()

    args = fx.map_arg(node.args, value)
    is_constant_pad = node.target is torch.ops.aten.constant_pad_nd.default
    args = args[:2] if is_constant_pad else args
    result: Tensor = node.target(*args, **node.kwargs)  # type: ignore[operator]
    return result.long() - 1


def _scaled(node: fx.Node, source: fx.Node, numbers: Tensor) -> Tensor | None:
    """A product with a number or a tensor; of a quotient, the dividend."""
    first, second = (_behind(argument) for argument in args_of(node)[:2])
    if first is second or (node.meta["kind"] == "div" and first is not source):
        return None
    if not isinstance(second, fx.Node):
        is_positive = isinstance(second, int | float) and second > 0
        return numbers if is_positive else None
    shape = _shape(node)
    is_broadcast = all(n in (1, m) for n, m in zip(numbers.shape[::-1], shape[::-1], strict=False))
    return numbers.expand(shape) if is_broadcast else None


def _mixed(node: fx.Node, source: fx.Node, numbers: Tensor) -> Tensor | None:
    """A matrix product mixes rows, or columns, that have the same channel all along."""
    first, second = (_behind(argument) for argument in args_of(node)[:2])
    if first is second:
        return None
    axis = -1 if first is source else -2  # that is summed over
    kept = numbers.narrow(axis, 0, 1)
    if not bool((numbers == kept).all()):
        return None
    return kept.expand(_shape(node))


def _pooled(node: fx.Node, _source: fx.Node, numbers: Tensor) -> Tensor | None:
    kept = numbers[:, :, :1, :1]
    return kept.expand(_shape(node)) if bool((numbers == kept).all()) else None


def _reduced(node: fx.Node, _source: fx.Node, numbers: Tensor) -> Tensor | None:
    kept = numbers
    for axis in args_of(node)[1]:
        kept = kept.narrow(axis, 0, 1)
    return kept.reshape(_shape(node)) if bool((numbers == kept).all()) else None


_RULES: dict[str, Callable[[fx.Node, fx.Node, Tensor], Tensor | None]] = {
    **dict.fromkeys(_POOLS, _pooled),
    **dict.fromkeys(_REDUCTIONS, _reduced),
    **dict.fromkeys(("mul", "div"), _scaled),
    "matmul": _mixed,
}


def _behind(argument: object) -> object:
    """Return the operator whose value an argument is, fake-quantization aside."""
    while isinstance(argument, fx.Node) and argument.op == "call_module":
        argument = argument.args[0]
    return argument


def _constant(node: fx.Node) -> Tensor:
    """Return the constant that a ``get_attr`` node reads."""
    owner = node.graph.owning_module
    assert owner is not None
    for name in str(node.target).split("."):
        owner = getattr(owner, name)
    assert isinstance(owner, Tensor)
    return owner


def _shape(node: object) -> tuple[int, ...]:
    """Return the sizes of a node's value for one image."""
    assert isinstance(node, fx.Node)
    factor = node.meta["batch_factor"]
    return tuple(factor if size == -1 else size for size in node.meta["shape"])
