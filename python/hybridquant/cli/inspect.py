"""``hybridquant inspect``: the captured graph of a model, for a person to read."""

from __future__ import annotations

import argparse
from typing import Any

import torch

from hybridquant.capture import capture, describe, describe_json
from hybridquant.cli import COMMANDS, Say
from hybridquant.cli.arguments import add_model
from hybridquant.cli.subject import load_subject


@COMMANDS.register("inspect")
class InspectCommand:
    """Print the captured graph of a model."""

    help = "print a model's operators, with its blocks and bridges"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare MODEL."""
        add_model(parser)

    def run(self, args: argparse.Namespace, _say: Say) -> tuple[str, Any]:
        """Return the graph as a table and as plain data."""
        model = load_subject(args)
        graph = capture(model.module, torch.zeros(2, *model.data_config.input_size))
        return describe(graph), describe_json(graph)
