import numpy as np
import pytest

from mlflow_clfaudit.checks.activation_loss.no_nonlinearity import no_nonlinearity
from mlflow_clfaudit.evidence.spec import Layer, Spec
from mlflow_clfaudit.types import Finding, Grade, Severity
from tests.kit import findings, make_head, make_probe, make_spec, proof_of


def net(*layers: Layer) -> Spec:
    """Layers that each read the one before."""
    chained = [
        Layer(**{**vars(layer), "reads": (layers[place - 1].name,) if place else ()})
        for place, layer in enumerate(layers)
    ]
    return make_spec(make_head(3, "softmax", layer=layers[-1].name, name=layers[-1].name), layers=tuple(chained))


def dense(name: str, units: int, activation: str = "linear", inputs: int = 20) -> Layer:
    return Layer(name, "Dense", {"units": units}, input_shape=(None, inputs), activation=activation)


INPUT = Layer("input", "InputLayer")


def only(**given: object) -> Finding:
    (finding,) = findings(no_nonlinearity, **given)
    return finding


def test_a_linear_net_is_a_warning() -> None:
    finding = only(spec=net(INPUT, dense("hidden", 30), dense("out", 3, "softmax")))
    assert (finding.level, finding.variant) == (Severity.WARN, "whole-net")


def test_layers_between_that_change_nothing_are_seen_through() -> None:
    spec = net(
        INPUT,
        dense("hidden", 30),
        Layer("drop", "Dropout"),
        Layer("norm", "BatchNormalization"),
        dense("out", 3, "softmax"),
    )
    assert only(spec=spec).variant == "whole-net"


def test_one_pair_in_a_deeper_net_is_info() -> None:
    spec = net(INPUT, dense("a", 30, "relu"), dense("b", 30), dense("c", 30, "relu"), dense("out", 3, "softmax"))
    finding = only(spec=spec)
    assert finding.level is Severity.INFO
    assert finding.evidence["pairs"] == [["b", "c"]]


LINEAR = net(INPUT, dense("hidden", 30), dense("out", 3, "softmax"))
TRUTH = np.tile([0, 1], 100)
HALF = np.zeros(200, dtype=int)


def test_trees_that_do_better_prove_it() -> None:
    linear = make_probe(TRUTH, decision=HALF, served=HALF)
    trees = make_probe(TRUTH, decision=TRUTH, served=HALF)
    finding = only(spec=LINEAR, input_probe=linear, tree_probe=trees)
    assert finding.level is Severity.WARN
    assert proof_of(finding).grade is Grade.B


def test_rows_for_which_a_line_is_enough_make_it_info() -> None:
    probe = make_probe(TRUTH, decision=TRUTH, served=TRUTH)
    assert only(spec=LINEAR, input_probe=probe, tree_probe=probe).level is Severity.INFO


@pytest.mark.parametrize(
    "spec",
    [
        net(INPUT, dense("hidden", 30, "relu"), dense("out", 3, "softmax")),
        net(INPUT, dense("out", 3, "softmax")),
        net(INPUT, dense("hidden", 30), Layer("act", "ReLU", activation="relu"), dense("out", 3, "softmax")),
        net(
            INPUT,
            dense("hidden", 30),
            Layer("norm", "BatchNormalization"),
            Layer("act", "Activation", {}, activation="relu"),
            dense("out", 3, "softmax"),
        ),
        net(INPUT, dense("factor", 8, inputs=64), dense("out", 100, "softmax", inputs=8)),
        net(INPUT, dense("hidden", 30), Layer("pool", "MaxPooling1D"), dense("out", 3, "softmax")),
        net(INPUT, dense("hidden", 30), Layer("own", "Gate", ours=False), dense("out", 3, "softmax")),
        net(Layer("words", "Embedding", {"output_dim": 16}), dense("out", 3, "softmax")),
    ],
    ids=["relu", "one layer", "ReLU layer", "norm then relu", "low rank", "max pooling", "custom", "embedding"],
)
def test_quiet_where_it_is_legitimate(spec: Spec) -> None:
    assert findings(no_nonlinearity, spec=spec) == ()
