"""Zeros and ones again: features that learn, a sigmoid, batches, and rows kept back to judge the result."""

import tempfile

import keras
import mlflow
import numpy as np
from keras import layers
from keras.callbacks import EarlyStopping
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

keras.utils.set_random_seed(0)

images, labels = load_digits(n_class=2, return_X_y=True)
X, X_test, y, y_test = train_test_split(images / 16, labels, test_size=0.2, stratify=labels, random_state=0)
X_train, X_val, y_train, y_val = train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)

model = keras.models.Sequential()
model.add(keras.Input((X_train.shape[1],)))
model.add(layers.Dense(64, activation="relu"))
model.add(layers.Dense(1, activation="sigmoid"))
model.compile(loss="binary_crossentropy", optimizer=keras.optimizers.Adam(0.003), metrics=["accuracy"])
callbacks = [EarlyStopping(monitor="val_loss", patience=5, restore_best_weights=True)]

mlflow.set_experiment("zeros and ones")
mlflow.keras.autolog(log_models=False)
with mlflow.start_run() as run:
    model.fit(
        X_train,
        y_train,
        batch_size=16,
        epochs=40,
        verbose=0,
        validation_data=(X_val, y_val),
        callbacks=callbacks,
    )
    mlflow.keras.log_model(model, name="model")

    test_loss, test_accuracy = model.evaluate(X_test, y_test, verbose=0)
    mlflow.log_metrics({"test_loss": test_loss, "test_accuracy": test_accuracy})

    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/X_train.npy", X_train)
        np.save(f"{folder}/y_train.npy", y_train)
        np.save(f"{folder}/X_val.npy", X_val)
        np.save(f"{folder}/y_val.npy", y_val)
        np.save(f"{folder}/X_test.npy", X_test)
        np.save(f"{folder}/y_test.npy", y_test)
        mlflow.log_artifacts(folder, "data")

print(run.info.run_id)
