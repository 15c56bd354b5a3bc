"""The two squares again, with a learning rate that moves the weights, and rows kept back to judge it."""

import tempfile

import keras
import mlflow
import numpy as np
import pandas as pd
from keras.layers import Dense
from keras.models import Sequential
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import LabelEncoder

keras.utils.set_random_seed(0)
rng = np.random.default_rng(0)
cls1 = rng.uniform(low=0.2, high=0.4, size=(200, 2))
cls2 = rng.uniform(low=0.5, high=0.7, size=(200, 2))
df = pd.DataFrame(np.concatenate((cls1, cls2)), columns=["x", "y"])
df["class"] = np.repeat([1, 2], 200)

df_rest, df_test = train_test_split(df, test_size=0.2, stratify=df["class"], random_state=0)
df_train, df_val = train_test_split(df_rest, test_size=0.25, stratify=df_rest["class"], random_state=0)
X_train, X_val, X_test = (part[["x", "y"]].values for part in (df_train, df_val, df_test))

label_enc = LabelEncoder().fit(df_train["class"])
y_train, y_val, y_test = (label_enc.transform(part["class"]) for part in (df_train, df_val, df_test))

model = Sequential()
model.add(keras.Input((2,)))
model.add(Dense(units=2, activation="sigmoid"))
model.add(Dense(units=1, activation="sigmoid"))
model.compile(loss="binary_crossentropy", optimizer=keras.optimizers.Adam(0.1), metrics=["accuracy"])

mlflow.set_experiment("toy dataset")
mlflow.keras.autolog(log_models=False)
with mlflow.start_run() as run:
    model.fit(X_train, y_train, epochs=50, batch_size=32, validation_data=(X_val, y_val), verbose=0)
    mlflow.keras.log_model(model, name="model")

    predicted = (model.predict(X_test, verbose=0)[:, 0] > 0.5).astype(int)
    predicted_classes = label_enc.inverse_transform(predicted)
    mlflow.log_metric("test_accuracy", accuracy_score(df_test["class"], predicted_classes))

    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/X_train.npy", X_train)
        np.save(f"{folder}/y_train.npy", y_train)
        np.save(f"{folder}/X_val.npy", X_val)
        np.save(f"{folder}/y_val.npy", y_val)
        np.save(f"{folder}/X_test.npy", X_test)
        np.save(f"{folder}/y_test.npy", y_test)
        mlflow.log_artifacts(folder, "data")
    mlflow.log_dict(label_enc.classes_.tolist(), "classes.json")

print(run.info.run_id)
