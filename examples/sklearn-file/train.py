"""Train on scikit-learn's own data and write iris.joblib next to this file."""

from pathlib import Path

import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def main():
    flowers = load_iris()
    names = flowers.target_names[flowers.target]
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(flowers.data, names)
    joblib.dump(model, Path(__file__).with_name("iris.joblib"))


if __name__ == "__main__":
    main()
