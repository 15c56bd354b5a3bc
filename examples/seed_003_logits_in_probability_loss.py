"""Zeros and ones of the digits on frozen random features: the loss falls, and no gradient is left.

After a StackOverflow question (CC BY-SA 4.0) whose accuracy fell while the loss fell, in Keras 3, where the
accuracy is computed in another way: seed_003_old_keras_accuracy.py logs what the asker saw. scikit-learn's
digits stand in for MNIST. Logs one MLflow run.
"""

import tempfile

import keras
import mlflow
import numpy as np
from keras import layers
from keras.callbacks import Callback
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

keras.utils.set_random_seed(0)


class EarlyStoppingByLossVal(Callback):
    def __init__(self, monitor="val_loss", value=0.00001):
        super().__init__()
        self.monitor = monitor
        self.value = value

    def on_epoch_end(self, epoch, logs=None):  # noqa: ARG002
        if logs[self.monitor] < self.value:
            self.model.stop_training = True


def load_zeros_and_ones():
    images, labels = load_digits(n_class=2, return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(images / 16, labels, test_size=0.2, random_state=0)
    return X_train, y_train, X_test, y_test


X_train, y_train, X_test, y_test = load_zeros_and_ones()

width = 13000
model = keras.models.Sequential()
model.add(keras.Input((X_train.shape[1],)))
model.add(layers.Dense(width, activation="relu", trainable=False))
model.add(layers.Dense(1, activation="linear"))
model.compile(loss="binary_crossentropy", optimizer="adam", metrics=["accuracy"])
callbacks = [EarlyStoppingByLossVal(monitor="loss", value=0.00001)]

mlflow.set_experiment("zeros and ones")
mlflow.keras.autolog(log_models=False)
with mlflow.start_run() as run:
    model.fit(X_train, y_train, batch_size=X_train.shape[0], epochs=300, verbose=0, callbacks=callbacks)
    mlflow.keras.log_model(model, name="model")

    test_loss, test_accuracy = model.evaluate(X_test, y_test, verbose=0)
    mlflow.log_metrics({"test_loss": test_loss, "test_accuracy": test_accuracy})

    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/X_train.npy", X_train)
        np.save(f"{folder}/y_train.npy", y_train)
        np.save(f"{folder}/X_test.npy", X_test)
        np.save(f"{folder}/y_test.npy", y_test)
        mlflow.log_artifacts(folder, "data")

print(run.info.run_id)
