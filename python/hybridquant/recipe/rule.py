"""One rule of a recipe: which edges it speaks about, and what it says."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Protocol, get_args

from hybridquant.capture.vocabulary import KINDS, LAYOUT_KINDS
from hybridquant.observers import OBSERVERS
from hybridquant.quantizers import QUANTIZERS
from hybridquant.recipe.field_error import check, check_choice
from hybridquant.types import BITS, Granularity, Scheme

OPERANDS = ("weight", "activation", "product", "all")
SELECTORS = ("@first", "@last", "@depthwise", "@bridge", "@root")
# Kinds with edges to quantize: those that compute.
OPERATOR_KINDS = frozenset(KINDS - LAYOUT_KINDS)
# Kinds that make values: the image and parameters too.
PRODUCER_KINDS = OPERATOR_KINDS | {"input", "parameter"}


@dataclass(frozen=True)
class Rule:
    """Says how the edges it matches are quantized, or that they stay in float.

    An edge matches when its operator's kind matches one of ``operators``, its module path (or its
    place in the model) one of ``modules``, and its operand is the rule's. Fields that are None are
    left as earlier rules set them.

    Args:
        operators: Operator kinds with globs, e.g. ``conv2d``, ``conv*`` or ``*``.
        modules: Module paths with globs, in which ``*`` also matches dots, or selectors: ``@first``
            and ``@last``, the first and the last operator of the model that multiplies,
            ``@depthwise``, convolutions whose channels do not mix, ``@bridge``, what lies between
            image and tokens, and ``@root``, what the model's own forward computes (no path).
        producers: Kinds with globs of the operator that made the input, moves aside, e.g.
            ``softmax``; ``input`` for the image, ``parameter`` for weights and constants.
        operand: ``weight``, ``activation``, ``product`` (an activation that is the result of a
            matrix product of two activations) or ``all``.
        skip: Leave the edges in float; then no other field may be set.
        bits: 2 to 8, or 16.
        scheme: ``symmetric`` or ``asymmetric``.
        granularity: ``tensor``, ``channel`` or ``head``.
        observer: Name of an observer.
        observer_options: Options of that observer; what is left out has the observer's default,
            whatever earlier rules set.
        include_zero: Widen ranges to hold zero.
        quantizer: Name of a quantizer.
        quantizer_options: Options of that quantizer, as for the observer.
        optional: Whether a model without a matching edge is fine; it is an error otherwise.

    Raises:
        FieldError: If a field has a value that is not allowed, or the rule says nothing.

    Example:
        >>> rule = Rule(operators=("conv*",), modules=("stages.2.*",), bits=4)
        >>> rule.matches("conv2d", "stages.2.1.conv_1x1", "weight")
        True
        >>> rule.settings()
        {'bits': 4}
    """

    operators: tuple[str, ...]
    modules: tuple[str, ...] = ("*",)
    operand: str = "all"
    producers: tuple[str, ...] = ("*",)
    skip: bool = False
    bits: int | None = None
    scheme: Scheme | None = None
    granularity: Granularity | None = None
    observer: str | None = None
    observer_options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    include_zero: bool | None = None
    quantizer: str | None = None
    quantizer_options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    optional: bool = False

    def __post_init__(self) -> None:
        _check_patterns("operators", self.operators)
        _check_patterns("modules", self.modules)
        _check_patterns("producers", self.producers)
        _check_kinds("operators", self.operators, OPERATOR_KINDS)
        _check_kinds("producers", self.producers, PRODUCER_KINDS)
        for pattern in self.modules:
            if pattern.startswith("@"):
                check_choice("modules", "selector", pattern, SELECTORS)
        check_choice("operand", "operand", self.operand, OPERANDS)
        check(isinstance(self.skip, bool), "skip", "be true or absent", self.skip)
        check(isinstance(self.optional, bool), "optional", "be true or absent", self.optional)
        _check_settings(self)

    def matches(
        self,
        kind: str,
        path: str,
        operand: str,
        selectors: Collection[str] = (),
        producer: str = "",
    ) -> bool:
        """Tell whether the rule speaks about an edge.

        Args:
            kind: The operator's kind.
            path: The operator's module path.
            operand: ``weight``, ``activation`` or ``product``, which is an activation too.
            selectors: The selectors that hold for the operator, e.g. ``{"@first"}``.
            producer: Kind of the operator that made the input.
        """
        operands = ("all", operand, "activation" if operand == "product" else operand)
        return (
            self.matches_kind(kind)
            and self.matches_module(path, selectors)
            and self.operand in operands
            and self.matches_producer(producer)
        )

    def matches_kind(self, kind: str) -> bool:
        """Tell whether the rule speaks about operators of ``kind``."""
        return any(fnmatchcase(kind, pattern) for pattern in self.operators)

    def matches_module(self, path: str, selectors: Collection[str] = ()) -> bool:
        """Tell whether the rule speaks about an operator at ``path``."""
        held = selectors if path else {*selectors, "@root"}
        return any(
            pattern in held if pattern.startswith("@") else fnmatchcase(path, pattern)
            for pattern in self.modules
        )

    def matches_producer(self, producer: str) -> bool:
        """Tell whether the rule speaks about inputs that an operator of this kind made."""
        return any(fnmatchcase(producer, pattern) for pattern in self.producers)

    def settings(self) -> dict[str, Any]:
        """Return the fields of a QuantSpec that the rule sets."""
        names = ("bits", "scheme", "granularity", "observer", "include_zero", "quantizer")
        values = {name: getattr(self, name) for name in names}
        settings = {name: value for name, value in values.items() if value is not None}
        if self.observer is not None:
            settings["observer_options"] = dict(self.observer_options)
        if self.quantizer is not None:
            settings["quantizer_options"] = dict(self.quantizer_options)
        return settings


def _check_patterns(path: str, patterns: object) -> None:
    is_tuple = isinstance(patterns, tuple)
    items = list(patterns) if isinstance(patterns, tuple) else []
    is_legal = bool(items) and all(isinstance(item, str) and item for item in items)
    got = items if is_tuple else patterns
    check(is_legal, path, "be a name or glob, or a list of at least one", got)


def _check_kinds(path: str, patterns: tuple[str, ...], kinds: frozenset[str]) -> None:
    for pattern in patterns:
        if not any(fnmatchcase(kind, pattern) for kind in kinds):
            check_choice(path, "operator kind", pattern, kinds)


def _check_settings(rule: Rule) -> None:
    settings = rule.settings()
    if rule.skip:
        check(not settings, "skip", "stand alone", sorted(settings), "a skipped edge is float")
        return
    check(bool(settings), "skip", "be true in a rule that sets nothing", rule.skip)
    for name, value in settings.items():
        if name == "bits":
            is_legal = type(value) is int and value in BITS
            check(is_legal, name, "be 2, 3, 4, 5, 6, 7, 8 or 16", value)
        elif name == "include_zero":
            check(isinstance(value, bool), name, "be true or false", value)
        elif not name.endswith("_options"):
            check_choice(name, name, value, _CHOICES[name]())
    if rule.observer is not None:
        _check_options("observer", OBSERVERS[rule.observer], rule.observer_options)
    if rule.quantizer is not None:
        _check_options("quantizer", QUANTIZERS[rule.quantizer], rule.quantizer_options)


def _check_options(path: str, owner: _HasOptions, options: Mapping[str, Any]) -> None:
    try:
        owner.check_options(options)
    except ValueError as error:
        check(False, path, "have legal options", dict(options), str(error))


class _HasOptions(Protocol):
    def check_options(self, options: Mapping[str, Any]) -> object: ...


_CHOICES: dict[str, Callable[[], Iterable[str]]] = {
    "scheme": lambda: get_args(Scheme),
    "granularity": lambda: get_args(Granularity),
    "observer": OBSERVERS.names,
    "quantizer": QUANTIZERS.names,
}
