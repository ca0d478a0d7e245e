"""Blocks: the repeated units of a model, read from its module tree and data flow."""

from __future__ import annotations

from collections.abc import Iterable

from torch import fx, nn

# Operators with a trained weight.
WEIGHTED_KINDS = frozenset({"conv1d", "conv2d", "conv3d", "conv_transpose2d", "linear"})

_LISTS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def find_blocks(graph: fx.Graph, model: nn.Module) -> dict[str, str]:
    """Return the block path of every node that is in one, by node name.

    Candidates are the entries of Sequentials, ModuleLists and ModuleDicts that have modules inside.
    Where they nest (stages of blocks), the innermost one counts, unless its parent is a unit in
    itself: a path inside the parent leads around the inner entry (a residual or a concatenation),
    or the parent has weights on both sides of its inner entries. What a stage holds besides its
    entries is a block by its own module, e.g. ``stages.1.downsample``.

    Args:
        graph: Nodes with meta ``kind`` and ``path``.
        model: The module the paths are of.
    """
    order = [node for node in graph.nodes if node.op in ("placeholder", "call_function")]
    spans = _spans(order)
    modules = dict(model.named_modules())
    candidates = {
        f"{name}.{key}".lstrip(".")
        for name, module in modules.items()
        if isinstance(module, _LISTS)
        for key, child in module.named_children()
        if any(True for _ in child.children())
    } & spans.keys()
    nested = _nested(candidates)
    units = {type(modules[c]) for c in nested if _is_unit(c, nested[c], order, spans)} - set(_LISTS)
    closed = {
        c
        for c in candidates
        if not nested[c] or type(modules[c]) in units or _is_unit(c, nested[c], order, spans)
    }
    blocks = {}
    for node in order:
        block = _block(node.meta["path"], candidates, closed)
        if block is not None and any(True for _ in modules[block].children()):
            blocks[node.name] = block
    return blocks


def prefixes(path: str) -> list[str]:
    """Return the paths of the modules that hold ``path``, outermost first, and itself.

    Example:
        >>> prefixes("stages.2.conv")
        ['stages', 'stages.2', 'stages.2.conv']
    """
    parts = path.split(".")
    return [".".join(parts[: length + 1]) for length in range(len(parts))] if path else []


def _spans(order: list[fx.Node]) -> dict[str, tuple[int, int]]:
    """Return the first and last position of the operators of every module."""
    spans: dict[str, tuple[int, int]] = {}
    for position, node in enumerate(order):
        for prefix in prefixes(node.meta["path"]):
            spans[prefix] = (spans.get(prefix, (position, 0))[0], position)
    return spans


def _nested(candidates: Iterable[str]) -> dict[str, list[str]]:
    """Return, for each candidate, the candidates inside it with none between."""
    nested: dict[str, list[str]] = {candidate: [] for candidate in candidates}
    for candidate in nested:
        outer = [prefix for prefix in prefixes(candidate)[:-1] if prefix in nested]
        if outer:
            nested[outer[-1]].append(candidate)
    return nested


def _is_unit(
    outer: str, inner: list[str], order: list[fx.Node], spans: dict[str, tuple[int, int]]
) -> bool:
    """Say whether ``outer`` is more than a chain of its inner entries."""
    if not inner:
        return False
    start, end = spans[outer]
    first, last = min(spans[i][0] for i in inner), max(spans[i][1] for i in inner)
    has_weights = [
        any(n.meta["kind"] in WEIGHTED_KINDS for n in part)
        for part in (order[start:first], order[last + 1 : end + 1])
    ]
    return all(has_weights) or any(_is_bypassed(spans[i], order, start, end) for i in inner)


def _is_bypassed(span: tuple[int, int], order: list[fx.Node], start: int, end: int) -> bool:
    """Say whether a node after ``span``, up to ``end``, reads one from before it."""
    before = set(order[: span[0]])
    return any(
        source in before for node in order[span[1] + 1 : end + 1] for source in node.all_input_nodes
    )


def _block(path: str, candidates: set[str], closed: set[str]) -> str | None:
    parts = prefixes(path)
    held = [prefix for prefix in parts if prefix in candidates]
    if not held:
        return None
    unit = next((prefix for prefix in held if prefix in closed), None)
    if unit is not None:
        return unit
    # Inside a stage, but in none of its entries.
    rest = parts[parts.index(held[-1]) + 1 :]
    holds_entries = rest and any(c.startswith(f"{rest[0]}.") for c in candidates)
    return rest[0] if rest and not holds_entries else None
