"""The processor for vLLM on fakes of its interfaces: batches that change, books, refusals."""

import sys

import pytest
import torch
from support.fake_vllm import BatchUpdate, MoveDirectionality, SamplingParams, install

import aligndec as ad

V = 40
LAWS = (ad.Adaptor(temperature=0.8, top_p=0.9), ad.Adaptor(top_k=5), ad.Adaptor(min_p=0.05))


@pytest.fixture
def room(monkeypatch):
    install(monkeypatch)
    import aligndec.integrations.vllm as found

    yield found
    for name in [m for m in sys.modules if m.startswith("aligndec.integrations.vllm")]:
        del sys.modules[name]


class Engine:
    """A loop over a batch as vLLM keeps it: logits of a row are a function of its tokens."""

    def __init__(self, room) -> None:
        self.sampler = room.AligndecSampler(None, torch.device("cpu"), False)
        self.rows: list[tuple[SamplingParams, list[int]]] = []

    def update(self, **change) -> None:
        self.sampler.update_state(BatchUpdate(len(self.rows), **change))

    def enter(self, params, output) -> None:
        self.rows.append((params, output))
        self.update(added=[(len(self.rows) - 1, params, [1], output)])

    def swap(self, a: int, b: int) -> None:
        self.rows[a], self.rows[b] = self.rows[b], self.rows[a]
        self.update(moved=[(a, b, MoveDirectionality.SWAP)])

    def leave(self, row: int) -> None:
        """The last row moves into the place of one that left."""
        last = len(self.rows) - 1
        self.rows[row] = self.rows[last]
        self.rows.pop()
        moved = [] if row == last else [(last, row, MoveDirectionality.UNIDIRECTIONAL)]
        self.update(removed=[row], moved=moved)

    def step(self, discard: int | None = None) -> torch.Tensor:
        logits = torch.stack([logits_of(output) for _, output in self.rows])
        out = self.sampler.apply(logits.clone())
        for i, (params, output) in enumerate(self.rows):
            if i != discard and "aligndec" in (params.extra_args or {}):
                assert torch.isfinite(out[i]).sum() == 1
                output.append(int(out[i].argmax()))
        return out - logits


def logits_of(output: list[int]) -> torch.Tensor:
    g = torch.Generator().manual_seed(hash(tuple(output)) % 2**31)
    return 2 * torch.randn(V, generator=g)


def expected(law, sequence, count, seed=3):
    out: list[int] = []
    steps = []
    for t in range(count):
        x = logits_of(out)[None]
        ids = torch.tensor([sequence])
        steps.append(ad.sample(x, law, seed=seed, sequence_ids=ids, positions=t))
        out.append(int(steps[-1].token))
    return out, steps


def test_strings_and_books_survive_everything_that_a_batch_does(room) -> None:
    engine, outputs = Engine(room), [[] for _ in LAWS]
    params = [
        room.vllm_params(law, prompt_id=i, draw=2, seed=3, run="r") for i, law in enumerate(LAWS)
    ]
    foreign = SamplingParams(temperature=0.7)
    engine.enter(params[0], outputs[0])
    engine.step()
    engine.enter(foreign, [])
    engine.enter(params[1], outputs[1])
    assert engine.step()[1].abs().max() == 0  # the other request is untouched
    engine.swap(0, 2)
    engine.step(discard=2)  # a prompt that is read in parts: what was drawn is dropped
    engine.enter(params[2], outputs[2])
    engine.step()
    engine.leave(2)  # preempted: it comes back with what it has said
    engine.step()
    engine.enter(params[0], outputs[0])
    for _ in range(3):
        engine.step()
    books = engine.sampler.take("r")
    for i, law in enumerate(LAWS):
        out, steps = expected(law, i * 2**32 + 2, len(outputs[i]))
        assert outputs[i] == out
        book = books[i * 2**32 + 2]
        assert book["token"] == out
        assert book["position"] == list(range(len(out)))
        for name in ("log_p", "log_q", "log_z", "log_kept", "kl", "n_kept", "status"):
            assert book[name] == [float(getattr(s, name)) for s in steps], name
    assert engine.sampler.take("r") == {}
    engine.step()
    assert [b["position"] for b in engine.sampler.take("r").values()] != []


def test_an_aborted_request_and_its_successor(room) -> None:
    """The name is used again: the new books stand alone."""
    engine = Engine(room)
    params = room.vllm_params(LAWS[0], seed=3, run="r")
    engine.enter(params, [])
    for _ in range(5):
        engine.step()
    engine.leave(0)
    again: list[int] = []
    engine.enter(params, again)
    engine.step()
    engine.step()
    assert engine.sampler.take("r")[0]["token"] == again == expected(LAWS[0], 0, 2)[0]


def test_children_of_a_request_are_draws(room) -> None:
    params = room.vllm_params(LAWS[0], prompt_id=1, draw=4, seed=3, n=3)
    engine, outputs = Engine(room), [[], [], []]
    for i, output in enumerate(outputs):
        engine.enter(SamplingParams(seed=params.seed + i, extra_args=params.extra_args), output)
    for _ in range(4):
        engine.step()
    assert outputs == [expected(LAWS[0], 2**32 + 4 + i, 4)[0] for i in range(3)]


def test_forced_tokens_have_the_books_of_score(room) -> None:
    engine, output, other = Engine(room), [], []
    force = [7, 3, 11]
    engine.enter(room.vllm_params(LAWS[2], seed=3, force=force, run="f"), output)
    engine.enter(room.vllm_params(LAWS[0], prompt_id=5, seed=3, run="f"), other)
    for _ in range(4):
        engine.step()
    books = engine.sampler.take("f")
    assert output[:3] == force
    assert other == expected(LAWS[0], 5 * 2**32, 4)[0]
    for t, token in enumerate(force):
        score = ad.score(logits_of(force[:t]), torch.tensor(token), LAWS[2])
        assert books[0]["log_q"][t] == float(score.log_q)
        assert books[0]["status"][t] == int(score.status)


def test_kept_sets_and_bad_rows(room) -> None:
    engine, output = Engine(room), []
    engine.enter(room.vllm_params(LAWS[1], seed=3, keep_sets=4, run="k"), output)
    engine.enter(room.vllm_params(LAWS[0], prompt_id=1, seed=3, keep_sets=V, run="k"), [])
    engine.step()
    books = engine.sampler.take("k")
    assert len(books[0]["kept"][0]) == 5
    assert books[0]["token"][0] in books[0]["kept"][0]
    bad = engine.sampler.apply(torch.full((2, V), torch.nan))
    assert bad.argmax(1).tolist() == [0, 0]
    assert [b["status"] for b in engine.sampler.take("k").values()] == [[1], [1]]


def test_what_nobody_takes_is_bounded(room) -> None:
    engine = Engine(room)
    engine.sampler.books.limit = 10
    engine.enter(room.vllm_params(LAWS[0], run="r"), [])
    for _ in range(25):
        engine.step()
    assert len(engine.sampler.books) == 10
    assert engine.sampler.books.evicted == 15
    assert engine.sampler.take("r")[0]["position"] == list(range(15, 25))


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (dict(temperature=0.7), "temperature = 0.7"),
        (dict(top_k=5), "top_k = 5"),
        (dict(top_p=0.9), "top_p = 0.9"),
        (dict(min_p=0.1), "min_p = 0.1"),
        (dict(presence_penalty=1.0), "presence_penalty = 1.0"),
        (dict(frequency_penalty=1.0), "frequency_penalty = 1.0"),
        (dict(repetition_penalty=1.2, min_p=0.1), "min_p = 0.1, repetition_penalty = 1.2"),
        (dict(logit_bias={3: 1.0}), "logit_bias"),
        (dict(bad_words=["a"]), "bad_words"),
        (dict(adaptor=ad.Adaptor(mirostat_tau=3.0)), "adaptor must have no state"),
        (dict(force=[1], keep_sets=4), "keep_sets must be None with force"),
        (dict(force=[1], adaptor=ad.Adaptor(xtc=(0.1, 0.5))), "force must be None with xtc"),
        (dict(force=[-1]), "force must be token ids >= 0"),
        (dict(prompt_id=2**31), "sequence must be in"),
        (dict(keep_sets=0), "keep_sets must be >= 1"),
    ],
)
def test_refusals(room, fields, text) -> None:
    with pytest.raises(ValueError, match=text):
        room.vllm_params(fields.pop("adaptor", LAWS[0]), **fields)


@pytest.mark.parametrize(
    ("extra", "text"),
    [
        ({"adaptor": {"top_q": 1}, "sequence": 0}, "fields of Adaptor"),
        ({"adaptor": {}}, "sequence must be given"),
        ({"adaptor": {}, "sequence": 0, "sed": 1}, "got 'sed'"),
    ],
)
def test_requests_by_hand_are_validated(room, extra, text) -> None:
    with pytest.raises(ValueError, match=text):
        room.AligndecSampler.validate_params(SamplingParams(extra_args={"aligndec": extra}))
    room.AligndecSampler.validate_params(SamplingParams(temperature=0.3, top_k=9))
    good = {"adaptor": {"top_k": 3}, "sequence": 7}
    with pytest.raises(ValueError, match="n must be 1"):
        room.AligndecSampler.validate_params(SamplingParams(n=2, extra_args={"aligndec": good}))
