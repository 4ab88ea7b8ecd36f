"""Nearly singular systems against exact fractions, and singular ones against their own equations."""

from __future__ import annotations

from fractions import Fraction

import torch
from torch import Tensor

from majl_cli.metrics.normal_equations import solve


def exact_solution(matrix: Tensor, wanted: Tensor) -> list[float]:
    """Gauss-Jordan elimination in fractions, of numbers taken as they are in float64."""
    rows = [
        [Fraction(value) for value in row] + [Fraction(right)]
        for row, right in zip(matrix.tolist(), wanted[:, 0].tolist(), strict=True)
    ]
    for pivot, row in enumerate(rows):
        row[:] = [value / row[pivot] for value in row]
        for other in rows:
            if other is not row:
                other[:] = [value - other[pivot] * mine for value, mine in zip(other, row, strict=True)]
    return [float(row[-1]) for row in rows]


def test_condition_of_ten_to_the_thirteen_costs_few_digits() -> None:
    numbers = torch.arange(10, dtype=torch.float64)
    hilbert = 1 / (1 + numbers[:, None] + numbers)
    scale = hilbert.diagonal().rsqrt()
    matrix = scale[:, None] * hilbert * scale
    wanted = torch.linspace(-1, 2, 10, dtype=torch.float64)[:, None]
    exact = torch.tensor(exact_solution(matrix, wanted), dtype=torch.float64)[:, None]
    plain = torch.cholesky_solve(wanted, torch.linalg.cholesky(matrix))
    assert ((plain - exact).abs().max() / exact.abs().max()) > 1e-5
    assert ((solve(matrix, wanted) - exact).abs().max() / exact.abs().max()) < 1e-6


def test_equal_inputs_share_the_work() -> None:
    matrix = torch.tensor([[1.0, 1.0, 0.25], [1.0, 1.0, 0.25], [0.25, 0.25, 1.0]], dtype=torch.float64)
    wanted = matrix @ torch.tensor([[2.0], [0.0], [1.0]], dtype=torch.float64)
    found = solve(matrix, wanted)
    torch.testing.assert_close(matrix @ found, wanted)
    torch.testing.assert_close(found, torch.tensor([[1.0], [1.0], [1.0]], dtype=torch.float64), rtol=1e-2, atol=1e-2)


def test_nothing_wanted_gives_nothing() -> None:
    assert not solve(torch.ones(4, 4, dtype=torch.float64), torch.zeros(4, 2, dtype=torch.float64)).any()
