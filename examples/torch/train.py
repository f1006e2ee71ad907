"""Train on random points with a fixed seed, and write rings.pt2 next to this file."""

from pathlib import Path

import torch


def main():
    torch.manual_seed(0)
    points = torch.rand(2000, 2) * 4 - 2
    radius = points.norm(dim=1, keepdim=True)
    labels = ((radius > 0.5) & (radius < 1.5)).float()
    model = torch.nn.Sequential(torch.nn.Linear(2, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1), torch.nn.Sigmoid())
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(600):
        optimizer.zero_grad()
        torch.nn.functional.binary_cross_entropy(model(points), labels).backward()
        optimizer.step()
    rows = torch.export.Dim("rows")
    program = torch.export.export(model.eval(), (points[:2],), dynamic_shapes=({0: rows},))
    torch.export.save(program, Path(__file__).with_name("rings.pt2"))


if __name__ == "__main__":
    main()
