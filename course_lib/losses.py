"""Losses: logits in, one number out, in nats per example. One KL, in log space; T**2 always.

Half precision is computed in float32: where two logits lie 24 apart, half precision calls the smaller one impossible.
"""

import torch
import torch.nn.functional as F

__all__ = ["cross_entropy", "distill_loss", "kd_loss"]


def cross_entropy(student_logits, labels, label_smoothing=0.0):
    """-log of the probability given to the label. student_logits (B, C), labels (B,) whole numbers -> () nats."""
    student_logits = _logits("student_logits", student_logits)
    whole = isinstance(labels, torch.Tensor) and not labels.is_floating_point()
    if not whole or student_logits.dim() != 2 or labels.shape != student_logits.shape[:1]:
        raise ValueError(
            f"student_logits (B, C) come with one whole number per example, labels (B,); they came as "
            f"{_words(student_logits)} and {_words(labels)}. Are two arguments swapped?"
        )
    return F.cross_entropy(student_logits, labels, label_smoothing=label_smoothing)


def kd_loss(student_logits, teacher_logits, T=4.0):
    """KL(teacher || student) between the answers softened at temperature T, times T**2.

    student_logits, teacher_logits: (B, C) -> () in nats per example. No gradient flows to the teacher.
    T**2 undoes the 1/T**2 that softening puts on the gradient (Hinton et al., 2015, section 2).
    """
    student_logits = _logits("student_logits", student_logits)
    teacher_logits = _logits("teacher_logits", teacher_logits).detach()
    if student_logits.shape != teacher_logits.shape:  # (B, C) with (B,) or (1, C) would broadcast in silence
        raise ValueError(
            f"student and teacher answer the same examples over the same classes, both (B, C); they came as "
            f"{_words(student_logits)} and {_words(teacher_logits)}. Are two arguments swapped?"
        )
    if not 0 < T < float("inf"):
        raise ValueError(f"a temperature is a number above 0 (1 leaves the answers as they are); T came as {T}")
    log_q = F.log_softmax(student_logits / T, dim=-1)  # (B, C) student
    log_p = F.log_softmax(teacher_logits / T, dim=-1)  # (B, C) teacher
    return T**2 * (log_p.exp() * (log_p - log_q)).sum(-1).mean()


def distill_loss(student_logits, labels, teacher_logits, T=4.0, hard_weight=0.1, soft_weight=0.9):
    """hard_weight * cross-entropy with the labels + soft_weight * kd_loss with the teacher: () in nats per example.

    student_logits, teacher_logits: (B, C); labels: (B,) whole numbers.
    """
    hard = cross_entropy(student_logits, labels)
    soft = kd_loss(student_logits, teacher_logits, T)
    return hard_weight * hard + soft_weight * soft


def _logits(name, logits):
    """Logits (B, C) in float32 or better."""
    if not isinstance(logits, torch.Tensor) or not logits.is_floating_point() or logits.dim() < 2:
        raise ValueError(f"{name} are one number per example and class, (B, C); they came as {_words(logits)}")
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def _words(value):
    """What came: "float32 (64, 10)"."""
    if not isinstance(value, torch.Tensor):
        return type(value).__name__
    return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
