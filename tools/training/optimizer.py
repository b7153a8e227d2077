"""AdamW for the demo model in training, and one step of it."""

from __future__ import annotations

import torch

from tools.training.pace import Workers
from tools.training.student import Student

VISION_RATE = 0.5
"""Learning rate of the vision tower, as a factor."""


def make_optimizer(student: Student) -> torch.optim.AdamW:
    """AdamW; no decay on norms, biases and embeddings."""
    groups = []
    for module, scale in (
        (student.model.model.visual, VISION_RATE),
        (student.model.model.language_model, 1.0),
        (student.model.lm_head, 1.0),
        (student.heads, 1.0),
        (student.binding, 1.0),
    ):
        named = list(module.named_parameters())
        plain = [p for n, p in named if p.ndim < 2 or "embed" in n]
        decayed = [p for n, p in named if p.ndim >= 2 and "embed" not in n]
        groups += [
            {"params": decayed, "weight_decay": 0.05, "scale": scale},
            {"params": plain, "weight_decay": 0.0, "scale": scale},
        ]
    return torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.98))


def update(
    student: Student,
    optimizer: torch.optim.Optimizer,
    loss: torch.Tensor,
    learning_rate: float,
    workers: Workers,
) -> None:
    """One step.

    Args:
        student: whose gradients are clipped; those of its heads are not.
        optimizer: from `make_optimizer`.
        loss: of this process.
        learning_rate: each group's own is this times its `scale`.
        workers: over whom the gradients are averaged.
    """
    groups = optimizer.param_groups
    for group in groups:
        group["lr"] = learning_rate * group["scale"]
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    workers.average_gradients([p for group in groups for p in group["params"]])
    torch.nn.utils.clip_grad_norm_(student.model.parameters(), 1.0)
    optimizer.step()
