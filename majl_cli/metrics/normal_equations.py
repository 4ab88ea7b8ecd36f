"""Symmetric linear systems that are nearly or fully singular, solved without adding rounding of our own.

Recordings that went through a lossy coder hold next to nothing above some frequency: then the normal equations of BSS
Eval have condition numbers of 1e14 and more, and the usual solvers' rounding moves SIR and SAR by tenths of a dB.
"""

from __future__ import annotations

import torch
from torch import Tensor

_FIRST_LOAD = 1e-13
_STEPS = 12
_PRECISE = 1e-6  # relative change of the solution below which refinement stops
_SLICE_BITS = 20  # two numbers of 20 bits multiply, and 8192 products sum up, without rounding in float64


def solve(matrix: Tensor, wanted: Tensor) -> Tensor:
    """x (n, m) with matrix x = wanted, for a positive semidefinite ``matrix`` (n, n) with ones on its diagonal.

    Factored by Cholesky. Where that fails (inputs that depend on one another: twice the same channel, or fewer samples
    than unknowns) the diagonal is loaded with 1e-13, or the first power of ten above that succeeds. Steps of iterative
    refinement with the unloaded matrix, the residual in twice the precision, then undo rounding and load wherever the
    matrix has any weight; directions without weight stay all but unused.
    """
    factor, failed = torch.linalg.cholesky_ex(matrix)
    load = _FIRST_LOAD
    while failed:
        loaded = matrix.clone()
        loaded.diagonal().add_(load)
        factor, failed = torch.linalg.cholesky_ex(loaded)
        load *= 10.0
    solution = torch.cholesky_solve(wanted, factor)
    step = torch.cholesky_solve(wanted - matrix @ solution, factor)
    if _is_small(step, solution):
        return solution + step
    slices = _slices(matrix)
    for _ in range(_STEPS):
        step = torch.cholesky_solve(_residual(slices, solution, wanted), factor)
        solution = solution + step
        if _is_small(step, solution):
            break
    return solution


def _is_small(step: Tensor, solution: Tensor) -> bool:
    return bool((step.abs().amax(dim=0) <= _PRECISE * solution.abs().amax(dim=0)).all())


def _residual(slices: list[Tensor], solution: Tensor, wanted: Tensor) -> Tensor:
    """wanted - matrix solution, of the slices of the matrix (Ozaki et al., 2012).

    The products of the highest slices are free of rounding; what cancels is therefore exact.
    """
    scale = torch.exp2(torch.ceil(torch.log2(solution.abs().amax(dim=0).clamp(min=1e-300))))
    parts = torch.cat(_slices(solution / scale), dim=1)
    products = [(each @ parts).tensor_split(3, dim=1) for each in slices]
    rest = wanted / scale
    for order in range(5):  # from the largest products to the smallest
        for number in range(max(0, order - 2), min(order, 2) + 1):
            rest = rest - products[number][order - number]
    return rest * scale


def _slices(values: Tensor) -> list[Tensor]:
    """Three tensors that add up to ``values`` (at most 1): 20 bits, the next 20 bits, the rest."""
    found = []
    for number in (1, 2):
        unit = 2.0 ** (-_SLICE_BITS * number)
        found.append(torch.round(values / unit) * unit)
        values = values - found[-1]
    return [*found, values]
