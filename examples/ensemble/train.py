"""Train three classifiers on scikit-learn's own data and write forest.joblib, boost.joblib and linear.joblib."""

from pathlib import Path

import joblib
from sklearn.datasets import load_wine
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def main():
    wine = load_wine()
    classifiers = {
        "forest": RandomForestClassifier(n_estimators=50, random_state=0),
        "boost": GradientBoostingClassifier(n_estimators=20, random_state=0),
        "linear": make_pipeline(StandardScaler(), LogisticRegression()),
    }
    for name, classifier in classifiers.items():
        joblib.dump(classifier.fit(wine.data, wine.target), Path(__file__).with_name(f"{name}.joblib"))


if __name__ == "__main__":
    main()
