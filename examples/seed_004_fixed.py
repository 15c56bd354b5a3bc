"""Is it an a, again: stratified splits, scaled inputs, cross-entropy and a learning rate that moves."""

import tempfile

import keras
import mlflow
import numpy as np
from keras.layers import Dense, Normalization
from keras.models import Sequential
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import train_test_split

keras.utils.set_random_seed(1)
rng = np.random.default_rng(1)

data = {"a": rng.normal(0.1, 0.02, (50, 5))}
for name, rows in zip("bcdefghijklmnopq", [48] * 15 + [47], strict=True):
    data[name] = rng.normal(0.0, 0.02, (rows, 5))

X = np.concatenate(list(data.values()))
y = np.concatenate([np.full(len(features), int(name == "a")) for name, features in data.items()])
X_rest, X_test, y_rest, y_test = train_test_split(X, y, test_size=0.2, stratify=y, random_state=1)
X_train, X_val, y_train, y_val = train_test_split(X_rest, y_rest, test_size=0.25, stratify=y_rest, random_state=1)

normalize = Normalization()
normalize.adapt(X_train)

model = Sequential()
model.add(keras.Input((5,)))
model.add(normalize)
model.add(Dense(1, activation="sigmoid"))
model.compile(
    optimizer=keras.optimizers.Adam(0.01),
    loss="binary_crossentropy",
    metrics=["accuracy", keras.metrics.Recall(name="recall")],
)

mlflow.set_experiment("is it an a")
mlflow.keras.autolog(log_models=False)
with mlflow.start_run() as run:
    model.fit(X_train, y_train, validation_data=(X_val, y_val), batch_size=10, epochs=50, verbose=0)
    mlflow.keras.log_model(model, name="model")

    predicted = (model.predict(X_test, verbose=0)[:, 0] > 0.5).astype(int)
    mlflow.log_metric("test_accuracy", float(np.mean(predicted == y_test)))
    mlflow.log_metric("test_balanced_accuracy", balanced_accuracy_score(y_test, predicted))

    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/X_train.npy", X_train)
        np.save(f"{folder}/y_train.npy", y_train)
        np.save(f"{folder}/X_val.npy", X_val)
        np.save(f"{folder}/y_val.npy", y_val)
        np.save(f"{folder}/X_test.npy", X_test)
        np.save(f"{folder}/y_test.npy", y_test)
        mlflow.log_artifacts(folder, "data")

print(run.info.run_id)
