import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from segrt.trainer.config import Config, NetworkConfig, SupervisedConfig
from segrt.trainer.networks import build_network
from segrt.trainer.optimize import Average, build_optimizer, optimizer_tensors, restore_optimizer, set_learning_rate


def test_the_learning_rate_rises_then_falls_to_nearly_nothing():
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([{"params": [weight], "lr_scale": 0.5, "lr": 1.0}])
    rates = [set_learning_rate(optimizer, SupervisedConfig(warmup=10), i, 100, 1.0) for i in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == max(rates[8:12])
    assert rates[50] == pytest.approx(0.5**0.9)
    assert rates[99] == pytest.approx(0.01**0.9)
    assert optimizer.param_groups[0]["lr"] == rates[99] / 2


@pytest.mark.parametrize("joint", [False, True])
def test_a_given_encoder_learns_slower_and_norms_do_not_decay(joint):
    config = Config(
        network=NetworkConfig("squeezenet_unet", width=2, weights="some.npz"),
        supervised=replace(SupervisedConfig(), encoder_lr=0.25, lr=0.1, weight_decay=0.01),
    )
    network = build_network(config.network, 2)
    trained = nn.ModuleList([network, nn.Conv2d(2, 2, 1)]) if joint else network
    encoder = {id(p) for p in network.encoder.parameters()}
    seen = 0
    for group in build_optimizer(trained, config).param_groups:
        for parameter in group["params"]:
            seen += 1
            assert group["lr_scale"] == (0.25 if id(parameter) in encoder else 1.0)
            assert group["weight_decay"] == (0.01 if parameter.ndim > 1 else 0.0)
    assert seen == len(list(trained.parameters()))


def test_frozen_weights_are_not_the_optimizers():
    config = Config(network=NetworkConfig("squeezenet_unet", width=2, frozen=("encoder",)))
    network = build_network(config.network, 2)
    chosen = {id(p) for group in build_optimizer(network, config).param_groups for p in group["params"]}
    assert chosen == {id(p) for name, p in network.named_parameters() if not name.startswith("encoder.")}


@pytest.mark.parametrize("kind", ["sgd", "adamw", "adam"])
def test_an_optimizer_goes_on_from_its_tensors(kind):
    def step(module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        module(torch.ones(1, 3)).square().sum().backward()
        optimizer.step()

    torch.manual_seed(0)
    module = nn.Linear(3, 2)
    optimizer = build_optimizer(module, Config(), kind)
    for _ in range(3):
        step(module, optimizer)
    twin = nn.Linear(3, 2)
    twin.load_state_dict(module.state_dict())
    restored = build_optimizer(twin, Config(), kind)
    restore_optimizer(restored, copy.deepcopy(optimizer_tensors(optimizer)))
    for each in ((module, optimizer), (twin, restored)):
        step(*each)
    assert torch.equal(module.weight, twin.weight)


def test_an_average_forgets_its_random_start_and_then_moves_slowly():
    network = nn.BatchNorm1d(2)
    average = Average(network, 0.9)
    with torch.no_grad():
        network.weight.fill_(5.0)
    average.update(network, 0)
    assert average.state["weight"].tolist() == pytest.approx([4.6, 4.6])  # a tenth of the start, 1, is left
    for iteration in range(1, 100):
        average.update(network, iteration)
    assert average.state["weight"].tolist() == pytest.approx([5, 5], abs=1e-3)
    with torch.no_grad():
        network.weight.fill_(6.0)
    average.update(network, 100)
    assert average.state["weight"].tolist() == pytest.approx([5.1, 5.1], abs=1e-3)


def test_without_a_decay_nothing_is_averaged():
    assert Average(nn.BatchNorm1d(2), 0.0).state == {}
