"""The order in which large images' pixels are laid out: faster, and no other number."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from windtunnel.harness.api.errors import ModelError
from windtunnel.harness.api.requests import Classify
from windtunnel.harness.modalities.image import Image
from windtunnel.harness.models.torch.source import TorchModule

LABELS = ("a", "b", "c")


class Net(torch.nn.Module):
    """Keeps the strides of what it is given. ``views``: counts on channels that lie apart."""

    def __init__(self, side: int, views: bool) -> None:
        super().__init__()
        self.conv, self.head = torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.Linear(4 * side * side, 3)
        self.views, self.strides = views, []  # type: ignore[var-annotated]

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        self.strides.append(pixels.stride()[1])
        hidden = self.conv(pixels).relu()
        return self.head(hidden.view(len(hidden), -1) if self.views else hidden.flatten(1))


def loaded(side: int, views: bool) -> tuple[Net, object]:
    torch.manual_seed(3)
    net = Net(side, views).eval()
    return net, TorchModule(net, labels=list(LABELS), version="1").load("cpu", "float32")


def test_a_model_without_labels_takes_those_of_the_task() -> None:
    net, _ = loaded(16, views=False)
    model = TorchModule(net, version="1").load("cpu", "float32")
    named = TorchModule(net, labels=list(LABELS), version="1").load("cpu", "float32")
    asked = requests(16)
    for one, other in zip(*(m.classify([m.split(r)[0] for r in asked]) for m in (model, named)), strict=True):
        assert one.values == other.values
    encoded = model.encode(asked)
    assert torch.equal(model.logits(encoded.features, encoded), named.logits(encoded.features, named.encode(asked)))
    two = [Classify(request.input, ("a", "b")) for request in asked]
    with pytest.raises(ModelError, match="returns 3 logits, and the task has 2 classes"):
        model.classify([model.split(request)[0] for request in two])
    with pytest.raises(ModelError, match="returns 3 logits, and the task has 2 classes; name the model's outputs"):
        model.logits(encoded.features, model.encode(two))


def requests(side: int) -> list[Classify]:
    rng = np.random.default_rng(5)
    return [Classify(Image(rng.random((side, side, 3), np.float32)), LABELS) for _ in range(3)]


@pytest.mark.parametrize("views", [False, True])
@pytest.mark.parametrize("side", [16, 96])
def test_logits_and_gradients_are_those_of_the_module(side: int, views: bool) -> None:
    net, model = loaded(side, views)
    asked = requests(side)
    pixels = torch.tensor(np.stack([request.input.pixels.transpose(2, 0, 1) for request in asked])).contiguous()
    with torch.no_grad():
        expected = net(pixels)
    found = model.classify([model.split(request)[0] for request in asked])  # type: ignore[attr-defined]
    assert np.allclose([logits.values for logits in found], expected, atol=1e-5)
    encoded = model.encode(asked)  # type: ignore[attr-defined]
    at = encoded.features.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model.logits(at, encoded)[:, 1].sum(), at)  # type: ignore[attr-defined]
    by_hand = pixels.clone().requires_grad_()
    (wanted,) = torch.autograd.grad(net(by_hand)[:, 1].sum(), by_hand)
    assert torch.allclose(gradient, wanted, atol=1e-5)


@pytest.mark.parametrize(("side", "views", "expected"), [(96, False, [1, 1]), (96, True, [1, 96 * 96, 96 * 96]), (16, False, [256, 256])])
def test_large_images_have_their_channels_last_where_the_module_takes_them(side: int, views: bool, expected: list[int]) -> None:
    net, model = loaded(side, views)
    for _ in range(2):
        model.classify([model.split(request)[0] for request in requests(side)])  # type: ignore[attr-defined]
    assert net.strides == expected


def test_an_error_of_the_modules_own_is_told() -> None:
    class Broken(Net):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("no such weights")

    model = TorchModule(Broken(96, False), labels=list(LABELS), version="1").load("cpu", "float32")
    with pytest.raises(RuntimeError, match="no such weights"):
        model.classify([model.split(requests(96)[0])[0]])  # type: ignore[attr-defined]


class FlatOnTheWayBack(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, values: torch.Tensor) -> torch.Tensor:
        return 2 * values

    @staticmethod
    def backward(ctx: object, gradient: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return 2 * gradient.view(-1).view(gradient.shape)


def test_a_function_that_counts_on_the_order_on_the_way_back_alone() -> None:
    class Doubled(Net):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return self.head(FlatOnTheWayBack.apply(self.conv(pixels)).relu().flatten(1))

    torch.manual_seed(3)
    net = Doubled(96, False).eval()
    model = TorchModule(net, labels=list(LABELS), version="1").load("cpu", "float32")
    encoded = model.encode(requests(96))  # type: ignore[attr-defined]
    at = encoded.features.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model.logits(at, encoded)[:, 1].sum(), at)  # type: ignore[attr-defined]
    by_hand = encoded.features.contiguous().clone().requires_grad_()
    (wanted,) = torch.autograd.grad(net(by_hand)[:, 1].sum(), by_hand)
    assert torch.allclose(gradient, wanted, atol=1e-5)


def test_the_way_back_is_tried_where_a_function_is_the_modules_own_alone() -> None:
    rows = {}
    for is_own in (False, True):

        class Doubled(Net):
            def forward(self, pixels: torch.Tensor, is_own: bool = is_own) -> torch.Tensor:
                self.strides.append(len(pixels))
                hidden = self.conv(pixels)
                return self.head((FlatOnTheWayBack.apply(hidden) if is_own else 2 * hidden).flatten(1))

        net = Doubled(96, False).eval()
        model = TorchModule(net, labels=list(LABELS), version="1").load("cpu", "float32")
        for _ in range(3):
            encoded = model.encode(requests(96))  # type: ignore[attr-defined]
            at = encoded.features.clone().requires_grad_()
            torch.autograd.grad(model.logits(at, encoded).sum(), at)  # type: ignore[attr-defined]
        rows[is_own] = net.strides
    # All rows again in the other order, and later, where no hook sees it, a row to try.
    assert rows == {False: [3, 3, 3], True: [3, 3, 1, 3, 3]}
