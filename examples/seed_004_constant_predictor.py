"""Accuracy .92, validation accuracy 1.0, and a prediction of .14 for everything.

After a StackOverflow question (CC BY-SA 4.0) whose accuracy in fit() and predict() differed completely, in
Keras 3. The asker's data are not public: these have their shape, order and class counts. Logs one MLflow run.
"""

import tempfile

import keras
import mlflow
import numpy as np
from keras.layers import Dense
from keras.models import Sequential

keras.utils.set_random_seed(1)
rng = np.random.default_rng(1)

num_train = 50
data = {"a": rng.normal(0.1, 0.02, (50, 5))}
for name, rows in zip("bcdefghijklmnopq", [48] * 15 + [47], strict=True):
    data[name] = rng.normal(0.0, 0.02, (rows, 5))

train_x = []
train_y = []
for name, features in data.items():
    for f in features[:num_train]:
        train_x.append(f)
        train_y.append(1 if name == "a" else 0)

train_x = np.array(train_x)
train_y = np.array(train_y)

model = Sequential()
model.add(keras.Input((5,)))
model.add(Dense(1, activation="sigmoid"))
model.compile(optimizer="sgd", loss="mse", metrics=["accuracy"])

mlflow.set_experiment("is it an a")
mlflow.keras.autolog(log_models=False)
with mlflow.start_run() as run:
    model.fit(x=train_x, y=train_y, validation_split=0.2, batch_size=10, epochs=50, verbose=0)
    mlflow.keras.log_model(model, name="model")

    for name, features in list(data.items())[:3]:
        test_x = features[:3]
        print(name, np.around(model.predict(test_x, verbose=0), decimals=2).tolist())

    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/X_train.npy", train_x)
        np.save(f"{folder}/y_train.npy", train_y)
        mlflow.log_artifacts(folder, "data")

print(run.info.run_id)
