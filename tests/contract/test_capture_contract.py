"""Capture equals the model for every model in models.txt, and finds the papers' bridges.

Weights are random; BatchNorm statistics, affine parameters and LayerScales are drawn far from where
they start, so that a wrong fold shows.
"""

import copy
import io
import tarfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import timm
import torch
import torchvision
from PIL import Image
from torch import Tensor, nn

from hybridquant.capture import FloatGraph, capture, find_bridges
from hybridquant.capture.blocks import WEIGHTED_KINDS
from hybridquant.layerwise.block_units import block_units
from hybridquant.layerwise.units import in_order

HERE = Path(__file__).parent
PHOTOGRAPHS = HERE.parent / "data" / "imagenette_val.tar"
LINES = [
    line
    for line in (HERE / "models.txt").read_text().splitlines()
    if line and not line.startswith("#")
]
# What DESIGN promises: largest difference over largest output.
TOLERANCE = 1e-4
BATCHES = (1, 2, 7)
# A second export takes as long as the first, so a sample stands for the rest: merged batch, linear
# attention, folded encoding, class token.
EXPORTED = ("mobilevit_xxs", "efficientvit_b0", "edgenext_xx_small", "vit_b_16")


class Case(NamedTuple):
    """One line of models.txt, captured."""

    name: str
    model: nn.Module
    graph: FloatGraph
    inputs: dict[str, Tensor]


def parse(line: str) -> tuple[nn.Module, int]:
    """Return the model that a line names, and the size of its images."""
    name, *options = line.split()
    library, _, name = name.partition(":")
    if library == "timm":
        model = timm.create_model(name, pretrained=False)
        return model, int(options[0]) if options else model.default_cfg["input_size"][-1]
    arguments = {key: int(value) for key, value in (option.split("=") for option in options)}
    size = arguments.pop("input_size", 224)
    return torchvision.models.get_model(name, weights=None, **arguments), size


def randomize(model: nn.Module) -> None:
    """Give norms and layer scales values at which a wrong fold shows."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.running_mean.uniform_(-0.3, 0.3, generator=generator)
                module.running_var.uniform_(0.5, 1.5, generator=generator)
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.uniform_(-0.3, 0.3, generator=generator)
        for name, parameter in model.named_parameters():
            if "gamma" in name or "layer_scale" in name or name.endswith("scale"):
                parameter.uniform_(0.25, 0.75, generator=generator)
            elif not parameter.any():  # torchvision starts some heads at zero
                parameter.uniform_(-0.05, 0.05, generator=generator)


def photographs(count: int, size: int) -> Tensor:
    """Return real images, normalised with ImageNet's statistics. # [count, 3, size, size]"""
    images = []
    with tarfile.open(PHOTOGRAPHS) as archive:
        members = (member for member in archive if member.name.lower().endswith((".jpeg", ".jpg")))
        for member, _ in zip(members, range(count), strict=False):
            data = archive.extractfile(member).read()
            image = Image.open(io.BytesIO(data)).convert("RGB").resize((size, size))
            images.append(np.asarray(image, dtype=np.float32) / 255)
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (pixels - mean.view(3, 1, 1)) / std.view(3, 1, 1)


@pytest.fixture(scope="module", params=LINES, ids=[line.split()[0] for line in LINES])
def case(request) -> Case:
    torch.set_num_threads(2)
    torch.manual_seed(0)
    model, size = parse(request.param)
    inputs = {
        "random": torch.randn(max(BATCHES), 3, size, size),
        "real": photographs(max(BATCHES), size),
    }
    randomize(model.eval())
    name = request.param.split()[0].partition(":")[2]
    return Case(name, model, capture(model, inputs["random"][:1]), inputs)


def difference(got: Tensor, expected: Tensor) -> float:
    """Return the largest difference over the largest output."""
    return float((got - expected).abs().max() / expected.abs().max())


def sensitivity(model: nn.Module, images: Tensor, expected: Tensor) -> float:
    """Return what changing every pixel by about one float32 rounding does to the model itself.

    With random weights the attention of a few models amplifies rounding beyond the tolerance, in
    the model as in the graph.
    """
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    return difference(model(images * (1 + 2e-7 * noise)), expected)


def test_graph_equals_model(case):
    with torch.no_grad():
        for name, images in case.inputs.items():
            for batch in BATCHES:
                expected = case.model(images[:batch])
                error = difference(case.graph(images[:batch]), expected)
                if error > TOLERANCE:
                    own = sensitivity(case.model, images[:batch], expected)
                    assert error <= 10 * own, (
                        f"{name} input, batch {batch}: {error:.1e}, the model itself {own:.1e}"
                    )


def test_trace_is_exact_for_other_batch_sizes(case):
    images = case.inputs["random"]
    with torch.no_grad():
        traced = torch.jit.trace(case.graph, images[:2], check_trace=False)
        for batch in (1, 3):
            assert torch.equal(traced(images[:batch]), case.graph(images[:batch]))


def test_copy_is_exact(case):
    images = case.inputs["random"][:1]
    with torch.no_grad():
        assert torch.equal(copy.deepcopy(case.graph)(images), case.graph(images))


def test_export_again(case):
    if case.name not in EXPORTED:
        pytest.skip("a sample of models stands for the rest")
    images = case.inputs["random"]
    batch = {0: torch.export.Dim("batch")}
    with torch.no_grad():
        program = torch.export.export(
            case.graph, (images[:2],), dynamic_shapes=(batch,), strict=False
        )
        for count in (1, 3):
            assert torch.equal(program.module()(images[:count]), case.graph(images[:count]))


def test_parameters_keep_their_names(case):
    ours = {name for name, _ in case.graph.named_parameters()}
    made = {name for name in ours if name.rpartition(".")[2] == "bias"}
    made |= {name for name in ours if "constant_" in name or "weight_" in name}
    assert ours - made <= set(case.model.state_dict())


def test_units_hold_every_operator_once(case):
    units = block_units(case.graph)
    members = [node for unit in units for node in unit.nodes]
    nodes = [node for node in case.graph.graph.nodes if node.op == "call_function"]
    assert members == nodes
    assert in_order(case.graph, units) == units
    # No unit is most of the model.
    products = [sum(n.meta["kind"] in WEIGHTED_KINDS for n in unit.nodes) for unit in units]
    assert max(products) <= max(8, 0.25 * sum(products))


def mobilevit(qkv: str) -> list[tuple[str, tuple[str, ...]]]:
    units = (f"stages.{stage}.1" for stage in (2, 3, 4))
    return [(f"{u}.conv_1x1", (f"{u}.transformer.0.attn.{qkv}",)) for u in units]


def efficientformerv2(*attention: int) -> list[tuple[str, tuple[str, ...]]]:
    return [
        (
            f"stages.{stage}.blocks.{first - 1}.mlp.fc2.conv",
            tuple(f"stages.{stage}.blocks.{first}.token_mixer.{name}.conv" for name in "qkv"),
        )
        for stage, first in zip((2, 3), attention, strict=True)
    ]


# Entry and exits of the bridges to tokens: Q-HyViT's counts and the semantic lists of its spec.
BRIDGES = {
    **dict.fromkeys(("mobilevit_xxs", "mobilevit_xs", "mobilevit_s"), mobilevit("qkv")),
    **dict.fromkeys(
        [f"mobilevitv2_{width}" for width in ("050", "075", "100", "125", "150", "175")],
        mobilevit("qkv_proj"),
    ),
    "efficientformer_l1": [("stages.3.blocks.2.mlp.fc2", ("stages.3.blocks.4.token_mixer.qkv",))],
    "efficientformerv2_s0": efficientformerv2(4, 2),
    "efficientformerv2_s1": efficientformerv2(7, 4),
    "efficientformerv2_s2": efficientformerv2(8, 4),
    "deit_tiny_patch16_224": [("patch_embed.proj", ("blocks.0.attn.qkv",))],
    "swin_t": [("features.0.0", ("features.1.0.attn",))],
    "mobilenet_v2": [],
    "mobilenet_v3_large": [],
    "repvit_m1": [],
}
NUM_BRIDGES = {"efficientvit_b0": 2, "efficientvit_b1": 2, "edgenext_xx_small": 3}


def test_bridges_to_tokens(case):
    paths = {node.name: node.meta["path"] for node in case.graph.graph.nodes}
    found = [
        (paths[bridge.entry], tuple(paths[name] for name in bridge.exits))
        for bridge in find_bridges(case.graph)
        if bridge.direction == "to_tokens"
    ]
    assert found == BRIDGES.get(case.name, found)
    assert len(found) == NUM_BRIDGES.get(case.name, len(found))


# The block that holds a module, where the rule of docs/operators.md has something to decide.
BLOCKS = {
    "mobilevit_xxs": {"stages.2.1.transformer.0.attn.qkv": "stages.2.1"},
    "mobilevitv2_050": {"stages.2.1.conv_1x1": "stages.2.1"},
    "efficientformer_l1": {"stages.3.blocks.4.mlp.fc1": "stages.3.blocks.4"},
    "efficientvit_b0": {
        "stages.2.blocks.1.context_module.main.qkv.conv": "stages.2.blocks.1",
        "stem.in_conv.conv": "stem.in_conv",
    },
    "mobilenet_v2": {"features.1.conv.1": "features.1", "features.2.conv.0.0": "features.2"},
    "vit_b_16": {"encoder.layers.encoder_layer_3.mlp.0": "encoder.layers.encoder_layer_3"},
    "swin_t": {"features.1.0.mlp.0": "features.1.0", "features.2.reduction": "features.2"},
    "deit_tiny_patch16_224": {"blocks.3.mlp.fc1": "blocks.3", "head": None},
}


def test_blocks(case):
    blocks = {node.meta["path"]: node.meta["block"] for node in case.graph.graph.nodes}
    for path, block in BLOCKS.get(case.name, {}).items():
        assert blocks[path] == block
