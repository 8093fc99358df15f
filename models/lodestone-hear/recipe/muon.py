"""Muon (Jordan et al. 2024): momentum whose matrix updates are orthogonalised. In float32: processors without bfloat16 are slow in it,
which torch.optim.Muon computes in."""
import torch


def orthogonalise(g, steps=5):
    """Newton-Schulz iteration on a stack of matrices [n, rows, columns]."""
    transposed = g.shape[-2] > g.shape[-1]
    x = g.mT if transposed else g
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        a = x @ x.mT
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * (a @ a)) @ x
    return x.mT if transposed else x


class Muon(torch.optim.Optimizer):
    """Matrices of one shape go through in one stack."""

    def __init__(self, matrices, lr=0.02, momentum=0.95, decay=0.1):
        shapes = {}
        for m in matrices:
            shapes.setdefault(tuple(m.shape), []).append(m)
        super().__init__([dict(params=p) for p in shapes.values()], dict(lr=lr, momentum=momentum, decay=decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            params, lr = group["params"], group["lr"]
            g = torch.stack([p.grad for p in params])
            state = self.state[params[0]]
            average = state.setdefault("average", torch.zeros_like(g))
            average.lerp_(g, 1 - group["momentum"])
            updates = orthogonalise(g.lerp(average, group["momentum"]))
            size = max(1, g.shape[1] / g.shape[2]) ** 0.5
            for p, u in zip(params, updates):
                p.mul_(1 - lr * group["decay"]).add_(u, alpha=-lr * size)
