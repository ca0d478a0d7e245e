"""Accuracy and fidelity against values worked out by hand."""

import math

import pytest
import torch
from torch import nn

from hybridquant.report import Predictions, fidelity, predict

LOGITS = torch.tensor([[3.0, 0.0], [0.0, 4.0], [1.0, 0.0], [0.0, 2.0]])


def test_top1_counts_hits() -> None:
    assert Predictions(LOGITS, torch.tensor([0, 1, 1, 1])).top1 == 0.75


def test_sqnr_agreement_and_kl_by_hand() -> None:
    labels = torch.zeros(4, dtype=torch.int64)
    noisy = LOGITS.clone()
    noisy[2] = torch.tensor([0.0, 1.0])  # noise power 2, signal power 30
    result = fidelity(Predictions(LOGITS, labels), Predictions(noisy, labels))
    assert result.agreement == 0.75
    assert result.sqnr_db == pytest.approx(10 * math.log10(30 / 2))
    p, q = torch.tensor([1.0, 0.0]).softmax(0), torch.tensor([0.0, 1.0]).softmax(0)
    assert result.kl == pytest.approx(float((p * (p / q).log()).sum()) / 4)


def test_equal_logits_have_infinite_sqnr() -> None:
    same = Predictions(LOGITS, torch.zeros(4, dtype=torch.int64))
    assert fidelity(same, same).sqnr_db == math.inf


def test_labels_must_be_classes_of_the_model() -> None:
    with pytest.raises(ValueError, match="labels must be classes 0 to 1, got 0 to 2"):
        _ = Predictions(LOGITS, torch.tensor([0, 1, 2, 0])).top1


def test_predict_keeps_the_order_of_the_images() -> None:
    batches = [(LOGITS[:3], torch.tensor([1, 0, 1])), (LOGITS[3:], torch.tensor([0]))]
    result = predict(nn.Identity(), batches)
    assert torch.equal(result.logits, LOGITS)
    assert result.labels.tolist() == [1, 0, 1, 0]
    assert result.images == 4


BAD = [
    ([], "at least one image, got none"),
    ([(torch.tensor([[1.0, math.nan]]), torch.tensor([0]))], "finite, got 1 of 2"),
    ([(torch.zeros(2, 3, 4), torch.tensor([0, 1]))], r"must be \[2, classes\], got \[2, 3, 4\]"),
]


@pytest.mark.parametrize(("batches", "text"), BAD)
def test_predict_refuses(batches: list, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        predict(nn.Identity(), batches)


def test_fidelity_refuses_other_shapes() -> None:
    one = Predictions(LOGITS, torch.zeros(4, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"\[4, 2\], got \[4, 1\]"):
        fidelity(one, Predictions(LOGITS[:, :1], one.labels))
