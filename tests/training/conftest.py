"""A random base for fine-tuning to start from, and data that it can learn."""

import pytest
import torch
from transformers import RobertaConfig, RobertaForMaskedLM

from tests.support.learnable import write_data
from tests.support.tiny import save_checkpoint
from tests.support.tiny import tiny_config as make_config

torch.set_num_threads(1)  # a tiny model gains nothing from more, and on a busy machine waits for them


@pytest.fixture(scope="session")
def tiny_config(tokenizer) -> RobertaConfig:
    return make_config(len(tokenizer))


@pytest.fixture(scope="session")
def tiny_base(tiny_config, tmp_path_factory):
    """Return the folder of a random masked-LM checkpoint, as fine-tuning starts from."""
    torch.manual_seed(0)
    return save_checkpoint(RobertaForMaskedLM(tiny_config), tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Return a folder of labeled files."""
    return write_data(tmp_path_factory.mktemp("data"))
