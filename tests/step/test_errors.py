"""Every refusal comes before any work and says which argument must be what."""

import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from support.cases import randn

import aligndec as ad

X = randn(3, 9)
Y = torch.tensor([1, 2, 3])
ONE = ad.Adaptor(top_k=3)
START = ad.SequenceState.start
U = torch.zeros(3, dtype=torch.float64)
AT = {"positions": 0}


def refused(function: str, argument: str) -> object:
    """The form of every message: "<function>: <argument> must be <what>, got <value>"."""
    pattern = rf"^{re.escape(function)}: {re.escape(argument)}\b.* must be .+, got .+"
    return pytest.raises((ValueError, TypeError), match=re.compile(pattern, re.DOTALL))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -1.0),
        ("temperature", 9e-4),
        ("temperature", 1001.0),
        ("temperature", math.nan),
        ("temperature", "1"),
        ("top_k", -1),
        ("top_k", 1.5),
        ("top_p", 0.0),
        ("top_p", 1.0000001),
        ("top_p", math.nan),
        ("min_p", -0.1),
        ("min_p", 1.1),
        ("typical_p", 0.0),
        ("typical_p", 2.0),
        ("epsilon_cutoff", -1e-9),
        ("epsilon_cutoff", 1.0),
        ("eta_cutoff", -1e-9),
        ("eta_cutoff", 1.0),
        ("top_n_sigma", -1.0),
        ("top_n_sigma", math.nan),
        ("cut_on", "both"),
    ],
)
def test_adaptor(field: str, value: object) -> None:
    with refused("Adaptor", field):
        ad.Adaptor(**{field: value})


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 0},
        {"temperature": 1e-3},
        {"temperature": 1e3},
        {"top_k": 1 << 40},
        {"top_p": 5e-324},
        {"min_p": 1.0},
        {"typical_p": 1.0},
        {"epsilon_cutoff": 0.999},
        {"top_n_sigma": 1e9},
    ],
)
def test_adaptor_at_its_limits(fields: dict[str, float]) -> None:
    with ad.use_backend("reference"):
        assert ad.sample(X, ad.Adaptor(**fields), **AT).status.eq(0).all()


LOGITS = [
    X.tolist(),
    X.long(),
    X.to(torch.complex64),
    X[0, 0],
    X.t(),
    X[:, ::2],
    torch.empty(3, 0),
    torch.zeros(1, 2**20 + 1, dtype=torch.float16),
]


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("logits", LOGITS, ids=range(len(LOGITS)))
def test_logits(logits: object) -> None:
    token = torch.zeros((), dtype=torch.int64)
    with refused("sample", "logits"):
        ad.sample(logits, ONE, **AT)
    with refused("score", "logits"):
        ad.score(logits, token, ONE)
    with refused("score_grid", "logits"):
        ad.score_grid(logits, token, [ONE])
    with refused("kept_mask", "logits"):
        ad.kept_mask(logits, ONE)


@pytest.mark.usefixtures("backend")
def test_sample_takes_rows_only() -> None:
    for logits in (X[0], X[None]):
        with refused("sample", "logits"):
            ad.sample(logits, ONE, **AT)


OPTIONS = [
    ("adaptor", [ONE, ONE]),
    ("adaptor", "top_k"),
    ("adaptor", [ONE, ONE, 3]),
    ("adaptor", ad.pack([ONE] * 2, 2)),
    ("seed", 1.5),
    ("seed", torch.zeros(2, dtype=torch.int64)),
    ("seed", torch.zeros(3)),
    ("sequence_ids", torch.zeros(2, dtype=torch.int64)),
    ("sequence_ids", torch.zeros(3, dtype=torch.int32)),
    ("sequence_ids", 5),
    ("positions", torch.zeros(4, dtype=torch.int64)),
    ("positions", torch.zeros(3)),
    ("positions", 1.0),
    ("positions", -1),
    ("uniforms", torch.zeros(3)),
    ("uniforms", torch.zeros(2, dtype=torch.float64)),
    ("uniforms", U + 1),
    ("uniforms", U - 1e-9),
    ("uniforms", U + math.nan),
    ("uniforms", 0.5),
    ("allowed", torch.ones(3, 8, dtype=torch.bool)),
    ("allowed", torch.ones(2, 9, dtype=torch.bool)),
    ("allowed", torch.ones(3, 9)),
    ("allowed", torch.ones(3, 2, dtype=torch.int32)),
    ("allowed", torch.ones(3, 1, dtype=torch.int64)),
    ("valid_vocab", -1),
    ("valid_vocab", 10),
    ("valid_vocab", 4.0),
    ("state", START(2)),
    ("state", {}),
]


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize(("argument", "value"), OPTIONS, ids=range(len(OPTIONS)))
def test_options(argument: str, value: object) -> None:
    with refused("sample", argument):
        ad.sample(X, **{"adaptor": ONE, **AT, argument: value})
    shared = ("adaptor", "allowed", "valid_vocab", "state")
    if argument in shared:
        with refused("score", argument):
            ad.score(X, Y, **{"adaptor": ONE, argument: value})
    if argument in ("allowed", "valid_vocab"):
        with refused("score_grid", argument):
            ad.score_grid(X, Y, [ONE], **{argument: value})
        with refused("kept_mask", argument):
            ad.kept_mask(X, ONE, **{argument: value})


TOKENS = [[1, 2, 3], Y.int(), Y.double(), Y[:2], torch.tensor([0, 9, 1])]


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("tokens", TOKENS, ids=range(len(TOKENS)))
def test_tokens(tokens: object) -> None:
    with refused("score", "tokens"):
        ad.score(X, tokens, ONE)
    with refused("score_grid", "tokens"):
        ad.score_grid(X, tokens, [ONE])


@pytest.mark.usefixtures("backend")
def test_adaptors_of_a_grid() -> None:
    for value in ([ONE, None], 3, "top_k"):
        with refused("score_grid", "adaptors"):
            ad.score_grid(X, Y, value)


def test_pack() -> None:
    for adaptors, batch, argument in (
        ([ONE] * 2, 3, "adaptors"),
        ([ONE, 1], 2, "adaptors"),
        (3, 2, "adaptors"),
        (ONE, -1, "batch"),
        (ONE, 1.5, "batch"),
    ):
        with refused("pack", argument):
            ad.pack(adaptors, batch)


def test_state() -> None:
    for argument, value in (
        ("batch", -1),
        ("batch", 2.0),
        ("eos_token_id", 1.5),
        ("eos_token_id", "x"),
        ("eos_token_id", (1, -2)),
        ("pad_token_id", 0.5),
        ("pad_token_id", -1),
        ("sequence_ids", torch.zeros(2, dtype=torch.int64)),
        ("sequence_ids", torch.zeros(3)),
    ):
        with refused("SequenceState.start", argument):
            START(**{"batch": 3, argument: value})
    for index in (torch.tensor([0.5]), torch.tensor([3]), torch.tensor([[0]])):
        with refused("SequenceState.select", "index"):
            START(3).select(index)


def test_select_gathers_rows() -> None:
    state = START(3, sequence_ids=torch.tensor([5, 6, 7]), eos_token_id=2, pad_token_id=4)
    ad.sample(X, state=state)
    chosen = state.select(torch.tensor([2, 0, 2, 1]))
    for name in ("sum_log_p", "sum_log_q", "sum_log_z", "sum_log_kept", "sum_kl", "length"):
        assert torch.equal(getattr(chosen, name), getattr(state, name)[[2, 0, 2, 1]]), name
    assert chosen.sequence_ids.tolist() == [7, 5, 7, 6]
    before = state.sum_log_p.clone()
    ad.sample(X[[0, 1, 2, 0]], state=chosen)
    assert torch.equal(state.sum_log_p, before)


def test_backend() -> None:
    with refused("use_backend", "name"), ad.use_backend("cuda"):
        pass
    with ad.use_backend("reference"):
        assert "reference" in str(ad.build_info())


@pytest.mark.usefixtures("backend")
def test_refusals_leave_the_state_alone() -> None:
    state = START(3)
    with refused("sample", "valid_vocab"):
        ad.sample(X, state=state, valid_vocab=99)
    with refused("score", "tokens"):
        ad.score(X, torch.tensor([0, 9, 1]), state=state)
    assert state.length.eq(0).all()
    assert state.sum_log_p.eq(0).all()


def test_one_warning_per_process_for_repeated_uniforms() -> None:
    code = (
        "import warnings, torch, aligndec as ad\n"
        "with warnings.catch_warnings(record=True) as seen, ad.use_backend('reference'):\n"
        "    warnings.simplefilter('always')\n"
        "    x = torch.zeros(2, 3)\n"
        "    ad.sample(x, positions=0); ad.sample(x, uniforms=torch.zeros(2).double())\n"
        "    ad.sample(x, state=ad.SequenceState.start(2)); assert not seen, seen[0].message\n"
        "    ad.sample(x); ad.sample(x); assert len(seen) == 1, len(seen)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(ad.__file__).parents[1])},
    )
    assert run.returncode == 0, run.stderr
