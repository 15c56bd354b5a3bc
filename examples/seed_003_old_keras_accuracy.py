"""seed_003_logits_in_probability_loss.py as Keras up to 2.3.1 logged it: the accuracy falls with the loss.

Those versions computed the accuracy of a single output as equality with its rounded value, and runs that they
logged are still in people's stores. Here a metric of that name computes the same; the saved model names the
built-in "accuracy", as the asker's did. Logs one MLflow run.
"""

import tempfile

import keras
import mlflow
import numpy as np
from keras import layers, ops
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

keras.utils.set_random_seed(0)


def accuracy(y_true, y_pred):
    y_true = ops.reshape(y_true, ops.shape(y_pred))
    return ops.mean(ops.equal(y_true, ops.round(y_pred)), axis=-1)


images, labels = load_digits(n_class=2, return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(images / 16, labels, test_size=0.2, random_state=0)

width = 13000
model = keras.models.Sequential()
model.add(keras.Input((X_train.shape[1],)))
model.add(layers.Dense(width, activation="relu", trainable=False))
model.add(layers.Dense(1, activation="linear"))
model.compile(loss="binary_crossentropy", optimizer="adam", metrics=[accuracy])

mlflow.set_experiment("zeros and ones")
mlflow.keras.autolog(log_models=False)
with mlflow.start_run() as run:
    model.fit(X_train, y_train, batch_size=X_train.shape[0], epochs=300, verbose=0)

    test_loss, test_accuracy = model.evaluate(X_test, y_test, verbose=0)
    mlflow.log_metrics({"test_loss": test_loss, "test_accuracy": test_accuracy})

    model.compile(loss="binary_crossentropy", optimizer=model.optimizer, metrics=["accuracy"])
    mlflow.keras.log_model(model, name="model")

    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/X_train.npy", X_train)
        np.save(f"{folder}/y_train.npy", y_train)
        np.save(f"{folder}/X_test.npy", X_test)
        np.save(f"{folder}/y_test.npy", y_test)
        mlflow.log_artifacts(folder, "data")

print(run.info.run_id)
