"""From a module to functional ATen operators: torch.export with a dynamic batch."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind

from hybridquant.capture.draft import BATCH, Draft
from hybridquant.capture.errors import CaptureError, UnsupportedOperatorError
from hybridquant.capture.functionalize import is_simple, take_writes_out
from hybridquant.capture.normalize import REWRITES
from hybridquant.capture.vocabulary import OPERATORS

# What reading a tensor's value into Python becomes.
_READ = "aten._local_scalar_dense"
_READ_REASON = "lets tensor values decide sizes or branches"


# Left whole, to be reported as not supported: decomposed they would be unrolled step by step.
_RECURRENT = {
    getattr(getattr(torch.ops.aten, name), overload)
    for name in ("lstm", "gru", "rnn_tanh", "rnn_relu")
    for overload in ("input", "data")
}


def export(model: nn.Module, example: Tensor) -> tuple[Draft, Any]:
    """Return ``model`` as a draft of functional operators, and its output's tree structure.

    Cost: one trace of the model with fake tensors, and a second one (about twice as long) if it
    writes in place or holds operators to decompose.

    Args:
        model: In eval mode; not changed.
        example: Images of the size to capture. # [batch, channels, height, width]

    Raises:
        CaptureError: If torch.export cannot trace the model for any batch size.
        UnsupportedOperatorError: If the model reads values, e.g. by ``.item()``.
    """
    pair = example[:1].detach().expand(2, *example.shape[1:]).contiguous()
    with _quiet():
        try:
            program = torch.export.export(
                model, (pair,), dynamic_shapes=({0: Dim.DYNAMIC},), strict=False
            )
            if not is_simple(program.graph, _image(program), _known()):
                program = program.run_decompositions(_decompositions())
        except Exception as error:
            raise _explain(error) from None
    return _to_draft(program), program.call_spec.out_spec


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence torch.export, and keep nn.MultiheadAttention off its fused inference path."""
    was_fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was_fast)


@cache
def _known() -> frozenset[Any]:
    return frozenset(OPERATORS) | frozenset(REWRITES)


@cache
def _decompositions() -> dict[Any, Callable[..., Any]]:
    """Return torch's decompositions of every operator that capture does not keep whole."""
    kept = _known() | _RECURRENT
    table = torch.export.default_decompositions().items()
    return {operator: rule for operator, rule in table if operator not in kept}


def _explain(error: Exception) -> Exception:
    """Return the one error that says what about the model cannot be exported."""
    text = str(error)
    first = next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)
    where = _user_frame(error)
    taken = re.search(r"target (\w+)\.\S+ references nonexistent attribute", text)
    if taken:
        return CaptureError(
            f"capture: model must not have a module named {taken[1]!r}, which torch.export uses "
            "itself; rename it"
        )
    if any(key in text for key in ("data-dependent", "item()", "_local_scalar_dense", "unbacked")):
        return UnsupportedOperatorError(_READ, where, _READ_REASON)
    if "specializ" in text or "Constraints violated" in text or "constraint" in text.lower():
        return CaptureError(
            "capture: model must work for any batch size, got code that fixes it; use x.shape[0] "
            "where it uses a number or len(x)"
        )
    return CaptureError(
        f"capture: model must be traceable by torch.export, got {type(error).__name__}: {first}"
        f"{f' in {where}' if where else ''}; rewrite that code without data-dependent Python"
    )


def _user_frame(error: Exception) -> str:
    """Return ``file.py:line (function)`` of the innermost frame outside torch, or ``""``."""
    frame, found = error.__traceback__, ""
    while frame is not None:
        code = frame.tb_frame.f_code
        if "/torch/" not in code.co_filename and "hybridquant" not in code.co_filename:
            name = code.co_filename.replace("\\", "/").rsplit("/", 1)[-1]
            found = f"{name}:{frame.tb_lineno} ({code.co_name})"
        frame = frame.tb_next
    return found


def _to_draft(program: ExportedProgram) -> Draft:
    """Return the program's graph with parameters, buffers and constants read by ``get_attr``."""
    graph, signature = program.graph, program.graph_signature
    constants = _constants(program)
    for spec in signature.output_specs:
        if spec.kind != OutputKind.USER_OUTPUT:
            msg = (
                f"capture: model must not change its buffers in eval mode, got a write to "
                f"{spec.target!r}; make that module stateless"
            )
            raise CaptureError(msg)
    targets = {spec.arg.name: spec.target for spec in signature.input_specs}
    symbol = (
        next(n for n in graph.nodes if n.name == _image(program)).meta["val"].shape[0].node.expr
    )
    for node in graph.nodes:
        stack = list(node.meta.get("nn_module_stack", {}).values())
        path = stack[-1][0].split("@")[0] if stack else ""
        node.meta = {"val": _concrete(node.meta.get("val"), symbol, path), "path": path}
    draft = Draft(graph, constants)
    take_writes_out(draft)
    for node in list(graph.nodes):
        target = targets.get(node.name) if node.op == "placeholder" else None
        if target is not None:
            with draft.at(node):
                draft.replace(node, draft.read(target))
    return draft


def _image(program: ExportedProgram) -> str:
    """Return the name of the placeholder that holds the images."""
    specs = program.graph_signature.input_specs
    return next(str(spec.arg.name) for spec in specs if spec.kind == InputKind.USER_INPUT)


def _concrete(value: Any, symbol: Any, path: str) -> Any:
    """Return a node's value for BATCH images: a meta tensor, a number, or several of them."""
    if isinstance(value, (list, tuple)):
        return [_concrete(item, symbol, path) for item in value]
    if isinstance(value, Tensor):
        sizes = [_concrete(size, symbol, path) for size in value.shape]
        return torch.empty(sizes, dtype=value.dtype, device="meta")
    if isinstance(value, (torch.SymInt, torch.SymFloat, torch.SymBool)):
        number = value.node.expr.subs({symbol: BATCH})
        if number.free_symbols:
            raise UnsupportedOperatorError(_READ, path, _READ_REASON)
        return value.node.pytype(number)
    return value


def _constants(program: ExportedProgram) -> dict[str, Tensor]:
    constants: dict[str, Tensor] = {}
    for spec in program.graph_signature.input_specs:
        if spec.kind == InputKind.USER_INPUT:
            continue
        name = str(spec.target)
        constants[name] = (
            program.constants[name] if name in program.constants else program.state_dict[name]
        )
    return constants
