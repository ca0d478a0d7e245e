"""One model, one set of codes: simulator, engine, module, TorchScript and torch.export agree."""

import pytest
import torch
from engine_cases import FUNCTIONS, NOISE, integer_model, photographs

import hybridquant as hq
from hybridquant.lower import simulate

# Both kinds of images, so that codes in use and codes at their limits are met.
IMAGES = torch.cat([photographs()[:2], NOISE[:1]])


@pytest.fixture(scope="module", params=FUNCTIONS)
def model(request):
    return integer_model(request.param)


def test_every_node_gives_the_codes_of_the_simulator(model):
    graph = model.graph
    for image in IMAGES.split(1):
        wanted, found = simulate(graph, image), model.trace(image)
        assert list(found) == [node.output for node in graph.nodes]
        for name, codes in found.items():
            assert torch.equal(codes.long(), wanted[name]), name
        assert len(found[graph.nodes[0].output].unique()) > 9


@pytest.mark.parametrize("name", ["attention", "convolutions", "norms", "resized"])
def test_a_residual_stream_of_16_bits(name):
    model = integer_model(name, "integer/w8a8-residual16")
    graph = model.graph
    adds = [node for node in graph.nodes if node.op in ("add", "layer_norm", "group_norm")]
    assert adds
    for node in adds:
        # A product's sums stay what they are.
        found = {graph.tensors[x].codes.dtype for x in node.inputs}
        assert "int16" in found <= {"int16", "int32"}
    products = [node for node in graph.nodes if node.op in ("conv2d", "linear", "matmul")]
    assert {graph.tensors[x].codes.dtype for node in products for x in node.inputs} == {"uint8"}
    for image in IMAGES.split(1):
        wanted, found = simulate(graph, image), model.trace(image)
        assert all(torch.equal(codes.long(), wanted[name]) for name, codes in found.items())


@pytest.mark.parametrize("num_threads", [1, 2])
def test_batch_and_threads_change_no_code(model, num_threads):
    graph = model.graph
    wanted = torch.cat([simulate(graph, x)[graph.output].flatten(1) for x in IMAGES.split(1)])
    threaded = hq.IntegerModel.from_bytes(model.to_bytes(), num_threads)
    assert torch.equal(threaded.codes(IMAGES).long(), wanted)
    assert torch.equal(threaded.codes(IMAGES[:1]).long(), wanted[:1])


# torch's own reader of exported programs.
@pytest.mark.filterwarnings("ignore:The given buffer is not writable:UserWarning")
@pytest.mark.parametrize("num_threads", [1, 2])
def test_torch_gives_the_same_logits(model, num_threads, tmp_path, set_threads):
    set_threads(num_threads)
    model.save_torchscript(tmp_path / "m.pt")
    scripted, _ = hq.load_torchscript(tmp_path / "m.pt")
    model.save_exported(tmp_path / "m.pt2")
    exported = torch.export.load(tmp_path / "m.pt2").module()
    for size in (1, 3):
        wanted = model(IMAGES[:size])
        assert wanted.shape == (size, 5)
        for run in (model.to_module(), scripted, exported):
            assert torch.equal(run(IMAGES[:size]), wanted)


def test_a_file_holds_the_model(model, tmp_path):
    model.save(tmp_path / "m")
    assert torch.equal(hq.IntegerModel.load(tmp_path / "m")(IMAGES), model(IMAGES))
