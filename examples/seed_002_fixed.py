"""The sequences again: a sigmoid, normalised inputs, validation rows carved from the training rows."""

import tempfile

import keras
import mlflow
import numpy as np
from keras.callbacks import EarlyStopping, ReduceLROnPlateau
from keras.layers import BatchNormalization, Conv1D, Dense, Dropout, Flatten, LeakyReLU, Normalization
from keras.models import Sequential
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import train_test_split

keras.utils.set_random_seed(3)
rng = np.random.default_rng(3)


def sequences(rows, positives):
    """Sequences (rows, 10, 4) near -1.06 whose class shows in a faint trend."""
    y = rng.permutation(np.arange(rows) < positives).astype(int)
    trend = 1.1 * (2 * y - 1) + rng.normal(0, 0.8, rows)
    path = np.linspace(-1, 1, 10)[None, :, None] * trend[:, None, None]
    path = path + rng.normal(0, 0.5, (rows, 10, 4)) + rng.normal(0, 0.5, (rows, 1, 1))
    return (-1.06 + 0.0045 * path).astype("float32"), y


X, y = sequences(4850, 3040)
X_test, y_test = sequences(970, 608)
X_train, X_val, y_train, y_val = train_test_split(X, y, test_size=0.2, stratify=y, random_state=0)

normalize = Normalization(axis=None)
normalize.adapt(X_train)

model = Sequential()
model.add(keras.Input((10, 4)))
model.add(normalize)
model.add(Conv1D(16, 4, padding="same"))
model.add(BatchNormalization(momentum=0.9))
model.add(LeakyReLU())
model.add(Dropout(0.2))
model.add(Conv1D(8, 4, padding="same"))
model.add(BatchNormalization(momentum=0.9))
model.add(LeakyReLU())
model.add(Dropout(0.2))
model.add(Flatten())
model.add(Dense(64))
model.add(BatchNormalization(momentum=0.9))
model.add(LeakyReLU())
model.add(Dense(1, activation="sigmoid"))
model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])

mlflow.set_experiment("sequences")
mlflow.keras.autolog(log_models=False)
with mlflow.start_run() as run:
    model.fit(
        X_train,
        y_train,
        epochs=30,
        batch_size=128,
        verbose=0,
        validation_data=(X_val, y_val),
        callbacks=[
            ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=4),
            EarlyStopping(monitor="val_loss", patience=8, restore_best_weights=True),
        ],
    )
    mlflow.keras.log_model(model, name="model")
    predicted = (model.predict(X_test, verbose=0)[:, 0] > 0.5).astype(int)
    print(confusion_matrix(y_test, predicted))
    mlflow.log_metric("test_accuracy", float(np.mean(predicted == y_test)))

    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/X_train.npy", X_train)
        np.save(f"{folder}/y_train.npy", y_train)
        np.save(f"{folder}/X_val.npy", X_val)
        np.save(f"{folder}/y_val.npy", y_val)
        np.save(f"{folder}/X_test.npy", X_test)
        np.save(f"{folder}/y_test.npy", y_test)
        mlflow.log_artifacts(folder, "data")

print(run.info.run_id)
