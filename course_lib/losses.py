"""Losses: logits in, one number out, in nats per example. One KL, in log space; T**2 always."""

import torch.nn.functional as F


def cross_entropy(student_logits, labels, label_smoothing=0.0):
    """-log of the probability given to the label. student_logits (B, C), labels (B,) whole numbers -> () nats."""
    return F.cross_entropy(student_logits, labels, label_smoothing=label_smoothing)


def kd_loss(student_logits, teacher_logits, T=4.0):
    """KL(teacher || student) between the answers softened at temperature T, times T**2.

    student_logits, teacher_logits: (B, C) -> () in nats per example.
    T**2 undoes the 1/T**2 that softening puts on the gradient (Hinton et al., 2015, section 2).
    """
    log_q = F.log_softmax(student_logits / T, dim=-1)  # (B, C) student
    log_p = F.log_softmax(teacher_logits / T, dim=-1)  # (B, C) teacher
    return T**2 * (log_p.exp() * (log_p - log_q)).sum(-1).mean()


def distill_loss(student_logits, labels, teacher_logits, T=4.0, hard_weight=0.1, soft_weight=0.9):
    """hard_weight * cross-entropy with the labels + soft_weight * kd_loss with the teacher: () in nats per example."""
    hard = cross_entropy(student_logits, labels)
    soft = kd_loss(student_logits, teacher_logits, T)
    return hard_weight * hard + soft_weight * soft
