"""A binary convolutional network that answers 1 for every row.

After a StackOverflow question, "Why does a binary Keras CNN always predict 1?" (CC BY-SA 4.0), in Keras 3.
The asker's data are not public: these sequences have their shape, range, contrast and class balance. Logs one
MLflow run.
"""

import tempfile

import keras
import mlflow
import numpy as np
from keras.callbacks import ReduceLROnPlateau
from keras.layers import Activation, BatchNormalization, Conv1D, Dense, Dropout, Flatten, LeakyReLU
from keras.models import Sequential
from sklearn.metrics import confusion_matrix

keras.utils.set_random_seed(3)
rng = np.random.default_rng(3)


def sequences(rows, positives):
    """Sequences (rows, 10, 4) near -1.06 whose class shows in a faint trend."""
    y = rng.permutation(np.arange(rows) < positives).astype(int)
    trend = 1.1 * (2 * y - 1) + rng.normal(0, 0.8, rows)
    path = np.linspace(-1, 1, 10)[None, :, None] * trend[:, None, None]
    path = path + rng.normal(0, 0.5, (rows, 10, 4)) + rng.normal(0, 0.5, (rows, 1, 1))
    return (-1.06 + 0.0045 * path).astype("float32"), y


X_train, y_train = sequences(4850, 3040)
X_test, y_test = sequences(970, 608)

model = Sequential()
model.add(keras.Input((10, 4)))
model.add(Conv1D(16, 4, padding="same"))
model.add(BatchNormalization())
model.add(LeakyReLU())
model.add(Dropout(0.2))
model.add(Conv1D(8, 4, padding="same"))
model.add(BatchNormalization())
model.add(LeakyReLU())
model.add(Dropout(0.2))
model.add(Flatten())
model.add(Dense(64))
model.add(BatchNormalization())
model.add(LeakyReLU())
model.add(Dense(1))
model.add(Activation("softmax"))

reduce_lr = ReduceLROnPlateau(monitor="val_accuracy", factor=0.9, patience=30, min_lr=0.000001, verbose=0)
model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])

mlflow.set_experiment("sequences")
mlflow.keras.autolog(log_models=False)
with mlflow.start_run() as run:
    model.fit(
        X_train,
        y_train,
        epochs=100,
        batch_size=128,
        verbose=0,
        validation_data=(X_test, y_test),
        callbacks=[reduce_lr],
        shuffle=True,
    )
    mlflow.keras.log_model(model, name="model")
    print(confusion_matrix(y_test, model.predict(X_test, verbose=0).round()))

    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/X_train.npy", X_train)
        np.save(f"{folder}/y_train.npy", y_train)
        np.save(f"{folder}/X_val.npy", X_test)
        np.save(f"{folder}/y_val.npy", y_test)
        np.save(f"{folder}/X_test.npy", X_test)
        np.save(f"{folder}/y_test.npy", y_test)
        mlflow.log_artifacts(folder, "data")

print(run.info.run_id)
