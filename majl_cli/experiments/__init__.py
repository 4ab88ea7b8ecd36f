"""The paper's comparisons: plans of runs, and what came of them."""
