"""Small models with one function under test, quantized and lowered."""

from pathlib import Path

import torch
from torch import nn

import hybridquant
from hybridquant.lower import lower, simulate

RECIPE = Path(__file__).with_name("w8a8.yaml")
# Equal deviations, so that the codes of the first convolution are those of the recipe.
MEAN, STD = (0.5, 0.4, 0.3), (0.25, 0.25, 0.25)
BYTES = torch.randint(
    0, 256, (9, 3, 16, 16), generator=torch.Generator().manual_seed(1), dtype=torch.uint8
)


def normalised(images):
    mean, std = (torch.tensor(v)[:, None, None] for v in (MEAN, STD))
    return (images.float() / 255 - mean) / std


class Model(nn.Module):
    """A convolution, the function under test, and a classifier behind it."""

    def __init__(self, function, channels=8):
        super().__init__()
        self.stem = nn.Conv2d(3, channels, 3, 2, 1)
        self.function = function
        self.norm = nn.LayerNorm(channels)
        self.group_norm = nn.GroupNorm(2, channels)
        self.batch_norm = nn.BatchNorm2d(channels)
        self.batch_norm_1d = nn.BatchNorm1d(channels)
        self.conv1d = nn.Conv1d(channels, 6, 3, 2, 1, groups=2)
        self.conv_transpose = nn.ConvTranspose2d(channels, 6, (3, 2), (2, 3), 1, output_padding=1)
        self.conv_transpose_groups = nn.ConvTranspose2d(channels, 4, 3, 1, groups=2, dilation=2)
        # More padding than the window reaches: the border is cut off.
        self.conv_transpose_border = nn.ConvTranspose2d(channels, 6, 2, 3, padding=2)
        self.conv3d = nn.Conv3d(2, 4, 3, (2, 1, 2), (1, 1, 0), (2, 1, 1), groups=2)
        self.conv3d_flat = nn.Conv3d(1, 3, (1, 3, 3), padding=(0, 1, 1))
        self.prelu = nn.PReLU(channels)
        self.head = nn.LazyLinear(5)
        with torch.no_grad():
            self.forward(torch.zeros(2, 3, 16, 16))
            norms = (self.norm, self.group_norm, self.batch_norm, self.batch_norm_1d, self.prelu)
            for module in norms:
                for parameter in module.parameters():
                    nn.init.normal_(parameter)

    def forward(self, images):
        return self.head(self.function(self, self.stem(images)).flatten(1))


def integer_model(model, recipe=RECIPE):
    torch.manual_seed(0)
    quantized = hybridquant.quantize(model.eval(), normalised(BYTES[:8]), recipe)
    return quantized, lower(quantized, MEAN, STD)


def logits(graph, image):
    output = graph.tensors[graph.output]
    return simulate(graph, image)[output.name] * output.codes.scale
