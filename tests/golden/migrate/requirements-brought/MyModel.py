import prometheus_client
import requests
import yaml

from helper import call


class MyModel:
    def predict(self, X, names):
        return X
