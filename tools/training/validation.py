"""Rough figures while the demo model is trained; the real ones are `evaluate_demo`'s."""

from __future__ import annotations

import numpy as np
import torch
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from tools.training.batches import BatchMaker
from tools.training.clips import whole_clip
from tools.training.student import Student


@torch.no_grad()
def validate(student: Student, every: BatchMaker, episodes: list) -> dict[str, float]:
    """Scores every prefix of some episodes.

    Args:
        student: the model.
        every: asks the same number of questions after each prefix, the right one first.
        episodes: from `recorded_set.load`.

    Returns:
        Mean VOC of successes, and the areas under the curve of success and of the instruction.
    """
    rng, voc, score, wrong, labels = np.random.default_rng(0), [], [], [], []
    for episode in episodes:
        batch = every([whole_clip(0, episode)], rng)
        log_probs = student.answers(batch, student.see(batch, None)).asked
        values = log_probs[:, student.true].view(len(episode["stamps"]), -1).numpy()
        labels.append(bool(episode["success"]))
        score.append(values[-3:, 0].mean())
        if labels[-1]:
            wrong += list(values[-3:, 1:].mean(axis=0))
            voc.append(spearmanr(values[:, 0], np.arange(len(values))).statistic)
    right = [s for s, label in zip(score, labels, strict=True) if label]
    known = [1] * len(right) + [0] * len(wrong)
    return {
        "voc": float(np.mean(voc)),
        "auc_success": float(roc_auc_score(labels, score)),
        "auc_instruction": float(roc_auc_score(known, [*right, *wrong])),
    }
