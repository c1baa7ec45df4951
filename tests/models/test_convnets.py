"""The networks have the sizes that the literature gives, and answer pictures of any small size."""

import pytest
import torch
from torch import nn

from course_lib.measure import count_flops
from course_lib.models import count_parameters, network, resnet, state_hash
from course_lib.models.convnets import Normalise


@pytest.mark.parametrize("name, parameters, mflops", [("resnet20", 0.27e6, 82), ("resnet56", 0.86e6, 252)])
def test_he_et_als_networks_have_their_published_sizes(name, parameters, mflops):
    """Parameters: He et al. (2016), table 6. FLOPs: a multiplication and an addition are two."""
    net = network(name)
    assert count_parameters(net) == pytest.approx(parameters, rel=0.01)
    assert count_flops(net.eval(), torch.rand(2, 3, 32, 32)) / 1e6 == pytest.approx(mflops, rel=0.01)


def test_the_wide_pair_of_the_distillation_literature_has_its_published_sizes():
    """1.23 and 7.43 million with 100 classes (Tian et al., 2020, table 1's networks)."""
    wide = (32, 64, 128, 256)
    assert count_parameters(resnet(8, wide, classes=100)) == pytest.approx(1.23e6, rel=0.01)
    assert count_parameters(resnet(32, wide, classes=100)) == pytest.approx(7.43e6, rel=0.01)


@pytest.mark.parametrize(
    "name", ["resnet8", "resnet8x4", "resnet9-8", "torchvision/resnet18", "torchvision/mobilenet_v3_small"]
)
@pytest.mark.parametrize("channels, size", [(1, 8), (3, 32)])
def test_every_kind_answers_small_pictures_and_is_a_function_of_its_seed(name, channels, size):
    x = torch.rand(2, channels, size, size)
    assert network(name, 7, channels, seed=1)(x).shape == (2, 7)
    assert state_hash(network(name, 7, channels, seed=1)) == state_hash(network(name, 7, channels, seed=1))
    assert state_hash(network(name, 7, channels, seed=1)) != state_hash(network(name, 7, channels, seed=2))


def test_building_a_network_uses_up_no_random_number_of_the_learners():
    before = torch.random.get_rng_state()
    network("resnet8")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_colour_pictures_are_normalised_as_torchvision_does():
    from torchvision.transforms.functional import normalize

    x = torch.rand(2, 3, 4, 4)
    wanted = normalize(x, (0.491, 0.482, 0.447), (0.247, 0.243, 0.262))
    torch.testing.assert_close(Normalise(3)(x), wanted)


def test_torchvisions_networks_do_not_shrink_small_pictures_at_the_door():
    net = network("torchvision/resnet18")
    assert net[1].conv1.stride == (1, 1) and isinstance(net[1].maxpool, nn.Identity)


def test_a_name_that_is_none_gets_a_suggestion():
    with pytest.raises(ValueError, match="no network is called 'resnet9_16'; did you mean 'resnet9-16'"):
        network("resnet9_16")
    with pytest.raises(ValueError, match="6n \\+ 2 layers"):
        network("resnet18")
