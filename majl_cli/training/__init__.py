"""Training of the joint model: stages, losses, the loop they share, exact resumption."""
