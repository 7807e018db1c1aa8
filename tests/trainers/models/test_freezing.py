"""Tests of the trainable layers of a network with a backbone."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from records.errors import UsageError
from trainers.config import Architecture, ImageShape
from trainers.models.build import Network, build_network
from trainers.options import TrainOptions


def build(name: str, side_px: int, **other: Any) -> Network:
    return build_network(Architecture(name, ImageShape(side_px, side_px), 5, **other))


@pytest.fixture(scope="module")
def network() -> Network:
    return build("mobilenet_v2", 32)


def trainable(network: Network) -> list[str]:
    assert network.backbone is not None
    return [layer.name for layer in network.backbone.layers if layer.trainable_weights]


def test_freeze_base_leaves_only_head_trainable(network: Network) -> None:
    from trainers.models.freezing import freeze_backbone

    freeze_backbone(network)
    assert network.head is not None
    assert [id(weight) for weight in network.model.trainable_weights] == [
        id(weight) for weight in network.head.weights
    ]


def test_unfreeze_base_last_layers_keeps_batch_normalization_frozen(network: Network) -> None:
    from trainers.models.freezing import freeze_backbone, unfreeze_backbone

    freeze_backbone(network)
    # block_16_project, its normalization, Conv_1, Conv_1_bn, out_relu.
    unfreeze_backbone(network, 5)
    assert trainable(network) == ["block_16_project", "Conv_1"]
    unfreeze_backbone(network, 3)
    assert trainable(network) == ["Conv_1"]


def test_unfreeze_base_all_layers_keeps_batch_normalization_frozen(network: Network) -> None:
    from trainers.models.freezing import unfreeze_backbone

    unfreeze_backbone(network, "all")
    assert network.backbone is not None
    frozen = {
        type(layer).__name__
        for layer in network.backbone.layers
        if layer.weights and not layer.trainable_weights
    }
    assert frozen == {"BatchNormalization"}


def test_unfreeze_base_batch_normalization_stays_in_inference_mode(network: Network) -> None:
    from trainers.models.freezing import unfreeze_backbone

    unfreeze_backbone(network, "all")
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    before = [np.asarray(weight) for weight in network.model.non_trainable_weights]
    np.testing.assert_allclose(
        np.asarray(network.model(images, training=True)),
        np.asarray(network.model(images, training=False)),
        rtol=1e-5,
    )
    after = [np.asarray(weight) for weight in network.model.non_trainable_weights]
    for first, second in zip(before, after, strict=True):
        np.testing.assert_array_equal(first, second)


def test_unfreeze_base_layers_without_weights_are_refused(network: Network) -> None:
    from trainers.models.freezing import unfreeze_backbone

    with pytest.raises(UsageError, match=r"no weights .* last 2 layers .*; unfreeze at least 3"):
        unfreeze_backbone(network, 2)


def test_unfreeze_base_more_layers_than_base_is_refused(network: Network) -> None:
    from trainers.models.freezing import unfreeze_backbone

    with pytest.raises(UsageError, match="expected at most 154, got 155"):
        unfreeze_backbone(network, 155)


def names(groups: list[list[Any]]) -> list[tuple[str, str]]:
    return [(group[-1].name, group[0].name) for group in groups]


def test_group_layers_are_stages_from_the_last_to_the_first(network: Network) -> None:
    from trainers.models.freezing import group_layers

    stages = [
        ("block_13_depthwise", "Conv_1"),
        ("block_6_depthwise", "block_13_expand"),
        ("block_3_depthwise", "block_6_expand"),
        ("block_1_depthwise", "block_3_expand"),
        ("Conv1", "block_1_expand"),
    ]
    assert names(group_layers(network, "all")) == stages
    # Conv_1, its normalization and activation, and three layers of block 16.
    assert names(group_layers(network, 6)) == [("block_16_project", "Conv_1")]


def test_unfreeze_base_part_of_groups_trains_the_last_ones(network: Network) -> None:
    from trainers.models.freezing import count_groups, group_layers, unfreeze_backbone

    groups = group_layers(network, "all")
    for number in range(1, 6):
        unfreeze_backbone(network, "all", Fraction(number, 5))
        expected = {layer.name for group in groups[:number] for layer in group}
        assert {*trainable(network)} == expected
    for epochs in range(1, 12):
        counts = [count_groups(Fraction(number, epochs + 1), 5) for number in range(1, epochs + 1)]
        assert counts == sorted(counts)
        assert 1 <= counts[0] <= counts[-1] <= 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("vgg16", 5, 5), ("resnet50", 5, 5), ("efficientnet_b0", 5, 5), ("convnext_tiny", 4, 4),
        ("mobilenet_v3_small", 5, 5), ("nasnet_mobile", 4, 7), ("inception_v3", 5, 8),
        ("densenet121", 5, 5), ("xception", 5, 7),
    ],
)  # fmt: skip
def test_group_layers_divide_all_layers_of_a_backbone(name: str, least: int, most: int) -> None:
    from trainers.models.freezing import freeze_backbone, group_layers, unfreeze_backbone

    network = build(name, 128)
    freeze_backbone(network)
    groups = group_layers(network, "all")
    unfreeze_backbone(network, "all")
    found = [layer.name for group in groups for layer in group]
    assert found == trainable(network)[::-1]
    assert least <= len(groups) <= most


def test_rate_factors_fall_from_group_to_group(network: Network) -> None:
    from trainers.models.freezing import find_rate_factors, group_layers

    factors = find_rate_factors(network, TrainOptions(mode="finetune", layer_decay=0.5))
    assert factors is not None
    for number, group in enumerate(group_layers(network, "all"), 1):
        assert {factors[id(weight)] for layer in group for weight in layer.weights} == {0.5**number}
    assert network.head is not None
    assert not factors.keys() & {id(weight) for weight in network.head.weights}
    assert find_rate_factors(network, TrainOptions(mode="finetune")) is None


def test_prepare_groups_one_group_cannot_be_unfrozen_gradually(network: Network) -> None:
    from trainers.models.freezing import prepare_groups

    options = TrainOptions(mode="finetune", unfreeze=6, unfreeze_epochs=2)
    with pytest.raises(UsageError, match=r"one group.*--unfreeze-epochs 2 with --unfreeze 6"):
        prepare_groups(network, options)
    prepare_groups(network, TrainOptions(mode="finetune", unfreeze_epochs=2))
    prepare_groups(build("cnn", 16), TrainOptions())


def test_freeze_base_network_without_base_is_refused() -> None:
    from trainers.models.freezing import freeze_backbone

    with pytest.raises(UsageError, match="cnn has no backbone"):
        freeze_backbone(build("cnn", 16))


@pytest.mark.parametrize(("pooling", "features"), [("avg", 512), ("flatten", 7 * 7 * 512)])
def test_count_parameters_vgg16_recipe_equals_known_counts(pooling: str, features: int) -> None:
    from trainers.models.freezing import count_parameters, freeze_backbone, unfreeze_backbone

    network = build("vgg16", 224, head_units=1024, head_dropout=0.5, pooling=pooling)
    backbone = 14_714_688
    head = (features + 1) * 1024 + (1024 + 1) * 5
    block_5 = 3 * (3 * 3 * 512 * 512 + 512)
    assert count_parameters(network) == (backbone + head, backbone + head)
    freeze_backbone(network)
    assert count_parameters(network) == (backbone + head, head)
    unfreeze_backbone(network, 4)
    assert trainable(network) == ["block5_conv1", "block5_conv2", "block5_conv3"]
    assert count_parameters(network) == (backbone + head, block_5 + head)


def test_group_layers_transformer_has_one_group_per_block() -> None:
    import keras
    from keras import layers

    from trainers.models.freezing import group_layers, unfreeze_backbone

    class Encoder(layers.Layer):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.blocks = [layers.Dense(4, name=f"block_{number}") for number in range(2)]
            self.final_norm = layers.LayerNormalization(name="norm")

        def call(self, tokens: Any) -> Any:
            return self.final_norm(self.blocks[1](self.blocks[0](tokens)))

    image = keras.Input((6, 4))
    backbone = keras.Model(image, Encoder()(layers.Dense(4, name="embedding")(image)))
    network = Network(backbone, backbone=backbone)
    groups = [[layer.name for layer in group] for group in group_layers(network, "all")]
    assert groups == [["norm", "block_1"], ["block_0"], ["embedding"]]
    unfreeze_backbone(network, 2)
    names = [weight.path.split("/")[-2] for weight in backbone.trainable_weights]
    assert [*dict.fromkeys(names)] == ["block_1", "norm"]
