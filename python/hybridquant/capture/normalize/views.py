"""Every view becomes one reshape or one permute."""

from __future__ import annotations

from torch import fx

from hybridquant.capture.draft import Draft, aten, shape_of
from hybridquant.capture.normalize.table import bound, rewrites


@rewrites(
    aten.view.default,
    aten._unsafe_view.default,
    aten.reshape.default,
    aten.view_as.default,
    aten.reshape_as.default,
    aten.flatten.using_ints,
    aten.unflatten.int,
    aten.unsqueeze.default,
    aten.squeeze.default,
    aten.squeeze.dim,
    aten.squeeze.dims,
)
def reshape(draft: Draft, node: fx.Node) -> fx.Node:
    """The result's own shape says it all."""
    return draft.reshape(node.args[0], shape_of(node))


@rewrites(aten.permute.default)
def permute(draft: Draft, node: fx.Node) -> fx.Node:
    """Only the order of axes counts, from 0."""
    return draft.permute(node.args[0], list(node.args[1]))


@rewrites(aten.transpose.int, aten.swapaxes.default, aten.swapdims.default)
def transpose(draft: Draft, node: fx.Node) -> fx.Node:
    """Two axes change places."""
    x, first, second = node.args
    order = list(range(len(shape_of(x))))
    order[first], order[second] = order[second], order[first]
    return draft.permute(x, order)


@rewrites(aten.t.default)
def t(draft: Draft, node: fx.Node) -> fx.Node:
    """A matrix is transposed; a vector stays."""
    return draft.permute(node.args[0], list(range(len(shape_of(node))))[::-1])


@rewrites(aten.movedim.int)
def movedim(draft: Draft, node: fx.Node) -> fx.Node:
    """One axis moves, the others keep their order."""
    x, source, destination = node.args
    rank = len(shape_of(x))
    order = [axis for axis in range(rank) if axis != source % rank]
    order.insert(destination % rank, source % rank)
    return draft.permute(x, order)


@rewrites(aten.expand.default, aten.expand_as.default)
def expand(draft: Draft, node: fx.Node) -> fx.Node:
    """An expand that operators do by broadcasting is dropped, else -1 keeps an axis' size."""
    x = node.args[0]
    before, after = shape_of(x), shape_of(node)
    if before == after:
        return x
    if all(_broadcasts(user, node) for user in node.users):
        return x
    padded = (1,) * (len(after) - len(before)) + before
    x = draft.reshape(x, padded)
    sizes = [-1 if a == b else b for a, b in zip(padded, after)]
    return draft.call(aten.expand.default, x, sizes)


def _broadcasts(user: fx.Node, node: fx.Node) -> bool:
    """Say whether ``user`` gives the same result when ``node`` is left to broadcasting."""
    if user.target not in _BROADCASTING:
        return False
    return any(shape_of(n) == shape_of(node) for n in user.all_input_nodes if n is not node)


_BROADCASTING = frozenset(
    {aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor}
    | {aten.maximum.default, aten.minimum.default}
)


@rewrites(aten.repeat.default)
def repeat(draft: Draft, node: fx.Node) -> fx.Node:
    """Copies side by side: a reshape, an expand and a reshape."""
    arguments = bound(node)
    x, times = arguments["self"], list(arguments["repeats"])
    sizes = [1] * (len(times) - len(shape_of(x))) + list(shape_of(x))
    split = [size for n, size in zip(times, sizes) for size in ((1, size) if n != 1 else (size,))]
    spread = [v for n, size in zip(times, sizes) for v in ((n, size) if n != 1 else (size,))]
    x = draft.reshape(x, split)
    if split != spread:
        x = draft.call(aten.expand.default, x, [s if s != o else -1 for s, o in zip(spread, split)])
    return draft.reshape(x, shape_of(node))
