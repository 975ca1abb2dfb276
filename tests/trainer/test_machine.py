import pytest
import torch

from segrt import ConfigError
from segrt.trainer.config import MachineConfig
from segrt.trainer.machine import autocast, choose_device, has_bf16, keep_memory

CPU = torch.device("cpu")


def test_the_device_is_the_one_asked_for_or_refused_by_name():
    assert choose_device(MachineConfig(device="cpu")) == CPU
    assert choose_device(MachineConfig()).type in ("cpu", "cuda")
    with pytest.raises(ConfigError, match="'gpu' is no device; write cpu, cuda or cuda:N"):
        choose_device(MachineConfig(device="gpu"))
    with pytest.raises(ConfigError, match="is 'cuda:99', but torch finds"):
        choose_device(MachineConfig(device="cuda:99"))


@pytest.mark.parametrize(("precision", "wanted"), [("fp32", torch.float32), ("bf16", torch.bfloat16), ("auto", None)])
def test_the_precision_is_the_one_asked_for(precision, wanted):
    if wanted is None:
        wanted = torch.bfloat16 if has_bf16(CPU) else torch.float32
    with autocast(MachineConfig(precision=precision), CPU):
        assert torch.nn.functional.linear(torch.ones(2, 2), torch.ones(2, 2)).dtype == wanted


def test_fp16_is_for_gpus():
    with pytest.raises(ConfigError, match="fp16, which only GPUs compute, and the device is cpu; use auto"):
        choose_device(MachineConfig(device="cpu", precision="fp16"))
    with autocast(MachineConfig(precision="fp16"), CPU):  # the CPU computes it too, slowly: enough to see it chosen
        assert torch.nn.functional.linear(torch.ones(2, 2), torch.ones(2, 2)).dtype == torch.float16


def test_keeping_memory_can_be_asked_for_anywhere():
    keep_memory()
    assert torch.ones(1000, 1000).sum() == 1e6
