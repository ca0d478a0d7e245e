"""``hybridquant inspect``: the graph of a model, captured or in integers, for a person to read."""

from __future__ import annotations

import argparse
from typing import Any

import torch

from hybridquant.capture import capture, describe, describe_json
from hybridquant.cli import COMMANDS, Say
from hybridquant.cli.arguments import add_model
from hybridquant.cli.subject import file_of, load_subject
from hybridquant.engine import IntegerModel, describe_integer, describe_integer_json


@COMMANDS.register("inspect")
class InspectCommand:
    """Print the graph of a model."""

    help = "print a model's operators, with its blocks and bridges"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare MODEL."""
        add_model(parser, also="an integer model file (*.safetensors)")

    def run(self, args: argparse.Namespace, _say: Say) -> tuple[str, Any]:
        """Return the graph as a table and as plain data."""
        file = file_of(args, ".safetensors")
        if file is not None:
            integer = IntegerModel.load(file)
            return describe_integer(integer), describe_integer_json(integer)
        model = load_subject(args)
        graph = capture(model.module, torch.zeros(2, *model.data_config.input_size))
        return describe(graph), describe_json(graph)
