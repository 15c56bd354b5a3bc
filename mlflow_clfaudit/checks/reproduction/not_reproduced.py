from __future__ import annotations

from collections.abc import Iterator

from mlflow_clfaudit.errors import Missing
from mlflow_clfaudit.evidence.inputs import Transform
from mlflow_clfaudit.evidence.reproduction import Reproduction
from mlflow_clfaudit.evidence.spec import Spec
from mlflow_clfaudit.registry import check
from mlflow_clfaudit.types import Finding, Grade, Proof, Severity


@check(severity=Severity.INFO)
def not_reproduced(
    reproduction: Reproduction, spec: Spec, input_transform: Transform | None = None
) -> Iterator[Finding]:
    """The saved model does not give the logged validation loss on the logged validation rows.

    ## Why it matters
    Everything that rests on predictions assumes that the logged rows, their preprocessing and the saved weights are the
    run's own. Where they are, the validation loss comes out to seven digits. Where they are not, a finding about
    predictions may be about the logging, so no such finding is called proven.

    ## How it is detected
    The loss that the model was compiled with, evaluated on the logged validation rows as fit() evaluates it (with
    Keras's shortcut to the logits), is compared with the validation loss of every logged epoch: early stopping may have
    restored any. It contradicts where the nearest epoch is more than 2 % away. Test rows never contradict.

    ## Proof
    It is one itself: equality to 1e-4 says which epoch the saved weights are of.

    ## Fix
    Log `X_val` and `y_val` as `fit()` was given them, or put the preprocessing into the model.

    ```diff
    - model.fit(scaler.transform(X_train), y_train, validation_data=(scaler.transform(X_val), y_val))
    + X_val = scaler.transform(X_val)
    + model.fit(scaler.transform(X_train), y_train, validation_data=(X_val, y_val))
    + mlflow_clfaudit.log_labels(y_val, split="validation", inputs=X_val)
    ```

    ## When it is legitimate
    Weights averaged at the end of training, a model that was trained on after its curves, validation by a generator.
    """
    if reproduction.split != "validation":
        raise Missing("the run has no validation rows", 'mlflow.log_artifact("X_val.npy", "data")')
    averaged = spec.optimizer is not None and bool(spec.optimizer.options.get("use_ema"))
    if not reproduction.contradicts or input_transform is not None or averaged:
        return
    nearest = float(reproduction.logged[reproduction.epoch])
    yield Finding(
        f"With the saved weights, the {reproduction.rows} logged validation rows have a loss of "
        f"{reproduction.loss:.4g}; the nearest logged val_loss is {nearest:.4g}. The logged rows, their preprocessing "
        "or the saved weights are not those that fit() used, so findings that rest on predictions are suspicions.",
        fix="log X_val and y_val as fit() was given them",
        evidence={"loss": reproduction.loss, "nearest": nearest, "epoch": reproduction.epoch, "gap": reproduction.gap},
        proof=Proof(Grade.A, "the compiled loss on the logged rows", n=reproduction.rows),
    )
