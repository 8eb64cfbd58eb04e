"""Draw from a transformers model, keep the exact log-masses, and score the same strings again.

Runs offline in seconds on a tiny random Llama; any causal model of transformers works the same way.
"""

import torch
from transformers import LlamaConfig, LlamaForCausalLM

import aligndec as ad

torch.manual_seed(0)
config = LlamaConfig(
    vocab_size=256,
    hidden_size=64,
    intermediate_size=128,
    num_hidden_layers=2,
    num_attention_heads=4,
    eos_token_id=2,
)
model = LlamaForCausalLM(config).eval()
reference = LlamaForCausalLM(config).eval()

prompts = [[1, 17, 42], [1, 99]]  # ragged lists; a left-padded tensor with its mask does as well
adaptor = ad.Adaptor(temperature=0.8, top_p=0.9)
out = ad.generate(
    model,
    prompts,
    adaptor=adaptor,
    max_new_tokens=12,
    num_return_sequences=3,
    seed=1,
    reference=reference,
)
for row in range(len(out)):
    print(
        f"prompt {int(out.prompt_index[row])} draw {int(out.draw[row])} "
        f"{out.finish_reason[row]:6s} log p {float(out.log_p[row]):8.3f} "
        f"log q {float(out.log_q[row]):8.3f} log Z {float(out.log_z[row]):8.3f} "
        f"log p_ref {float(out.log_p_ref[row]):8.3f}"
    )

# log q + log Z = log p / temperature, string by string.
print("identity holds to", float((out.log_q + out.log_z - out.log_p / 0.8).abs().max()))

# The same strings, teacher-forced, under two laws at once: fields are [2, N].
again = ad.score_strings(model, out.prompts(), out.completions(), [adaptor, ad.Adaptor()])
print("log q drawn and scored agree to", float((again.log_q[0] - out.log_q).abs().max()))
print("untruncated log q is log p:", bool(torch.equal(again.log_q[1], again.log_p[1])))

# The same decoding through transformers' own entry point.
ids = torch.tensor([[1, 17, 42]])
sequences = model.generate(
    ids, max_new_tokens=12, do_sample=False, custom_generate=ad.custom_generate(adaptor, seed=1)
)
print("transformers' generate:", sequences.tolist())
