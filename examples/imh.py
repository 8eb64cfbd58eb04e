"""From locally to globally normalised samples: Metropolis–Hastings over whole strings, offline."""

import aligndec as ad
from aligndec.testing import TableLM, enumerate_strings

lm = TableLM.random(6, eos_token_id=0, seed=1)
adaptor = ad.Adaptor(temperature=0.8, top_p=0.8)
n = 4000  # copies of one prompt are independent chains; each gives its last state
sampler = ad.GlobalSampler(lm, adaptor, target="power", max_new_tokens=4)
out = sampler.sample([[3]] * n, n_samples=1, burn_in=40, seed=7)
local = ad.generate(lm, [[3]], adaptor=adaptor, max_new_tokens=4, num_return_sequences=n)

# The target by enumeration: the product of p^(1/0.8) on the kept sets, over whole strings.
strings = enumerate_strings(lm, [3], 4).completions()
scores = ad.score_strings(lm, [[3]] * len(strings), strings, [adaptor])
target = (scores.log_q + scores.log_z)[0].softmax(0)
for i in target.argsort(descending=True)[:4].tolist():
    drawn = [s.completions().count(strings[i]) / n for s in (local, out.strings())]
    print(f"{strings[i]!s:12} local {drawn[0]:.3f}  global {drawn[1]:.3f}  target {target[i]:.3f}")
print(f"acceptance {out.diagnostics.acceptance_rate.mean():.3f}")
