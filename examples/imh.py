"""From locally to globally normalised samples, by every method, next to the exact law; offline."""

import aligndec as ad
from aligndec.testing import TableLM, enumerate_strings

lm = TableLM.random(6, eos_token_id=0, seed=1)
adaptor = ad.Adaptor(temperature=0.8, top_p=0.8)
n = 4000
local = ad.generate(lm, [[3]], adaptor=adaptor, max_new_tokens=4, num_return_sequences=n, seed=0)


def draw(method, prompts, **kwargs):
    sampler = ad.GlobalSampler(lm, adaptor, method=method, max_new_tokens=4, batch_size=n)
    return sampler.sample(prompts, seed=3, **kwargs)


drawn = {
    # Copies of one prompt are independent chains; each gives its last state.
    "imh": draw("imh", [[3]] * n, n_samples=1, burn_in=40),
    "rejection": draw("rejection", [[3]], n_samples=n),
    "sir": draw("sir", [[3]], n_samples=n),
}

# The target by enumeration: the product of p^(1/0.8) on the kept sets, over whole strings.
strings = enumerate_strings(lm, [3], 4).completions()
scores = ad.score_strings(lm, [[3]] * len(strings), strings, [adaptor])
power = (scores.log_q + scores.log_z)[0]
target = power.softmax(0)
columns = {"local": local, **{name: out.samples() for name, out in drawn.items()}}
texts = {name: strings_of.completions() for name, strings_of in columns.items()}
for i in target.argsort(descending=True)[:4].tolist():
    shares = "  ".join(f"{name} {text.count(strings[i]) / n:.3f}" for name, text in texts.items())
    print(f"{strings[i]!s:12} {shares}  target {target[i]:.3f}")
print(f"log Z exactly {power.logsumexp(0):.4f}")
for name in ("rejection", "sir"):
    found = drawn[name].diagnostics
    print(f"  {name} {found.log_z[0]:.4f} ± {found.log_z_se[0]:.4f}")
print(f"acceptance of the chains {drawn['imh'].diagnostics.acceptance_rate.mean():.3f}")
