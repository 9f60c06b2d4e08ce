import torch
from torch.nn.functional import normalize

from gifcli.compute.batches import SeedBatch
from gifcli.guides import Prototypes, make_guide
from gifcli.guides.prototype import s_proto

GROUPS = normalize(torch.randn(3, 5, generator=torch.Generator().manual_seed(0)), dim=-1)
OWNERS = torch.tensor([0, 0, 1])
MEANS = torch.cat([normalize(GROUPS[:2].mean(0, keepdim=True), dim=-1), GROUPS[2:], torch.zeros(1, 5)])
PROTOTYPES = Prototypes(MEANS, GROUPS, OWNERS)


def test_it_is_the_formula_written_out() -> None:
    v = normalize(torch.randn(2, 4, 5), dim=-1)
    y = torch.tensor([0, 1])
    got = s_proto(v, y, PROTOTYPES)
    for k in range(4):
        near = max(float(v[0, k] @ GROUPS[0]), float(v[0, k] @ GROUPS[1]))
        assert torch.isclose(got[0, k], (v[0, k] @ MEANS[0] + near) / 2)
        assert torch.isclose(got[1, k], v[1, k] @ GROUPS[2])


def test_classes_without_seeds_have_no_force() -> None:
    v = normalize(torch.randn(2, 3, 5), dim=-1).requires_grad_()
    got = make_guide("prototype", lambda v: v, PROTOTYPES)(
        v, SeedBatch(["a", "b"], torch.tensor([2, -1]), ["c", "d"], torch.zeros(2), torch.zeros(2))
    )
    assert torch.equal(got, torch.zeros(2, 3))
    got.sum().backward()
    assert torch.equal(v.grad, torch.zeros(2, 3, 5))
