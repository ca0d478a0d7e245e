"""``hybridquant finetune``: quantize a model, then let it learn from its float original."""

from __future__ import annotations

import argparse
import hashlib
import time
from dataclasses import asdict, replace
from typing import Any

import torch

from hybridquant.calibration import Calibration
from hybridquant.cli import COMMANDS, Say
from hybridquant.cli.arguments import (
    add_model,
    add_run,
    path,
    positive_int,
    positive_number,
    set_threads,
)
from hybridquant.cli.integers import add_integer, integer_metrics, lower_for
from hybridquant.cli.quantize import (
    FILES,
    INTEGER_FILE,
    METRICS_FILE,
    MODEL_FILE,
    RECIPE_FILE,
    SCRIPT_FILE,
    Measure,
    describe_job,
)
from hybridquant.cli.subject import describe_float, describe_model, labelled, load_subject
from hybridquant.cli.summary import summary
from hybridquant.data import ImageData, load_data
from hybridquant.export import ArtifactFolder, save_torchscript
from hybridquant.models import LoadedModel
from hybridquant.pipeline import quantize
from hybridquant.quant_graph import QuantGraph
from hybridquant.recipe import FinetuneSettings, Recipe, load_recipe, recipe_to_yaml
from hybridquant.report import coverage, float_bytes, packed_bytes
from hybridquant.training.checkpoint import Checkpoint
from hybridquant.training.trainer import Trainer

# Training photographs that calibrate where no other images are given. Chosen.
_CALIBRATION = 256


@COMMANDS.register("finetune")
class FinetuneCommand:
    """Quantize a model and train it further."""

    help = "quantize a model, fine-tune it beside its float original, write the files"
    is_shared = True

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare MODEL, the recipe, the data, how long to train, and the output folder."""
        add_model(parser)
        parser.add_argument(
            "--recipe",
            default="qat/w8a8",
            metavar="R",
            help="a name from `hybridquant list recipes` or a YAML file; its section finetune says "
            "how to train; default %(default)s",
        )
        parser.add_argument(
            "--calib",
            type=path,
            metavar="DATA",
            help="calibration images; by default some of the training photographs",
        )
        parser.add_argument(
            "--train", required=True, type=path, metavar="DATA", help="photographs to train on"
        )
        parser.add_argument("--eval", type=path, metavar="DATA", help="labelled test images")
        parser.add_argument(
            "--epochs", type=positive_int, default=2, metavar="N", help="default %(default)s"
        )
        parser.add_argument(
            "--images",
            type=positive_int,
            metavar="N",
            help=f"calibration images; default all of --calib, or {_CALIBRATION} of --train",
        )
        parser.add_argument(
            "--train-images", type=positive_int, metavar="N", help="to train on; default all"
        )
        parser.add_argument("--out", required=True, type=path, metavar="DIR", help="output folder")
        parser.add_argument(
            "--resume",
            action="store_true",
            help="go on from the checkpoint in the output folder, where there is one",
        )
        parser.add_argument(
            "--save-minutes",
            type=positive_number,
            default=10.0,
            metavar="K",
            help="between checkpoints within an epoch; each epoch ends with one; default 10",
        )
        add_integer(parser)
        add_run(parser)

    def run(self, args: argparse.Namespace, say: Say) -> tuple[str, Any]:
        """Return the table of figures and the content of metrics.json."""
        recipe = load_recipe(args.recipe)
        recipe = replace(recipe, finetune=recipe.finetune or FinetuneSettings())
        set_threads(args.threads)
        torch.manual_seed(args.seed)
        with ArtifactFolder(args.out, FILES) as out:
            model = load_subject(args)
            calib = _calibration_data(args, model)
            train = _training_data(args, model)
            test = labelled(args.eval, model) if args.eval else None
            measure = Measure(args, model, test or calib)
            say(describe_float(model, measure.original, test))
            begin = time.perf_counter()
            graph = quantize(
                model.module, Calibration(calib, args.batch_size, args.processes), recipe
            )
            start = measure.beside(measure.original, measure.run(graph, "evaluate quantized"))
            say(f"calibrated: {_figures(start)}")
            job = _Job(args, model, recipe, train, measure, say)
            graph = job.train(graph)
            seconds = time.perf_counter() - begin
            about = describe_model(model, recipe)
            example = next(iter(calib.batches(2)))[0]
            save_torchscript(graph, out.staging / MODEL_FILE, example, about)
            integer, float_operators = lower_for(args, graph, model, recipe)
            if integer is not None:
                integer.save(out.staging / INTEGER_FILE)
                integer.save_torchscript(out.staging / SCRIPT_FILE, about)
            metrics = {
                **describe_job(args, model, recipe, calib, test),
                **{f"start_{name}": value for name, value in start.items()},
                **measure.figures(graph, integer),
                **integer_metrics(integer, float_operators),
                **job.figures(),
                "model_bytes": packed_bytes(graph),
                "float_bytes": float_bytes(model.module),
                "coverage": asdict(coverage(graph)),
                "seconds": round(seconds, 3),
            }
            out.write_text(RECIPE_FILE, recipe_to_yaml(recipe))
            out.write_json(METRICS_FILE, metrics)
            written = [args.out / name for name in FILES if (out.staging / name).exists()]
        job.checkpoint.remove()
        return f"{summary(metrics, written)}\n{_gain(metrics)}", metrics


class _Job:
    """The training of one run, its checkpoint and its curve."""

    def __init__(
        self,
        args: argparse.Namespace,
        model: LoadedModel,
        recipe: Recipe,
        train: ImageData,
        measure: Measure,
        say: Say,
    ) -> None:
        self._args, self._model, self._recipe = args, model, recipe
        self._train, self._measure, self._say = train, measure, say
        self._curve: list[dict[str, Any]] = []
        self._trainer: Trainer
        self.checkpoint: Checkpoint

    def train(self, graph: QuantGraph) -> QuantGraph:
        """Return the fine-tuned graph.

        Raises:
            FileExistsError: If the output folder has a checkpoint and nobody said to resume.
            ValueError: If the checkpoint is another job's or damaged, or the loss not finite.
        """
        args, settings = self._args, self._recipe.finetune or FinetuneSettings()
        self.checkpoint = Checkpoint(
            args.out, self._fingerprint(graph), args.save_minutes, args.processes
        )
        if self.checkpoint.path.exists() and not args.resume:
            msg = (
                f"finetune: --out must be a folder without a checkpoint, got "
                f"{self.checkpoint.path}; add --resume to go on from it, or remove it"
            )
            raise FileExistsError(msg)
        self._trainer = trainer = Trainer(
            graph,
            self._model.module,
            self._train,
            settings,
            epochs=args.epochs,
            seed=args.seed,
            processes=args.processes,
        )
        state = self.checkpoint.load() if args.resume else None
        if state is not None:
            self._curve = state["curve"]
            trainer.load_state(state)
            self._say(f"resumed after step {trainer.step} of {trainer.num_steps}")
        try:
            trainer.run(self._after_step)
        except KeyboardInterrupt:
            is_saved = self.checkpoint.path.exists()
            hint = "add --resume to the same command to go on" if is_saved else "nothing was saved"
            msg = f"interrupted in step {trainer.step + 1} of {trainer.num_steps}; {hint}"
            raise KeyboardInterrupt(msg) from None
        return trainer.result()

    def figures(self) -> dict[str, Any]:
        """Return what metrics.json says of the training."""
        return {
            "epochs": self._args.epochs,
            "steps": self._trainer.num_steps,
            "train_images": self._train.num_images,
            "train_labels": self._train.has_labels,
            "processes": self._args.processes.count,
            "finetune": asdict(self._recipe.finetune or FinetuneSettings()),
            "curve": self._curve,
        }

    def _after_step(self, has_ended: bool) -> None:
        trainer = self._trainer
        if has_ended:
            graph = trainer.result()
            found = self._measure.run(graph, "evaluate epoch")
            close = self._measure.beside(self._measure.original, found)
            self._curve.append({**trainer.history[-1], **close})
            epoch, loss = trainer.history[-1]["epoch"], trainer.history[-1]["loss"]
            self._say(f"epoch {epoch} of {self._args.epochs}: loss {loss:.4f}, {_figures(close)}")
        self.checkpoint.save({**trainer.state(), "curve": self._curve}, is_due=has_ended)

    def _fingerprint(self, graph: QuantGraph) -> dict[str, Any]:
        digest = hashlib.sha256()
        for name, tensor in graph.state_dict().items():
            digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
        names = "\n".join(self._train.names)
        recipe = recipe_to_yaml(self._recipe)
        return {
            "model": self._model.name,
            "recipe_sha256": hashlib.sha256(recipe.encode()).hexdigest(),
            "epochs": self._args.epochs,
            "seed": self._args.seed,
            "processes": self._args.processes.count,
            "threads": torch.get_num_threads(),
            "train_images": self._train.num_images,
            "train_names_sha256": hashlib.sha256(names.encode()).hexdigest(),
            "start_sha256": digest.hexdigest(),
        }


def _calibration_data(args: argparse.Namespace, model: LoadedModel) -> ImageData:
    """Return the calibration images: those given, or some of the training photographs."""
    if args.calib is not None:
        return load_data(args.calib, model.data_config, num_images=args.images, seed=args.seed)
    count = args.images or min(_CALIBRATION, load_data(args.train, model.data_config).num_images)
    return load_data(args.train, model.data_config, num_images=count, seed=args.seed)


def _training_data(args: argparse.Namespace, model: LoadedModel) -> ImageData:
    """Return the photographs to train on, with the model's classes where they have labels."""
    found = load_data(args.train, model.data_config)
    return load_data(
        args.train,
        model.data_config,
        classes=model.classes if found.has_labels else None,
        num_images=args.train_images,
        seed=args.seed,
    )


def _figures(close: dict[str, float | None]) -> str:
    top1, agreement, kl = close["top1"], close["agreement"] or 0.0, close["kl"] or 0.0
    accuracy = "" if top1 is None else f"top-1 {100 * top1:.2f} %, "
    return f"{accuracy}agreement {100 * agreement:.2f} %, KL {kl:.4f}"


def _gain(metrics: dict[str, Any]) -> str:
    before = {name: metrics[f"start_{name}"] for name in ("top1", "agreement", "kl")}
    return (
        f"Fine-tuned for {metrics['steps']} steps on {metrics['train_images']} images; before: "
        f"{_figures(before)}; after: {_figures(metrics)}."
    )
