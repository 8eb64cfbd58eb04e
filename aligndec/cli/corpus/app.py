"""The commands of `aligndec corpus`: options and their texts, nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aligndec.cli.console import CliError, fail

__all__ = ["corpus_app"]

corpus_app = typer.Typer(
    name="corpus",
    help="Draw corpora of any size: local processes, Ray, torchrun or SLURM, the same bytes.",
    no_args_is_help=True,
)

Folder = Annotated[Path, typer.Argument(help="Folder of the run.", show_default=False)]


@corpus_app.command()
def run(
    model: Annotated[
        str,
        typer.Option(
            help="toy, demo, folder, .gguf file, Hugging Face id, or package.module:function that "
            "returns a model and its tokenizer."
        ),
    ],
    prompts: Annotated[
        Path,
        typer.Option(
            help="Text file, JSONL, Parquet, or a folder of those or of datasets: prompt, messages "
            "or input_ids, and id."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the run; an old one is continued.")],
    draws: Annotated[int, typer.Option(help="Strings per prompt.")] = 1,
    max_new_tokens: Annotated[int, typer.Option(help="Length cap of a string.")] = 64,
    seed: Annotated[int, typer.Option(help="Seed of the run.")] = 0,
    adaptor: Annotated[
        str, typer.Option(help="Like 'temperature=0.7,top_p=0.9'; default the model itself.")
    ] = "",
    method: Annotated[
        str,
        typer.Option(
            help="local; imh, rejection, sir, smc, pimh, suffix; transfer-q, controlled-decoding, "
            "args, best-of-n, blockwise-best-of-n."
        ),
    ] = "local",
    method_options: Annotated[
        str, typer.Option(help="What the method takes, like 'burn_in=16' or 'k=4,alpha=0.5'.")
    ] = "",
    reward: Annotated[
        str | None,
        typer.Option(
            help="vader, package.module:function of texts, or folder or id of a classifier.",
            show_default=False,
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(help="A second model that reads the strings.", show_default=False),
    ] = None,
    slots: Annotated[
        int | None,
        typer.Option(
            help="Rows decoded together; default from the free memory.", show_default=False
        ),
    ] = None,
    shard_strings: Annotated[int, typer.Option(help="Strings per shard, about.")] = 512,
    threads: Annotated[int, typer.Option(help="Threads of each worker.")] = 1,
    engine: Annotated[str, typer.Option(help="transformers.")] = "transformers",
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Processes of this machine; default its cores / threads.",
            show_default=False,
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(help="auto, or the address of a Ray cluster.", show_default=False),
    ] = None,
    resources: Annotated[
        str,
        typer.Option(help="Of a Ray worker, like 'num_gpus=1'; default its threads as CPUs."),
    ] = "",
) -> None:
    """Draw the strings of a run, or what is missing of them.

    Under torchrun (RANK, WORLD_SIZE) and in a SLURM array each process does its part, unless
    --workers or --ray is given. Exits with status 3 when shards were set aside.
    """
    from aligndec.cli.corpus.run import run_corpus

    settings = {
        "model": model,
        "prompts": str(prompts),
        "draws": draws,
        "max_new_tokens": max_new_tokens,
        "seed": seed,
        "adaptor": adaptor,
        "method": method,
        "method_options": method_options,
        "reward": reward,
        "reference": reference,
        "slots": slots,
        "shard_strings": shard_strings,
        "threads": threads,
        "engine": engine,
    }
    try:
        complete = run_corpus(settings, out=out, workers=workers, ray=ray, resources=resources)
    except CliError as error:
        fail("corpus run", error)
    if not complete:
        raise typer.Exit(3)


@corpus_app.command()
def status(out: Folder) -> None:
    """Show where a run stands, how long it may take, what failed and why."""
    from aligndec.cli.corpus.status import show_status

    try:
        complete = show_status(out)
    except CliError as error:
        fail("corpus status", error)
    if not complete:
        raise typer.Exit(3)


@corpus_app.command()
def export(
    out: Folder,
    to: Annotated[Path, typer.Argument(help="Parquet file of all strings.", show_default=False)],
) -> None:
    """Write the strings of a run, with all columns that were added, to one file."""
    from aligndec.cli.corpus.export import export_run

    try:
        export_run(out, to)
    except CliError as error:
        fail("corpus export", error)


@corpus_app.command()
def score(
    out: Folder,
    reward: Annotated[
        str,
        typer.Option(help="vader, package.module:function of texts, or a classifier."),
    ],
    name: Annotated[
        str | None,
        typer.Option(help="Name of the column; default that of the reward.", show_default=False),
    ] = None,
) -> None:
    """Add a column of rewards to a run: new files beside the shards, which stay as they are."""
    from aligndec.cli.corpus.score import score_run

    try:
        score_run(out, reward, name)
    except CliError as error:
        fail("corpus score", error)
