"""One logit says what two scores say."""

import torch

from dermseg.layers.two_class import lesion_logits


def test_the_sigmoid_is_the_softmax_of_lesion():
    scores = torch.randn(2, 2, 3, 5, dtype=torch.float64)
    torch.testing.assert_close(lesion_logits(scores).sigmoid(), scores.softmax(dim=1)[:, 1:])
