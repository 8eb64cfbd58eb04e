"""Drawing strings from a model; the loop does no arithmetic on [B, V], the fused step does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from aligndec.generation.decode import Decoder
from aligndec.generation.kept import most_ids
from aligndec.generation.lengths import check_lengths
from aligndec.generation.penalised import running
from aligndec.generation.prepare import groups, prepare
from aligndec.generation.prompts import Prompts, trim
from aligndec.generation.result import Generation, sequence_id
from aligndec.generation.slots import planned_slots
from aligndec.generation.stops import as_strings, stops
from aligndec.generation.text import read_prompts
from aligndec.models import StepLM, as_step_lm, narrowed
from aligndec.shared import at_least, at_least_if_given, plain_arguments, run_seed, token_bar, whole
from aligndec.step import Adaptor, Penalties

__all__ = ["generate"]


@plain_arguments
@torch.no_grad()
def generate(
    model: Any,
    input_ids: Prompts,
    attention_mask: Tensor | None = None,
    *,
    adaptor: Adaptor | Sequence[Adaptor] = Adaptor(),
    max_new_tokens: int,
    seed: int | None = None,
    num_return_sequences: int = 1,
    prompt_ids: Tensor | Sequence[int] | None = None,
    first_draw: int = 0,
    eos_token_id: int | Sequence[int] | None = None,
    pad_token_id: int | None = None,
    reference: Any = None,
    batch_size: int | Literal["auto"] | None = None,
    on_token: Callable[[Tensor, Tensor], object] | None = None,
    progress: bool | str = False,
    per_token: bool = False,
    keep_sets: bool | int = False,
    penalties: Penalties | None = None,
    tokenizer: Any = None,
    valid_vocab: int | None = None,
    stop_strings: str | Sequence[str] | None = None,
) -> Generation:
    """Draw strings from a model through a local adaptor, with exact bookkeeping.

    Token t of the string with sequence id `prompt_id · 2^32 + first_draw + draw` is a pure
    function of (seed, sequence id, t) and its logits, so the batch size, the order of the prompts
    and a split into several calls do not change it (given equal logits: in low precision a model's
    own logits depend in their last bits on the batch).

    Parameters
    ----------
    model : StepLM or transformers.PreTrainedModel
        Nothing of a model's own generation config is applied but its end and pad tokens.
    input_ids : int64 [P, T], list of P lists of int, or with `tokenizer` text
        Prompts, left padded or ragged; at least one token each. Texts: a string, strings, chats or
        what a tokenizer returned; one BOS, no EOS.
    attention_mask : [P, T], optional
        Nonzero at real tokens. Without it every id is real.
    adaptor : Adaptor or sequence of P
        One for all, or one per prompt.
    max_new_tokens : int
        Length cap, >= 1.
    seed : int, optional
        Seed of the run. None: fresh entropy, kept as `Generation.seed`.
    num_return_sequences : int
        Draws R per prompt; each prompt is read once for all of them.
    prompt_ids : int [P], optional
        Names of the prompts in the random-number scheme, in [0, 2^31); default 0 … P-1.
    first_draw : int
        Number of the first draw: a later call with `first_draw=R` gives the next R strings.
    eos_token_id : int or sequence of int, optional
        Tokens that end a string and count. None: the model's own; (): none.
    pad_token_id : int, optional
        Fed to the model and stored after the end. Default: the model's, else its first end
        token, else 0.
    reference : StepLM or transformers.PreTrainedModel, optional
        A second model over the same token ids; it reads the same strings (`log_p_ref`).
    batch_size : int or "auto", optional
        Rows decoded together at most; default all. "auto": as many as the free memory allows, by
        the size of the models' state for the longest prompt, which is read once more for it.
    on_token : callable, optional
        `on_token(rows int64 [b], tokens int64 [b])` after every step, for the rows still running.
    progress : bool or str
        Show a bar, if tqdm is installed; a str is its name.
    per_token : bool
        Keep the per-token fields too.
    keep_sets : bool or int
        Keep the set that each token was drawn from (`Generation.kept`); an int: sets of more ids
        are not stored, nor can their tokens be replayed. On the CPU.
    tokenizer : object, optional
        As those of transformers; reads prompts that are texts, and `texts()` has the strings.
    valid_vocab : int, optional
        Ids from here on do not exist, as in `sample`. Default: the size of the tokenizer where one
        is given and smaller than V, else V.
    penalties : Penalties, optional
        Of what a string has said already, prompt included, as in `ad.penalties`. What is drawn from
        is the edited law; log_p stays that of the model. On the CPU.
    stop_strings : str or sequence of str, optional
        A string ends with the token in which one of them ends (`finish_reason` "stop"); the token
        counts, whatever else its text holds. They may begin in the prompt. Needs `tokenizer`.

    Returns
    -------
    Generation
        N = P · R rows, prompt-major. A row with unusable logits ends with `finish_reason`
        "error"; it raises nothing and changes no other row.

    Raises
    ------
    ValueError, TypeError
        Before any work, for empty or right-padded prompts and arguments out of range.
    """
    at_least(
        "generate", 1, max_new_tokens=max_new_tokens, num_return_sequences=num_return_sequences
    )
    if batch_size != "auto":
        at_least_if_given("generate", 1, batch_size=batch_size)
    text = read_prompts("generate", tokenizer, input_ids, attention_mask)
    given = prepare(
        *("generate", narrowed("generate", as_step_lm(model), valid_vocab, tokenizer)),
        *(text.input_ids, text.attention_mask),
        adaptor=adaptor,
        prompt_ids=prompt_ids,
        eos_token_id=eos_token_id,
        pad_token_id=pad_token_id,
    )
    lm, ids, mask, names, adaptors, eos, pad = given
    other = None if reference is None else _reference(reference, lm, valid_vocab, tokenizer)
    for one in (lm, other):
        check_lengths("generate", one, mask, max_new_tokens, "max_new_tokens")
    said, strings = running(penalties, given), as_strings(stop_strings)
    ends = stops(strings, tokenizer, given)
    seed = run_seed("generate", seed)
    if keep_sets is not False:
        most_ids(keep_sets)
        if torch.device(lm.device).type == "cuda":
            raise ValueError(
                f"generate: keep_sets must be False for a model on CUDA, got {keep_sets} (the "
                "kernel for sparse kept sets is on the CPU)"
            )
    if on_token is not None and not callable(on_token):
        raise TypeError(f"generate: on_token must be callable, got {on_token!r}")
    if not 0 <= whole("generate", "first_draw", first_draw) <= 2**32 - num_return_sequences:
        raise ValueError(
            "generate: first_draw must be in [0, 2^32 - num_return_sequences], got "
            + str(first_draw)
        )
    n_prompts, n_draws = ids.shape[0], num_return_sequences
    prompt_index = torch.arange(n_prompts).repeat_interleave(n_draws)
    draw = first_draw + torch.arange(n_draws).repeat(n_prompts)

    n_rows = n_prompts * n_draws
    if batch_size == "auto":
        models = [lm] if other is None else [lm, other]
        batch_size = planned_slots(models, ids, mask, max_new_tokens, n_rows)
    name = progress if isinstance(progress, str) else "generate"
    decoder = Decoder(
        *(
            lm,
            other,
            adaptors,
            n_rows,
            n_draws,
            max_new_tokens,
            seed,
            eos,
            pad,
            per_token,
            keep_sets,
            said,
            ends,
            on_token,
        ),
        bar=token_bar(name, n_rows * max_new_tokens) if progress else None,
    )
    sequences = sequence_id(names[prompt_index], draw)
    for prompts, batches in groups(n_prompts, n_draws, batch_size):
        decoder.prefill(*trim(ids[prompts], mask[prompts]))
        for rows in batches:
            own = prompt_index[rows] - prompts.start
            records = decoder.run(rows, own, sequences[rows], last=rows is batches[-1])
    if decoder.bar is not None:
        decoder.bar.close()
    device = records.tokens.device
    fields: dict[str, Any] = records.fields()
    tensors = {
        "input_ids": ids,
        "attention_mask": mask,
        "prompt_ids": names,
        "prompt_index": prompt_index,
        "draw": draw,
    }
    fields |= {name: tensor.to(device) for name, tensor in tensors.items()}
    out = Generation(
        **fields,
        seed=seed,
        max_new_tokens=max_new_tokens,
        pad_token_id=pad,
        eos_token_id=eos,
        adaptors=adaptors,
        penalties=penalties,
        stop_strings=strings,
        stopped=records.stopped if strings else None,
    )
    return text.tell(out)


def _reference(model: Any, lm: StepLM, valid_vocab: int | None, tokenizer: Any) -> StepLM:
    """Return the reference over the ids that exist; it must know all of the model's."""
    other = as_step_lm(model)
    if other.vocab_size < lm.vocab_size:
        raise ValueError(
            f"generate: reference must have vocab_size >= {lm.vocab_size}, got {other.vocab_size}"
        )
    return narrowed("generate", other, valid_vocab, tokenizer)
