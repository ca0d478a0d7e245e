"""Where the image's rows and columns are in every tensor of a graph.

Each axis is a tuple of atoms, outermost first. An atom is a run of positions along one original
axis: ``(name, stride, size)`` stands for ``size`` steps of ``stride`` entries on axis ``name``. A
reshape splits and joins atoms and a permute moves axes, so unfolding into patches and folding back
is followed exactly. Names start with ``h`` and ``w`` for rows and columns, ``t`` for tokens that
can no longer be told apart, ``n`` for the batch and ``c`` for channels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import count
from typing import Literal

from torch import fx

from hybridquant.capture.graph import args_of

Atom = tuple[str, int, int]
Axes = tuple[tuple[Atom, ...], ...]
Domain = Literal["local", "token", "none"]

# Stands for the batch size: a prime, so that no reshape splits it.
_BATCH = 1_000_003
_SPATIAL = ("h", "w", "t")


def find_layouts(graph: fx.Graph) -> dict[fx.Node, Axes]:
    """Return the axes of every node that depends on the images.

    Args:
        graph: Nodes with meta ``kind``, ``shape`` and ``batch_factor``.
    """
    layouts: dict[fx.Node, Axes] = {}
    fresh = _Fresh()
    for node in graph.nodes:
        if node.op == "placeholder":
            layouts[node] = fresh.axes("nchw", sizes_of(node))
        elif node.op == "call_function":
            inputs = [layouts[n] for n in node.all_input_nodes if n in layouts]
            if inputs:
                layouts[node] = _RULES.get(node.meta["kind"], _same)(node, layouts, fresh)
    return layouts


def sizes_of(node: fx.Node) -> tuple[int, ...]:
    """Return the node's sizes with a number for the batch."""
    batch = _BATCH * node.meta["batch_factor"]
    return tuple(batch if size == -1 else size for size in node.meta["shape"])


def domain(axes: Axes) -> Domain:
    """Return whether rows and columns are whole axes (``local``), mixed (``token``), or gone."""
    names = {atom[0] for axis in axes for atom in axis}
    if not any(name.startswith(_SPATIAL) for name in names):
        return "none"
    whole = {axis[0][0][0] for axis in axes if is_whole(axis)}
    broken = any(name.startswith("t") for name in names)
    return "local" if whole >= _present(names) and not broken else "token"


def _present(names: set[str]) -> set[str]:
    return {name[0] for name in names if name.startswith(("h", "w"))}


def is_whole(axis: tuple[Atom, ...]) -> bool:
    """Say whether an axis is all rows or all columns of the image, in order."""
    return len(axis) == 1 and axis[0][0][0] in "hw" and axis[0][1] == 1 and _full(axis[0])


def _full(atom: Atom) -> bool:
    # The size of the original axis is part of its name.
    return atom[0].endswith(f":{atom[2]}")


class _Fresh:
    """Makes axes that come from nowhere else."""

    def __init__(self) -> None:
        self._numbers = count()

    def axis(self, letter: str, size: int) -> tuple[Atom, ...]:
        """Return an axis of its own; one entry needs no atom."""
        return () if size == 1 else ((f"{letter}{next(self._numbers)}:{size}", 1, size),)

    def axes(self, letters: str, sizes: Sequence[int]) -> Axes:
        """Return one new axis for each letter."""
        return tuple(self.axis(letter, size) for letter, size in zip(letters, sizes, strict=True))


Rule = Callable[[fx.Node, dict[fx.Node, Axes], _Fresh], Axes]


def _letter(axis: tuple[Atom, ...]) -> str:
    """Return what a changed version of ``axis`` is: whole rows stay rows, parts become tokens."""
    if is_whole(axis):
        return axis[0][0][0]
    names = [atom[0][0] for atom in axis]
    return "t" if any(name in _SPATIAL for name in names) else "".join(names[:1]) or "c"


def _resized(axes: Axes, node: fx.Node, fresh: _Fresh) -> Axes:
    """Return ``axes`` where those whose size is not the node's are new."""
    return tuple(
        axis if math.prod(atom[2] for atom in axis) == size else fresh.axis(_letter(axis), size)
        for axis, size in zip(axes, sizes_of(node), strict=True)
    )


def _same(node: fx.Node, layouts: dict[fx.Node, Axes], fresh: _Fresh) -> Axes:
    """Element-wise: of the operands, the one that knows most about each axis."""
    sizes = sizes_of(node)
    known = [layouts[n] for n in node.all_input_nodes if n in layouts]
    known = [((),) * (len(sizes) - len(axes)) + axes for axes in known]
    if any(len(axes) != len(sizes) for axes in known):
        return fresh.axes("t" * len(sizes), sizes)
    rank: dict[Domain, int] = {"local": 0, "token": 1, "none": 2}
    best = sorted(known, key=lambda axes: rank[domain(axes)])
    picked = []
    for place, size in enumerate(sizes):
        fitting = (a[place] for a in best if math.prod(atom[2] for atom in a[place]) == size)
        picked.append(next(fitting, fresh.axis("c", size)))
    return tuple(picked)


def _first(node: fx.Node, layouts: dict[fx.Node, Axes], fresh: _Fresh) -> Axes:
    """As the first input, with new axes where sizes change (slice, pad, resize, pooling)."""
    return _resized(layouts[args_of(node)[0]], node, fresh)


def _conv(node: fx.Node, layouts: dict[fx.Node, Axes], fresh: _Fresh) -> Axes:
    """New channels; a window over mixed axes makes them an image again."""
    axes, sizes = layouts[args_of(node)[0]], sizes_of(node)
    spatial = _resized(axes, node, fresh)[2:]
    window = args_of(node)[1].meta["shape"][2:]
    if domain(axes) == "token" and len(window) == 2 and math.prod(window) > 1:
        spatial = fresh.axes("hw", sizes[2:])
    return (axes[0], fresh.axis("c", sizes[1]), *spatial)


def _linear(node: fx.Node, layouts: dict[fx.Node, Axes], fresh: _Fresh) -> Axes:
    return (*layouts[args_of(node)[0]][:-1], fresh.axis("c", sizes_of(node)[-1]))


def _matmul(node: fx.Node, layouts: dict[fx.Node, Axes], fresh: _Fresh) -> Axes:
    """Rows of the first operand, columns of the second."""
    sizes = sizes_of(node)
    left, right = (layouts.get(n) for n in args_of(node)[:2])
    if left is None or right is None or not len(left) == len(right) == len(sizes):
        return fresh.axes("t" * len(sizes), sizes)
    return (*left[:-1], right[-1])


def _permute(node: fx.Node, layouts: dict[fx.Node, Axes], _fresh: _Fresh) -> Axes:
    return tuple(layouts[args_of(node)[0]][axis] for axis in args_of(node)[1])


def _reduce(node: fx.Node, layouts: dict[fx.Node, Axes], _fresh: _Fresh) -> Axes:
    gone, keeps = args_of(node)[-2:]
    axes = layouts[args_of(node)[0]]
    kept = [() if i in gone else axis for i, axis in enumerate(axes) if keeps or i not in gone]
    return tuple(kept)


def _cat(node: fx.Node, layouts: dict[fx.Node, Axes], fresh: _Fresh) -> Axes:
    """The joined axis is what its longest part is."""
    parts = [n for n in args_of(node)[0] if n in layouts]
    dim = args_of(node)[1]
    longest = max(parts, key=lambda n: sizes_of(n)[dim])
    axes = list(layouts[longest])
    axes[dim] = fresh.axis(_letter(axes[dim]), sizes_of(node)[dim])
    return tuple(axes)


def _reshape(node: fx.Node, layouts: dict[fx.Node, Axes], fresh: _Fresh) -> Axes:
    """Deal the atoms out to the new axes, splitting one where a new axis ends inside it."""
    atoms = [atom for axis in layouts[args_of(node)[0]] for atom in axis]
    axes = []
    for size in sizes_of(node):
        axis: list[Atom] = []
        missing = size
        while missing > 1:
            name, stride, length = atoms.pop(0)
            if missing % length == 0:
                axis.append((name, stride, length))
                missing //= length
            elif length % missing == 0:
                axis.append((name, stride * (length // missing), missing))
                atoms.insert(0, (name, stride, length // missing))
                missing = 1
            else:
                return fresh.axes("t" * len(sizes_of(node)), sizes_of(node))
        axes.append(_joined(axis))
    return tuple(axes)


def _joined(axis: list[Atom]) -> tuple[Atom, ...]:
    """Join neighbouring atoms that follow each other on the same original axis."""
    result: list[Atom] = []
    for name, stride, size in axis:
        if result and result[-1][0] == name and result[-1][1] == stride * size:
            result[-1] = (name, stride, result[-1][2] * size)
        else:
            result.append((name, stride, size))
    return tuple(result)


_RULES: dict[str, Rule] = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d", "conv_transpose2d"), _conv),
    **dict.fromkeys(("mean", "sum", "amax", "amin", "vector_norm"), _reduce),
    **dict.fromkeys(
        ("slice", "index_select", "pad", "avg_pool2d", "max_pool2d", "adaptive_avg_pool2d"), _first
    ),
    **dict.fromkeys(("resize_bilinear", "resize_bicubic", "resize_nearest"), _first),
    **dict.fromkeys(("expand", "expand_batch"), _same),
    "linear": _linear,
    "matmul": _matmul,
    "permute": _permute,
    "reshape": _reshape,
    "cat": _cat,
}
