"""The compiled loop beside the rest of a process: its threads change nothing of PyTorch's, and several may call it."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

pytest.importorskip("numba")

COUNTS = """
import torch
from allyouneed.kernels.one_vector import one_vector
torch.set_num_threads({n})
product = one_vector()
product(torch.ones(600, 600), torch.ones(600))
print(torch.get_num_threads())
"""


@pytest.mark.parametrize("n", [1, 2])
def test_pytorch_keeps_its_number_of_threads(n):
    ran = subprocess.run([sys.executable, "-c", COUNTS.format(n=n)], capture_output=True, text=True, check=True)
    assert int(ran.stdout) == n


def test_several_callers_at_once_get_their_own_products():
    from allyouneed.kernels.one_vector import one_vector

    matrices = torch.randn(8, 600, 600, generator=torch.Generator().manual_seed(0))
    x = torch.ones(600)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: one_vector()(matrices[n % 8], x), range(64)))
    for n, y in enumerate(found):
        torch.testing.assert_close(y, matrices[n % 8].sum(1), rtol=1e-4, atol=1e-4)  # 600 terms in another order
