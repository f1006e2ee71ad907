"""Train a classifier on scikit-learn's own data and write iris.joblib next to this file."""

from pathlib import Path

import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

if __name__ == "__main__":
    iris = load_iris()
    joblib.dump(LogisticRegression(max_iter=1000).fit(iris.data, iris.target), Path(__file__).with_name("iris.joblib"))
