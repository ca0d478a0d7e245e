"""Every family's trained checkpoint: engine and simulator, on a photograph and on noise."""

from pathlib import Path

import pytest
import torch

import hybridquant as hq

DATA = Path(__file__).parents[2] / "data"


@pytest.mark.parametrize("name", [model.name for model in hq.list_models()])
def test_engine_and_simulator_agree_at_every_node(name):
    torch.set_num_threads(1)
    model = hq.load_model(name)
    images = hq.load_data(DATA / "imagenette_calib.tar", model.data_config, num_images=8)
    integer = hq.to_integer(hq.quantize(model.module, images, "integer/w8a8"), model.data_config)
    photograph = next(images.byte_batches(1))[0]
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, (2, *integer.input_size), generator=generator, dtype=torch.uint8)
    found = hq.verify(integer, [torch.cat([photograph, noise])], integer.to_module())
    assert {(run.batch, run.threads) for run in found.runs if run.runner == "engine"} >= {
        (batch, threads) for batch in (1, 3) for threads in (1, 2)
    }
    assert {run.batch for run in found.runs if run.runner == "torchscript"} >= {1, 3}
    assert found.images == 3
    assert found.nodes == integer.num_nodes
    assert found.differing_codes == 0, found.first
