"""Finding and building a model by its name."""

from __future__ import annotations

import difflib
from dataclasses import replace
from pathlib import Path

from torch import nn

from hybridquant.data.data_config import DataConfig
from hybridquant.models import factory
from hybridquant.models.errors import reject
from hybridquant.models.loaded_model import LoadedModel
from hybridquant.models.reference import ReferenceModel, list_models
from hybridquant.models.state_dict import load_into, read_state_dict
from hybridquant.models.zoo import ZOOS, Zoo, get_zoo, imagenet_classes

_IMAGENET_CLASSES = 1000


def load_model(
    name: str,
    checkpoint: str | Path | None = None,
    *,
    num_classes: int | None = None,
    pretrained: bool = False,
) -> LoadedModel:
    """Return the model ``name``, in eval mode, with its preprocessing.

    Args:
        name: A reference checkpoint (``list_models()``); a timm name (with or without the tag of
            its weights) or a torchvision name, where ``timm:NAME`` and ``torchvision:NAME``
            choose and timm comes first; or ``package.module:factory``, a function without
            arguments that returns an ``nn.Module``, whose weights are taken as they are.
        checkpoint: Weights, ``.safetensors``, ``.pth`` or ``.pt``: a state dictionary, alone or
            under ``state_dict`` or ``model``.
        num_classes: Size of the classifier; by default the checkpoint's, else the library's.
        pretrained: Download the library's own weights. Without them and without a checkpoint, a
            timm or torchvision model is random (drawn from torch's global generator) and says so
            in ``is_random``.

    Raises:
        OSError: If a file is missing or weights cannot be downloaded.
        TypeError: If the name is no text.
        ValueError: If the name is unknown, the arguments contradict each other, or the
            checkpoint is damaged or does not fit.

    Example:
        >>> model = load_model("efficientvit_b0.imagenette")
        >>> model.data_config.input_size, len(model.classes), model.is_random
        ((3, 128, 128), 10, False)
    """
    if not isinstance(name, str):
        msg = f"load_model: name must be text, got {name!r}"
        raise TypeError(msg)
    if num_classes is not None and num_classes < 1:
        reject("num_classes", "be at least 1", str(num_classes))
    if pretrained and checkpoint is not None:
        reject("pretrained", "be False with a checkpoint", "True")
    path = None if checkpoint is None else Path(checkpoint)
    for entry in list_models():
        if entry.name == name:
            return _load_reference(entry, path, num_classes)
    prefix, is_prefixed, rest = name.partition(":")
    if is_prefixed and prefix not in ZOOS:
        return _load_factory(name, path, num_classes, pretrained)
    bare = rest if is_prefixed else name
    for library in (prefix,) if is_prefixed else ZOOS:
        if get_zoo(library).knows(bare):
            loaded = _load_from_zoo(get_zoo(library), bare, path, num_classes, pretrained)
            return replace(loaded, name=name)
    raise ValueError(_unknown(name, bare))


def _load_reference(
    entry: ReferenceModel, path: Path | None, num_classes: int | None
) -> LoadedModel:
    card = entry.card
    if num_classes not in (None, card["num_classes"]):
        reject("num_classes", f"be {card['num_classes']} for {entry.name}", str(num_classes))
    if path is None:
        entry.check()
    options = card.get("model_options", {})
    zoo = get_zoo(card["library"])
    module = zoo.build(card["model"], card["num_classes"], pretrained=False, **options)
    weights = path or entry.weights
    load_into(module, read_state_dict(weights), weights, entry.name)
    config = DataConfig.from_mapping(card)
    return LoadedModel(
        entry.name,
        factory.state_data_config(module.float().eval(), config),
        config,
        classes=tuple(card["classes"]),
        card=card if path is None else None,
    )


def _load_factory(
    name: str, path: Path | None, num_classes: int | None, pretrained: bool
) -> LoadedModel:
    if num_classes is not None:
        reject("num_classes", f"be None for the factory {name}", str(num_classes))
    if pretrained:
        reject("pretrained", f"be False for the factory {name}", "True")
    module = factory.build(name)
    if path is not None:
        load_into(module, read_state_dict(path), path, name)
    return LoadedModel(name, module.float().eval(), factory.data_config(module))


def _load_from_zoo(
    zoo: Zoo, name: str, path: Path | None, num_classes: int | None, pretrained: bool
) -> LoadedModel:
    count = zoo.num_classes(name)
    if pretrained and num_classes not in (None, count):
        reject("num_classes", f"be {count}, as in the weights of {name}", str(num_classes))
    module = _download(zoo, name) if pretrained else zoo.build(name, num_classes, pretrained=False)
    count = num_classes or count
    if path is not None:
        state = read_state_dict(path)
        head = state.get(f"{zoo.classifier(module)}.weight")
        if num_classes is None and head is not None and len(head) != count:
            count = len(head)
            module = zoo.build(name, count, pretrained=False)
        load_into(module, state, path, f"{name} with {count} classes")
    is_random = path is None and not pretrained
    # Trained weights for 1,000 classes are taken for ImageNet-1k's.
    is_imagenet = count == _IMAGENET_CLASSES and not is_random
    config = zoo.data_config(name, module)
    return LoadedModel(
        name,
        factory.state_data_config(module.float().eval(), config),
        config,
        classes=imagenet_classes() if is_imagenet else None,
        is_random=is_random,
    )


def _download(zoo: Zoo, name: str) -> nn.Module:
    try:
        return zoo.build(name, None, pretrained=True)
    except OSError as error:
        msg = (
            f"load_model: pretrained weights of {name} must be downloaded from {zoo.HUB}, which "
            f"cannot be reached ({str(error).splitlines()[0]}); pass checkpoint=FILE instead"
        )
        raise OSError(msg) from error


def _unknown(name: str, bare: str) -> str:
    known = {entry.name for entry in list_models()}
    known.update(known_name for library in ZOOS for known_name in get_zoo(library).names())
    close = difflib.get_close_matches(bare, sorted(known), n=3, cutoff=0.6)
    hint = (
        f"did you mean {' or '.join(close)}?"
        if close
        else "timm.list_models() and torchvision.models.list_models() have the names, and "
        "package.module:factory names your own"
    )
    return f"load_model: unknown model {name!r}; {hint}"
