"""Two separable squares, yet after 50 epochs the network answers with one class only.

After a StackOverflow question, "Neural net fails on toy dataset" (CC BY-SA 4.0), in Keras 3. Logs one run.
"""

import tempfile

import keras
import mlflow
import numpy as np
import pandas as pd
from keras.layers import Dense
from keras.models import Sequential
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import LabelEncoder

keras.utils.set_random_seed(0)
rng = np.random.default_rng(0)
cls1 = rng.uniform(low=0.2, high=0.4, size=(200, 2))
cls2 = rng.uniform(low=0.5, high=0.7, size=(200, 2))
df_train = pd.DataFrame(np.concatenate((cls1, cls2)), columns=["x", "y"])
df_train["class"] = np.repeat([1, 2], 200)
df_train = df_train.sample(frac=1, random_state=0)

x_train = df_train.iloc[:, 0:-1].values
y_train = df_train.iloc[:, -1]

nr_feats = x_train.shape[1]
nr_classes = y_train.nunique()

label_enc = LabelEncoder()
label_enc.fit(y_train)
y_train = keras.utils.to_categorical(label_enc.transform(y_train), nr_classes)

model = Sequential()
model.add(keras.Input((nr_feats,)))
model.add(Dense(units=2, activation="sigmoid"))
model.add(Dense(units=nr_classes, activation="softmax"))
model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])

mlflow.set_experiment("toy dataset")
mlflow.keras.autolog(log_models=False)
with mlflow.start_run() as run:
    model.fit(x_train, y_train, epochs=50, batch_size=32, verbose=0)
    mlflow.keras.log_model(model, name="model")

    predicted_classes = np.argmax(model.predict(x_train, verbose=0), axis=1)
    mlflow.log_metric("accuracy_score", accuracy_score(predicted_classes, df_train.iloc[:, -1].values))

    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/X_train.npy", x_train)
        np.save(f"{folder}/y_train.npy", y_train)
        mlflow.log_artifacts(folder, "data")
    mlflow.log_dict(label_enc.classes_.tolist(), "classes.json")

print(run.info.run_id)
