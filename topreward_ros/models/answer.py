"""The one number that is read off the model."""

from __future__ import annotations

import torch


def answer_log_probs(hidden: torch.Tensor, lm_head: torch.nn.Linear, answer: int) -> torch.Tensor:
    """Returns log p(answer) for each row, in at least float32.

    The answer's logit is a dot product in float32, and so is the log-sum-exp: a bfloat16
    `log_softmax` is off by up to 0.05 nat, this by 0.004.

    Args:
        hidden: (n, hidden) final hidden states at the positions that predict the answer.
        lm_head: the output layer, not quantized.
        answer: token id.

    Returns:
        (n,) float32, or float64 for a float64 model.
    """
    exact = torch.promote_types(hidden.dtype, torch.float32)
    logits = lm_head(hidden).to(exact)
    answer_logit = hidden.to(exact) @ lm_head.weight[answer].to(exact)
    # The sum must hold the very logit it is compared with, or a probability could exceed 1.
    logits[:, answer] = answer_logit
    return answer_logit - torch.logsumexp(logits, dim=-1)


def log_prob_of_logits(logits: torch.Tensor, answer: int) -> float:
    """Returns log p(answer) in nats for the (vocabulary,) logits of a public forward."""
    exact = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return exact.log_softmax(-1)[answer].item()
