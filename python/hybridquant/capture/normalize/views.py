"""Every view becomes one reshape or one permute."""

from __future__ import annotations

from torch import fx

from hybridquant.capture.draft import BATCH, Draft, aten, has_batch, shape_of
from hybridquant.capture.functions import expand_batch
from hybridquant.capture.graph import args_of
from hybridquant.capture.normalize.table import Result, bound, rewrites


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
def reshape(draft: Draft, node: fx.Node) -> Result:
    """The result's own shape says it all."""
    return draft.reshape(args_of(node)[0], shape_of(node))


@rewrites(aten.permute.default)
def permute(draft: Draft, node: fx.Node) -> Result:
    """Only the order of axes counts, from 0."""
    return draft.permute(args_of(node)[0], list(args_of(node)[1]))


@rewrites(aten.transpose.int, aten.swapaxes.default, aten.swapdims.default)
def transpose(draft: Draft, node: fx.Node) -> Result:
    """Two axes change places."""
    x, first, second = args_of(node)
    order = list(range(len(shape_of(x))))
    order[first], order[second] = order[second], order[first]
    return draft.permute(x, order)


@rewrites(aten.t.default)
def t(draft: Draft, node: fx.Node) -> Result:
    """A matrix is transposed; a vector stays."""
    return draft.permute(args_of(node)[0], list(range(len(shape_of(node))))[::-1])


@rewrites(aten.movedim.int)
def movedim(draft: Draft, node: fx.Node) -> Result:
    """One axis moves, the others keep their order."""
    x, source, destination = args_of(node)
    rank = len(shape_of(x))
    order = [axis for axis in range(rank) if axis != source % rank]
    order.insert(destination % rank, source % rank)
    return draft.permute(x, order)


@rewrites(aten.expand.default, aten.expand_as.default)
def expand(draft: Draft, node: fx.Node) -> Result:
    """An expand that operators do by broadcasting is dropped, else -1 keeps an axis' size."""
    x = args_of(node)[0]
    before, after = shape_of(x), shape_of(node)
    if before == after:
        return x
    if all(_broadcasts(user, node) for user in node.users):
        return x
    return _expanded(draft, x, after)


def _broadcasts(user: fx.Node, node: fx.Node) -> bool:
    """Say whether ``user`` gives the same result when ``node`` is left to broadcasting."""
    if user.target not in _BROADCASTING:
        return False
    return any(shape_of(n) == shape_of(node) for n in user.all_input_nodes if n is not node)


_BROADCASTING = frozenset(
    {aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor}
    | {aten.maximum.default, aten.minimum.default}
)


@rewrites(aten.copy.default)
def copy(draft: Draft, node: fx.Node) -> Result:
    """What is left of writing into a tensor: the second operand in the first one's shape."""
    return _expanded(draft, args_of(node)[1], shape_of(node))


@rewrites(aten.repeat.default)
def repeat(draft: Draft, node: fx.Node) -> Result:
    """Copies side by side: a reshape, an expand and a reshape."""
    arguments = bound(node)
    x, times = arguments["self"], list(arguments["repeats"])
    sizes = [1] * (len(times) - len(shape_of(x))) + list(shape_of(x))
    split, spread = [], []
    for copies, size in zip(times, sizes, strict=True):
        split += [size] if copies == 1 else [1, size]
        spread += [size] if copies == 1 else [copies, size]
    return draft.reshape(_expanded(draft, draft.reshape(x, split), tuple(spread)), shape_of(node))


def _expanded(draft: Draft, x: fx.Node, shape: tuple[int, ...]) -> fx.Node:
    """Insert the canonical expand of ``x``: -1 for what keeps its size, the batch by itself."""
    padded = (1,) * (len(shape) - len(shape_of(x))) + shape_of(x)
    x = draft.reshape(x, padded)
    spread = [axis for axis, size in enumerate(shape) if has_batch(size) and padded[axis] == 1]
    share = [size // BATCH if axis in spread else size for axis, size in enumerate(shape)]
    sizes = [-1 if a == b else b for a, b in zip(padded, share, strict=True)]
    if list(padded) != share:
        x = draft.call(aten.expand.default, x, sizes)
    for axis in spread:
        x = draft.call(expand_batch, x, draft.input, axis, share[axis])
    return x
