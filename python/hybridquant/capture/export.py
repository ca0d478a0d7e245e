"""From a module to functional ATen operators: torch.export with a dynamic batch."""

from __future__ import annotations

import io
import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from torch.export import Dim, ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind

from hybridquant.capture.draft import BATCH, Draft
from hybridquant.capture.errors import CaptureError
from hybridquant.capture.export_errors import explain, reads_values
from hybridquant.capture.functionalize import is_simple, take_writes_out
from hybridquant.capture.normalize import REWRITES
from hybridquant.capture.vocabulary import OPERATORS

# Left whole, to be reported as not supported: decomposed they would be unrolled step by step.
_RECURRENT = {
    getattr(getattr(torch.ops.aten, name), overload)
    for name in ("lstm", "gru", "rnn_tanh", "rnn_relu")
    for overload in ("input", "data")
}

# What keeps torch.export quiet holds for the whole process, so threads take turns.
_ONE_AT_A_TIME = threading.Lock()


def trace(model: nn.Module, example: Tensor) -> ExportedProgram:
    """Return what torch.export makes of ``model``, for any batch size.

    Cost: one trace of the model with fake tensors.

    Args:
        model: In eval mode; not changed.
        example: Images of the size to capture. # [batch, channels, height, width]

    Raises:
        CaptureError: If torch.export cannot trace the model for any batch size.
        UnsupportedOperatorError: If the model reads values, e.g. by ``.item()``.
    """
    pair = example[:1].detach().expand(2, *example.shape[1:]).contiguous()
    with _exporting():
        return torch.export.export(model, (pair,), dynamic_shapes=({0: Dim.DYNAMIC},), strict=False)


def make_functional(program: ExportedProgram, device: torch.device) -> tuple[Draft, Any]:
    """Return a draft of functional operators, and the tree structure of the model's output.

    Cost: a second trace (about twice as long as the first) if the program writes in place or holds
    operators to decompose.

    Args:
        program: From ``trace``.
        device: Where the images are.

    Raises:
        CaptureError: If the model writes to its buffers, or cannot be traced after all.
        UnsupportedOperatorError: If the model reads values, e.g. by ``.item()``.
    """
    if not is_simple(program.graph, _image(program), _known()):
        with _exporting():
            program = program.run_decompositions(_decompositions())
    return _to_draft(program, device), program.call_spec.out_spec


@contextmanager
def _exporting() -> Iterator[None]:
    """Let torch.export run undisturbed, and explain its errors."""
    with _ONE_AT_A_TIME, _quiet():
        if threading.current_thread() is not threading.main_thread():
            _hold_device_guard()
        try:
            yield
        except Exception as error:
            raise explain(error) from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence torch.export, and keep nn.MultiheadAttention off its fused inference path.

    Where tensor values decide, torch logs and prints the graph so far before it raises.
    """
    was_fast = torch.backends.mha.get_fastpath_enabled()
    was_silent, nowhere = logging.root.manager.disable, io.StringIO()
    torch.backends.mha.set_fastpath_enabled(False)
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(nowhere), redirect_stderr(nowhere):
            warnings.simplefilter("ignore")
            with torch.no_grad():
                yield
    finally:
        logging.disable(was_silent)
        torch.backends.mha.set_fastpath_enabled(was_fast)


@cache
def _hold_device_guard() -> None:
    """Let a thread that never ends be the first to enter FakeTensorMode.

    Without CUDA torch 2.11 keeps a device guard that lives in that thread; once the thread has
    ended, the next torch.export of the process crashes.
    """
    is_held = threading.Event()

    def hold() -> None:
        with FakeTensorMode():
            is_held.set()
        threading.Event().wait()

    threading.Thread(target=hold, name="hybridquant-device-guard", daemon=True).start()
    is_held.wait()


@cache
def _known() -> frozenset[Any]:
    return frozenset(OPERATORS) | frozenset(REWRITES)


@cache
def _decompositions() -> dict[Any, Callable[..., Any]]:
    """Return torch's decompositions of every operator that capture does not keep whole."""
    kept = _known() | _RECURRENT
    table = torch.export.default_decompositions().items()
    return {operator: rule for operator, rule in table if operator not in kept}


def _to_draft(program: ExportedProgram, device: torch.device) -> Draft:
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
    draft = Draft(graph, constants, device)
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
            raise reads_values(path)
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
